/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/proctab.h"

#include <errno.h>
#include <string.h>

#define FIRST_CAP 256u

void proctab_init(struct proctab *t, uint32_t max_entries)
{
	*t = (struct proctab){.max = max_entries};
}

void proctab_fini(struct proctab *t)
{
	free(t->procs);
	free(t->index);
	*t = (struct proctab){.max = t->max};
}

/* Fibonacci hashing: neighbouring pids, the usual case, spread evenly. */
static uint32_t home_of(const struct proctab *t, uint32_t pid)
{
	return (pid * 2654435769u >> 7) & t->index_mask;
}

/* The slot that holds pid, or the empty one where it would go. */
static uint32_t slot_of(const struct proctab *t, uint32_t pid)
{
	uint32_t i = home_of(t, pid);

	while (t->index[i] && t->procs[t->index[i] - 1].pid != pid)
		i = (i + 1) & t->index_mask;
	return i;
}

uint32_t proctab_find(const struct proctab *t, uint32_t pid)
{
	uint32_t entry = t->index ? t->index[slot_of(t, pid)] : 0;

	return entry ? entry - 1 : PROC_NO_ID;
}

/* Closes the gap, so that no search ever meets a tombstone. */
static void unindex(struct proctab *t, uint32_t pid)
{
	uint32_t hole = slot_of(t, pid);
	uint32_t i = hole;

	if (!t->index[hole])
		return;
	for (;;) {
		uint32_t home;

		i = (i + 1) & t->index_mask;
		if (!t->index[i])
			break;
		home = home_of(t, t->procs[t->index[i] - 1].pid);
		/* an entry may move back only as far as its home */
		if (((i - home) & t->index_mask) < ((i - hole) & t->index_mask))
			continue;
		t->index[hole] = t->index[i];
		hole = i;
	}
	t->index[hole] = 0;
}

/* Entries that were split off share their pid with their successor and are not indexed. */
static bool is_indexed(const struct proctab *t, uint32_t id)
{
	return proctab_find(t, t->procs[id].pid) == id;
}

/* An index at most half full for cap entries. */
static int index_anew(struct proctab *t, uint32_t cap)
{
	uint32_t old_slots = t->index ? t->index_mask + 1 : 0;
	uint32_t slots = FIRST_CAP * 2;
	uint32_t *old = t->index;
	uint32_t *index;

	while (slots < cap * 2)
		slots *= 2;
	if (slots == old_slots)
		return 0;
	index = calloc(slots, sizeof(*index));
	if (!index)
		return -ENOMEM;
	t->index = index;
	t->index_mask = slots - 1;
	for (uint32_t i = 0; i < old_slots; i++)
		if (old[i])
			index[slot_of(t, t->procs[old[i] - 1].pid)] = old[i];
	free(old);
	return 0;
}

static int grow(struct proctab *t)
{
	uint32_t cap = t->cap ? MORE_THAN(t->cap) : FIRST_CAP;
	struct proc *procs = realloc(t->procs, cap * sizeof(*procs));

	if (!procs)
		return -ENOMEM;
	t->procs = procs;
	/* what has no place in the index is not counted as room */
	if (index_anew(t, cap) < 0)
		return -ENOMEM;
	memset(procs + t->cap, 0, (cap - t->cap) * sizeof(*procs));
	t->cap = cap;
	return 0;
}

/* The lowest free id, marked as used. */
static int take_id(struct proctab *t, uint32_t *ret_id)
{
	uint32_t id = t->low_free;
	int r;

	if (t->count >= t->max)
		return -ENOSPC;
	if (t->count == t->cap) {
		r = grow(t);
		if (r < 0)
			return r;
	}
	while (t->procs[id].kind != PROC_FREE)
		id++;
	t->low_free = id + 1;
	t->high = MAX_OF(t->high, id + 1);
	t->count++;
	*ret_id = id;
	return 0;
}

void proc_reset(struct proc *p)
{
	*p = (struct proc){
		.pid = p->pid,
		.kind = PROC_LIVE,
		.cgroup = PROC_NO_CGROUP,
		.minflt = UINT64_MAX,
		.majflt = UINT64_MAX,
		.cpu_ms = UINT64_MAX,
		.rss = PROC_ABSENT,
		.anon = PROC_ABSENT,
		.file = PROC_ABSENT,
		.shmem = PROC_ABSENT,
		.swap = PROC_ABSENT,
		.threads = PROC_ABSENT,
		.fds = PROC_ABSENT,
	};
}

int proctab_add(struct proctab *t, uint32_t pid, uint32_t *ret_id)
{
	uint32_t id;
	int r = take_id(t, &id);

	if (r < 0)
		return r;
	t->procs[id].pid = pid;
	proc_reset(&t->procs[id]);
	t->index[slot_of(t, pid)] = id + 1;
	*ret_id = id;
	return 0;
}

void proctab_remove(struct proctab *t, uint32_t id)
{
	if (is_indexed(t, id))
		unindex(t, t->procs[id].pid);
	t->procs[id].kind = PROC_FREE;
	t->low_free = MIN_OF(t->low_free, id);
	t->count--;
	while (t->high && t->procs[t->high - 1].kind == PROC_FREE)
		t->high--;
}

void proctab_shrink(struct proctab *t)
{
	uint32_t cap = MAX_OF(t->high * 2, FIRST_CAP);
	struct proc *procs;

	if (t->cap <= FIRST_CAP * 4 || t->high > t->cap / 4)
		return;
	/* without memory for a smaller one, the large one stays */
	if (index_anew(t, cap) < 0)
		return;
	procs = realloc(t->procs, cap * sizeof(*procs));
	if (procs)
		t->procs = procs;
	t->cap = cap;
}

int proctab_split(struct proctab *t, uint32_t id, uint32_t *ret_id)
{
	uint32_t fresh_id;
	int r = take_id(t, &fresh_id);

	if (r < 0)
		return r;
	t->procs[fresh_id] = t->procs[id];
	/* the old one is the member, until it leaves */
	t->procs[fresh_id].cgroup = PROC_NO_CGROUP;
	t->procs[fresh_id].killer = false;
	/* what is read of its interpreter goes with it; it may have become one */
	t->procs[id].python = PROC_PYTHON_UNSEEN;
	if (t->procs[fresh_id].python == PROC_NO_PYTHON)
		t->procs[fresh_id].python = PROC_PYTHON_UNSEEN;
	t->index[slot_of(t, t->procs[id].pid)] = fresh_id + 1;
	*ret_id = fresh_id;
	return 0;
}

static int64_t wide(uint32_t v)
{
	return v == PROC_ABSENT ? METRIC_ABSENT : (int64_t)v;
}

static int64_t counter(uint64_t v)
{
	return v == UINT64_MAX ? METRIC_ABSENT : (int64_t)v;
}

void proc_values(const struct proc *p, unsigned page_kib, int64_t v[METRIC_COUNT])
{
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = wide(p->rss);
	v[METRIC_ANON] = wide(p->anon);
	v[METRIC_FILE] = wide(p->file);
	v[METRIC_SHMEM] = wide(p->shmem);
	v[METRIC_SWAP] = wide(p->swap);
	/* the wire ends at 2^53; no address space comes near */
	v[METRIC_VSIZE] = (int64_t)(MIN_OF(p->size, (uint64_t)1 << 46) * page_kib);
	v[METRIC_THREADS] = wide(p->threads);
	v[METRIC_FDS] = wide(p->fds);
	v[METRIC_MINFLT] = counter(p->minflt);
	v[METRIC_MAJFLT] = counter(p->majflt);
	v[METRIC_CPU] = counter(p->cpu_ms);
}
