/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: queued, grouped, stored exactly once, acknowledged. */
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <string.h>

#include "collector/store/store_inner.h"
#include "collector/store/store_rows.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/str.h"

/* ---- the queue ---- */

/* One allocation holds a batch and all that it points to. */
struct bump {
	char *at; /* NULL while only counting */
	size_t used;
};

static void *bump_copy(struct bump *b, const void *src, size_t len)
{
	void *p = b->at ? b->at + b->used : NULL;

	if (p && len)
		memcpy(p, src, len);
	b->used += (len + 7) & ~(size_t)7;
	return p;
}

static const char *bump_text(struct bump *b, const char *s)
{
	return s ? bump_copy(b, s, strlen(s) + 1) : NULL;
}

/* Copies n structs of size and, in each, the texts at these offsets. */
static const void *bump_rows(struct bump *b, const void *rows, size_t n, size_t size,
			     const size_t *texts, size_t n_texts)
{
	char *to = bump_copy(b, rows, n * size);

	for (size_t i = 0; n_texts && i < n; i++) /* a payload is n rows of a byte */
		for (size_t k = 0; k < n_texts; k++) {
			size_t at = i * size + texts[k];
			const char *text;
			const char *copy;

			memcpy(&text, (const char *)rows + at, sizeof(text));
			copy = bump_text(b, text);
			if (to)
				memcpy(to + at, &copy, sizeof(copy));
		}
	return to ? to : rows;
}

/* The texts of a row, by struct. */
static const size_t process_texts[] = {
	offsetof(struct store_process, comm),    offsetof(struct store_process, cmdline),
	offsetof(struct store_process, exe),     offsetof(struct store_process, cgroup),
	offsetof(struct store_process, service), offsetof(struct store_process, container),
	offsetof(struct store_process, role),
};
static const size_t event_texts[] = {
	offsetof(struct store_event, kind),
	offsetof(struct store_event, doc),
};
static const size_t death_texts[] = {
	offsetof(struct store_death, cause),   offsetof(struct store_death, confidence),
	offsetof(struct store_death, verdict), offsetof(struct store_death, comm),
	offsetof(struct store_death, service), offsetof(struct store_death, container),
};
static const size_t cgroup_texts[] = {
	offsetof(struct store_cgroup, path),       offsetof(struct store_cgroup, name),
	offsetof(struct store_cgroup, runtime),    offsetof(struct store_cgroup, image),
	offsetof(struct store_cgroup, limited_by),
};
static const size_t kill_texts[] = {
	offsetof(struct store_kill, cause),       offsetof(struct store_kill, confidence),
	offsetof(struct store_kill, comm),        offsetof(struct store_kill, service),
	offsetof(struct store_kill, container),   offsetof(struct store_kill, limit_cgroup),
	offsetof(struct store_kill, limit_owner), offsetof(struct store_kill, verdict),
	offsetof(struct store_kill, doc),         offsetof(struct store_kill, event),
};
static const size_t census_texts[] = {
	offsetof(struct store_census, service), offsetof(struct store_census, comm),
	offsetof(struct store_census, method),  offsetof(struct store_census, reason),
	offsetof(struct store_census, types),   offsetof(struct store_census, parts),
	offsetof(struct store_census, note),
};
static const size_t snapshot_texts[] = {
	offsetof(struct store_snapshot, service), offsetof(struct store_snapshot, comm),
	offsetof(struct store_snapshot, kind),    offsetof(struct store_snapshot, reason),
	offsetof(struct store_snapshot, subject), offsetof(struct store_snapshot, totals),
	offsetof(struct store_snapshot, rows),    offsetof(struct store_snapshot, note),
};
static const size_t posture_texts[] = {offsetof(struct store_posture, doc)};

#define COPY_ROWS(b, rows, n, texts) \
	((rows) = bump_rows(b, rows, n, sizeof(*(rows)), texts, ARRAY_SIZE(texts)))
#define COPY_PLAIN(b, rows, n) ((rows) = bump_rows(b, rows, n, sizeof(*(rows)), NULL, 0))

