/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=store_put,--wrap=store_has_room,--wrap=store_receive_time
// link: -Wl,--wrap=store_windows,--wrap=store_window_of,--wrap=window_add
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
// link: -Wl,--wrap=reallocarray
#include "collector/fleet/ingest.h"

#include <errno.h>

#include "common/clock.h"
#include "proto/delta.h"
#include "proto/identity.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"
#include "tests/unit/collector/fleet/fakestore.h"

#define HOST_ID 7
#define EPOCH   0x1122334455667788u
#define CONN    5
#define SEC     USEC_PER_SEC
#define LIVE    8 /* ids 0 .. LIVE-1 of the agent's side */

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return alloc_now() ? NULL : __real_reallocarray(p, n, size);
}

static const uint8_t boot_id[16] = "this boot of it";

/* The agent's side: an encoder, and the batch that it is filling. */
struct agent {
	struct delta_state state;
	struct buf batch;
	uint64_t seq; /* of the last record */
	int64_t t_us; /* of its wall clock */
	int64_t boot_us;
	bool live[LIVE];
	uint32_t pid[LIVE];
	int64_t rss[LIVE];
	bool grouped[LIVE];    /* cgroups that are there */
	int64_t charged[LIVE]; /* their working sets */
	bool alone[LIVE];      /* interpreters that are there */
	int64_t full[LIVE];    /* their full collections */
};

struct world {
	struct agent agent;
	struct registry registry;
	struct host *host;
	struct ingest *in;
	struct error err;
	unsigned processes, hosts, exits, kills, deaths, postures, censuses;
	int64_t exited;
	int64_t killed;
	int64_t counted; /* process of the last census, 0 = none is known */
	struct death death;
};

static void on_process(void *arg, struct host *h unused_arg, struct process *p unused_arg,
		       int64_t t_us unused_arg)
{
	((struct world *)arg)->processes++;
}

static void on_host(void *arg, struct host *h unused_arg, int64_t t_us unused_arg)
{
	((struct world *)arg)->hosts++;
}

static void on_exit_of(void *arg, struct host *h unused_arg, struct process *p,
		       int64_t t_us unused_arg)
{
	struct world *w = arg;

	w->exits++;
	w->exited = p->proc_id;
}

static void on_kill(void *arg, struct host *h unused_arg, const struct wire_kill *k unused_arg,
		    int64_t kill_id, int64_t t_us unused_arg)
{
	struct world *w = arg;

	w->kills++;
	w->killed = kill_id;
}

static void on_death(void *arg, struct host *h unused_arg, const struct wire_event *e unused_arg,
		     const struct death *d, int64_t t_us unused_arg)
{
	struct world *w = arg;

	w->deaths++;
	w->death = *d;
}

static void on_posture(void *arg, struct host *h unused_arg,
		       const struct wire_posture *p unused_arg, int64_t t_us unused_arg)
{
	((struct world *)arg)->postures++;
}

static void on_census(void *arg, struct host *h unused_arg, struct process *p,
		      const struct wire_census *c unused_arg, int64_t id unused_arg,
		      int64_t t_us unused_arg)
{
	struct world *w = arg;

	w->censuses++;
	w->counted = p ? p->proc_id : 0;
}

static const struct ingest_ops ops = {.on_process = on_process,
				      .on_host = on_host,
				      .on_exit = on_exit_of,
				      .on_kill = on_kill,
				      .on_death = on_death,
				      .on_posture = on_posture,
				      .on_census = on_census};

static void agent_begin(struct agent *a)
{
	buf_reset(&a->batch);
	wire_batch_begin(&a->batch, EPOCH);
}

static void agent_add(struct agent *a, enum wire_record kind, const struct buf *body)
{
	assert_int_equal(buf_status(body), 0);
	wire_batch_add(&a->batch, ++a->seq, kind, body->data, body->len);
}

/* One round ten seconds after the last: who is in born is announced, who is in gone has left. */
static void agent_tick(struct agent *a, struct wire_tick *t)
{
	auto_buf struct buf body = BUF_INIT(65536);
	auto_arena struct arena arena;
	int64_t host[HOST_METRIC_COUNT];
	const size_t all[DELTA_KINDS] = {LIVE, LIVE};
	struct delta_encoder e;

	arena_init(&arena, 1 << 20);
	a->t_us += 10 * SEC;
	a->boot_us += 10 * SEC;
	t->t_wall_us = a->t_us;
	t->t_boot_us = (uint64_t)a->boot_us;
	t->interval_ms = 10000;
	memcpy(t->boot_id, boot_id, sizeof(boot_id));
	for (size_t i = 0; i < t->n_exited; i++)
		a->live[t->exited[i]] = false;
	for (size_t i = 0; i < t->n_born; i++) {
		a->live[t->born[i].id] = true;
		a->pid[t->born[i].id] = t->born[i].pid;
	}
	for (size_t i = 0; i < t->n_cgroups_gone; i++)
		a->grouped[t->cgroups_gone[i]] = false;
	for (size_t i = 0; i < t->n_cgroups; i++)
		a->grouped[t->cgroups[i].id] = true;
	for (size_t i = 0; i < t->n_interpreters_gone; i++)
		a->alone[t->interpreters_gone[i]] = false;
	for (size_t i = 0; i < t->n_interpreters; i++)
		a->alone[t->interpreters[i].id] = true;
	for (int i = 0; i < HOST_METRIC_COUNT; i++)
		host[i] = 1000 + i;
	assert_int_equal(delta_begin(&e, &a->state, &arena, t, LIVE, all), 0);
	for (uint32_t id = 0; id < LIVE; id++) {
		int64_t v[METRIC_COUNT];

		for (int i = 0; i < METRIC_COUNT; i++)
			v[i] = METRIC_ABSENT;
		v[METRIC_RSS] = a->rss[id];
		if (a->live[id])
			delta_process(&e, id, v);
	}
	for (uint32_t id = 0; id < LIVE; id++) {
		int64_t v[CGROUP_METRIC_COUNT];

		for (int i = 0; i < CGROUP_METRIC_COUNT; i++)
			v[i] = METRIC_ABSENT;
		v[CGROUP_METRIC_WORKING_SET] = a->charged[id];
		v[CGROUP_METRIC_LIMIT] = 1 << 20;
		if (a->grouped[id])
			delta_put_object(&e, DELTA_CGROUP, id, v);
	}
	for (uint32_t id = 0; id < LIVE; id++) {
		int64_t v[INTERPRETER_METRIC_COUNT];

		for (int i = 0; i < INTERPRETER_METRIC_COUNT; i++)
			v[i] = METRIC_ABSENT;
		v[INTERPRETER_METRIC_GC2] = a->full[id];
		if (a->alone[id])
			delta_put_object(&e, DELTA_INTERPRETER, id, v);
	}
	delta_host(&e, host);
	assert_int_equal(delta_finish(&e, &body), 0);
	agent_add(a, WIRE_TICK, &body);
}

