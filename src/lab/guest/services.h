/* The guest's TCP services beside control: echo, bulk sink, bulk source. */
#ifndef GODWIT_SERVICES_H
#define GODWIT_SERVICES_H

#include <stdbool.h>
#include <stdint.h>

void services_open(void);

/* What the open bulk connections of receive stream `stream` have carried. */
struct bulk_counts {
  uint64_t sink_bytes, sink_errors, source_bytes;
};
struct bulk_counts bulk_counts(uint32_t stream);

/* Sources of `stream` send no more; their connections stay. */
void bulk_stop(uint32_t stream);
/* Closes every bulk connection of `stream`. */
void bulk_drop(uint32_t stream);

#endif