static void copy_batch(struct bump *b, struct store_batch *to)
{
	COPY_ROWS(b, to->born, to->n_born, process_texts);
	COPY_ROWS(b, to->events, to->n_events, event_texts);
	COPY_ROWS(b, to->deaths, to->n_deaths, death_texts);
	COPY_ROWS(b, to->cgroups, to->n_cgroups, cgroup_texts);
	COPY_ROWS(b, to->kills, to->n_kills, kill_texts);
	COPY_ROWS(b, to->postures, to->n_postures, posture_texts);
	COPY_ROWS(b, to->censuses, to->n_censuses, census_texts);
	COPY_ROWS(b, to->snapshots, to->n_snapshots, snapshot_texts);
	COPY_PLAIN(b, to->exited, to->n_exited);
	COPY_PLAIN(b, to->cgroups_gone, to->n_cgroups_gone);
	COPY_PLAIN(b, to->gaps, to->n_gaps);
	COPY_PLAIN(b, to->payload, to->payload_len);
}

struct pending *store_pending_new(const struct store_batch *b)
{
	struct store_batch counting = *b;
	struct bump bump = {.at = NULL};
	struct pending *p;

	copy_batch(&bump, &counting);
	p = malloc(sizeof(*p) + bump.used);
	if (!p)
		return NULL;
	*p = (struct pending){
		.size = sizeof(*p) + bump.used,
		.codec = INBOX_PLAIN,
		.b = *b,
	};
	bump = (struct bump){.at = (char *)(p + 1)};
	copy_batch(&bump, &p->b);
	if (!p->b.t_us)
		p->b.t_us = b->rcv_us;
	return p;
}

/* Packed as it comes, while the server is busy with the group before. */
struct pending *store_pending_pack(struct store *s, const struct store_batch *b)
{
	struct store_batch packed = *b;
	struct inbox_row row;
	struct pending *p;

	inbox_pack(s->inbox, b->payload, b->payload_len, &row);
	packed.payload = row.d;
	packed.payload_len = row.len;
	p = store_pending_new(&packed);
	if (p)
		p->codec = row.codec;
	return p;
}

/* An event's time is its host's word: one that no partition is kept for is told as received. */
static int64_t clamp(const struct pending *p, int64_t keep_us, int64_t t_us)
{
	return t_us < p->b.rcv_us - keep_us || t_us > p->b.rcv_us + 3600 * USEC_PER_SEC
		       ? p->b.rcv_us
		       : t_us;
}

static void clamp_events(const struct store *s, struct pending *p)
{
	struct store_event *e = (struct store_event *)(void *)p->b.events;
	struct store_kill *k = (struct store_kill *)(void *)p->b.kills;
	struct store_census *c = (struct store_census *)(void *)p->b.censuses;
	struct store_snapshot *f = (struct store_snapshot *)(void *)p->b.snapshots;

	for (size_t i = 0; i < p->b.n_events; i++)
		e[i].t_us = clamp(p, s->cfg.keep_event_us, e[i].t_us);
	for (size_t i = 0; i < p->b.n_kills; i++)
		k[i].t_us = clamp(p, s->cfg.keep_event_us, k[i].t_us);
	for (size_t i = 0; i < p->b.n_censuses; i++)
		c[i].t_us = clamp(p, s->cfg.keep_rollup_us, c[i].t_us);
	for (size_t i = 0; i < p->b.n_snapshots; i++)
		f[i].t_us = clamp(p, s->cfg.keep_rollup_us, f[i].t_us);
}

static bool fits(const struct store *s, size_t len, unsigned percent)
{
	return s->stats.queued_bytes + s->held_bytes + len <=
		       (size_t)s->cfg.queue_bytes / 100 * percent &&
	       window_bytes(s->windows) < (size_t)s->cfg.window_bytes;
}

bool store_has_room(const struct store *s, size_t len)
{
	return fits(s, len, STORE_ROOM_PERCENT);
}

/* Received is when it comes here, not when it began to wait: a replay reads in the order of receive
 * times, and what it reads after a younger one of the same stream it takes for a repeat. */
