/* Takes as much as it gets of something that the kernel counts by user, says how much, and keeps it for as long as it has input. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int take(const char *what, int count) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_NONE};
  char name[32];
  if (strcmp(what, "inotify") == 0) return inotify_init1(0);
  if (strcmp(what, "timers") == 0) return timer_create(CLOCK_MONOTONIC, &event, &timer);
  snprintf(name, sizeof name, "/hoard-%d", count);
  return mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
}

int main(int count, char **words) {
  int most = count > 2 ? atoi(words[2]) : 200000, taken = 0;
  while (taken < most && take(words[1], taken) >= 0) taken++;
  printf("%d %s\n", taken, taken < most ? strerrorname_np(errno) : "enough");
  fflush(stdout);
  char end;
  read(0, &end, 1);
  return 0;
}
