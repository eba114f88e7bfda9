/**
 * Shell functions. The first mounts the image of a disk at `disk` in the folder it runs in. Its loop device goes with
 * the last mount, whatever becomes of whom; one of the last boot that is just going away is tried for again.
 * The second has the image written past the host's cache, since the instance's own, which counts for the instance, is
 * enough. It takes some milliseconds that nobody waits for, and where it cannot be done nothing is lost.
 */
export const ATTACH_DISK = `
attach_disk() {
  for again in 1 2 3 0; do
    if said=$(mount -t ext4 -o loop,nosuid,nodev,discard,errors=remount-ro "$1" disk 2>&1); then break; fi
    if [ "$again" = 0 ]; then echo "its disk cannot be mounted: $said" >&2; return 1; fi
    sleep 0.1
  done
}
bypass_cache() {
  while read -r source at _; do
    if [ "$at" = "$PWD/disk" ]; then losetup --direct-io=on "$source" > /dev/null 2>&1 & fi
  done < /proc/self/mounts
}
`;
