/**
 * By hand what a boot of Aegis does: overlay, runtime, network.
 *
 *  1 folder   2 runtime   3 container id   4 network interface   5 gateway   6 address
 */
export const RAW_SCRIPT = `
set -eu
cd "$1"
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,nosuid,nodev overlay rootfs
"$2" --root state run --bundle . --detach --pid-file pid "$3"
read -r pid < pid || [ -n "$pid" ]
ip -batch - <<END
link add $4 type veth peer name eth0 netns $pid
link set $4 up
route add $6/32 dev $4 src $5
END
echo 1 > "/proc/sys/net/ipv4/conf/$4/forwarding"
echo 1 > "/proc/sys/net/ipv4/conf/$4/rp_filter"
nsenter "--net=/proc/$pid/ns/net" ip -batch - <<END
link set lo up
addr add $6/32 dev eth0
link set eth0 up
route add $5/32 dev eth0
route add default via $5 dev eth0
END
`;