void store_enqueue(struct store *s, struct pending *p)
{
	p->b.rcv_us = store_receive_time(s);
	TAILQ_INSERT_TAIL(&s->queue, p, link);
	s->stats.queued_bytes += p->size;
	s->stats.queued_batches++;
	if (s->flushing || s->backoff_us)
		return;
	if (s->stats.queued_bytes >= (size_t)s->cfg.flush_bytes)
		store_timer(s->flush_timer, 0);
	else if (!evtimer_pending(s->flush_timer, NULL))
		store_timer(s->flush_timer, s->cfg.flush_us);
}

int store_put(struct store *s, const struct store_batch *b)
{
	struct pending *p;

	if (b->first_seq < 1 || b->last_seq < b->first_seq)
		return -EINVAL;
	if (!fits(s, b->payload_len, 100))
		return -ENOBUFS;
	if (store_hold_take(s, b))
		return 0;
	(void)store_hold_release(s, b->host_id);
	p = store_pending_pack(s, b);
	if (!p)
		return -ENOMEM;
	clamp_events(s, p);
	p->b.writer = s->writer;
	p->t0_us = window_start(s->cfg.window_us, p->b.t_us);
	store_enqueue(s, p);
	return 0;
}

static void pending_free(struct store *s, struct pending *p)
{
	TAILQ_REMOVE(&s->queue, p, link);
	s->stats.queued_bytes -= p->size;
	s->stats.queued_batches--;
	free(p);
}

void store_ingest_fini(struct store *s)
{
	struct pending *p;

	store_hold_fini(s);
	while ((p = TAILQ_FIRST(&s->queue)))
		pending_free(s, p);
}

int64_t store_oldest_queued(const struct store *s)
{
	const struct pending *p = TAILQ_FIRST(&s->queue);

	return p ? p->b.rcv_us : INT64_MAX;
}

bool store_queue_touches(const struct store *s, int64_t t0_us)
{
	const struct pending *p;

	TAILQ_FOREACH (p, &s->queue, link)
		if (p->t0_us <= t0_us)
			return true;
	return false;
}

/* ---- a group ---- */

static bool same_stream(const struct pending *a, const struct pending *b)
{
	return a->b.host_id == b->b.host_id && a->b.epoch == b->b.epoch;
}

static int by_stream(const void *pa, const void *pb)
{
	const struct store_batch *a = &(*(struct pending *const *)pa)->b;
	const struct store_batch *b = &(*(struct pending *const *)pb)->b;

	if (a->host_id != b->host_id)
		return a->host_id < b->host_id ? -1 : 1;
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch ? -1 : 1;
	if (a->conn != b->conn)
		return a->conn < b->conn ? -1 : 1;
	return a->first_seq < b->first_seq ? -1 : a->first_seq > b->first_seq;
}

/* Takes the head of the queue; of each stream only a run that is whole and of one connection, the
 * rest waits for the next group. */
static void group_collect(struct store *s)
{
	struct pending *p;
	size_t n = 0, bytes = 0, kept = 0;
	int64_t left_us = INT64_MAX;

	TAILQ_FOREACH (p, &s->queue, link) {
		if (n >= s->group_max || (n && bytes + p->size > 4 * (size_t)s->cfg.flush_bytes))
			break;
		p->verdict = VERDICT_NONE;
		bytes += p->size;
		s->group[n++] = p;
	}
	qsort(s->group, n, sizeof(*s->group), by_stream);
	for (size_t i = 0; i < n; i++) {
		struct pending *before = kept ? s->group[kept - 1] : NULL;

		p = s->group[i];
		if (before && same_stream(before, p) &&
		    (before->b.conn != p->b.conn || before->b.last_seq + 1 != p->b.first_seq)) {
			left_us = MIN_OF(left_us, p->b.rcv_us);
			continue;
		}
		s->group[kept++] = p;
	}
	/* Receive times of one collector are committed in their order: store_follow.c reads by
	 * them. */
	s->n_group = 0;
	for (size_t i = 0; i < kept; i++)
		if (s->group[i]->b.rcv_us < left_us)
			s->group[s->n_group++] = s->group[i];
}

static size_t run_end(const struct store *s, size_t i)
{
	size_t end = i + 1;

	while (end < s->n_group && same_stream(s->group[i], s->group[end]))
		end++;
	return end;
}

