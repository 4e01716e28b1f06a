/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=PQsendQuery
/* The store against a real PostgreSQL: exactly once, through kills of the server. */
#include "collector/store/store.h"

#include <errno.h>
#include <event2/event.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/socket.h>

#include "collector/store/db_sync.h"
#include "collector/store/migrate.h"
#include "common/clock.h"
#include "tests/support/loop.h"
#include "tests/support/pg.h"

#define SEC 1000000LL

static struct pg pg;
static struct event_base *base;
static struct store *store;
static const uint8_t *this_uuid; /* where there are several collectors */

struct acks {
	int64_t last_seq;
	int n;
	int fenced;
	int holes;
};
static struct acks acks;

static void on_acked(void *arg, const struct store_acked *a)
{
	struct acks *k = arg;

	if (a->rc == -ESTALE)
		k->fenced++;
	else if (a->rc == -EPROTO)
		k->holes++;
	else if (a->last_seq > k->last_seq)
		k->last_seq = a->last_seq;
	k->n++;
}

static void store_up_within(int64_t window_us, int64_t window_bytes)
{
	struct store_config cfg;
	struct error err;

	store_config_init(&cfg);
	cfg.window_bytes = window_bytes;
	cfg.uuid = this_uuid;
	cfg.conninfo = embedded_conninfo(pg.server);
	cfg.window_us = window_us;
	cfg.flush_us = 5000;
	cfg.seal_grace_us = 100000;
	acks = (struct acks){0};
	if (store_open(base, &cfg, on_acked, &acks, &store, &err) < 0)
		fail_msg("%s", err.msg);
	LOOP_UNTIL(base, store_ready(store));
}

static void store_up(int64_t window_us)
{
	store_up_within(window_us, 512 << 20);
}

static int64_t number(const char *sql)
{
	char command[4096], line[64] = "";
	FILE *f;

	/* another client than ours reads what we wrote */
	snprintf(command, sizeof(command), "%s/psql -XAtq -h %s -U memherd -d postgres -c \"%s\"",
		 embedded_bin_dir(pg.server), pg.dir, sql);
	f = popen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	pclose(f);
	return strtoll(line, NULL, 10);
}

struct opened {
	bool done;
	int rc;
	int64_t conn, last_seq;
};

static void on_stream(void *arg, int rc, int64_t conn, const int64_t *last_seq, size_t n,
		      const struct error *err)
{
	struct opened *o = arg;

	(void)n, (void)err;
	*o = (struct opened){.done = true, .rc = rc, .conn = conn, .last_seq = last_seq[0]};
}

static struct opened stream(int32_t host, int64_t epoch)
{
	struct opened o = {.done = false};

	LOOP_UNTIL(base,
		   store_stream_open(store, host, &(struct wire_epoch){.epoch = (uint64_t)epoch}, 1,
				     on_stream, &o) == 0);
	LOOP_UNTIL(base, o.done);
	return o;
}

static int put(int32_t host, int64_t epoch, int64_t conn, int64_t seq, const char *doc)
{
	struct store_event event = {.t_us = clock_wall_us(),
				    .seq = seq,
				    .kind = "start",
				    .doc = doc};
	struct store_process born = {.proc_id = seq, .pid = 7, .comm = "x", .first_seen_us = SEC};
	struct store_batch b = {
		.host_id = host,
		.epoch = epoch,
		.conn = conn,
		.first_seq = seq,
		.last_seq = seq,
		.rcv_us = store_receive_time(store),
		.payload = (const uint8_t *)"payload",
		.payload_len = 7,
		.events = &event,
		.n_events = doc != NULL,
		.born = &born,
		.n_born = doc != NULL,
	};

	return store_put(store, &b);
}

static void batches_are_stored_once(void **state unused_arg)
{
	struct opened a = stream(1, 100), b;

	assert_int_equal(a.rc, 0);
	assert_int_equal(a.last_seq, 0);
	for (int64_t seq = 1; seq <= 50; seq++)
		assert_int_equal(put(1, 100, a.conn, seq, "{\"a\": 1}"), 0);
	LOOP_UNTIL(base, acks.last_seq == 50);
	/* resent after a reconnection that did not hear the acknowledgement */
	b = stream(1, 100);
	assert_int_equal(b.last_seq, 50);
	assert_true(b.conn > a.conn);
	acks = (struct acks){0};
	assert_int_equal(put(1, 100, b.conn, 50, NULL), 0);
	LOOP_UNTIL(base, acks.n == 1);
	assert_int_equal(acks.last_seq, 50);
	/* of the connection before */
	assert_int_equal(put(1, 100, a.conn, 51, NULL), 0);
	LOOP_UNTIL(base, acks.n == 2);
	assert_int_equal(acks.fenced, 1);
	/* a hole is not stored */
	assert_int_equal(put(1, 100, b.conn, 53, NULL), 0);
	LOOP_UNTIL(base, acks.n == 3);
	assert_int_equal(acks.holes, 1);
	assert_int_equal(number("SELECT count(*) FROM inbox WHERE host_id = 1"), 50);
	assert_int_equal(number("SELECT count(DISTINCT seq) FROM inbox WHERE host_id = 1"), 50);
	assert_int_equal(number("SELECT count(*) FROM event WHERE host_id = 1"), 50);
	assert_int_equal(number("SELECT count(*) FROM process WHERE host_id = 1"), 50);
}

static void bad_data_is_set_aside(void **state unused_arg)
{
	struct opened a = stream(2, 200);
	struct store_stats st;

	for (int64_t seq = 1; seq <= 20; seq++)
		assert_int_equal(put(2, 200, a.conn, seq, seq == 13 ? "{not json" : "{}"), 0);
	acks = (struct acks){0};
	LOOP_UNTIL(base, acks.last_seq == 20);
	store_stats(store, &st);
	assert_int_equal(st.dead_letters, 1);
	assert_int_equal(number("SELECT count(*) FROM inbox WHERE host_id = 2"), 19);
	assert_int_equal(number("SELECT seq FROM dead_letter WHERE host_id = 2"), 13);
	assert_int_equal(number("SELECT last_seq FROM agent_stream WHERE host_id = 2"), 20);
}

