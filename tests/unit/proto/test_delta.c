/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "proto/delta.h"
#include "proto/identity.h"

#include <errno.h>

#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define N 8

/* An encoder and a decoder, and what both should know. */
struct pair {
	struct delta_state from, to;
	int64_t v[N][METRIC_COUNT];
	int64_t host[HOST_METRIC_COUNT];
	struct buf wire;
};

static void set_all(int64_t *v, size_t n, int64_t to)
{
	for (size_t i = 0; i < n; i++)
		v[i] = to;
}

static void pair_init(struct pair *p)
{
	delta_init(&p->from);
	delta_init(&p->to);
	p->wire = BUF_INIT(65536);
	for (int i = 0; i < N; i++)
		set_all(p->v[i], METRIC_COUNT, METRIC_ABSENT);
	set_all(p->host, HOST_METRIC_COUNT, 7);
}

static void pair_fini(struct pair *p)
{
	delta_fini(&p->from);
	delta_fini(&p->to);
	buf_fini(&p->wire);
}

static int encode(struct pair *p, struct wire_tick *t, unsigned live)
{
	struct delta_encoder e;
	struct arena a;
	int rc;

	arena_init(&a, 1 << 20);
	buf_reset(&p->wire);
	rc = delta_begin(&e, &p->from, &a, t, N, (const size_t[]){N, N});
	for (uint32_t i = 0; i < N && !rc; i++)
		if (live & 1u << i)
			delta_process(&e, i, p->v[i]);
	if (!rc)
		delta_host(&e, p->host);
	if (!rc)
		rc = delta_finish(&e, &p->wire);
	arena_fini(&a);
	return rc;
}

static int decode(struct pair *p)
{
	struct error err = {""};
	struct wire_tick t;
	struct arena a;
	int rc;

	arena_init(&a, WIRE_BUDGET(p->wire.len));
	rc = wire_unpack_tick(&a, p->wire.data, p->wire.len, &t, &err);
	if (!rc)
		rc = delta_apply(&p->to, &t, &err);
	arena_fini(&a);
	return rc;
}

static void assert_same(struct pair *p, unsigned live)
{
	for (uint32_t i = 0; i < N; i++) {
		bool is = i < p->to.n_slots && p->to.slots[i].live;
		int64_t got[METRIC_COUNT];

		assert_int_equal(is, (live >> i) & 1);
		if (!is)
			continue;
		delta_values(&p->to.slots[i], got);
		assert_memory_equal(got, p->v[i], sizeof(got));
	}
	assert_memory_equal(p->to.host, p->host, sizeof(p->host));
}

static struct wire_process born(uint32_t id, bool known)
{
	return (struct wire_process){.id = id, .pid = id + 1, .known = known};
}

static void values_come_through_exactly(void **state unused_arg)
{
	struct wire_process two[] = {born(1, false), born(3, false)};
	struct wire_tick key = {.keyframe = true, .born = two, .n_born = 2};
	struct pair p;

	pair_init(&p);
	p.v[1][METRIC_RSS] = 1000;
	p.v[3][METRIC_CPU] = 0;
	assert_int_equal(encode(&p, &key, 0xa), 0);
	assert_int_equal(decode(&p), 0);
	assert_same(&p, 0xa);
	assert_true(p.to.slots[1].told);
	for (int64_t round = 0; round < 300; round++) {
		struct wire_tick t = {0};

		p.v[1][METRIC_RSS] += round % 7 - 3;
		p.v[1][METRIC_PSS] = round % 3 ? round : METRIC_ABSENT;
		p.v[3][METRIC_CPU] = INT64_C(1) << round % 54;
		p.host[HOST_METRIC_FREE] = round * 1000;
		assert_int_equal(encode(&p, &t, 0xa), 0);
		assert_int_equal(decode(&p), 0);
		assert_same(&p, 0xa);
	}
	pair_fini(&p);
}

static void what_stays_is_not_sent(void **state unused_arg)
{
	struct wire_process one[] = {born(2, false)};
	struct wire_tick key = {.keyframe = true, .born = one, .n_born = 1}, t = {0};
	struct pair p;

	pair_init(&p);
	p.v[2][METRIC_RSS] = 5;
	assert_int_equal(encode(&p, &key, 4), 0);
	assert_int_equal(encode(&p, &t, 4), 0);
	assert_int_equal(p.wire.len, 0);
	pair_fini(&p);
}