/* The start of a stream's run in the group, or n_group. */
static size_t run_find(const struct store *s, int32_t host_id, int64_t epoch)
{
	size_t lo = 0, hi = s->n_group;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct store_batch *b = &s->group[mid]->b;

		if (b->host_id < host_id || (b->host_id == host_id && b->epoch < epoch))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < s->n_group && s->group[lo]->b.host_id == host_id && s->group[lo]->b.epoch == epoch)
		return lo;
	return s->n_group;
}

/* ---- the transaction ---- */

static int add_rows(struct store *s, struct db_tx *tx)
{
	FAILPOINT("ingest.rows");
	return store_rows_add(tx, s->inbox, s->group, s->n_group);
}

/* What was not taken is known already, of an older connection, or has a hole before it. */
static void judge(struct store *s, size_t at, int64_t last_seq, int64_t conn)
{
	size_t end = run_end(s, at);

	for (size_t i = at; i < end; i++) {
		struct pending *p = s->group[i];

		if (p->b.conn != conn)
			p->verdict = VERDICT_FENCED;
		else if (p->b.last_seq <= last_seq)
			p->verdict = MUTANT("no_dedupe") ? VERDICT_STORE : VERDICT_KNOWN;
		else if (p->b.first_seq == last_seq + 1 ||
			 (i > at && s->group[i - 1]->verdict != VERDICT_HOLE))
			p->verdict = VERDICT_AGAIN;
		else
			p->verdict = VERDICT_HOLE;
	}
}

static int on_state(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct store *s = arg;

	MAGIC_CHECK(s, STORE_MAGIC);
	for (size_t i = 0; i < db_rows(r); i++) {
		size_t at = run_find(s, (int32_t)db_int(r, i, 0), db_int(r, i, 1));

		if (at < s->n_group && s->group[at]->verdict == VERDICT_NONE)
			judge(s, at, db_int(r, i, 2), db_int(r, i, 3));
	}
	for (size_t i = 0; i < s->n_group; i++)
		if (s->group[i]->verdict == VERDICT_NONE) /* no such stream: never opened */
			s->group[i]->verdict = VERDICT_FENCED;
	return add_rows(s, tx);
}

static int ask_state(struct store *s, struct db_tx *tx)
{
	auto_free int64_t *hosts = calloc(2 * s->n_group, sizeof(*hosts));
	int64_t *epochs;
	size_t n = 0;

	if (!hosts)
		return -ENOMEM;
	epochs = hosts + s->n_group;
	for (size_t i = 0; i < s->n_group; i = run_end(s, i)) {
		if (s->group[i]->verdict != VERDICT_NONE)
			continue;
		hosts[n] = s->group[i]->b.host_id;
		epochs[n++] = s->group[i]->b.epoch;
	}
	const struct db_param params[] = {DB_P_INT4S(hosts, n), DB_P_INT8S(epochs, n)};

	return db_tx_query(tx, Q_STREAM_STATE, params, ARRAY_SIZE(params), on_state);
}

static int on_advanced(void *arg, struct db_tx *tx, const struct db_result *r)
{
	struct store *s = arg;
	size_t taken = 0;

	MAGIC_CHECK(s, STORE_MAGIC);
	for (size_t i = 0; i < db_rows(r); i++) {
		size_t at = run_find(s, (int32_t)db_int(r, i, 0), db_int(r, i, 1));
		size_t end = at < s->n_group ? run_end(s, at) : at;

		for (; at < end; at++, taken++)
			s->group[at]->verdict = VERDICT_STORE;
	}
	return taken == s->n_group ? add_rows(s, tx) : ask_state(s, tx);
}