/* kill -9 of the server, again and again, while batches flow: what is acknowledged is there once.
 */
static void kills_of_the_server_lose_nothing(void **state unused_arg)
{
	struct opened a = stream(3, 300);
	int64_t seq = 1;

	acks = (struct acks){0};
	for (int kills = 0; kills < 3; kills++) {
		int64_t until = clock_boot_us() + SEC / 4;

		while (clock_boot_us() < until) {
			if (put(3, 300, a.conn, seq, "{}") == 0)
				seq++;
			loop_turn(base);
		}
		LOOP_UNTIL(base, embedded_pid(pg.server) > 0 && acks.last_seq > 0);
		kill(embedded_pid(pg.server), SIGKILL);
		for (int i = 0; i < 20 && put(3, 300, a.conn, seq, "{}") == 0; i++, seq++)
			loop_turn(base);
		LOOP_UNTIL(base,
			   embedded_restarts(pg.server) > (unsigned)kills && store_ready(store));
	}
	LOOP_UNTIL(base, acks.last_seq == seq - 1);
	assert_true(seq > 100);
	assert_int_equal(number("SELECT count(*) FROM inbox WHERE host_id = 3"), seq - 1);
	assert_int_equal(number("SELECT count(DISTINCT seq) FROM inbox WHERE host_id = 3"),
			 seq - 1);
	assert_int_equal(number("SELECT count(*) FROM event WHERE host_id = 3"), seq - 1);
}

/* ---- the backend is killed with the COMMIT ---- */

enum strike { STRIKE_NOT, STRIKE_BEFORE_COMMIT, STRIKE_AFTER_COMMIT };
static enum strike strike;
static int64_t strike_seq;

int __real_PQsendQuery(PGconn *c, const char *sql);

static bool is_stored(int64_t seq)
{
	char sql[100];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM inbox WHERE host_id = 9 AND last = %lld",
		 (long long)seq);
	return number(sql) > 0;
}

/* What the server answers does not get to libpq. */
static void swallow(PGconn *c)
{
	char answer[4096];

	while (recv(PQsocket(c), answer, sizeof(answer), 0) != 0)
		usleep(1000);
}

int __wrap_PQsendQuery(PGconn *c, const char *sql)
{
	enum strike how = strcmp(sql, "COMMIT") == 0 ? strike : STRIKE_NOT;
	int rc;

	if (how == STRIKE_BEFORE_COMMIT)
		kill(PQbackendPID(c), SIGSTOP);
	rc = __real_PQsendQuery(c, sql);
	if (how == STRIKE_NOT)
		return rc;
	strike = STRIKE_NOT;
	while (how == STRIKE_AFTER_COMMIT && (PQflush(c) > 0 || !is_stored(strike_seq)))
		usleep(1000);
	kill(PQbackendPID(c), SIGKILL);
	swallow(c);
	return rc;
}

static void a_lost_answer_is_asked_for_again(void **state unused_arg)
{
	static const struct {
		const char *doc; /* NULL: its only COPY is the inbox's */
		enum strike strike;
		unsigned duplicates;
	} cases[] = {
		{NULL, STRIKE_BEFORE_COMMIT, 0},
		{NULL, STRIKE_AFTER_COMMIT, 1},
		{"{}", STRIKE_BEFORE_COMMIT, 0},
		{"{}", STRIKE_AFTER_COMMIT, 1},
	};
	struct opened a = stream(9, 900);
	struct store_stats before, now;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		acks = (struct acks){0};
		store_stats(store, &before);
		strike_seq = (int64_t)i + 1;
		strike = cases[i].strike;
		LOOP_UNTIL(base, put(9, 900, a.conn, strike_seq, cases[i].doc) == 0);
		LOOP_UNTIL(base, acks.last_seq == strike_seq);
		assert_int_equal(strike, STRIKE_NOT);
		assert_int_equal(acks.n, 1);
		store_stats(store, &now);
		assert_int_equal(now.duplicates - before.duplicates, cases[i].duplicates);
		assert_true(now.flush_errors > before.flush_errors);
		LOOP_UNTIL(base, store_ready(store));
	}
	assert_int_equal(number("SELECT count(*) FROM inbox WHERE host_id = 9"), 4);
	assert_int_equal(number("SELECT count(DISTINCT seq) FROM inbox WHERE host_id = 9"), 4);
	assert_int_equal(number("SELECT count(*) FROM event WHERE host_id = 9"), 2);
	assert_int_equal(number("SELECT last_seq FROM agent_stream WHERE host_id = 9"), 4);
}

/* Ticks alone, of the window of t. */
static int put_ticks(int32_t host, int64_t epoch, int64_t conn, int64_t seq, int64_t t_us,
		     int64_t wait_us, size_t len)
{
	static char payload[20000];
	struct store_batch b = {
		.host_id = host,
		.epoch = epoch,
		.conn = conn,
		.first_seq = seq,
		.last_seq = seq,
		.rcv_us = store_receive_time(store),
		.t_us = t_us,
		.wait_us = wait_us,
		.payload = (const uint8_t *)payload,
		.payload_len = len,
	};

	assert_true(len <= sizeof(payload));
	memset(payload, 'a' + (int)(seq % 26), len);
	return store_put(store, &b);
}

static int put_tick(int32_t host, int64_t epoch, int64_t conn, int64_t seq, int64_t t_us,
		    int64_t wait_us)
{
	return put_ticks(host, epoch, conn, seq, t_us, wait_us, 400);
}

static void turn_for(int64_t us)
{
	int64_t end = clock_boot_us() + us;

	while (clock_boot_us() < end)
		loop_turn(base);
}

