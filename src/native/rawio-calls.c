/* rawio, second half: one function for each system call. The rules are in rawio.c. */
#define _GNU_SOURCE
#include "rawio.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/if_packet.h>

/* SCM_MAX_FD of the kernel's include/net/scm.h: the most descriptors one message carries. */
#define MAX_FDS 253
/* Larger than every structure that an ioctl used here reads or writes (struct ifreq has 40 bytes). */
#define MAX_IOCTL 256

/* ---- opening ---- */

/* open(path, flags): O_CLOEXEC is added. */
static napi_value Open(napi_env env, napi_callback_info info) {
  char path[PATH_BYTES];
  int flags;
  Addon *addon = parse(env, info, "open(path, flags)", "si", path, &flags);
  return addon == NULL ? NULL : result(env, own(addon, open(path, flags | O_CLOEXEC)));
}

/* socket(domain, type, protocol): SOCK_NONBLOCK and SOCK_CLOEXEC are added. */
static napi_value Socket(napi_env env, napi_callback_info info) {
  int domain, type, protocol;
  Addon *addon = parse(env, info, "socket(domain, type, protocol)", "iii", &domain, &type, &protocol);
  return addon == NULL ? NULL : result(env, own(addon, socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)));
}

/* socketpair(domain, type, ends): the two descriptors go into the Int32Array ends. */
static napi_value Socketpair(napi_env env, napi_callback_info info) {
  int domain, type, pair[2];
  Bytes ends;
  Addon *addon = parse(env, info, "socketpair(domain, type, ends)", "iib", &domain, &type, &ends);
  if (addon == NULL) return NULL;
  if (ends.length < sizeof pair) return fail(env, "socketpair: ends has no room for two descriptors");
  if (socketpair(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) return number(env, -errno);
  if (own_all(addon, pair, 2) < 0) return number(env, -errno);
  memcpy(ends.data, pair, sizeof pair);
  return number(env, 0);
}

/* pidfdOpen(pid) */
static napi_value PidfdOpen(napi_env env, napi_callback_info info) {
  int pid;
  Addon *addon = parse(env, info, "pidfdOpen(pid)", "i", &pid);
  return addon == NULL ? NULL : result(env, own(addon, (int)syscall(SYS_pidfd_open, pid, 0)));
}

/* pidfdGetfd(pidfd, fd): the copy is close-on-exec. */
static napi_value PidfdGetfd(napi_env env, napi_callback_info info) {
  int pidfd, fd;
  Addon *addon = parse(env, info, "pidfdGetfd(pidfd, fd)", "ii", &pidfd, &fd);
  return addon == NULL ? NULL : result(env, own(addon, (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0)));
}

/* ---- settings ---- */

/* setns(fd, type): moves the calling thread. */
static napi_value Setns(napi_env env, napi_callback_info info) {
  int fd, type;
  if (parse(env, info, "setns(fd, type)", "ii", &fd, &type) == NULL) return NULL;
  return result(env, setns(fd, type));
}

/* bind(fd, address): address is a struct sockaddr_*. */
static napi_value Bind(napi_env env, napi_callback_info info) {
  int fd;
  Bytes address;
  if (parse(env, info, "bind(fd, address)", "ib", &fd, &address) == NULL) return NULL;
  return result(env, bind(fd, address.data, (socklen_t)address.length));
}

/* getsockname(fd, address): fills address, returns the length of the name. */
static napi_value Getsockname(napi_env env, napi_callback_info info) {
  int fd;
  Bytes address;
  if (parse(env, info, "getsockname(fd, address)", "ib", &fd, &address) == NULL) return NULL;
  socklen_t length = (socklen_t)address.length;
  return getsockname(fd, address.data, &length) < 0 ? number(env, -errno) : number(env, length);
}

/* setsockopt(fd, level, name, value) */
static napi_value Setsockopt(napi_env env, napi_callback_info info) {
  int fd, level, name;
  Bytes value;
  if (parse(env, info, "setsockopt(fd, level, name, value)", "iiib", &fd, &level, &name, &value) == NULL) return NULL;
  return result(env, setsockopt(fd, level, name, value.data, (socklen_t)value.length));
}

/* getsockopt(fd, level, name, value): fills value, returns its length. */
static napi_value Getsockopt(napi_env env, napi_callback_info info) {
  int fd, level, name;
  Bytes value;
  if (parse(env, info, "getsockopt(fd, level, name, value)", "iiib", &fd, &level, &name, &value) == NULL) return NULL;
  socklen_t length = (socklen_t)value.length;
  return getsockopt(fd, level, name, value.data, &length) < 0 ? number(env, -errno) : number(env, length);
}

/* ioctl(fd, request, argument): argument (at most MAX_IOCTL bytes) is copied in and out. */
static napi_value Ioctl(napi_env env, napi_callback_info info) {
  int fd;
  uint32_t request;
  Bytes argument;
  if (parse(env, info, "ioctl(fd, request, argument)", "iub", &fd, &request, &argument) == NULL) return NULL;
  if (argument.length == 0 || argument.length > MAX_IOCTL) return fail(env, "ioctl: argument has 1 to 256 bytes");
  unsigned char copy[MAX_IOCTL] = {0};
  memcpy(copy, argument.data, argument.length);
  int returned = ioctl(fd, request, copy);
  if (returned < 0) return number(env, -errno);
  memcpy(argument.data, copy, argument.length);
  return number(env, returned);
}

/* attachFilter(fd, program): SO_ATTACH_FILTER with the bytes of a struct sock_filter[]; the kernel checks and copies them. */
static napi_value AttachFilter(napi_env env, napi_callback_info info) {
  int fd;
  Bytes program;
  if (parse(env, info, "attachFilter(fd, program)", "ib", &fd, &program) == NULL) return NULL;
  size_t count = program.length / sizeof(struct sock_filter);
  if (program.length % sizeof(struct sock_filter) != 0 || count > BPF_MAXINSNS) return number(env, -EINVAL);
  struct sock_fprog filter = {.len = (unsigned short)count, .filter = program.data};
  return result(env, setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter));
}

