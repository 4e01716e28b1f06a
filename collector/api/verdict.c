/* SPDX-License-Identifier: Apache-2.0 */
/* Why a Python process grows, as JSON. */
#include "collector/fleet/verdict.h"
#include "collector/api/view.h"
#include "proto/kill.h"

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

void view_verdict(struct json_writer *w, const struct host *h, const struct process *p)
{
	struct leak_evidence e;
	struct leak_verdict v;

	jw_key(w, "verdict");
	if (!verdict_evidence(h, p, &e)) {
		jw_null(w);
		return;
	}
	leak_judge(&e, &v);
	jw_object(w);
	jw_k_str(w, "kind", leak_kind_word(v.kind));
	jw_k_bool(w, "leak", leak_is_leak(v.kind));
	jw_k_str(w, "confidence", kill_confidence_word(v.confidence));
	jw_k_str(w, "sentence", v.sentence);
	write_lines(w, "evidence", v.evidence, v.n_evidence);
	write_lines(w, "advice", v.advice, v.n_advice);
	view_known_id(w, "census_id", p->python->last ? p->python->last->census_id : 0);
	view_known_id(w, "base_census_id", p->python->base ? p->python->base->census_id : 0);
	write_types(w, &e);
	jw_object_end(w);
}
