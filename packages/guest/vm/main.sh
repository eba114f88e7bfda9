# Makes the instance inside of the virtual machine: the same container as without one, by the same runtime. What it is
# made of comes from the host: /vm/config.json for the runtime, /vm/settings for the rest.
#
# vda: the image   vdb: harness and runtime   vdc: the disk   port 1: the harness's streams   port 2: the host's wishes
set -eu
. /vm/settings
# numbered by the kernel as it finds devices
for port in /dev/vport*p1; do harness=$port; done
for port in /dev/vport*p2; do host=$port; done
# once for all: the kernel lets nobody open a port that is open
exec 5<> "$host"
# whatever goes wrong ends the machine, and the host reads why
trap 'echo "failed: $(cat /vm/boot.log 2> /dev/null)" >&5; poweroff -f' EXIT
exec 2> /vm/boot.log
mount -t tmpfs -o mode=755,size=16m run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo "+cpu +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
# one group around the runtime's own, which goes with it: what the kernel counted stays to be read
mkdir /sys/fs/cgroup/instance
echo "+cpu +memory +pids" > /sys/fs/cgroup/instance/cgroup.subtree_control
mount -t erofs -o ro /dev/vda /lower
mount -t erofs -o ro /dev/vdb /aegis
# what is written is on the disk a moment later: a machine may stand still for long, and end then
for each in dirty_writeback dirty_expire; do echo 100 > "/proc/sys/vm/${each}_centisecs"; done
mount -t ext4 -o nosuid,nodev,discard,errors=remount-ro /dev/vdc /disk
mount -t overlay -o lowerdir=/lower,upperdir=/disk/upper,workdir=/disk/work,nosuid,nodev overlay /bundle/rootfs
if [ "$WORKSPACE" = yes ]; then mount -t virtiofs -o nosuid,nodev workspace /workspace; fi
# the runtime's hook says when the instance has started; open both ways, so that nobody who says something waits
mkfifo /vm/events
exec 4<> /vm/events
{
  /aegis/vm/crun --root /run/crun run --bundle /bundle --config /vm/config.json --preserve-fds 1 instance \
    < /dev/null >> /vm/boot.log 2>&1 3<> "$harness" 4>&- 5>&- || true
  echo ended >&4
} &
read -r event init <&4
[ "$event" = started ]
# the runtime has given what the instance's first process writes to, to the instance's root, who could open it anew
chown 0:0 /vm/boot.log
chmod 600 /vm/boot.log
ip link set eth0 netns "$init"
nsenter -t "$init" -n ip link set lo up
# unquoted: a template has no address
/aegis/vm/perl /vm/agent.pl "$init" "$HOSTNAME" $NETWORK <&5 >&5 4>&- 5>&- &
read -r event <&4
trap - EXIT
echo "exited $(sh /vm/memory.sh)" >&5
sync
poweroff -f
