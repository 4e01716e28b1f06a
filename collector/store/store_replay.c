/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/event.h>

#include "collector/store/store_inner.h"
#include "common/failpoint.h"

#define PAGE_ROWS 512

static void on_page(void *arg, int rc, const struct db_result *r, const struct error *err);

static void replay_end(struct store *s, int rc, const struct error *err)
{
	FAILPOINT("replay.end");
	s->replay.active = false;
	s->replay.done = rc == 0;
	s->replay.on_done(s->replay.arg, rc, err);
}

int store_replay_ask(struct store *s, int64_t from_us, const struct store_replayed *last,
		     db_done *done)
{
	const struct db_param params[] = {
		DB_P_INT8(PAGE_ROWS),   DB_P_TIME(last->rcv_us),    DB_P_INT4(last->host_id),
		DB_P_INT8(last->epoch), DB_P_INT8(last->first_seq), DB_P_TIME(from_us),
	};

	return db_query(s->db, Q_INBOX_REPLAY, params, ARRAY_SIZE(params), done, s);
}

bool store_replay_is_last(const struct db_result *r)
{
	return db_rows(r) < PAGE_ROWS;
}

int store_replay_read(const struct db_result *r, size_t i, struct store_replayed *ret)
{
	*ret = (struct store_replayed){
		.host_id = (int32_t)db_int(r, i, 0),
		.epoch = db_int(r, i, 1),
		.first_seq = db_int(r, i, 2),
		.last_seq = db_int(r, i, 3),
		.rcv_us = db_time(r, i, 4),
		.skew_us = db_int(r, i, 5),
		.t0_us = db_time(r, i, 9),
	};
	ret->codec = (int)db_int(r, i, 8);
	ret->payload = db_bytes(r, i, 6, &ret->payload_len);
	return (int)db_int(r, i, 7);
}

static int ask_page(struct store *s)
{
	return store_replay_ask(s, s->replay.from_us, &s->replay.last, on_page);
}

static void give(struct store *s, const struct db_result *r, size_t i)
{
	struct store_replayed row;
	int writer = store_replay_read(r, i, &row);

	row.windows = writer == s->writer ? s->windows : s->others;
	if (writer != s->writer)
		store_follow_saw(s, writer, row.rcv_us);
	else
		store_note_batch(s->windows, row.t0_us, row.rcv_us);
	if (store_inbox_open(s, &row))
		s->replay.row(s->replay.arg, &row);
	s->replay.last = row;
	s->replay.last.payload = NULL;
}

static void on_page(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	MAGIC_CHECK(s, STORE_MAGIC);
	FAILPOINT("replay.page");
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++)
		give(s, r, i);
	if (rc < 0 || store_replay_is_last(r)) {
		replay_end(s, rc, err);
		return;
	}
	rc = ask_page(s);
	if (rc < 0)
		replay_end(s, rc, err);
}

static void on_unsealed(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc < 0 || db_is_null(r, 0, 0)) {
		replay_end(s, rc, err);
		return;
	}
	s->replay.from_us = db_time(r, 0, 0) - s->cfg.window_us;
	s->replay.last = (struct store_replayed){0}; /* before 1970: none */
	rc = ask_page(s);
	if (rc < 0)
		replay_end(s, rc, err);
}

int store_replay(struct store *s, store_on_replayed *row, store_on_replay_done *done, void *arg)
{
	struct db_param p = DB_P_INT8(s->cfg.window_us);
	int rc;

	if (s->replay.active)
		return -EBUSY;
	s->replay = (struct replay){.row = row, .on_done = done, .arg = arg};
	rc = db_query(s->db, Q_INBOX_UNSEALED, &p, 1, on_unsealed, s);
	s->replay.active = rc == 0;
	return rc;
}
