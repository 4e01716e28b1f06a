/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why it grows, from one look or from two with samples between them: what the collector's verdict
 * is made of, as far as one process can be asked for it here and now.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/act/census.h"
#include "agent/inspect_census.h"
#include "agent/inspection.h"
#include "agent/python/heap.h"
#include "common/clock.h"
#include "proto/leak_json.h"

#define JSON_MAX (64u << 10)

/* ---- watching ---- */

static void sleep_until(int64_t boot_us)
{
	const struct timespec ts = {.tv_sec = boot_us / USEC_PER_SEC,
				    .tv_nsec = boot_us % USEC_PER_SEC * 1000};

	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL))
		continue;
}

static void add(struct inspection_past *past, enum leak_series s, int64_t at_us, int64_t kib)
{
	size_t n = past->n[s];

	if (kib == METRIC_ABSENT || n == TREND_POINTS)
		return;
	past->samples[s][n] =
		(struct trend_point){.t = (double)(at_us - past->began_us) / USEC_PER_SEC,
				     .v = (double)kib * 1024};
	past->n[s] = n + 1;
}

static int take_sample(const struct procdir *d, struct inspection *in)
{
	int64_t at = clock_boot_us();
	char buf[4096];
	int64_t v[PROCFS_STATUS_COUNT];
	int n = procdir_read(d, in->pid, "status", buf, sizeof(buf));

	if (n < 0)
		return n;
	procfs_parse_status(buf, (size_t)n, v);
	add(&in->past, LEAK_OF_RSS, at, v[PROCFS_VMRSS]);
	add(&in->past, LEAK_OF_ANON, at, v[PROCFS_RSSANON]);
	add(&in->past, LEAK_OF_FILE, at, v[PROCFS_RSSFILE]);
	add(&in->past, LEAK_OF_SHMEM, at, v[PROCFS_RSSSHMEM]);
	return 0;
}

int inspection_watch(const struct inspect_options *o, const struct procdir *d,
		     struct inspection *in)
{
	struct inspection_past *past = &in->past;
	struct error err;
	int r = 0;

	inspection_read_python(in);
	inspection_read_heap(in);
	if (o->census && inspect_census(o->pid, &in->census, &err) < 0)
		inspection_note(in, "census, the first of two: %s", err.msg);
	past->census = in->census;
	in->census = (struct buf)BUF_INIT(CENSUS_BODY_MAX);
	memcpy(past->parts, in->parts, sizeof(past->parts));
	if (in->python.n)
		past->gc = in->python.interpreters[0].gc;
	past->collectors = in->python.n;
	past->began_us = clock_boot_us();
	for (int64_t i = 0; i < TREND_POINTS && r == 0; i++) {
		if (i)
			sleep_until(past->began_us +
				    i * (int64_t)o->seconds * USEC_PER_SEC / (TREND_POINTS - 1));
		r = take_sample(d, in);
	}
	/* Said again by the second look, where it is so still. */
	in->n_notes = 0;
	return r;
}

/* ---- evidence ---- */

static int64_t known(int64_t v)
{
	return v == METRIC_ABSENT ? LEAK_ABSENT : v;
}

static void set_collector(struct leak_evidence *e, const struct inspection *in)
{
	const struct gcstat *now = &in->python.interpreters[0].gc;
	const struct gcstat *then = &in->past.gc;

	e->version = in->python.runtime.version;
	e->gc_enabled = now->enabled;
	e->threshold0 = now->generations[0].threshold;
	if (!in->past.collectors)
		return;
	e->collected = 0;
	e->uncollectable = 0;
	for (unsigned g = 0; g < LAYOUT_GENERATIONS; g++) {
		const struct gcstat_generation *a = &then->generations[g];
		const struct gcstat_generation *b = &now->generations[g];

		e->gc_collections[g] = (int64_t)(b->collections - a->collections);
		e->collected += (int64_t)(b->collected - a->collected);
		e->uncollectable += (int64_t)(b->uncollectable - a->uncollectable);
	}
}

/* NULL where there is no census. */
static struct wire_census *unpack(struct arena *arena, const struct buf *body)
{
	struct wire_census *c = body->len ? arena_alloc(arena, sizeof(*c)) : NULL;
	struct error err;

