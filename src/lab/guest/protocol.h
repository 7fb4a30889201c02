/*
 * What godwit-guest (inside the lab's virtual machine) and godwit-probe (its client) say to each other.
 *
 * UDP 7000     numbered datagrams, both ways: struct numbered, then zeros up to the size asked for.
 * TCP 7001     control: one connection per prober, one command a line, one JSON object a line in answer:
 *                open                      {"stream":ID}: count the datagrams of stream ID that arrive on UDP 7000
 *                send PORT PPS SIZE        {"stream":ID}: start a numbered stream to the asker's UDP PORT
 *                mark                      {"sent":N}: numbers sent so far; a gap still open counts up to now
 *                stop                      the same, and ends the prober's stream and its bulk sources
 *                fresh                     {"ok":true}: forget the largest gap and lateness so far
 *                report SENT window|total  what arrived of numbers 0..SENT-1; `window`: peaks since the last such report
 *                dirty MB RATE             touch pages of an MB MiB buffer in turn, RATE MiB/s; `dirty 0` ends and verifies all
 *                disk RATE                 RATE numbered 4 KiB blocks a second to the disk, each synced; `disk 0` ends
 *              A refused command is answered {"error":"..."}. What a vanished prober started to send or receive is dropped;
 *              memory and disk writers go on until they are told to end.
 * TCP 7002     echo.
 * TCP 7003     bulk sink: the line `sink ID`, then the pattern from position 0; checked and counted for stream ID.
 * TCP 7004     bulk source: the line `source ID BYTES_PER_SECOND`, answered by the pattern at that rate.
 */
#ifndef GODWIT_PROTOCOL_H
#define GODWIT_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PORT_NUMBERED = 7000, PORT_CONTROL = 7001, PORT_ECHO = 7002, PORT_SINK = 7003, PORT_SOURCE = 7004 };

#define NUMBERED_MAGIC 0x67647774u /* "gdwt" */

/* Big-endian on the wire; 24 bytes, the smallest size of a numbered datagram. */
struct numbered {
  uint32_t magic;
  uint32_t stream;
  uint64_t sequence; /* from 0, one by one */
  uint64_t sent_ns;  /* the sender's CLOCK_REALTIME */
};

enum { MIN_DATAGRAM = sizeof(struct numbered), MAX_DATAGRAM = 65507 };

/* Ranges of missing numbers that a report lists; what lies beyond is only counted. */
enum { MAX_RANGES = 50 };

/* The 8 bytes of the pattern at position 8 * index: every position differs, so that lost, repeated and moved bytes all show. */
static inline uint64_t pattern_word(uint64_t index) {
  uint64_t x = (index + 1) * 0x9e3779b97f4a7c15u;
  return x ^ (x >> 29);
}

/* Fills `buffer` with the pattern of positions position .. position + length - 1. */
static inline void pattern_fill(unsigned char *buffer, uint64_t position, size_t length) {
  size_t done = 0;
  while (done < length) {
    uint64_t word = pattern_word((position + done) / 8);
    size_t skip = (position + done) % 8;
    size_t n = 8 - skip < length - done ? 8 - skip : length - done;
    memcpy(buffer + done, (unsigned char *)&word + skip, n);
    done += n;
  }
}

#endif