static struct wire_process process(uint32_t id, uint32_t pid, const char *comm)
{
	return (struct wire_process){.id = id,
				     .pid = pid,
				     .start_ticks = pid * 100ull,
				     .comm = comm,
				     .cmdline = comm,
				     .exe = "/usr/bin/python3",
				     .service = "shop"};
}

static struct wire_cgroup cgroup(uint32_t id, const char *path)
{
	return (struct wire_cgroup){.id = id,
				    .version = 2,
				    .path = path,
				    .name = path + 1,
				    .runtime = "systemd",
				    .image = "",
				    .limited_by = path};
}

static int64_t proc_id(uint32_t pid)
{
	return identity_process(boot_id, pid, pid * 100ull);
}

static struct process *found(struct world *w, uint32_t pid)
{
	return registry_find_process(w->host, proc_id(pid));
}

static int send_batch(struct world *w)
{
	return ingest_batch(w->in, w->host, w->agent.batch.data, w->agent.batch.len, &w->err);
}

/* The tick as a batch of its own. */
static int send_tick(struct world *w, struct wire_tick *t)
{
	agent_begin(&w->agent);
	agent_tick(&w->agent, t);
	return send_batch(w);
}

static int send_quiet(struct world *w)
{
	return send_tick(w, &(struct wire_tick){0});
}

static int send_keyframe(struct world *w, struct wire_process *all, size_t n)
{
	return send_tick(w, &(struct wire_tick){.keyframe = true, .born = all, .n_born = n});
}

static const struct fake_batch *last_put(void)
{
	assert_true(fake.n > 0);
	return &fake.batches[fake.n - 1];
}

static void world_init(struct world *w)
{
	static const uint8_t uuid[16] = {9};

	*w = (struct world){.agent.t_us = clock_wall_us() - 3600 * SEC};
	delta_init(&w->agent.state);
	buf_init(&w->agent.batch, 1 << 20);
	for (int i = 0; i < LIVE; i++)
		w->agent.rss[i] = 100 * (i + 1);
	registry_init(&w->registry);
	w->host = registry_host(&w->registry, HOST_ID, uuid, "vps-1");
	assert_non_null(w->host);
	assert_int_equal(ingest_new(&w->registry, FAKE_STORE, &ops, w, &w->in), 0);
	assert_int_equal(ingest_open(w->in, w->host, EPOCH, 0, CONN), 0);
}

static void world_fini(struct world *w)
{
	ingest_free(&w->in);
	registry_fini(&w->registry);
	delta_fini(&w->agent.state);
	buf_fini(&w->agent.batch);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	fake_reset();
	world_init(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	world_fini(*state);
	fake_reset();
	free(*state);
	return 0;
}

static void births_and_values_arrive(void **state)
{
	struct world *w = *state;
	struct wire_process two[] = {process(0, 10, "api"), process(3, 13, "worker")};
	struct process *p;

	assert_int_equal(send_keyframe(w, two, 2), 0);
	p = found(w, 13);
	assert_non_null(p);
	assert_string_equal(p->comm, "worker");
	assert_string_equal(p->service, "shop");
	assert_int_equal(p->v[METRIC_RSS], 400);
	assert_int_equal(w->host->v[0], 1000);
	assert_int_equal(w->host->interval_ms, 10000);
	w->agent.rss[3] = 5000;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(p->v[METRIC_RSS], 5000);
	assert_int_equal(p->last_seen_us, w->agent.t_us);
	assert_int_equal(w->processes, 4);
	assert_int_equal(w->hosts, 2);
	assert_int_equal(fake.windowed[SERIES_PROCESS], 4);
	assert_int_equal(fake.windowed[SERIES_HOST], 2);
	assert_int_equal(fake.n, 2);
	assert_int_equal(fake.batches[0].b.n_born, 2);
	assert_int_equal(fake.batches[0].born[1], proc_id(13));
	assert_string_equal(fake.batches[0].comm[1], "worker");
	assert_int_equal(fake.batches[0].b.conn, CONN);
	assert_int_equal(fake.batches[0].b.t_us, w->agent.t_us - 10 * SEC);
	assert_int_equal(fake.batches[1].b.first_seq, 2);
	assert_int_equal(fake.batches[1].b.last_seq, 2);
	assert_int_equal(fake.batches[1].b.n_born, 0);
	/* What was there before the agent looked is no event. */
	assert_int_equal(fake.batches[0].b.n_events, 0);
	assert_int_equal(ingest_stats(w->in)->samples, 4);
	assert_int_equal(ingest_stats(w->in)->newest_us, w->agent.t_us);
}

static void a_start_that_was_seen_is_an_event(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};
	struct wire_process fresh = process(1, 11, "cron");

	fresh.fresh = true;
	assert_int_equal(send_keyframe(w, one, 1), 0);
	assert_int_equal(send_tick(w, &(struct wire_tick){.born = &fresh, .n_born = 1}), 0);
	assert_int_equal(last_put()->b.n_events, 1);
	assert_string_equal(last_put()->kinds[0], "start");
	assert_int_equal(last_put()->seq_of_event[0], 2);
	assert_non_null(strstr(last_put()->docs[0], "\"comm\":\"cron\""));
}

static void an_exit_ends_the_process(void **state)
{
	struct world *w = *state;
	struct wire_process two[] = {process(0, 10, "api"), process(1, 11, "worker")};
	uint32_t gone[] = {1};

	assert_int_equal(send_keyframe(w, two, 2), 0);
	assert_int_equal(send_tick(w, &(struct wire_tick){.exited = gone, .n_exited = 1}), 0);
	assert_null(found(w, 11));
	assert_non_null(found(w, 10));
	assert_int_equal(w->exits, 1);
	assert_int_equal(w->exited, proc_id(11));
	assert_int_equal(last_put()->b.n_exited, 1);
	assert_int_equal(last_put()->exited[0], proc_id(11));
	assert_string_equal(last_put()->kinds[0], "exit");
	assert_non_null(strstr(last_put()->docs[0], "\"seen\":true"));
	assert_non_null(strstr(last_put()->docs[0], "\"rss_bytes\":204800"));
}

