/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic fleet through the product's own store:
 *   load CONNINFO HOSTS FROM_S DAYS [SKIP [TIMES]]   whole days of samples into windows, sealed by
 *          store_seal.c; SKIP days of the fleet's life come before. TIMES: each window's rows are
 *          inserted again under as many hosts, which have the same series, where sampling them all
 *          would take hours
 *   wal CONNINFO HOSTS FROM_S   one window as batches into the inbox, as an agent sends them, a
 * round each: as they wait for others of their host, six in a row (wait_for_more's default); and
 *          each committed by itself; and sealed into chunks: WAL bytes a sample, also right after a
 *          checkpoint. FROM_S: four windows from there on must be empty
 *   retain CONNINFO KEEP_DAYS SECONDS   batches, one at a time, while chunks older than that are
 *          dropped: the longest wait for an acknowledgement
 * FROM_S: seconds since 1970, a window's start. Prints 'name value unit'.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "tests/bench/lib/agent.h"
#include "tests/bench/lib/open_store.h"

#define WINDOW_US   (FLEET_ROUNDS * FLEET_STEP_US)
#define TOGETHER    4 /* windows in memory at once: the seal timer rests a second when none is due */
#define DAY_WINDOWS 48

static struct event_base *base;
static struct store *store;

/* ---- load ---- */

static void add_windows(struct fleet_process *p, unsigned host, unsigned number, int64_t from_us,
			unsigned windows)
{
	struct series_id id = SERIES_OF_PROCESS((int32_t)host + 1, fleet_proc_id(host, number));
	int64_t rcv = store_receive_time(store);

	for (unsigned r = 0; r < windows * FLEET_ROUNDS; r++) {
		fleet_step(p);
		bench_must(window_add(store_windows(store), &id,
				      fleet_jitter(host, from_us + r * FLEET_STEP_US), rcv, p->v),
			   "window_add");
	}
}

static void fill_and_seal(struct fleet_process *fleet, unsigned hosts, int64_t t_us,
			  unsigned windows)
{
	for (unsigned i = 0; i < hosts * FLEET_PROCESSES; i++)
		add_windows(&fleet[i], i / FLEET_PROCESSES, i % FLEET_PROCESSES, t_us, windows);
	bench_store_seal(base, store, (uint64_t)hosts * FLEET_PROCESSES * FLEET_ROUNDS * windows);
}

static PGconn *pg;

static void run(const char *sql)
{
	PGresult *r = PQexec(pg, sql);

	if (PQresultStatus(r) != PGRES_COMMAND_OK) {
		fprintf(stderr, "%s\n", PQerrorMessage(pg));
		exit(1);
	}
	PQclear(r);
}

static void connect_to(const char *conninfo)
{
	pg = PQconnectdb(conninfo);
	if (PQstatus(pg) == CONNECTION_OK)
		return;
	fprintf(stderr, "%s\n", PQerrorMessage(pg));
	exit(1);
}

/* In the order of a seal: a window's hosts one after the other. */
static void insert_again(unsigned hosts, int64_t t0_us, unsigned times)
{
	static const char *const tables[][3] = {
		{"chunk", "proc_id, part, n, codec, d", "proc_id"},
		{"rollup_window",
		 "part, proc_first, proc_last, procs, n, rss_min, max_over, avg_over, first_over, "
		 "last_over, anon_last, swap_max, cpu_ms, majflt, gc2, gc_collected, "
		 "gc_uncollectable, rss_slope_kib_h",
		 "part, proc_first"},
	};
	long long t0 = t0_us / USEC_PER_SEC;
	char sql[1024];

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		snprintf(sql, sizeof(sql),
			 "INSERT INTO %s SELECT t0, host_id + %u * k, %s "
			 "FROM %s, generate_series(1, %u) AS k "
			 "WHERE t0 = to_timestamp(%lld) AND host_id <= %u ORDER BY k, host_id, %s",
			 tables[i][0], hosts, tables[i][1], tables[i][0], times - 1, t0, hosts,
			 tables[i][2]);
		run(sql);
	}
}

