/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_rows.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/str.h"

#define ROWS_MAX      ((size_t)256 << 20)
#define INBOX_COLUMNS 10
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

static void put_inbox(struct buf *b, const struct pending *pending)
{
	const struct store_batch *batch = &pending->b;
	const struct db_param p[INBOX_COLUMNS] = {
		DB_P_TIME(batch->rcv_us),
		DB_P_INT4(batch->host_id),
		DB_P_INT8(batch->epoch),
		DB_P_INT8(batch->first_seq),
		DB_P_INT8(batch->last_seq),
		DB_P_TIME(pending->t0_us),
		DB_P_INT8(batch->skew_us),
		DB_P_INT2(pending->codec),
		DB_P_BYTES(batch->payload, batch->payload_len),
		DB_P_INT2(batch->writer),
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
		put_inbox(&rows, group[i]);
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

/* ---- what goes as arrays, a column each ---- */

enum field_type {
	FIELD_HOST,
	FIELD_EPOCH,
	FIELD_I64,
	FIELD_U32,
	FIELD_INT,
	FIELD_BOOL,
	FIELD_TEXT,
	FIELD_UUID
};

/* A column: where its value stands in the row's struct, and as what it goes out. */
struct field {
	enum field_type type;
	enum db_type as;
	size_t at;
};

/* One of a batch's lists, and the statement that takes it. */
struct row_list {
	enum query q;
	size_t list;  /* where its pointer is in struct store_batch */
	size_t count; /* ... and its length */
	size_t size;  /* of a row */
	const struct field *fields;
	size_t n_fields;
};

#define OF_HOST()                            \
	{                                    \
		FIELD_HOST, DB_INT4_ARRAY, 0 \
	}
#define OF_EPOCH()                            \
	{                                     \
		FIELD_EPOCH, DB_INT8_ARRAY, 0 \
	}
#define OF_I64(row, name)                                            \
	{                                                            \
		FIELD_I64, DB_INT8_ARRAY, offsetof(struct row, name) \
	}
#define OF_TIME(row, name)                                           \
	{                                                            \
		FIELD_I64, DB_TIME_ARRAY, offsetof(struct row, name) \
	}
#define OF_U32(row, name)                                            \
	{                                                            \
		FIELD_U32, DB_INT4_ARRAY, offsetof(struct row, name) \
	}
#define OF_UID(row, name)                                            \
	{                                                            \
		FIELD_U32, DB_INT8_ARRAY, offsetof(struct row, name) \
	}
#define OF_INT(row, name)                                            \
	{                                                            \
		FIELD_INT, DB_INT4_ARRAY, offsetof(struct row, name) \
	}
#define OF_BOOL(row, name)                                            \
	{                                                             \
		FIELD_BOOL, DB_INT4_ARRAY, offsetof(struct row, name) \
	}
#define OF_TEXT(row, name)                                            \
	{                                                             \
		FIELD_TEXT, DB_TEXT_ARRAY, offsetof(struct row, name) \
	}
#define OF_UUID(row, name)                                            \
	{                                                             \
		FIELD_UUID, DB_TEXT_ARRAY, offsetof(struct row, name) \
	}

static const struct field process_fields[] = {
	OF_HOST(),
	OF_I64(store_process, proc_id),
	OF_UUID(store_process, boot_id),
	OF_U32(store_process, pid),
	OF_I64(store_process, start_ticks),
	OF_U32(store_process, ppid),
	OF_UID(store_process, uid),
	OF_TEXT(store_process, comm),
	OF_TEXT(store_process, cmdline),
	OF_TEXT(store_process, exe),
	OF_TEXT(store_process, cgroup),
	OF_TEXT(store_process, service),
	OF_TIME(store_process, first_seen_us),
	OF_TEXT(store_process, container),
	OF_TEXT(store_process, role),
	OF_U32(store_process, slot),
};

static const struct field exit_fields[] = {
	OF_HOST(),
	OF_I64(store_exit, proc_id),
	OF_TIME(store_exit, t_us),
};

static const struct field death_fields[] = {
	OF_HOST(),
	OF_I64(store_death, proc_id),
	OF_UUID(store_death, boot_id),
	OF_U32(store_death, pid),
	OF_I64(store_death, start_ticks),
	OF_TIME(store_death, t_us),
	OF_TEXT(store_death, cause),
	OF_TEXT(store_death, confidence),
	OF_INT(store_death, exit_code),
	OF_INT(store_death, exit_signal),
	OF_TEXT(store_death, verdict),
	OF_TEXT(store_death, comm),
	OF_TEXT(store_death, service),
	OF_TEXT(store_death, container),
};

static const struct field gap_fields[] = {
	OF_HOST(),
	OF_EPOCH(),
	OF_I64(store_gap, from_seq),
	OF_I64(store_gap, to_seq),
	OF_I64(store_gap, records),
	OF_INT(store_gap, reason),
	OF_TIME(store_gap, t_first_us),
	OF_TIME(store_gap, t_last_us),
};

static const struct field cgroup_fields[] = {
	OF_HOST(),
	OF_I64(store_cgroup, cgroup_id),
	OF_TEXT(store_cgroup, path),
	OF_U32(store_cgroup, version),
	OF_TEXT(store_cgroup, name),
	OF_TEXT(store_cgroup, runtime),
	OF_TEXT(store_cgroup, image),
	OF_TEXT(store_cgroup, limited_by),
	OF_TIME(store_cgroup, t_us),
};

static const struct field kill_fields[] = {
	OF_HOST(),
	OF_I64(store_kill, kill_id),
	OF_TIME(store_kill, t_us),
	OF_EPOCH(),
	OF_I64(store_kill, seq),
	OF_TEXT(store_kill, cause),
	OF_TEXT(store_kill, confidence),
	OF_BOOL(store_kill, oom),
	OF_BOOL(store_kill, complete),
	OF_BOOL(store_kill, replayed),
	OF_I64(store_kill, proc_id),
	OF_U32(store_kill, pid),
	OF_TEXT(store_kill, comm),
	OF_TEXT(store_kill, service),
	OF_TEXT(store_kill, container),
	OF_I64(store_kill, rss_bytes),
	OF_TEXT(store_kill, limit_cgroup),
	OF_TEXT(store_kill, limit_owner),
	OF_I64(store_kill, limit_bytes),
	OF_TEXT(store_kill, verdict),
	OF_TEXT(store_kill, doc),
	OF_TEXT(store_kill, event),
};

static const struct field posture_fields[] = {
	OF_HOST(),
	OF_TIME(store_posture, t_us),
	OF_TEXT(store_posture, doc),
};

/* Names get their numbers first, in a statement of their own: the next one sees also those that
 * another collector made meanwhile. */
static const struct field census_type_fields[] = {OF_TEXT(store_census, types)};

static const struct field census_fields[] = {
	OF_HOST(),
	OF_I64(store_census, census_id),
	OF_TIME(store_census, t_us),
	OF_I64(store_census, proc_id),
	OF_U32(store_census, pid),
	OF_I64(store_census, start_ticks),
	OF_TEXT(store_census, service),
	OF_TEXT(store_census, comm),
	OF_TEXT(store_census, method),
	OF_TEXT(store_census, reason),
	OF_UUID(store_census, command_id),
	OF_I64(store_census, version),
	OF_INT(store_census, interpreters),
	OF_I64(store_census, pause_us),
	OF_I64(store_census, walk_us),
	OF_I64(store_census, objects),
	OF_I64(store_census, bytes),
	OF_INT(store_census, types_total),
	OF_INT(store_census, error_per_10000),
	OF_TEXT(store_census, types),
	OF_TEXT(store_census, parts),
	OF_TEXT(store_census, note),
};

static const struct field snapshot_fields[] = {
	OF_HOST(),
	OF_I64(store_snapshot, snapshot_id),
	OF_TIME(store_snapshot, t_us),
	OF_I64(store_snapshot, proc_id),
	OF_U32(store_snapshot, pid),
	OF_I64(store_snapshot, start_ticks),
	OF_TEXT(store_snapshot, service),
	OF_TEXT(store_snapshot, comm),
	OF_TEXT(store_snapshot, kind),
	OF_TEXT(store_snapshot, reason),
	OF_UUID(store_snapshot, command_id),
	OF_TEXT(store_snapshot, subject),
	OF_TEXT(store_snapshot, totals),
	OF_TEXT(store_snapshot, rows),
	OF_TEXT(store_snapshot, note),
};

#define LIST(query, row, list, fields)                                                             \
	{                                                                                          \
		query, offsetof(struct store_batch, list), offsetof(struct store_batch, n_##list), \
			sizeof(struct row), fields, ARRAY_SIZE(fields)                             \
	}

/* In the order in which they are stored: a process before its end. */
static const struct row_list lists[] = {
	LIST(Q_PROCESS_ADD, store_process, born, process_fields),
	LIST(Q_PROCESS_EXIT, store_exit, exited, exit_fields),
	LIST(Q_PROCESS_DEATH, store_death, deaths, death_fields),
	LIST(Q_GAP_ADD, store_gap, gaps, gap_fields),
	LIST(Q_CGROUP_GONE, store_exit, cgroups_gone, exit_fields),
	LIST(Q_CGROUP_ADD, store_cgroup, cgroups, cgroup_fields),
	LIST(Q_OOM_KILL_ADD, store_kill, kills, kill_fields),
	LIST(Q_POSTURE_ADD, store_posture, postures, posture_fields),
	LIST(Q_CENSUS_TYPE_ADD, store_census, censuses, census_type_fields),
	LIST(Q_CENSUS_ADD, store_census, censuses, census_fields),
	LIST(Q_SNAPSHOT_ADD, store_snapshot, snapshots, snapshot_fields),
};

#define FIELDS_MAX 24

static const char *rows_of(const struct row_list *l, const struct store_batch *b, size_t *ret_n)
{
	const char *rows;

	memcpy(ret_n, (const char *)b + l->count, sizeof(*ret_n));
	memcpy(&rows, (const char *)b + l->list, sizeof(rows));
	return rows;
}

/* Columns under construction. */
struct columns {
	int64_t *ints;      /* n_fields * total */
	const char **texts; /* as many */
	char *uuids;        /* total: a row has one at most */
	size_t total;
	size_t at;
};

static void put_value(struct columns *c, size_t column, const struct field *f,
		      const struct store_batch *b, const char *row)
{
	size_t at = column * c->total + c->at;
	const char *p = row + f->at;
	char *uuid = c->uuids + c->at * UUID_TEXT_SIZE;

	switch (f->type) {
	case FIELD_HOST:
		c->ints[at] = b->host_id;
		break;
	case FIELD_EPOCH:
		c->ints[at] = b->epoch;
		break;
	case FIELD_I64:
		memcpy(&c->ints[at], p, sizeof(int64_t));
		break;
	case FIELD_U32:
		c->ints[at] = *(const uint32_t *)(const void *)p;
		break;
	case FIELD_INT:
		c->ints[at] = *(const int *)(const void *)p;
		break;
	case FIELD_BOOL:
		c->ints[at] = *(const bool *)(const void *)p;
		break;
	case FIELD_TEXT:
		memcpy(&c->texts[at], p, sizeof(c->texts[at]));
		break;
	case FIELD_UUID:
		uuid_text(uuid, (const uint8_t *)p);
		c->texts[at] = uuid;
		break;
	}
}

static void fill(struct columns *c, const struct row_list *l, const struct store_batch *b)
{
	size_t n;
	const char *rows = rows_of(l, b, &n);

	for (size_t i = 0; i < n; i++, c->at++)
		for (size_t k = 0; k < l->n_fields; k++)
			put_value(c, k, &l->fields[k], b, rows + i * l->size);
}

static int send_columns(struct db_tx *tx, const struct row_list *l, const struct columns *c)
{
	struct db_param params[FIELDS_MAX];

	for (size_t k = 0; k < l->n_fields; k++) {
		const struct field *f = &l->fields[k];
		bool text = f->as == DB_TEXT_ARRAY;

		params[k] = (struct db_param){
			.type = f->as,
			.p = text ? (const void *)(c->texts + k * c->total)
				  : (const void *)(c->ints + k * c->total),
			.n = c->total,
		};
	}
	return db_tx_query(tx, l->q, params, l->n_fields, NULL);
}

static int add_list(struct db_tx *tx, const struct row_list *l, struct pending *const *group,
		    size_t n)
{
	struct columns c = {0};
	int rc = -ENOMEM;

	for (size_t i = 0; i < n; i++) {
		size_t count;

		rows_of(l, &group[i]->b, &count);
		c.total += stored(group[i]) ? count : 0;
	}
	if (!c.total)
		return 0;
	c.ints = calloc(l->n_fields * c.total, sizeof(*c.ints));
	c.texts = calloc(l->n_fields * c.total, sizeof(*c.texts));
	c.uuids = calloc(c.total, UUID_TEXT_SIZE);
	if (c.ints && c.texts && c.uuids) {
		for (size_t i = 0; i < n; i++)
			if (stored(group[i]))
				fill(&c, l, &group[i]->b);
		rc = send_columns(tx, l, &c);
	}
	free(c.ints);
	free(c.texts);
	free(c.uuids);
	return rc;
}

/* As the agent sent it. */
static int add_dead_letter(struct db_tx *tx, struct inbox *inbox, const struct pending *p)
{
	const struct inbox_row row = {p->codec, p->b.payload, p->b.payload_len};
	const uint8_t *batch;
	size_t len;
	int rc = inbox_unpack(inbox, &row, &batch, &len, NULL);

	if (rc < 0)
		return rc;
	const struct db_param params[] = {
		DB_P_INT4(p->b.host_id),
		DB_P_INT8(p->b.epoch),
		DB_P_INT8(p->b.first_seq),
		DB_P_INT8(p->b.last_seq),
		DB_P_TEXT(p->reason),
		DB_P_BYTES(batch, MIN_OF(len, (size_t)STORE_DEAD_LETTER_MAX)),
	};

	return db_tx_query(tx, Q_DEAD_LETTER_ADD, params, ARRAY_SIZE(params), NULL);
}

int store_rows_add(struct db_tx *tx, struct inbox *inbox, struct pending *const *group, size_t n)
{
	int rc = add_inbox(tx, group, n);

	for (size_t i = 0; i < ARRAY_SIZE(lists) && rc == 0; i++)
		rc = add_list(tx, &lists[i], group, n);
	if (rc == 0)
		rc = add_events(tx, group, n);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (group[i]->verdict == VERDICT_STORE && group[i]->dead)
			rc = add_dead_letter(tx, inbox, group[i]);
	return rc;
}