static void an_exec_is_no_exit(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "sh")};
	struct wire_process same = process(1, 10, "python3");
	uint32_t gone[] = {0};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	assert_int_equal(send_tick(w, &(struct wire_tick){.born = &same,
							  .n_born = 1,
							  .exited = gone,
							  .n_exited = 1}),
			 0);
	assert_int_equal(w->exits, 0);
	assert_int_equal(last_put()->b.n_exited, 0);
	assert_int_equal(last_put()->b.n_born, 1);
	assert_string_equal(last_put()->comm[0], "python3");
	assert_string_equal(found(w, 10)->comm, "python3");
	assert_int_equal(found(w, 10)->v[METRIC_RSS], 200);
}

static void an_id_passes_on_in_one_tick(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "old")};
	struct wire_process other = process(0, 99, "new");
	uint32_t gone[] = {0};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	assert_int_equal(send_tick(w, &(struct wire_tick){.born = &other,
							  .n_born = 1,
							  .exited = gone,
							  .n_exited = 1}),
			 0);
	assert_null(found(w, 10));
	assert_string_equal(found(w, 99)->comm, "new");
	assert_int_equal(w->exited, proc_id(10));
}

static void what_the_store_has_been_given_is_skipped(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(fake.n, 1);
	assert_int_equal(w->processes, 1);
	assert_int_equal(ingest_stats(w->in)->repeated, 2);
}

static void an_overlap_is_cut(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};
	struct wire_tick key = {.keyframe = true, .born = one, .n_born = 1};

	agent_begin(&w->agent);
	agent_tick(&w->agent, &key);
	assert_int_equal(send_batch(w), 0);
	/* The same record and one more. */
	agent_tick(&w->agent, &(struct wire_tick){0});
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(fake.n, 2);
	assert_int_equal(last_put()->b.first_seq, 2);
	assert_int_equal(last_put()->n_seqs, 1);
	assert_int_equal(last_put()->seqs[0], 2);
	assert_int_equal(w->processes, 2);
}

static void a_hole_is_refused(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	w->agent.seq++;
	assert_int_equal(send_quiet(w), -EPROTO);
	assert_says(w->err, "record 3 after 1");
	assert_int_equal(fake.n, 1);
	assert_int_equal(w->processes, 1);
}

/* What came before the hole is in memory, so it must be stored. */
static void what_came_before_a_hole_is_kept(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	agent_begin(&w->agent);
	agent_tick(&w->agent, &(struct wire_tick){.keyframe = true, .born = one, .n_born = 1});
	w->agent.seq += 5;
	agent_tick(&w->agent, &(struct wire_tick){0});
	assert_int_equal(send_batch(w), -EPROTO);
	assert_int_equal(fake.n, 1);
	assert_int_equal(last_put()->b.last_seq, 1);
	assert_int_equal(w->processes, 1);
}

static void add_gap(struct agent *a, uint64_t to)
{
	auto_buf struct buf body = BUF_INIT(256);

	wire_pack_gap(&body, &(struct wire_gap){.to_seq = to,
						.records = 3,
						.bytes = 999,
						.reason = WIRE_GAP_SPOOL_FULL,
						.t_first_us = 1,
						.t_last_us = 2});
	agent_add(a, WIRE_GAP, &body);
}

static void a_gap_takes_its_numbers(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	agent_begin(&w->agent);
	add_gap(&w->agent, 4);
	w->agent.seq = 4;
	agent_tick(&w->agent, &(struct wire_tick){.keyframe = true, .born = one, .n_born = 1});
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(last_put()->b.first_seq, 2);
	assert_int_equal(last_put()->b.last_seq, 5);
	assert_int_equal(last_put()->b.n_gaps, 1);
	assert_int_equal(last_put()->gaps[0].from_seq, 2);
	assert_int_equal(last_put()->gaps[0].to_seq, 4);
	assert_int_equal(last_put()->gaps[0].records, 3);
	assert_string_equal(last_put()->kinds[0], "gap");
	assert_int_equal(ingest_stats(w->in)->gaps, 1);
}

static void a_gap_that_ends_before_it_begins_is_none(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	agent_begin(&w->agent);
	add_gap(&w->agent, 1);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(last_put()->b.last_seq, 2);
	assert_int_equal(last_put()->gaps[0].reason, WIRE_GAP_UNDECODABLE);
}

static void an_undecodable_tick_is_told_and_passed_over(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};
	auto_buf struct buf junk = BUF_INIT(16);

	buf_puts(&junk, "\xff\xff\xff");
	assert_int_equal(send_keyframe(w, one, 1), 0);
	agent_begin(&w->agent);
	agent_add(&w->agent, WIRE_TICK, &junk);
	agent_tick(&w->agent, &(struct wire_tick){0});
	assert_int_equal(send_batch(w), 0);
	/* The delta after it has lost its base: it is told too. */
	assert_int_equal(ingest_stats(w->in)->undecodable, 2);
	assert_int_equal(last_put()->b.n_gaps, 2);
	assert_int_equal(last_put()->gaps[0].from_seq, 2);
	assert_int_equal(last_put()->gaps[1].to_seq, 3);
	assert_int_equal(last_put()->gaps[1].reason, WIRE_GAP_UNDECODABLE);
	assert_non_null(strstr(last_put()->docs[0], "not well-formed"));
	assert_non_null(strstr(last_put()->docs[1], "without a keyframe"));
	assert_int_equal(last_put()->n_seqs, 0);
	assert_int_equal(w->processes, 1);
	w->agent.rss[0] = 777;
	assert_int_equal(send_keyframe(w, one, 1), 0);
	assert_int_equal(found(w, 10)->v[METRIC_RSS], 777);
	assert_int_equal(last_put()->b.first_seq, 4);
}

static void a_keyframe_drops_who_is_absent(void **state)
{
	struct world *w = *state;
	struct wire_process two[] = {process(0, 10, "api"), process(1, 11, "worker")};

	assert_int_equal(send_keyframe(w, two, 2), 0);
	w->agent.live[1] = false;
	assert_int_equal(send_keyframe(w, two, 1), 0);
	assert_null(found(w, 11));
	assert_int_equal(w->exits, 1);
	assert_int_equal(last_put()->exited[0], proc_id(11));
	assert_non_null(strstr(last_put()->docs[0], "\"seen\":false"));
}

