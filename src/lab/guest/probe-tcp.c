#define _GNU_SOURCE
#include "probe-tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol.h"

enum { MAX_SESSIONS = 64, MESSAGE = 64, CHUNK = 16384, CATCH_UP_TICKS = 10, MAX_ERRORS = 20, CONNECT_TIMEOUT_S = 10 };

/* An answer older than this in a running test is no late one. */
#define ALIVE_NS (5 * NS_PER_S)

struct errors {
  int count;
  char text[MAX_ERRORS][96];
};

struct session {
  struct watch watch;
  unsigned id;
  uint64_t sent, answered; /* bytes */
  uint64_t last_ns;        /* of the last answer, or of the message that ended an idle time */
  unsigned unsent;         /* bytes of the last message that the kernel has not taken yet */
};

static struct session sessions[MAX_SESSIONS];
static unsigned session_count;
static struct peak session_stall;
static struct errors session_errors;

static struct {
  struct watch out, in;
  uint64_t rate;
  double allowance;
  uint64_t sent, acked;        /* towards the guest, without the first line */
  uint64_t received;           /* from the guest, all of it right */
  uint64_t out_ns, in_ns;      /* of the last progress */
} bulk;
static struct peak bulk_stall;
static struct errors bulk_errors;

static bool stopped;

__attribute__((format(printf, 2, 3))) static void note(struct errors *errors, const char *format, ...) {
  if (errors->count == MAX_ERRORS) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(errors->text[errors->count++], sizeof errors->text[0], format, arguments);
  va_end(arguments);
}

int connect_guest(struct sockaddr_in6 guest, uint16_t port) {
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket (IPv6 must be there, also for IPv4 peers)");
  struct timeval limit = {.tv_sec = CONNECT_TIMEOUT_S};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  guest.sin6_port = htons(port);
  if (connect(fd, (struct sockaddr *)&guest, sizeof guest) < 0) {
    fprintf(stderr, "no connection to port %u of the guest: %s. Has it said GODWIT-GUEST-UP, and is it reachable from here?\n", port,
            errno == EINPROGRESS ? "no answer" : strerror(errno));
    exit(1);
  }
  tcp_tune(fd);
  return fd;
}

static void unblock(int fd) {
  if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) die("fcntl");
}

static double ms_since(uint64_t then_ns) { return (double)(monotonic_ns() - then_ns) / 1e6; }

/* Positions of a session's pattern are its own: an answer meant for another session shows. */
static uint64_t session_position(const struct session *s, uint64_t offset) { return ((uint64_t)s->id << 40) + offset; }

static void session_failed(struct session *s, const char *why) {
  note(&session_errors, "session %u after %lu messages: %s", s->id, s->answered / MESSAGE, why);
  watch_close(&s->watch);
}

static void session_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct session *s = watch->owner;
  unsigned char got[CHUNK], want[CHUNK];
  ssize_t n = recv(watch->fd, got, sizeof got, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) return session_failed(s, strerror(errno));
  if (n == 0) return session_failed(s, "closed by the guest");
  pattern_fill(want, session_position(s, s->answered), (size_t)n);
  bool right = s->answered + (uint64_t)n <= s->sent && memcmp(got, want, (size_t)n) == 0;
  if (!right) return session_failed(s, "the answer differs from the message");
  peak_note(&session_stall, ms_since(s->last_ns));
  s->answered += (uint64_t)n;
  s->last_ns = monotonic_ns();
}

/* One message a tick; while the kernel has not taken the last one, none is added. */
static void session_send(struct session *s) {
  unsigned char message[MESSAGE];
  if (s->unsent == 0) {
    if (stopped) return;
    if (s->answered == s->sent) s->last_ns = monotonic_ns();
    s->unsent = MESSAGE;
    s->sent += MESSAGE;
  }
  pattern_fill(message, session_position(s, s->sent - s->unsent), s->unsent);
  ssize_t n = send(s->watch.fd, message, s->unsent, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) return session_failed(s, strerror(errno));
  if (n > 0) s->unsent -= (unsigned)n;
}

