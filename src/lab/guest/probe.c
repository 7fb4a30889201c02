/*
 * godwit-probe: a client of godwit-guest that says what a client of a moving machine sees.
 *
 *   godwit-probe --to ADDR [--pps 1000] [--size 64] [--sessions 8] [--bulk MBIT] [--tail MS] [--dirty MB,RATE] [--disk RATE]
 *
 * Numbered datagrams both ways (size: UDP payload, 1472 fills a 1500-byte IPv4 frame, 1452 an IPv6 one), echo sessions, bulk.
 * Prints {"ready":true} when everything flows both ways and the guest's writers write. A line `report` on stdin prints a report
 * of type "interim": the counts are of the whole run, gaps, stalls and lateness of the time since the last such report. `stop`
 * or the end of stdin ends the run: type "final", everything of the whole run. A report counts the numbers sent by the moment it
 * was asked for, and waits the tail (300 ms) for stragglers. What only the guest knows is null when it does not answer, and
 * "error" says why.
 *
 * Exit status: 0 a final report with the guest's word, 1 without it, 2 wrong usage.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "loop.h"
#include "probe-tcp.h"
#include "protocol.h"
#include "stream.h"

enum { ANSWER_SIZE = 16384, REALTIME_PRIORITY = 10 };

#define READY_NS (15 * NS_PER_S)  /* until everything must flow */
#define ANSWER_NS (10 * NS_PER_S) /* until a control command must be answered: longer than any pause */
#define SETTLE_NS (10 * NS_PER_S) /* after the tail, for TCP to retransmit and the writers to verify */
#define ASK_NS (50 * NS_PER_MS)   /* between two questions for the same thing */

static struct {
  struct sockaddr_in6 guest;
  unsigned pps, size, sessions, bulk_mbit, tail_ms, dirty_mb, dirty_rate, disk_rate;
} options = {.pps = 1000, .size = 64, .sessions = 8, .tail_ms = 300};

/* STARTING until all flows; then RUNNING, and for each report MARKING (its moment), TAIL (stragglers), ASKING (the guest's word). */
static enum { STARTING, RUNNING, MARKING, TAIL, ASKING } phase;
static bool final;

static struct watch udp, control, pacer, ticker;
static struct receiver receiver;
static struct sender sender;
static struct peak tick_lateness;
static uint64_t tick_due_ns;

/* The control connection: answers still awaited, the last one, and why there will be none any more. */
static unsigned awaited;
static uint64_t answer_by_ns;
static char answer[ANSWER_SIZE];
static size_t answer_used;
static const char *guest_gone;

/* Of the report being made. */
static uint64_t own_sent, guest_sent, ask_at_ns, settle_by_ns;

void usage(const char *wrong) {
  fprintf(stderr,
          "%s\nusage: godwit-probe --to ADDR [--pps 1000] [--size 64] [--sessions 8] [--bulk MBIT] [--tail MS] [--dirty MB,RATE] "
          "[--disk RATE]\n",
          wrong);
  exit(2);
}

static void parse(int count, char **arguments) {
  static const struct option names[] = {{"to", 1, NULL, 't'},    {"pps", 1, NULL, 'p'},   {"size", 1, NULL, 's'},
                                        {"sessions", 1, NULL, 'n'}, {"bulk", 1, NULL, 'b'},  {"tail", 1, NULL, 'l'},
                                        {"dirty", 1, NULL, 'd'}, {"disk", 1, NULL, 'k'},  {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(count, arguments, "", names, NULL)) != -1) {
    if (option == 't') options.guest = parse_address(optarg);
    else if (option == 'p') options.pps = parse_number(optarg, 1, 100000, "--pps wants 1 to 100000");
    else if (option == 's') options.size = parse_number(optarg, MIN_DATAGRAM, MAX_DATAGRAM, "--size wants 24 to 65507 bytes");
    else if (option == 'n') options.sessions = parse_number(optarg, 0, 64, "--sessions wants 0 to 64");
    else if (option == 'b') options.bulk_mbit = parse_number(optarg, 0, 100000, "--bulk wants Mbit/s");
    else if (option == 'l') options.tail_ms = parse_number(optarg, 0, 60000, "--tail wants 0 to 60000 ms");
    else if (option == 'k') options.disk_rate = parse_number(optarg, 1, 10000, "--disk wants 1 to 10000 blocks a second");
    else if (option != 'd') usage("unknown option");
    else if (sscanf(optarg, "%u,%u", &options.dirty_mb, &options.dirty_rate) != 2) usage("--dirty wants MB,RATE");
  }
  if (optind < count) usage("too many arguments");
  if (!options.guest.sin6_family) usage("--to is missing");
}

