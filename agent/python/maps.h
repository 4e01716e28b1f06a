/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maps.h - /proc/PID/maps, parsed. Paths point into the text that was read, so they live as long
 * as the struct. A path is bytes that the target chose: never trust it to name the file, see
 * libc.c.
 */
#ifndef MEMHERD_AGENT_PYTHON_MAPS_H
#define MEMHERD_AGENT_PYTHON_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/error.h"

struct map {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	bool writable;
	bool executable;
	const char *path; /* "" when anonymous */
};

struct maps {
	struct buf text;
	struct map *rows; /* by address */
	size_t n;
};

/* Takes text over; -EBADMSG with the line's number when the kernel's format is not met. */
int maps_parse(struct buf *text, struct maps *ret, struct error *err) must_use;
int maps_load(pid_t pid, struct maps *ret, struct error *err) must_use;
void maps_fini(struct maps *m);

/* The mapping that holds the address, or NULL. */
const struct map *maps_at(const struct maps *m, uint64_t address);
/* The last part of the mapping's path, without ' (deleted)' it may carry. */
bool map_named(const struct map *m, const char *glob);

static inline void auto_maps_(struct maps *m)
{
	maps_fini(m);
}
#define auto_maps __attribute__((cleanup(auto_maps_)))

#endif