static void ticks_wait_for_company(void **state unused_arg)
{
	struct opened a = stream(8, 800), o;
	int64_t now = window_start(1800 * SEC, clock_wall_us());

	acks = (struct acks){0};
	for (int64_t seq = 1; seq <= 6; seq++)
		assert_int_equal(put_tick(8, 800, a.conn, seq, now + seq, 30 * SEC), 0);
	turn_for(SEC / 2);
	assert_int_equal(acks.n, 0);
	assert_int_equal(number("SELECT count(*) FROM inbox WHERE host_id = 8"), 0);
	/* whatever else comes of the host takes them along, and comes after them */
	assert_int_equal(put(8, 800, a.conn, 7, "{}"), 0);
	LOOP_UNTIL(base, acks.last_seq == 7);
	assert_int_equal(acks.n, 2);
	assert_int_equal(number("SELECT count(*) FROM inbox WHERE host_id = 8 AND seq = 1 AND "
				"last = 6 AND codec = 2"),
			 1);
	assert_int_equal(number("SELECT count(*) FROM (SELECT rcv, lag(rcv) OVER (ORDER BY seq) AS "
				"b FROM inbox WHERE host_id = 8) AS x WHERE rcv > b"),
			 1);
	/* the time is over */
	assert_int_equal(put_tick(8, 800, a.conn, 8, now, SEC / 10), 0);
	LOOP_UNTIL(base, acks.last_seq == 8);
	/* another window, then somebody who waits for the acknowledgement */
	assert_int_equal(put_tick(8, 800, a.conn, 9, now, 30 * SEC), 0);
	assert_int_equal(put_tick(8, 800, a.conn, 10, now + 1800 * SEC, 30 * SEC), 0);
	LOOP_UNTIL(base, acks.last_seq == 9);
	turn_for(SEC / 4);
	assert_int_equal(acks.last_seq, 9);
	store_hurry(store, 8);
	LOOP_UNTIL(base, acks.last_seq == 10);
	/* one that may not wait */
	assert_int_equal(put_tick(8, 800, a.conn, 11, now, 30 * SEC), 0);
	assert_int_equal(put_tick(8, 800, a.conn, 12, now, 0), 0);
	LOOP_UNTIL(base, acks.last_seq == 12);
	/* what waits is refused like all else that came by an older connection */
	assert_int_equal(put_tick(8, 800, a.conn, 13, now, 30 * SEC), 0);
	o = stream(8, 800);
	assert_int_equal(o.last_seq, 12);
	acks = (struct acks){0};
	assert_int_equal(put_tick(8, 800, o.conn, 13, now, 30 * SEC), 0);
	LOOP_UNTIL(base, acks.fenced == 1);
	assert_int_equal(acks.last_seq, 0);
	/* sixteen KiB are enough for a row */
	for (int64_t seq = 14; seq <= 13 + 100; seq++)
		assert_int_equal(put_tick(8, 800, o.conn, seq, now, 30 * SEC), 0);
	LOOP_UNTIL(base, acks.last_seq > 50);
	assert_int_equal(store_drain(store, 10 * SEC), 0);
	assert_int_equal(acks.last_seq, 113);
	assert_int_equal(number("SELECT count(*) FROM (SELECT seq, lag(last) OVER (ORDER BY seq) "
				"AS b FROM inbox WHERE host_id = 8) AS x WHERE seq <> b + 1"),
			 0);
	assert_in_range(number("SELECT count(*) FROM inbox WHERE host_id = 8 AND seq > 13"), 1, 4);
	/* one that is too large to wait, as a large host's keyframe, comes after what waited */
	assert_int_equal(put_tick(8, 800, o.conn, 114, now, 30 * SEC), 0);
	assert_int_equal(put_ticks(8, 800, o.conn, 115, now + 1800 * SEC, 30 * SEC, 20000), 0);
	LOOP_UNTIL(base, acks.last_seq == 115);
	assert_int_equal(number("SELECT count(*) FROM (SELECT rcv, lag(rcv) OVER (ORDER BY seq) AS "
				"b FROM inbox WHERE host_id = 8) AS x WHERE rcv <= b"),
			 0);
}

static void on_bytes(void *arg, const struct store_replayed *r)
{
	struct buf *b = arg;

	if (r->host_id == 8 && r->epoch == 801)
		buf_put(b, r->payload, r->payload_len);
}

static bool replayed;
static void on_replay(void *arg, int rc, const struct error *err);

static int64_t letters(const char *reason)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM dead_letter WHERE host_id = 8 AND reason LIKE '%s%%'",
		 reason);
	return number(sql);
}

static void compressed_rows_come_back_and_damaged_ones_are_set_aside(void **state unused_arg)
{
	struct opened a = stream(8, 801);
	auto_buf struct buf b = BUF_INIT(1 << 20);
	int64_t now = clock_wall_us();

	acks = (struct acks){0};
	for (int64_t seq = 1; seq <= 3; seq++) {
		assert_int_equal(put_tick(8, 801, a.conn, seq, now, 0), 0);
		LOOP_UNTIL(base, acks.last_seq == seq);
	}
	replayed = false;
	assert_int_equal(store_replay(store, on_bytes, on_replay, &b), 0);
	LOOP_UNTIL(base, replayed);
	assert_int_equal(b.len, 3 * 400);
	assert_int_equal(b.data[0], 'b');
	assert_int_equal(b.data[2 * 400], 'd');
	(void)number("UPDATE inbox SET d = set_byte(d, length(d) - 6, get_byte(d, length(d) - 6) # "
		     "4) WHERE host_id = 8 AND epoch = 801 AND seq = 2 RETURNING 1");
	for (int i = 0; i < 2; i++) { /* it is found once */
		buf_reset(&b);
		replayed = false;
		assert_int_equal(store_replay(store, on_bytes, on_replay, &b), 0);
		LOOP_UNTIL(base, replayed);
		assert_int_equal(b.len, 2 * 400);
		assert_int_equal(b.data[400], 'd');
		LOOP_UNTIL(base, letters("stored batch: zstd") == 1);
	}
	assert_int_equal(number("SELECT count(*) FROM inbox WHERE host_id = 8 AND epoch = 801"), 2);
	assert_int_equal(number("SELECT ok::int FROM stream_account WHERE epoch = 801"), 1);
	assert_int_equal(number("SELECT dead_lettered FROM stream_account WHERE epoch = 801"), 1);
}

struct series {
	bool done;
	int rc;
	size_t n;
	struct point p[2000];
};

static void on_series(void *arg, int rc, const struct point *p, size_t n, int64_t resolution,
		      const struct error *err)
{
	struct series *s = arg;

	(void)err, (void)resolution;
	s->done = true;
	s->rc = rc;
	s->n = n;
	memcpy(s->p, p, n * sizeof(*p));
}

