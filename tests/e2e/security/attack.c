// One attack by name, from inside an instance: says "refused <errno name>" or "HELD" when the kernel let it through.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call(const char *name) {
  static char memory[8192];
#define IS(text) (strcmp(name, text) == 0)
  if (IS("ptrace")) return ptrace(PTRACE_ATTACH, getppid(), 0, 0);
  if (IS("mount")) return mount("none", "/tmp", "tmpfs", 0, 0);
  if (IS("new mount api")) return syscall(SYS_fsopen, "tmpfs", 0);
  if (IS("open_tree")) return syscall(SYS_open_tree, AT_FDCWD, "/", 1);
  if (IS("move_mount")) return syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0);
  if (IS("mount_setattr")) return syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, memory, 32);
  if (IS("pivot_root")) return syscall(SYS_pivot_root, "/", "/tmp");
  if (IS("chroot")) return chroot("/tmp");
  if (IS("unshare user")) return unshare(CLONE_NEWUSER);
  if (IS("unshare net")) return unshare(CLONE_NEWNET);
  if (IS("clone user")) return syscall(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0);
  if (IS("clone3 user")) {
    unsigned long long arguments[8] = {CLONE_NEWUSER, 0, 0, 0, 17};
    return syscall(SYS_clone3, arguments, sizeof arguments);
  }
  if (IS("setns")) return setns(open("/proc/1/ns/mnt", O_RDONLY), 0);
  if (IS("packet socket")) return socket(AF_PACKET, SOCK_RAW, 0x300);
  if (IS("raw socket")) return socket(AF_INET, SOCK_RAW, 1);
  if (IS("raw socket v6")) return socket(AF_INET6, SOCK_RAW, 58);
  if (IS("vsock")) return socket(40, SOCK_STREAM, 0);
  if (IS("alg socket")) return socket(38, SOCK_SEQPACKET, 0);
  if (IS("bpf")) return syscall(SYS_bpf, 5, memory, 64);
  if (IS("perf")) return syscall(SYS_perf_event_open, memory, 0, -1, -1, 0);
  if (IS("userfaultfd")) return syscall(SYS_userfaultfd, 0);
  if (IS("io_uring")) return syscall(SYS_io_uring_setup, 8, memory);
  if (IS("keyctl")) return syscall(SYS_keyctl, 0, -3, 1);
  if (IS("add_key")) return syscall(SYS_add_key, "user", "a", "b", 1, -3);
  if (IS("request_key")) return syscall(SYS_request_key, "user", "a", 0, -3);
  if (IS("init_module")) return syscall(SYS_init_module, memory, 16, "");
  if (IS("finit_module")) return syscall(SYS_finit_module, 0, "", 0);
  if (IS("kexec")) return syscall(SYS_kexec_load, 0, 0, 0, 0);
  if (IS("swapon")) return syscall(SYS_swapon, "/tmp/x", 0);
  if (IS("acct")) return syscall(SYS_acct, "/tmp/x");
  if (IS("syslog")) return syscall(SYS_syslog, 3, memory, 16);
  if (IS("sethostname")) return sethostname("other", 5);
  if (IS("settimeofday")) return syscall(SYS_clock_settime, 0, memory);
  if (IS("open_by_handle_at")) return syscall(SYS_open_by_handle_at, AT_FDCWD, memory, 0);
  if (IS("process_vm_readv")) return syscall(SYS_process_vm_readv, getppid(), memory, 1, memory, 1, 0);
  if (IS("process_vm_writev")) return syscall(SYS_process_vm_writev, getppid(), memory, 1, memory, 1, 0);
  if (IS("pidfd_getfd")) return syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, getppid(), 0), 0, 0);
  if (IS("kcmp")) return syscall(SYS_kcmp, getpid(), getppid(), 0, 0, 0);
  if (IS("mbind")) return syscall(SYS_migrate_pages, getppid(), 0, 0, 0);
  if (IS("quotactl")) return syscall(SYS_quotactl, 0x800007, "/", 0, memory);
  if (IS("fanotify")) return syscall(SYS_fanotify_init, 0, 0);
  if (IS("iopl")) return syscall(SYS_iopl, 3);
  if (IS("vhangup")) return syscall(SYS_vhangup);
  if (IS("personality")) return syscall(SYS_personality, 0x0040000);
  if (IS("setuid 1")) return setgroups(0, 0), setuid(1);
  if (IS("TIOCSTI")) return syscall(SYS_ioctl, open("/dev/ptmx", O_RDWR), 0x5412, "x");
  if (IS("reboot")) return syscall(SYS_reboot, 0, 0, 0, 0);
  printf("unknown attack\n");
  exit(2);
}

int main(int count, char **names) {
  for (int at = 1; at < count; at++) {
    errno = 0;
    long answer = call(names[at]);
    if (answer < 0) printf("%s: refused %s\n", names[at], strerrorname_np(errno));
    else printf("%s: HELD\n", names[at]);
    fflush(stdout);
  }
  return 0;
}
