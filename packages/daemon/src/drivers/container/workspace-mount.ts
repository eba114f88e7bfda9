import { AegisError } from "@aegis/protocol/errors";
import { FIRST_HOST_ID, ID_COUNT } from "../linux/oci-config.ts";
import type { HostUser } from "../linux/host-user.ts";
import type { ProcessUser } from "../linux/image-user.ts";
import type { OciRuntime } from "./oci-runtime.ts";

/** `first id in the file system - first id of the host - how many`, joined by `#` */
function mapping(ownerId: number, processId: number): string {
  const hostId = FIRST_HOST_ID + processId;
  const rest = [
    [FIRST_HOST_ID, processId],
    [hostId + 1, ID_COUNT - processId - 1],
  ].filter(([, count]) => count !== 0);
  return [`${ownerId}-${hostId}-1`, ...rest.map(([first, count]) => `${first}-${first}-${count}`)].join("#");
}

/**
 * Mount options with which files that the instance's user makes in /workspace belong to the invoking user outside.
 * All other ids stay what they are in the instances' range, so no other user of the host is ever meant.
 * @throws AegisError `driver_failed` with a runtime that cannot map a mount
 */
export function workspaceOptions(runtime: OciRuntime, owner: HostUser, user: ProcessUser): string[] {
  if (!runtime.mapsMounts)
    throw new AegisError(
      "driver_failed",
      `A workspace cannot be mounted with ${runtime.name}: its files would belong to nobody. Install crun (apt-get install crun) and start the daemon again.`,
    );
  return [`idmap=uids=${mapping(owner.uid, user.uid)};gids=${mapping(owner.gid, user.gid)}`];
}
