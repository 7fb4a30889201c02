/* What godwit-probe and godwit-flow share: their arguments, and their orders on stdin. */
#ifndef GODWIT_CLIENT_H
#define GODWIT_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>

/* Each program's own: `wrong` and how it is called on stderr, then exit status 2. The two parsers below end with it. */
void usage(const char *wrong) __attribute__((noreturn));

/* A decimal number from least to most. */
unsigned parse_number(const char *text, unsigned least, unsigned most, const char *wrong);

/* The value of --to: IPv4 as ::ffff:a.b.c.d, so that one kind of socket serves both; fe80::1%eth0 for a link-local one. Port 0. */
struct sockaddr_in6 parse_address(const char *text);

/* So that a busy machine's scheduler is not taken for the network; without the right to it, the lateness tells. */
void run_realtime(int priority);

/* The line `stop` or the end of stdin, and the lines `report` that were not answered yet. */
extern bool stop_wanted;
extern unsigned reports_wanted;

/* Reads orders while the loop runs. What cannot be waited for, such as a file, is the end of stdin at once. */
void orders_open(void);

#endif