static void an_id_may_be_reused_at_once(void **state unused_arg)
{
	struct wire_process one[] = {born(2, false)};
	struct wire_tick key = {.keyframe = true, .born = one, .n_born = 1};
	uint32_t gone[] = {2};
	struct wire_tick t = {.born = one, .n_born = 1, .exited = gone, .n_exited = 1};
	struct wire_tick end = {.exited = gone, .n_exited = 1};
	struct pair p;

	pair_init(&p);
	p.v[2][METRIC_RSS] = 5000;
	p.v[2][METRIC_FDS] = 3;
	assert_int_equal(encode(&p, &key, 4), 0);
	assert_int_equal(decode(&p), 0);
	one[0].pid = 99;
	p.v[2][METRIC_RSS] = 7;
	p.v[2][METRIC_FDS] = METRIC_ABSENT;
	assert_int_equal(encode(&p, &t, 4), 0);
	assert_int_equal(decode(&p), 0);
	assert_same(&p, 4);
	assert_int_equal(p.to.slots[2].pid, 99);
	assert_int_equal(encode(&p, &end, 0), 0);
	assert_int_equal(decode(&p), 0);
	assert_same(&p, 0);
	pair_fini(&p);
}

/* One tick of one kind alone, there and back; v: its values, n each. */
static int object_round(struct pair *p, struct wire_tick *t, enum delta_kind kind, unsigned live,
			const int64_t *v, size_t n)
{
	const size_t some[DELTA_KINDS] = {N, N};
	struct delta_encoder e;
	struct arena a;
	int rc;

	arena_init(&a, 1 << 20);
	buf_reset(&p->wire);
	rc = delta_begin(&e, &p->from, &a, t, 0, some);
	for (uint32_t i = 0; i < N && !rc; i++)
		if (live & 1u << i)
			delta_put_object(&e, kind, i, v + i * n);
	if (!rc)
		rc = delta_finish(&e, &p->wire);
	arena_fini(&a);
	return rc ? rc : decode(p);
}

static int cgroup_round(struct pair *p, struct wire_tick *t, unsigned live,
			int64_t v[N][CGROUP_METRIC_COUNT])
{
	return object_round(p, t, DELTA_CGROUP, live, v[0], CGROUP_METRIC_COUNT);
}

static void assert_cgroup(const struct pair *p, size_t id, const int64_t v[CGROUP_METRIC_COUNT])
{
	assert_non_null(delta_object(&p->to, DELTA_CGROUP, id));
	assert_memory_equal(delta_object_values(&p->to, DELTA_CGROUP, id), v,
			    CGROUP_METRIC_COUNT * sizeof(*v));
}

static void cgroups_come_through_exactly(void **state unused_arg)
{
	struct wire_cgroup two[] = {{.id = 1, .path = "/a", .version = 2},
				    {.id = 4, .path = "/b", .version = 1}};
	struct wire_cgroup heir = {.id = 1, .path = "/c", .version = 2};
	struct wire_tick key = {.keyframe = true, .cgroups = two, .n_cgroups = 2}, t = {0};
	struct wire_tick gone = {.cgroups_gone = (uint32_t[]){1, 4},
				 .n_cgroups_gone = 2,
				 .cgroups = &heir,
				 .n_cgroups = 1};
	int64_t v[N][CGROUP_METRIC_COUNT];
	struct pair p;

	pair_init(&p);
	for (int i = 0; i < N; i++)
		set_all(v[i], CGROUP_METRIC_COUNT, METRIC_ABSENT);
	v[1][CGROUP_METRIC_USAGE] = 40;
	v[4][CGROUP_METRIC_LIMIT] = 4096;
	assert_int_equal(cgroup_round(&p, &key, 0x12, v), 0);
	assert_cgroup(&p, 1, v[1]);
	assert_cgroup(&p, 4, v[4]);
	v[1][CGROUP_METRIC_USAGE] = 30;
	v[4][CGROUP_METRIC_LIMIT] = METRIC_ABSENT;
	assert_int_equal(cgroup_round(&p, &t, 0x12, v), 0);
	assert_cgroup(&p, 1, v[1]);
	assert_cgroup(&p, 4, v[4]);
	/* its id goes to another: nothing of the old one stays */
	v[1][CGROUP_METRIC_USAGE] = METRIC_ABSENT;
	v[1][CGROUP_METRIC_SWAP] = 0;
	assert_int_equal(cgroup_round(&p, &gone, 0x2, v), 0);
	assert_null(delta_object(&p.to, DELTA_CGROUP, 4));
	assert_cgroup(&p, 1, v[1]);
	assert_int_equal(delta_object(&p.to, DELTA_CGROUP, 1)->key, identity_cgroup("/c"));
	t = (struct wire_tick){.cgroups_gone = (uint32_t[]){4}, .n_cgroups_gone = 1};
	assert_int_equal(cgroup_round(&p, &t, 0x2, v), -ENOMEM); /* our own base refuses it */
	pair_fini(&p);
}

