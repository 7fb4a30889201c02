/*
 * godwit-flow: one numbered stream of datagrams, one way, from the namespace it is started in to others: what a path loses.
 *
 *   godwit-flow --to ADDR --receive-in NETNS... [--pps 1000] [--size 64] [--tail MS]
 *
 * Sends to ADDR, and counts what arrives in any NETNS (a name of `ip netns`): several, if ADDR may move from one to another. Prints
 * {"ready":true} when the first datagram has come through. A line `report` on stdin prints a report of type "interim": counts of the
 * whole run, the gap of the time since the last report. `stop` or the end of stdin ends the run: type "final", everything of the whole
 * run. A report counts the numbers sent by the moment it was asked for, and waits the tail (100 ms) for stragglers.
 *
 * "missing": [[first, last, from, to], ...], at most 50: numbers that did not come, the moment the first of them was sent, and the
 * moment the first one after them was sent (0: none was). Times are CLOCK_REALTIME in ms.
 *
 * Exit status: 0 a final report, 1 nothing came through within 15 s, 2 wrong usage.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "loop.h"
#include "protocol.h"
#include "stream.h"

enum { MAX_ENDS = 4, REALTIME_PRIORITY = 60 }; /* above the routers that are measured */

#define READY_NS (15 * NS_PER_S)

static struct {
  struct sockaddr_in6 to;
  const char *netns[MAX_ENDS];
  unsigned ends;
  unsigned pps, size, tail_ms;
} options = {.pps = 1000, .size = 64, .tail_ms = 100};

static struct watch arrivals[MAX_ENDS], pacer;
static struct receiver receiver;
static struct sender sender;

void usage(const char *wrong) {
  fprintf(stderr, "%s\nusage: godwit-flow --to ADDR --receive-in NETNS... [--pps 1000] [--size 64] [--tail MS]\n", wrong);
  exit(2);
}

static void receive_in(const char *netns) {
  if (!*netns || strchr(netns, '/')) usage("--receive-in wants the name of a namespace");
  if (options.ends == MAX_ENDS) usage("--receive-in at most 4 times");
  options.netns[options.ends++] = netns;
}

static void parse(int count, char **arguments) {
  static const struct option names[] = {
      {"to", 1, NULL, 't'}, {"receive-in", 1, NULL, 'r'}, {"pps", 1, NULL, 'p'}, {"size", 1, NULL, 's'}, {"tail", 1, NULL, 'l'}, {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(count, arguments, "", names, NULL)) != -1) {
    if (option == 't') options.to = parse_address(optarg);
    else if (option == 'r') receive_in(optarg);
    else if (option == 'p') options.pps = parse_number(optarg, 1, 100000, "--pps wants 1 to 100000");
    else if (option == 's') options.size = parse_number(optarg, MIN_DATAGRAM, MAX_DATAGRAM, "--size wants 24 to 65507 bytes");
    else if (option == 'l') options.tail_ms = parse_number(optarg, 0, 60000, "--tail wants 0 to 60000 ms");
    else usage("unknown option");
  }
  if (optind < count) usage("too many arguments");
  if (!options.to.sin6_family) usage("--to is missing");
  if (!options.ends) usage("--receive-in is missing");
}

static void take(uint32_t stream, uint64_t sequence, uint64_t at_ns) {
  if (stream == receiver.stream) receiver_take(&receiver, sequence, at_ns);
}

static void arrivals_ready(struct watch *watch, uint32_t events) {
  (void)events;
  numbered_receive(watch->fd, take);
}

static void pacer_ready(struct watch *watch, uint32_t events) {
  (void)events;
  timer_clear(watch->fd);
  sender_run(&sender);
}

static int receive_socket(const char *netns) {
  char path[300];
  snprintf(path, sizeof path, "/run/netns/%s", netns);
  int namespace = open(path, O_RDONLY | O_CLOEXEC);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) die(path);
  close(namespace);
  return udp_socket(PORT_NUMBERED);
}