static void a_keyframe_that_skipped_some_drops_nobody(void **state)
{
	struct world *w = *state;
	struct wire_process two[] = {process(0, 10, "api"), process(1, 11, "worker")};

	assert_int_equal(send_keyframe(w, two, 2), 0);
	w->agent.live[1] = false;
	assert_int_equal(send_tick(w, &(struct wire_tick){.keyframe = true,
							  .born = two,
							  .n_born = 1,
							  .skipped = 1}),
			 0);
	assert_non_null(found(w, 11));
	assert_int_equal(w->exits, 0);
}

static void a_clock_that_is_off_is_corrected(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	w->host->skew_us = 1000 * SEC;
	assert_int_equal(send_keyframe(w, one, 1), 0);
	assert_int_equal(fake.last_t_us, w->agent.t_us - 1000 * SEC);
	assert_int_equal(last_put()->b.skew_us, 1000 * SEC);
	/* A second or two are the network's, not the clock's. */
	w->host->skew_us = SEC;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(fake.last_t_us, w->agent.t_us);
}

static void replay_batch(struct world *w, const struct fake_batch *f)
{
	ingest_replay(w->in, w->host,
		      &(struct store_replayed){.host_id = HOST_ID,
					       .epoch = f->b.epoch,
					       .first_seq = f->b.first_seq,
					       .last_seq = f->b.last_seq,
					       .rcv_us = f->b.rcv_us,
					       .skew_us = f->b.skew_us,
					       .payload = f->payload,
					       .payload_len = f->b.payload_len});
}

static void a_clock_that_is_set_is_seen_at_once(void **state)
{
	struct world *w = *state;
	struct world again;
	struct wire_process one[] = {process(0, 10, "api")};
	int64_t first, set, now = clock_wall_us();

	w->agent.t_us = now - 10 * SEC;
	w->agent.boot_us = 1000 * SEC;
	memcpy(w->host->clock.boot_id, boot_id, sizeof(boot_id));
	w->host->clock.apart_us = w->agent.t_us - w->agent.boot_us;
	assert_int_equal(send_keyframe(w, one, 1), 0);
	first = w->agent.t_us;
	assert_int_equal(fake.last_t_us, first);
	/* It is set two hours back between two ticks of one batch. */
	agent_begin(&w->agent);
	agent_tick(&w->agent, &(struct wire_tick){0});
	w->agent.t_us -= 7200 * SEC;
	agent_tick(&w->agent, &(struct wire_tick){0});
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(fake.last_t_us, first + 20 * SEC);
	assert_int_equal(fake.n, 3);
	assert_int_equal(fake.batches[1].b.skew_us, 0);
	assert_int_equal(fake.batches[2].b.skew_us, -7200 * SEC);
	/* Times stay as even as they were. */
	set = fake.last_t_us;
	w->agent.boot_us += SEC / 100;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(fake.last_t_us, set + 10 * SEC);
	/* What has no ticks goes by them. */
	assert_int_equal(w->host->skew_us, fake.batches[2].b.skew_us);
	world_init(&again);
	ingest_forget(again.in, HOST_ID);
	for (size_t i = 0; i < 4; i++)
		replay_batch(&again, &fake.batches[i]);
	assert_int_equal(fake.last_t_us, set + 10 * SEC);
	world_fini(&again);
	/* And right again. */
	w->agent.t_us += 7200 * SEC;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(fake.last_t_us, w->agent.t_us);
	/* Of another boot nothing but the greeting is known. */
	w->host->clock.boot_id[0] ^= 1;
	w->host->skew_us = 5000 * SEC;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(fake.last_t_us, w->agent.t_us - 5000 * SEC);
}

static void nothing_comes_from_the_future(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	w->agent.t_us = clock_wall_us() + 86400 * SEC;
	assert_int_equal(send_keyframe(w, one, 1), 0);
	assert_true(fake.last_t_us <= clock_wall_us() + 300 * SEC);
	assert_true(fake.last_t_us > clock_wall_us() + 290 * SEC);
}

static void a_full_store_takes_nothing(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	fake.full = true;
	assert_int_equal(send_keyframe(w, one, 1), -ENOBUFS);
	assert_null(found(w, 10));
	assert_int_equal(w->processes, 0);
	fake.full = false;
	assert_int_equal(send_batch(w), 0);
	assert_non_null(found(w, 10));
	assert_int_equal(last_put()->b.first_seq, 1);
}

/* The connection is cut while its batches are queued: the store refuses them from the new one on
 * and the agent sends them again. Memory must not move twice, and the store must get them. */
static void what_a_new_connection_brings_again_is_stored(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};
	struct wire_process fresh = process(1, 11, "cron");

	fresh.fresh = true;
	agent_begin(&w->agent);
	agent_tick(&w->agent, &(struct wire_tick){.keyframe = true, .born = one, .n_born = 1});
	w->agent.rss[0] = 150;
	agent_tick(&w->agent, &(struct wire_tick){.born = &fresh, .n_born = 1});
	add_gap(&w->agent, 5);
	w->agent.seq = 5;
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(w->processes, 3);
	assert_int_equal(ingest_open(w->in, w->host, EPOCH, 0, CONN + 1), 0);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(fake.n, 2);
	assert_int_equal(last_put()->b.conn, CONN + 1);
	assert_int_equal(last_put()->b.first_seq, 1);
	assert_int_equal(last_put()->b.last_seq, 5);
	assert_int_equal(last_put()->n_seqs, 3);
	assert_int_equal(last_put()->b.n_born, 2);
	assert_string_equal(last_put()->comm[1], "cron");
	assert_string_equal(last_put()->kinds[0], "start");
	assert_int_equal(last_put()->b.n_gaps, 1);
	assert_int_equal(w->processes, 3);
	assert_int_equal(found(w, 10)->v[METRIC_RSS], 150);
	assert_int_equal(ingest_stats(w->in)->restored, 3);
	assert_int_equal(ingest_stats(w->in)->undecodable, 0);
	/* And what follows is news. */
	w->agent.rss[0] = 160;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(found(w, 10)->v[METRIC_RSS], 160);
	assert_int_equal(last_put()->b.first_seq, 6);
}

static void a_batch_that_could_not_be_queued_comes_again(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	fake.put_rc = -ENOMEM;
	assert_int_equal(send_keyframe(w, one, 1), -ENOMEM);
	fake.put_rc = 0;
	assert_int_equal(ingest_open(w->in, w->host, EPOCH, 0, CONN + 1), 0);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(last_put()->b.first_seq, 1);
	assert_int_equal(last_put()->n_seqs, 1);
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(found(w, 10)->v[METRIC_RSS], 100);
}