/* ---- time and the scheduler ---- */

/* clockGettime(clock): ms, with fractions. */
static napi_value ClockGettime(napi_env env, napi_callback_info info) {
  int clock;
  struct timespec at;
  if (parse(env, info, "clockGettime(clock)", "i", &clock) == NULL) return NULL;
  if (clock_gettime(clock, &at) < 0) return fail(env, "clockGettime: there is no such clock");
  napi_value out = NULL;
  napi_create_double(env, (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6, &out);
  return out;
}

/* timerfdCreate(clock): TFD_NONBLOCK and TFD_CLOEXEC are added. */
static napi_value TimerfdCreate(napi_env env, napi_callback_info info) {
  int clock;
  Addon *addon = parse(env, info, "timerfdCreate(clock)", "i", &clock);
  return addon == NULL ? NULL : result(env, own(addon, timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC)));
}

/* timerfdSettime(fd, seconds, nanoseconds): once, at that instant (TFD_TIMER_ABSTIME); 0, 0 disarms. It is not readable any more. */
static napi_value TimerfdSettime(napi_env env, napi_callback_info info) {
  int fd, seconds, nanoseconds;
  if (parse(env, info, "timerfdSettime(fd, seconds, nanoseconds)", "iii", &fd, &seconds, &nanoseconds) == NULL) return NULL;
  struct itimerspec at = {.it_value = {.tv_sec = seconds, .tv_nsec = nanoseconds}};
  return result(env, timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL));
}

/* schedSetscheduler(policy, priority): the calling thread. */
static napi_value SchedSetscheduler(napi_env env, napi_callback_info info) {
  int policy, priority;
  if (parse(env, info, "schedSetscheduler(policy, priority)", "ii", &policy, &priority) == NULL) return NULL;
  struct sched_param parameters = {.sched_priority = priority};
  return result(env, sched_setscheduler(0, policy, &parameters));
}

