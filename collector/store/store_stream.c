/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "collector/store/store_inner.h"

#define MAGIC       0x7374726du
#define MAX_STREAMS WIRE_MAX_EPOCHS

struct opening {
	struct store_job job; /* first */
	unsigned magic;
	struct follower follower;
	struct store *s;
	int64_t conn;
	int64_t last_seq[MAX_STREAMS];
	store_on_stream *done;
	void *arg;
	size_t n;
	int64_t epochs[MAX_STREAMS];
};

static void opening_free(struct store_job *job)
{
	struct opening *o = (struct opening *)job;

	if (o->follower.done)
		store_follow_leave(o->s, &o->follower);
	free(o);
}

static void on_caught_up(struct follower *f, int rc)
{
	struct opening *o = container_of(f, struct opening, follower);
	struct error err = {""};

	o->follower.done = NULL;
	if (rc < 0)
		error_sys(&err, rc, "cannot read what other collectors stored");
	o->done(o->arg, rc, o->conn, o->last_seq, o->n, &err);
	store_job_end(&o->job);
}

static void on_opened(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct opening *o = arg;

	MAGIC_CHECK(o, MAGIC);
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		o->conn = db_int(r, i, 2);
		for (size_t k = 0; k < o->n; k++)
			if (o->epochs[k] == db_int(r, i, 0))
				o->last_seq[k] = db_int(r, i, 1);
	}
	if (rc < 0) {
		o->done(o->arg, rc, o->conn, o->last_seq, o->n, err);
		store_job_end(&o->job);
		return;
	}
	/* From here on nobody else adds to these streams: what others did add is read first, so
	 * that the next batch finds the values that it is a difference from. */
	o->follower.done = on_caught_up;
	store_follow_catch_up(o->s, &o->follower);
}

/* A number that is an agent's word, as a column takes it. */
static int64_t number(uint64_t seq)
{
	return (int64_t)MIN_OF(seq, (uint64_t)INT64_MAX);
}

int store_stream_open(struct store *s, int32_t host_id, const struct wire_epoch *epochs, size_t n,
		      store_on_stream *done, void *arg)
{
	int64_t produced[MAX_STREAMS];
	int64_t told[MAX_STREAMS];
	struct opening *o;
	int rc;

	if (n > MAX_STREAMS)
		return -E2BIG;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	*o = (struct opening){.magic = MAGIC, .s = s, .done = done, .arg = arg, .n = n};
	store_job_add(s, &o->job, opening_free);
	for (size_t i = 0; i < n; i++) {
		o->epochs[i] = (int64_t)epochs[i].epoch;
		produced[i] = number(epochs[i].seq_max);
		told[i] = epochs[i].seq_min ? number(epochs[i].seq_min - 1) : 0;
	}
	const struct db_param params[] = {DB_P_INT4(host_id), DB_P_INT8S(o->epochs, n),
					  DB_P_INT8S(produced, n), DB_P_INT8S(told, n)};

	rc = db_query(s->db, Q_STREAM_OPEN, params, ARRAY_SIZE(params), on_opened, o);
	if (rc < 0)
		store_job_end(&o->job);
	return rc;
}
