/*
 * godwit-emulate: a wire between two interfaces of the namespace it is started in, with the faults it is told to have.
 *
 *   godwit-emulate LEFT RIGHT
 *
 * What comes in at one goes out at the other, whole, its TTL untouched; what is due at the same moment, in order. Prints {"ready":true}.
 * Each line on stdin is a flat JSON object, answered by a line: {"ok":true}, {"error":"..."} or a report.
 *
 *   {"from":"left", ...}     all faults of frames that come in at LEFT (or "right"); what is not named is none. Times in ms, shares 0..1:
 *     "delay", "jitter", "distribution": "uniform" (delay +- jitter), "normal" (deviation jitter) or "exponential" (delay + mean jitter)
 *     "loss": share, at random; "every": each so manieth is lost
 *     "reorder", "reorderBy": this share is delayed by so much more and may be overtaken; no others are ever overtaken
 *     "rate": bytes per second of the IP packets and their Ethernet headers; "queue": bytes that wait for it, the rest is dropped
 *     "mtu": longer IP packets vanish; "seed": of all that is random, which begins anew with each such line
 *     "countedTo": longer IP packets are not among the "delays" of the report
 *   {"report":true}          {"left":{...},"right":{...}}: the truth of frames that came in there, since the start or the last {"forget":true}
 *     "delays": [[n, count], ...]: so many stayed n to n + 1 hundredths of a ms, from the kernel's receive stamp to the send
 *
 * GSO frames pass as they are, so that each is one frame here; their MTU is that of their segments. Exit status: 0 the end of stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <math.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

enum { BATCH = 32, MOST_FRAME = 68000, MOST_HELD = 65536, REALTIME_PRIORITY = 70, BUFFER = 16 << 20, MOST_LINE = 4096 };
enum { BUCKET_NS = 10000, BUCKETS = 500000, SHORTEST_IP = 34 }; /* 5 s in hundredths of a ms */

/* The timer wakes so much early and the rest is waited for on the processor: what it takes a sleeping thread to run again, mostly. */
#define EARLY_NS 60000ull

enum distribution { UNIFORM, NORMAL, EXPONENTIAL };
static const char *const distributions[] = {"uniform", "normal", "exponential"};

struct faults {
  double delay, jitter, loss, every, reorder, reorder_by, rate, queue, mtu, seed, counted_to;
  enum distribution distribution;
};

struct truth {
  uint64_t received, forwarded, lost, too_long, queue_full, reordered, overflow, send_errors, socket_drops;
  uint64_t latest_ns; /* behind its schedule */
  uint32_t delays[BUCKETS + 1];
};

/* One way; its random numbers each have a stream of their own, so that one fault does not change another's. */
struct way {
  const char *name;
  struct watch socket;
  struct way *other;
  struct faults faults;
  uint64_t loss_stream, delay_stream, reorder_stream, counted;
  uint64_t free_ns; /* when all that was taken so far has passed the bottleneck */
  uint64_t last_due_ns;
  struct truth truth;
};

struct frame {
  struct way *in;
  uint64_t due_ns, arrived_ns, number;
  size_t length;
  bool counted;
  unsigned char data[];
};

static struct way left, right;
static struct watch input, timer;
static struct frame *held[MOST_HELD]; /* a heap: the next one due first */
static size_t held_count;
static uint64_t frames_taken;
static bool ended;

/* --- random numbers: splitmix64 */

