import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { AegisError } from "@aegis/protocol/errors";

/** Ids 0 up to `size` inside are `uid`, `gid` and up on the host. */
export interface IdMap {
  uid: number;
  gid: number;
  size: number;
}

/**
 * A user namespace while `work` runs. The path that it gets is what nsenter takes. The namespace is held by a child that
 * ends with this process.
 */
export async function withUserNamespace<T>(map: IdMap, work: (namespace: string) => Promise<T>): Promise<T> {
  const holder = spawn("unshare", ["--user", "--", "sh", "-c", "echo ready; exec cat"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const closed = once(holder, "close");
  try {
    await Promise.race([once(holder.stdout, "data"), closed.then(noNamespace)]);
    await writeFile(`/proc/${holder.pid}/uid_map`, `0 ${map.uid} ${map.size}\n`);
    await writeFile(`/proc/${holder.pid}/gid_map`, `0 ${map.gid} ${map.size}\n`);
    return await work(`/proc/${holder.pid}/ns/user`);
  } finally {
    holder.stdin.destroy();
    await closed;
  }
}

const noNamespace = (): never => {
  throw new AegisError(
    "driver_failed",
    "No user namespace can be made on this machine. Check user.max_user_namespaces.",
  );
};
