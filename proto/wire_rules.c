/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire_rules.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cursor.h"
#include "common/str.h"

/* 9999-12-31: what PostgreSQL, RFC 3339 and people can still read. */
#define WALL_MAX_US 253402300799999999LL

struct heap {
	struct arena *arena;
	bool over_budget;
	bool out_of_memory;
};

static void *on_alloc(void *arg, size_t size)
{
	struct heap *h = arg;
	void *p = arena_alloc(h->arena, size);

	if (p)
		return p;
	if (size > h->arena->budget || h->arena->used > h->arena->budget - size)
		h->over_budget = true;
	else
		h->out_of_memory = true;
	return NULL;
}

static void on_free(void *arg unused_arg, void *p unused_arg)
{
	/* the arena goes as a whole */
}

/* The bytes of one field after its tag; the four wire types that proto3 has. */
static struct cursor field_bytes(struct cursor *c, unsigned wire_type)
{
	size_t len = 0;

	if (wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
		cursor_varint(c);
	else if (wire_type == PROTOBUF_C_WIRE_TYPE_64BIT)
		len = sizeof(uint64_t);
	else if (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
		len = cursor_varint(c);
	else
		len = sizeof(uint32_t);
	return cursor_of(cursor_bytes(c, len), c->bad ? 0 : len);
}

/* protobuf-c ends a string at its first NUL and forgets how long it was: what a peer hides behind
 * one would pass unseen. The bytes are known to be well-formed. */
static bool has_nul(const ProtobufCMessageDescriptor *type, struct cursor c)
{
	while (cursor_left(&c) && !c.bad) {
		uint64_t tag = cursor_varint(&c);
		struct cursor in = field_bytes(&c, tag & 7);
		const ProtobufCFieldDescriptor *f =
			protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));

		if (!f || !cursor_left(&in))
			continue;
		if (f->type == PROTOBUF_C_TYPE_STRING && memchr(in.p, '\0', cursor_left(&in)))
			return true;
		/* No message contains itself, so this ends. */
		if (f->type == PROTOBUF_C_TYPE_MESSAGE && has_nul(f->descriptor, in))
			return true;
	}
	return false;
}

/* what names the message in errors. */
int rules_unpack(const ProtobufCMessageDescriptor *type, const char *what, struct arena *a,
		 const uint8_t *data, size_t len, void *ret, struct error *err)
{
	struct heap heap = {.arena = a};
	ProtobufCAllocator alloc = {.alloc = on_alloc, .free = on_free, .allocator_data = &heap};
	ProtobufCMessage *m = protobuf_c_message_unpack(type, &alloc, len, data);

	if (m) {
		memcpy(ret, &m, sizeof(m));
		if (has_nul(type, cursor_of(data, len)))
			return error_set(err, -EBADMSG, "%s: a string holds a NUL", what);
		return 0;
	}
	if (heap.out_of_memory)
		return error_set(err, -ENOMEM, "%s: out of memory", what);
	if (heap.over_budget)
		return error_set(err, -EBADMSG, "%s: %zu bytes unpack to more than %zu", what, len,
				 a->budget);
	return error_set(err, -EBADMSG, "%s: not well-formed protobuf", what);
}

void rules_demand(struct rules *r, bool holds, const char *fmt, ...)
{
	char why[200];
	va_list ap;

	if (holds || r->code)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	r->code = error_set(r->err, -EBADMSG, "%s: %s", r->what, why);
}

void rules_memory(struct rules *r, const void *p)
{
	if (!p && !r->code)
		r->code = error_set(r->err, -ENOMEM, "%s: out of memory", r->what);
}

const char *rules_text(struct rules *r, const char *s, size_t max, const char *field)
{
	size_t len = strlen(s);

	rules_demand(r, len <= max, "'%s' has %zu bytes, %zu are allowed", field, len, max);
	if (len <= max)
		rules_demand(r, str_is_safe(s, len), "'%s' is not printable UTF-8", field);
	return s;
}

const char **rules_texts(struct rules *r, struct arena *a, char **from, size_t n, size_t max,
			 const char *field)
{
	const char **to;

	if (r->code)
		return NULL;
	to = arena_calloc(a, n, sizeof(*to));
	rules_memory(r, to);
	for (size_t i = 0; i < n && !r->code; i++)
		to[i] = rules_text(r, from[i], max, field);
	return to;
}

struct wire_blob rules_blob(struct rules *r, ProtobufCBinaryData d, size_t min, size_t max,
			    const char *field)
{
	rules_demand(r, d.len >= min && d.len <= max, "'%s' has %zu bytes, expected %zu to %zu",
		     field, d.len, min, max);
	return (struct wire_blob){.data = d.data, .len = d.len};
}

int64_t rules_wall(struct rules *r, int64_t us, const char *field)
{
	rules_demand(r, us >= 0 && us <= WALL_MAX_US, "'%s' of %lld is no time", field,
		     (long long)us);
	return us;
}

uint64_t rules_counter(struct rules *r, uint64_t v, const char *field)
{
	rules_demand(r, v <= INT64_MAX, "'%s' of %llu is out of range", field,
		     (unsigned long long)v);
	return v;
}
