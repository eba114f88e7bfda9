import { COMMAND } from "./bench-daemon.ts";
import { bootServer, type BenchHost } from "./bench-host.ts";
import type { Figure } from "./figure.ts";
import { sample, timed } from "./sampling.ts";

const SAMPLES = 60;
const RUNTIMES = ["crun", "runc"] as const;

/** `true` in a running instance: from the request to the exit code. */
export async function measureExec({ daemon, raw, ...rest }: BenchHost): Promise<Figure[]> {
  const { client } = daemon;
  const { instance } = await bootServer({ daemon, raw, ...rest });
  for (const runtime of RUNTIMES) {
    await raw.call("prepare", { name: runtime, runtime, command: COMMAND });
    await raw.call("boot", { name: runtime });
  }
  const byHand = (name: string) => () => raw.call("exec", { name, command: ["/bin/true"] });
  const [aegis, ...others] = await sample(
    SAMPLES,
    {
      "exec of true": () => timed(() => runTrue(client.instances.exec(instance.id, { command: ["true"] }))),
      "crun exec": byHand("crun"),
      "runc exec": byHand("runc"),
    },
    rest.signal,
  );
  for (const name of RUNTIMES) await raw.call("remove", { name });
  await client.instances.delete(instance.id);
  return aegis === undefined ? [] : [{ group: "exec", unit: "ms", aegis, raw: others, target: 25 }];
}

async function runTrue(steps: AsyncIterable<object>): Promise<void> {
  let code: unknown;
  for await (const step of steps) if ("exit_code" in step) code = step.exit_code;
  if (code !== 0) throw new Error(`true ended with ${String(code)}`);
}
