#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, RECEIVE_BUFFER = 8 << 20 };

static int epoll_fd = -1;

static uint64_t clock_ns(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }

void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

void watch_open(struct watch *watch, int fd, uint32_t events, void (*ready)(struct watch *, uint32_t), void *owner) {
  if (epoll_fd < 0 && (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
  *watch = (struct watch){.fd = fd, .ready = ready, .owner = owner};
  struct epoll_event event = {.events = events, .data.ptr = watch};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

void watch_events(struct watch *watch, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = watch};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0) die("epoll_ctl");
}

void watch_close(struct watch *watch) {
  if (watch->fd < 0) return;
  close(watch->fd);
  watch->fd = -1;
}

void loop_once(int timeout_ms) {
  struct epoll_event events[BATCH];
  int n = epoll_wait(epoll_fd, events, BATCH, timeout_ms);
  if (n < 0 && errno != EINTR) die("epoll_wait");
  for (int i = 0; i < n; i++) {
    struct watch *watch = events[i].data.ptr;
    if (watch->fd >= 0) watch->ready(watch, events[i].events);
  }
}

int timer_every(uint64_t period_ns) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct timespec period = {.tv_sec = (time_t)(period_ns / NS_PER_S), .tv_nsec = (long)(period_ns % NS_PER_S)};
  struct itimerspec spec = {.it_value = period, .it_interval = period};
  if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL) < 0) die("timerfd");
  return fd;
}

void timer_clear(int fd) {
  uint64_t expiries;
  if (read(fd, &expiries, sizeof expiries) < 0 && errno != EAGAIN) die("timerfd read");
}

static void option(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof value) < 0) die("setsockopt");
}

static int bound(int type, uint16_t port) {
  int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket (IPv6 must be there, also for IPv4 peers)");
  option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (type == SOCK_STREAM) option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0) die("bind");
  return fd;
}

int udp_socket(uint16_t port) {
  int fd = bound(SOCK_DGRAM, port);
  int size = RECEIVE_BUFFER;
  /* The plain option is capped by net.core.rmem_max; the forced one needs CAP_NET_ADMIN. */
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) option(fd, SOL_SOCKET, SO_RCVBUF, size);
  option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  /* DF always set and the learned path MTU ignored: a datagram is one frame or nothing. */
  option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  return fd;
}

int tcp_listener(uint16_t port) {
  int fd = bound(SOCK_STREAM, port);
  if (listen(fd, 64) < 0) die("listen");
  return fd;
}

void tcp_tune(int fd) {
  option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  /* A peer that vanished is found out after 80 s idle or 120 s unacknowledged; a pause of a minute is survived. */
  option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 20);
  option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  option(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
  option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 120000);
}

uint32_t socket_drops(int fd) {
  uint32_t info[SK_MEMINFO_VARS] = {0};
  socklen_t size = sizeof info;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0) die("SO_MEMINFO");
  return info[SK_MEMINFO_DROPS];
}

void peak_note(struct peak *peak, double value) {
  if (value > peak->window) peak->window = value;
  if (value > peak->total) peak->total = value;
}

double peak_take(struct peak *peak, bool window) {
  double value = window ? peak->window : peak->total;
  if (window) peak->window = 0;
  return value;
}