/* Six ticks, 10 s apart, from the start of a window of 20 s: an agent catches up. */
static void agent_catches_up(struct world *w, struct wire_process *one)
{
	fake.window_us = 20 * SEC;
	w->agent.t_us -= w->agent.t_us % fake.window_us + 10 * SEC;
	agent_begin(&w->agent);
	for (int i = 0; i < 6; i++) {
		struct wire_tick t = {.keyframe = i % 2 == 0};

		if (t.keyframe) {
			t.born = one;
			t.n_born = 1;
		}
		w->agent.rss[0]++;
		agent_tick(&w->agent, &t);
	}
}

/* A batch is read back as long as its window is not sealed: what lies in two would be forgotten
 * with the first. */
static void many_windows_become_a_batch_each(void **state)
{
	struct world *w = *state;
	struct wire_process one = process(0, 10, "api");

	agent_catches_up(w, &one);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(fake.n, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct fake_batch *f = &fake.batches[i];

		assert_int_equal(f->b.first_seq, 2 * i + 1);
		assert_int_equal(f->b.last_seq, 2 * i + 2);
		assert_int_equal(f->n_seqs, 2);
		assert_int_equal(f->b.t_us % fake.window_us, 0);
		assert_int_equal(f->b.conn, CONN);
		/* a place to read on from lies between any two */
		assert_true(!i || f->b.rcv_us > fake.batches[i - 1].b.rcv_us);
	}
	assert_int_equal(fake.windowed[SERIES_PROCESS], 6);
	/* the same again on a new connection, before any of it is committed */
	assert_int_equal(ingest_open(w->in, w->host, EPOCH, 0, CONN + 1), 0);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(fake.n, 6);
	assert_int_equal(last_put()->b.first_seq, 5);
	assert_int_equal(last_put()->b.t_us, fake.batches[2].b.t_us);
	assert_int_equal(fake.windowed[SERIES_PROCESS], 6);
}

/* The store is full in the middle: nothing of the rest is skipped when the batch comes again. */
static void a_batch_that_was_queued_in_part_comes_again(void **state)
{
	struct world *w = *state;
	struct wire_process one = process(0, 10, "api");

	agent_catches_up(w, &one);
	fake.put_rc = -ENOBUFS;
	fake.puts_before = 1;
	assert_int_equal(send_batch(w), -ENOBUFS);
	assert_int_equal(fake.n, 1);
	fake.put_rc = 0;
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(fake.n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fake.batches[i].b.first_seq, 2 * i + 1);
		assert_int_equal(fake.batches[i].n_seqs, 2);
	}
	assert_int_equal(fake.windowed[SERIES_PROCESS], 6);
	assert_int_equal(found(w, 10)->v[METRIC_RSS], w->agent.rss[0]);
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(last_put()->b.first_seq, 7);
	assert_int_equal(ingest_stats(w->in)->undecodable, 0);
}

/* Another collector took some of the stream meanwhile. */
static void a_base_that_moved_elsewhere_waits_for_a_keyframe(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	w->agent.seq = 8;
	assert_int_equal(ingest_open(w->in, w->host, EPOCH, 8, CONN + 1), 0);
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(ingest_stats(w->in)->undecodable, 1);
	assert_int_equal(send_keyframe(w, one, 1), 0);
	assert_int_equal(ingest_stats(w->in)->undecodable, 1);
}

static void events_keep_their_words(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};
	auto_buf struct buf body = BUF_INIT(512);
	const char *keys[] = {"cause"}, *values[] = {"a \"quoted\" word"};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	wire_pack_event(&body, &(struct wire_event){.t_wall_us = w->agent.t_us,
						    .kind = WIRE_EVENT_SENSE_TROUBLE,
						    .pid = 10,
						    .start_ticks = 1000,
						    .text = "trouble",
						    .keys = keys,
						    .values = values,
						    .n_details = 1});
	agent_begin(&w->agent);
	agent_add(&w->agent, WIRE_EVENT, &body);
	assert_int_equal(send_batch(w), 0);
	assert_string_equal(last_put()->kinds[0], "sense_trouble");
	assert_non_null(strstr(last_put()->docs[0], "\"cause\":\"a \\\"quoted\\\" word\""));
	assert_int_equal(last_put()->n_seqs, 1);
}

static struct cgroup *found_cgroup(struct world *w, const char *path)
{
	return registry_find_cgroup(w->host, identity_cgroup(path));
}

static void cgroups_come_and_go(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api"), process(1, 11, "loose")};
	struct wire_cgroup two[] = {cgroup(0, "/a"), cgroup(3, "/b")};
	struct wire_tick key = {
		.keyframe = true, .born = one, .n_born = 2, .cgroups = two, .n_cgroups = 2};
	uint32_t gone[] = {3};

	one[0].cgroup_id = 3 + 1;
	w->agent.charged[3] = 700;
	assert_int_equal(send_tick(w, &key), 0);
	assert_int_equal(found_cgroup(w, "/b")->v[CGROUP_METRIC_WORKING_SET], 700);
	assert_string_equal(found_cgroup(w, "/b")->runtime, "systemd");
	assert_ptr_equal(registry_cgroup_of(w->host, found(w, 10)), found_cgroup(w, "/b"));
	assert_int_equal(registry_limit_of(w->host, found(w, 10)), 1 << 20);
	assert_null(registry_cgroup_of(w->host, found(w, 11)));
	assert_int_equal(fake.windowed[SERIES_CGROUP], 2);
	assert_int_equal(last_put()->b.n_cgroups, 2);
	assert_int_equal(last_put()->cgroups[1].cgroup_id, identity_cgroup("/b"));
	/* only what changed is told, and at a keyframe only what is new goes to the store */
	w->agent.charged[3] = 900;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(found_cgroup(w, "/b")->v[CGROUP_METRIC_WORKING_SET], 900);
	two[1].image = "b:2";
	assert_int_equal(send_tick(w, &key), 0);
	assert_int_equal(last_put()->b.n_cgroups, 1);
	assert_int_equal(found_cgroup(w, "/b")->v[CGROUP_METRIC_WORKING_SET], 900);
	/* gone by its word */
	assert_int_equal(send_tick(w,
				   &(struct wire_tick){.cgroups_gone = gone, .n_cgroups_gone = 1}),
			 0);
	assert_null(found_cgroup(w, "/b"));
	assert_null(registry_cgroup_of(w->host, found(w, 10)));
	assert_int_equal(last_put()->b.n_cgroups_gone, 1);
	/* gone by its absence from a keyframe, even of one that skipped processes */
	w->agent.grouped[0] = w->agent.live[0] = false;
	assert_int_equal(send_tick(w, &(struct wire_tick){.keyframe = true,
							  .skipped = 1,
							  .born = one + 1,
							  .n_born = 1}),
			 0);
	assert_null(found_cgroup(w, "/a"));
	assert_int_equal(last_put()->b.n_cgroups_gone, 1);
}

