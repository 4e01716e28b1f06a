/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/figures.h"

/* One printk holds about 990 bytes: in a record near that the last value may have lost digits. */
#define FULL_RECORD 900

static const struct {
	const char *v2;
	const char *v1;
	const char *kb;
} stats[] = {
#define X(NAME, v2, v1, kb) {v2, v1, kb},
	OOM_STAT_LIST(X)
#undef X
};

static const char *const host_keys[] = {
#define X(NAME, key) key,
	OOM_HOST_LIST(X)
#undef X
};

static const struct {
	const char *header;
	enum oom_unit unit;
} columns[] = {
#define X(NAME, header, unit) {header, OOM_##unit},
	OOM_TASK_LIST(X)
#undef X
};

static void add(int64_t *sum, int64_t v)
{
	if (*sum == METRIC_ABSENT || __builtin_add_overflow(*sum, v, sum))
		*sum = v;
}

/* ' cache:1KB rss:2KB ..': words, so that 'dirty:' is not found inside another. */
static void cgroup_words(struct text t, int64_t stat[OOM_STAT_COUNT])
{
	while (t.len) {
		struct text word;
		int64_t v;

		text_skip_spaces(&t);
		word = text_word(&t);
		for (size_t i = 0; i < OOM_STAT_COUNT; i++) {
			struct text value = word;

			if (*stats[i].kb && text_skip(&value, stats[i].kb) &&
			    text_number(&value, &v) && text_is(value, "KB"))
				add(&stat[i], v);
		}
	}
}

bool figures_cgroup_head(struct text t, struct text *ret_cgroup, int64_t stat[OOM_STAT_COUNT])
{
	struct text words;

	if (!text_skip(&t, "Memory cgroup stats for "))
		return false;
	if (text_cut_last(t, ": cache:", ret_cgroup, NULL)) {
		words = text_of(t.p + ret_cgroup->len + 1, t.len - ret_cgroup->len - 1);
		cgroup_words(words, stat);
		return true;
	}
	if (!t.len || t.p[t.len - 1] != ':')
		return false;
	*ret_cgroup = text_of(t.p, t.len - 1);
	return true;
}

static int stat_of(struct text key)
{
	bool total = text_skip(&key, "total_");

	for (int i = 0; i < OOM_STAT_COUNT; i++)
		if ((!total && text_is(key, stats[i].v2)) ||
		    (*stats[i].v1 && text_is(key, stats[i].v1)))
			return i;
	return -1;
}

void figures_cgroup(struct text t, int64_t stat[OOM_STAT_COUNT])
{
	bool full = t.len >= FULL_RECORD;
	struct text line;

	while (text_line(&t, &line)) {
		struct text key = text_word(&line);
		int i = stat_of(key);
		int64_t v;

		if (full && !t.len)
			return;
		if (i >= 0 && text_skip(&line, " ") && text_number(&line, &v) && !line.len &&
		    v >= 0)
			stat[i] = v / 1024;
	}
}

/* Pages to KiB; what cannot be is absent. */
static int64_t scaled(int64_t v, int64_t page_kib)
{
	int64_t kib;

	if (v == METRIC_ABSENT || v < 0 || __builtin_mul_overflow(v, page_kib, &kib))
		return METRIC_ABSENT;
	return kib;
}

void figures_host(struct text t, int64_t page_kib, int64_t host[OOM_HOST_COUNT])
{
	for (size_t i = 0; i < ARRAY_SIZE(host_keys); i++) {
		struct text rest = t;
		const char *at = t.p;

		/* 'active_anon:' must not be found inside 'inactive_anon:'. */
		while (host[i] == METRIC_ABSENT && text_cut(rest, host_keys[i], NULL, &rest)) {
			const char *key = rest.p - strlen(host_keys[i]);

			if (key == at || key[-1] == ' ' || key[-1] == '\n')
				host[i] =
					scaled(text_value(text_of(key,
								  rest.len + strlen(host_keys[i])),
							  host_keys[i]),
					       page_kib);
		}
	}
}

bool figures_host_line(struct text t, int64_t page_kib, int64_t host[OOM_HOST_COUNT])
{
	int64_t v;

	if (text_skip(&t, "Free swap  = ") && text_number(&t, &v) && text_is(t, "kB"))
		host[OOM_HOST_FREE_SWAP] = v;
	else if (text_skip(&t, "Total swap = ") && text_number(&t, &v) && text_is(t, "kB"))
		host[OOM_HOST_TOTAL_SWAP] = v;
	else if (text_number(&t, &v) && text_is(t, " pages RAM"))
		host[OOM_HOST_TOTAL] = scaled(v, page_kib);
	else
		return false;
	return true;
}

static int8_t column_of(struct text word)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (text_is(word, columns[i].header))
			return (int8_t)i;
	return -1;
}

bool figures_header(struct text t, struct figures_header *ret)
{
	struct figures_header h = {.n = 0};

	if (!text_skip(&t, "["))
		return false;
	text_skip_spaces(&t);
	if (!text_skip(&t, "pid"))
		return false;
	text_skip_spaces(&t);
	if (!text_skip(&t, "]"))
		return false;
	for (;;) {
		struct text word;

		text_skip_spaces(&t);
		word = text_word(&t);
		if (text_is(word, "name") && !t.len && h.n)
			break;
		if (!word.len || h.n == FIGURES_MAX_COLUMNS)
			return false;
		h.column[h.n++] = column_of(word);
	}
	*ret = h;
	return true;
}

static int64_t in_unit(int64_t v, enum oom_unit unit, int64_t page_kib)
{
	switch (unit) {
	case OOM_PAGES:
		return scaled(v, page_kib);
	case OOM_BYTES:
		return v < 0 ? METRIC_ABSENT : v / 1024;
	case OOM_PLAIN:
	default:
		return v;
	}
}

bool figures_row(struct text t, const struct figures_header *h, int64_t page_kib,
		 struct oom_task *ret)
{
	struct oom_task row;
	int64_t v;

	for (int i = 0; i < OOM_TASK_COUNT; i++)
		row.v[i] = METRIC_ABSENT;
	if (!h->n || !text_skip(&t, "["))
		return false;
	text_skip_spaces(&t);
	if (!text_number(&t, &row.v[OOM_TASK_PID]) || !text_skip(&t, "]"))
		return false;
	for (size_t i = 0; i < h->n; i++) {
		text_skip_spaces(&t);
		if (!text_number(&t, &v))
			return false;
		if (h->column[i] > OOM_TASK_PID)
			row.v[h->column[i]] = in_unit(v, columns[h->column[i]].unit, page_kib);
	}
	if (!text_skip(&t, " "))
		return false;
	text_copy(row.comm, sizeof(row.comm), t);
	*ret = row;
	return true;
}