	return c && wire_unpack_census(arena, body->data, body->len, c, &err) == 0 ? c : NULL;
}

static bool counts_of(struct arena *arena, const struct wire_census *c, struct leak_counts *ret)
{
	struct leak_count *rows = arena_alloc(arena, MAX_OF(c->n_types, (size_t)1) * sizeof(*rows));

	if (!rows)
		return false;
	for (size_t i = 0; i < c->n_types; i++)
		rows[i] = (struct leak_count){c->types[i].name, (int64_t)c->types[i].count,
					      (int64_t)c->types[i].bytes};
	*ret = (struct leak_counts){rows, c->n_types, c->types_total};
	return true;
}

static void set_censuses(struct leak_evidence *e, const struct inspection *in, struct arena *arena)
{
	const struct wire_census *now = unpack(arena, &in->census);
	const struct wire_census *then = now ? unpack(arena, &in->past.census) : NULL;
	struct leak_counts last;
	struct leak_counts base;

	if (!now)
		return;
	e->objects = (int64_t)now->objects;
	e->objects_bytes = (int64_t)now->bytes;
	if (!then || !counts_of(arena, now, &last) || !counts_of(arena, then, &base))
		return;
	e->base_objects = (int64_t)then->objects;
	e->base_objects_bytes = (int64_t)then->bytes;
	e->census_span_s = (double)(now->t_wall_us - then->t_wall_us) / USEC_PER_SEC;
	e->counts_are_exact =
		now->method != CENSUS_METHOD_LIVE && then->method != CENSUS_METHOD_LIVE;
	leak_take_types(e, &last, &base);
}

static void gather(struct leak_evidence *e, const struct inspection *in, struct arena *arena)
{
	leak_evidence_init(e);
	e->on_host = true;
	e->rss = known(in->rss);
	e->swap = known(in->swap);
	e->limit = known(in->limit);
	for (unsigned s = 0; s < LEAK_SERIES; s++)
		leak_take_samples(e, s, in->past.samples[s], in->past.n[s]);
	memcpy(e->parts, in->parts, sizeof(e->parts));
	if (in->past.began_us)
		memcpy(e->base_parts, in->past.parts, sizeof(e->base_parts));
	set_collector(e, in);
	set_censuses(e, in, arena);
}

/* ---- telling ---- */

static bool judge(const struct inspection *in, struct arena *arena, struct leak_evidence *e,
		  struct leak_verdict *v)
{
	arena_init(arena, 2 * WIRE_BUDGET(CENSUS_BODY_MAX));
	if (in->python.state != PYTHON_READABLE)
		return false;
	gather(e, in, arena);
	leak_judge(e, v);
	return true;
}

void inspection_print_verdict(const struct inspection *in)
{
	auto_arena struct arena arena;
	struct leak_evidence e;
	struct leak_verdict v;

	if (!judge(in, &arena, &e, &v))
		return;
	printf("%-10s %s (%s)\n", "verdict", v.sentence, kill_confidence_word(v.confidence));
	for (unsigned i = 0; i < v.n_evidence; i++)
		printf("%-10s - %s\n", "", v.evidence[i]);
	for (unsigned i = 0; i < v.n_advice; i++)
		printf("%-10s %s\n", i ? "" : "advice", v.advice[i]);
	if (!in->past.began_us)
		printf("%-10s whether it grows takes two looks: inspect --seconds 60 --census\n",
		       v.n_advice ? "" : "advice");
}

void inspection_write_verdict(const struct inspection *in)
{
	auto_buf struct buf text = BUF_INIT(JSON_MAX);
	auto_arena struct arena arena;
	struct leak_evidence e;
	struct leak_verdict v;
	struct json_writer w;

	if (judge(in, &arena, &e, &v)) {
		jw_init(&w, &text);
		jw_object(&w);
		leak_json(&w, &e, &v);
		jw_object_end(&w);
	}
	if (text.len && buf_status(&text) == 0)
		fwrite(text.data, 1, text.len, stdout);
	else
		fputs("null", stdout);
}
