/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/command.h"

#include <errno.h>
#include <string.h>

#include "common/sign.h"
#include "common/str.h"
#include "proto/command_param.h"

#define COMMAND_MAGIC   "MHC1"
#define RESULT_MAGIC    "MHR1"
#define STATEMENT_MAGIC "MHO1"
#define MAGIC_SIZE      4

enum field_kind {
	FIELD_BYTES,  /* as they are */
	FIELD_NUMBER, /* little endian, as wide as the field in the struct */
	FIELD_TEXT,   /* safe UTF-8, NUL-ended, NUL to the end of the field */
	FIELD_ZERO,   /* alignment and room to grow; refused when not zero */
};

/* One row a field, in the order of the bytes; offset is of the field in the struct. */
struct field {
	enum field_kind kind;
	size_t offset;
	size_t size;
	const char *name;
};

#define FIELD(kind, type, name)                                                                    \
	{                                                                                          \
		FIELD_##kind, offsetof(struct type, name), sizeof(((struct type *)0)->name), #name \
	}
#define SPARE(bytes)                                  \
	{                                             \
		FIELD_ZERO, 0, (bytes), "spare bytes" \
	}
#define SPARE_AFTER(used, of) SPARE((of) - (used))

static const struct field command_fields[] = {
	FIELD(NUMBER, command, action),
	FIELD(NUMBER, command, dry_run),
	SPARE(3),
	FIELD(BYTES, command, id),
	FIELD(BYTES, command, host_uuid),
	FIELD(BYTES, command, boot_id),
	FIELD(NUMBER, command, pid),
	FIELD(NUMBER, command, start_ticks),
	FIELD(NUMBER, command, issued_us),
	FIELD(NUMBER, command, expires_us),
	FIELD(NUMBER, command, counter),
	FIELD(NUMBER, command, fence),
	FIELD(TEXT, command, actor),
	FIELD(TEXT, command, reason),
	FIELD(NUMBER, command, params[0]),
	FIELD(NUMBER, command, params[1]),
	FIELD(NUMBER, command, params[2]),
	SPARE_AFTER(4 + 8 + 48 + 4 + 40 + 48 + 64 + 24 + COMMAND_WARRANT_HASH_SIZE, COMMAND_SIZE),
	FIELD(BYTES, command, warrant_hash),
};

static const struct field statement_fields[] = {
	FIELD(NUMBER, command_statement, action),
	FIELD(BYTES, command_statement, id),
	FIELD(BYTES, command_statement, host_uuid),
	FIELD(BYTES, command_statement, boot_id),
	FIELD(NUMBER, command_statement, pid),
	FIELD(NUMBER, command_statement, start_ticks),
	FIELD(NUMBER, command_statement, issued_us),
	FIELD(NUMBER, command_statement, expires_us),
	FIELD(NUMBER, command_statement, params[0]),
	FIELD(NUMBER, command_statement, params[1]),
	FIELD(NUMBER, command_statement, params[2]),
	SPARE_AFTER(4 + 4 + 48 + 4 + 24 + 24, COMMAND_STATEMENT_SIZE),
};

#define SPAN_AT (4 + 4 + 16 + 48 + 384)

static const struct field result_fields[] = {
	FIELD(NUMBER, command_result, status),
	FIELD(BYTES, command_result, id),
	FIELD(NUMBER, command_result, rss_before),
	FIELD(NUMBER, command_result, rss_after),
	FIELD(NUMBER, command_result, swap_before),
	FIELD(NUMBER, command_result, swap_after),
	FIELD(NUMBER, command_result, held_us),
	FIELD(NUMBER, command_result, total_us),
	FIELD(TEXT, command_result, detail),
	FIELD(NUMBER, command_result, journal.last),
	FIELD(NUMBER, command_result, journal.records),
	FIELD(BYTES, command_result, journal.before),
	FIELD(BYTES, command_result, journal.head),
	SPARE_AFTER(SPAN_AT + COMMAND_SPAN_SIZE, COMMAND_RESULT_SIZE),
};

static const struct {
	unsigned number;
	const char *word;
} actions[] =
	{
#define X(NAME, number, word) {number, word},
		COMMAND_ACTION_LIST(X)
#undef X
},
  statuses[] = {
#define X(NAME, number, word) {number, #word},
	  COMMAND_STATUS_LIST(X)
#undef X
};

const char *command_action_word(unsigned action)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (actions[i].number == action)
			return actions[i].word;
	return NULL;
}