/* setpriority(nice): the calling thread. */
static napi_value Setpriority(napi_env env, napi_callback_info info) {
  int nice;
  if (parse(env, info, "setpriority(nice)", "i", &nice) == NULL) return NULL;
  return result(env, setpriority(PRIO_PROCESS, 0, nice));
}

/* mlock2(range, flags): range is a Float64Array of the first address and the length. The kernel refuses what is not mapped. */
static napi_value Mlock2(napi_env env, napi_callback_info info) {
  int flags;
  Bytes range;
  double part[2];
  if (parse(env, info, "mlock2(range, flags)", "bi", &range, &flags) == NULL) return NULL;
  if (range.length != sizeof part) return fail(env, "mlock2: range is an address and a length");
  memcpy(part, range.data, sizeof part);
  return result(env, mlock2((void *)(uintptr_t)part[0], (size_t)part[1], (unsigned)flags));
}

/* getrlimit(resource, limits): limits is a Float64Array of two, soft and hard; RLIM_INFINITY is Infinity. */
static napi_value Getrlimit(napi_env env, napi_callback_info info) {
  int resource;
  Bytes limits;
  struct rlimit found;
  if (parse(env, info, "getrlimit(resource, limits)", "ib", &resource, &limits) == NULL) return NULL;
  if (limits.length < 2 * sizeof(double)) return fail(env, "getrlimit: limits has no room for two numbers");
  if (getrlimit(resource, &found) < 0) return number(env, -errno);
  double pair[2] = {found.rlim_cur == RLIM_INFINITY ? INFINITY : (double)found.rlim_cur,
                    found.rlim_max == RLIM_INFINITY ? INFINITY : (double)found.rlim_max};
  memcpy(limits.data, pair, sizeof pair);
  return number(env, 0);
}

/* unlimit(resource): setrlimit of both limits to RLIM_INFINITY. */
static napi_value Unlimit(napi_env env, napi_callback_info info) {
  int resource;
  if (parse(env, info, "unlimit(resource)", "i", &resource) == NULL) return NULL;
  struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
  return result(env, setrlimit(resource, &none));
}

/* ---- data ---- */

/* poll(fd, events): no wait; returns revents. */
static napi_value Poll(napi_env env, napi_callback_info info) {
  int fd, events;
  if (parse(env, info, "poll(fd, events)", "ii", &fd, &events) == NULL) return NULL;
  struct pollfd entry = {.fd = fd, .events = (short)events};
  return poll(&entry, 1, 0) < 0 ? number(env, -errno) : number(env, entry.revents);
}

/* send(fd, head, body): one datagram of both parts. */
static napi_value Send(napi_env env, napi_callback_info info) {
  int fd;
  Bytes head, body;
  if (parse(env, info, "send(fd, head, body)", "ibb", &fd, &head, &body) == NULL) return NULL;
  struct iovec parts[2] = {{head.data, head.length}, {body.data, body.length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  return result(env, sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* write(fd, head, body): one write of both parts. RWF_NOWAIT: a descriptor taken from another process may be blocking. */
static napi_value Write(napi_env env, napi_callback_info info) {
  int fd;
  Bytes head, body;
  if (parse(env, info, "write(fd, head, body)", "ibb", &fd, &head, &body) == NULL) return NULL;
  struct iovec parts[2] = {{head.data, head.length}, {body.data, body.length}};
  return result(env, pwritev2(fd, parts, 2, -1, RWF_NOWAIT));
}

/* read(fd, buffer): RWF_NOWAIT, as for write. */
static napi_value Read(napi_env env, napi_callback_info info) {
  int fd;
  Bytes buffer;
  if (parse(env, info, "read(fd, buffer)", "ib", &fd, &buffer) == NULL) return NULL;
  struct iovec part = {buffer.data, buffer.length};
  return result(env, preadv2(fd, &part, 1, -1, RWF_NOWAIT));
}

/*
 * recv(fd, buffer, about): one datagram. Returns its whole length, also where the buffer was too short (MSG_TRUNC).
 * about is a Float64Array of two: sll_pkttype (0 for another family), and SO_TIMESTAMPNS in ms (0 without).
 */
static napi_value Recv(napi_env env, napi_callback_info info) {
  int fd;
  Bytes buffer, about;
  double facts[2] = {0, 0};
  if (parse(env, info, "recv(fd, buffer, about)", "ibb", &fd, &buffer, &about) == NULL) return NULL;
  if (about.length < sizeof facts) return fail(env, "recv: about has no room for two numbers");

  struct sockaddr_storage from = {0};
  struct iovec part = {buffer.data, buffer.length};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct timespec))];
  } control;
  struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1,
                           .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC);
  if (length < 0) return number(env, -errno);

  if (from.ss_family == AF_PACKET) facts[0] = ((struct sockaddr_ll *)&from)->sll_pkttype;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item != NULL; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_TIMESTAMPNS) continue;
    struct timespec at;
    memcpy(&at, CMSG_DATA(item), sizeof at);
    facts[1] = (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
  }
  memcpy(about.data, facts, sizeof facts);
  return number(env, length);
}

