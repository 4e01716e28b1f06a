/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/api/rows.h"
#include "collector/store/store_audit.h"
#include "collector/store/store_journal.h"
#include "common/str.h"

static void write_entry(struct json_writer *w, const struct audit_row *a)
{
	char hash[2 * SHA256_SIZE + 1];

	jw_object(w);
	jw_k_id(w, "id", a->audit_id);
	jw_k_time(w, "time", a->ts_us);
	jw_k_str(w, "actor", a->actor);
	jw_k_str(w, "action", a->action);
	jw_k_str(w, "target", a->target);
	jw_k_raw(w, "details", a->doc);
	str_hex(hash, a->prev, SHA256_SIZE);
	jw_k_str(w, "previous_hash", hash);
	str_hex(hash, a->hash, SHA256_SIZE);
	jw_k_str(w, "hash", hash);
	jw_object_end(w);
}

static void write_row(struct json_writer *w, const struct db_result *r, size_t i, char *cursor)
{
	struct audit_row row;

	store_audit_row(r, i, &row);
	write_entry(w, &row);
	snprintf(cursor, ROWS_CURSOR_SIZE, "%" PRId64, row.audit_id);
}

/* Oldest first, as the chain runs. */
void audit_list(struct call *c)
{
	static const struct row_kind kind = {.name = "audit row", .write = write_row};
	struct db *db;
	int64_t after;

	if (!call_limit(c) || !call_query_int(c, "cursor", 0, 0, INT64_MAX, &after))
		return;
	db = rows_db(c, &kind);
	if (db)
		rows_asked(c, store_audit_list(db, after, c->limit + 1, rows_list, c));
}

/* ---- the chain, from its first row on ---- */

#define VERIFY_PAGE  1000
#define JOURNALS_MAX 1000

struct verifying {
	struct audit_chain chain;
	int64_t after; /* id of the last row */
	bool wanted;   /* a head that was kept elsewhere is looked for */
	bool found;
	uint8_t head[SHA256_SIZE];
	struct error why; /* empty = it holds */
};

static void write_journal(struct json_writer *w, const struct journal_row *j)
{
	char head[2 * COMMAND_LINK_SIZE + 1];

	str_hex(head, j->head, sizeof(j->head));
	jw_object(w);
	jw_k_id(w, "host_id", j->host_id);
	jw_k_str(w, "host", j->host);
	jw_k_int(w, "last", j->last);
	jw_k_str(w, "head", head);
	jw_k_time(w, "told", j->told_us);
	jw_k_int(w, "untold", j->untold);
	jw_k_int(w, "breaks", j->breaks);
	jw_k_str(w, "why", *j->why ? j->why : NULL);
	jw_object_end(w);
}

/* What the hosts told of their own journals. */
static void write_journals(struct json_writer *w, const struct db_result *r)
{
	bool ok = true;

	jw_key(w, "journals");
	jw_array(w);
	for (size_t i = 0; i < db_rows(r); i++) {
		struct journal_row j;

		store_journal_row(r, i, &j);
		ok = ok && !j.breaks;
		write_journal(w, &j);
	}
	jw_array_end(w);
	jw_k_bool(w, "journals_ok", ok);
}

static void tell_chain(struct call *c, const struct db_result *journals)
{
	const struct verifying *v = c->kept;
	const struct error *why = *v->why.msg ? &v->why : NULL;
	struct json_writer *w = &c->json;
	char head[2 * SHA256_SIZE + 1];

	str_hex(head, v->chain.head, SHA256_SIZE);
	jw_object(w);
	jw_k_bool(w, "ok", !why && (!v->wanted || v->found));
	jw_k_int(w, "rows", (int64_t)v->chain.rows);
	jw_k_str(w, "head", head);
	if (v->wanted)
		jw_k_bool(w, "holds_head", v->found);
	else
		jw_k_null(w, "holds_head");
	jw_k_str(w, "why", why ? why->msg : NULL);
	write_journals(w, journals);
	jw_object_end(w);
	call_reply(c, 200);
}

static void on_journals(void *arg, int rc, const struct db_result *r,
			const struct error *err unused_arg)
{
	struct call *c = call_of(arg);

	if (rc < 0)
		call_fail_db(c, rc);
	else
		tell_chain(c, r);
}

static void ask_journals(struct call *c)
{
	struct db *db = api_db(c->api);
	int rc = db ? store_journal_state(db, JOURNALS_MAX, on_journals, c) : -ENOTCONN;

	if (rc < 0)
		call_fail_db(c, rc);
}

static void verify_next(struct call *c);

static void on_page(void *arg, int rc, const struct db_result *r,
		    const struct error *err unused_arg)
{
	struct call *c = call_of(arg);
	struct verifying *v = c->kept;
	size_t n = rc < 0 ? 0 : db_rows(r);

	for (size_t i = 0; i < n && rc >= 0; i++) {
		struct audit_row row;

		store_audit_row(r, i, &row);
		rc = audit_chain_check(&v->chain, &row, &v->why);
		v->after = row.audit_id;
		v->found |= v->wanted && memcmp(v->chain.head, v->head, SHA256_SIZE) == 0;
	}
	if (rc == -EBADMSG && *v->why.msg)
		ask_journals(c);
	else if (rc < 0)
		call_fail_db(c, rc);
	else if (n < VERIFY_PAGE)
		ask_journals(c);
	else
		verify_next(c);
}

static void verify_next(struct call *c)
{
	const struct verifying *v = c->kept;
	struct db *db = api_db(c->api);
	int rc = db ? store_audit_list(db, v->after, VERIFY_PAGE, on_page, c) : -ENOTCONN;

	if (rc < 0)
		call_fail_db(c, rc);
}

void audit_verify(struct call *c)
{
	const char *head = query_get(&c->query, "head");
	struct verifying *v = calloc(1, sizeof(*v));

	if (!v) {
		call_fail(c, 503, "no memory");
		return;
	}
	c->kept = v;
	v->wanted = head != NULL;
	if (head && (strlen(head) != (size_t)2 * SHA256_SIZE ||
		     str_unhex(v->head, SHA256_SIZE, head) < 0)) {
		call_fail(c, 400, "parameter 'head' must be 64 hex digits");
		return;
	}
	verify_next(c);
}
