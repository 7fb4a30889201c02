/*
 * godwit-guest: what runs inside the lab's virtual machine. Answers godwit-probe (protocol.h says how) and, on demand, dirties
 * memory and disk. One event loop; static, for an initramfs. Prints GODWIT-GUEST-UP once every port is open.
 *
 *   godwit-guest [DISK]     the disk that `disk RATE` writes to; /dev/vda unless given. It is overwritten.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"
#include "loop.h"
#include "protocol.h"
#include "services.h"
#include "stream.h"

enum { MAX_PROBERS = 32, LINE_SIZE = 256, ANSWER_SIZE = 8192 };

struct prober {
  struct watch control, pacer; /* pacer.fd is -1 while nothing is sent */
  struct sockaddr_in6 address;
  struct receiver receiver; /* stream 0: none */
  struct sender sender;     /* stream 0: none */
  unsigned used;
  char line[LINE_SIZE];
};

static struct prober probers[MAX_PROBERS];
static struct watch udp, listener;
static const char *disk_device = "/dev/vda";

/* Not 0, and other ones after a reboot: a late datagram of an earlier life is nobody's. */
static uint32_t next_stream(void) {
  static uint32_t last;
  if (!last) last = (uint32_t)(realtime_ns() / NS_PER_MS);
  if (++last == 0) last = 1;
  return last;
}

static void drop(struct prober *p) {
  if (p->receiver.stream) bulk_drop(p->receiver.stream);
  watch_close(&p->control);
  watch_close(&p->pacer);
  receiver_close(&p->receiver);
  sender_close(&p->sender);
}

static void take(uint32_t stream, uint64_t sequence, uint64_t at_ns) {
  for (struct prober *p = probers; p < probers + MAX_PROBERS; p++) {
    if (p->control.fd < 0 || !stream || p->receiver.stream != stream) continue;
    receiver_take(&p->receiver, sequence, at_ns);
    return;
  }
}

static void udp_ready(struct watch *watch, uint32_t events) {
  (void)events;
  numbered_receive(watch->fd, take);
}

static void pacer_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct prober *p = watch->owner;
  timer_clear(watch->fd);
  sender_run(&p->sender);
}

/* The answer being put together; what does not fit is an error of this program. */
static char answer[ANSWER_SIZE];
static size_t answer_used;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(answer + answer_used, ANSWER_SIZE - answer_used, format, arguments);
  va_end(arguments);
  if (n < 0 || (size_t)n >= ANSWER_SIZE - answer_used) die("an answer is too long");
  answer_used += (size_t)n;
}

static void say_result(const char *error) {
  if (error) say("{\"error\":\"%s\"}", error);
  else say("{\"ok\":true}");
}

static void open_stream(struct prober *p) {
  receiver_open(&p->receiver, next_stream());
  say("{\"stream\":%u}", p->receiver.stream);
}

static void send_stream(struct prober *p, unsigned port, unsigned pps, unsigned size) {
  if (port < 1 || port > 65535 || pps < 1 || pps > 100000 || size < MIN_DATAGRAM || size > MAX_DATAGRAM)
    return say_result("want send PORT PPS SIZE with PPS 1..100000 and SIZE 24..65507");
  struct sockaddr_in6 to = p->address;
  to.sin6_port = htons((uint16_t)port);
  watch_close(&p->pacer);
  sender_close(&p->sender);
  sender_open(&p->sender, udp.fd, next_stream(), to, pps, size);
  watch_open(&p->pacer, timer_every(sender_period(&p->sender)), EPOLLIN, pacer_ready, p);
  say("{\"stream\":%u}", p->sender.stream);
}

static void mark(struct prober *p, bool stop) {
  /* What has arrived but was not read yet would look like an open gap. */
  numbered_receive(udp.fd, take);
  receiver_mark(&p->receiver, realtime_ns());
  if (stop) {
    watch_close(&p->pacer);
    bulk_stop(p->receiver.stream);
  }
  say("{\"sent\":%lu}", p->sender.sent);
}

static void fresh(struct prober *p) {
  receiver_fresh(&p->receiver);
  p->sender.lateness_ms = (struct peak){0};
  say_result(NULL);
}

