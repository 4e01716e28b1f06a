/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/census_print.h"

#include <errno.h>
#include <inttypes.h>

#include "common/json.h"
#include "common/str.h"
#include "proto/wire.h"

#define JSON_MAX (1u << 20)

static int unpack(struct arena *arena, const struct buf *body, struct wire_census *ret,
		  struct error *err)
{
	arena_init(arena, WIRE_BUDGET(body->len));
	return wire_unpack_census(arena, body->data, body->len, ret, err);
}

static void print_head(FILE *out, const struct wire_census *c)
{
	char bytes[STR_UNIT_SIZE];

	fprintf(out, "%" PRIu64 " objects of %u types, %s", c->objects, c->types_total,
		str_bytes(bytes, (int64_t)c->bytes));
	if (c->method == CENSUS_METHOD_LIVE)
		fprintf(out, ", read while it ran: off by up to %.2f %%",
			c->error_per_10000 / 100.0);
	else
		fprintf(out, ", %s: held for %.1f ms", census_method_word(c->method),
			(double)c->pause_us / 1000);
	fprintf(out, ", counted in %" PRIu64 " ms\n", c->walk_us / 1000);
	if (*c->note)
		fprintf(out, "%s\n", c->note);
}

static void print_parts(FILE *out, const struct wire_census *c)
{
	const char *comma = "memory: ";
	char bytes[STR_UNIT_SIZE];

	for (unsigned i = 0; i < HEAP_PART_COUNT; i++) {
		if (c->parts[i] == HEAP_ABSENT)
			continue;
		if (i == HEAP_PART_ARENAS)
			fprintf(out, "%s%s %" PRId64, comma, heap_part_name(i), c->parts[i]);
		else
			fprintf(out, "%s%s %s", comma, heap_part_name(i),
				str_bytes(bytes, c->parts[i]));
		comma = ", ";
	}
	fputs("\n", out);
}

int census_print_table(FILE *out, const struct buf *body, size_t top, struct error *err)
{
	auto_arena struct arena arena;
	struct wire_census c;
	int rc = unpack(&arena, body, &c, err);

	if (rc < 0)
		return rc;
	print_head(out, &c);
	print_parts(out, &c);
	fprintf(out, "%12s %10s %6s  %s\n", "objects", "bytes", "", "type");
	for (size_t i = 0; i < MIN_OF(c.n_types, top); i++) {
		const struct wire_census_type *t = &c.types[i];
		char bytes[STR_UNIT_SIZE];

		fprintf(out, "%12" PRIu64 " %10s %5.1f%%  %s\n", t->count,
			str_bytes(bytes, (int64_t)t->bytes),
			100.0 * (double)t->bytes / (double)MAX_OF(c.bytes, UINT64_C(1)), t->name);
	}
	return 0;
}

static void write_parts(struct json_writer *w, const struct wire_census *c)
{
	jw_key(w, "parts");
	jw_object(w);
	for (unsigned i = 0; i < HEAP_PART_COUNT; i++)
		if (c->parts[i] != HEAP_ABSENT)
			jw_k_int(w, heap_part_name(i), c->parts[i]);
	jw_object_end(w);
}

static void write_types(struct json_writer *w, const struct wire_census *c, size_t top)
{
	jw_key(w, "types");
	jw_array(w);
	for (size_t i = 0; i < MIN_OF(c->n_types, top); i++) {
		jw_object(w);
		jw_k_str(w, "type", c->types[i].name);
		jw_k_int(w, "objects", (int64_t)c->types[i].count);
		jw_k_int(w, "bytes", (int64_t)c->types[i].bytes);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void write_census(struct json_writer *w, const struct wire_census *c, size_t top)
{
	jw_object(w);
	jw_k_time(w, "time", c->t_wall_us);
	jw_k_str(w, "method", census_method_word(c->method));
	jw_k_int(w, "interpreters", c->interpreters);
	jw_k_int(w, "objects", (int64_t)c->objects);
	jw_k_int(w, "bytes", (int64_t)c->bytes);
	jw_k_int(w, "types_total", c->types_total);
	jw_k_int(w, "pause_us", (int64_t)c->pause_us);
	jw_k_int(w, "walk_us", (int64_t)c->walk_us);
	jw_k_int(w, "error_per_10000", c->error_per_10000);
	jw_k_str(w, "note", *c->note ? c->note : NULL);
	write_parts(w, c);
	write_types(w, c, top);
	jw_object_end(w);
}

int census_print_json(FILE *out, const struct buf *body, size_t top, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(JSON_MAX);
	auto_arena struct arena arena;
	struct json_writer w;
	struct wire_census c;
	int rc = unpack(&arena, body, &c, err);

	if (rc < 0)
		return rc;
	jw_init(&w, &text);
	write_census(&w, &c, top);
	if (buf_status(&text) < 0)
		return error_set(err, -ENOMEM, "no memory for the census");
	fwrite(text.data, 1, text.len, out);
	return 0;
}
