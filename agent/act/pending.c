/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/pending.h"

#include <errno.h>

#include "agent/python/memory.h"
#include "common/check.h"

#define CALLS_MAX      32 /* NPENDINGCALLS; MAXPENDINGCALLS_MAIN from 3.13 on */
#define FIRST_AT       528
#define MUTEX_IS_HELD  1u /* _Py_LOCKED; 2 = somebody waits */
#define MUTEX_ALL_BITS 3u

static const struct {
	unsigned minor;
	bool of_interpreter; /* else of _PyRuntime */
	bool mutex;
	uint32_t at;
} places[] = {
	{8, false, false, 608},  {9, true, false, 80},     {10, true, false, 80},
	{11, true, false, 112},  {12, false, false, 2024}, {13, false, true, 2648},
	{13, false, true, 2672}, {14, false, true, 2856},  {15, false, true, 2984},
};

/* A semaphore of glibc's: its value is in the low half of the first word, on any machine that we
 * know (nptl, struct new_sem). */
static int semaphore_held(pid_t pid, uint64_t at)
{
	uint64_t semaphore;
	uint32_t value;
	int rc = memory_read_u64(pid, at, &semaphore);

	if (rc == 0 && (!semaphore || semaphore % sizeof(void *)))
		rc = -EBADMSG;
	if (rc == 0)
		rc = memory_read(pid, semaphore, &value, sizeof(value));
	if (rc == 0 && value > 1)
		rc = -EBADMSG;
	return rc < 0 ? rc : value == 0;
}

static int mutex_held(pid_t pid, uint64_t at)
{
	uint8_t bits;
	int rc = memory_read(pid, at, &bits, sizeof(bits));

	if (rc == 0 && bits & ~MUTEX_ALL_BITS)
		rc = -EBADMSG;
	return rc < 0 ? rc : (bits & MUTEX_IS_HELD) != 0;
}

int pending_held(pid_t pid, const struct pending *p)
{
	return p->mutex ? mutex_held(pid, p->at) : semaphore_held(pid, p->at);
}

static bool looks_like_one(pid_t pid, const struct pending *p)
{
	int32_t n[3];
	int32_t ends[2];

	if (pending_held(pid, p) < 0)
		return false;
	if (p->mutex)
		return memory_read(pid, p->at + 4, n, sizeof(n)) == 0 && n[1] == CALLS_MAX &&
		       n[0] >= 0 && n[0] <= n[1] && n[2] >= 0 && n[2] <= n[1];
	return memory_read(pid, p->at + 8, n, sizeof(n[0])) == 0 && n[0] >= 0 &&
	       n[0] <= CALLS_MAX && memory_read(pid, p->at + FIRST_AT, ends, sizeof(ends)) == 0 &&
	       ends[0] >= 0 && ends[0] < CALLS_MAX && ends[1] >= 0 && ends[1] < CALLS_MAX;
}

void pending_find(const struct runtime *rt, uint64_t interpreter, struct pending *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		ret->at = (places[i].of_interpreter ? interpreter : rt->address) + places[i].at;
		ret->mutex = places[i].mutex;
		if (places[i].minor == rt->layout.minor && looks_like_one(rt->pid, ret))
			return;
	}
	ret->at = 0;
}
