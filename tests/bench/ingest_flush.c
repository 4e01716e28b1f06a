/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's flush against what PostgreSQL can do at best, in one run, taking turns:
 *   L1  COPY BINARY of pre-encoded wide rows (one per sample of a process), no index
 *   L2  COPY BINARY of the same batches as they are stored, no index, no check
 *   ours  store_put() until acknowledged: packed (inbox.h), exactly once; the next group is put
 * while the server has the one before, as agents do A batch is six rounds of a host of the
 * synthetic fleet. Prints 'name value unit' and 'ratio name value' (goals G1 and G2). Argument:
 * seconds for all.
 */
#include <errno.h>
#include <event2/event.h>
#include <ftw.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "collector/store/db.h"
#include "collector/store/embedded.h"
#include "collector/store/inbox.h"
#include "collector/store/store.h"
#include "common/clock.h"
#include "tests/bench/lib/agent.h"
#include "tests/bench/lib/open_store.h"

#define HOSTS        200
#define ROUNDS       6 /* in a batch */
#define SAMPLES      (ROUNDS * FLEET_PROCESSES)
#define WIDE_ROWS    20000
#define WIDE_COLUMNS 21

static struct event_base *base;
static struct store *store;
static uint64_t acked;

static void on_acked(void *arg, const struct store_acked *a)
{
	(void)arg;
	if (a->rc < 0) {
		fprintf(stderr, "a batch was not stored: %d\n", a->rc);
		exit(1);
	}
	acked++;
}

/* ---- PostgreSQL by itself ---- */

static PGconn *pg;

static void check(PGresult *r, ExecStatusType want)
{
	if (PQresultStatus(r) != want) {
		fprintf(stderr, "%s\n", PQerrorMessage(pg));
		exit(1);
	}
	PQclear(r);
}

static void run(const char *sql)
{
	check(PQexec(pg, sql), PGRES_COMMAND_OK);
}

static void copy(const char *table, const struct buf *rows)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "COPY %s FROM STDIN (FORMAT binary)", table);
	check(PQexec(pg, sql), PGRES_COPY_IN);
	if (PQputCopyData(pg, (const char *)rows->data, (int)rows->len) != 1 ||
	    PQputCopyEnd(pg, NULL) != 1)
		exit(1);
	check(PQgetResult(pg), PGRES_COMMAND_OK);
	while (PQgetResult(pg))
		;
}

/* A row per sample of a process, what this design is compared with; and the same batches without
 * index, partition or check. */
static void make_tables(void)
{
	char sql[1024] = "CREATE TABLE bench_wide (ts timestamptz, host_id int4, proc_id int8";

	for (int k = 3; k < WIDE_COLUMNS; k++)
		snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql), ", m%d int4", k);
	strcat(sql, ")");
	run(sql);
	run("CREATE TABLE bench_opaque (rcv timestamptz, host_id int4, epoch int8, seq int8, "
	    "last int8, t0 timestamptz, skew_us int8, codec int2, d bytea)");
}

static void wide_rows(struct buf *b)
{
	db_copy_begin(b);
	for (int i = 0; i < WIDE_ROWS; i++) {
		db_copy_row(b, WIDE_COLUMNS);
		db_copy_field(b, &DB_P_TIME(clock_wall_us()));
		db_copy_field(b, &DB_P_INT4(i % HOSTS));
		db_copy_field(b, &DB_P_INT8(i * 7919LL));
		for (int k = 3; k < WIDE_COLUMNS; k++)
			db_copy_field(b, &DB_P_INT4(i * k));
	}
	db_copy_end(b);
}

/* What each host sends, again and again: the store does not look into it. */
static struct buf payloads[HOSTS];

static void make_payloads(void)
{
	for (unsigned h = 0; h < HOSTS; h++) {
		struct fleet_agent a;
		auto_buf struct buf keyframe = BUF_INIT(1 << 20);

		buf_init(&payloads[h], 1 << 20);
		fleet_agent_init(&a, h, h + 1);
		fleet_agent_round(&a, clock_wall_us(), true, &keyframe);
		for (int i = 0; i < ROUNDS; i++)
			fleet_agent_round(&a, clock_wall_us(), false, &payloads[h]);
		bench_must(buf_status(&payloads[h]), "a batch");
		fleet_agent_fini(&a);
	}
}

static struct inbox *inbox;

static void opaque_rows(struct buf *b)
{
	int64_t now = clock_wall_us();
	struct inbox_row row;

	db_copy_begin(b);
	for (int i = 0; i < HOSTS; i++) {
		db_copy_row(b, 9);
		db_copy_field(b, &DB_P_TIME(now));
		db_copy_field(b, &DB_P_INT4(i));
		db_copy_field(b, &DB_P_INT8(i));
		db_copy_field(b, &DB_P_INT8(1));
		db_copy_field(b, &DB_P_INT8(1));
		db_copy_field(b, &DB_P_TIME(now));
		db_copy_field(b, &DB_P_INT8(0));
		db_copy_field(b, &DB_P_INT2(1));
		inbox_pack(inbox, payloads[i].data, payloads[i].len, &row);
		db_copy_field(b, &DB_P_BYTES(row.d, row.len));
	}
	db_copy_end(b);
}

/* ---- ours ---- */

static int64_t conns[HOSTS];
static int64_t seqs[HOSTS];
static unsigned opened;

static void on_stream(void *arg, int rc, int64_t conn, const int64_t *last_seq, size_t n,
		      const struct error *err)
{
	(void)last_seq, (void)n, (void)err;
	if (rc < 0)
		exit(1);
	*(int64_t *)arg = conn;
	opened++;
}

