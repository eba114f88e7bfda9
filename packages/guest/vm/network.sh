# Gives the instance its address: network.sh ADDRESS GATEWAY
set -eu
# any process of it will do: they share its network
read -r init < /sys/fs/cgroup/instance/run/cgroup.procs
inside() { nsenter -t "$init" -n "$@"; }
inside ip addr flush dev eth0
inside ip addr add "$1/32" dev eth0
inside ip link set eth0 up
inside ip route add "$2/32" dev eth0
inside ip route add default via "$2" dev eth0
read -r name < /vm/files/hostname
echo "nameserver $2" > /vm/files/resolv.conf
printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n' "$1" "$name" > /vm/files/hosts