static double uniform(uint64_t *stream) {
  uint64_t z = (*stream += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double drawn_delay(struct way *way) {
  const struct faults *faults = &way->faults;
  if (!(faults->jitter > 0)) return faults->delay;
  double u = uniform(&way->delay_stream);
  if (faults->distribution == UNIFORM) return faults->delay + faults->jitter * (2 * u - 1);
  if (faults->distribution == EXPONENTIAL) return faults->delay - faults->jitter * log1p(-u);
  return faults->delay + faults->jitter * sqrt(-2 * log1p(-u)) * cos(2 * M_PI * uniform(&way->delay_stream));
}

/* --- the heap of what is held */

static bool sooner(const struct frame *a, const struct frame *b) {
  return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void hold(struct frame *frame) {
  size_t i = held_count++;
  for (; i > 0 && sooner(frame, held[(i - 1) / 2]); i = (i - 1) / 2) held[i] = held[(i - 1) / 2];
  held[i] = frame;
}

static struct frame *take_soonest(void) {
  struct frame *soonest = held[0], *moved = held[--held_count];
  size_t i = 0;
  for (size_t child; (child = 2 * i + 1) < held_count; i = child) {
    if (child + 1 < held_count && sooner(held[child + 1], held[child])) child++;
    if (!sooner(held[child], moved)) break;
    held[i] = held[child];
  }
  held[i] = moved;
  return soonest;
}

static void let_go(struct frame *frame) {
  struct truth *truth = &frame->in->truth;
  uint64_t now_ns = monotonic_ns();
  if (send(frame->in->other->socket.fd, frame->data, frame->length, 0) < 0) {
    truth->send_errors++; /* the interface is down, or its queue is full: as on a wire, nobody is told */
  } else {
    uint64_t bucket = (now_ns - frame->arrived_ns) / BUCKET_NS;
    if (frame->counted) truth->delays[bucket < BUCKETS ? bucket : BUCKETS]++;
    truth->forwarded++;
    if (now_ns - frame->due_ns > truth->latest_ns) truth->latest_ns = now_ns - frame->due_ns;
  }
  free(frame);
}

/* Sends what is due, and arms the timer for the next. */
static void release(void) {
  while (held_count > 0) {
    uint64_t now_ns = monotonic_ns(), due_ns = held[0]->due_ns;
    if (due_ns <= now_ns) {
      let_go(take_soonest());
    } else if (due_ns > now_ns + EARLY_NS) {
      uint64_t wake_ns = due_ns - EARLY_NS;
      struct itimerspec at = {.it_value = {.tv_sec = (time_t)(wake_ns / NS_PER_S), .tv_nsec = (long)(wake_ns % NS_PER_S)}};
      if (timerfd_settime(timer.fd, TFD_TIMER_ABSTIME, &at, NULL) < 0) die("timerfd_settime");
      return;
    }
  }
}

/* --- what befalls a frame */

/* Of the IP packet, or of each segment that becomes of it; 0: not IP. */
static size_t ip_length(const struct virtio_net_hdr *offload, const unsigned char *frame, size_t length) {
  if (length < SHORTEST_IP) return 0;
  unsigned type = (unsigned)frame[12] << 8 | frame[13];
  const unsigned char *ip = frame + ETHER_HDR_LEN;
  if (type != ETHERTYPE_IP && type != ETHERTYPE_IPV6) return 0;
  if (offload->gso_type != VIRTIO_NET_HDR_GSO_NONE) return (size_t)offload->hdr_len + offload->gso_size - ETHER_HDR_LEN;
  return type == ETHERTYPE_IP ? (size_t)ip[2] << 8 | ip[3] : 40 + ((size_t)ip[4] << 8 | ip[5]);
}

static uint64_t to_ns(double ms) { return ms > 0 ? (uint64_t)(ms * 1e6) : 0; }

/* When a frame that came at arrived_ns goes on; false: never. */
static bool schedule(struct way *way, const struct virtio_net_hdr *offload, const unsigned char *data, size_t length, uint64_t arrived_ns,
                     uint64_t *due_ns) {
  const struct faults *faults = &way->faults;
  struct truth *truth = &way->truth;
  if (faults->mtu > 0 && (double)ip_length(offload, data, length) > faults->mtu) return truth->too_long++, false;
  way->counted++;
  bool lost = faults->loss > 0 && uniform(&way->loss_stream) < faults->loss;
  if (faults->every > 0 && way->counted % (uint64_t)faults->every == 0) lost = true;
  if (lost) return truth->lost++, false;
  uint64_t passed_ns = arrived_ns;
  if (faults->rate > 0) {
    uint64_t from_ns = way->free_ns > arrived_ns ? way->free_ns : arrived_ns;
    double waiting = (double)(from_ns - arrived_ns) / 1e9 * faults->rate;
    if (faults->queue > 0 && waiting + (double)length > faults->queue) return truth->queue_full++, false;
    passed_ns = way->free_ns = from_ns + (uint64_t)((double)length / faults->rate * 1e9);
  }
  *due_ns = passed_ns + to_ns(drawn_delay(way));
  if (*due_ns < way->last_due_ns) *due_ns = way->last_due_ns;
  way->last_due_ns = *due_ns;
  if (faults->reorder > 0 && uniform(&way->reorder_stream) < faults->reorder) {
    *due_ns += to_ns(faults->reorder_by);
    truth->reordered++;
  }
  return true;
}

static void take(struct way *way, const unsigned char *data, size_t length, uint64_t arrived_ns) {
  struct virtio_net_hdr offload;
  uint64_t due_ns;
  if (length < sizeof offload + ETHER_HDR_LEN) return;
  memcpy(&offload, data, sizeof offload);
  way->truth.received++;
  if (!schedule(way, &offload, data + sizeof offload, length - sizeof offload, arrived_ns, &due_ns)) return;
  struct frame *frame = held_count < MOST_HELD ? malloc(sizeof *frame + length) : NULL;
  if (!frame) {
    way->truth.overflow++;
    return;
  }
  double most = way->faults.counted_to;
  *frame = (struct frame){
      .in = way, .due_ns = due_ns, .arrived_ns = arrived_ns, .number = frames_taken++, .length = length,
      .counted = !(most > 0) || (double)ip_length(&offload, data + sizeof offload, length - sizeof offload) <= most,
  };
  memcpy(frame->data, data, length);
  hold(frame);
}

static uint64_t stamp_ns(struct msghdr *message) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    struct timespec stamp;
    memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    return (uint64_t)stamp.tv_sec * NS_PER_S + (uint64_t)stamp.tv_nsec;
  }
  return 0;
}

static void frames_ready(struct watch *watch, uint32_t events) {
  (void)events;
  static unsigned char data[BATCH][MOST_FRAME];
  static char control[BATCH][64];
  struct iovec pieces[BATCH];
  struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){.iov_base = data[i], .iov_len = MOST_FRAME};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof *control};
  }
  int n = recvmmsg(watch->fd, messages, BATCH, MSG_DONTWAIT, NULL);
  if (n < 0) {
    if (errno != EAGAIN && errno != EINTR && errno != ENETDOWN) die("recvmmsg");
    return;
  }
  uint64_t now_ns = monotonic_ns(), wall_ns = realtime_ns();
  for (int i = 0; i < n; i++) {
    uint64_t stamped_ns = stamp_ns(&messages[i].msg_hdr);
    uint64_t arrived_ns = stamped_ns && stamped_ns < wall_ns ? now_ns - (wall_ns - stamped_ns) : now_ns;
    take(watch->owner, data[i], messages[i].msg_len, arrived_ns);
  }
}