static void read_series(struct series *s, int64_t proc, int64_t from, int64_t to, size_t max)
{
	*s = (struct series){.done = false};
	assert_int_equal(store_series(store, &SERIES_OF_PROCESS(4, proc), METRIC_RSS, from, to, max,
				      on_series, s),
			 0);
	LOOP_UNTIL(base, s->done);
	assert_int_equal(s->rc, 0);
}

static int64_t replayed_us;

static void on_row(void *arg, const struct store_replayed *r)
{
	size_t *n = arg;

	assert_int_equal(r->payload_len, 7);
	assert_true(r->rcv_us > replayed_us);
	replayed_us = r->rcv_us;
	*n += r->host_id == 4;
}

static void on_replay(void *arg, int rc, const struct error *err)
{
	(void)arg, (void)err;
	assert_int_equal(rc, 0);
	replayed = true;
}

static void replay(size_t *rows)
{
	*rows = 0;
	replayed_us = 0;
	replayed = false;
	assert_int_equal(store_replay(store, on_row, on_replay, rows), 0);
	LOOP_UNTIL(base, replayed);
}

/* Streams are numbered at random: the younger may have the lower number. */
static void streams_come_back_in_the_order_of_time(void **state unused_arg)
{
	static const int64_t epochs[] = {900, -5, 400};
	size_t rows;

	for (size_t i = 0; i < ARRAY_SIZE(epochs); i++) {
		struct opened a = stream(5, epochs[i]);

		for (int64_t seq = 1; seq <= 2; seq++) {
			acks = (struct acks){0};
			assert_int_equal(put(5, epochs[i], a.conn, seq, NULL), 0);
			LOOP_UNTIL(base, acks.last_seq == seq);
		}
	}
	replay(&rows); /* on_row looks at the order */
	assert_true(replayed_us > 0);
}

static uint64_t sealed(void)
{
	struct store_stats st;

	store_stats(store, &st);
	return st.sealed;
}

/* Two hours of samples, from memory, then from chunks, then with late data on top. */
static void windows_are_sealed_and_read(void **state unused_arg)
{
	int64_t now = clock_wall_us(), from = window_start(1800 * SEC, now - 7200 * SEC);
	struct window_set *ws = store_windows(store);
	static struct series s;
	size_t rows;

	for (int64_t t = from; t < from + 3600 * SEC; t += 10 * SEC) {
		int64_t v[METRIC_COUNT] = {0}, h[HOST_METRIC_COUNT] = {1};

		v[METRIC_RSS] = (t - from) / SEC;
		assert_int_equal(window_add(ws, &SERIES_OF_PROCESS(4, 44), t,
					    store_receive_time(store), v),
				 0);
		assert_int_equal(window_add(ws, &SERIES_OF_HOST(4), t, store_receive_time(store),
					    h),
				 0);
	}
	read_series(&s, 44, from, now, 2000);
	assert_int_equal(s.n, 360);
	replay(&rows); /* before that nothing is sealed */
	LOOP_UNTIL(base, sealed() == 2);
	read_series(&s, 44, from, now, 2000);
	assert_int_equal(s.n, 360);
	for (size_t i = 0; i < s.n; i++)
		assert_int_equal(s.p[i].v, (int64_t)i * 10);
	read_series(&s, 44, from, from + 3600 * SEC, 20);
	assert_in_range(s.n, 10, 20);
	assert_int_equal(s.p[s.n - 1].v, 3590);
	assert_int_equal(number("SELECT count(*) FROM chunk WHERE host_id = 4"), 2);
	assert_int_equal(number("SELECT count(*) FROM host_chunk WHERE host_id = 4"), 2);
	assert_int_equal(number("SELECT sum(n) FROM rollups WHERE host_id = 4"), 360);
	assert_int_equal(
		number("SELECT round(max(rss_slope_kib_h)) FROM rollups WHERE host_id = 4"), 3600);
	/* plain SQL reads the same */
	assert_int_equal(number("SELECT sum(rss_kib) FROM sample_rss WHERE host_id = 4"),
			 10 * 359 * 360 / 2);
	/* late, in the second window after it was sealed, the first just behind what is sealed:
	 * seen before they are sealed, too */
	static const struct {
		int64_t after_us, v;
	} late[] = {{3590 * SEC + SEC / 20, 79}, {3595 * SEC, 77}};

	for (size_t i = 0; i < ARRAY_SIZE(late); i++) {
		int64_t v[METRIC_COUNT] = {late[i].v};

		assert_int_equal(window_add(ws, &SERIES_OF_PROCESS(4, 44), from + late[i].after_us,
					    store_receive_time(store), v),
				 0);
	}
	for (int i = 0; i < 2; i++) {
		read_series(&s, 44, from, now, 2000);
		assert_int_equal(s.n, 362);
		assert_int_equal(s.p[360].v, 79);
		assert_int_equal(s.p[361].v, 77);
		LOOP_UNTIL(base, sealed() == 3);
	}
	assert_int_equal(number("SELECT max(part) FROM chunk WHERE host_id = 4"), 8);
}