void sessions_open(struct sockaddr_in6 guest, unsigned count) {
  session_count = count < MAX_SESSIONS ? count : MAX_SESSIONS;
  for (unsigned i = 0; i < session_count; i++) {
    int fd = connect_guest(guest, PORT_ECHO);
    unblock(fd);
    sessions[i] = (struct session){.id = i, .last_ns = monotonic_ns()};
    watch_open(&sessions[i].watch, fd, EPOLLIN, session_ready, &sessions[i]);
  }
}

static void bulk_failed(struct watch *watch, const char *why) {
  note(&bulk_errors, "%s the guest: %s", watch == &bulk.out ? "to" : "from", why);
  watch_close(watch);
}

static void bulk_in_ready(struct watch *watch, uint32_t events) {
  (void)events;
  static unsigned char got[CHUNK], want[CHUNK];
  for (int round = 0; round < 8; round++) {
    ssize_t n = recv(watch->fd, got, CHUNK, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) return bulk_failed(watch, strerror(errno));
    if (n == 0) return bulk_failed(watch, "closed");
    pattern_fill(want, bulk.received, (size_t)n);
    if (memcmp(got, want, (size_t)n) != 0) return bulk_failed(watch, "the bytes differ from the pattern");
    peak_note(&bulk_stall, ms_since(bulk.in_ns));
    bulk.received += (uint64_t)n;
    bulk.in_ns = monotonic_ns();
    if (n < CHUNK) return;
  }
}

/* The sink never writes: what is readable is its end. */
static void bulk_out_ready(struct watch *watch, uint32_t events) {
  (void)events;
  char byte;
  ssize_t n = recv(watch->fd, &byte, 1, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  bulk_failed(watch, n < 0 ? strerror(errno) : "closed");
}

static int bulk_connect(struct sockaddr_in6 guest, uint16_t port, const char *line) {
  int fd = connect_guest(guest, port);
  if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) die("bulk stream");
  unblock(fd);
  return fd;
}

void bulk_open(struct sockaddr_in6 guest, uint32_t stream, uint64_t bytes_per_s) {
  bulk.out.fd = bulk.in.fd = -1;
  bulk.rate = bytes_per_s;
  if (!bytes_per_s) return;
  char line[80];
  snprintf(line, sizeof line, "sink %u\n", stream);
  watch_open(&bulk.out, bulk_connect(guest, PORT_SINK, line), EPOLLIN, bulk_out_ready, NULL);
  snprintf(line, sizeof line, "source %u %lu\n", stream, bytes_per_s);
  watch_open(&bulk.in, bulk_connect(guest, PORT_SOURCE, line), EPOLLIN, bulk_in_ready, NULL);
  bulk.out_ns = bulk.in_ns = monotonic_ns();
}

/* What the guest's kernel has acknowledged is told from the queue: what is not in it any more has arrived. */
static void bulk_progress(void) {
  int queued = 0;
  if (ioctl(bulk.out.fd, SIOCOUTQ, &queued) < 0) die("SIOCOUTQ");
  uint64_t acked = bulk.sent > (uint64_t)queued ? bulk.sent - (uint64_t)queued : 0;
  if (acked > bulk.acked) peak_note(&bulk_stall, ms_since(bulk.out_ns));
  if (acked > bulk.acked || queued == 0) bulk.out_ns = monotonic_ns();
  bulk.acked = acked;
}

