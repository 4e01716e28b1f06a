/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/partition.h"

#include <time.h>

#include "collector/store/db_sync.h"

#define HOUR_US (3600LL * 1000000)
#define DAY_US  (24 * HOUR_US)

static const struct {
	const char *name;
	enum partition_span span;
} tables[PARTITION_TABLES] = {
#define X(NAME, table, span) {#table, PARTITION_##span},
	PARTITION_LIST(X)
#undef X
};

const char *partition_name(enum partition_table t)
{
	return tables[t].name;
}

static int64_t round_down(int64_t t_us, int64_t span)
{
	int64_t r = t_us % span;

	return t_us - (r < 0 ? r + span : r);
}

/* First of the month that t is in, or so many months later. */
static int64_t month_start(int64_t t_us, int later)
{
	time_t t = (time_t)(round_down(t_us, DAY_US) / 1000000);
	struct tm tm;

	gmtime_r(&t, &tm);
	tm.tm_mday = 1;
	tm.tm_mon += later;
	return (int64_t)timegm(&tm) * 1000000;
}

int64_t partition_start(enum partition_table t, int64_t t_us)
{
	switch (tables[t].span) {
	case PARTITION_HOUR:
		return round_down(t_us, HOUR_US);
	case PARTITION_DAY:
		return round_down(t_us, DAY_US);
	case PARTITION_MONTH:
		return month_start(t_us, 0);
	}
	return t_us;
}

int64_t partition_end(enum partition_table t, int64_t t_us)
{
	switch (tables[t].span) {
	case PARTITION_HOUR:
		return round_down(t_us, HOUR_US) + HOUR_US;
	case PARTITION_DAY:
		return round_down(t_us, DAY_US) + DAY_US;
	case PARTITION_MONTH:
		return month_start(t_us, 1);
	}
	return t_us;
}

bool partition_known(const struct partitions *p, enum partition_table t, int64_t t_us)
{
	int64_t start = partition_start(t, t_us);

	for (size_t i = 0; i < MIN_OF(p->n[t], (size_t)PARTITION_KNOWN_MAX); i++)
		if (p->known[t][i] == start)
			return true;
	return false;
}

void partition_remember(struct partitions *p, enum partition_table t, int64_t t_us)
{
	if (!partition_known(p, t, t_us))
		p->known[t][p->n[t]++ % PARTITION_KNOWN_MAX] = partition_start(t, t_us);
}

void partition_forget(struct partitions *p, enum partition_table t, int64_t t_us)
{
	for (size_t i = 0; i < MIN_OF(p->n[t], (size_t)PARTITION_KNOWN_MAX); i++)
		if (p->known[t][i] < t_us)
			p->known[t][i] = INT64_MIN;
}

#define LEAF_PARAMS(t, t_us)                                                       \
	{                                                                          \
		DB_P_TEXT(partition_name(t)), DB_P_TIME(partition_start(t, t_us)), \
			DB_P_TIME(partition_end(t, t_us)),                         \
	}

int partition_make(struct db_tx *tx, enum partition_table t, int64_t t_us)
{
	const struct db_param params[] = LEAF_PARAMS(t, t_us);

	return db_tx_query(tx, Q_PARTITION_MAKE, params, ARRAY_SIZE(params), NULL);
}

static int make_now(struct db_sync *s, enum partition_table t, int64_t t_us, struct error *err)
{
	const struct db_param params[] = LEAF_PARAMS(t, t_us);
	struct db_result *r;
	int rc = db_sync_query(s, Q_PARTITION_MAKE, params, ARRAY_SIZE(params), &r, err);

	if (rc == 0)
		db_result_free(&r);
	return rc;
}

int partition_make_ahead(struct db_sync *s, struct partitions *p, int64_t now_us, struct error *err)
{
	for (enum partition_table t = 0; t < PARTITION_TABLES; t++) {
		int64_t at = now_us;

		for (int i = 0; i < PARTITION_AHEAD; i++, at = partition_end(t, at)) {
			int rc = make_now(s, t, at, err);

			if (rc < 0) {
				error_wrap(err, "partition of '%s'", partition_name(t));
				return rc;
			}
			partition_remember(p, t, at);
		}
	}
	return 0;
}