static double uptime_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void report(struct prober *p, uint64_t sent, bool window) {
  numbered_receive(udp.fd, take);
  struct range ranges[MAX_RANGES];
  int n = receiver_missing(&p->receiver, sent, ranges, MAX_RANGES);
  struct bulk_counts bulk = bulk_counts(p->receiver.stream);
  struct load_counts load = load_counts();
  say("{\"received\":%lu,\"duplicated\":%lu,\"reordered\":%lu,\"largestGapMs\":%.3f,", receiver_received(&p->receiver, sent),
      p->receiver.duplicated, p->receiver.reordered, gap_ms(receiver_gap(&p->receiver, window)));
  say("\"sent\":%lu,\"sendErrors\":%lu,", p->sender.sent, p->sender.errors);
  say("\"sinkBytes\":%lu,\"sinkErrors\":%lu,\"sourceBytes\":%lu,", bulk.sink_bytes, bulk.sink_errors, bulk.source_bytes);
  say("\"memoryErrors\":%lu,\"memoryPages\":%lu,\"diskErrors\":%lu,\"diskWrites\":%lu,\"writing\":%s,", load.memory_errors,
      load.memory_pages, load.disk_errors, load.disk_writes, load.writing ? "true" : "false");
  say("\"uptimeMs\":%.0f,\"socketDrops\":%u,\"largestOwnLatenessMs\":%.3f,\"missing\":[", uptime_ms(), socket_drops(udp.fd),
      peak_take(&p->sender.lateness_ms, window));
  for (int i = 0; i < n; i++) say("%s[%lu,%lu]", i ? "," : "", ranges[i].first, ranges[i].last);
  say("]}");
}

static void command(struct prober *p, const char *line) {
  char scope[8] = "";
  unsigned a = 0, b = 0, c = 0;
  uint64_t sent = 0;
  if (strcmp(line, "open") == 0) open_stream(p);
  else if (sscanf(line, "send %u %u %u", &a, &b, &c) == 3) send_stream(p, a, b, c);
  else if (strcmp(line, "mark") == 0) mark(p, false);
  else if (strcmp(line, "stop") == 0) mark(p, true);
  else if (strcmp(line, "fresh") == 0) fresh(p);
  else if (sscanf(line, "report %lu %7s", &sent, scope) == 2) report(p, sent, strcmp(scope, "window") == 0);
  else if (strcmp(line, "dirty 0") == 0) say_result(memory_writer(0, 0));
  else if (sscanf(line, "dirty %u %u", &a, &b) == 2) say_result(memory_writer(a, b));
  else if (sscanf(line, "disk %u", &a) == 1) say_result(disk_writer(disk_device, a));
  else say_result("unknown command, or its numbers are missing: see protocol.h");
}

/* Returns false when the prober is of no use any more: an answer that does not fit its socket means that it does not read. */
static bool answer_line(struct prober *p, const char *line) {
  answer_used = 0;
  command(p, line);
  say("\n");
  return send(p->control.fd, answer, answer_used, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)answer_used;
}

static void control_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct prober *p = watch->owner;
  ssize_t n = recv(watch->fd, p->line + p->used, LINE_SIZE - p->used, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return drop(p);
  p->used += (unsigned)n;
  char *end;
  while ((end = memchr(p->line, '\n', p->used))) {
    *end = '\0';
    if (!answer_line(p, p->line)) return drop(p);
    p->used -= (unsigned)(end + 1 - p->line);
    memmove(p->line, end + 1, p->used);
  }
  if (p->used == LINE_SIZE) drop(p);
}

static void accept_prober(struct watch *watch, uint32_t events) {
  (void)events;
  struct sockaddr_in6 address;
  socklen_t size = sizeof address;
  int fd = accept4(watch->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  struct prober *p = probers;
  while (p < probers + MAX_PROBERS && p->control.fd >= 0) p++;
  if (p == probers + MAX_PROBERS) {
    close(fd);
    return;
  }
  tcp_tune(fd);
  *p = (struct prober){.pacer.fd = -1, .address = address};
  watch_open(&p->control, fd, EPOLLIN, control_ready, p);
}

int main(int count, char **arguments) {
  if (count > 1) disk_device = arguments[1];
  signal(SIGPIPE, SIG_IGN);
  setpriority(PRIO_PROCESS, 0, -10);
  for (int i = 0; i < MAX_PROBERS; i++) probers[i].control.fd = probers[i].pacer.fd = -1;
  watch_open(&udp, udp_socket(PORT_NUMBERED), EPOLLIN, udp_ready, NULL);
  watch_open(&listener, tcp_listener(PORT_CONTROL), EPOLLIN, accept_prober, NULL);
  services_open();
  printf("GODWIT-GUEST-UP\n");
  fflush(stdout);
  for (;;) loop_once(-1);
}
