/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#define SMAPS_MAX        (16u << 20)
#define BYTES_MAX        (INT64_C(1) << 53)
#define STATUS_SIZE      8192
#define MALLOC_HEAP      (64ull << 20)
#define PYMALLOC_OLD     (256ull << 10)
#define PYMALLOC         (1ull << 20)
#define PYMALLOC_NEW     10u         /* 3.10 */
#define GUARD_MAX        (64u << 10) /* below a thread's stack */
#define PYMALLOC_MAPPING "[anon:cpython:pymalloc]"

struct mapping {
	uint64_t start;
	uint64_t end;
	char perms[5];
	uint64_t inode;
	char path[32]; /* its beginning */
};

struct parse {
	uint64_t arena; /* of Python's allocator */
	int64_t *parts;
	struct mapping guard; /* the last mapping without access */
	enum heap_part part;  /* of the mapping whose lines come */
};

static bool is_shared_memory(const struct mapping *m)
{
	return str_starts(m->path, "/dev/shm/") || str_starts(m->path, "/memfd:") ||
	       str_starts(m->path, "/dev/zero") || str_starts(m->path, "/SYSV");
}

static enum heap_part part_of(struct parse *p, const struct mapping *m)
{
	bool writable = m->perms[1] == 'w';
	bool above_guard = p->guard.end == m->start && p->guard.end - p->guard.start <= GUARD_MAX;

	if (m->perms[3] == 's' && is_shared_memory(m))
		return HEAP_PART_SHMEM;
	if (m->inode)
		return HEAP_PART_FILE;
	if (strcmp(m->path, "[heap]") == 0)
		return HEAP_PART_MALLOC;
	if (strcmp(m->path, "[stack]") == 0)
		return HEAP_PART_STACKS;
	if (strcmp(m->path, PYMALLOC_MAPPING) == 0)
		return HEAP_PART_PYMALLOC;
	if (writable && m->start % MALLOC_HEAP == 0 && m->end - m->start <= MALLOC_HEAP) {
		p->parts[HEAP_PART_ARENAS]++;
		return HEAP_PART_MALLOC;
	}
	if (writable && above_guard)
		return HEAP_PART_STACKS;
	return writable && (m->end - m->start) % p->arena == 0 ? HEAP_PART_PYMALLOC
							       : HEAP_PART_NATIVE;
}

/* 'start-end perms offset dev inode path'; false for the other lines. */
static bool parse_head(const char *line, struct mapping *m)
{
	*m = (struct mapping){0};
	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*x:%*x %" SCNu64 " %31[^\n]",
		      &m->start, &m->end, m->perms, &m->inode, m->path) >= 4 &&
	       m->start < m->end && strlen(m->perms) == 4;
}

/* No line and no sum says more than an address space has. */
static void add(struct parse *p, enum heap_part part, int64_t kib)
{
	if (kib >= 0 && kib <= BYTES_MAX / 1024)
		p->parts[part] = MIN_OF(p->parts[part] + kib * 1024, BYTES_MAX);
}

static void parse_line(struct parse *p, const char *line)
{
	struct mapping m;
	int64_t kib;

	if (sscanf(line, "Rss: %" SCNd64 " kB", &kib) == 1) {
		add(p, p->part, kib);
		add(p, HEAP_PART_RSS, kib);
	} else if (sscanf(line, "Swap: %" SCNd64 " kB", &kib) == 1) {
		add(p, HEAP_PART_SWAP, kib);
	} else if (parse_head(line, &m)) {
		p->part = part_of(p, &m);
		if (m.perms[0] == '-' && !m.inode)
			p->guard = m;
	}
}

void heap_parse(const char *text, unsigned minor, int64_t parts[HEAP_PART_COUNT])
{
	static const enum heap_part told[] = {HEAP_PART_RSS,    HEAP_PART_PYMALLOC,
					      HEAP_PART_MALLOC, HEAP_PART_NATIVE,
					      HEAP_PART_STACKS, HEAP_PART_FILE,
					      HEAP_PART_SHMEM,  HEAP_PART_SWAP,
					      HEAP_PART_ARENAS};
	struct parse p = {
		.arena = minor >= PYMALLOC_NEW ? PYMALLOC : PYMALLOC_OLD,
		.parts = parts,
		.part = HEAP_PART_NATIVE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		parts[told[i]] = 0;
	/* The first arena is [heap], there or not. */
	parts[HEAP_PART_ARENAS] = 1;
	for (const char *line = text; *line;) {
		parse_line(&p, line);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
}

static void read_page_tables(pid_t pid, int64_t parts[HEAP_PART_COUNT])
{
	char path[32];
	char text[STATUS_SIZE];
	const char *line;
	int64_t kib;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0)
		return;
	line = strstr(text, "\nVmPTE:");
	if (line && sscanf(line, "\nVmPTE: %" SCNd64 " kB", &kib) == 1)
		parts[HEAP_PART_PAGE_TABLES] = kib * 1024;
}

int heap_read(pid_t pid, unsigned minor, int64_t parts[HEAP_PART_COUNT], struct error *err)
{
	auto_buf struct buf text = BUF_INIT(SMAPS_MAX);
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	rc = fs_read(path, &text, err);
	if (rc < 0)
		return rc;
	/* Empty when it has ended, or is a kernel thread. */
	if (!text.len)
		return error_set(err, -ESRCH, "process %d has no memory", (int)pid);
	heap_parse((const char *)text.data, minor, parts);
	read_page_tables(pid, parts);
	return 0;
}
