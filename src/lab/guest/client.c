#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"

bool stop_wanted;
unsigned reports_wanted;
static struct watch input;

unsigned parse_number(const char *text, unsigned least, unsigned most, const char *wrong) {
  char *end;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (errno || end == text || *end || value < least || value > most) usage(wrong);
  return (unsigned)value;
}

struct sockaddr_in6 parse_address(const char *text) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6};
  char host[128];
  snprintf(host, sizeof host, "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
  char *scope = strchr(host, '%');
  if (scope) *scope++ = '\0';
  if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1) usage("--to wants an IPv4 or IPv6 address");
  if (scope && !(address.sin6_scope_id = if_nametoindex(scope))) usage("--to names an interface that is not here");
  return address;
}

void run_realtime(int priority) { sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = priority}); }

static void input_ready(struct watch *watch, uint32_t events) {
  (void)events;
  static char line[64];
  static size_t used;
  char byte;
  if (read(watch->fd, &byte, 1) != 1) {
    stop_wanted = true;
    watch_close(watch);
  } else if (byte != '\n') {
    if (used < sizeof line - 1) line[used++] = byte;
  } else {
    line[used] = '\0';
    used = 0;
    if (strcmp(line, "stop") == 0) stop_wanted = true;
    else if (strcmp(line, "report") == 0) reports_wanted++;
    else fprintf(stderr, "unknown line on stdin, want `report` or `stop`: %s\n", line);
  }
}

void orders_open(void) {
  struct stat status;
  bool waits = fstat(0, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(0));
  if (waits) watch_open(&input, 0, EPOLLIN, input_ready, NULL);
  else stop_wanted = true;
}