static void timer_ready(struct watch *watch, uint32_t events) {
  (void)events;
  timer_clear(watch->fd);
}

/* --- orders */

static const struct {
  const char *name;
  size_t offset;
  double most;
} numbers[] = {
    {"delay", offsetof(struct faults, delay), 5000},          {"jitter", offsetof(struct faults, jitter), 5000},
    {"loss", offsetof(struct faults, loss), 1},               {"every", offsetof(struct faults, every), 1e9},
    {"reorder", offsetof(struct faults, reorder), 1},         {"reorderBy", offsetof(struct faults, reorder_by), 5000},
    {"rate", offsetof(struct faults, rate), 1e11},            {"queue", offsetof(struct faults, queue), 1e9},
    {"mtu", offsetof(struct faults, mtu), 65535},             {"seed", offsetof(struct faults, seed), 1e15},
    {"countedTo", offsetof(struct faults, counted_to), 65535},
};

/* One `"name": value` of a flat object; `text` moves behind it. Strings have no escapes. */
static bool member(char **text, char name[32], char value[32]) {
  int read = 0;
  if (sscanf(*text, " \"%31[^\"]\" : \"%31[^\"]\"%n", name, value, &read) != 2 || !read) {
    read = 0;
    if (sscanf(*text, " \"%31[^\"]\" : %31[-+.a-zA-Z0-9]%n", name, value, &read) != 2 || !read) return false;
  }
  *text += read;
  *text += strspn(*text, " ");
  if (**text == ',') (*text)++;
  return true;
}

/* NULL, or what is wrong with it. */
static const char *set(struct faults *faults, struct way **from, const char *name, const char *value) {
  if (strcmp(name, "from") == 0) {
    *from = strcmp(value, left.name) == 0 ? &left : strcmp(value, right.name) == 0 ? &right : NULL;
    return *from ? NULL : "from is left or right";
  }
  if (strcmp(name, "distribution") == 0) {
    for (unsigned i = 0; i < 3; i++) {
      if (strcmp(value, distributions[i]) == 0) return faults->distribution = (enum distribution)i, NULL;
    }
    return "distribution is uniform, normal or exponential";
  }
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (strcmp(name, numbers[i].name) != 0) continue;
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || !(number >= 0 && number <= numbers[i].most)) return "a number is out of its range";
    return memcpy((char *)faults + numbers[i].offset, &number, sizeof number), NULL;
  }
  return "no such fault";
}