static int add_advance(struct store *s, struct db_tx *tx)
{
	auto_free int64_t *hosts = calloc(5 * MAX_OF(s->n_group, (size_t)1), sizeof(*hosts));
	int64_t *epochs;
	int64_t *conns;
	int64_t *firsts;
	int64_t *lasts;
	size_t n = 0;

	if (!hosts)
		return -ENOMEM;
	epochs = hosts + s->n_group;
	conns = epochs + s->n_group;
	firsts = conns + s->n_group;
	lasts = firsts + s->n_group;
	for (size_t i = 0, end; i < s->n_group; i = end, n++) {
		end = run_end(s, i);
		hosts[n] = s->group[i]->b.host_id;
		epochs[n] = s->group[i]->b.epoch;
		conns[n] = s->group[i]->b.conn;
		firsts[n] = s->group[i]->b.first_seq;
		lasts[n] = s->group[end - 1]->b.last_seq;
	}
	const struct db_param params[] = {
		DB_P_INT4S(hosts, n),  DB_P_INT8S(epochs, n), DB_P_INT8S(conns, n),
		DB_P_INT8S(firsts, n), DB_P_INT8S(lasts, n),
	};

	return db_tx_query(tx, Q_STREAM_ADVANCE, params, ARRAY_SIZE(params), on_advanced);
}

static int add_leaves(struct store *s, struct db_tx *tx)
{
	int rc = 0;

	for (size_t i = 0; i < s->n_group && rc == 0; i++) {
		const struct store_batch *b = &s->group[i]->b;

		rc = store_need_leaf(s, tx, PARTITION_INBOX, b->rcv_us);
		for (size_t k = 0; k < b->n_events && rc == 0; k++)
			rc = store_need_leaf(s, tx, PARTITION_EVENT, b->events[k].t_us);
		for (size_t k = 0; k < b->n_kills && rc == 0; k++)
			rc = store_need_leaf(s, tx, PARTITION_EVENT, b->kills[k].t_us);
		for (size_t k = 0; k < b->n_censuses && rc == 0; k++)
			rc = store_need_leaf(s, tx, PARTITION_CENSUS, b->censuses[k].t_us);
		for (size_t k = 0; k < b->n_snapshots && rc == 0; k++)
			rc = store_need_leaf(s, tx, PARTITION_SNAPSHOT, b->snapshots[k].t_us);
	}
	return rc;
}

static void remember_leaves(struct store *s)
{
	for (size_t i = 0; i < s->n_group; i++) {
		const struct store_batch *b = &s->group[i]->b;

		partition_remember(&s->partitions, PARTITION_INBOX, b->rcv_us);
		for (size_t k = 0; k < b->n_events; k++)
			partition_remember(&s->partitions, PARTITION_EVENT, b->events[k].t_us);
		for (size_t k = 0; k < b->n_kills; k++)
			partition_remember(&s->partitions, PARTITION_EVENT, b->kills[k].t_us);
		for (size_t k = 0; k < b->n_censuses; k++)
			partition_remember(&s->partitions, PARTITION_CENSUS, b->censuses[k].t_us);
		for (size_t k = 0; k < b->n_snapshots; k++)
			partition_remember(&s->partitions, PARTITION_SNAPSHOT,
					   b->snapshots[k].t_us);
	}
}

/* ---- its end ---- */

static void count(struct store *s, const struct pending *p)
{
	if (p->verdict == VERDICT_FENCED)
		s->stats.fenced++;
	else if (p->verdict == VERDICT_KNOWN)
		s->stats.duplicates++;
	else if (p->verdict == VERDICT_STORE) {
		s->stats.batches++;
		s->stats.bytes += p->b.payload_len;
		s->stats.dead_letters += p->dead;
	}
}

static int rc_of(enum verdict v)
{
	return v == VERDICT_FENCED ? -ESTALE : v == VERDICT_HOLE ? -EPROTO : 0;
}

/* Younger ones than the batches that are left were committed: those come after them now. */
static void receive_anew(struct store *s)
{
	struct pending *p;

	TAILQ_FOREACH (p, &s->queue, link)
		p->b.rcv_us = store_receive_time(s);
}

static void group_ack(struct store *s, const struct pending *p)
{
	struct store_acked a = {
		.host_id = p->b.host_id,
		.epoch = p->b.epoch,
		.conn = p->b.conn,
		.last_seq = p->b.last_seq,
		.t_us = p->b.t_us,
		.rc = rc_of(p->verdict),
	};

	if (s->on_acked)
		s->on_acked(s->arg, &a);
}

