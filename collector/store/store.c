/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "collector/store/db_sync.h"
#include "collector/store/migrate.h"
#include "collector/store/store_inner.h"
#include "common/clock.h"
#include "common/sign.h"

#define DAY_US    (24LL * 3600 * USEC_PER_SEC)
#define MINUTE_US (60 * USEC_PER_SEC)

void store_config_init(struct store_config *cfg)
{
	*cfg = (struct store_config){
		.connections = 4,
		.window_us = 30 * MINUTE_US,
		.seal_grace_us = 30 * USEC_PER_SEC,
		.flush_us = 200000,
		.flush_bytes = 1 << 20,
		.wait_us = 60 * USEC_PER_SEC,
		.queue_bytes = 64 << 20,
		.window_bytes = 512 << 20,
		.keep_inbox_us = 180 * MINUTE_US,
		.keep_chunk_us = 14 * DAY_US,
		.keep_rollup_us = 90 * DAY_US,
		.keep_day_us = 730 * DAY_US,
		.keep_evidence_us = 365 * DAY_US,
		.keep_event_us = 365 * DAY_US,
	};
}

/* ---- what is checked and read before the loop runs ---- */

static int check_window(struct db_sync *sync, const struct store_config *cfg, struct error *err)
{
	struct db_param p = DB_P_INT8(cfg->window_us);
	struct db_result *r;
	int64_t there;
	int rc;

	rc = db_sync_query(sync, Q_WINDOW_LENGTH, &p, 1, &r, err);
	if (rc < 0)
		return rc;
	there = db_int(r, 0, 0);
	db_result_free(&r);
	if (there != cfg->window_us)
		return error_set(
			err, -EINVAL,
			"the database was made with 'window = %llds', the configuration says "
			"%llds: it cannot be changed afterwards",
			(long long)(there / USEC_PER_SEC),
			(long long)(cfg->window_us / USEC_PER_SEC));
	return 0;
}

/* Cuts of windows that may come up again in a replay or late. */
static int load_cuts(struct store *s, struct db_sync *sync, struct error *err)
{
	const struct db_param p[] = {DB_P_TIME(clock_wall_us() - s->cfg.keep_chunk_us),
				     DB_P_INT2(s->writer)};
	struct db_result *r;
	int rc = db_sync_query(sync, Q_SEAL_CUTS, p, ARRAY_SIZE(p), &r, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < db_rows(r) && rc == 0; i++)
		rc = window_set_cut(s->windows, db_time(r, i, 0), db_time(r, i, 1));
	db_result_free(&r);
	return rc < 0 ? error_sys(err, rc, "sealed windows") : 0;
}

/* Agents trust one CA: a collector with another could not serve them. */
static int check_ca(const struct store *s, struct db_sync *sync, struct error *err)
{
	const struct db_param p = DB_P_BYTES(s->cfg.ca_sha256, SHA256_SIZE);
	struct db_result *r;
	size_t len = 0;
	bool same;
	const uint8_t *there;
	int rc = db_sync_query(sync, Q_CA_FINGERPRINT, &p, 1, &r, err);

	if (rc < 0)
		return rc;
	there = db_bytes(r, 0, 0, &len);
	same = len == SHA256_SIZE && memcmp(there, s->cfg.ca_sha256, len) == 0;
	db_result_free(&r);
	return same ? 0
		    : error_set(err, -EINVAL,
				"the database belongs to collectors with another CA: copy ca.key, "
				"ca.pem and command.key from the state_dir of one of them "
				"(docs/OPERATIONS.md, 'Several collectors')");
}

static int join_others(struct store *s, struct db_sync *sync, struct error *err)
{
	const struct db_param p[] = {DB_P_UUID(s->cfg.uuid), DB_P_UUID(s->boot),
				     DB_P_TEXT(s->cfg.name ? s->cfg.name : "")};
	struct db_result *r;
	int rc = s->cfg.ca_sha256 ? check_ca(s, sync, err) : 0;

	if (rc < 0)
		return rc;
	random_bytes(s->boot, sizeof(s->boot));
	rc = db_sync_query(sync, Q_COLLECTOR_JOIN, p, ARRAY_SIZE(p), &r, err);
	if (rc < 0)
		return rc;
	s->writer = (int)db_int(r, 0, 0);
	s->several = true;
	db_result_free(&r);
	return 0;
}

/* Receive times go on rising from what is stored, even if the clock was set back. */
static int load_receive_time(struct store *s, struct db_sync *sync, struct error *err)
{
	const struct db_param p = DB_P_INT2(s->writer);
	struct db_result *r;
	int rc = db_sync_query(sync, Q_SEAL_NEWEST, &p, 1, &r, err);

	if (rc < 0)
		return rc;
	s->last_rcv_us = db_time(r, 0, 0);
	db_result_free(&r);
	return 0;
}

static int prepare(struct store *s, struct error *err)
{
	struct db_sync *sync = NULL;
	int rc = db_sync_open(s->cfg.conninfo, s->cfg.relaxed, &sync, err);

	if (rc < 0)
		return rc;
	rc = migrate_run(sync, err);
	if (rc >= 0)
		rc = check_window(sync, &s->cfg, err);
	if (rc == 0 && s->cfg.uuid)
		rc = join_others(s, sync, err);
	if (rc == 0)
		rc = load_cuts(s, sync, err);
	if (rc == 0)
		rc = load_receive_time(s, sync, err);
	if (rc == 0)
		rc = partition_make_ahead(sync, &s->partitions, store_receive_time(s), err);
	db_sync_free(&sync);
	return rc;
}

