/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/store_size.h"

#include "collector/store/store_inner.h"
#include "common/clock.h"
#include "common/str.h"

const struct store_sizes *store_sizes(const struct store *s)
{
	return &s->sizes;
}

static void on_sizes(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct store *s = arg;

	(void)err;
	MAGIC_CHECK(s, STORE_MAGIC);
	if (rc < 0)
		return;
	s->sizes.n = MIN_OF(db_rows(r), (size_t)STORE_SIZES_MAX);
	s->sizes.measured_us = clock_wall_us();
	for (size_t i = 0; i < s->sizes.n; i++) {
		struct store_size *t = &s->sizes.tables[i];

		*t = (struct store_size){
			.bytes = db_int(r, i, 1),
			.index_bytes = db_int(r, i, 2),
			.toast_bytes = db_int(r, i, 3),
			.rows = db_int(r, i, 4),
			.leaves = (int)db_int(r, i, 5),
			.oldest_us = db_is_null(r, i, 6) ? 0 : db_time(r, i, 6),
			.newest_us = db_is_null(r, i, 7) ? 0 : db_time(r, i, 7),
		};
		(void)str_copy(t->table, sizeof(t->table), db_text(r, i, 0));
	}
}

void store_ask_sizes(struct store *s)
{
	(void)!db_query(s->db, Q_STORE_SIZES, NULL, 0, on_sizes, s);
}