/* The kernel's count begins anew when it is read. */
static uint64_t socket_lost(const struct way *way) {
  struct tpacket_stats stats = {0};
  socklen_t size = sizeof stats;
  if (getsockopt(way->socket.fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0) die("PACKET_STATISTICS");
  return stats.tp_drops;
}

static void report(struct way *way) {
  struct truth *t = &way->truth;
  t->socket_drops += socket_lost(way);
  printf("\"%s\":{\"received\":%lu,\"forwarded\":%lu,\"lost\":%lu,\"tooLong\":%lu,", way->name, t->received, t->forwarded, t->lost, t->too_long);
  printf("\"queueFull\":%lu,\"reordered\":%lu,\"overflow\":%lu,", t->queue_full, t->reordered, t->overflow);
  printf("\"sendErrors\":%lu,\"socketDrops\":%lu,", t->send_errors, t->socket_drops);
  printf("\"latestMs\":%.4f,\"delays\":[", (double)t->latest_ns / 1e6);
  const char *comma = "";
  for (unsigned i = 0; i <= BUCKETS; i++) {
    if (t->delays[i]) printf("%s[%u,%u]", comma, i, t->delays[i]), comma = ",";
  }
  printf("]}");
}

static void forget(struct way *way) {
  socket_lost(way);
  memset(&way->truth, 0, sizeof way->truth);
}

static const char *obey(char *line) {
  struct faults faults = {0};
  struct way *from = NULL;
  char name[32], value[32];
  char *text = line + strspn(line, " ");
  if (*text++ != '{') return "wanted is a flat JSON object";
  while (member(&text, name, value)) {
    if (strcmp(name, "report") == 0) {
      printf("{");
      report(&left);
      printf(",");
      report(&right);
      printf("}\n");
      return NULL;
    }
    if (strcmp(name, "forget") == 0) {
      forget(&left);
      forget(&right);
      return puts("{\"ok\":true}"), NULL;
    }
    const char *wrong = set(&faults, &from, name, value);
    if (wrong) return wrong;
  }
  if (*text != '}') return "wanted is a flat JSON object";
  if (!from) return "from is missing";
  from->faults = faults;
  uint64_t seed = (uint64_t)faults.seed;
  from->loss_stream = seed * 3, from->delay_stream = seed * 3 + 1, from->reorder_stream = seed * 3 + 2;
  from->counted = from->free_ns = from->last_due_ns = 0;
  return puts("{\"ok\":true}"), NULL;
}

static void input_ready(struct watch *watch, uint32_t events) {
  (void)events;
  static char line[MOST_LINE];
  static size_t used;
  ssize_t n = read(watch->fd, line + used, sizeof line - 1 - used);
  if (n <= 0) {
    ended = true;
    return;
  }
  used += (size_t)n;
  line[used] = '\0';
  char *rest = line;
  for (char *end; (end = strchr(rest, '\n')); rest = end + 1) {
    *end = '\0';
    const char *wrong = obey(rest);
    if (wrong) printf("{\"error\":\"%s\"}\n", wrong);
  }
  used = strlen(rest);
  if (used == sizeof line - 1) used = 0;
  memmove(line, rest, used);
  if (fflush(stdout) != 0) ended = true;
}

/* --- */

static void option(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof value) < 0) die("setsockopt");
}

static void attach(struct way *way, const char *name, struct way *other, const char *interface) {
  way->name = name;
  way->other = other;
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket AF_PACKET");
  option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
  option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  option(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
  option(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER);
  option(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER);
  option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(interface)};
  if (!at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof at) < 0) die(interface);
  watch_open(&way->socket, fd, EPOLLIN, frames_ready, way);
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: godwit-emulate LEFT RIGHT\n");
    return 2;
  }
  /* Where that is not allowed, latestMs tells. */
  sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = REALTIME_PRIORITY});
  prctl(PR_SET_TIMERSLACK, 1);
  mlockall(MCL_CURRENT | MCL_FUTURE);
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) die("timerfd_create");
  watch_open(&timer, fd, EPOLLIN, timer_ready, NULL);
  watch_open(&input, 0, EPOLLIN, input_ready, NULL);
  attach(&left, "left", &right, arguments[1]);
  attach(&right, "right", &left, arguments[2]);
  puts("{\"ready\":true}");
  if (fflush(stdout) != 0) return 1;
  while (!ended) {
    loop_once(-1);
    release();
  }
  return 0;
}
