/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_rows.h"

#include <errno.h>

#include "common/str.h"

#define ROWS_MAX      ((size_t)256 << 20)
#define INBOX_CODEC   1 /* protobuf Batch */
#define INBOX_COLUMNS 9
#define EVENT_COLUMNS 8

/* What is stored as rows of its own: not what goes to dead_letter. */
static bool stored(const struct pending *p)
{
	return p->verdict == VERDICT_STORE && !p->dead;
}

static void put_fields(struct buf *b, const struct db_param *p, unsigned n)
{
	db_copy_row(b, n);
	for (unsigned i = 0; i < n; i++)
		db_copy_field(b, &p[i]);
}

static void put_inbox(struct buf *b, const struct store_batch *batch, int64_t t0_us)
{
	const struct db_param p[INBOX_COLUMNS] = {
		DB_P_TIME(batch->rcv_us),
		DB_P_INT4(batch->host_id),
		DB_P_INT8(batch->epoch),
		DB_P_INT8(batch->first_seq),
		DB_P_INT8(batch->last_seq),
		DB_P_TIME(t0_us),
		DB_P_INT8(batch->skew_us),
		DB_P_INT2(INBOX_CODEC),
		DB_P_BYTES(batch->payload, batch->payload_len),
	};

	put_fields(b, p, INBOX_COLUMNS);
}

static void put_event(struct buf *b, const struct store_batch *batch, const struct store_event *e)
{
	const struct db_param p[EVENT_COLUMNS] = {
		DB_P_TIME(e->t_us),
		DB_P_INT4(batch->host_id),
		DB_P_INT8(batch->epoch),
		DB_P_INT8(e->seq),
		DB_P_INT2(e->idx),
		DB_P_TEXT(e->kind),
		e->proc_id ? DB_P_INT8(e->proc_id) : DB_P_NULL,
		DB_P_JSON(e->doc ? e->doc : "{}"),
	};

	put_fields(b, p, EVENT_COLUMNS);
}

/* Hands the rows over as a COPY step where there are any. */
static int add_copy(struct db_tx *tx, enum query q, struct buf *rows, size_t n)
{
	int rc = 0;

	db_copy_end(rows);
	if (n)
		rc = db_tx_copy(tx, q, rows);
	buf_fini(rows);
	return rc;
}

static int add_inbox(struct db_tx *tx, struct pending *const *group, size_t n)
{
	struct buf rows = BUF_INIT(ROWS_MAX);
	size_t count = 0;

	db_copy_begin(&rows);
	for (size_t i = 0; i < n; i++) {
		if (!stored(group[i]))
			continue;
		put_inbox(&rows, &group[i]->b, group[i]->t0_us);
		count++;
	}
	return add_copy(tx, Q_INBOX_COPY, &rows, count);
}

static int add_events(struct db_tx *tx, struct pending *const *group, size_t n)
{
	struct buf rows = BUF_INIT(ROWS_MAX);
	size_t count = 0;

	db_copy_begin(&rows);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; stored(group[i]) && k < group[i]->b.n_events; k++, count++)
			put_event(&rows, &group[i]->b, &group[i]->b.events[k]);
	return add_copy(tx, Q_INGEST_EVENT, &rows, count);
}

/* Columns of n values each in one allocation. */
static int64_t *columns(size_t k, size_t n, int64_t **v)
{
	int64_t *all = calloc(k * n, sizeof(*all));

	for (size_t i = 0; all && i < k; i++)
		v[i] = all + i * n;
	return all;
}