static void group_committed(struct store *s)
{
	size_t n = s->n_group;
	bool again = false;

	remember_leaves(s);
	s->n_group = 0;
	FAILPOINT("ingest.committed");
	for (size_t i = 0; i < n; i++) {
		struct pending *p = s->group[i];
		struct pending told = *p;

		if (p->verdict == VERDICT_AGAIN) {
			again = true;
			continue;
		}
		count(s, p);
		if (p->verdict == VERDICT_STORE && !p->dead)
			store_note_batch(s->windows, p->t0_us, p->b.rcv_us);
		pending_free(s, p);
		group_ack(s, &told);
	}
	if (again)
		receive_anew(s);
	FAILPOINT("ingest.acked");
	*s->refused = '\0';
	s->group_max = MIN_OF(s->group_max * 2, (size_t)STORE_GROUP_MAX);
	s->backoff_us = 0;
}

/* The data is bad: halve the group until the batch is alone, then set it aside. */
static void group_refused(struct store *s, const struct error *err)
{
	if (s->n_group > 1) {
		s->group_max = s->n_group / 2;
		return;
	}
	s->group[0]->dead = true;
	log_error("host=%d store=dead_letter epoch=%lld seq=%lld error=\"%s\"",
		  (int)s->group[0]->b.host_id, (long long)s->group[0]->b.epoch,
		  (long long)s->group[0]->b.first_seq, err->msg);
	(void)str_copy(s->group[0]->reason, sizeof(s->group[0]->reason), err->msg);
}

static void on_flushed(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;
	int64_t next = 0;

	(void)r;
	MAGIC_CHECK(s, STORE_MAGIC);
	s->flushing = false;
	if (rc == 0)
		rc = FAILPOINT_RC("ingest.reply"); /* in, but nobody heard it */
	if (rc == 0) {
		group_committed(s);
		if (s->stats.queued_bytes < (size_t)s->cfg.flush_bytes && !s->hurried)
			next = s->cfg.flush_us;
	} else {
		bool bad = (rc == -EINVAL || rc == -EEXIST) && !s->group[0]->dead;

		s->stats.flush_errors++;
		if (bad) {
			group_refused(s, err);
		} else {
			str_copy(s->refused, sizeof(s->refused), err ? err->msg : strerror(-rc));
			if (!s->backoff_us) /* once per outage */
				log_warn("store=flush state=waiting batches=%zu error=\"%s\"",
					 s->stats.queued_batches, s->refused);
			s->backoff_us = MIN_OF(MAX_OF(s->backoff_us * 2, STORE_BACKOFF_MIN_US),
					       STORE_BACKOFF_MAX_US);
			next = s->backoff_us;
		}
	}
	if (!TAILQ_EMPTY(&s->queue))
		store_timer(s->flush_timer, next);
}

static int group_send(struct store *s)
{
	struct db_tx *tx;
	int rc = db_tx_new(s->db, &tx);

	if (rc < 0)
		return rc;
	FAILPOINT("ingest.begin");
	rc = add_leaves(s, tx);
	if (rc == 0)
		rc = add_advance(s, tx);
	if (rc < 0) {
		db_tx_free(&tx);
		return rc;
	}
	if (MUTANT("ack_first"))
		for (size_t i = 0; i < s->n_group; i++)
			group_ack(s, s->group[i]);
	FAILPOINT("ingest.commit");
	return db_tx_commit(&tx, on_flushed, s);
}

void store_on_flush_timer(int fd, short what, void *arg)
{
	struct store *s = arg;

	(void)fd, (void)what;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (s->flushing || TAILQ_EMPTY(&s->queue))
		return;
	group_collect(s);
	s->hurried = false;
	s->flushing = true;
	if (group_send(s) == 0)
		return;
	s->flushing = false;
	s->backoff_us = STORE_BACKOFF_MIN_US;
	store_timer(s->flush_timer, s->backoff_us);
}

int store_drain(struct store *s, int64_t timeout_us)
{
	int64_t end = clock_boot_us() + timeout_us;

	store_hold_release_all(s);
	while (!TAILQ_EMPTY(&s->queue)) {
		if (clock_boot_us() >= end)
			return -ETIMEDOUT;
		if (!s->flushing && db_ready(s->db))
			store_timer(s->flush_timer, 0);
		event_base_loop(s->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(1000);
	}
	return 0;
}