static void interpreters_come_and_go(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api"), process(1, 11, "other")};
	struct wire_interpreter three[] = {{.id = 5, .process = 0, .number = 7},
					   {.id = 2, .process = 0, .number = 0},
					   {.id = 3, .process = 0, .number = 4}};
	struct wire_tick key = {.keyframe = true,
				.born = one,
				.n_born = 2,
				.interpreters = three,
				.n_interpreters = 3};
	struct process *p;

	w->agent.full[5] = 70;
	w->agent.full[2] = 1;
	assert_int_equal(send_tick(w, &key), 0);
	p = found(w, 10);
	assert_int_equal(p->n_interpreters, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(p->interpreters[i].number, ((unsigned[]){0, 4, 7})[i]);
	assert_int_equal(p->interpreters[2].v[INTERPRETER_METRIC_GC2], 70);
	assert_int_equal(found(w, 11)->n_interpreters, 0);
	assert_int_equal(fake.windowed[SERIES_INTERPRETER], 3);
	/* only what changed is told */
	w->agent.full[5] = 71;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(p->interpreters[2].v[INTERPRETER_METRIC_GC2], 71);
	assert_int_equal(fake.windowed[SERIES_INTERPRETER], 6);
	/* gone by its word, and by its absence from a keyframe */
	assert_int_equal(send_tick(w, &(struct wire_tick){.interpreters_gone = (uint32_t[]){3},
							  .n_interpreters_gone = 1}),
			 0);
	assert_int_equal(p->n_interpreters, 2);
	assert_int_equal(p->interpreters[1].number, 7);
	w->agent.alone[2] = w->agent.alone[5] = false;
	assert_int_equal(send_tick(w,
				   &(struct wire_tick){.keyframe = true, .born = one, .n_born = 2}),
			 0);
	assert_int_equal(p->n_interpreters, 0);
	/* of a process that nobody knows: nothing happens */
	three[0].process = 6;
	assert_int_equal(send_tick(w,
				   &(struct wire_tick){.interpreters = three, .n_interpreters = 1}),
			 0);
	assert_int_equal(fake.windowed[SERIES_INTERPRETER], 8);
}

static void a_cgroup_id_passes_on_in_one_tick(void **state)
{
	struct world *w = *state;
	struct wire_cgroup a = cgroup(0, "/a"), b = cgroup(0, "/b");
	uint32_t gone[] = {0};

	assert_int_equal(
		send_tick(w, &(struct wire_tick){.keyframe = true, .cgroups = &a, .n_cgroups = 1}),
		0);
	assert_int_equal(send_tick(w, &(struct wire_tick){.cgroups = &b,
							  .n_cgroups = 1,
							  .cgroups_gone = gone,
							  .n_cgroups_gone = 1}),
			 0);
	assert_null(found_cgroup(w, "/a"));
	assert_non_null(found_cgroup(w, "/b"));
}

static struct wire_party party(uint32_t pid, uint64_t start, const char *comm)
{
	struct wire_party p = {.pid = pid,
			       .start_ticks = start,
			       .uid = -1,
			       .comm = comm,
			       .service = "",
			       .container = ""};

	for (int i = 0; i < KILL_FIGURE_COUNT; i++)
		p.v[i] = KILL_ABSENT;
	return p;
}

static void add_kill(struct world *w, uint64_t seq)
{
	auto_buf struct buf body = BUF_INIT(8192);
	struct wire_kill k = {
		.t_wall_us = w->agent.t_us,
		.seq = seq,
		.cause = KILL_CAUSE_KERNEL_MEMCG,
		.confidence = KILL_CONFIDENCE_CERTAIN,
		.complete = true,
		.victim = party(10, 0, "api"),
		.trigger = party(0, 0, ""),
		.victim_cgroup = "/a",
		.limit_cgroup = "/a",
		.limit_owner = "shop",
		.verdict = "it reached its limit",
	};

	memcpy(k.boot_id, boot_id, sizeof(boot_id));
	for (int i = 0; i < KILL_TOTAL_COUNT; i++)
		k.v[i] = KILL_ABSENT;
	k.v[KILL_TOTAL_LIMIT] = 2048;
	wire_pack_kill(&body, &k);
	agent_add(&w->agent, WIRE_KILL, &body);
}

static void a_kill_is_told_once_and_joined(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};

	assert_int_equal(send_keyframe(w, one, 1), 0);
	agent_begin(&w->agent);
	add_kill(w, 77);
	add_kill(w, 77); /* the agent lost track and tells it again */
	add_kill(w, 78);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(w->kills, 2);
	assert_int_equal(w->killed, identity_kill(boot_id, 78));
	assert_int_equal(ingest_stats(w->in)->kills, 2);
	assert_int_equal(w->host->kills.scopes[KILL_SCOPE_CGROUP], 2);
	/* the store gets all three: it knows best what it has */
	assert_int_equal(last_put()->b.n_kills, 3);
	assert_int_equal(last_put()->kills[0].kill_id, last_put()->kills[1].kill_id);
	assert_int_equal(last_put()->kills[2].proc_id, proc_id(10));
	assert_int_equal(last_put()->kills[2].seq, 4);
	assert_int_equal(last_put()->kills[2].limit_bytes, 2048 * 1024);
	assert_int_equal(last_put()->kills[2].rss_bytes, 100 * 1024);
	assert_non_null(strstr(last_put()->kill_doc, "\"service\":\"shop\""));
	assert_non_null(strstr(last_put()->kill_event, "\"limit_owner\":\"shop\""));
	/* a new connection brings it again: for the store only */
	assert_int_equal(ingest_open(w->in, w->host, EPOCH, 1, CONN + 1), 0);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(last_put()->b.n_kills, 3);
	assert_int_equal(w->kills, 2);
}

static void add_death(struct world *w, bool of_its_own_boot)
{
	auto_buf struct buf body = BUF_INIT(512);
	const char *keys[] = {"cause", "confidence", "signal"};
	const char *values[] = {"earlyoom", "likely", "SIGTERM"};
	struct wire_event e = {.t_wall_us = w->agent.t_us,
			       .kind = WIRE_EVENT_DEATH,
			       .pid = 10,
			       .start_ticks = 1000,
			       .text = "earlyoom ended it",
			       .keys = keys,
			       .values = values,
			       .n_details = 3,
			       .has_boot_id = of_its_own_boot};

	memcpy(e.boot_id, boot_id, sizeof(boot_id));
	wire_pack_event(&body, &e);
	agent_add(&w->agent, WIRE_EVENT, &body);
}