static void open_streams(void)
{
	for (int i = 0; i < HOSTS; i++) {
		struct wire_epoch epoch = {.epoch = (uint64_t)i + 1};

		while (store_stream_open(store, i + 1, &epoch, 1, on_stream, &conns[i]) < 0)
			event_base_loop(base, EVLOOP_ONCE);
	}
	while (opened < HOSTS)
		event_base_loop(base, EVLOOP_ONCE);
}

static void put(int i)
{
	struct store_batch b = {
		.host_id = i + 1,
		.epoch = i + 1,
		.conn = conns[i],
		.first_seq = seqs[i] + 1,
		.last_seq = seqs[i] + 1,
		.rcv_us = store_receive_time(store),
		.payload = payloads[i].data,
		.payload_len = payloads[i].len,
	};

	if (store_put(store, &b) < 0)
		exit(1);
	seqs[i]++;
}

/* The next group comes in, host by host, while the server has the one before. */
static void flush(unsigned groups)
{
	uint64_t end = acked + groups * HOSTS, before = acked;

	for (unsigned i = 0; i < groups * HOSTS; i++) {
		put((int)(i % HOSTS));
		if (i % 8 == 7)
			event_base_loop(base, EVLOOP_NONBLOCK);
		while (i + 1 - (acked - before) > 2 * HOSTS)
			event_base_loop(base, EVLOOP_ONCE);
	}
	while (acked < end)
		event_base_loop(base, EVLOOP_ONCE);
}

/* What packing takes of a batch, seconds. */
static double pack_all(void)
{
	int64_t before = clock_cpu_us();
	struct inbox_row row;
	double bytes = 0, seconds;

	for (int k = 0; k < 20; k++)
		for (int i = 0; i < HOSTS; i++) {
			inbox_pack(inbox, payloads[i].data, payloads[i].len, &row);
			bytes += (double)row.len;
		}
	seconds = (double)(clock_cpu_us() - before) / 1e6 / (20.0 * HOSTS);
	printf("inbox_pack %.1f ns_per_sample\ninbox_packed %.2f bytes_per_sample\n",
	       seconds * 1e9 / SAMPLES, bytes / (20.0 * HOSTS * SAMPLES));
	return seconds;
}

/* ---- */

struct tally {
	const char *name;
	double units; /* batches, or rows for L1 */
	double seconds;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static void measure(double seconds, struct tally t[3])
{
	struct buf wide = BUF_INIT(64 << 20), opaque = BUF_INIT(64 << 20);
	int64_t end = clock_boot_us() + (int64_t)(seconds * 1e6);

	wide_rows(&wide);
	opaque_rows(&opaque);
	make_tables();
	for (int round = 0; clock_boot_us() < end; round++) {
		int64_t at[4] = {clock_boot_us()};

		copy("bench_wide", &wide);
		at[1] = clock_boot_us();
		for (int i = 0; i < 10; i++)
			copy("bench_opaque", &opaque);
		at[2] = clock_boot_us();
		flush(10);
		at[3] = clock_boot_us();
		for (int k = 0; k < 3 && round > 0; k++) { /* the first warms up */
			t[k].seconds += (double)(at[k + 1] - at[k]) / 1e6;
			t[k].units += k == 0 ? WIDE_ROWS : 10.0 * HOSTS;
		}
		if (round % 20 == 19) {
			run("TRUNCATE bench_wide, bench_opaque");
		}
	}
	run("DROP TABLE bench_wide, bench_opaque");
	buf_fini(&wide);
	buf_fini(&opaque);
}

static void report(const struct tally t[3], double packing)
{
	double rate[3];

	for (int k = 0; k < 3; k++) {
		rate[k] = t[k].units / t[k].seconds;
		printf("%s %.0f per_second\n", t[k].name, rate[k]);
	}
	printf("ingest_samples %.0f per_second\n", rate[2] * SAMPLES);
	printf("ratio ingest_exactly_once_to_plain_copy %.3f\n", rate[2] / rate[1]);
	printf("ratio ingest_exactly_once_packing_apart %.3f\n",
	       1 / (1 / rate[2] - packing) / rate[1]);
	printf("ratio ingest_samples_to_wide_rows %.1f\n", rate[2] * SAMPLES / rate[0]);
}

int main(int argc, char **argv)
{
	struct tally t[3] = {{"wide_row_copy", 0, 0}, {"batch_copy", 0, 0}, {"batch_flush", 0, 0}};
	char dir[] = "/tmp/memherd-bench-XXXXXX";
	struct embedded_config ecfg = {.dir = dir};
	struct store_config cfg;
	struct embedded *e;
	struct error err;
	double packing;

	base = event_base_new();
	store_config_init(&cfg);
	if (!base || !mkdtemp(dir))
		return 1;
	make_payloads();
	bench_must(inbox_new(&inbox), "the inbox");
	packing = pack_all();
	if (embedded_start(&ecfg, &e, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	cfg.conninfo = embedded_conninfo(e);
	cfg.flush_us = 0;
	cfg.flush_bytes = HOSTS * 1000; /* a group as soon as the one before is in */
	if (store_open(base, &cfg, on_acked, NULL, &store, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	while (!store_ready(store))
		event_base_loop(base, EVLOOP_ONCE);
	pg = PQconnectdb(embedded_conninfo(e));
	if (PQstatus(pg) != CONNECTION_OK) {
		fprintf(stderr, "%s\n", PQerrorMessage(pg));
		return 1;
	}
	open_streams();
	measure(argc > 1 ? atof(argv[1]) : 45, t);
	report(t, packing);
	PQfinish(pg);
	store_free(&store);
	embedded_free(&e);
	event_base_free(base);
	inbox_free(&inbox);
	for (int i = 0; i < HOSTS; i++)
		buf_fini(&payloads[i]);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
