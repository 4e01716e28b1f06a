/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - the places in a running CPython where a collection begins and ends, for uprobes.
 *
 * Builds with USDT (Debian's) declare both, python:gc__start and gc__done. Others are probed at
 * their collecting function, which .symtab must name (pyenv's and most that people build do), and
 * where it returns to. The latter is learned from the first collection that each caller begins: no
 * uretprobe is used, because that one swaps the return address on the target's stack, and the
 * kernel ends a program whose stack does not match what it keeps of these (kernel/events/uprobes.c,
 * uprobe_handle_trampoline()): one that switches stacks inside a collection (greenlet, gevent) can
 * come to that. A plain uprobe changes nothing that the program can see of its own state.
 *
 * The file is the very inode that is mapped (/proc/PID/map_files), so neither a container's root
 * nor a deleted or replaced file misleads.
 */
#ifndef MEMHERD_AGENT_PYTHON_PROBE_H
#define MEMHERD_AGENT_PYTHON_PROBE_H

#include <sys/types.h>

#include "agent/python/argument.h"
#include "agent/python/elf.h"
#include "common/buf.h"
#include "common/error.h"

#define PROBE_POINTS_MAX 24u

enum probe_kind { PROBE_USDT, PROBE_FUNCTION };
enum probe_role { PROBE_START, PROBE_DONE };
/* Where a start's generation is. */
enum probe_generation {
	PROBE_ARGUMENT,       /* what the note says */
	PROBE_SECOND,         /* second argument of the function, an int */
	PROBE_FIRST_OR_SECOND /* a clone with fewer arguments: see probe.c */
};

struct probe_point {
	enum probe_role role;
	enum probe_generation how;
	uint64_t address; /* in the process */
	uint64_t offset;  /* in the file */
	uint64_t counter; /* of its semaphore, in the file; 0 = has none */
	struct argument argument;
};

struct probe_points {
	enum probe_kind kind;
	struct probe_point points[PROBE_POINTS_MAX];
	unsigned n;
	uint64_t registers; /* bits: what each sample must hold */
	uint32_t stack;     /* bytes, a multiple of 8 */
	int file;           /* O_PATH */
	char name[64];      /* last part of the file's path, safe to print */
	struct buf image;
	struct elf elf;
	uint64_t bias;
};

/*
 * image: where the file that holds CPython is mapped from (struct runtime), 0 = look for it.
 * -ENOTSUP: no CPython, or one that offers no place to probe; -ESRCH; -EACCES, -EPERM. On success
 * the caller ends it with probe_fini().
 */
int probe_find(pid_t pid, uint64_t image, struct probe_points *ret, struct error *err) must_use;
void probe_fini(struct probe_points *p);

/* The point at an address of the process, or NULL. */
const struct probe_point *probe_at(const struct probe_points *p, uint64_t address);
/*
 * PROBE_FUNCTION: adds where a start's caller goes on, from the start's sample. 1 = added (the last
 * of the points), 0 = known already, -ENOTSUP = not a place after a call in this file, -ENOSPC.
 */
int probe_learn_return(struct probe_points *p, const struct hit_state *start) must_use;

/* What a start's sample says of the generation, what a done's of the objects: -1 = unknown. */
int probe_generation(const struct probe_point *p, const struct hit_state *h);
int64_t probe_collected(const struct probe_points *all, const struct probe_point *p,
			const struct hit_state *h);

#endif