int command_action_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(actions[i].word, word) == 0)
			return (int)actions[i].number;
	return -1;
}

bool command_action_of_host(unsigned action)
{
	return action == COMMAND_DROP_CACHES;
}

const char *command_status_word(unsigned status)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].number == status)
			return statuses[i].word;
	return NULL;
}

bool command_result_acted(const struct command_result *r)
{
	switch (r->status) {
	case COMMAND_DONE:
	case COMMAND_UNKNOWN:
		return true;
	case COMMAND_FAILED:
		return r->rss_after >= 0;
	case COMMAND_DRY_RUN:
	case COMMAND_REFUSED:
	case COMMAND_UNREACHABLE:
		break;
	}
	return false;
}

static void pack_number(uint8_t *out, const void *from, size_t size)
{
	uint64_t v = 0;

	if (size == 1)
		v = *(const bool *)from;
	else if (size == 4)
		v = *(const uint32_t *)from;
	else
		v = *(const uint64_t *)from;
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static int unpack_number(void *to, const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v |= (uint64_t)p[i] << (8 * i);
	if (size == 1) {
		/* Any other byte in a bool is undefined behaviour, and a second spelling of true.
		 */
		if (v > 1)
			return -EBADMSG;
		*(bool *)to = v;
	} else if (size == 4) {
		*(uint32_t *)to = (uint32_t)v;
	} else {
		*(uint64_t *)to = v;
	}
	return 0;
}

/* Room for the text, its NUL and zeroes: a text that was cut still ends on a whole character. */
static void pack_text(uint8_t *out, const char *from, size_t size)
{
	char safe[COMMAND_DETAIL_SIZE];

	memset(out, 0, size);
	memcpy(out, safe, str_safe(safe, size, from, strnlen(from, size)));
}

static bool text_is_well_formed(const uint8_t *p, size_t size)
{
	size_t n = strnlen((const char *)p, size);

	for (size_t i = n; i < size; i++)
		if (p[i])
			return false;
	return n < size && str_is_safe(p, n);
}

static void pack(uint8_t *out, const char *magic, const struct field *fields, size_t n,
		 const void *from)
{
	memcpy(out, magic, MAGIC_SIZE);
	out += MAGIC_SIZE;
	for (size_t i = 0; i < n; i++) {
		const struct field *f = &fields[i];
		const char *field = (const char *)from + f->offset;

		switch (f->kind) {
		case FIELD_BYTES:
			memcpy(out, field, f->size);
			break;
		case FIELD_NUMBER:
			pack_number(out, field, f->size);
			break;
		case FIELD_TEXT:
			pack_text(out, field, f->size);
			break;
		case FIELD_ZERO:
			memset(out, 0, f->size);
			break;
		}
		out += f->size;
	}
}

static int unpack_field(const struct field *f, const uint8_t *p, void *to)
{
	switch (f->kind) {
	case FIELD_NUMBER:
		return unpack_number(to, p, f->size);
	case FIELD_TEXT:
		if (!text_is_well_formed(p, f->size))
			return -EBADMSG;
		memcpy(to, p, f->size);
		return 0;
	case FIELD_BYTES:
		memcpy(to, p, f->size);
		return 0;
	case FIELD_ZERO:
		for (size_t i = 0; i < f->size; i++)
			if (p[i])
				return -EBADMSG;
		return 0;
	}
	return -EBADMSG;
}

static int unpack(const uint8_t *p, const char *magic, const struct field *fields, size_t n,
		  void *to, struct error *err)
{
	if (memcmp(p, magic, MAGIC_SIZE) != 0)
		return error_set(err, -EBADMSG, "command does not begin with '%s'", magic);
	p += MAGIC_SIZE;
	for (size_t i = 0; i < n; i++) {
		if (unpack_field(&fields[i], p, (char *)to + fields[i].offset) < 0)
			return error_set(err, -EBADMSG, "command: '%s' is not well formed",
					 fields[i].name);
		p += fields[i].size;
	}
	return 0;
}

void command_pack(uint8_t out[COMMAND_SIZE], const struct command *c)
{
	pack(out, COMMAND_MAGIC, command_fields, ARRAY_SIZE(command_fields), c);
}

int command_unpack(const void *data, size_t len, struct command *ret, struct error *err)
{
	struct command c = {0};
	int rc;

	if (len != COMMAND_SIZE)
		return error_set(err, -EBADMSG, "command has %zu bytes, expected %d", len,
				 COMMAND_SIZE);
	rc = unpack(data, COMMAND_MAGIC, command_fields, ARRAY_SIZE(command_fields), &c, err);
	if (rc < 0)
		return rc;
	if (!command_action_word(c.action))
		return error_set(err, -EBADMSG, "command asks for unknown action %u",
				 (unsigned)c.action);
	if (command_params_check(c.action, c.params, err) < 0 ||
	    command_text_check(c.action, c.params, c.reason, err) < 0)
		return -EBADMSG;
	*ret = c;
	return 0;
}

void command_statement_pack(uint8_t out[COMMAND_STATEMENT_SIZE], const struct command_statement *s)
{
	pack(out, STATEMENT_MAGIC, statement_fields, ARRAY_SIZE(statement_fields), s);
}

int command_statement_unpack(const uint8_t data[COMMAND_STATEMENT_SIZE],
			     struct command_statement *ret, struct error *err)
{
	struct command_statement s = {0};
	int rc = unpack(data, STATEMENT_MAGIC, statement_fields, ARRAY_SIZE(statement_fields), &s,
			err);

	if (rc < 0)
		return rc;
	if (!command_action_word(s.action))
		return error_set(err, -EBADMSG, "statement asks for unknown action %u",
				 (unsigned)s.action);
	if (command_params_check(s.action, s.params, err) < 0)
		return -EBADMSG;
	if (s.issued_us < 0 || s.expires_us <= s.issued_us ||
	    s.expires_us - s.issued_us > COMMAND_STATEMENT_LIFE_US)
		return error_set(err, -EBADMSG, "statement is not good for at most 24 hours");
	*ret = s;
	return 0;
}

int command_statement_fits(const struct command_statement *s, const struct command *c,
			   struct error *err)
{
	const char *what = NULL;

	if (memcmp(s->host_uuid, c->host_uuid, sizeof(s->host_uuid)) != 0)
		what = "for another host";
	else if (memcmp(s->boot_id, c->boot_id, sizeof(s->boot_id)) != 0 || s->pid != c->pid ||
		 s->start_ticks != c->start_ticks)
		what = "for another process";
	else if (s->action != c->action)
		what = "for another action";
	else if (command_param_of_text(c->action))
		what = "not enough: it does not cover what this action is told in words";
	else if (memcmp(s->params, c->params, sizeof(s->params)) != 0)
		what = "for other parameters";
	else if (memcmp(s->id, c->id, sizeof(s->id)) != 0)
		what = "for another command";
	return what ? error_set(err, -EACCES, "the operator's signature is %s", what) : 0;
}

void command_warrant_hash(uint8_t out[COMMAND_WARRANT_HASH_SIZE], const struct command_warrant *o)
{
	uint8_t hash[SHA256_SIZE];

	sha256(hash, o, sizeof(*o));
	memcpy(out, hash, COMMAND_WARRANT_HASH_SIZE);
}

void command_result_pack(uint8_t out[COMMAND_RESULT_SIZE], const struct command_result *r)
{
	pack(out, RESULT_MAGIC, result_fields, ARRAY_SIZE(result_fields), r);
}

int command_result_unpack(const void *data, size_t len, struct command_result *ret,
			  struct error *err)
{
	struct command_result r = {0};
	int rc;

	if (len != COMMAND_RESULT_SIZE)
		return error_set(err, -EBADMSG, "command result has %zu bytes, expected %d", len,
				 COMMAND_RESULT_SIZE);
	rc = unpack(data, RESULT_MAGIC, result_fields, ARRAY_SIZE(result_fields), &r, err);
	if (rc < 0)
		return rc;
	if (!command_status_word(r.status))
		return error_set(err, -EBADMSG, "command result has unknown status %u",
				 (unsigned)r.status);
	*ret = r;
	return 0;
}

bool command_result_split(uint8_t result[COMMAND_RESULT_SIZE], uint8_t journal[COMMAND_SPAN_SIZE])
{
	static const uint8_t none[COMMAND_SPAN_SIZE];

	memcpy(journal, result + SPAN_AT, COMMAND_SPAN_SIZE);
	memset(result + SPAN_AT, 0, COMMAND_SPAN_SIZE);
	return memcmp(journal, none, sizeof(none)) != 0;
}

void command_result_join(uint8_t result[COMMAND_RESULT_SIZE],
			 const uint8_t journal[COMMAND_SPAN_SIZE])
{
	memcpy(result + SPAN_AT, journal, COMMAND_SPAN_SIZE);
}
