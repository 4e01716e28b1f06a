/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/leak_json.h"

static void write_lines(struct json_writer *w, const char *key, const char (*lines)[LEAK_TEXT_SIZE],
			unsigned n)
{
	jw_key(w, key);
	jw_array(w);
	for (unsigned i = 0; i < n; i++)
		jw_str(w, lines[i]);
	jw_array_end(w);
}

static void write_types(struct json_writer *w, const struct leak_evidence *e)
{
	jw_key(w, "types");
	jw_array(w);
	for (unsigned i = 0; i < e->n_types; i++) {
		jw_object(w);
		jw_k_str(w, "name", e->types[i].name);
		jw_k_int(w, "count_growth", e->types[i].count_growth);
		jw_k_int(w, "bytes_growth", e->types[i].bytes_growth);
		jw_object_end(w);
	}
	jw_array_end(w);
}

void leak_json(struct json_writer *w, const struct leak_evidence *e, const struct leak_verdict *v)
{
	jw_k_str(w, "kind", leak_kind_word(v->kind));
	jw_k_bool(w, "leak", leak_is_leak(v->kind));
	jw_k_str(w, "confidence", kill_confidence_word(v->confidence));
	jw_k_str(w, "sentence", v->sentence);
	write_lines(w, "evidence", v->evidence, v->n_evidence);
	write_lines(w, "advice", v->advice, v->n_advice);
	write_types(w, e);
}