/* sendFds(fd, data, fds): one datagram with the descriptors of an Int32Array (SCM_RIGHTS). */
static napi_value SendFds(napi_env env, napi_callback_info info) {
  int fd;
  Bytes data, fds;
  if (parse(env, info, "sendFds(fd, data, fds)", "ibb", &fd, &data, &fds) == NULL) return NULL;
  if (fds.length > MAX_FDS * sizeof(int)) return number(env, -EINVAL);
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
  } control = {0};
  struct iovec part = {data.data, data.length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fds.length > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds.length);
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(fds.length);
    memcpy(CMSG_DATA(item), fds.data, fds.length);
  }
  return result(env, sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/*
 * recvFds(fd, buffer, fds): one datagram; its descriptors go into the Int32Array fds (room for MAX_FDS), -1 fills the rest.
 * Where the process may not hold that many the message is lost, what came of them is closed, and the answer is -EMFILE.
 */
static napi_value RecvFds(napi_env env, napi_callback_info info) {
  int fd;
  Bytes buffer, fds;
  Addon *addon = parse(env, info, "recvFds(fd, buffer, fds)", "ibb", &fd, &buffer, &fds);
  if (addon == NULL) return NULL;
  if (fds.length < MAX_FDS * sizeof(int)) return fail(env, "recvFds: fds has no room for 253 descriptors");
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
  } control;
  struct iovec part = {buffer.data, buffer.length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  if (length < 0) return number(env, -errno);

  int received[MAX_FDS];
  size_t count = 0;
  struct cmsghdr *item = CMSG_FIRSTHDR(&message); /* the kernel makes one of all descriptors */
  if (item != NULL && item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS) {
    count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(received, CMSG_DATA(item), count * sizeof(int));
  }
  if (own_all(addon, received, count) < 0) return number(env, -errno);
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    for (size_t i = 0; i < count; i++) disown(addon, received[i]);
    return number(env, -EMFILE);
  }
  memset(fds.data, 0xff, fds.length);
  memcpy(fds.data, received, count * sizeof(int));
  return number(env, length);
}

const Function calls[] = {
    {"open", Open}, {"socket", Socket}, {"socketpair", Socketpair}, {"pidfdOpen", PidfdOpen},
    {"pidfdGetfd", PidfdGetfd}, {"setns", Setns}, {"bind", Bind}, {"getsockname", Getsockname},
    {"setsockopt", Setsockopt}, {"getsockopt", Getsockopt}, {"ioctl", Ioctl}, {"poll", Poll},
    {"send", Send}, {"write", Write}, {"read", Read}, {"recv", Recv},
    {"sendFds", SendFds}, {"recvFds", RecvFds}, {"attachFilter", AttachFilter}, {"clockGettime", ClockGettime},
    {"timerfdCreate", TimerfdCreate}, {"timerfdSettime", TimerfdSettime}, {"schedSetscheduler", SchedSetscheduler},
    {"setpriority", Setpriority}, {"mlock2", Mlock2}, {"getrlimit", Getrlimit}, {"unlimit", Unlimit},
};
const size_t call_count = sizeof calls / sizeof calls[0];
