/* Numbered streams of datagrams: the paced sender and the receiver's account. Used at both ends. */
#ifndef GODWIT_STREAM_H
#define GODWIT_STREAM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "protocol.h"

/* The longest time without an arrival and the arrivals around it (CLOCK_REALTIME, the kernel's receive stamps). */
struct gap {
  uint64_t start_ns, end_ns;
};

struct receiver {
  uint32_t stream;
  uint64_t *seen; /* one bit per sequence */
  uint64_t words;
  uint64_t next; /* highest sequence seen + 1 */
  uint64_t duplicated, reordered;
  uint64_t last_ns; /* 0 before the first arrival */
  struct gap window, total;
};

void receiver_open(struct receiver *r, uint32_t stream);
void receiver_close(struct receiver *r);
void receiver_take(struct receiver *r, uint64_t sequence, uint64_t at_ns);
/* Counts a gap that is still open as if something arrived now. */
void receiver_mark(struct receiver *r, uint64_t now_ns);
/* Forgets the gaps so far. */
void receiver_fresh(struct receiver *r);
/* How many of the sequences 0..sent-1 arrived. */
uint64_t receiver_received(const struct receiver *r, uint64_t sent);
/* The largest gap; taking the window's starts a new window. */
struct gap receiver_gap(struct receiver *r, bool window);
double gap_ms(struct gap gap);

struct range {
  uint64_t first, last;
};
/* The first `max` ranges of 0..sent-1 that did not arrive; returns how many. */
int receiver_missing(const struct receiver *r, uint64_t sent, struct range *ranges, int max);

/* Reads what is on the socket, a bounded amount, and hands each numbered datagram on with its arrival (CLOCK_REALTIME). */
void numbered_receive(int fd, void (*take)(uint32_t stream, uint64_t sequence, uint64_t at_ns));

struct sender {
  int fd;
  uint32_t stream;
  struct sockaddr_in6 to;
  unsigned size;
  uint64_t interval_ns, due_ns; /* CLOCK_MONOTONIC */
  uint64_t sent;                /* also the next sequence */
  uint64_t errors;              /* sends that the kernel refused: counted as sent, for that is what a program would see */
  struct peak lateness_ms;      /* how late this program came to send */
  uint64_t *sent_at;            /* CLOCK_REALTIME of each sequence, kept when `keep_times` */
  uint64_t times;
  bool keep_times;
};

/* pps 1..100000; the timer that drives it need not tick faster than sender_period. */
void sender_open(struct sender *s, int fd, uint32_t stream, struct sockaddr_in6 to, unsigned pps, unsigned size);
void sender_close(struct sender *s);
uint64_t sender_period(const struct sender *s);
/* Sends what is due. At most 32 at once: after a longer stall the schedule starts anew, no number is skipped. */
void sender_run(struct sender *s);

#endif
