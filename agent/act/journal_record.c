/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/journal_record.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/cursor.h"

#define MAGIC      "MHJ2"
#define BODY       584 /* what both forms have */
#define HASHED     (JOURNAL_RECORD_SIZE - SHA256_SIZE)
#define OLD_DIGEST (JOURNAL_OLD_SIZE - BODY)

_Static_assert(HASHED == BODY + 8 + SHA256_SIZE, "a record is its body, its number and two hashes");

void journal_record_pack(struct buf *b, struct journal_record *r)
{
	const struct journal_entry *e = &r->entry;
	uint8_t result[COMMAND_RESULT_SIZE] = {0};
	size_t start = b->len;

	if (r->kind == JOURNAL_DONE || r->kind == JOURNAL_NOTE) {
		struct command_result kept = e->result;

		/* Where it stands is not known before it is written. */
		kept.journal = (struct command_span){.last = 0};
		command_result_pack(result, &kept);
	}
	buf_put(b, MAGIC, 4);
	buf_le32(b, r->kind);
	buf_le32(b, e->action);
	buf_le32(b, e->dry_run);
	buf_put(b, e->id, sizeof(e->id));
	buf_le64(b, (uint64_t)e->t_wall_us);
	buf_le32(b, e->pid);
	buf_le32(b, e->subject);
	buf_le64(b, e->start_ticks);
	buf_le64(b, e->counter);
	buf_le64(b, e->fence);
	buf_put(b, result, sizeof(result));
	buf_le64(b, r->number);
	buf_put(b, r->before, sizeof(r->before));
	if (buf_status(b) < 0)
		return;
	sha256(r->hash, b->data + start, HASHED);
	buf_put(b, r->hash, sizeof(r->hash));
}

static int unpack_body(struct cursor *c, struct journal_record *r, struct error *err)
{
	struct journal_entry *e = &r->entry;
	const uint8_t *id;
	const uint8_t *result;

	r->kind = (enum journal_kind)cursor_le32(c);
	e->action = (enum command_action)cursor_le32(c);
	e->dry_run = cursor_le32(c);
	id = cursor_bytes(c, sizeof(e->id));
	if (id)
		memcpy(e->id, id, sizeof(e->id));
	e->t_wall_us = (int64_t)cursor_le64(c);
	e->pid = cursor_le32(c);
	e->subject = cursor_le32(c);
	e->start_ticks = cursor_le64(c);
	e->counter = cursor_le64(c);
	e->fence = cursor_le64(c);
	result = cursor_bytes(c, COMMAND_RESULT_SIZE);
	if (r->kind < JOURNAL_STARTED || r->kind > JOURNAL_NOTE || !result)
		return error_set(err, -EBADMSG, "is of unknown kind %u", (unsigned)r->kind);
	e->done = r->kind == JOURNAL_DONE;
	if (r->kind != JOURNAL_DONE && r->kind != JOURNAL_NOTE)
		return 0;
	return command_result_unpack(result, COMMAND_RESULT_SIZE, &e->result, err);
}

static int start(const uint8_t *p, const char *magic, size_t hashed, size_t hash_size,
		 uint8_t hash[SHA256_SIZE], struct error *err)
{
	sha256(hash, p, hashed);
	if (memcmp(p, magic, 4) != 0 || memcmp(hash, p + hashed, hash_size) != 0)
		return error_set(err, -EBADMSG, "is damaged");
	return 0;
}

int journal_record_unpack(const uint8_t p[JOURNAL_RECORD_SIZE], struct journal_record *ret,
			  struct error *err)
{
	struct journal_record r = {.number = 0};
	struct cursor c = cursor_of(p + 4, HASHED - 4);
	const uint8_t *before;
	int rc = start(p, MAGIC, HASHED, SHA256_SIZE, r.hash, err);

	if (rc == 0)
		rc = unpack_body(&c, &r, err);
	if (rc < 0)
		return rc;
	r.number = cursor_le64(&c);
	before = cursor_bytes(&c, SHA256_SIZE);
	if (!before)
		return error_set(err, -EBADMSG, "is damaged");
	memcpy(r.before, before, SHA256_SIZE);
	*ret = r;
	return 0;
}

int journal_record_unpack_old(const uint8_t p[JOURNAL_OLD_SIZE], struct journal_record *ret,
			      struct error *err)
{
	struct journal_record r = {.number = 0};
	struct cursor c = cursor_of(p + 4, BODY - 4);
	int rc = start(p, JOURNAL_OLD_MAGIC, BODY, OLD_DIGEST, r.hash, err);

	if (rc == 0)
		rc = unpack_body(&c, &r, err);
	if (rc < 0)
		return rc;
	memset(r.hash, 0, sizeof(r.hash));
	*ret = r;
	return 0;
}

int journal_link_follow(struct journal_link *at, const struct journal_record *r, struct error *err)
{
	static const uint8_t none[SHA256_SIZE];

	if (r->kind == JOURNAL_ANCHOR) {
		if (at->number || memcmp(at->hash, none, sizeof(none)) != 0)
			return error_set(err, -EBADMSG, "is an anchor, which only begins a file");
		at->number = r->number;
		memcpy(at->hash, r->before, sizeof(at->hash));
		return 0;
	}
	if (r->number != at->number + 1 || memcmp(r->before, at->hash, sizeof(at->hash)) != 0)
		return error_set(err, -EBADMSG,
				 "has number %" PRIu64 " and does not follow number %" PRIu64
				 ": one was removed, put in or changed",
				 r->number, at->number);
	at->number = r->number;
	memcpy(at->hash, r->hash, sizeof(at->hash));
	return 0;
}
