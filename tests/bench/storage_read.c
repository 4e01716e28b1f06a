/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading costs, each query of another process or host, the ways taking turns:
 *   storage_read CONNINFO HOSTS END_S DAYS N [WIDE_HOSTS [DIFFERENT]]
 * series_24h: RSS of a process in the last 24 h, 300 points, by store_series(); with WIDE_HOSTS
 * (whose last 24 h are in bench_wide too) the same in SQL: from wide rows, from chunks by series(),
 * which docs/SQL.md tells people to use, and from chunks by the samples of view sample_rss. Also 7
 * days where there are, a host's 90 minutes with all columns of all processes, and the 20 that grew
 * most over 6 h of the whole fleet. Prints 'name_p50|p99 value ms'.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "tests/bench/lib/fleet.h"
#include "tests/bench/lib/open_store.h"

/* pg_type.h */
#define INT8OID   20
#define INT4OID   23
#define FLOAT8OID 701

#define HOUR_US   (3600 * USEC_PER_SEC)
#define WINDOW_US (FLEET_ROUNDS * FLEET_STEP_US)
#define POINTS    300
#define MAX_N     2000

static struct event_base *base;
static struct store *store;
static PGconn *pg;
static unsigned hosts, wide_hosts;
static unsigned different; /* hosts with series of their own; the rest repeat them */
static int64_t end_us;
static uint64_t seed = 88172645463325252u;

static unsigned below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static int64_t proc_id(unsigned host, unsigned number)
{
	return fleet_proc_id(host % different, number);
}

/* ---- times taken ---- */

struct figure {
	const char *name;
	double ms[MAX_N];
	size_t n;
};

static struct figure series_24h = {.name = "series_24h"};
static struct figure series_7d = {.name = "series_7d"};
static struct figure series_sql = {.name = "series_24h_pure_sql"};
static struct figure series_view = {.name = "series_24h_pure_sql_view"};
static struct figure series_wide = {.name = "series_24h_wide_rows"};
static struct figure host_window = {.name = "host_90min_all_processes"};
static struct figure host_rss = {.name = "host_90min_rss_of_each"};
static struct figure growers = {.name = "top20_growth_6h"};

static void note(struct figure *f, int64_t before_us)
{
	if (f->n < MAX_N)
		f->ms[f->n++] = (double)(clock_boot_us() - before_us) / 1e3;
}

static int by_value(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;

	return a < b ? -1 : a > b;
}

static void report(struct figure *f)
{
	if (!f->n)
		return;
	qsort(f->ms, f->n, sizeof(f->ms[0]), by_value);
	printf("%s_p50 %.3f ms\n", f->name, f->ms[f->n / 2]);
	printf("%s_p99 %.3f ms\n", f->name, f->ms[f->n * 99 / 100]);
}

/* ---- the product's reader ---- */

static unsigned answered;

static void on_series(void *arg, int rc, const struct point *points, size_t n,
		      int64_t resolution_us, const struct error *err)
{
	(void)points, (void)resolution_us, (void)err;
	bench_must(rc, "a series");
	if (n < *(size_t *)arg)
		bench_must(-ENODATA, "a series");
	answered++;
}

static void ask(unsigned host, unsigned number, int64_t from_us, int64_t to_us, size_t *least)
{
	struct series_id id = SERIES_OF_PROCESS((int32_t)host + 1, proc_id(host, number));

	bench_must(store_series(store, &id, METRIC_RSS, from_us, to_us, POINTS, on_series, least),
		   "a series");
}

static void wait_for(unsigned n)
{
	while (answered < n)
		event_base_loop(base, EVLOOP_ONCE);
}

static void read_series(struct figure *f, unsigned host, unsigned number, int64_t span_us)
{
	int64_t before = clock_boot_us();
	size_t least = POINTS / 2;

	answered = 0;
	ask(host, number, end_us - span_us, end_us, &least);
	wait_for(1);
	note(f, before);
}

/* A dossier's neighbours: RSS of each process of a host, one query each. */
static void read_host_rss(unsigned host)
{
	int64_t before = clock_boot_us();
	size_t least = 100;

	answered = 0;
	for (unsigned i = 0; i < FLEET_PROCESSES; i++)
		ask(host, i, end_us - 3 * HOUR_US / 2, end_us, &least);
	wait_for(FLEET_PROCESSES);
	note(&host_rss, before);
}

/* ---- SQL ---- */

static void check(PGresult *r, const char *sql, size_t least)
{
	if (PQresultStatus(r) == PGRES_TUPLES_OK && (size_t)PQntuples(r) >= least)
		return;
	fprintf(stderr, "storage_read: %d rows of %s %s\n", PQntuples(r), sql, PQerrorMessage(pg));
	exit(1);
}

static PGresult *query(const char *sql, size_t least)
{
	PGresult *r = PQexecParams(pg, sql, 0, NULL, NULL, NULL, NULL, 1);

	check(r, sql, least);
	return r;
}

/* Each as one would ask it: $1 .. $2 the time, process $3 of host $4. */
static const char wide_sql[] =
	"SELECT date_bin('288 s', ts, to_timestamp($1)), max(rss) FROM bench_wide "
	"WHERE proc_id = $3 AND ts >= to_timestamp($1) AND ts < to_timestamp($2) "
	"GROUP BY 1 ORDER BY 1";
static const char steps_sql[] =
	"SELECT t, value, low, high "
	"FROM series($3, 'rss', to_timestamp($1), to_timestamp($2), '288 s')";
