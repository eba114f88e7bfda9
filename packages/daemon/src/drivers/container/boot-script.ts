import { ATTACH_DISK } from "./attach-disk.ts";

/**
 * What the kernel counts to whoever made a user namespace as well, which is the host's root for every instance: what one
 * takes would be missing everywhere. Set when the namespace is there, since a limit from before it would hold for the sum
 * of all instances; the harness hands it down. Of POSIX message queues there is so little (0.8 MB) that nobody gets any.
 */
const LIMIT_SHARES = `
limit() { prlimit --pid "$1" --sigpending=1024 --msgqueue=0 --memlock=65536; }
limit "$pid"
read -r children < "/proc/$pid/task/$pid/children" || true
for child in $children; do limit "$child"; done
nsenter "--user=/proc/$pid/ns/user" sh -c '
  cd /proc/sys/user
  echo 32 > max_inotify_instances
  echo 16384 > max_inotify_watches'
`;

/**
 * Boots a container inside a mount namespace of its own, so the overlay mount lives exactly as long as the container
 * and no crash can leak one. Constant: everything that varies comes as an argument.
 *
 * The runtime's `run` is safe before the network is up: what it starts is the harness, which runs nothing of the image
 * until the daemon says so. Descriptor 3 is the harness's listening socket. Descriptor 4 becomes the standard streams:
 * the runtime gives those to the container's user, so a device of the host such as /dev/null must never be there.
 *
 *  1 boot folder           5 v2 mount point to hide, or ""     8 address of the gateway
 *  2 runtime               6 workspace, or ""                  9 address of the instance
 *  3 container id          7 network interface on the host    10 image of the disk, or ""
 *  4 v2 group to start in, or ""                              11 device:inode of the workspace, or ""
 */
export const BOOT_SCRIPT = `
set -eu
${ATTACH_DISK}
cd "$1"
if [ -n "$4" ]; then echo 0 > "$4/cgroup.procs"; fi
if [ -n "$5" ]; then umount "$5"; fi
if [ -n "\${10}" ]; then attach_disk "\${10}"; fi
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,nosuid,nodev overlay rootfs
if [ -n "$6" ]; then
  mount --bind -o nosuid,nodev "$6" workspace
  [ "$(stat -c %d:%i workspace)" = "\${11}" ] || { echo "its workspace was swapped while it was mounted" >&2; exit 1; }
fi
"$2" --log runtime.log --root state run --bundle . --detach --preserve-fds 1 --pid-file pid "$3" \\
  <&4 >&4 2>&4 4<&- || { cat runtime.log >&2; exit 1; }
exec 3<&- 4<&-
read -r pid < pid || [ -n "$pid" ]
${LIMIT_SHARES}
ip -batch - <<END
link add $7 type veth peer name eth0 netns $pid
link set $7 up
route add $9/32 dev $7 src $8
END
echo 1 > "/proc/sys/net/ipv4/conf/$7/forwarding"
echo 1 > "/proc/sys/net/ipv4/conf/$7/rp_filter"
if [ -e "/proc/sys/net/ipv6/conf/$7/disable_ipv6" ]; then echo 1 > "/proc/sys/net/ipv6/conf/$7/disable_ipv6"; fi
nsenter "--net=/proc/$pid/ns/net" ip -batch - <<END
link set lo up
addr add $9/32 dev eth0
link set eth0 up
route add $8/32 dev eth0
route add default via $8 dev eth0
END
if [ -n "\${10}" ]; then bypass_cache; fi
`;
