/* SPDX-License-Identifier: Apache-2.0 */
/* Why a Python process grows, as JSON. */
#include "collector/fleet/verdict.h"
#include "collector/api/view.h"
#include "proto/leak_json.h"

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
	leak_json(w, &e, &v);
	view_known_id(w, "census_id", p->python->last ? p->python->last->census_id : 0);
	view_known_id(w, "base_census_id", p->python->base ? p->python->base->census_id : 0);
	jw_object_end(w);
}
