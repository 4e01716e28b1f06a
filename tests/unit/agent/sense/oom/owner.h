/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner.h - who owns a struct oom in a test: a table of a few processes, a flight ring, a cgroup
 * tree and host figures, and everything that was told, packed and unpacked as a receiver does it.
 */
#ifndef MEMHERD_TESTS_UNIT_OOM_OWNER_H
#define MEMHERD_TESTS_UNIT_OOM_OWNER_H

#include <event2/event.h>

#include "agent/sense/oom/oom.h"
#include "agent/sense/procdir.h"
#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "proto/wire.h"
#include "tests/support/test.h"

#define OWNER_MAX 64u

struct owner {
	struct event_base *base;
	struct ring ring;
	struct cgroup_tree tree;
	int64_t host[HOST_METRIC_COUNT];
	struct {
		uint32_t pid; /* 0 = free */
		struct oom_process p;
	} procs[OWNER_MAX];
	struct arena arena; /* of what was told */
	struct wire_kill kills[OWNER_MAX];
	size_t n_kills;
	size_t packed_max;
	const pid_t *wanted;
	size_t n_wanted;
	struct wire_event events[OWNER_MAX];
	size_t n_events;
	unsigned pressure;
	int refuse;   /* what on_kill returns */
	int64_t t_us; /* of the ring's last round */
};

static inline bool owner_wants(const struct owner *w, int64_t pid)
{
	for (size_t i = 0; i < w->n_wanted; i++)
		if (w->wanted[i] == pid)
			return true;
	return !w->wanted;
}

static inline bool owner_find(void *arg, uint32_t pid, struct oom_process *ret)
{
	struct owner *w = arg;

	for (size_t i = 0; i < OWNER_MAX; i++) {
		if (!w->procs[i].pid || w->procs[i].pid != pid)
			continue;
		*ret = w->procs[i].p;
		return true;
	}
	return false;
}

static inline int owner_kill(void *arg, const struct wire_kill *k)
{
	struct owner *w = arg;
	struct error err = {""};
	struct wire_kill got;
	struct buf b;
	uint8_t *copy;

	buf_init(&b, 1 << 20);
	wire_pack_kill(&b, k);
	assert_int_equal(buf_status(&b), 0);
	copy = arena_alloc(&w->arena, b.len);
	assert_non_null(copy);
	memcpy(copy, b.data, b.len);
	if (wire_unpack_kill(&w->arena, copy, b.len, &got, &err) < 0)
		fail_msg("a kill is refused: %s", err.msg);
	w->packed_max = MAX_OF(w->packed_max, b.len);
	buf_fini(&b);
	if (owner_wants(w, got.victim.pid) && w->n_kills < OWNER_MAX)
		w->kills[w->n_kills++] = got;
	return w->refuse;
}

static inline void owner_event(void *arg, const struct wire_event *e)
{
	struct owner *w = arg;
	struct error err = {""};
	struct wire_event got;
	struct buf b;
	uint8_t *copy;

	buf_init(&b, 1 << 20);
	wire_pack_event(&b, e);
	assert_int_equal(buf_status(&b), 0);
	copy = arena_alloc(&w->arena, b.len);
	assert_non_null(copy);
	memcpy(copy, b.data, b.len);
	if (wire_unpack_event(&w->arena, copy, b.len, &got, &err) < 0)
		fail_msg("an event is refused: %s", err.msg);
	buf_fini(&b);
	if (w->n_events < OWNER_MAX)
		w->events[w->n_events++] = got;
}

static inline void owner_pressure(void *arg)
{
	struct owner *w = arg;

	w->pressure++;
}

static inline void owner_init(struct owner *w)
{
	memset(w, 0, sizeof(*w));
	w->base = event_base_new();
	assert_non_null(w->base);
	assert_int_equal(ring_init(&w->ring, &ring_defaults), 0);
	w->tree.fd = -1;
	arena_init(&w->arena, (size_t)64 << 20);
	for (size_t i = 0; i < HOST_METRIC_COUNT; i++)
		w->host[i] = METRIC_ABSENT;
}

static inline void owner_fini(struct owner *w)
{
	cgroup_tree_fini(&w->tree);
	ring_fini(&w->ring);
	arena_fini(&w->arena);
	event_base_free(w->base);
}

