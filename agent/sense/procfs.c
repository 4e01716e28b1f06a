/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/procfs.h"

#include <errno.h>
#include <string.h>

/* Doubles, JSON and the wire all hold integers up to here exactly. */
#define NUMBER_MAX ((uint64_t)1 << 53)

/* Reads digits at *p; at least one, and a byte after them, must be there: digits that reach the
 * end of the bytes may have been cut. */
static int take_number(const char **p, const char *end, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;

	while (s < end && *s >= '0' && *s <= '9') {
		v = v * 10 + (uint64_t)(*s++ - '0');
		if (v > NUMBER_MAX)
			return -ERANGE;
	}
	if (s == *p || s == end)
		return -EBADMSG;
	*p = s;
	*ret = v;
	return 0;
}

static void skip_blanks(const char **p, const char *end)
{
	while (*p < end && (**p == ' ' || **p == '\t'))
		(*p)++;
}

/* The next field, a number. */
static int next_number(const char **p, const char *end, uint64_t *ret)
{
	skip_blanks(p, end);
	return take_number(p, end, ret);
}

int procfs_parse_statm(const char *s, size_t len, struct procfs_statm *ret)
{
	const char *end = s + len;
	struct procfs_statm m;
	int r;

	r = next_number(&s, end, &m.size);
	if (r == 0)
		r = next_number(&s, end, &m.resident);
	if (r == 0)
		r = next_number(&s, end, &m.shared);
	if (r == 0)
		*ret = m;
	return r;
}

/* Steps over n fields, whatever is in them. */
static int skip_fields(const char **p, const char *end, unsigned n)
{
	while (n--) {
		skip_blanks(p, end);
		if (*p == end)
			return -EBADMSG;
		while (*p < end && **p != ' ' && **p != '\n')
			(*p)++;
	}
	return 0;
}

/* Fields 3 to 22, which begin after the name. */
static int parse_stat_fields(const char *p, const char *end, struct procfs_stat *st)
{
	/* How many fields to step over before each that is wanted. */
	enum { PPID, FLAGS, MINFLT, MAJFLT, UTIME, STIME, THREADS, START, N };
	static const uint8_t skips[N] = {0, 4, 0, 1, 1, 0, 4, 1};
	uint64_t v[N];

	skip_blanks(&p, end);
	if (p == end)
		return -EBADMSG;
	st->state = *p++;
	for (unsigned i = 0; i < N; i++) {
		int r = skip_fields(&p, end, skips[i]);

		if (r == 0)
			r = next_number(&p, end, &v[i]);
		if (r < 0)
			return r;
	}
	if (v[PPID] > UINT32_MAX || v[FLAGS] > UINT32_MAX || v[THREADS] > UINT32_MAX)
		return -ERANGE;
	st->ppid = (uint32_t)v[PPID];
	st->flags = (uint32_t)v[FLAGS];
	st->minflt = v[MINFLT];
	st->majflt = v[MAJFLT];
	st->cpu_ticks = v[UTIME] + v[STIME];
	st->threads = (uint32_t)v[THREADS];
	st->start_ticks = v[START];
	return 0;
}

int procfs_parse_stat(const char *s, size_t len, struct procfs_stat *ret)
{
	const char *open = memchr(s, '(', len);
	const char *close = len ? memrchr(s, ')', len) : NULL;
	struct procfs_stat st = {0};
	int r;

	if (!open || !close || close < open)
		return -EBADMSG;
	st.comm = open + 1;
	st.comm_len = (size_t)(close - open - 1);
	r = parse_stat_fields(close + 1, s + len, &st);
	if (r == 0)
		*ret = st;
	return r;
}

struct key {
	const char *name;
	size_t len;
	unsigned index;
};

/* Lines of 'key: number ...'. Lines without their newline were cut and are not believed. */
static void parse_keyed(const char *s, size_t len, const struct key *keys, size_t n, int64_t *v)
{
	const char *end = s + len;
	const char *eol;

	for (; s < end && (eol = memchr(s, '\n', (size_t)(end - s))); s = eol + 1) {
		for (size_t i = 0; i < n; i++) {
			const struct key *k = &keys[i];
			const char *p = s + k->len + 1;
			uint64_t number;

			if (*s != *k->name || p > eol || memcmp(s, k->name, k->len) != 0 ||
			    s[k->len] != ':')
				continue;
			/* eol + 1: the newline is the byte that ends the number */
			if (v[k->index] == METRIC_ABSENT && next_number(&p, eol + 1, &number) == 0)
				v[k->index] = (int64_t)number;
			break;
		}
	}
}