/* A stream of its own for what must not wait behind samples has no tick, so no boot but the one
 * that each event tells. */
static void a_death_is_told_without_any_tick(void **state)
{
	struct world *w = *state;

	agent_begin(&w->agent);
	add_death(w, true);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(w->deaths, 1);
	assert_int_equal(w->death.proc_id, proc_id(10));
	assert_int_equal(w->death.cause, KILL_CAUSE_EARLYOOM);
	assert_int_equal(last_put()->b.n_deaths, 1);
	assert_int_equal(last_put()->deaths[0].proc_id, proc_id(10));
	assert_int_equal(last_put()->deaths[0].exit_signal, 15);
	assert_int_equal(last_put()->deaths[0].exit_code, -1);
	assert_string_equal(last_put()->kinds[0], "death");
	assert_int_equal(ingest_open(w->in, w->host, EPOCH, 0, CONN + 1), 0);
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(last_put()->b.n_deaths, 1);
	assert_int_equal(w->deaths, 1);
}

static void add_posture(struct world *w, const char *code)
{
	auto_buf struct buf body = BUF_INIT(512);
	struct wire_finding f = {.code = code,
				 .severity = WIRE_WARN,
				 .text = "there is no swap",
				 .fix = "add some"};

	wire_pack_posture(&body, &(struct wire_posture){.t_wall_us = w->agent.t_us,
							.findings = &f,
							.n = 1});
	agent_add(&w->agent, WIRE_POSTURE, &body);
}

static void a_posture_is_the_hosts(void **state)
{
	static const char want[] = "[{\"code\":\"no_swap\",\"severity\":\"warn\","
				   "\"text\":\"there is no swap\",\"fix\":\"add some\"}]";
	struct world *w = *state;

	agent_begin(&w->agent);
	add_posture(w, "no_swap");
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(w->postures, 1);
	assert_string_equal(w->host->posture, want);
	assert_string_equal(last_put()->posture, want);
	assert_int_equal(last_put()->b.n_postures, 1);
}

static void add_census(struct world *w, uint32_t pid, uint64_t bytes)
{
	auto_buf struct buf body = BUF_INIT(4096);
	struct wire_census_type type = {"app.Entry", 7, bytes};
	struct wire_census c = {.t_wall_us = w->agent.t_us,
				.pid = pid,
				.start_ticks = pid * 100ull,
				.version = 0x030b02f0,
				.objects = 7,
				.bytes = bytes,
				.types_total = UINT32_MAX,
				.error_per_10000 = UINT32_MAX,
				.types = &type,
				.n_types = 1,
				.note = ""};

	memcpy(c.boot_id, boot_id, sizeof(boot_id));
	for (int i = 0; i < HEAP_PART_COUNT; i++)
		c.parts[i] = HEAP_ABSENT;
	wire_pack_census(&body, &c);
	agent_add(&w->agent, WIRE_CENSUS, &body);
}

static void a_census_is_told_once_and_kept_by_its_process(void **state)
{
	struct world *w = *state;
	struct wire_process one[] = {process(0, 10, "api")};
	const struct fake_batch *f;
	struct process *p;

	one[0].start_ticks = 1000;
	agent_begin(&w->agent);
	add_census(w, 10, 1 << 20); /* before the process is known */
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(w->censuses, 1);
	assert_int_equal(w->counted, 0);
	f = last_put();
	assert_int_equal(f->b.n_censuses, 1);
	assert_int_equal(f->census.proc_id, identity_process(boot_id, 10, 1000));
	assert_int_equal(f->census.types_total, INT32_MAX);
	assert_int_equal(f->census.error_per_10000, INT32_MAX);
	assert_string_equal(f->census_types, "[[\"app.Entry\",7,1048576]]");
	assert_string_equal(f->kinds[0], "census");
	assert_int_equal(send_batch(w), 0); /* the connection brings it again */
	assert_int_equal(w->censuses, 1);
	assert_int_equal(send_keyframe(w, one, 1), 0);
	agent_begin(&w->agent);
	add_census(w, 10, 3 << 20);
	assert_int_equal(send_batch(w), 0);
	p = registry_find_process(w->host, f->census.proc_id);
	assert_non_null(p);
	assert_int_equal(w->counted, p->proc_id);
	assert_int_equal(p->python->base->bytes, 3 << 20);
	assert_int_equal(ingest_stats(w->in)->censuses, 2);
}

static void a_census_that_breaks_the_rules_is_a_gap(void **state)
{
	struct world *w = *state;

	agent_begin(&w->agent);
	add_census(w, 0, 5); /* no process has pid 0 */
	assert_int_equal(send_batch(w), 0);
	assert_int_equal(w->censuses, 0);
	assert_int_equal(last_put()->b.n_censuses, 0);
	assert_int_equal(last_put()->b.n_gaps, 1);
	assert_int_equal(last_put()->gaps[0].reason, WIRE_GAP_UNDECODABLE);
}

/* What a collector told before it ended is not news to the next one. */
static void a_replay_tells_nothing(void **state)
{
	struct world *w = *state, again;
	struct wire_cgroup a = cgroup(0, "/a");
	const struct fake_batch *f;

	w->agent.charged[0] = 55;
	agent_begin(&w->agent);
	agent_tick(&w->agent, &(struct wire_tick){.keyframe = true, .cgroups = &a, .n_cgroups = 1});
	add_kill(w, 5);
	add_death(w, true);
	add_posture(w, "no_psi");
	add_census(w, 10, 5);
	assert_int_equal(send_batch(w), 0);
	f = last_put();
	world_init(&again);
	ingest_replay(again.in, again.host,
		      &(struct store_replayed){.host_id = HOST_ID,
					       .epoch = f->b.epoch,
					       .first_seq = 1,
					       .last_seq = 5,
					       .payload = f->payload,
					       .payload_len = f->b.payload_len});
	assert_int_equal(again.kills + again.deaths + again.postures + again.censuses, 0);
	assert_string_equal(again.host->posture, w->host->posture);
	assert_int_equal(found_cgroup(&again, "/a")->v[CGROUP_METRIC_WORKING_SET], 55);
	assert_int_equal(fake.n, 1);
	/* the agent, which lost track, tells the kill anew */
	assert_int_equal(ingest_open(again.in, again.host, EPOCH, 5, CONN + 1), 0);
	agent_begin(&w->agent);
	add_kill(w, 5);
	w->err.msg[0] = 0;
	assert_int_equal(ingest_batch(again.in, again.host, w->agent.batch.data, w->agent.batch.len,
				      &again.err),
			 0);
	assert_int_equal(again.kills, 0);
	world_fini(&again);
}

