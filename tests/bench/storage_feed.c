/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same samples for other stores, on an exact grid of 10 s (ours have jitter); DAY: of the
 * fleet's life:
 *   text HOSTS FROM_S ROUNDS DAY seconds|milliseconds   one line a value, as promtool (OpenMetrics)
 * and VictoriaMetrics (its import of the text format) read them wide CONNINFO HOSTS FROM_S ROUNDS
 * DAY   a row a sample in table bench_wide (18 columns int4, btree on process and time), COPY
 * BINARY of 20,000 rows; prints WAL bytes a sample
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "collector/store/db.h"
#include "common/clock.h"
#include "tests/bench/lib/fleet.h"

#define BATCH 20000

static int fail(const char *what)
{
	fprintf(stderr, "storage_feed: %s\n", what);
	exit(1);
}

/* ---- text ---- */

struct feed {
	unsigned processes;
	unsigned rounds;
	unsigned day;
	int64_t from_s;
	int32_t *v; /* of process, metric, round */
};

static void make(struct feed *f)
{
	int32_t *at = f->v =
		malloc((size_t)f->processes * FLEET_METRICS * f->rounds * sizeof(*f->v));

	if (!at)
		fail("no memory");
	for (unsigned i = 0; i < f->processes; i++, at += (size_t)FLEET_METRICS * f->rounds) {
		struct fleet_process p;

		fleet_start(&p, i / FLEET_PROCESSES, i % FLEET_PROCESSES, f->day);
		for (unsigned r = 0; r < f->rounds; r++) {
			fleet_step(&p);
			for (unsigned k = 0; k < FLEET_METRICS; k++)
				at[(size_t)k * f->rounds + r] = (int32_t)p.v[k];
		}
	}
}

static void print_series(const struct feed *f, unsigned k, unsigned i, const char *unit)
{
	const int32_t *v = f->v + ((size_t)i * FLEET_METRICS + k) * f->rounds;
	char name[128];

	snprintf(name, sizeof(name),
		 "memherd_%s{host=\"host-%u\",pid=\"%u\",service=\"service-%u\"}",
		 metric_infos[k].name, i / FLEET_PROCESSES, 1000 + i % FLEET_PROCESSES,
		 i % FLEET_PROCESSES);
	for (unsigned r = 0; r < f->rounds; r++)
		printf("%s %d %lld%s\n", name, (int)v[r], (long long)f->from_s + 10 * r, unit);
}

static int text(unsigned hosts, int64_t from_s, unsigned rounds, unsigned day, const char *unit)
{
	struct feed f = {.processes = hosts * FLEET_PROCESSES,
			 .rounds = rounds,
			 .day = day,
			 .from_s = from_s};
	bool seconds = strcmp(unit, "seconds") == 0;

	make(&f);
	for (unsigned k = 0; k < FLEET_METRICS; k++) {
		if (seconds)
			printf("# TYPE memherd_%s gauge\n", metric_infos[k].name);
		for (unsigned i = 0; i < f.processes; i++)
			print_series(&f, k, i, seconds ? "" : "000");
	}
	if (seconds)
		printf("# EOF\n");
	free(f.v);
	return 0;
}

/* ---- wide rows ---- */

static PGconn *pg;

static void check(PGresult *r, ExecStatusType want)
{
	if (PQresultStatus(r) != want)
		fail(PQerrorMessage(pg));
	PQclear(r);
}

static double wal_position(void)
{
	PGresult *r = PQexec(pg, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
	double at = PQntuples(r) ? atof(PQgetvalue(r, 0, 0)) : 0;

	PQclear(r);
	return at;
}

static void make_table(void)
{
	char sql[1024] = "CREATE TABLE bench_wide (ts timestamptz NOT NULL, host_id int4 NOT NULL, "
			 "proc_id int8 NOT NULL";

	for (int k = 0; k < FLEET_METRICS; k++)
		snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql), ", %s int4",
			 metric_infos[k].name);
	strcat(sql, "); CREATE INDEX bench_wide_key ON bench_wide (proc_id, ts)");
	check(PQexec(pg, sql), PGRES_COMMAND_OK);
}

static void copy(struct buf *rows)
{
	db_copy_end(rows);
	if (buf_status(rows) < 0)
		fail("no memory");
	check(PQexec(pg, "COPY bench_wide FROM STDIN (FORMAT binary)"), PGRES_COPY_IN);
	if (PQputCopyData(pg, (const char *)rows->data, (int)rows->len) != 1 ||
	    PQputCopyEnd(pg, NULL) != 1)
		fail(PQerrorMessage(pg));
	check(PQgetResult(pg), PGRES_COMMAND_OK);
	while (PQgetResult(pg))
		;
	buf_reset(rows);
	db_copy_begin(rows);
}

static void put_row(struct buf *rows, unsigned host, unsigned number, int64_t t_us,
		    const int64_t *v)
{
	db_copy_row(rows, 3 + FLEET_METRICS);
	db_copy_field(rows, &DB_P_TIME(t_us));
	db_copy_field(rows, &DB_P_INT4((int64_t)host + 1));
	db_copy_field(rows, &DB_P_INT8(fleet_proc_id(host, number)));
	for (int k = 0; k < FLEET_METRICS; k++)
		db_copy_field(rows, &DB_P_INT4(v[k]));
}

/* In the order in which they come in: round after round. */
static int wide(const char *conninfo, unsigned hosts, int64_t from_s, unsigned rounds, unsigned day)
{
	unsigned n = hosts * FLEET_PROCESSES, waiting = 0;
	auto_free struct fleet_process *fleet = calloc(n, sizeof(*fleet));
	auto_buf struct buf rows = BUF_INIT(256 << 20);
	double before;

	pg = PQconnectdb(conninfo);
	if (!fleet || PQstatus(pg) != CONNECTION_OK)
		fail(fleet ? PQerrorMessage(pg) : "no memory");
	make_table();
	before = wal_position();
	for (unsigned i = 0; i < n; i++)
		fleet_start(&fleet[i], i / FLEET_PROCESSES, i % FLEET_PROCESSES, day);
	db_copy_begin(&rows);
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < n; i++) {
			fleet_step(&fleet[i]);
			put_row(&rows, i / FLEET_PROCESSES, i % FLEET_PROCESSES,
				from_s * USEC_PER_SEC + r * FLEET_STEP_US, fleet[i].v);
			if (++waiting % BATCH == 0)
				copy(&rows);
		}
	copy(&rows);
	printf("wal_wide_rows %.1f bytes_per_sample\n",
	       (wal_position() - before) / ((double)n * rounds));
	PQfinish(pg);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && strcmp(argv[1], "text") == 0)
		return text((unsigned)atoi(argv[2]), atoll(argv[3]), (unsigned)atoi(argv[4]),
			    (unsigned)atoi(argv[5]), argv[6]);
	if (argc == 7 && strcmp(argv[1], "wide") == 0)
		return wide(argv[2], (unsigned)atoi(argv[3]), atoll(argv[4]),
			    (unsigned)atoi(argv[5]), (unsigned)atoi(argv[6]));
	return fail("usage: storage_feed text|wide ...");
}