static int make_timers(struct store *s)
{
	s->flush_timer = evtimer_new(s->base, store_on_flush_timer, s);
	s->hold_timer = evtimer_new(s->base, store_on_hold_timer, s);
	s->seal_timer = evtimer_new(s->base, store_on_seal_timer, s);
	s->retain_timer = evtimer_new(s->base, store_on_retain_timer, s);
	s->group = calloc(STORE_GROUP_MAX, sizeof(*s->group));
	if (!s->flush_timer || !s->hold_timer || !s->seal_timer || !s->retain_timer || !s->group)
		return -ENOMEM;
	store_timer(s->seal_timer, USEC_PER_SEC);
	store_timer(s->retain_timer, 5 * USEC_PER_SEC);
	return 0;
}

int store_open(struct event_base *base, const struct store_config *cfg, store_on_acked *on_acked,
	       void *arg, struct store **ret, struct error *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return error_sys(err, -ENOMEM, "store");
	s->magic = STORE_MAGIC;
	s->base = base;
	s->cfg = *cfg;
	s->on_acked = on_acked;
	s->arg = arg;
	s->group_max = STORE_GROUP_MAX;
	s->leads = true;
	s->keep_from_us = INT64_MAX;
	TAILQ_INIT(&s->follow.waiting);
	TAILQ_INIT(&s->follow.served);
	LIST_INIT(&s->jobs);
	TAILQ_INIT(&s->queue);
	rc = window_set_new(cfg->window_us, (size_t)cfg->window_bytes, &s->windows);
	if (rc == 0)
		rc = window_set_new(cfg->window_us, (size_t)cfg->window_bytes, &s->others);
	if (rc == 0)
		rc = inbox_new(&s->inbox);
	if (rc == 0)
		rc = make_timers(s);
	if (rc < 0)
		(void)error_sys(err, rc, "store");
	if (rc == 0)
		rc = prepare(s, err);
	if (rc == 0)
		rc = db_new(base, cfg->conninfo, cfg->connections, &s->db, err);
	if (rc == 0 && cfg->replica && *cfg->replica && cfg->uuid)
		rc = store_replica_new(s, cfg, err);
	s->cfg.conninfo = s->cfg.name = s->cfg.replica = NULL; /* the caller's, as the two below */
	s->cfg.uuid = s->cfg.ca_sha256 = NULL;
	if (rc < 0) {
		store_free(&s);
		return rc;
	}
	*ret = s;
	return 0;
}

void store_free(struct store **slot)
{
	struct store *s = take_ptr(*slot);
	struct store_job *job;

	if (!s)
		return;
	store_replica_free(s);
	db_free(&s->db);
	while ((job = LIST_FIRST(&s->jobs)))
		store_job_end(job);
	store_ingest_fini(s);
	store_seal_fini(s);
	store_follow_fini(s);
	store_adopt_fini(s);
	inbox_free(&s->inbox);
	if (s->flush_timer)
		event_free(s->flush_timer);
	if (s->seal_timer)
		event_free(s->seal_timer);
	if (s->retain_timer)
		event_free(s->retain_timer);
	window_set_free(&s->windows);
	window_set_free(&s->others);
	free(s->group);
	free(s);
}

struct db *store_db(struct store *s)
{
	return s->db;
}

struct window_set *store_windows(struct store *s)
{
	return s->windows;
}

int store_writer(const struct store *s)
{
	return s->writer;
}

const uint8_t *store_boot(const struct store *s)
{
	return s->boot;
}

int64_t store_oldest_unsealed(const struct store *s)
{
	if (!s->replay.done)
		return 0;
	return MIN_OF(window_oldest_received(s->windows), store_oldest_queued(s));
}

void store_keep_from(struct store *s, int64_t rcv_us)
{
	s->keep_from_us = rcv_us;
}

void store_lead(struct store *s, bool leads)
{
	s->leads = leads;
	if (!leads)
		s->adopt.clear = false;
}

int64_t store_window_of(const struct store *s, int64_t t_us)
{
	return window_start(s->cfg.window_us, t_us);
}

bool store_ready(const struct store *s)
{
	return db_ready(s->db);
}

const char *store_trouble(const struct store *s)
{
	return db_trouble(s->db);
}

int64_t store_receive_time(struct store *s)
{
	s->last_rcv_us = MAX_OF(clock_wall_us(), s->last_rcv_us + 1);
	return s->last_rcv_us;
}

void store_stats(const struct store *s, struct store_stats *ret)
{
	int64_t oldest = store_oldest_queued(s);

	*ret = s->stats;
	ret->oldest_queued_us = oldest == INT64_MAX ? 0 : oldest;
	ret->refused = s->refused;
}

void store_job_add(struct store *s, struct store_job *job, void (*free)(struct store_job *job))
{
	job->free = free;
	LIST_INSERT_HEAD(&s->jobs, job, link);
}

void store_job_end(struct store_job *job)
{
	LIST_REMOVE(job, link);
	job->free(job);
}

int store_need_leaf(struct store *s, struct db_tx *tx, enum partition_table t, int64_t t_us)
{
	return partition_known(&s->partitions, t, t_us) ? 0 : partition_make(tx, t, t_us);
}

void store_timer(struct event *timer, int64_t us)
{
	struct timeval tv = {.tv_sec = us / USEC_PER_SEC, .tv_usec = us % USEC_PER_SEC};

	event_add(timer, &tv);
}