static void run_for(unsigned ms) {
  for (uint64_t end_ns = monotonic_ns() + ms * NS_PER_MS; monotonic_ns() < end_ns;) loop_once(1);
}

static void receive_all(void) {
  for (unsigned i = 0; i < options.ends; i++) numbered_receive(arrivals[i].fd, take);
}

static uint32_t drops(void) {
  uint32_t dropped = 0;
  for (unsigned i = 0; i < options.ends; i++) dropped += socket_drops(arrivals[i].fd);
  return dropped;
}

static double sent_ms(uint64_t sequence) { return sequence < sender.sent ? (double)sender.sent_at[sequence] / 1e6 : 0; }

static void report(bool final) {
  if (final) watch_close(&pacer);
  /* What has arrived but was not read yet would look like an open gap. */
  receive_all();
  receiver_mark(&receiver, realtime_ns());
  uint64_t sent = sender.sent;
  struct gap gap = receiver_gap(&receiver, !final);
  run_for(options.tail_ms);
  receive_all();
  uint64_t received = receiver_received(&receiver, sent);
  printf("{\"type\":\"%s\",\"sent\":%lu,\"received\":%lu,\"lost\":%lu,\"duplicated\":%lu,\"reordered\":%lu,", final ? "final" : "interim",
         sent, received, sent - received, receiver.duplicated, receiver.reordered);
  printf("\"largestGapMs\":%.3f,\"gapStartMs\":%.3f,\"gapEndMs\":%.3f,\"missing\":[", gap_ms(gap), (double)gap.start_ns / 1e6,
         (double)gap.end_ns / 1e6);
  struct range ranges[MAX_RANGES];
  int n = receiver_missing(&receiver, sent, ranges, MAX_RANGES);
  for (int i = 0; i < n; i++) {
    printf("%s[%lu,%lu,%.3f,%.3f]", i ? "," : "", ranges[i].first, ranges[i].last, sent_ms(ranges[i].first), sent_ms(ranges[i].last + 1));
  }
  printf("],\"ownLatenessMs\":%.3f,\"sendErrors\":%lu,\"socketDrops\":%u}\n", peak_take(&sender.lateness_ms, !final), sender.errors,
         drops());
  if (fflush(stdout) != 0) exit(1);
}

int main(int count, char **arguments) {
  parse(count, arguments);
  run_realtime(REALTIME_PRIORITY);

  uint32_t stream = (uint32_t)(realtime_ns() / NS_PER_MS);
  options.to.sin6_port = htons(PORT_NUMBERED);
  sender_open(&sender, udp_socket(0), stream, options.to, options.pps, options.size);
  sender.keep_times = true;
  receiver_open(&receiver, stream);
  for (unsigned i = 0; i < options.ends; i++) watch_open(&arrivals[i], receive_socket(options.netns[i]), EPOLLIN, arrivals_ready, NULL);
  watch_open(&pacer, timer_every(sender_period(&sender)), EPOLLIN, pacer_ready, NULL);
  orders_open();

  uint64_t end_ns = monotonic_ns() + READY_NS;
  while (receiver.next == 0 && !stop_wanted) {
    loop_once(100);
    if (receiver.next > 0 || monotonic_ns() < end_ns) continue;
    fprintf(stderr, "nothing came through within 15 s: is there a route, and does each router forward?\n");
    exit(1);
  }
  /* The count begins when the path is there. */
  sender.sent = 0;
  sender.lateness_ms = (struct peak){0};
  sender.due_ns = monotonic_ns() + sender.interval_ns;
  receiver_open(&receiver, ++stream);
  sender.stream = stream;
  while (receiver.next == 0 && !stop_wanted) loop_once(100);
  printf("{\"ready\":true}\n");
  fflush(stdout);
  while (!stop_wanted) {
    loop_once(100);
    if (reports_wanted > 0) {
      reports_wanted--;
      report(false);
    }
  }
  report(true);
  return 0;
}
