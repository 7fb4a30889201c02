#define _GNU_SOURCE
#include "services.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "protocol.h"

enum { MAX_CONNECTIONS = 256, BUFFER = 16384, SOURCE_TICK_MS = 5, SOURCE_CATCH_UP_MS = 100 };

enum kind { FREE, ECHO, SINK, SOURCE };

struct connection {
  struct watch watch;
  enum kind kind;
  bool named; /* SINK, SOURCE: the first line has come */
  uint32_t stream;
  uint64_t position;     /* bytes taken or sent */
  uint64_t errors;       /* SINK: chunks that were not the pattern */
  uint64_t rate;         /* SOURCE: bytes/s */
  double allowance;      /* SOURCE: bytes that may go now */
  unsigned used, offset; /* of buffer: ECHO: bytes yet to go back; SINK, SOURCE: of the first line */
  unsigned char buffer[BUFFER];
};

static struct connection connections[MAX_CONNECTIONS];
static struct watch echo_listener, sink_listener, source_listener, ticker;

static void end(struct connection *c) {
  watch_close(&c->watch);
  c->kind = FREE;
}

static void echo_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct connection *c = watch->owner;
  if (c->used == 0) {
    ssize_t n = recv(watch->fd, c->buffer, BUFFER, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return end(c);
    if (n < 0) return;
    c->used = (unsigned)n;
    c->offset = 0;
  }
  ssize_t n = send(watch->fd, c->buffer + c->offset, c->used, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) return end(c);
  bool was_waiting = c->offset > 0 || n < (ssize_t)c->used;
  if (n > 0) {
    c->offset += (unsigned)n;
    c->used -= (unsigned)n;
  }
  if (was_waiting) watch_events(watch, c->used > 0 ? EPOLLOUT : EPOLLIN);
}

/* Reads on to the end of the first line. Returns 1 when it is there, 0 to wait, -1 when the connection is of no use. */
static int first_line(struct connection *c) {
  while (c->used < 80) {
    ssize_t n = recv(c->watch.fd, c->buffer + c->used, 1, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) return -1;
    if (c->buffer[c->used] == '\n') {
      c->buffer[c->used] = '\0';
      return 1;
    }
    c->used++;
  }
  return -1;
}

static void sink_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct connection *c = watch->owner;
  if (!c->named) {
    int there = first_line(c);
    if (there < 0) return end(c);
    if (there == 0) return;
    if (sscanf((char *)c->buffer, "sink %u", &c->stream) != 1) return end(c);
    c->named = true;
  }
  static unsigned char got[BUFFER], want[BUFFER];
  for (int round = 0; round < 8; round++) {
    ssize_t n = recv(watch->fd, got, BUFFER, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return end(c);
    pattern_fill(want, c->position, (size_t)n);
    if (memcmp(got, want, (size_t)n) != 0) c->errors++;
    c->position += (uint64_t)n;
    if (n < BUFFER) return;
  }
}

static void source_ready(struct watch *watch, uint32_t events) {
  struct connection *c = watch->owner;
  if (c->named) {
    char byte;
    if ((events & (EPOLLERR | EPOLLHUP)) || recv(watch->fd, &byte, 1, MSG_DONTWAIT) == 0) end(c);
    return;
  }
  int there = first_line(c);
  if (there < 0) return end(c);
  if (there == 0) return;
  if (sscanf((char *)c->buffer, "source %u %lu", &c->stream, &c->rate) != 2) return end(c);
  c->named = true;
}

static void source_send(struct connection *c) {
  static unsigned char chunk[BUFFER];
  double most = (double)c->rate * SOURCE_CATCH_UP_MS / 1000;
  c->allowance += (double)c->rate * SOURCE_TICK_MS / 1000;
  if (c->allowance > most) c->allowance = most;
  while (c->allowance >= 1) {
    size_t length = c->allowance < BUFFER ? (size_t)c->allowance : BUFFER;
    pattern_fill(chunk, c->position, length);
    ssize_t n = send(c->watch.fd, chunk, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return end(c);
    if (n < 0) return;
    c->position += (uint64_t)n;
    c->allowance -= (double)n;
  }
}

/* The ticker runs only while there is something to send: an idle guest is to be idle. */
static void tick(struct watch *watch, uint32_t events) {
  (void)events;
  timer_clear(watch->fd);
  bool any = false;
  for (int i = 0; i < MAX_CONNECTIONS; i++) {
    struct connection *c = &connections[i];
    if (c->kind != SOURCE) continue;
    any = true;
    if (c->rate > 0) source_send(c);
  }
  if (!any) watch_close(watch);
}

static void accepted(struct watch *listener, enum kind kind, void (*ready)(struct watch *, uint32_t)) {
  int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  struct connection *c = connections;
  while (c < connections + MAX_CONNECTIONS && c->kind != FREE) c++;
  if (c == connections + MAX_CONNECTIONS) {
    close(fd);
    return;
  }
  tcp_tune(fd);
  c->kind = kind;
  c->named = false;
  c->stream = 0;
  c->position = c->errors = c->rate = 0;
  c->allowance = 0;
  c->used = c->offset = 0;
  watch_open(&c->watch, fd, EPOLLIN, ready, c);
  if (kind == SOURCE && ticker.fd < 0) watch_open(&ticker, timer_every(SOURCE_TICK_MS * NS_PER_MS), EPOLLIN, tick, NULL);
}

static void accept_echo(struct watch *watch, uint32_t events) { (void)events, accepted(watch, ECHO, echo_ready); }
static void accept_sink(struct watch *watch, uint32_t events) { (void)events, accepted(watch, SINK, sink_ready); }
static void accept_source(struct watch *watch, uint32_t events) { (void)events, accepted(watch, SOURCE, source_ready); }

void services_open(void) {
  ticker.fd = -1;
  watch_open(&echo_listener, tcp_listener(PORT_ECHO), EPOLLIN, accept_echo, NULL);
  watch_open(&sink_listener, tcp_listener(PORT_SINK), EPOLLIN, accept_sink, NULL);
  watch_open(&source_listener, tcp_listener(PORT_SOURCE), EPOLLIN, accept_source, NULL);
}

struct bulk_counts bulk_counts(uint32_t stream) {
  struct bulk_counts counts = {0};
  for (int i = 0; i < MAX_CONNECTIONS; i++) {
    const struct connection *c = &connections[i];
    if (c->stream != stream) continue;
    if (c->kind == SOURCE) counts.source_bytes += c->position;
    if (c->kind == SINK) counts.sink_bytes += c->position;
    if (c->kind == SINK) counts.sink_errors += c->errors;
  }
  return counts;
}

void bulk_stop(uint32_t stream) {
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (connections[i].kind == SOURCE && connections[i].stream == stream) connections[i].rate = 0;
}

void bulk_drop(uint32_t stream) {
  for (int i = 0; i < MAX_CONNECTIONS; i++) {
    struct connection *c = &connections[i];
    if ((c->kind == SINK || c->kind == SOURCE) && c->stream == stream) end(c);
  }
}
