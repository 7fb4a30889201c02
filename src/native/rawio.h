/* What the two halves of the addon share; rawio.c says what it is and which rules hold. */
#ifndef GODWIT_RAWIO_H
#define GODWIT_RAWIO_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_BYTES 4096

/* What belongs to one environment: its descriptors and watches. */
typedef struct Addon Addon;

/* A typed array of JavaScript, good until the function it was handed to returns. */
typedef struct {
  void *data;
  size_t length;
} Bytes;

/*
 * Takes the arguments of a call of `form` ("send(fd, head, body)"), of the kinds i int, u uint32_t, s char[PATH_BYTES],
 * b Bytes, f napi_value of a function. Throws a TypeError with the form and returns NULL when they are others.
 */
Addon *parse(napi_env env, napi_callback_info info, const char *form, const char *kinds, ...);

/* Throws a TypeError, unless something is thrown already; returns NULL. */
napi_value fail(napi_env env, const char *text);

napi_value number(napi_env env, int64_t value);

/* What a system call returned, or -errno where it failed just now. */
napi_value result(napi_env env, int64_t returned);

/* Enters descriptors that a system call has just returned: all, or (-1, ENOMEM) none, and then they are closed. */
int own_all(Addon *addon, const int *fds, size_t count);

/* The same for one; on -1 leaves errno as it is. */
int own(Addon *addon, int fd);

/* Takes out and closes. */
void disown(Addon *addon, int fd);

/* The system calls, each a function of that name in JavaScript: rawio-calls.c, rawio-message.c. */
typedef struct {
  const char *name;
  napi_callback call;
} Function;
extern const Function calls[];
extern const size_t call_count;
extern const Function message_calls[];
extern const size_t message_call_count;

#endif
