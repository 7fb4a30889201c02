/* rawio, third part: datagrams with their names and control messages. The rules are in rawio.c. */
#define _GNU_SOURCE
#include "rawio.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/*
 * recvmsg(fd, flags, data, name, control, lengths): one datagram. Returns its whole length, also where data was too short
 * (MSG_TRUNC). lengths is an Int32Array of three: how much of name and of control was filled, and msg_flags.
 * Not for AF_UNIX: descriptors among the control messages would be nobody's (recvFds).
 */
static napi_value Recvmsg(napi_env env, napi_callback_info info) {
  int fd, flags;
  Bytes data, name, control, lengths;
  const char *form = "recvmsg(fd, flags, data, name, control, lengths)";
  if (parse(env, info, form, "iibbbb", &fd, &flags, &data, &name, &control, &lengths) == NULL) return NULL;
  int filled[3];
  if (lengths.length < sizeof filled) return fail(env, "recvmsg: lengths has no room for three numbers");

  struct iovec part = {data.data, data.length};
  struct msghdr message = {.msg_name = name.data, .msg_namelen = (socklen_t)name.length, .msg_iov = &part, .msg_iovlen = 1,
                           .msg_control = control.data, .msg_controllen = control.length};
  ssize_t length = recvmsg(fd, &message, flags | MSG_DONTWAIT | MSG_TRUNC);
  if (length < 0) return number(env, -errno);
  /* The kernel tells the whole length of a name that it had to cut. */
  filled[0] = message.msg_namelen < name.length ? (int)message.msg_namelen : (int)name.length;
  filled[1] = (int)message.msg_controllen;
  filled[2] = message.msg_flags;
  memcpy(lengths.data, filled, sizeof filled);
  return number(env, length);
}

/* sendmsg(fd, name, control, data): one datagram; the kernel checks the control messages. */
static napi_value Sendmsg(napi_env env, napi_callback_info info) {
  int fd;
  Bytes name, control, data;
  if (parse(env, info, "sendmsg(fd, name, control, data)", "ibbb", &fd, &name, &control, &data) == NULL) return NULL;
  struct iovec part = {data.data, data.length};
  struct msghdr message = {.msg_name = name.data, .msg_namelen = (socklen_t)name.length, .msg_iov = &part, .msg_iovlen = 1,
                           .msg_control = control.length > 0 ? control.data : NULL, .msg_controllen = control.length};
  return result(env, sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

const Function message_calls[] = {{"recvmsg", Recvmsg}, {"sendmsg", Sendmsg}};
const size_t message_call_count = sizeof message_calls / sizeof message_calls[0];
