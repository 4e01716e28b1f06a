/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/snapshot_print.h"

#include <errno.h>
#include <inttypes.h>

#include "common/json.h"
#include "common/str.h"
#include "proto/wire.h"

#define JSON_MAX (1u << 20)

static const char *rows_name(enum snapshot_kind kind)
{
	switch (kind) {
	case SNAPSHOT_TRACEMALLOC:
		return "sites";
	case SNAPSHOT_REFERRERS:
		return "chains";
	case SNAPSHOT_SIZES:
		return "containers";
	}
	return "rows";
}

static void print_row(FILE *out, enum snapshot_kind kind, const struct wire_snapshot_row *r)
{
	char one[STR_UNIT_SIZE];
	char two[STR_UNIT_SIZE];

	switch (kind) {
	case SNAPSHOT_TRACEMALLOC:
		fprintf(out, "%10s  %+9" PRId64 " blocks  (%s in %" PRId64 ")  %s\n",
			str_bytes(one, r->values[0]), r->values[1], str_bytes(two, r->values[2]),
			r->values[3], r->name);
		if (*r->about)
			fprintf(out, "%24sfrom %s\n", "", r->about);
		break;
	case SNAPSHOT_REFERRERS:
		fprintf(out, "%6" PRId64 "  %s\n", r->values[0], r->name);
		if (*r->about)
			fprintf(out, "%8sthrough %s\n", "", r->about);
		break;
	case SNAPSHOT_SIZES:
		fprintf(out, "%10s  %10s alone  %9" PRId64 " objects  %s",
			str_bytes(one, r->values[0]), str_bytes(two, r->values[1]), r->values[2],
			r->about);
		if (r->values[3] >= 0)
			fprintf(out, " of %" PRId64, r->values[3]);
		fprintf(out, "  %s\n", r->name);
		break;
	}
}

static void write_rows(struct json_writer *w, const struct wire_snapshot *s)
{
	const struct snapshot_layout *layout = snapshot_layout(s->kind);

	jw_array(w);
	for (size_t i = 0; i < s->n_rows; i++) {
		const struct wire_snapshot_row *r = &s->rows[i];

		jw_object(w);
		jw_k_str(w, layout->name, r->name);
		jw_k_str(w, layout->about, *r->about ? r->about : NULL);
		for (size_t k = 0; layout->values[k]; k++)
			jw_k_int(w, layout->values[k], r->values[k]);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static int print_json(FILE *out, const struct wire_snapshot *s, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(JSON_MAX);
	struct json_writer w;

	jw_init(&w, &text);
	write_rows(&w, s);
	if (buf_status(&text) < 0)
		return error_set(err, -ENOMEM, "no memory for the snapshot");
	fprintf(out, ", \"%s\": ", rows_name(s->kind));
	fwrite(text.data, 1, text.len, out);
	return 0;
}

int snapshot_print(FILE *out, const struct buf *body, bool json, struct error *err)
{
	auto_arena struct arena arena;
	struct wire_snapshot s;
	int rc;

	arena_init(&arena, WIRE_BUDGET(body->len));
	rc = wire_unpack_snapshot(&arena, body->data, body->len, &s, err);
	if (rc < 0)
		return rc;
	if (json)
		return print_json(out, &s, err);
	for (size_t i = 0; i < s.n_rows; i++)
		print_row(out, s.kind, &s.rows[i]);
	if (*s.note)
		fprintf(out, "%s\n", s.note);
	return 0;
}