static void bulk_send(void) {
  static unsigned char chunk[CHUNK];
  double a_tick = (double)bulk.rate * TCP_TICK_MS / 1000;
  bulk.allowance = bulk.allowance + a_tick < CATCH_UP_TICKS * a_tick ? bulk.allowance + a_tick : CATCH_UP_TICKS * a_tick;
  while (bulk.allowance >= 1) {
    size_t length = bulk.allowance < CHUNK ? (size_t)bulk.allowance : CHUNK;
    pattern_fill(chunk, bulk.sent, length);
    ssize_t n = send(bulk.out.fd, chunk, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return bulk_failed(&bulk.out, strerror(errno));
    if (n < 0) return;
    bulk.sent += (uint64_t)n;
    bulk.allowance -= (double)n;
  }
}

void tcp_tick(void) {
  for (unsigned i = 0; i < session_count; i++)
    if (sessions[i].watch.fd >= 0) session_send(&sessions[i]);
  if (bulk.out.fd >= 0) bulk_progress();
  if (bulk.out.fd >= 0 && !stopped) bulk_send();
}

void tcp_stop(void) { stopped = true; }

bool tcp_flowing(void) {
  for (unsigned i = 0; i < session_count; i++)
    if (sessions[i].answered == 0) return false;
  return !bulk.rate || bulk.received > 0;
}

static bool session_settled(const struct session *s) { return s->answered == s->sent; }

bool tcp_settled(uint64_t source_bytes) {
  for (unsigned i = 0; i < session_count; i++)
    if (sessions[i].watch.fd >= 0 && !session_settled(&sessions[i])) return false;
  if (bulk.out.fd >= 0 && bulk.acked < bulk.sent) return false;
  return bulk.in.fd < 0 || bulk.received >= source_bytes;
}

void tcp_fresh(void) { session_stall = bulk_stall = (struct peak){0}; }

void tcp_mark(void) {
  for (unsigned i = 0; i < session_count; i++)
    if (sessions[i].watch.fd >= 0 && !session_settled(&sessions[i])) peak_note(&session_stall, ms_since(sessions[i].last_ns));
  if (bulk.out.fd >= 0 && bulk.acked < bulk.sent) peak_note(&bulk_stall, ms_since(bulk.out_ns));
  if (bulk.in.fd >= 0) peak_note(&bulk_stall, ms_since(bulk.in_ns));
}

static void errors_print(const struct errors *errors) {
  printf("\"errors\":[");
  for (int i = 0; i < errors->count; i++) printf("%s\"%s\"", i ? "," : "", errors->text[i]);
  printf("]");
}

void sessions_print(bool final) {
  unsigned alive = 0;
  uint64_t messages = 0;
  for (unsigned i = 0; i < session_count; i++) {
    const struct session *s = &sessions[i];
    messages += s->answered / MESSAGE;
    bool answers = session_settled(s) || (!final && monotonic_ns() - s->last_ns < ALIVE_NS);
    if (s->watch.fd >= 0 && answers) alive++;
  }
  printf("\"sessions\":{\"opened\":%u,\"alive\":%u,\"messages\":%lu,\"largestStallMs\":%.3f,", session_count, alive, messages,
         peak_take(&session_stall, !final));
  errors_print(&session_errors);
  printf("}");
}

void bulk_print(bool final, const struct guest_bulk *guest) {
  bool alive = bulk.rate > 0 && bulk.out.fd >= 0 && bulk.in.fd >= 0;
  if (final) alive = alive && guest && guest->sink_bytes == bulk.sent && guest->source_bytes == bulk.received;
  else alive = alive && monotonic_ns() - bulk.out_ns < ALIVE_NS && monotonic_ns() - bulk.in_ns < ALIVE_NS;
  if (guest && guest->sink_errors) alive = false, note(&bulk_errors, "to the guest: the bytes differ from the pattern");
  printf("\"bulk\":{\"toGuestBytes\":");
  if (guest) printf("%lu", guest->sink_bytes);
  else printf("null");
  printf(",\"toClientBytes\":%lu,\"largestStallMs\":%.3f,\"alive\":%s,", bulk.received, peak_take(&bulk_stall, !final),
         !bulk.rate ? "null" : alive ? "true" : "false");
  errors_print(&bulk_errors);
  printf("}");
}
