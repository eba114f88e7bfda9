#!/bin/sh
# First process of a virtual machine, out of the initramfs: loads the drivers, and goes on in a file system of its own,
# since a container cannot be made from the initramfs itself.
set -eu
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# the host only wants to know whether a kernel comes up
case "$(cat /proc/cmdline)" in *aegis.probe*)
  echo "aegis: came up" > /dev/ttyS0
  poweroff -f
  ;;
esac
while read -r module; do insmod "/modules/$module"; done < /modules/order
mount -t tmpfs -o mode=755,size=32m root /root
cp -a /bin /vm /root/
cd /root
mkdir -p aegis bundle/rootfs dev disk lower proc run sys workspace
for each in proc sys dev; do mount --move "/$each" "$each"; done
exec switch_root /root /bin/sh /vm/main.sh
