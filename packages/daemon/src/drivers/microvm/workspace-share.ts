import { spawn } from "node:child_process";
import { chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { AegisError } from "@aegis/protocol/errors";
import type { MachineSpec } from "../../core/driver.ts";
import { BOOT_NAME } from "../linux/boot-leftovers.ts";
import type { HostUser } from "../linux/host-user.ts";
import type { ProcessUser } from "../linux/image-user.ts";
import type { BootPlace } from "../linux/machine-places.ts";
import { FIRST_HOST_ID } from "../linux/oci-config.ts";

/**
 * Runs virtiofsd as the invoking user, in a user namespace in which that user has the id that the instance's user has in
 * the virtual machine. So what the instance makes belongs to the invoking user, and nobody else is ever meant.
 *
 *  1 boot folder   2 control groups   3 workspace   4 device:inode of it   5 owner   6 group   7 id inside   8 group inside
 *  9 virtiofsd
 */
const SHARE_SCRIPT = `
set -eu
cd "$1"
for group in $2; do echo 0 > "$group/cgroup.procs"; done
# for its lock, and a path to the workspace that nobody else has; the folder that this is in stays where it is
mount -t tmpfs -o mode=1777,size=1m tmpfs /run
mkdir /run/workspace
mount --bind -o nosuid,nodev "$3" /run/workspace
[ "$(stat -c %d:%i /run/workspace)" = "$4" ] || { echo "its workspace was swapped while it was mounted" >&2; exit 1; }
trap '' PIPE # nobody listens to what it says later
exec setpriv --reuid "$5" --regid "$6" --clear-groups --no-new-privs -- \\
  unshare --user --keep-caps --map-user="$7" --map-group="$8" --net -- \\
  "$9" --socket-path=share/socket --rlimit-nofile=0 -o source=/run/workspace -o sandbox=chroot
`;
/** what virtiofsd says once its socket takes a connection */
const READY = "Waiting for vhost-user socket connection";
const MAX_TEXT = 2048;

/** It ends with the connection of the one QEMU that it serves. @throws AegisError `driver_failed` */
export async function startWorkspace(
  { virtiofsd, owner }: { virtiofsd: string | null; owner: HostUser },
  { folder }: BootPlace,
  groups: readonly string[],
  workspace: NonNullable<MachineSpec["workspace"]>,
  user: ProcessUser,
): Promise<string> {
  if (virtiofsd === null)
    throw new AegisError(
      "driver_failed",
      "A workspace cannot be shared with a virtual machine without virtiofsd. Install it: apt-get install qemu-system-common.",
    );
  await mkdir(join(folder, "share"), { mode: 0o700 });
  await chown(join(folder, "share"), owner.uid, owner.gid);
  const ids = [owner.uid, owner.gid, FIRST_HOST_ID + user.uid, FIRST_HOST_ID + user.gid].map(String);
  const words = [folder, groups.join(" "), workspace.path, workspace.identity, ...ids, virtiofsd];
  await untilReady(words);
  return join(folder, "share/socket");
}

function untilReady(words: string[]): Promise<void> {
  const child = spawn("unshare", ["--mount", "sh", "-c", SHARE_SCRIPT, BOOT_NAME, ...words], {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  child.unref();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let text = "";
  const lines = createInterface({ input: child.stderr });
  lines.on("line", (line) => {
    if (line.includes(READY)) resolve();
    else if (text.length < MAX_TEXT) text += `${line}\n`;
  });
  lines.on("error", () => undefined);
  child.once("error", reject);
  child.once("close", () =>
    reject(new AegisError("driver_failed", `The workspace cannot be shared: ${text.trim() || "virtiofsd ended"}`)),
  );
  return promise.finally(() => child.stderr.destroy());
}