static void strangers_are_told_off(void **state)
{
	struct world *w = *state;

	agent_begin(&w->agent);
	agent_tick(&w->agent, &(struct wire_tick){.keyframe = true});
	ingest_forget(w->in, HOST_ID);
	assert_int_equal(send_batch(w), -EPROTO);
	assert_says(w->err, "was not announced");
	assert_int_equal(ingest_batch(w->in, w->host, (const uint8_t *)"\xff", 1, &w->err),
			 -EBADMSG);
	assert_int_equal(fake.n, 0);
}

static void replay_rebuilds_the_same(void **state)
{
	struct world *w = *state, again;
	struct wire_process two[] = {process(0, 10, "api"), process(1, 11, "worker")};
	struct wire_process late = process(2, 12, "late");
	uint32_t gone[] = {1};

	assert_int_equal(send_keyframe(w, two, 2), 0);
	w->agent.rss[0] = 4242;
	assert_int_equal(send_tick(w, &(struct wire_tick){.born = &late, .n_born = 1}), 0);
	agent_begin(&w->agent);
	add_gap(&w->agent, 6);
	w->agent.seq = 6;
	agent_tick(&w->agent, &(struct wire_tick){.exited = gone, .n_exited = 1});
	assert_int_equal(send_batch(w), 0);

	world_init(&again);
	ingest_forget(again.in, HOST_ID);
	for (size_t i = 0; i < 3; i++)
		replay_batch(&again, &fake.batches[i]);
	assert_int_equal(fake.n, 3); /* nothing is stored anew */
	assert_int_equal(HASH_COUNT(again.host->processes), HASH_COUNT(w->host->processes));
	assert_null(found(&again, 11));
	assert_memory_equal(found(&again, 10)->v, found(w, 10)->v, sizeof(found(w, 10)->v));
	assert_memory_equal(found(&again, 12)->v, found(w, 12)->v, sizeof(found(w, 12)->v));
	assert_string_equal(found(&again, 12)->comm, "late");
	assert_memory_equal(again.host->v, w->host->v, sizeof(w->host->v));
	/* The stream goes on where it was. */
	assert_int_equal(ingest_open(again.in, again.host, EPOCH, 7, CONN), 0);
	w->agent.rss[0] = 4300;
	assert_int_equal(send_quiet(w), 0);
	assert_int_equal(ingest_batch(again.in, again.host, w->agent.batch.data, w->agent.batch.len,
				      &again.err),
			 0);
	assert_int_equal(found(&again, 10)->v[METRIC_RSS], 4300);
	world_fini(&again);
}

/* Whatever allocation fails: an error or a gap, nothing leaked, and the agent's next connection
 * gets everything through. */
static void each_failed_allocation_is_survived(void **state unused_arg)
{
	unsigned n = 0;

	do {
		struct wire_process two[] = {process(0, 10, "api"), process(1, 11, "worker")};
		struct wire_cgroup in = cgroup(0, "/a");
		uint32_t gone[] = {1};
		struct world w;

		fake_reset();
		world_init(&w);
		agent_begin(&w.agent);
		agent_tick(&w.agent, &(struct wire_tick){.keyframe = true,
							 .born = two,
							 .n_born = 2,
							 .cgroups = &in,
							 .n_cgroups = 1});
		agent_tick(&w.agent, &(struct wire_tick){.exited = gone, .n_exited = 1});
		add_kill(&w, 1);
		add_death(&w, false);
		add_posture(&w, "no_swap");
		add_census(&w, 10, 99);
		alloc_fail_at(++n);
		(void)!send_batch(&w);
		alloc_fail_off();
		assert_int_equal(ingest_open(w.in, w.host, EPOCH, 0, CONN + 1), 0);
		assert_int_equal(send_batch(&w), 0);
		w.agent.grouped[0] = false;
		assert_int_equal(send_keyframe(&w, two, 1), 0);
		assert_int_equal(found(&w, 10)->v[METRIC_RSS], 100);
		assert_int_equal(last_put()->b.last_seq, 7);
		world_fini(&w);
	} while (alloc_failed());
	assert_true(n > 20);
	fake_reset();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(births_and_values_arrive),
		TEST(a_start_that_was_seen_is_an_event),
		TEST(an_exit_ends_the_process),
		TEST(an_exec_is_no_exit),
		TEST(an_id_passes_on_in_one_tick),
		TEST(what_the_store_has_been_given_is_skipped),
		TEST(an_overlap_is_cut),
		TEST(a_hole_is_refused),
		TEST(what_came_before_a_hole_is_kept),
		TEST(a_gap_takes_its_numbers),
		TEST(a_gap_that_ends_before_it_begins_is_none),
		TEST(an_undecodable_tick_is_told_and_passed_over),
		TEST(a_keyframe_drops_who_is_absent),
		TEST(a_keyframe_that_skipped_some_drops_nobody),
		TEST(a_clock_that_is_off_is_corrected),
		TEST(a_clock_that_is_set_is_seen_at_once),
		TEST(nothing_comes_from_the_future),
		TEST(a_full_store_takes_nothing),
		TEST(what_a_new_connection_brings_again_is_stored),
		TEST(many_windows_become_a_batch_each),
		TEST(a_batch_that_was_queued_in_part_comes_again),
		TEST(a_batch_that_could_not_be_queued_comes_again),
		TEST(a_base_that_moved_elsewhere_waits_for_a_keyframe),
		TEST(events_keep_their_words),
		TEST(cgroups_come_and_go),
		TEST(interpreters_come_and_go),
		TEST(a_cgroup_id_passes_on_in_one_tick),
		TEST(a_kill_is_told_once_and_joined),
		TEST(a_death_is_told_without_any_tick),
		TEST(a_posture_is_the_hosts),
		TEST(a_census_is_told_once_and_kept_by_its_process),
		TEST(a_census_that_breaks_the_rules_is_a_gap),
		TEST(a_replay_tells_nothing),
		TEST(strangers_are_told_off),
		TEST(replay_rebuilds_the_same),
		cmocka_unit_test(each_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