static void interpreters_come_through_exactly(void **state unused_arg)
{
	struct wire_interpreter two[] = {{.id = 0, .process = 3, .number = 0},
					 {.id = 40, .process = 3, .number = 7}};
	struct wire_tick key = {.keyframe = true, .interpreters = two, .n_interpreters = 2};
	struct wire_tick t = {0};
	struct wire_tick gone = {.interpreters_gone = (uint32_t[]){0}, .n_interpreters_gone = 1};
	int64_t v[N][INTERPRETER_METRIC_COUNT];
	struct error err;
	struct pair p;

	two[1].id = 5;
	pair_init(&p);
	for (int i = 0; i < N; i++)
		set_all(v[i], INTERPRETER_METRIC_COUNT, METRIC_ABSENT);
	v[0][INTERPRETER_METRIC_GC2] = 12;
	v[5][INTERPRETER_METRIC_GC_TIME] = INT64_C(1) << 50;
	assert_int_equal(object_round(&p, &key, DELTA_INTERPRETER, 0x21, v[0],
				      INTERPRETER_METRIC_COUNT),
			 0);
	v[5][INTERPRETER_METRIC_GC_TIME] = 3;
	v[0][INTERPRETER_METRIC_GC2] = METRIC_ABSENT;
	assert_int_equal(object_round(&p, &t, DELTA_INTERPRETER, 0x21, v[0],
				      INTERPRETER_METRIC_COUNT),
			 0);
	for (size_t id = 0; id <= 5; id += 5)
		assert_memory_equal(delta_object_values(&p.to, DELTA_INTERPRETER, id), v[id],
				    sizeof(v[id]));
	assert_int_equal(delta_object(&p.to, DELTA_INTERPRETER, 5)->key, 7);
	assert_int_equal(delta_object(&p.to, DELTA_INTERPRETER, 5)->process, 3);
	assert_int_equal(object_round(&p, &gone, DELTA_INTERPRETER, 0x20, v[0],
				      INTERPRETER_METRIC_COUNT),
			 0);
	assert_null(delta_object(&p.to, DELTA_INTERPRETER, 0));
	/* a word of one that is not there */
	assert_int_equal(delta_apply(&p.to, &gone, &err), -EBADMSG);
	assert_string_equal(err.msg, "tick: interpreter id 0 goes and is not live");
	pair_fini(&p);
}

static void a_keyframe_needs_no_history(void **state unused_arg)
{
	struct wire_process one[] = {born(2, true)};
	struct wire_tick key = {.keyframe = true, .born = one, .n_born = 1}, again = key, t = {0};
	struct pair p;

	pair_init(&p);
	p.v[2][METRIC_RSS] = 5000;
	assert_int_equal(encode(&p, &t, 4), -ENOMEM);
	one[0].known = false;
	assert_int_equal(encode(&p, &key, 4), 0);
	assert_int_equal(decode(&p), 0);
	one[0].known = true;
	assert_int_equal(encode(&p, &again, 4), 0);
	assert_int_equal(decode(&p), 0);
	assert_true(p.to.slots[2].told);
	delta_fini(&p.to);
	assert_int_equal(decode(&p), 0);
	assert_same(&p, 4);
	assert_false(p.to.slots[2].told);
	pair_fini(&p);
}

static void hostile_ticks_are_refused(void **state unused_arg)
{
	struct wire_process one[] = {born(2, false), born(2, false)};
	uint32_t ids[] = {2}, stranger[] = {5}, high[] = {60000}, hm[] = {0};
	int64_t big[] = {INT64_MAX}, low[] = {-1}, delta[] = {1};
	struct wire_column c = {METRIC_RSS, 1, ids, big, 0, NULL};
	struct wire_tick key = {.keyframe = true, .born = one, .n_born = 1};
	struct wire_tick t = {.columns = &c, .n_columns = 1};
	struct wire_tick twice = {.keyframe = true, .born = one, .n_born = 2};
	struct wire_tick gone = {.exited = stranger, .n_exited = 1};
	struct wire_tick host = {.host_metrics = hm, .host_deltas = low, .n_host = 1};
	struct error err = {""};
	struct delta_state s;

	delta_init(&s);
	assert_int_equal(delta_apply(&s, &t, &err), -ENODATA);
#define BAD(tick, why)                                                    \
	do {                                                              \
		assert_int_equal(delta_apply(&s, &key, &err), 0);         \
		assert_int_equal(delta_apply(&s, tick, &err), -EBADMSG);  \
		assert_says(err, why);                                    \
		assert_int_equal(delta_apply(&s, &host, &err), -ENODATA); \
	} while (0)
	BAD(&t, "'rss' leaves its range");
	c.deltas = low;
	BAD(&t, "'rss' leaves its range");
	c = (struct wire_column){METRIC_RSS, 1, stranger, delta, 0, NULL};
	BAD(&t, "'rss' of id 5, which is not live");
	c.ids = high;
	BAD(&t, "'rss' of id 60000, which is not live");
	c = (struct wire_column){METRIC_RSS, 0, NULL, NULL, 1, high};
	BAD(&t, "'rss' of id 60000, which is not live");
	BAD(&twice, "born twice");
	BAD(&gone, "id 5 exits and is not live");
	BAD(&host, "'total' leaves its range");
#undef BAD
	delta_fini(&s);
}

