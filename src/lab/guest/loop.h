/* An event loop over epoll, the clocks, and the sockets both programs open. Level-triggered: a spurious call is harmless. */
#ifndef GODWIT_LOOP_H
#define GODWIT_LOOP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

/* A descriptor being watched. Lives in its owner, which is never freed: an event already fetched may still name it. */
struct watch {
  int fd; /* -1 when closed */
  void (*ready)(struct watch *watch, uint32_t events);
  void *owner;
};

uint64_t monotonic_ns(void);
uint64_t realtime_ns(void);

/* Ends the program with a line on stderr: `what: strerror(errno)`. For what cannot fail on a sane machine. */
void die(const char *what) __attribute__((noreturn));

void watch_open(struct watch *watch, int fd, uint32_t events, void (*ready)(struct watch *, uint32_t), void *owner);
void watch_events(struct watch *watch, uint32_t events);
void watch_close(struct watch *watch);

/* Waits up to timeout_ms (-1: for ever) and calls what is ready. */
void loop_once(int timeout_ms);

/* A timer descriptor on CLOCK_MONOTONIC that expires every period_ns; `timer_clear` reads its expiries away. */
int timer_every(uint64_t period_ns);
void timer_clear(int fd);

/* Dual-stack, non-blocking. The UDP socket has an 8 MiB receive buffer and kernel receive stamps, and never fragments. */
int udp_socket(uint16_t port);
int tcp_listener(uint16_t port);
/* No delay, and keepalive so that a vanished peer's connection ends. */
void tcp_tune(int fd);

/* Datagrams that the kernel dropped at this socket, its receive buffer being full (SO_MEMINFO). */
uint32_t socket_drops(int fd);

/* Largest of a series, over the whole run and since the last report. */
struct peak {
  double window, total;
};
void peak_note(struct peak *peak, double value);
/* The value to report; taking the window's starts a new window. */
double peak_take(struct peak *peak, bool window);

#endif