static int add_processes(struct db_tx *tx, struct pending *const *group, size_t n, size_t total)
{
	enum { HOST, PROC, PID, START, PPID, UID, SEEN, INTS };
	enum { BOOT, COMM, CMDLINE, EXE, CGROUP, SERVICE, TEXTS };
	int64_t *v[INTS];
	auto_free int64_t *ints = columns(INTS, total, v);
	auto_free const char **texts = calloc(TEXTS * total, sizeof(*texts));
	auto_free char *boots = calloc(total, UUID_TEXT_SIZE);
	size_t at = 0;

	if (!ints || !texts || !boots)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; stored(group[i]) && k < group[i]->b.n_born; k++, at++) {
			const struct store_process *p = &group[i]->b.born[k];

			v[HOST][at] = group[i]->b.host_id;
			v[PROC][at] = p->proc_id;
			v[PID][at] = p->pid;
			v[START][at] = (int64_t)p->start_ticks;
			v[PPID][at] = p->ppid;
			v[UID][at] = p->uid;
			v[SEEN][at] = p->first_seen_us;
			uuid_text(boots + at * UUID_TEXT_SIZE, p->boot_id);
			texts[BOOT * total + at] = boots + at * UUID_TEXT_SIZE;
			texts[COMM * total + at] = p->comm;
			texts[CMDLINE * total + at] = p->cmdline;
			texts[EXE * total + at] = p->exe;
			texts[CGROUP * total + at] = p->cgroup;
			texts[SERVICE * total + at] = p->service;
		}
	const struct db_param params[] = {
		DB_P_INT4S(v[HOST], at),
		DB_P_INT8S(v[PROC], at),
		DB_P_TEXTS(texts + BOOT * total, at),
		DB_P_INT4S(v[PID], at),
		DB_P_INT8S(v[START], at),
		DB_P_INT4S(v[PPID], at),
		DB_P_INT8S(v[UID], at),
		DB_P_TEXTS(texts + COMM * total, at),
		DB_P_TEXTS(texts + CMDLINE * total, at),
		DB_P_TEXTS(texts + EXE * total, at),
		DB_P_TEXTS(texts + CGROUP * total, at),
		DB_P_TEXTS(texts + SERVICE * total, at),
		DB_P_TIMES(v[SEEN], at),
	};

	return db_tx_query(tx, Q_PROCESS_ADD, params, ARRAY_SIZE(params), NULL);
}

static int add_exits(struct db_tx *tx, struct pending *const *group, size_t n, size_t total)
{
	int64_t *v[3];
	auto_free int64_t *all = columns(3, total, v);
	size_t at = 0;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; stored(group[i]) && k < group[i]->b.n_exited; k++, at++) {
			v[0][at] = group[i]->b.host_id;
			v[1][at] = group[i]->b.exited[k].proc_id;
			v[2][at] = group[i]->b.exited[k].t_us;
		}
	const struct db_param params[] = {DB_P_INT4S(v[0], at), DB_P_INT8S(v[1], at),
					  DB_P_TIMES(v[2], at)};

	return db_tx_query(tx, Q_PROCESS_EXIT, params, ARRAY_SIZE(params), NULL);
}

static int add_gaps(struct db_tx *tx, struct pending *const *group, size_t n, size_t total)
{
	int64_t *v[8];
	auto_free int64_t *all = columns(8, total, v);
	size_t at = 0;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; stored(group[i]) && k < group[i]->b.n_gaps; k++, at++) {
			const struct store_gap *g = &group[i]->b.gaps[k];

			v[0][at] = group[i]->b.host_id;
			v[1][at] = group[i]->b.epoch;
			v[2][at] = g->from_seq;
			v[3][at] = g->to_seq;
			v[4][at] = g->records;
			v[5][at] = g->reason;
			v[6][at] = g->t_first_us;
			v[7][at] = g->t_last_us;
		}
	const struct db_param params[] = {
		DB_P_INT4S(v[0], at), DB_P_INT8S(v[1], at), DB_P_INT8S(v[2], at),
		DB_P_INT8S(v[3], at), DB_P_INT8S(v[4], at), DB_P_INT4S(v[5], at),
		DB_P_TIMES(v[6], at), DB_P_TIMES(v[7], at),
	};

	return db_tx_query(tx, Q_GAP_ADD, params, ARRAY_SIZE(params), NULL);
}

static int add_dead_letter(struct db_tx *tx, const struct pending *p)
{
	const struct db_param params[] = {
		DB_P_INT4(p->b.host_id),
		DB_P_INT8(p->b.epoch),
		DB_P_INT8(p->b.first_seq),
		DB_P_TEXT(p->reason),
		DB_P_BYTES(p->b.payload, MIN_OF(p->b.payload_len, (size_t)STORE_DEAD_LETTER_MAX)),
	};

	return db_tx_query(tx, Q_DEAD_LETTER_ADD, params, ARRAY_SIZE(params), NULL);
}

int store_rows_add(struct db_tx *tx, struct pending *const *group, size_t n)
{
	size_t born = 0, exited = 0, gaps = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		if (!stored(group[i]))
			continue;
		born += group[i]->b.n_born;
		exited += group[i]->b.n_exited;
		gaps += group[i]->b.n_gaps;
	}
	rc = add_inbox(tx, group, n);
	if (rc == 0 && born)
		rc = add_processes(tx, group, n, born);
	if (rc == 0 && exited)
		rc = add_exits(tx, group, n, exited);
	if (rc == 0)
		rc = add_events(tx, group, n);
	if (rc == 0 && gaps)
		rc = add_gaps(tx, group, n, gaps);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (group[i]->verdict == VERDICT_STORE && group[i]->dead)
			rc = add_dead_letter(tx, group[i]);
	return rc;
}
