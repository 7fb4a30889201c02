/* The prober's TCP side: echo sessions and one bulk stream each way, every byte checked. */
#ifndef GODWIT_PROBE_TCP_H
#define GODWIT_PROBE_TCP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

enum { TCP_TICK_MS = 10 };

/* A blocking connection to a port of the guest; ends the program with a message when there is none within 10 s. */
int connect_guest(struct sockaddr_in6 guest, uint16_t port);

void sessions_open(struct sockaddr_in6 guest, unsigned count);
/* One stream each way of bytes_per_s; 0: none. `stream` is the prober's receive stream at the guest. */
void bulk_open(struct sockaddr_in6 guest, uint32_t stream, uint64_t bytes_per_s);

/* Sends what is due; to be called every TCP_TICK_MS. */
void tcp_tick(void);
/* Sends nothing new from now on; answers are still taken. */
void tcp_stop(void);
/* Every session has been answered and bulk bytes have come (the guest knows about the other direction). */
bool tcp_flowing(void);
/* Nothing is under way any more on a connection that still stands; source_bytes is what the guest says it has sent. */
bool tcp_settled(uint64_t source_bytes);
/* Forgets the stalls so far. */
void tcp_fresh(void);

/* Counts a stall that is still open as if it ended now. */
void tcp_mark(void);

/* What the guest said about the bulk streams; NULL to the printers when it said nothing. */
struct guest_bulk {
  uint64_t sink_bytes, sink_errors, source_bytes;
};
/* JSON objects for stdout. In the final report a connection with something unanswered is not alive. */
void sessions_print(bool final);
void bulk_print(bool final, const struct guest_bulk *guest);

#endif
