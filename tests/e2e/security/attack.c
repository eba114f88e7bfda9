// One attack by name, from inside an instance: says "refused <errno name>" or "HELD" when the kernel let it through.
#define _GNU_SOURCE
#include <arpa/inet.h>
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

// A datagram from an address that is not this instance's: by a bound address, by a control message, by a transparent socket.
static long spoof(char how) {
  int on = 1, s = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in from = {AF_INET, htons(5000), {inet_addr("203.0.113.77")}};
  struct sockaddr_in to = {AF_INET, htons(9), {inet_addr("203.0.113.10")}};
  if (s < 0) exit(2);
  if (how == 't') return setsockopt(s, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on);
  if (how == 'h') return setsockopt(s, IPPROTO_IP, IP_HDRINCL, &on, sizeof on);
  if (how == 'b') {
    if (setsockopt(s, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) < 0) return -1;
    if (bind(s, (struct sockaddr *)&from, sizeof from) < 0) return -1;
    return sendto(s, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
  }
  union { struct cmsghdr head; char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))]; } control = {0};
  struct iovec data = {"x", 1};
  struct msghdr message = {&to, sizeof to, &data, 1, &control, sizeof control, 0};
  control.head.cmsg_level = IPPROTO_IP;
  control.head.cmsg_type = IP_PKTINFO;
  control.head.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
  ((struct in_pktinfo *)CMSG_DATA(&control.head))->ipi_spec_dst = from.sin_addr;
  return sendmsg(s, &message, 0);
}

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
  if (IS("unshare mount")) return unshare(CLONE_NEWNS);
  if (IS("unshare cgroup")) return unshare(CLONE_NEWCGROUP);
  if (IS("unshare pid")) return unshare(CLONE_NEWPID);
  if (IS("clone user")) return syscall(SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0);
  if (IS("clone3 user")) {
    unsigned long long arguments[8] = {CLONE_NEWUSER, 0, 0, 0, 17};
    return syscall(SYS_clone3, arguments, sizeof arguments);
  }
  if (IS("setns")) return setns(open("/proc/1/ns/mnt", O_RDONLY), 0);
  if (IS("packet socket")) return socket(AF_PACKET, SOCK_RAW, 0x300);
  if (IS("raw socket")) return socket(AF_INET, SOCK_RAW, 1);
  if (IS("raw socket v6")) return socket(AF_INET6, SOCK_RAW, 58);
  if (IS("packet datagram socket")) return socket(AF_PACKET, SOCK_DGRAM, 0x300);
  if (IS("old packet socket")) return socket(AF_INET, 10, 0x300);
  if (IS("raw socket of any protocol")) return socket(AF_INET, SOCK_RAW, 255);
  if (IS("raw socket v6 of any protocol")) return socket(AF_INET6, SOCK_RAW, 255);
  if (IS("xdp socket")) return socket(44, SOCK_RAW, 0);
  if (IS("can socket")) return socket(29, SOCK_RAW, 1);
  if (IS("tipc socket")) return socket(30, SOCK_RAW, 0);
  if (IS("bluetooth socket")) return socket(31, SOCK_RAW, 1);
  if (IS("spoof by transparent socket")) return spoof('t');
  if (IS("spoof by own header")) return spoof('h');
  if (IS("spoof by bound address")) return spoof('b');
  if (IS("spoof by control message")) return spoof('c');
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
