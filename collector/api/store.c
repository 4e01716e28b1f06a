/* SPDX-License-Identifier: Apache-2.0 */
/* What the database takes, as the store last measured it. */
#include <errno.h>

#include "collector/api/api.h"
#include "collector/api/resource.h"
#include "collector/store/store.h"
#include "collector/store/store_replica.h"
#include "collector/store/store_size.h"

static void write_table(struct json_writer *w, const struct store_size *t)
{
	jw_object(w);
	jw_k_str(w, "name", t->table);
	jw_k_int(w, "bytes", t->bytes);
	jw_k_int(w, "index_bytes", t->index_bytes);
	jw_k_int(w, "toast_bytes", t->toast_bytes);
	jw_k_int(w, "rows", t->rows);
	jw_k_int(w, "partitions", t->leaves);
	jw_k_time(w, "oldest", t->oldest_us);
	jw_k_time(w, "newest", t->newest_us);
	jw_object_end(w);
}

/* Chunks of processes as this collector wrote them: what a sample takes before the row around it.
 */
static void write_sealed(struct json_writer *w, const struct store_stats *s)
{
	jw_key(w, "sealed");
	jw_object(w);
	jw_k_int(w, "windows", (int64_t)s->sealed);
	jw_k_int(w, "samples", (int64_t)s->sealed_samples);
	jw_k_int(w, "bytes", (int64_t)s->sealed_bytes);
	jw_key(w, "bytes_per_sample");
	if (s->sealed_samples)
		jw_num(w, (double)s->sealed_bytes / (double)s->sealed_samples);
	else
		jw_null(w);
	jw_object_end(w);
}

/* null where no standby is configured. */
static void write_replica(struct json_writer *w, const struct store *s)
{
	struct replica_state state;

	store_replica_state(s, &state);
	jw_key(w, "replica");
	if (!state.configured) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_k_bool(w, "used", state.used);
	jw_k_str(w, "reason", *state.reason ? state.reason : NULL);
	jw_key(w, "lag_seconds");
	if (state.lag_us < 0)
		jw_null(w);
	else
		jw_num(w, (double)state.lag_us / 1e6);
	jw_k_int(w, "left", (int64_t)state.falls);
	jw_k_int(w, "retried", (int64_t)state.retried);
	jw_object_end(w);
}

void store_get(struct call *c)
{
	const struct store *s = c->api->ctx.store;
	const struct store_sizes *sizes;
	struct store_stats stats;
	int64_t total = 0;

	if (!s) {
		call_fail_db(c, -ENOTCONN);
		return;
	}
	sizes = store_sizes(s);
	store_stats(s, &stats);
	jw_object(&c->json);
	jw_k_time(&c->json, "measured", sizes->measured_us);
	jw_key(&c->json, "tables");
	jw_array(&c->json);
	for (size_t i = 0; i < sizes->n; i++) {
		write_table(&c->json, &sizes->tables[i]);
		total += sizes->tables[i].bytes;
	}
	jw_array_end(&c->json);
	jw_k_int(&c->json, "bytes", total);
	write_sealed(&c->json, &stats);
	write_replica(&c->json, s);
	jw_object_end(&c->json);
	call_reply(c, 200);
}