/* All from id 'stay' on end, and the next round knows of no ids but those: what they took is given
 * back, and who stayed keeps its base. */
static void leave_but(struct delta_state *s, uint32_t *ids, uint32_t n, uint32_t stay)
{
	struct wire_tick t = {.exited = ids + stay, .n_exited = n - stay};
	struct wire_tick next = {0};
	struct delta_encoder e;
	auto_buf struct buf out = BUF_INIT((size_t)16 << 20);
	auto_arena struct arena a;
	int64_t v[METRIC_COUNT];

	arena_init(&a, (size_t)64 << 20);
	set_all(v, METRIC_COUNT, METRIC_ABSENT);
	v[METRIC_RSS] = 101;
	assert_int_equal(delta_begin(&e, s, &a, &t, n, (const size_t[DELTA_KINDS]){0}), 0);
	assert_int_equal(delta_finish(&e, &out), 0);
	assert_true(s->n_slots >= n);
	assert_int_equal(delta_begin(&e, s, &a, &next, stay, (const size_t[DELTA_KINDS]){0}), 0);
	assert_true(s->n_slots < 1000);
	delta_process(&e, 0, v);
	assert_int_equal(delta_finish(&e, &out), 0);
	assert_int_equal(next.n_columns, 1);
	assert_int_equal(next.columns[0].deltas[0], 1);
}

/* Each round a whole generation gives way to the next under the same ids. */
static void thousands_may_be_born_at_once(void **state unused_arg)
{
	enum { MANY = 20000 };
	struct wire_process *all = calloc(MANY, sizeof(*all));
	uint32_t *ids = calloc(MANY, sizeof(*ids));
	struct delta_state s;
	int64_t v[METRIC_COUNT];

	assert_true(all && ids);
	delta_init(&s);
	set_all(v, METRIC_COUNT, METRIC_ABSENT);
	for (uint32_t i = 0; i < MANY; i++) {
		all[i] = born(i, false);
		ids[i] = i;
	}
	for (int round = 0; round < 3; round++) {
		struct wire_tick t = {.keyframe = !round,
				      .born = all,
				      .n_born = MANY,
				      .exited = ids,
				      .n_exited = round ? MANY : 0};
		struct delta_encoder e;
		auto_buf struct buf out = BUF_INIT((size_t)16 << 20);
		auto_arena struct arena a;

		arena_init(&a, (size_t)64 << 20);
		v[METRIC_RSS] = 100;
		assert_int_equal(delta_begin(&e, &s, &a, &t, MANY, (const size_t[DELTA_KINDS]){0}),
				 0);
		for (uint32_t i = 0; i < MANY; i++)
			delta_process(&e, i, v);
		assert_int_equal(delta_finish(&e, &out), 0);
		/* Not one of them took the base of the process before it. */
		assert_int_equal(t.n_columns, 1);
		assert_int_equal(t.columns[0].n, MANY);
		for (int i = 0; i < MANY; i++)
			assert_int_equal(t.columns[0].deltas[i], 100);
	}
	leave_but(&s, ids, MANY, 1);
	delta_fini(&s);
	free(all);
	free(ids);
}

static void each_failed_allocation_leaves_the_base(void **state unused_arg)
{
	struct wire_process many[] = {born(1, false), born(200, false)};
	unsigned n = 0;
	int rc;

	do {
		struct wire_tick key = {.keyframe = true, .born = many, .n_born = 2};
		struct pair p;

		pair_init(&p);
		p.v[1][METRIC_RSS] = 5;
		alloc_fail_at(++n);
		rc = encode(&p, &key, 2);
		if (!rc)
			rc = decode(&p);
		alloc_fail_off();
		assert_true(alloc_failed() ? rc == -ENOMEM : rc == 0);
		pair_fini(&p);
	} while (alloc_failed());
	assert_true(n > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_through_exactly),
		cmocka_unit_test(what_stays_is_not_sent),
		cmocka_unit_test(an_id_may_be_reused_at_once),
		cmocka_unit_test(cgroups_come_through_exactly),
		cmocka_unit_test(interpreters_come_through_exactly),
		cmocka_unit_test(a_keyframe_needs_no_history),
		cmocka_unit_test(hostile_ticks_are_refused),
		cmocka_unit_test(thousands_may_be_born_at_once),
		cmocka_unit_test(each_failed_allocation_leaves_the_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
