/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/refusals.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define REFUSALS_MAGIC 0x72656675u /* 'refu' */

struct refusals {
	unsigned magic;
	struct db *db;
	struct refusal_book book;
	struct refused *writing; /* in the book; NULL = nothing is under way */
	uint64_t times;          /* that are being written */
};

static char *make_doc(const struct refused *e)
{
	char since[STR_TIME_SIZE];
	json_t *doc = json_pack("{s:s, s:s, s:s, s:I, s:s}", "what", e->what, "action", e->action,
				"why", e->why, "times", (json_int_t)e->times, "since",
				str_time(since, e->since_us));
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	return text;
}

static int on_head(void *arg, struct db_tx *tx, const struct db_result *head)
{
	const struct refusals *r = arg;
	const struct audit_row row = {
		.ts_us = clock_wall_us(),
		.actor = r->writing->actor,
		.action = "command.refuse",
		.target = r->writing->target,
	};

	MAGIC_CHECK(r, REFUSALS_MAGIC);
	return store_audit_add(tx, &row, head, NULL);
}

static bool is_passing(int rc)
{
	return rc == -ENOTCONN || rc == -EPIPE || rc == -ENOBUFS || rc == -ETIMEDOUT;
}

static void write_next(struct refusals *r);

static void on_written(void *arg, int rc, const struct db_result *result unused_arg,
		       const struct error *err)
{
	struct refusals *r = arg;

	MAGIC_CHECK(r, REFUSALS_MAGIC);
	if (rc < 0 && is_passing(rc)) {
		r->writing = NULL;
		return;
	}
	if (rc < 0)
		log_warn("command event=refusal_not_told actor=\"%s\" error=\"%s\"",
			 r->writing->actor, err ? err->msg : strerror(-rc));
	refusal_told(r->writing, r->times, clock_boot_us(), clock_wall_us());
	r->writing = NULL;
	write_next(r);
}

static int begin(struct refusals *r, struct refused *e)
{
	auto_free char *doc = make_doc(e);
	struct db_tx *tx = NULL;
	int rc = doc ? db_tx_new(r->db, &tx) : -ENOMEM;

	r->writing = e;
	r->times = e->times;
	if (rc == 0)
		rc = store_audit_begin(tx);
	if (rc == 0)
		rc = store_audit_head(tx, doc, on_head);
	if (rc == 0)
		rc = db_tx_commit(&tx, on_written, r);
	if (rc < 0) {
		db_tx_free(&tx);
		r->writing = NULL;
	}
	return rc;
}

/* An entry that is being written is never due, nor dropped: nobody asks meanwhile. */
static void write_next(struct refusals *r)
{
	struct refused *e;

	if (r->writing)
		return;
	e = refusal_due(&r->book, clock_boot_us());
	if (e && begin(r, e) < 0)
		log_debug("command event=refusal_waits actor=\"%s\"", e->actor);
}

bool refusals_note(struct refusals *r, const struct refusal *one)
{
	bool first;

	MAGIC_CHECK(r, REFUSALS_MAGIC);
	first = refusal_note(&r->book, one, clock_boot_us(), clock_wall_us());
	write_next(r);
	return first;
}

void refusals_turn(struct refusals *r)
{
	MAGIC_CHECK(r, REFUSALS_MAGIC);
	write_next(r);
}

int refusals_new(struct db *db, struct refusals **ret)
{
	struct refusals *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->magic = REFUSALS_MAGIC;
	r->db = db;
	*ret = r;
	return 0;
}

void refusals_free(struct refusals **slot)
{
	struct refusals *r = take_ptr(*slot);

	if (!r)
		return;
	refusal_book_fini(&r->book);
	r->magic = 0;
	free(r);
}
