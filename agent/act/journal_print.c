/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "agent/act/journal_verify.h"
#include "common/json.h"
#include "common/str.h"

struct printing {
	FILE *out;
	struct json_writer *json; /* NULL: a line a record */
};

static const char *kind_word(enum journal_kind kind)
{
	switch (kind) {
	case JOURNAL_STARTED:
		return "started";
	case JOURNAL_DONE:
		return "done";
	case JOURNAL_NOTE:
		return "note";
	case JOURNAL_ANCHOR:
		break;
	}
	return "anchor";
}

static const char *action_word(const struct journal_record *r)
{
	const char *word = command_action_word(r->entry.action);

	return word ? word : "?";
}

static void print_line(FILE *out, const struct journal_record *r)
{
	const struct journal_entry *e = &r->entry;
	bool result = r->kind == JOURNAL_DONE || r->kind == JOURNAL_NOTE;
	char when[STR_TIME_SIZE];
	char id[33];

	str_hex(id, e->id, sizeof(e->id));
	fprintf(out, "%" PRIu64 " %s %s %s%s pid=%u by=%s id=%s%s%s%s%s\n", r->number,
		str_time(when, e->t_wall_us), kind_word(r->kind), action_word(r),
		e->dry_run ? " dry-run" : "", e->pid, e->counter ? "collector" : "hand", id,
		result ? " " : "", result ? command_status_word(e->result.status) : "",
		result ? ": " : "", result ? e->result.detail : "");
}

static void write_record(struct json_writer *w, const struct journal_record *r)
{
	const struct journal_entry *e = &r->entry;
	char hex[2 * SHA256_SIZE + 1];

	jw_object(w);
	jw_k_int(w, "number", (int64_t)r->number);
	jw_k_time(w, "time", e->t_wall_us);
	jw_k_str(w, "kind", kind_word(r->kind));
	jw_k_str(w, "action", action_word(r));
	jw_k_bool(w, "dry_run", e->dry_run);
	jw_k_int(w, "pid", e->pid);
	jw_k_str(w, "by", e->counter ? "collector" : "hand");
	str_hex(hex, e->id, sizeof(e->id));
	jw_k_str(w, "id", hex);
	if (r->kind == JOURNAL_DONE || r->kind == JOURNAL_NOTE) {
		jw_k_str(w, "status", command_status_word(e->result.status));
		jw_k_str(w, "detail", e->result.detail);
	}
	str_hex(hex, r->hash, sizeof(r->hash));
	jw_k_str(w, "hash", hex);
	jw_object_end(w);
}

static void on_record(void *arg, const struct journal_record *r)
{
	struct printing *p = arg;

	if (p->json)
		write_record(p->json, r);
	else
		print_line(p->out, r);
}

static void print_check(FILE *out, const char *path, const struct journal_check *c)
{
	char head[2 * SHA256_SIZE + 1];

	str_hex(head, c->head, sizeof(c->head));
	if (c->old)
		fprintf(out,
			"%s: %" PRIu64 " records of memherd 0.1, which had no chain; the next "
			"action chains them\n",
			path, c->records);
	else if (!c->records)
		fprintf(out, "%s: no records, head %" PRIu64 " %s\n", path, c->last, head);
	else
		fprintf(out, "%s: the chain holds, records %" PRIu64 " to %" PRIu64 ", head %s\n",
			path, c->first, c->last, head);
	if (c->torn)
		fprintf(out, "%s: the last record was cut off while it was written\n", path);
}

static void write_check(struct json_writer *w, const struct journal_check *c)
{
	char head[2 * SHA256_SIZE + 1];

	str_hex(head, c->head, sizeof(c->head));
	jw_k_bool(w, "ok", true);
	jw_k_bool(w, "chained", !c->old);
	jw_k_bool(w, "torn", c->torn);
	jw_k_int(w, "records", (int64_t)c->records);
	jw_k_int(w, "first", (int64_t)c->first);
	jw_k_int(w, "last", (int64_t)c->last);
	jw_k_str(w, "head", head);
}

static int print_json(FILE *out, const char *path, bool verify, struct error *err)
{
	auto_buf struct buf b = BUF_INIT((size_t)16 << 20);
	struct json_writer w;
	struct printing p = {.out = out, .json = &w};
	struct journal_check check;
	int rc;

	jw_init(&w, &b);
	jw_object(&w);
	if (!verify) {
		jw_key(&w, "items");
		jw_array(&w);
	}
	rc = journal_verify(path, verify ? NULL : on_record, &p, &check, err);
	if (rc < 0)
		return rc;
	if (!verify)
		jw_array_end(&w);
	else
		write_check(&w, &check);
	jw_object_end(&w);
	if (buf_status(&b) < 0)
		return error_set(err, buf_status(&b), "no memory to print '%s'", path);
	fprintf(out, "%.*s\n", (int)b.len, (const char *)b.data);
	return 0;
}

int journal_print(FILE *out, const char *path, bool verify, bool json, struct error *err)
{
	struct printing p = {.out = out};
	struct journal_check check;
	int rc;

	if (json)
		return print_json(out, path, verify, err);
	rc = journal_verify(path, verify ? NULL : on_record, &p, &check, err);
	if (rc == 0 && verify)
		print_check(out, path, &check);
	return rc;
}