static void all_absent(int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = METRIC_ABSENT;
}

void procfs_parse_status(const char *s, size_t len, int64_t v[PROCFS_STATUS_COUNT])
{
	static const struct key keys[] = {
#define X(NAME, key) {key, sizeof(key) - 1, PROCFS_##NAME},
		PROCFS_STATUS_LIST(X)
#undef X
	};

	all_absent(v, PROCFS_STATUS_COUNT);
	parse_keyed(s, len, keys, ARRAY_SIZE(keys), v);
}

void procfs_parse_rollup(const char *s, size_t len, int64_t v[PROCFS_ROLLUP_COUNT])
{
	static const struct key keys[] = {
#define X(NAME, key) {key, sizeof(key) - 1, PROCFS_ROLLUP_##NAME},
		PROCFS_ROLLUP_LIST(X)
#undef X
	};

	all_absent(v, PROCFS_ROLLUP_COUNT);
	parse_keyed(s, len, keys, ARRAY_SIZE(keys), v);
}

void procfs_parse_meminfo(const char *s, size_t len, int64_t v[HOST_METRIC_COUNT])
{
#define KEY(name, metric)                                    \
	{                                                    \
		name, sizeof(name) - 1, HOST_METRIC_##metric \
	}
	static const struct key keys[] = {
		KEY("MemTotal", TOTAL),
		KEY("MemAvailable", AVAILABLE),
		KEY("MemFree", FREE),
		KEY("Buffers", BUFFERS),
		KEY("Cached", CACHED),
		KEY("Shmem", SHMEM),
		KEY("AnonPages", ANON),
		KEY("SReclaimable", SLAB_RECLAIMABLE),
		KEY("SUnreclaim", SLAB_UNRECLAIMABLE),
		KEY("PageTables", PAGE_TABLES),
		KEY("SwapTotal", SWAP_TOTAL),
		KEY("SwapFree", SWAP_FREE),
		KEY("Dirty", DIRTY),
		KEY("Committed_AS", COMMITTED),
	};
#undef KEY

	all_absent(v, HOST_METRIC_COUNT);
	parse_keyed(s, len, keys, ARRAY_SIZE(keys), v);
}

static void copy_path(char out[PROCFS_PATH_MAX], const char *p, size_t len)
{
	len = MIN_OF(len, (size_t)PROCFS_PATH_MAX - 1);
	memcpy(out, p, len);
	out[len] = '\0';
}

/* Is word one of the comma-separated names? */
static bool has_word(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	while (len >= n) {
		const char *comma = memchr(list, ',', len);
		size_t have = comma ? (size_t)(comma - list) : len;

		if (have == n && memcmp(list, word, n) == 0)
			return true;
		if (!comma)
			break;
		len -= have + 1;
		list = comma + 1;
	}
	return false;
}

void procfs_parse_cgroup(const char *s, size_t len, struct procfs_cgroup *ret)
{
	const char *end = s + len;
	const char *eol;

	memset(ret, 0, sizeof(*ret));
	for (; s < end && (eol = memchr(s, '\n', (size_t)(end - s))); s = eol + 1) {
		const char *a = memchr(s, ':', (size_t)(eol - s));
		const char *b = a ? memchr(a + 1, ':', (size_t)(eol - a - 1)) : NULL;
		size_t names;
		size_t path;

		if (!b)
			continue;
		names = (size_t)(b - a - 1);
		path = (size_t)(eol - b - 1);
		if (names == 0 && *s == '0')
			copy_path(ret->unified, b + 1, path);
		else if (has_word(a + 1, names, "memory"))
			copy_path(ret->memory, b + 1, path);
		else if (has_word(a + 1, names, "name=systemd"))
			copy_path(ret->systemd, b + 1, path);
	}
}

const char *procfs_cgroup_path(const struct procfs_cgroup *cg)
{
	const char *const order[] = {cg->unified, cg->memory, cg->systemd};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (order[i][0] && strcmp(order[i], "/") != 0)
			return order[i];
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (order[i][0])
			return order[i];
	return "";
}

int procfs_parse_limit(const char *s, size_t len, int64_t *ret)
{
	const char *end = s + len;
	uint64_t v;
	int r;

	if (len >= 4 && memcmp(s, "max\n", 4) == 0)
		return -ENODATA;
	r = take_number(&s, end, &v);
	if (r == -ERANGE)
		return -ENODATA;
	if (r < 0 || *s != '\n')
		return -EBADMSG;
	*ret = (int64_t)v;
	return 0;
}