static int load(unsigned hosts, int64_t from_us, unsigned days, unsigned skip, unsigned times)
{
	unsigned together = times > 1 ? 1 : TOGETHER;
	size_t n = (size_t)hosts * FLEET_PROCESSES;
	auto_free struct fleet_process *fleet = calloc(n, sizeof(*fleet));
	int64_t before = clock_boot_us(), cpu = clock_cpu_us();
	double samples = (double)n * days * DAY_WINDOWS * FLEET_ROUNDS, seconds;

	if (!fleet)
		return 1;
	for (unsigned d = 0; d < days; d++) {
		for (size_t i = 0; i < n; i++)
			fleet_start(&fleet[i], (unsigned)(i / FLEET_PROCESSES),
				    (unsigned)(i % FLEET_PROCESSES), d + skip);
		for (unsigned w = 0; w < DAY_WINDOWS; w += together) {
			int64_t t0 = from_us + ((int64_t)d * DAY_WINDOWS + w) * WINDOW_US;

			fill_and_seal(fleet, hosts, t0, together);
			if (times > 1)
				insert_again(hosts, t0, times);
		}
	}
	seconds = (double)(clock_boot_us() - before) / 1e6;
	printf("load_samples %.0f samples\nload_time %.1f s\n", samples, seconds);
	printf("load_rate %.0f per_second\n", samples / seconds);
	printf("load_client_cpu %.0f ns_per_sample\n",
	       (double)(clock_cpu_us() - cpu) * 1e3 / samples);
	return 0;
}

/* ---- WAL ---- */

