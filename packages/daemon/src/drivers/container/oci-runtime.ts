import { AegisError } from "@aegis/protocol/errors";
import { runCommand } from "../linux/run-command.ts";

export type RuntimeName = "crun" | "runc";

export interface OciRuntime {
  name: RuntimeName;
  /** maps the owner of a mount, so that files made inside belong to the invoking user outside */
  mapsMounts: boolean;
  /** refuses to start while it sees both kinds of control groups */
  refusesHybridCgroups: boolean;
}

const runtimes: Record<RuntimeName, OciRuntime> = {
  crun: { name: "crun", mapsMounts: true, refusesHybridCgroups: true },
  runc: { name: "runc", mapsMounts: false, refusesHybridCgroups: false },
};

/** @throws AegisError `driver_failed` when the wished one, or with "auto" both, are missing */
export async function findRuntime(wish: "auto" | RuntimeName): Promise<OciRuntime> {
  const names: RuntimeName[] = wish === "auto" ? ["crun", "runc"] : [wish];
  for (const name of names) {
    const answers = await runCommand(name, ["--version"]).then(
      () => true,
      () => false,
    );
    if (answers) return runtimes[name];
  }
  throw new AegisError(
    "driver_failed",
    `No OCI runtime: ${names.join(" or ")} does not run on this host. Install crun (apt-get install crun) and start again.`,
  );
}