static void take(uint32_t stream, uint64_t sequence, uint64_t at_ns) {
  if (stream && stream == receiver.stream) receiver_take(&receiver, sequence, at_ns);
}

static void udp_ready(struct watch *watch, uint32_t events) {
  (void)events;
  numbered_receive(watch->fd, take);
}

static void pacer_ready(struct watch *watch, uint32_t events) {
  (void)events;
  timer_clear(watch->fd);
  sender_run(&sender);
}

static void ticker_ready(struct watch *watch, uint32_t events) {
  (void)events;
  timer_clear(watch->fd);
  uint64_t now = monotonic_ns();
  if (now > tick_due_ns) peak_note(&tick_lateness, (double)(now - tick_due_ns) / 1e6);
  while (tick_due_ns <= now) tick_due_ns += TCP_TICK_MS * NS_PER_MS;
  tcp_tick();
}

static void gone(const char *why) {
  guest_gone = why;
  watch_close(&control);
}

/* Keeps the last answer awaited, without its line end; those before it were of no interest. */
static void control_ready(struct watch *watch, uint32_t events) {
  (void)events;
  if (awaited > 0 && answer_used == ANSWER_SIZE) return gone("the guest's answer has no end");
  ssize_t n = recv(watch->fd, answer + answer_used, ANSWER_SIZE - answer_used, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return gone(n == 0 ? "the guest closed the control connection" : strerror(errno));
  answer_used += (size_t)n;
  char *end;
  while (awaited > 0 && (end = memchr(answer, '\n', answer_used))) {
    *end = '\0';
    if (--awaited == 0) return;
    answer_used -= (size_t)(end + 1 - answer);
    memmove(answer, end + 1, answer_used);
  }
}

/* Sends `lines` commands; `awaited` is 0 again when all are answered, and `answer` is then the last one's. */
static void ask(const char *text, unsigned lines) {
  if (guest_gone) return;
  answer_used = 0;
  awaited = lines;
  answer_by_ns = monotonic_ns() + ANSWER_NS;
  if (send(control.fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text)) gone(strerror(errno));
}

static uint64_t answered(const char *key) {
  const char *at = strstr(answer, key);
  return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static double answered_ms(const char *key) {
  const char *at = strstr(answer, key);
  return at ? strtod(at + strlen(key), NULL) : 0;
}

/* A command before the loop runs: waits for its answer, ends the program when it is refused. */
static void must(const char *text) {
  ask(text, 1);
  while (!guest_gone && awaited > 0 && monotonic_ns() < answer_by_ns) loop_once(100);
  if (!guest_gone && awaited == 0 && !strstr(answer, "\"error\"")) return;
  fprintf(stderr, "the guest refuses %.*s: %s\n", (int)strcspn(text, "\n"), text, guest_gone ? guest_gone : awaited ? "no answer" : answer);
  exit(1);
}

static void print_missing(bool to_guest, const struct range *ranges, int n) {
  printf("\"missing\":[");
  for (int i = 0; i < n; i++) {
    printf("%s[%lu,%lu", i ? "," : "", ranges[i].first, ranges[i].last);
    if (to_guest) printf(",%.3f", (double)sender.sent_at[ranges[i].first] / 1e6);
    printf("]");
  }
  printf("]}");
}

static void print_to_guest(void) {
  if (guest_gone) {
    printf("\"toGuest\":{\"sent\":%lu,\"received\":null,\"lost\":null,\"duplicated\":null,\"reordered\":null,\"largestGapMs\":null,"
           "\"missing\":null}", own_sent);
    return;
  }
  uint64_t received = answered("\"received\":");
  printf("\"toGuest\":{\"sent\":%lu,\"received\":%lu,\"lost\":%lu,\"duplicated\":%lu,\"reordered\":%lu,\"largestGapMs\":%.3f,", own_sent,
         received, own_sent - received, answered("\"duplicated\":"), answered("\"reordered\":"), answered_ms("\"largestGapMs\":"));
  struct range ranges[MAX_RANGES];
  int n = 0;
  /* [[first,last],[first,last],...]: `at` stands before each pair. */
  const char *at = strstr(answer, "\"missing\":[");
  at = at ? at + strlen("\"missing\":[") : "";
  while (n < MAX_RANGES && sscanf(at, "[%lu,%lu]", &ranges[n].first, &ranges[n].last) == 2) {
    n++;
    at += strcspn(at, "]") + 1;
    if (*at == ',') at++;
  }
  print_missing(true, ranges, n);
}

static void print_to_client(void) {
  struct gap gap = receiver_gap(&receiver, !final);
  struct range ranges[MAX_RANGES];
  uint64_t sent = guest_gone ? receiver.next : guest_sent;
  uint64_t received = receiver_received(&receiver, sent);
  printf("\"toClient\":{");
  if (guest_gone) printf("\"sent\":null,\"received\":%lu,\"lost\":null,", received);
  else printf("\"sent\":%lu,\"received\":%lu,\"lost\":%lu,", sent, received, sent - received);
  printf("\"duplicated\":%lu,\"reordered\":%lu,\"largestGapMs\":%.3f,\"gapStartMs\":%.3f,\"gapEndMs\":%.3f,", receiver.duplicated,
         receiver.reordered, gap_ms(gap), (double)gap.start_ns / 1e6, (double)gap.end_ns / 1e6);
  print_missing(false, ranges, receiver_missing(&receiver, sent, ranges, MAX_RANGES));
}

static void print_report(void) {
  struct guest_bulk bulk = {answered("\"sinkBytes\":"), answered("\"sinkErrors\":"), answered("\"sourceBytes\":")};
  printf("{\"type\":\"%s\",", final ? "final" : "interim");
  if (guest_gone) printf("\"error\":\"%s\",", guest_gone);
  print_to_guest();
  printf(",");
  print_to_client();
  printf(",");
  sessions_print(final);
  printf(",");
  bulk_print(final, guest_gone ? NULL : &bulk);
  if (guest_gone) printf(",\"guest\":null");
  else
    printf(",\"guest\":{\"memoryErrors\":%lu,\"memoryPages\":%lu,\"diskErrors\":%lu,\"diskWrites\":%lu,\"uptimeMs\":%lu,\"sendErrors\":%lu,"
           "\"socketDrops\":%lu,\"largestOwnLatenessMs\":%.3f}",
           answered("\"memoryErrors\":"), answered("\"memoryPages\":"), answered("\"diskErrors\":"), answered("\"diskWrites\":"),
           answered("\"uptimeMs\":"), answered("\"sendErrors\":"), answered("\"socketDrops\":"), answered_ms("\"largestOwnLatenessMs\":"));
  double sending = peak_take(&sender.lateness_ms, !final), ticking = peak_take(&tick_lateness, !final);
  printf(",\"probe\":{\"largestOwnLatenessMs\":%.3f,\"sendErrors\":%lu,\"socketDrops\":%u}}\n", sending > ticking ? sending : ticking,
         sender.errors, socket_drops(udp.fd));
  if (fflush(stdout) != 0) exit(1);
}

static void begin_report(void) {
  final = stop_wanted;
  if (final) {
    watch_close(&pacer);
    tcp_stop();
  }
  /* What has arrived but was not read yet would look like an open gap. */
  numbered_receive(udp.fd, take);
  receiver_mark(&receiver, realtime_ns());
  tcp_mark();
  own_sent = sender.sent;
  phase = MARKING;
  if (!final) ask("mark\n", 1);
  else if (options.dirty_mb && options.disk_rate) ask("dirty 0\ndisk 0\nstop\n", 3);
  else if (options.dirty_mb) ask("dirty 0\nstop\n", 2);
  else if (options.disk_rate) ask("disk 0\nstop\n", 2);
  else ask("stop\n", 1);
}

static void end_report(void) {
  print_report();
  if (final) exit(guest_gone ? 1 : 0);
  reports_wanted--;
  phase = RUNNING;
}

static void ask_report(void) {
  char line[64];
  snprintf(line, sizeof line, "report %lu %s\n", own_sent, final || phase == STARTING ? "total" : "window");
  ask(line, 1);
}

static void starting(uint64_t now, uint64_t started_ns) {
  if (guest_gone || now - started_ns > READY_NS) {
    fprintf(stderr, "not everything flows both ways: %s. Datagrams: %lu from the guest, %lu at the guest.\n",
            guest_gone ? guest_gone : "15 s have passed", receiver.next, answered("\"received\":"));
    exit(1);
  }
  if (stop_wanted) {
    if (awaited == 0) begin_report();
    return;
  }
  if (awaited > 0 || now < ask_at_ns) return;
  bool guest_takes = answered("\"received\":") > 0 && (!options.bulk_mbit || answered("\"sinkBytes\":") > 0);
  bool guest_writes = (!options.dirty_mb || answered("\"memoryPages\":") > 0) && (!options.disk_rate || answered("\"diskWrites\":") > 0);
  if (guest_takes && guest_writes && receiver.next > 0 && tcp_flowing()) {
    receiver_fresh(&receiver);
    tcp_fresh();
    sender.lateness_ms = tick_lateness = (struct peak){0};
    must("fresh\n");
    printf("{\"ready\":true}\n");
    fflush(stdout);
    phase = RUNNING;
    return;
  }
  own_sent = sender.sent;
  ask_at_ns = now + ASK_NS;
  ask_report();
}

static void step(uint64_t started_ns) {
  uint64_t now = monotonic_ns();
  if (awaited > 0 && !guest_gone && now > answer_by_ns) gone("the guest did not answer within 10 s");
  bool waiting = awaited > 0 && !guest_gone;
  if (phase == STARTING) {
    starting(now, started_ns);
  } else if (phase == RUNNING) {
    if (stop_wanted || reports_wanted > 0) begin_report();
  } else if (phase == MARKING && !waiting) {
    guest_sent = answered("\"sent\":");
    ask_at_ns = now + options.tail_ms * NS_PER_MS;
    settle_by_ns = ask_at_ns + SETTLE_NS;
    phase = TAIL;
  } else if (phase == TAIL && now >= ask_at_ns) {
    phase = ASKING;
    ask_report();
  } else if (phase == ASKING && !waiting) {
    bool settled = guest_gone || (!strstr(answer, "\"writing\":true") && tcp_settled(answered("\"sourceBytes\":")));
    if (!final || settled || now > settle_by_ns) return end_report();
    ask_at_ns = now + ASK_NS;
    phase = TAIL;
  }
}

int main(int count, char **arguments) {
  parse(count, arguments);
  signal(SIGPIPE, SIG_IGN);
  run_realtime(REALTIME_PRIORITY);

  watch_open(&control, connect_guest(options.guest, PORT_CONTROL), EPOLLIN, control_ready, NULL);
  must("open\n");
  uint32_t stream = (uint32_t)answered("\"stream\":");
  sessions_open(options.guest, options.sessions);
  bulk_open(options.guest, stream, (uint64_t)options.bulk_mbit * 1000000 / 8);
  char line[64];
  snprintf(line, sizeof line, "dirty %u %u\n", options.dirty_mb, options.dirty_rate);
  if (options.dirty_mb) must(line);
  snprintf(line, sizeof line, "disk %u\n", options.disk_rate);
  if (options.disk_rate) must(line);

  int fd = udp_socket(0);
  struct sockaddr_in6 own, guest = options.guest;
  socklen_t size = sizeof own;
  if (getsockname(fd, (struct sockaddr *)&own, &size) < 0) die("getsockname");
  snprintf(line, sizeof line, "send %u %u %u\n", ntohs(own.sin6_port), options.pps, options.size);
  must(line);
  receiver_open(&receiver, (uint32_t)answered("\"stream\":"));
  watch_open(&udp, fd, EPOLLIN, udp_ready, NULL);
  guest.sin6_port = htons(PORT_NUMBERED);
  sender_open(&sender, fd, stream, guest, options.pps, options.size);
  sender.keep_times = true;
  watch_open(&pacer, timer_every(sender_period(&sender)), EPOLLIN, pacer_ready, NULL);
  tick_due_ns = monotonic_ns() + TCP_TICK_MS * NS_PER_MS;
  watch_open(&ticker, timer_every(TCP_TICK_MS * NS_PER_MS), EPOLLIN, ticker_ready, NULL);
  orders_open();
  answer[0] = '\0';
  for (uint64_t started_ns = monotonic_ns();;) {
    loop_once(100);
    step(started_ns);
  }
}