/* Bounds of t0 let the planner leave out other days. */
static const char view_sql[] =
	"SELECT date_bin('288 s', t, to_timestamp($1)), max(rss_kib) FROM sample_rss "
	"WHERE t0 = ANY (ARRAY(SELECT generate_series(to_timestamp($1), to_timestamp($2 - 1800), "
	"'30 min'))) AND t0 >= to_timestamp($1) AND t0 < to_timestamp($2) AND host_id = $4 "
	"AND proc_id = $3 GROUP BY 1 ORDER BY 1";

static void read_sql(struct figure *f, const char *sql, unsigned host, unsigned number)
{
	static const Oid types[] = {FLOAT8OID, FLOAT8OID, INT8OID, INT4OID};
	long long to = end_us / USEC_PER_SEC;
	int64_t before = clock_boot_us();
	char text[4][24];
	const char *const values[] = {text[0], text[1], text[2], text[3]};
	PGresult *r;

	snprintf(text[0], sizeof(text[0]), "%lld", to - 24 * 3600);
	snprintf(text[1], sizeof(text[1]), "%lld", to);
	snprintf(text[2], sizeof(text[2]), "%lld", (long long)proc_id(host, number));
	snprintf(text[3], sizeof(text[3]), "%u", host + 1);
	r = PQexecParams(pg, sql, 4, types, values, NULL, NULL, 1);
	check(r, sql, POINTS / 2);
	PQclear(r);
	note(f, before);
}

/* All that is known of a host around an out-of-memory kill, decoded. */
static void read_host(unsigned host)
{
	static int64_t values[METRIC_COUNT * FLEET_ROUNDS], times[FLEET_ROUNDS];
	long long to = end_us / USEC_PER_SEC;
	int64_t before = clock_boot_us();
	char sql[512];
	PGresult *r;

	snprintf(sql, sizeof(sql),
		 "SELECT d FROM chunk WHERE t0 = ANY (ARRAY(SELECT "
		 "generate_series(to_timestamp(%lld), "
		 "to_timestamp(%lld), '30 min'))) AND host_id = %u ORDER BY proc_id, t0, part",
		 to - 5400, to - 1800, host + 1);
	r = query(sql, 3 * FLEET_PROCESSES);
	for (int i = 0; i < PQntuples(r); i++) {
		const uint8_t *d = (const uint8_t *)PQgetvalue(r, i, 0);
		size_t len = (size_t)PQgetlength(r, i, 0);

		bench_must(chunk_decode_times(d, len, FLEET_ROUNDS, times, NULL), "a chunk");
		bench_must(chunk_decode(&chunk_process_spec, d, len, FLEET_ROUNDS, values, NULL),
			   "a chunk");
	}
	PQclear(r);
	note(&host_window, before);
}

static void read_growers(void)
{
	long long to = end_us / USEC_PER_SEC;
	int64_t before = clock_boot_us();
	char sql[512];

	snprintf(sql, sizeof(sql),
		 "SELECT host_id, proc_id, sum(rss_last - rss_first) AS grown FROM rollups "
		 "WHERE t0 >= to_timestamp(%lld) AND t0 < to_timestamp(%lld) "
		 "GROUP BY host_id, proc_id ORDER BY grown DESC LIMIT 20",
		 to - 6 * 3600, to);
	PQclear(query(sql, 20));
	note(&growers, before);
}

/* ---- */

static void measure(unsigned n, unsigned days)
{
	unsigned some = n / 4 < 5 ? 5 : n / 4;

	for (unsigned i = 0; i < n; i++) {
		read_series(&series_24h, below(wide_hosts ? wide_hosts : hosts),
			    below(FLEET_PROCESSES), 24 * HOUR_US);
		if (days >= 7 && i < some)
			read_series(&series_7d, below(hosts), below(FLEET_PROCESSES),
				    7 * 24 * HOUR_US);
		if (i < some) {
			read_host(below(hosts));
			read_host_rss(below(hosts));
		}
		if (i < 10)
			read_growers();
		if (wide_hosts && i < some) {
			read_sql(&series_sql, steps_sql, below(wide_hosts), below(FLEET_PROCESSES));
			read_sql(&series_view, view_sql, below(wide_hosts), below(FLEET_PROCESSES));
			read_sql(&series_wide, wide_sql, below(wide_hosts), below(FLEET_PROCESSES));
		}
	}
}

int main(int argc, char **argv)
{
	struct figure *all[] = {&series_24h,  &series_7d,   &series_sql, &series_view,
				&series_wide, &host_window, &host_rss,   &growers};
	struct store_config cfg;

	if (argc < 6) {
		fprintf(stderr, "usage: storage_read CONNINFO HOSTS END_S DAYS N [WIDE_HOSTS "
				"[DIFFERENT]]\n");
		return 2;
	}
	hosts = (unsigned)atoi(argv[2]);
	end_us = atoll(argv[3]) * USEC_PER_SEC;
	wide_hosts = argc > 6 ? (unsigned)atoi(argv[6]) : 0;
	different = argc > 7 ? (unsigned)atoi(argv[7]) : hosts;
	bench_store_config(&cfg, argv[1]);
	base = event_base_new();
	store = bench_store_open(base, &cfg, NULL, NULL);
	pg = PQconnectdb(argv[1]);
	PQclear(query("SELECT set_config('jit', 'off', false)", 1));
	measure((unsigned)atoi(argv[5]), (unsigned)atoi(argv[4]));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		report(all[i]);
	PQfinish(pg);
	store_free(&store);
	event_base_free(base);
	return 0;
}
