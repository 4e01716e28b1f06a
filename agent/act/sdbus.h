/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sdbus.h - the few functions of libsystemd.so.0 that ask systemd something, loaded while they are
 * needed: hosts without systemd have no such library. Nothing is linked and no header of systemd is
 * needed to build. The prototypes are those of sd-bus(3), there since systemd 221 to 240.
 */
#ifndef MEMHERD_AGENT_ACT_SDBUS_H
#define MEMHERD_AGENT_ACT_SDBUS_H

#include <stdint.h>

#include "common/error.h"

struct sd_bus; /* the library's own */
struct sd_bus_message;

struct sdbus_error { /* sd_bus_error(3) */
	const char *name;
	const char *message;
	int need_free;
};

/* clang-format off: it takes the pointers for products. */
/* X(name, arguments): 'int sd_bus_<name>(arguments)'; 0, positive or -errno. */
#define SDBUS_LIST(X)                                                                             \
	X(new, (struct sd_bus * *ret))                                                            \
	X(set_address, (struct sd_bus * bus, const char *address))                                \
	X(set_bus_client, (struct sd_bus * bus, int yes))                                         \
	X(set_method_call_timeout, (struct sd_bus * bus, uint64_t usec))                          \
	X(start, (struct sd_bus * bus))                                                           \
	X(call_method, (struct sd_bus * bus, const char *destination, const char *path,           \
			const char *interface, const char *member, struct sdbus_error *error,     \
			struct sd_bus_message **reply, const char *types, ...))                   \
	X(message_read_basic, (struct sd_bus_message * m, char type, void *ret))                  \
	X(get_property_string,                                                                    \
	  (struct sd_bus * bus, const char *destination, const char *path, const char *interface, \
	   const char *member, struct sdbus_error *error, char **ret))                            \
	X(get_property_trivial,                                                                   \
	  (struct sd_bus * bus, const char *destination, const char *path, const char *interface, \
	   const char *member, struct sdbus_error *error, char type, void *ret))
/* clang-format on */

struct sdbus {
	void *handle; /* NULL = not loaded */
#define X(name, args) int(*name) args;
	SDBUS_LIST(X)
#undef X
	struct sd_bus_message *(*message_unref)(struct sd_bus_message *m);
	struct sd_bus *(*flush_close_unref)(struct sd_bus *bus);
	void (*error_free)(struct sdbus_error *e);
};

/* -ENOENT: no such library; -ENOSYS: it lacks a function. */
int sdbus_load(struct sdbus *ret, struct error *err) must_use;
void sdbus_unload(struct sdbus *lib);

#endif