static inline struct oom_config owner_config(struct owner *w)
{
	struct oom_config cfg = {
		.base = w->base,
		.exits_fd = -1,
		.trace_fd = -1,
		.kmsg_path = "/nowhere/kmsg",
		.proc_path = "/proc",
		.ring = &w->ring,
		.cgroups = &w->tree,
		.host = w->host,
		.ops = {owner_find, owner_kill, owner_event, owner_pressure},
		.arg = w,
	};

	memset(cfg.boot_id, 7, sizeof(cfg.boot_id));
	return cfg;
}

/* ---- rounds ---- */

static inline void owner_round_begin(struct owner *w, int64_t t_us)
{
	w->t_us = t_us;
	ring_round_begin(&w->ring, t_us, 1u << RING_SLOW | 1u << RING_FAST);
}

/* Inside a round: a process is there from now on. */
static inline void owner_birth(struct owner *w, uint32_t pid, uint64_t start_ticks,
			       const char *comm, const char *service, const char *container,
			       uint16_t cgroup)
{
	struct ring_birth b = {.pid = pid,
			       .start_ticks = start_ticks,
			       .uid = 1000,
			       .fresh = false,
			       .comm = comm,
			       .service = service,
			       .container = container};
	uint32_t i = 0;

	while (i < OWNER_MAX && w->procs[i].pid)
		i++;
	assert_true(i < OWNER_MAX);
	w->procs[i].pid = pid;
	w->procs[i].p = (struct oom_process){.id = i, .start_ticks = start_ticks, .cgroup = cgroup};
	assert_int_equal(ring_birth(&w->ring, i, &b), 0);
}

static inline void owner_value(struct owner *w, uint32_t pid, uint32_t rss_kib)
{
	for (uint32_t i = 0; i < OWNER_MAX; i++)
		if (w->procs[i].pid == pid && pid)
			ring_value(&w->ring, i, rss_kib, 0);
}

/* Inside a round: it is not there any more. */
static inline void owner_gone(struct owner *w, struct oom *o, uint32_t pid)
{
	for (uint32_t i = 0; i < OWNER_MAX; i++) {
		if (w->procs[i].pid != pid || !pid)
			continue;
		oom_process_gone(o, pid, &w->procs[i].p);
		ring_exit(&w->ring, i);
		w->procs[i].pid = 0;
	}
}

/* ---- what was told ---- */

static inline const char *event_detail(const struct wire_event *e, const char *key)
{
	for (size_t i = 0; i < e->n_details; i++)
		if (strcmp(e->keys[i], key) == 0)
			return e->values[i];
	return "";
}

static inline size_t owner_events(const struct owner *w, enum wire_event_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_events; i++)
		n += w->events[i].kind == kind;
	return n;
}

/* The event of that kind about that pid (0 = about none): there is one and only one. */
static inline const struct wire_event *owner_event_of(const struct owner *w,
						      enum wire_event_kind kind, uint32_t pid)
{
	const struct wire_event *found = NULL;

	for (size_t i = 0; i < w->n_events; i++) {
		if (w->events[i].kind != kind || w->events[i].pid != pid)
			continue;
		if (found)
			fail_msg("told twice: '%s' and '%s'", found->text, w->events[i].text);
		found = &w->events[i];
	}
	if (!found) {
		fail_msg("no event '%s' of pid %u", wire_event_word(kind), pid);
		abort();
	}
	return found;
}

/* The kill of that pid: there is one and only one. */
static inline const struct wire_kill *owner_kill_of(const struct owner *w, uint32_t pid)
{
	const struct wire_kill *found = NULL;

	for (size_t i = 0; i < w->n_kills; i++) {
		if (w->kills[i].victim.pid != pid)
			continue;
		if (found)
			fail_msg("the kill of %u was told twice", pid);
		found = &w->kills[i];
	}
	if (!found) {
		fail_msg("no kill of %u", pid);
		abort();
	}
	return found;
}

/* Turns of the loop until done says so; fails after ms. */
static inline void owner_turn(struct owner *w, bool (*done)(const struct owner *), unsigned ms)
{
	int64_t end = clock_boot_us() + (int64_t)ms * 1000;

	while (!done(w)) {
		if (clock_boot_us() > end)
			fail_msg("nothing came in %u ms: %zu kills, %zu events", ms, w->n_kills,
				 w->n_events);
		event_base_loop(w->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(2000);
	}
}

#endif
