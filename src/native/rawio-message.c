/* rawio, third part: datagrams with their names and control messages, and the state of the clock. The rules are in rawio.c. */
#define _GNU_SOURCE
#include "rawio.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timex.h>

/* Of one recvmmsg: their headers lie on the stack. */
#define MOST_MESSAGES 64

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

/*
 * recvmmsg(fd, count, data, names, controls, lengths): up to count datagrams. lengths is an Int32Array of four for each of as many places
 * as there may be: how much of its data, its name and its control there is, msg_flags. The other three are shared out evenly among the
 * places; afterwards the datagrams lie in data one behind the other. Returns how many came. Not for AF_UNIX, as recvmsg.
 */
static napi_value Recvmmsg(napi_env env, napi_callback_info info) {
  int fd, count;
  Bytes data, names, controls, lengths;
  const char *form = "recvmmsg(fd, count, data, names, controls, lengths)";
  if (parse(env, info, form, "iibbbb", &fd, &count, &data, &names, &controls, &lengths) == NULL) return NULL;
  size_t places = lengths.length / (4 * sizeof(int));
  if (count < 1 || (size_t)count > places || places > MOST_MESSAGES) {
    return fail(env, "recvmmsg: count is none of 1 to the places of lengths");
  }

  size_t room = data.length / places, name_room = names.length / places, control_room = controls.length / places;
  struct mmsghdr messages[MOST_MESSAGES];
  struct iovec parts[MOST_MESSAGES];
  for (int i = 0; i < count; i++) {
    parts[i] = (struct iovec){(char *)data.data + i * room, room};
    messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = (char *)names.data + i * name_room, .msg_namelen = (socklen_t)name_room,
                                               .msg_iov = &parts[i], .msg_iovlen = 1,
                                               .msg_control = (char *)controls.data + i * control_room, .msg_controllen = control_room}};
  }
  int came = recvmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT, NULL);
  if (came < 0) return number(env, -errno);
  char *end = data.data;
  for (int i = 0; i < came; i++) {
    struct msghdr *message = &messages[i].msg_hdr;
    int filled[4] = {(int)messages[i].msg_len, (int)(message->msg_namelen < name_room ? message->msg_namelen : name_room),
                     (int)message->msg_controllen, message->msg_flags};
    memcpy((char *)lengths.data + i * sizeof filled, filled, sizeof filled);
    /* Never past its own place, since no one before was longer than its. */
    memmove(end, parts[i].iov_base, messages[i].msg_len);
    end += messages[i].msg_len;
  }
  return number(env, came);
}

/* adjtimex(about): changes nothing. about is a Float64Array of two: status, maxerror. Returns the clock's state. */
static napi_value Adjtimex(napi_env env, napi_callback_info info) {
  Bytes about;
  if (parse(env, info, "adjtimex(about)", "b", &about) == NULL) return NULL;
  if (about.length < 2 * sizeof(double)) return fail(env, "adjtimex: about has no room for two numbers");
  struct timex clock = {0};
  int state = adjtimex(&clock);
  if (state < 0) return number(env, -errno);
  double found[2] = {(double)clock.status, (double)clock.maxerror};
  memcpy(about.data, found, sizeof found);
  return number(env, state);
}

const Function message_calls[] = {{"recvmsg", Recvmsg}, {"sendmsg", Sendmsg}, {"recvmmsg", Recvmmsg}, {"adjtimex", Adjtimex}};
const size_t message_call_count = sizeof message_calls / sizeof message_calls[0];
