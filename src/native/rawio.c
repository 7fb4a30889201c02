/*
 * rawio: the system calls behind native/, as one Node-API addon (version 8, any Node from 16 on, any thread).
 *
 * Every function is one system call, never blocks, and returns what the call returned or -errno. What the calls mean is
 * known to TypeScript (rawio.ts declares them, kernel.ts uses them). A wrong argument type throws a TypeError.
 * Here: the environment, its descriptors and watches. rawio-calls.c, rawio-message.c: the calls.
 *
 * Memory rules
 *  1. A buffer of JavaScript is touched only while the call it was handed to runs; no pointer into one is kept.
 *     Where the kernel, not the caller, decides how many bytes it writes (ioctl), it writes to the C stack.
 *  2. A descriptor that the addon made or received is entered in `slots` and owned by the environment (the main thread or
 *     one worker) until close(). What is left when the environment ends is closed by its cleanup hook; so such a
 *     descriptor is closed here and nowhere else (a number closed elsewhere may be somebody else's by then).
 *  3. At most one watch per descriptor. A watch and its uv_poll_t are one allocation: made by watch(), taken out of
 *     `slots` by unwatch(), close() or the cleanup hook, freed in the uv_close callback and nowhere else.
 *     So both may be called inside the watch's own callback.
 *  4. The Addon outlives its watches: it is freed when the environment has ended and the last of them is closed.
 */
#include "rawio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define MAX_ARGUMENTS 6

typedef struct {
  uv_poll_t poll;
  Addon *addon;
  napi_ref listener;
} Watch;

typedef struct {
  bool owned;
  Watch *watch;
} Slot;

struct Addon {
  napi_env env;
  uv_loop_t *loop;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  Slot *slots; /* indexed by descriptor */
  size_t slot_count;
  size_t closing; /* watches whose uv_close callback has not run yet */
  bool ended;
};

/* ---- arguments and results ---- */

napi_value fail(napi_env env, const char *text) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_type_error(env, "NATIVE_ARGUMENT", text);
  return NULL;
}

static bool get_path(napi_env env, napi_value value, char out[PATH_BYTES]) {
  size_t length;
  return napi_get_value_string_utf8(env, value, out, PATH_BYTES, &length) == napi_ok && length < PATH_BYTES - 1;
}

static bool get_function(napi_env env, napi_value value, napi_value *out) {
  napi_valuetype type;
  *out = value;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_function;
}

/* A Uint8Array, Int32Array or Float64Array. */
static bool get_bytes(napi_env env, napi_value value, Bytes *out) {
  bool is_typed_array = false;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array) return false;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, &out->length, &out->data, NULL, NULL) != napi_ok) return false;
  if (type == napi_int32_array) out->length *= sizeof(int32_t);
  else if (type == napi_float64_array) out->length *= sizeof(double);
  else if (type != napi_uint8_array) return false;
  return true;
}

Addon *parse(napi_env env, napi_callback_info info, const char *form, const char *kinds, ...) {
  napi_value values[MAX_ARGUMENTS];
  size_t count = MAX_ARGUMENTS;
  void *addon = NULL;
  bool good = napi_get_cb_info(env, info, &count, values, NULL, &addon) == napi_ok && count >= strlen(kinds);
  va_list out;
  va_start(out, kinds);
  for (size_t i = 0; good && kinds[i] != '\0'; i++) {
    if (kinds[i] == 'i') good = napi_get_value_int32(env, values[i], va_arg(out, int *)) == napi_ok;
    else if (kinds[i] == 'u') good = napi_get_value_uint32(env, values[i], va_arg(out, uint32_t *)) == napi_ok;
    else if (kinds[i] == 's') good = get_path(env, values[i], va_arg(out, char *));
    else if (kinds[i] == 'b') good = get_bytes(env, values[i], va_arg(out, Bytes *));
    else good = get_function(env, values[i], va_arg(out, napi_value *));
  }
  va_end(out);
  if (good) return addon;
  fail(env, form);
  return NULL;
}

napi_value number(napi_env env, int64_t value) {
  napi_value out = NULL;
  napi_create_int64(env, value, &out);
  return out;
}

napi_value result(napi_env env, int64_t returned) {
  return number(env, returned < 0 ? -errno : returned);
}

/* ---- descriptors and watches ---- */

static Slot *slot_of(Addon *addon, int fd) {
  return fd >= 0 && (size_t)fd < addon->slot_count ? &addon->slots[fd] : NULL;
}

static bool grow_slots(Addon *addon, int fd) {
  size_t count = addon->slot_count > 0 ? addon->slot_count : 64;
  while (count <= (size_t)fd) count *= 2;
  if (count == addon->slot_count) return true;
  Slot *slots = realloc(addon->slots, count * sizeof(Slot));
  if (slots == NULL) return false;
  memset(slots + addon->slot_count, 0, (count - addon->slot_count) * sizeof(Slot));
  addon->slots = slots;
  addon->slot_count = count;
  return true;
}

void disown(Addon *addon, int fd) {
  addon->slots[fd].owned = false;
  close(fd);
}

int own_all(Addon *addon, const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (grow_slots(addon, fds[i])) {
      addon->slots[fds[i]].owned = true;
      continue;
    }
    for (size_t k = 0; k < count; k++) {
      if (k < i) disown(addon, fds[k]);
      else close(fds[k]);
    }
    errno = ENOMEM;
    return -1;
  }
  return 0;
}

int own(Addon *addon, int fd) {
  return fd < 0 || own_all(addon, &fd, 1) < 0 ? -1 : fd;
}

