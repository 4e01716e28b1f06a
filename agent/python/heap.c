/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/heap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/python/malloc.h"
#include "agent/python/pools.h"
#include "agent/python/smaps.h"
#include "common/str.h"

#define GUARD_MAX \
	(64u << 10) /* what glibc and musl put below a thread's stack; larger is a choice */
#define STACK_MAX (UINT64_C(1) << 30)
/* Walks of a heap that changes under our eyes are tried anew. */
#define LOOKS 3

struct sorting {
	pid_t pid;
	int minor;
	int64_t *parts;
	struct smap before; /* the mapping before this one */
	struct malloc_heap heaps;
	uint64_t arenas;
	uint64_t read;     /* bytes of memory whose structures were read */
	bool blind_malloc; /* some chunks could not be read */
	bool blind_pools;
	bool has_malloc;
};

static int64_t at_most(uint64_t v, int64_t limit)
{
	return v > (uint64_t)limit ? limit : (int64_t)v;
}

static bool may_read(struct sorting *s, const struct smap *m)
{
	/* a look would bring it back in */
	if (m->swap || s->read + (m->end - m->start) > HEAP_READ_MAX)
		return false;
	s->read += m->end - m->start;
	return true;
}

/* ---- the C library's heaps ---- */

static void walk_heap(struct sorting *s, const struct smap *m, uint64_t start, bool is_main)
{
	int r = -EBADMSG;

	if (!may_read(s, m)) {
		s->blind_malloc = true;
		return;
	}
	for (int i = 0; i < LOOKS && r == -EBADMSG; i++)
		r = malloc_walk(s->pid, start, m->end, is_main, &s->heaps);
	s->blind_malloc |= r < 0;
}

static void take_main_heap(struct sorting *s, const struct smap *m)
{
	s->parts[HEAP_PART_MALLOC] += m->rss;
	s->has_malloc = true;
	s->arenas++;
	walk_heap(s, m, m->start, true);
}

/* One mapping may hold several heaps, where each is full and the next follows. */
static bool take_arena(struct sorting *s, const struct smap *m)
{
	uint64_t size;
	bool first;

	if (!malloc_is_heap(s->pid, m->start, &size, &first))
		return false;
	s->parts[HEAP_PART_MALLOC] += m->rss;
	for (uint64_t at = m->start; at < m->end; at += MALLOC_HEAP_MAX) {
		if (!malloc_is_heap(s->pid, at, &size, &first))
			break;
		s->arenas += first;
		walk_heap(s, m, at, false);
	}
	return true;
}

/* ---- other anonymous memory ---- */

static bool is_stack(const struct sorting *s, const struct smap *m)
{
	const struct smap *guard = &s->before;

	if (strncmp(m->name, "[stack", 6) == 0)
		return true;
	return !guard->readable && !guard->writable && !*guard->name && guard->end == m->start &&
	       guard->end - guard->start <= GUARD_MAX && m->end - m->start <= STACK_MAX;
}

/* What is left of it when Python's pools are taken out. */
static int64_t take_pools(struct sorting *s, const struct smap *m)
{
	struct pools found = {0};
	int64_t resident;

	if (s->minor < 0)
		return m->rss;
	if (!may_read(s, m) ||
	    pools_scan(s->pid, m->start, m->end, pools_size_of((unsigned)s->minor), &found) < 0) {
		s->blind_pools = true;
		return m->rss;
	}
	/* what was never used of a pool is not there */
	resident = at_most(found.bytes - found.fresh_bytes, m->rss);
	s->parts[HEAP_PART_PYMALLOC] += resident;
	s->parts[HEAP_PART_PYMALLOC_FREE] += at_most(found.free_bytes, resident);
	return m->rss - resident;
}

static void take_anonymous(struct sorting *s, const struct smap *m)
{
	if (strcmp(m->name, "[heap]") == 0)
		take_main_heap(s, m);
	else if (is_stack(s, m))
		s->parts[HEAP_PART_STACKS] += m->rss;
	else if (m->readable && m->writable && m->rss && !take_arena(s, m))
		s->parts[HEAP_PART_NATIVE] += take_pools(s, m);
	else if (!m->writable)
		s->parts[HEAP_PART_NATIVE] += m->rss;
}

static void sort(struct sorting *s, const struct smap *m)
{
	bool named = *m->name && *m->name != '[';

	s->parts[HEAP_PART_RSS] += m->rss;
	s->parts[HEAP_PART_SWAP] += m->swap;
	if (m->shared) {
		/* of a file that is no file system's: memfd, SysV, /dev/zero, /dev/shm */
		bool memory = str_starts(m->name, "/memfd:") || str_starts(m->name, "/dev/") ||
			      str_starts(m->name, "/SYSV") || !named;

		s->parts[memory ? HEAP_PART_SHMEM : HEAP_PART_FILE] += m->rss;
	} else if (named) {
		s->parts[HEAP_PART_FILE] += m->rss - m->anonymous;
		s->parts[HEAP_PART_NATIVE] += m->anonymous;
	} else {
		take_anonymous(s, m);
	}
	s->before = *m;
}

/* ---- all of it ---- */

static int64_t page_tables(pid_t pid)
{
	char path[40];
	char line[256];
	int64_t kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPTE: %" SCNd64 " kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib < 0 ? HEAP_ABSENT : kib * 1024;
}

static void conclude(struct sorting *s)
{
	int64_t *parts = s->parts;

	parts[HEAP_PART_OBJECTS] = HEAP_ABSENT;
	parts[HEAP_PART_PAGE_TABLES] = page_tables(s->pid);
	parts[HEAP_PART_ARENAS] = (int64_t)s->arenas;
	parts[HEAP_PART_MALLOC_FREE] = at_most(s->heaps.free_bytes, INT64_MAX);
	parts[HEAP_PART_TRIM_GAIN] = at_most(s->heaps.gain_bytes, INT64_MAX);
	if (s->blind_malloc || !s->has_malloc)
		parts[HEAP_PART_MALLOC_FREE] = parts[HEAP_PART_TRIM_GAIN] = HEAP_ABSENT;
	if (s->minor < 0)
		parts[HEAP_PART_PYMALLOC] = HEAP_ABSENT;
	if (s->minor < 0 || s->blind_pools)
		parts[HEAP_PART_PYMALLOC_FREE] = HEAP_ABSENT;
}

int heap_read(pid_t pid, int minor, int64_t parts[HEAP_PART_COUNT], struct error *err)
{
	struct sorting s = {.pid = pid, .minor = minor, .parts = parts};
	struct smaps maps;
	struct smap m;
	int r = smaps_open(pid, &maps, err);

	memset(parts, 0, HEAP_PART_COUNT * sizeof(*parts));
	if (r < 0)
		return r;
	while ((r = smaps_next(&maps, &m)) > 0)
		sort(&s, &m);
	smaps_close(&maps);
	if (r < 0)
		return error_set(err, r, "/proc/%d/smaps is not as the kernel writes it", (int)pid);
	if (!parts[HEAP_PART_RSS] && !parts[HEAP_PART_SWAP])
		return error_set(err, -ESRCH, "process %d has no memory: a kernel thread, or ended",
				 (int)pid);
	conclude(&s);
	return 0;
}