static double wal_position(void)
{
	PGresult *r = PQexec(pg, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
	double at = PQntuples(r) ? atof(PQgetvalue(r, 0, 0)) : 0;

	PQclear(r);
	return at;
}

static uint64_t acked;

static void on_acked(void *arg, const struct store_acked *a)
{
	(void)arg;
	bench_must(a->rc, "a batch");
	acked++;
}

static void on_stream(void *arg, int rc, int64_t conn, const int64_t *last_seq, size_t n,
		      const struct error *err)
{
	struct fleet_agent *a = arg;

	(void)n, (void)err;
	bench_must(rc, "a stream");
	a->conn = conn;
	a->seq = last_seq[0];
	acked++;
}

static void open_streams(struct fleet_agent *agents, unsigned hosts)
{
	for (unsigned h = 0; h < hosts; h++) {
		struct wire_epoch epoch = {.epoch = 1 + h};
		uint64_t end = acked + 1;

		fleet_agent_init(&agents[h], h, 1 + h);
		bench_must(store_stream_open(store, (int32_t)h + 1, &epoch, 1, on_stream,
					     &agents[h]),
			   "a stream");
		while (acked < end)
			event_base_loop(base, EVLOOP_ONCE);
	}
}

static void put_batch(struct fleet_agent *a, unsigned host, const struct buf *batch, int64_t first,
		      int64_t t_us, bool waits)
{
	struct store_batch b = {
		.host_id = (int32_t)host + 1,
		.epoch = 1 + host,
		.conn = a->conn,
		.first_seq = first,
		.last_seq = a->seq,
		.rcv_us = store_receive_time(store),
		.t_us = t_us,
		.wait_us = waits ? 60 * USEC_PER_SEC : 0,
		.payload = batch->data,
		.payload_len = batch->len,
	};

	bench_must(store_put(store, &b), "a batch");
}

/* A window into the inbox, so many rounds a commit, a batch each: a keyframe begins it, as in the
 * product. All hosts' batches are one flush. WAL bytes a sample; *bytes: payload. */
static double inbox(struct fleet_agent *agents, unsigned hosts, int64_t from_us, unsigned rounds,
		    double *bytes)
{
	auto_buf struct buf batch = BUF_INIT(4 << 20);
	double before = wal_position(), samples = (double)hosts * FLEET_PROCESSES * FLEET_ROUNDS;
	double payload = 0;

	for (unsigned r = 0; r < FLEET_ROUNDS; r += rounds) {
		uint64_t end = acked + hosts;

		for (unsigned h = 0; h < hosts; h++) {
			for (unsigned i = 0; i < rounds; i++) {
				int64_t t_us = from_us + (r + i) * FLEET_STEP_US;

				buf_reset(&batch);
				fleet_agent_round(&agents[h], t_us, r + i == 0, &batch);
				bench_must(buf_status(&batch), "a batch");
				put_batch(&agents[h], h, &batch, agents[h].seq, t_us, rounds > 1);
				payload += (double)batch.len;
			}
			store_hurry(store, (int32_t)h + 1);
		}
		while (acked < end)
			event_base_loop(base, EVLOOP_ONCE);
	}
	*bytes = payload / samples;
	return (wal_position() - before) / samples;
}

static double seal(unsigned hosts, int64_t from_us)
{
	size_t n = (size_t)hosts * FLEET_PROCESSES;
	auto_free struct fleet_process *fleet = calloc(n, sizeof(*fleet));
	double before;

	if (!fleet)
		exit(1);
	for (size_t i = 0; i < n; i++)
		fleet_start(&fleet[i], (unsigned)(i / FLEET_PROCESSES),
			    (unsigned)(i % FLEET_PROCESSES), 9);
	before = wal_position();
	fill_and_seal(fleet, hosts, from_us, 1);
	return (wal_position() - before) / ((double)n * FLEET_ROUNDS);
}

static int wal(unsigned hosts, int64_t from_us)
{
	auto_free struct fleet_agent *agents = calloc(hosts, sizeof(*agents));
	double alone, waiting, sealed, bytes;

	if (!agents)
		return 1;
	open_streams(agents, hosts);
	(void)seal(hosts, from_us); /* warm: the day's leaves exist */
	alone = inbox(agents, hosts, from_us, 1, &bytes);
	waiting = inbox(agents, hosts, from_us, 6, &bytes);
	sealed = seal(hosts, from_us + WINDOW_US);
	printf("inbox_payload %.2f bytes_per_sample\n", bytes);
	printf("wal_inbox %.2f bytes_per_sample\n", waiting);
	printf("wal_inbox_each_alone %.2f bytes_per_sample\n", alone);
	printf("wal_seal %.2f bytes_per_sample\n", sealed);
	run("CHECKPOINT");
	alone = inbox(agents, hosts, from_us, 1, &bytes);
	run("CHECKPOINT");
	waiting = inbox(agents, hosts, from_us, 6, &bytes);
	run("CHECKPOINT");
	sealed = seal(hosts, from_us + 2 * WINDOW_US);
	printf("wal_inbox_after_checkpoint %.2f bytes_per_sample\n", waiting);
	printf("wal_inbox_each_alone_after_checkpoint %.2f bytes_per_sample\n", alone);
	printf("wal_seal_after_checkpoint %.2f bytes_per_sample\n", sealed);
	for (unsigned h = 0; h < hosts; h++)
		fleet_agent_fini(&agents[h]);
	return 0;
}

/* ---- retention ---- */

static int retain(double seconds)
{
	auto_free struct fleet_agent *agent = calloc(1, sizeof(*agent));
	int64_t end = clock_boot_us() + (int64_t)(seconds * 1e6), worst = 0;
	uint64_t batches = 0;

	if (!agent)
		return 1;
	open_streams(agent, 1);
	while (clock_boot_us() < end) {
		auto_buf struct buf batch = BUF_INIT(1 << 20);
		int64_t before = clock_boot_us(), t_us = clock_wall_us();
		uint64_t goal = acked + 1;

		fleet_agent_round(agent, t_us, batches == 0, &batch);
		put_batch(agent, 0, &batch, agent->seq, t_us, false);
		batches++;
		while (acked < goal)
			event_base_loop(base, EVLOOP_ONCE);
		worst = MAX_OF(worst, clock_boot_us() - before);
	}
	printf("retention_batches %llu batches\n", (unsigned long long)batches);
	printf("retention_longest_flush %.1f ms\n", (double)worst / 1000);
	fleet_agent_fini(agent);
	return 0;
}

/* ---- */

static int usage(void)
{
	fprintf(stderr, "usage: storage_load load|wal|retain CONNINFO ...\n");
	return 2;
}

static int64_t seconds_of(const char *s)
{
	return atoll(s) * USEC_PER_SEC;
}

int main(int argc, char **argv)
{
	struct store_config cfg;
	const char *what = argc > 4 ? argv[1] : "";
	int rc;

	if (argc < 5)
		return usage();
	bench_store_config(&cfg, argv[2]);
	if (strcmp(what, "retain") == 0)
		cfg.keep_chunk_us = atoll(argv[3]) * 24 * 3600 * USEC_PER_SEC;
	if (strcmp(what, "wal") == 0) /* one flush for what all hosts sent */
		cfg.flush_us = USEC_PER_SEC / 100;
	if (strcmp(what, "retain") == 0)
		cfg.flush_us = 0;
	base = event_base_new();
	store = bench_store_open(base, &cfg, on_acked, NULL);
	connect_to(argv[2]);
	if (strcmp(what, "load") == 0 && argc > 5)
		rc = load((unsigned)atoi(argv[3]), seconds_of(argv[4]), (unsigned)atoi(argv[5]),
			  argc > 6 ? (unsigned)atoi(argv[6]) : 0,
			  argc > 7 ? (unsigned)atoi(argv[7]) : 1);
	else if (strcmp(what, "wal") == 0)
		rc = wal((unsigned)atoi(argv[3]), seconds_of(argv[4]));
	else if (strcmp(what, "retain") == 0)
		rc = retain(atof(argv[4]));
	else
		rc = usage();
	PQfinish(pg);
	store_free(&store);
	event_base_free(base);
	return rc;
}