/* With the environment gone and the last watch freed, nobody can reach the addon any more. */
static void finish(Addon *addon) {
  if (!addon->ended || addon->closing > 0) return;
  napi_remove_async_cleanup_hook(addon->hook);
  free(addon->slots);
  free(addon);
}

static void on_watch_closed(uv_handle_t *handle) {
  Watch *watch = handle->data;
  Addon *addon = watch->addon;
  free(watch);
  addon->closing--;
  finish(addon);
}

/* libuv forgets the descriptor within uv_close, so it may be closed right after. */
static void stop_watch(Addon *addon, Slot *slot) {
  Watch *watch = slot->watch;
  if (watch == NULL) return;
  slot->watch = NULL;
  napi_delete_reference(addon->env, watch->listener);
  addon->closing++;
  uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static void on_event(uv_poll_t *poll, int status, int events) {
  (void)events;
  Watch *watch = poll->data;
  napi_env env = watch->addon->env;
  /* An error waiting on the descriptor (ENETDOWN, a netlink overrun) makes libuv stop the poll. The listener's next
   * receive() fetches that error, so it is called like for data, and polling goes on. */
  if (status < 0) uv_poll_start(poll, UV_READABLE, on_event);

  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value listener, receiver;
  if (napi_get_reference_value(env, watch->listener, &listener) == napi_ok && napi_get_global(env, &receiver) == napi_ok) {
    /* From here on the watch may be closing: it is not touched again. */
    napi_status called = napi_make_callback(env, watch->addon->context, receiver, listener, 0, NULL, NULL);
    napi_value error;
    if (called == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok) {
      napi_fatal_exception(env, error); /* 'uncaughtException', as for a throw in any other callback */
    }
  }
  napi_close_handle_scope(env, scope);
}

/* watch(fd, listener): calls listener() from the event loop as long as fd is readable or has an error waiting. */
static napi_value WatchFd(napi_env env, napi_callback_info info) {
  int fd;
  napi_value listener;
  Addon *addon = parse(env, info, "watch(fd, listener)", "if", &fd, &listener);
  if (addon == NULL) return NULL;
  if (fd < 0) return number(env, -EBADF);
  if (!grow_slots(addon, fd)) return number(env, -ENOMEM);
  if (addon->slots[fd].watch != NULL) return number(env, -EEXIST);

  Watch *watch = calloc(1, sizeof *watch);
  if (watch == NULL) return number(env, -ENOMEM);
  int failure = uv_poll_init(addon->loop, &watch->poll, fd);
  if (failure < 0) { /* the handle never was in the loop */
    free(watch);
    return number(env, failure);
  }
  watch->addon = addon;
  watch->poll.data = watch;
  addon->slots[fd].watch = watch;
  if (napi_create_reference(env, listener, 1, &watch->listener) != napi_ok) {
    stop_watch(addon, &addon->slots[fd]);
    return fail(env, "watch: no reference to the listener");
  }
  return number(env, uv_poll_start(&watch->poll, UV_READABLE, on_event));
}

/* unwatch(fd): 0 also when nothing was watched. */
static napi_value UnwatchFd(napi_env env, napi_callback_info info) {
  int fd;
  Addon *addon = parse(env, info, "unwatch(fd)", "i", &fd);
  if (addon == NULL) return NULL;
  Slot *slot = slot_of(addon, fd);
  if (slot != NULL) stop_watch(addon, slot);
  return number(env, 0);
}

/* close(fd): ends its watch too. */
static napi_value Close(napi_env env, napi_callback_info info) {
  int fd;
  Addon *addon = parse(env, info, "close(fd)", "i", &fd);
  if (addon == NULL) return NULL;
  Slot *slot = slot_of(addon, fd);
  if (slot != NULL) {
    stop_watch(addon, slot);
    slot->owned = false;
  }
  return result(env, close(fd));
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  Addon *addon = data;
  addon->ended = true;
  for (size_t fd = 0; fd < addon->slot_count; fd++) {
    Slot *slot = &addon->slots[fd];
    stop_watch(addon, slot);
    if (slot->owned) close((int)fd);
    slot->owned = false;
  }
  napi_async_destroy(addon->env, addon->context);
  finish(addon);
}

/* ---- the module ---- */

static bool export_all(napi_env env, napi_value exports, const Function *functions, size_t count, Addon *addon) {
  for (size_t i = 0; i < count; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, addon, &function) != napi_ok ||
        napi_set_named_property(env, exports, functions[i].name, function) != napi_ok) {
      return false;
    }
  }
  return true;
}

NAPI_MODULE_INIT() {
  static const Function own_functions[] = {{"close", Close}, {"watch", WatchFd}, {"unwatch", UnwatchFd}};
  Addon *addon = calloc(1, sizeof *addon);
  if (addon == NULL) return fail(env, "rawio: out of memory");
  addon->env = env;
  napi_value name;
  if (napi_get_uv_event_loop(env, &addon->loop) != napi_ok ||
      napi_create_string_utf8(env, "rawio", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, NULL, name, &addon->context) != napi_ok ||
      napi_add_async_cleanup_hook(env, on_environment_end, addon, &addon->hook) != napi_ok) {
    free(addon);
    return fail(env, "rawio: cannot join the event loop");
  }
  if (!export_all(env, exports, own_functions, 3, addon) || !export_all(env, exports, calls, call_count, addon) ||
      !export_all(env, exports, message_calls, message_call_count, addon)) {
    return fail(env, "rawio: cannot export its functions"); /* the cleanup hook frees the addon */
  }
  return exports;
}
