#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "protocol.h"

enum { PAGE = 4096, LINE = 64, WORDS_PER_LINE = LINE / 8, BLOCK = 4096, TICK_NS = 5000000, MAX_CATCH_UP_TICKS = 20 };

static atomic_uint_fast64_t memory_errors, memory_pages, disk_errors, disk_writes;

/* A writer: rate 0 asks it to end, running turns false when it has ended and all is verified. */
struct writer {
  atomic_uint rate;
  atomic_bool running;
};
static struct writer memory, disk;

/* Owned by the memory thread while it runs. */
static size_t memory_mib;
static const char *disk_path;

struct load_counts load_counts(void) {
  return (struct load_counts){.memory_errors = memory_errors,
                              .memory_pages = memory_pages,
                              .disk_errors = disk_errors,
                              .disk_writes = disk_writes,
                              .writing = memory.running || disk.running};
}

static const char *start(struct writer *w, void *(*run)(void *), unsigned rate) {
  pthread_t thread;
  w->rate = rate;
  w->running = true;
  if (pthread_create(&thread, NULL, run, NULL) == 0) {
    pthread_detach(thread);
    return NULL;
  }
  w->running = false;
  return "no thread can be started";
}

/* The event loop is to run first: a late answer would be taken for the network's fault. */
static void step_back(void) { setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10); }

static void sleep_until(uint64_t ns) {
  struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

/* Paces a writer: sleeps to the next tick and returns how many units are due at `per_second`; carries the remainder along. */
struct pace {
  uint64_t at_ns;
  double due;
};
static uint64_t pace(struct pace *p, double per_second) {
  uint64_t now = monotonic_ns();
  if (!p->at_ns) p->at_ns = now;
  uint64_t next = p->at_ns + TICK_NS;
  if (next > now) sleep_until(next);
  else if (now - next > (uint64_t)MAX_CATCH_UP_TICKS * TICK_NS) next = now;
  p->at_ns = next;
  p->due += per_second * TICK_NS / NS_PER_S;
  uint64_t whole = (uint64_t)p->due;
  p->due -= (double)whole;
  return whole;
}

/* One word in every cache line of page `page` in round `round`: a page that came from an earlier round, or from elsewhere, shows. */
static uint64_t page_word(uint64_t page, uint64_t round, unsigned line) {
  return pattern_word(round) ^ (page << 8) ^ line;
}

static void page_write(volatile uint64_t *at, uint64_t page, uint64_t round) {
  for (unsigned line = 0; line < PAGE / LINE; line++) at[line * WORDS_PER_LINE] = page_word(page, round, line);
}

static void page_check(const volatile uint64_t *at, uint64_t page, uint64_t round) {
  for (unsigned line = 0; line < PAGE / LINE; line++) {
    uint64_t want = page_word(page, round, line), got = at[line * WORDS_PER_LINE];
    if (got == want) continue;
    if (memory_errors++ == 0) {
      printf("GODWIT-MEMORY-ERROR page %lu line %u round %lu: want %016lx, got %016lx\n", page, line, round, want, got);
      fflush(stdout);
    }
    return;
  }
}

static void *memory_run(void *unused) {
  (void)unused;
  step_back();
  uint64_t pages = memory_mib * (1 << 20) / PAGE, position = 0;
  uint64_t *buffer = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffer == MAP_FAILED) die("mmap of the memory writer's buffer");
  const size_t step = PAGE / sizeof *buffer;
  for (uint64_t page = 0; page < pages; page++) page_write(buffer + page * step, page, 0);
  struct pace p = {0};
  unsigned rate;
  while ((rate = memory.rate) > 0) {
    for (uint64_t due = pace(&p, rate * ((double)(1 << 20) / PAGE)); due > 0; due--, position++) {
      uint64_t page = position % pages, round = position / pages;
      page_check(buffer + page * step, page, round);
      page_write(buffer + page * step, page, round + 1);
      memory_pages++;
    }
  }
  for (uint64_t page = 0; page < pages; page++) page_check(buffer + page * step, page, position / pages + (page < position % pages));
  munmap(buffer, pages * PAGE);
  memory.running = false;
  return NULL;
}

const char *memory_writer(unsigned mib, unsigned mib_per_s) {
  if (mib == 0 || mib_per_s == 0) {
    memory.rate = 0;
    return NULL;
  }
  if (mib > 1 << 20 || mib_per_s > 4096) return "want dirty MB RATE with RATE at most 4096 MiB/s";
  if (memory.running) {
    if (memory.rate == 0) return "the last memory writer still verifies its pages: ask again";
    if (mib != memory_mib) return "a memory writer of another size runs: end it with `dirty 0` first";
    memory.rate = mib_per_s;
    return NULL;
  }
  memory_mib = mib;
  memory_pages = 0;
  return start(&memory, memory_run, mib_per_s);
}

/* Block `number` as it stands on the disk. */
static void block_fill(unsigned char *block, uint64_t number) { pattern_fill(block, number * BLOCK, BLOCK); }

static void disk_error(const char *what, uint64_t number) {
  if (disk_errors++ == 0) {
    printf("GODWIT-DISK-ERROR block %lu: %s\n", number, what);
    fflush(stdout);
  }
}

static void block_check(int fd, unsigned char *read_back, unsigned char *want, uint64_t number, uint64_t slots) {
  if (pread(fd, read_back, BLOCK, (off_t)(number % slots * BLOCK)) != BLOCK) {
    disk_error(strerror(errno), number);
    return;
  }
  block_fill(want, number);
  if (memcmp(read_back, want, BLOCK) != 0) disk_error("read back something else than was written", number);
}

/* Block n goes to place n modulo the size. After each write one older block is read back, spread over all that still stand. */
static void *disk_run(void *unused) {
  (void)unused;
  static _Alignas(BLOCK) unsigned char block[BLOCK], read_back[BLOCK];
  int fd = open(disk_path, O_RDWR | O_DIRECT | O_CLOEXEC);
  off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
  uint64_t slots = size > 0 ? (uint64_t)size / BLOCK : 0, number = 0;
  if (slots == 0) {
    disk_error("the disk cannot be opened or is smaller than a block", 0);
    disk.rate = 0;
  }
  struct pace p = {0};
  unsigned rate;
  while ((rate = disk.rate) > 0) {
    for (uint64_t due = pace(&p, rate); due > 0 && disk.rate > 0; due--, number++) {
      block_fill(block, number);
      if (pwrite(fd, block, BLOCK, (off_t)(number % slots * BLOCK)) != BLOCK || fdatasync(fd) < 0) disk_error(strerror(errno), number);
      else disk_writes++;
      uint64_t standing = number + 1 < slots ? number + 1 : slots;
      block_check(fd, read_back, block, number - pattern_word(number) % standing, slots);
    }
  }
  if (fd >= 0) close(fd);
  disk.running = false;
  return NULL;
}

const char *disk_writer(const char *path, unsigned blocks_per_s) {
  if (blocks_per_s == 0) {
    disk.rate = 0;
    return NULL;
  }
  if (blocks_per_s > 10000) return "want disk RATE with RATE at most 10000 blocks/s";
  if (access(path, R_OK | W_OK) < 0) return "this guest has no disk it can write to";
  if (disk.running) {
    if (disk.rate == 0) return "the last disk writer has not ended yet: ask again";
    disk.rate = blocks_per_s;
    return NULL;
  }
  disk_path = path;
  disk_writes = 0;
  return start(&disk, disk_run, blocks_per_s);
}
