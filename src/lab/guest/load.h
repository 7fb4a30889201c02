/* What keeps the guest busy during a move: a memory writer and a disk writer, each in a thread, each checking itself. */
#ifndef GODWIT_LOAD_H
#define GODWIT_LOAD_H

#include <stdbool.h>
#include <stdint.h>

/* Each returns NULL, or why not. Rates: MiB/s 0..4096 and blocks/s 0..10000; 0 ends the writer. */
const char *memory_writer(unsigned mib, unsigned mib_per_s);
const char *disk_writer(const char *path, unsigned blocks_per_s);

struct load_counts {
  uint64_t memory_errors; /* pages that did not hold what was written last */
  uint64_t memory_pages;  /* pages written since the writer's start */
  uint64_t disk_errors;   /* failed calls, and blocks that read back differently */
  uint64_t disk_writes;   /* blocks written and synced since the writer's start */
  bool writing;           /* a writer runs, or still verifies after its end was asked for */
};
struct load_counts load_counts(void);

#endif
