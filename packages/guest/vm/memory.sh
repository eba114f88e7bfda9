# How often the kernel killed a process of the instance for want of memory, and refused it one for want of room for processes;
# and how many it has.
count() {
  found=0
  if [ -e "$2" ]; then while read -r key value; do if [ "$key" = "$1" ]; then found=$value; fi; done < "$2"; fi
  echo "$found"
}
processes=0
if [ -e /sys/fs/cgroup/instance/run/pids.current ]; then read -r processes < /sys/fs/cgroup/instance/run/pids.current; fi
echo "$(count oom_kill /sys/fs/cgroup/instance/memory.events) $(count max /sys/fs/cgroup/instance/run/pids.events) $processes"