static void add_figures(int64_t proc, int64_t t_us, int64_t rss, int64_t anon)
{
	int64_t v[METRIC_COUNT];

	for (unsigned i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = rss;
	v[METRIC_ANON] = anon;
	assert_int_equal(window_add(store_windows(store), &SERIES_OF_PROCESS(5, proc), t_us,
				    store_receive_time(store), v),
			 0);
}

#define FIGURES(what, from) "SELECT " what " FROM " from " WHERE host_id = 5"

/* 71 of a host take two rows; one with 3 TiB stands alone. */
static void figures_of_a_host_are_together(void **state unused_arg)
{
	int64_t t = window_start(1800 * SEC, clock_wall_us() - 5 * 3600 * SEC);
	uint64_t before = sealed();

	for (int64_t proc = 1; proc <= 70; proc++) {
		add_figures(proc, t, 1000 * proc, METRIC_ABSENT);
		add_figures(proc, t + 10 * SEC, 1000 * proc - 10, METRIC_ABSENT);
		add_figures(proc, t + 20 * SEC, 1000 * proc + 5, proc == 3 ? 17 : METRIC_ABSENT);
	}
	add_figures(71, t, 3LL << 30, 3LL << 30);
	add_figures(72, t, METRIC_ABSENT, METRIC_ABSENT);
	LOOP_UNTIL(base, sealed() == before + 1);
	assert_int_equal(number(FIGURES("count(*)", "rollup_window")), 2);
	assert_int_equal(number(FIGURES("max(cardinality(procs))", "rollup_window")), 36);
	assert_int_equal(number(FIGURES("count(anon_last)", "rollup_window")), 1);
	assert_int_equal(number(FIGURES("count(gc2)", "rollup_window")), 0);
	assert_int_equal(number(FIGURES("proc_id", "rollup_1h")), 71);
	assert_int_equal(number(FIGURES("count(DISTINCT (t0, proc_id))", "rollups")), 72);
	assert_int_equal(number(FIGURES("max(rss_max)", "rollups")), 3LL << 30);
	assert_int_equal(number(FIGURES("anon_last", "rollups") " AND proc_id = 3"), 17);
	assert_int_equal(
		number(FIGURES(
			"count(*)",
			"rollups") " AND proc_id <= 70 AND n = 3 AND rss_first = 1000 * proc_id"
				   " AND rss_min = rss_first - 10 AND rss_max = rss_last"
				   " AND rss_last = rss_first + 5 AND rss_avg = rss_first - 2"),
		70);
	assert_int_equal(number(FIGURES("count(*)", "rollups") " AND rss_min IS NULL"), 1);
	assert_int_equal(number(FIGURES("sum(n)", "rollups")), number(FIGURES("sum(n)", "chunk")));
	/* late: the next part */
	add_figures(70, t + 30 * SEC, 5, METRIC_ABSENT);
	LOOP_UNTIL(base, sealed() == before + 2);
	assert_int_equal(number(FIGURES("part", "rollups") " AND proc_id = 70 AND rss_max = 5"), 8);
	assert_int_equal(
		number("SELECT count(*) FROM pg_attribute AS a JOIN pg_inherits AS i "
		       "ON i.inhrelid = a.attrelid WHERE attstorage <> 'm' AND attndims > 0 "
		       "AND inhparent = 'rollup_window'::regclass"),
		0);
}

static void unsealed_batches_come_back(void **state unused_arg)
{
	struct opened a = stream(4, 400);
	struct error err;
	size_t rows;

	acks = (struct acks){0};
	for (int64_t seq = 1; seq <= 700; seq++)
		assert_int_equal(put(4, 400, a.conn, seq, NULL), 0);
	assert_int_equal(store_drain(store, 10 * SEC), 0);
	store_free(&store);
	store_up(1800 * SEC);
	replay(&rows);
	assert_int_equal(rows, 700);
	(void)err;
}

static struct store_kill kill_of(int64_t kill_id, int64_t seq, const char *verdict)
{
	return (struct store_kill){
		.kill_id = kill_id,
		.t_us = clock_wall_us(),
		.seq = seq,
		.cause = "kernel_memcg",
		.confidence = "certain",
		.oom = true,
		.complete = true,
		.proc_id = 81,
		.pid = 8,
		.comm = "worker",
		.service = "shop",
		.container = "",
		.rss_bytes = -1,
		.limit_cgroup = "/shop",
		.limit_owner = "shop",
		.limit_bytes = 1 << 20,
		.verdict = verdict,
		.doc = "{\"victim\":{}}",
		.event = "{\"verdict\":\"it's\"}",
	};
}

/* A batch of one record that tells what b says. */
static void put_senses(int64_t conn, int64_t seq, struct store_batch b)
{
	b.host_id = 6;
	b.epoch = 600;
	b.conn = conn;
	b.first_seq = b.last_seq = seq;
	b.rcv_us = store_receive_time(store);
	b.payload = (const uint8_t *)"payload";
	b.payload_len = 7;
	acks = (struct acks){0};
	assert_int_equal(store_put(store, &b), 0);
	LOOP_UNTIL(base, acks.last_seq == seq);
}

static void put_kill(int64_t conn, int64_t seq, struct store_kill k)
{
	put_senses(conn, seq, (struct store_batch){.kills = &k, .n_kills = 1});
}

#define KILLS "SELECT count(*) FROM oom_kill WHERE host_id = 6 AND "

static void a_kill_is_stored_once(void **state unused_arg)
{
	struct opened a = stream(6, 600);
	struct store_kill k = kill_of(11, 1, "first"), twice[] = {k, k};

	k.replayed = true;
	put_kill(a.conn, 1, k);
	assert_int_equal(number(KILLS "verdict = 'first' AND rss IS NULL AND pid = 8"), 1);
	/* again as it was: no change */
	k.verdict = "again";
	put_kill(a.conn, 2, k);
	assert_int_equal(number(KILLS "verdict = 'first'"), 1);
	/* with the flight ring of that moment: that is better, and still one kill */
	k = kill_of(11, 3, "ring");
	put_kill(a.conn, 3, k);
	assert_int_equal(number(KILLS "verdict = 'ring' AND NOT replayed"), 1);
	/* and never worse again */
	k.complete = false;
	k.verdict = "worse";
	put_kill(a.conn, 4, k);
	assert_int_equal(number(KILLS "true"), 1);
	assert_int_equal(number(KILLS "verdict = 'ring'"), 1);
	assert_int_equal(number("SELECT count(*) FROM event WHERE host_id = 6 AND kind = 'oom_kill'"
				" AND proc_id = 81 AND doc->>'verdict' = 'it''s'"),
			 1);
	/* twice in one batch; and one of a time that no partition is kept for */
	twice[0] = twice[1] = kill_of(12, 5, "twin");
	twice[1].t_us = 1;
	put_senses(a.conn, 5, (struct store_batch){.kills = twice, .n_kills = 2});
	assert_int_equal(number(KILLS "verdict = 'twin' AND ts > now() - interval '1 hour'"), 1);
	assert_int_equal(number("SELECT count(*) FROM event WHERE host_id = 6"), 2);
}

static void an_end_finds_its_process_in_any_order(void **state unused_arg)
{
	struct opened a = stream(6, 600);
	struct store_process born = {.proc_id = 82,
				     .pid = 9,
				     .comm = "late",
				     .container = "box",
				     .role = "worker",
				     .slot = 3,
				     .first_seen_us = SEC};
	struct store_death death = {.proc_id = 82,
				    .pid = 9,
				    .t_us = clock_wall_us(),
				    .cause = "signal",
				    .confidence = "",
				    .exit_code = -1,
				    .exit_signal = 9,
				    .verdict = "SIGKILL from somewhere",
				    .comm = "early"};

	put_senses(a.conn, 6, (struct store_batch){.deaths = &death, .n_deaths = 1});
	assert_int_equal(
		number("SELECT count(*) FROM process WHERE proc_id = 82 AND comm = 'early'"), 1);
	put_senses(a.conn, 7, (struct store_batch){.born = &born, .n_born = 1});
	assert_int_equal(number("SELECT count(*) FROM process WHERE proc_id = 82 AND comm = 'late'"
				" AND container = 'box' AND role = 'worker' AND slot = 3"
				" AND cause = 'signal' AND exit_signal = 9 AND exit_code IS NULL"
				" AND confidence IS NULL AND last_seen > first_seen"),
			 1);
	/* and the other way round */
	born.proc_id = death.proc_id = 83;
	put_senses(a.conn, 8, (struct store_batch){.born = &born, .n_born = 1});
	put_senses(a.conn, 9, (struct store_batch){.deaths = &death, .n_deaths = 1});
	assert_int_equal(number("SELECT count(*) FROM process WHERE proc_id = 83 AND comm = 'late'"
				" AND cause = 'signal' AND last_seen IS NOT NULL"),
			 1);
}

static void cgroups_and_postures_are_kept_as_they_change(void **state unused_arg)
{
	struct opened a = stream(6, 600);
	struct store_cgroup g = {.cgroup_id = 5,
				 .version = 2,
				 .path = "/shop",
				 .name = "shop",
				 .runtime = "docker",
				 .image = "shop:1",
				 .limited_by = "/shop",
				 .t_us = clock_wall_us()};
	struct store_exit gone = {.proc_id = 5, .t_us = g.t_us + SEC};
	struct store_posture p = {.t_us = g.t_us, .doc = "[{\"code\":\"no_swap\"}]"};
	struct store_batch told = {.cgroups = &g, .n_cgroups = 1, .postures = &p, .n_postures = 1};

	put_senses(a.conn, 10, told);
	put_senses(a.conn, 11, (struct store_batch){.cgroups_gone = &gone, .n_cgroups_gone = 1});
	assert_int_equal(number("SELECT count(*) FROM cgroup WHERE last_seen IS NOT NULL"), 1);
	g.image = "shop:2";
	p.t_us += SEC;
	put_senses(a.conn, 12, told);
	assert_int_equal(number("SELECT count(*) FROM cgroup WHERE last_seen IS NULL AND "
				"image = 'shop:2' AND host_id = 6 AND version = 2"),
			 1);
	assert_int_equal(number("SELECT count(*) FROM posture"), 1);
	p.t_us += SEC;
	p.doc = "[]";
	put_senses(a.conn, 13, told);
	assert_int_equal(number("SELECT count(*) FROM posture"), 2);
}

static void read_cgroup(struct series *s, int64_t from, int64_t to)
{
	*s = (struct series){.done = false};
	assert_int_equal(store_series(store, &SERIES_OF_CGROUP(6, 5), CGROUP_METRIC_WORKING_SET,
				      from, to, 2000, on_series, s),
			 0);
	LOOP_UNTIL(base, s->done);
	assert_int_equal(s->rc, 0);
}

/* From memory, from the chunk, and after a restart. */
static void the_series_of_a_cgroup_survives(void **state unused_arg)
{
	int64_t now = clock_wall_us(), from = window_start(1800 * SEC, now - 7200 * SEC);
	static struct series s;
	uint64_t before = sealed();
	size_t rows;

	for (int64_t t = from; t < from + 600 * SEC; t += 10 * SEC) {
		int64_t v[CGROUP_METRIC_COUNT] = {5000, 3000 + (t - from) / SEC, 1000, 2000};

		assert_int_equal(window_add(store_windows(store), &SERIES_OF_CGROUP(6, 5), t,
					    store_receive_time(store), v),
				 0);
	}
	read_cgroup(&s, from, now);
	assert_int_equal(s.n, 60);
	LOOP_UNTIL(base, sealed() == before + 1);
	assert_int_equal(
		number("SELECT count(*) FROM host_chunk WHERE host_id = 6 AND kind = 2 AND "
		       "obj_id = 5 AND n = 60"),
		1);
	store_free(&store);
	store_up(1800 * SEC);
	replay(&rows);
	read_cgroup(&s, from, now);
	assert_int_equal(s.n, 60);
	for (size_t i = 0; i < s.n; i++)
		assert_int_equal(s.p[i].v, 3000 + (int64_t)i * 10);
}

/* Leaves of years ago, one of them left detached by a collector that ended in between. */
static void old_leaves_are_dropped(void **state unused_arg)
{
	size_t rows;

	(void)number("SELECT length(mh_make_leaf('chunk', '2020-01-01Z', '2020-01-02Z'))");
	(void)number("SELECT length(mh_make_leaf('inbox', '2020-01-01Z', '2020-01-01 01:00Z'))");
	(void)number("SELECT length(mh_make_leaf('event', '2020-01-01Z', '2020-02-01Z'))");
	(void)number("ALTER TABLE event DETACH PARTITION event_p20200101; SELECT 1");
	assert_int_equal(number("SELECT count(*) FROM pg_class WHERE relname ~ '_p2020[0-9_]+$'"),
			 3);
	store_free(&store);
	store_up(1800 * SEC);
	replay(&rows);
	LOOP_UNTIL(base,
		   number("SELECT count(*) FROM pg_class WHERE relname ~ '_p2020[0-9_]+$'") == 0);
	/* what is in use stays, and there are leaves ahead */
	assert_in_range(
		number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'inbox'::regclass"), 3,
		5);
	assert_int_equal(number("SELECT count(*) FROM inbox WHERE host_id = 4"), 700);
}

/* A host that starts a process a second makes 30 million rows a year. */
static void old_rows_are_deleted(void **state unused_arg)
{
#define PROCESS(id, boot, first, last)                                                        \
	"INSERT INTO process VALUES (77, " #id ", '00000000-0000-0000-0000-00000000000" #boot \
	"', 1, 1, 1, 0, 'c', '', '', '', '', now() - interval '" first "', " last ");"
	size_t rows;

	(void)number(PROCESS(1, 1, "400d", "now() - interval '100d'") /* long ended */
		     PROCESS(2, 1, "400d", "now() - interval '80d'")  /* not so long */
		     PROCESS(3, 1, "400d", "NULL")                    /* went down with its boot */
		     PROCESS(4, 2, "1d", "NULL") PROCESS(5, 2, "100d", "NULL") /* lives */
		     "INSERT INTO mail (created, sender, recipients, message, state) VALUES "
		     "(now() - interval '400d', 'a', 'old', '', 'sent'), "
		     "(now() - interval '400d', 'a', 'waits', '', 'queued'), "
		     "(now() - interval '1d', 'a', 'new', '', 'failed');"
		     "INSERT INTO dead_letter VALUES (77, 1, 1, now() - interval '20d', 'x', ''), "
		     "(77, 1, 2, now(), 'x', '');"
		     "INSERT INTO gap VALUES (77, 1, 1, 2, 1, 1, NULL, now() - interval '100d'), "
		     "(77, 1, 3, 4, 1, 1, NULL, now());"
		     "INSERT INTO posture VALUES (77, now() - interval '401d', '[1]'), "
		     "(77, now() - interval '400d', '[2]');"
		     "INSERT INTO cgroup VALUES (77, 1, '/a', 2, '', '', '', '', now() - interval "
		     "'200d', now() - interval '100d'), (77, 2, '/b', 2, '', '', '', '', now() - "
		     "interval '200d', NULL);"
		     "INSERT INTO oom_kill SELECT 77, g, now() - g * interval '1d', 'oomd', "
		     "'guess', true, true, true, NULL, NULL, '', '', '', NULL, '', '', NULL, '', "
		     "'{}' FROM unnest(ARRAY[300, 400]) AS g;"
		     "INSERT INTO compaction (t0, shard, done, seals) SELECT date_trunc('hour', "
		     "now()) - a * interval '1d', 77, now() - b * interval '1d', 1 FROM "
		     "(VALUES (80, 80), (100, 100), (101, 1)) AS x(a, b);"
		     "INSERT INTO rollup_day SELECT date_trunc('day', now()) - g * interval '1d', "
		     "77, 1 FROM unnest(ARRAY[700, 800]) AS g; SELECT 1");
	store_free(&store);
	store_up(1800 * SEC);
	replay(&rows);
	LOOP_UNTIL(base, number("SELECT count(*) FROM process WHERE host_id = 77") == 3);
	assert_int_equal(number("SELECT sum(proc_id) FROM process WHERE host_id = 77"), 2 + 4 + 5);
	assert_int_equal(number("SELECT count(*) FROM mail WHERE recipients = 'old'"), 0);
	assert_int_equal(number("SELECT count(*) FROM mail WHERE recipients <> 'old'"), 2);
	assert_int_equal(number("SELECT sum(seq) FROM dead_letter WHERE host_id = 77"), 2);
	assert_int_equal(number("SELECT sum(from_seq) FROM gap WHERE host_id = 77"), 3);
	assert_int_equal(number("SELECT sum(kill_id) FROM oom_kill WHERE host_id = 77"), 300);
	assert_int_equal(number("SELECT sum(cgroup_id) FROM cgroup WHERE host_id = 77"), 2);
	/* the one of a window that is old and was sealed lately stays: it has late data */
	assert_int_equal(number("SELECT count(*) FROM compaction WHERE shard = 77"), 2);
	assert_int_equal(number("SELECT count(*) FROM compaction WHERE shard = 77 AND done < now() "
				"- interval '90d'"),
			 0);
	assert_int_equal(number("SELECT count(*) FROM rollup_day WHERE shard = 77"), 1);
	/* a host's newest posture still holds, however old it is */
	assert_int_equal(number("SELECT sum((doc->>0)::int) FROM posture WHERE host_id = 77"), 2);
	(void)number(
		"DELETE FROM compaction WHERE shard = 77; DELETE FROM rollup_day WHERE shard = 77;"
		"DELETE FROM process WHERE host_id = 77; DELETE FROM mail; "
		"DELETE FROM gap WHERE host_id = 77; "
		"DELETE FROM dead_letter WHERE host_id = 77; SELECT 1");
}

/* ---- a collector that is gone ---- */

#define HALF_HOUR (1800 * SEC)

static struct {
	bool full;
	unsigned readings; /* of its batches, from the beginning */
} dead;

/* Such a row is of 5 processes (of 2,000 where the host is too large), a sample a minute, the last
 * at the start of the next window. */
static void on_dead_row(void *arg unused_arg, const struct store_replayed *row)
{
	int64_t v[METRIC_COUNT] = {0};
	int processes = row->host_id == 256 ? 2000 : 5;

	for (int p = 1; row->windows && p <= processes; p++)
		for (int64_t m = 1; m <= 30; m++) {
			v[METRIC_RSS] = row->host_id * m * p;
			if (window_add(row->windows, &SERIES_OF_PROCESS(row->host_id, p),
				       row->t0_us + m * 60 * SEC, row->rcv_us, v) == -ENOBUFS)
				dead.full = true;
		}
}

static void on_own_row(void *arg unused_arg, const struct store_replayed *row unused_arg)
{
}

static bool is_dead_whole(void *arg unused_arg)
{
	return !dead.full;
}

static void on_dead_end(void *arg unused_arg)
{
	dead.full = false;
	dead.readings++;
}

static void run(const char *sql)
{
	char command[2048];

	snprintf(command, sizeof(command), "%s; SELECT 1", sql);
	assert_int_equal(number(command), 1);
}

static void leave(int collector, int first, int last, int hours_ago)
{
	char sql[1024];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO collector (collector_id, uuid, boot, name, seen, oldest) VALUES (%d, "
		 "gen_random_uuid(), gen_random_uuid(), 'dead', now() - interval '%d h', now())",
		 collector, hours_ago);
	run(sql);
	snprintf(sql, sizeof(sql),
		 "INSERT INTO inbox (rcv, host_id, epoch, seq, last, t0, codec, d, writer) "
		 "SELECT now() + (w * 1000 + h) * interval '1 us', h, 1, w, w, "
		 "date_bin('30 min', now() - interval '8 h', 'epoch') + w * interval '30 min', 1, "
		 "'x', %d FROM generate_series(1, 2) AS w, generate_series(%d, %d) AS h",
		 collector, first, last);
	run(sql);
}

/* 60 hosts need some 500 KiB a window. */
static void what_is_too_much_at_once_is_adopted_in_parts(void **state unused_arg)
{
	static const uint8_t uuid[16] = {9};
	const struct store_adopt_ops ops = {.row = on_dead_row,
					    .whole = is_dead_whole,
					    .end = on_dead_end};
	struct store_stats st;

	store_free(&store);
	this_uuid = uuid;
	store_up_within(HALF_HOUR, 128 << 10);
	replayed = false;
	assert_int_equal(store_replay(store, on_own_row, on_replay, NULL), 0);
	LOOP_UNTIL(base, replayed);
	leave(7, 101, 160, 1);
	leave(8, 256, 256, 2); /* looked at first, and too large whatever is done */
	store_adopt(store, SEC, &ops);
	LOOP_UNTIL(base, (store_stats(store, &st), st.adopted >= 3));
	LOOP_UNTIL(base, number("SELECT count(*) FROM collector WHERE adopted IS NOT NULL"));
	assert_int_equal(number("SELECT count(*) FROM collector WHERE adopted IS NOT NULL"), 1);
	assert_true(st.adopt_errors >= 1);
	assert_true(dead.readings > 10);
	/* two windows of batches, and what the second told of a third */
	assert_int_equal(number("SELECT count(*) FROM compaction WHERE shard = 7"), 3);
	assert_int_equal(number("SELECT count(*) FROM compaction WHERE shard = 8"), 0);
	assert_int_equal(number("SELECT sum(n) FROM chunk WHERE host_id BETWEEN 101 AND 160"),
			 60 * 5 * 2 * 30);
	assert_int_equal(
		number("SELECT count(DISTINCT (host_id, proc_id, t)) FROM sample_rss WHERE "
		       "host_id BETWEEN 101 AND 160"),
		60 * 5 * 2 * 30);
	assert_int_equal(number("SELECT sum(n) FROM rollups WHERE host_id BETWEEN 101 AND 160"),
			 60 * 5 * 2 * 30);
	assert_int_equal(number("SELECT max(part) FROM chunk WHERE host_id BETWEEN 101 AND 160"),
			 0);
	run("DELETE FROM inbox WHERE writer IN (7, 8); DELETE FROM collector");
	store_free(&store);
	this_uuid = NULL;
	store_up(HALF_HOUR);
}

static void another_window_is_refused(void **state unused_arg)
{
	struct store_config cfg;
	struct store *other;
	struct error err;

	store_config_init(&cfg);
	cfg.conninfo = embedded_conninfo(pg.server);
	cfg.window_us = 600 * SEC;
	assert_int_equal(store_open(base, &cfg, on_acked, &acks, &other, &err), -EINVAL);
	assert_says(err, "cannot be changed");
	cfg.conninfo = "host=/nonexistent";
	assert_int_equal(store_open(base, &cfg, on_acked, &acks, &other, &err), -ENOTCONN);
	assert_says(err, "cannot connect");
}

static void migrations_run_once(void **state unused_arg)
{
	struct db_sync *s;
	struct error err;

	assert_int_equal(db_sync_open(embedded_conninfo(pg.server), false, &s, &err), 0);
	assert_int_equal(migrate_run(s, &err), 0);
	assert_int_equal(
		db_sync_script(s, "UPDATE meta SET value = '9999' WHERE key = 'schema_version'",
			       &err),
		0);
	assert_int_equal(migrate_run(s, &err), -EPROTO);
	assert_says(err, "newer");
	assert_int_equal(db_sync_script(s,
					"UPDATE meta SET value = '1' WHERE key = 'schema_version'",
					&err),
			 0);
	db_sync_free(&s);
}

static int up(void **state unused_arg)
{
	struct error err;

	base = event_base_new();
	pg_start(&pg);
	assert_int_equal(embedded_supervise(pg.server, base, &err), 0);
	store_up(1800 * SEC);
	return 0;
}

static int down(void **state unused_arg)
{
	store_free(&store);
	pg_stop(&pg);
	event_base_free(base);
	libevent_global_shutdown();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_are_stored_once),
		cmocka_unit_test(bad_data_is_set_aside),
		cmocka_unit_test(kills_of_the_server_lose_nothing),
		cmocka_unit_test(a_lost_answer_is_asked_for_again),
		cmocka_unit_test(windows_are_sealed_and_read),
		cmocka_unit_test(figures_of_a_host_are_together),
		cmocka_unit_test(a_kill_is_stored_once),
		cmocka_unit_test(an_end_finds_its_process_in_any_order),
		cmocka_unit_test(cgroups_and_postures_are_kept_as_they_change),
		cmocka_unit_test(the_series_of_a_cgroup_survives),
		cmocka_unit_test(streams_come_back_in_the_order_of_time),
		cmocka_unit_test(unsealed_batches_come_back),
		cmocka_unit_test(old_leaves_are_dropped),
		cmocka_unit_test(old_rows_are_deleted),
		cmocka_unit_test(ticks_wait_for_company),
		cmocka_unit_test(compressed_rows_come_back_and_damaged_ones_are_set_aside),
		cmocka_unit_test(what_is_too_much_at_once_is_adopted_in_parts),
		cmocka_unit_test(another_window_is_refused),
		cmocka_unit_test(migrations_run_once),
	};

	return cmocka_run_group_tests(tests, up, down);
}
