#define _GNU_SOURCE
#include "stream.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { RECEIVE_BATCH = 32, RECEIVE_ROUNDS = 8, SEND_BURST = 32 };

/* A sequence beyond this is not ours: 2^28 numbers are three days at 1000 a second, and 32 MiB of bits. */
#define MAX_SEQUENCE (1ull << 28)

void receiver_open(struct receiver *r, uint32_t stream) {
  receiver_close(r);
  r->stream = stream;
}

void receiver_close(struct receiver *r) {
  free(r->seen);
  *r = (struct receiver){0};
}

static void grow(struct receiver *r, uint64_t words) {
  uint64_t want = r->words ? r->words : 1024;
  while (want < words) want *= 2;
  uint64_t *seen = realloc(r->seen, want * sizeof *seen);
  if (!seen) die("realloc");
  memset(seen + r->words, 0, (want - r->words) * sizeof *seen);
  r->seen = seen;
  r->words = want;
}

double gap_ms(struct gap gap) { return (double)(gap.end_ns - gap.start_ns) / 1e6; }

static void widen(struct gap *gap, uint64_t start_ns, uint64_t end_ns) {
  if (end_ns - start_ns > gap->end_ns - gap->start_ns) *gap = (struct gap){start_ns, end_ns};
}

void receiver_mark(struct receiver *r, uint64_t now_ns) {
  if (!r->last_ns || now_ns <= r->last_ns) return;
  widen(&r->window, r->last_ns, now_ns);
  widen(&r->total, r->last_ns, now_ns);
}

void receiver_take(struct receiver *r, uint64_t sequence, uint64_t at_ns) {
  if (sequence >= MAX_SEQUENCE) return;
  receiver_mark(r, at_ns);
  if (at_ns > r->last_ns) r->last_ns = at_ns;
  if (sequence / 64 >= r->words) grow(r, sequence / 64 + 1);
  uint64_t bit = 1ull << (sequence % 64);
  if (r->seen[sequence / 64] & bit) {
    r->duplicated++;
    return;
  }
  r->seen[sequence / 64] |= bit;
  if (sequence < r->next) r->reordered++;
  else r->next = sequence + 1;
}

void receiver_fresh(struct receiver *r) { r->window = r->total = (struct gap){0}; }

struct gap receiver_gap(struct receiver *r, bool window) {
  struct gap gap = window ? r->window : r->total;
  if (window) r->window = (struct gap){0};
  return gap;
}

/* The bits of word `index` that lie below `sent`, and the mask of what could be there. */
static uint64_t word_below(const struct receiver *r, uint64_t index, uint64_t sent, uint64_t *mask) {
  *mask = sent >= (index + 1) * 64 ? ~0ull : (1ull << (sent % 64)) - 1;
  return index < r->words ? r->seen[index] & *mask : 0;
}

uint64_t receiver_received(const struct receiver *r, uint64_t sent) {
  uint64_t count = 0, mask;
  for (uint64_t i = 0; i * 64 < sent && i < r->words; i++) count += (uint64_t)__builtin_popcountll(word_below(r, i, sent, &mask));
  return count;
}

int receiver_missing(const struct receiver *r, uint64_t sent, struct range *ranges, int max) {
  int n = 0;
  for (uint64_t i = 0; i * 64 < sent; i++) {
    uint64_t mask, word = word_below(r, i, sent, &mask);
    if (word == mask) continue;
    for (uint64_t s = i * 64; s < (i + 1) * 64 && s < sent; s++) {
      if (word & (1ull << (s % 64))) continue;
      if (n > 0 && ranges[n - 1].last + 1 == s) ranges[n - 1].last = s;
      else if (n == max) return n;
      else ranges[n++] = (struct range){s, s};
    }
  }
  return n;
}

static uint64_t arrival_ns(struct msghdr *message) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    struct timespec t;
    memcpy(&t, CMSG_DATA(c), sizeof t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
  }
  return realtime_ns();
}

void numbered_receive(int fd, void (*take)(uint32_t stream, uint64_t sequence, uint64_t at_ns)) {
  struct mmsghdr messages[RECEIVE_BATCH];
  struct iovec parts[RECEIVE_BATCH];
  struct numbered headers[RECEIVE_BATCH];
  _Alignas(struct cmsghdr) char control[RECEIVE_BATCH][CMSG_SPACE(sizeof(struct timespec))];
  for (int round = 0; round < RECEIVE_ROUNDS; round++) {
    for (int i = 0; i < RECEIVE_BATCH; i++) {
      parts[i] = (struct iovec){&headers[i], sizeof headers[i]};
      messages[i].msg_hdr = (struct msghdr){
          .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof control[i]};
    }
    int n = recvmmsg(fd, messages, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
      if (messages[i].msg_len < sizeof headers[i] || headers[i].magic != htobe32(NUMBERED_MAGIC)) continue;
      take(be32toh(headers[i].stream), be64toh(headers[i].sequence), arrival_ns(&messages[i].msg_hdr));
    }
    if (n < RECEIVE_BATCH) return;
  }
}

void sender_open(struct sender *s, int fd, uint32_t stream, struct sockaddr_in6 to, unsigned pps, unsigned size) {
  *s = (struct sender){.fd = fd, .stream = stream, .to = to, .size = size, .interval_ns = NS_PER_S / pps};
  s->due_ns = monotonic_ns() + s->interval_ns;
}

void sender_close(struct sender *s) {
  free(s->sent_at);
  *s = (struct sender){0};
}

uint64_t sender_period(const struct sender *s) { return s->interval_ns > NS_PER_MS ? s->interval_ns : NS_PER_MS; }

static void keep_time(struct sender *s, uint64_t at_ns) {
  if (s->sent == s->times) {
    s->times = s->times ? s->times * 2 : 4096;
    s->sent_at = realloc(s->sent_at, s->times * sizeof *s->sent_at);
    if (!s->sent_at) die("realloc");
  }
  s->sent_at[s->sent] = at_ns;
}

void sender_run(struct sender *s) {
  static unsigned char datagram[MAX_DATAGRAM];
  uint64_t now = monotonic_ns();
  if (now < s->due_ns) return;
  /* At more than 1000 a second one tick serves several numbers: their wait for it is no lateness. */
  uint64_t late = now - s->due_ns, slack = sender_period(s) - s->interval_ns;
  if (late > slack) peak_note(&s->lateness_ms, (double)(late - slack) / 1e6);
  for (int burst = 0; burst < SEND_BURST && s->due_ns <= now; burst++) {
    uint64_t at_ns = realtime_ns();
    struct numbered header = {
        .magic = htobe32(NUMBERED_MAGIC), .stream = htobe32(s->stream), .sequence = htobe64(s->sent), .sent_ns = htobe64(at_ns)};
    memcpy(datagram, &header, sizeof header);
    if (sendto(s->fd, datagram, s->size, MSG_DONTWAIT, (struct sockaddr *)&s->to, sizeof s->to) < 0) {
      if (errno == EAGAIN) break; /* the device takes nothing now: the number was not used */
      s->errors++;
    }
    if (s->keep_times) keep_time(s, at_ns);
    s->sent++;
    s->due_ns += s->interval_ns;
  }
  if (s->due_ns <= now) s->due_ns += ((now - s->due_ns) / s->interval_ns + 1) * s->interval_ns;
}
