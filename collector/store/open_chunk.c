/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/open_chunk.h"

#include <errno.h>
#include <string.h>

#define LOG_FIRST  256 /* bytes at first; doubles */
#define VARINT_MAX 10
#define SAMPLE_MAX ((2 + OPEN_CHUNK_COLUMNS) * VARINT_MAX)

_Static_assert(OPEN_CHUNK_COLUMNS <= 64, "a log's bitmap has 64 bits");

/* Nothing is added yet, or no longer. */
static void begin(struct open_chunk *c)
{
	c->n = 0;
	c->len = 0;
	c->last_ms = 0;
	running_figures_init(&c->run);
	for (unsigned k = 0; k < c->columns; k++)
		c->v[k] = METRIC_ABSENT;
}

struct open_chunk *open_chunk_new(int64_t t0_us, const struct chunk_spec *spec, bool figured)
{
	struct open_chunk *c = calloc(1, sizeof(*c) + spec->n_columns * sizeof(c->v[0]));

	if (!c)
		return NULL;
	c->t0_us = t0_us;
	c->columns = spec->n_columns;
	c->figured = figured;
	begin(c);
	return c;
}

void open_chunk_free(struct open_chunk **slot)
{
	struct open_chunk *c = take_ptr(*slot);

	if (c)
		free(c->log);
	free(c);
}

size_t open_chunk_bytes(const struct open_chunk *c)
{
	return sizeof(*c) + c->columns * sizeof(c->v[0]) + c->cap;
}

/* ---- writing ---- */

static int need(struct open_chunk *c, size_t n)
{
	uint32_t cap = c->cap ? c->cap : LOG_FIRST;
	uint8_t *p;

	while (cap < c->len + n)
		cap *= 2;
	if (cap == c->cap)
		return 0;
	p = realloc(c->log, cap);
	if (!p)
		return -ENOMEM;
	c->log = p;
	c->cap = cap;
	return 0;
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

static uint64_t zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static uint64_t word_of(int64_t now, int64_t before)
{
	if (now == METRIC_ABSENT)
		return 0;
	/* appearing at 0 is a difference of 0, which says 'absent': told as 1 more */
	if (before == METRIC_ABSENT)
		return zigzag(now) + 1;
	return zigzag((int64_t)((uint64_t)now - (uint64_t)before));
}

/* A bit for each column that differs. */
static uint64_t changes(const int64_t *v, const int64_t *before, unsigned columns)
{
	uint64_t changed = 0;

	for (unsigned k = 0; k < columns; k++)
		changed |= (uint64_t)(v[k] != before[k]) << k;
	return changed;
}

int open_chunk_add(struct open_chunk *c, int64_t ms, const int64_t *v)
{
	uint64_t changed = changes(v, c->v, c->columns);
	uint8_t bytes[SAMPLE_MAX];
	uint8_t *p = put_varint(bytes, zigzag(ms - c->last_ms));
	int rc;

	p = put_varint(p, changed);
	for (uint64_t left = changed; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);

		p = put_varint(p, word_of(v[k], c->v[k]));
	}
	rc = need(c, (size_t)(p - bytes));
	if (rc < 0)
		return rc;
	memcpy(c->log + c->len, bytes, (size_t)(p - bytes));
	c->len += (uint32_t)(p - bytes);
	if (c->figured)
		running_figures_add(&c->run, ms, c->n ? c->v : NULL, v);
	for (uint64_t left = changed; left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);

		c->v[k] = v[k];
	}
	c->last_ms = ms;
	c->n++;
	return 0;
}

int open_chunk_cut(struct open_chunk *c, int64_t ms)
{
	struct open_chunk old = *c;
	struct open_reader r;
	uint8_t *log;
	int rc = 0;

	if (!c->n || c->last_ms < ms)
		return 0;
	log = malloc(c->cap); /* as much as there was: adding finds room */
	if (!log)
		return -ENOMEM;
	open_reader_init(&r, &old);
	c->log = log;
	begin(c);
	while (rc == 0 && open_reader_next(&r) && r.ms < ms)
		rc = open_chunk_add(c, r.ms, r.v);
	free(old.log);
	return rc;
}

/* ---- reading ---- */

static int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static int64_t value_of(uint64_t word, int64_t before)
{
	if (before == METRIC_ABSENT)
		return unzigzag(word - 1);
	if (word == 0)
		return METRIC_ABSENT;
	return (int64_t)((uint64_t)before + (uint64_t)unzigzag(word));
}

void open_reader_init(struct open_reader *r, const struct open_chunk *c)
{
	r->c = cursor_of(c->log, c->len);
	r->columns = c->columns;
	r->ms = 0;
	for (unsigned k = 0; k < c->columns; k++)
		r->v[k] = METRIC_ABSENT;
}

bool open_reader_next(struct open_reader *r)
{
	if (cursor_left(&r->c) == 0)
		return false;
	r->ms += cursor_zigzag(&r->c);
	for (uint64_t left = cursor_varint(&r->c); left; left &= left - 1) {
		unsigned k = (unsigned)__builtin_ctzll(left);

		r->v[k] = value_of(cursor_varint(&r->c), r->v[k]);
	}
	return true;
}

/* ---- encoding ---- */

/* What encoding needs of a column: its values so far, and where the last of them began. */
struct column {
	int64_t *values;
	int64_t now;
	size_t since;
};

static void fill(struct column *col, size_t to)
{
	for (size_t i = col->since; i < to; i++)
		col->values[i] = col->now;
	col->since = to;
}

/* Columns of n values; most stand still: those are told in ret_still, and only their first value is
 * there. */
static void make_columns(const struct open_chunk *c, const struct chunk_spec *spec, int64_t *times,
			 int64_t *values, uint64_t *ret_still)
{
	struct column columns[OPEN_CHUNK_COLUMNS];
	struct cursor log = cursor_of(c->log, c->len);
	uint64_t moved = 0;
	int64_t ms = 0;

	for (unsigned k = 0; k < c->columns; k++)
		columns[k] = (struct column){values + (size_t)k * c->n, METRIC_ABSENT, 0};
	for (size_t i = 0; i < c->n; i++) {
		uint64_t changed;

		times[i] = ms += cursor_zigzag(&log);
		changed = cursor_varint(&log);
		moved |= i ? changed : 0;
		for (; changed; changed &= changed - 1) {
			struct column *col = &columns[__builtin_ctzll(changed)];

			fill(col, i);
			col->now = value_of(cursor_varint(&log), col->now);
		}
	}
	*ret_still = chunk_still(spec, ~moved);
	for (unsigned k = 0; k < c->columns; k++)
		fill(&columns[k], *ret_still & UINT64_C(1) << k ? 1 : c->n);
}

int open_chunk_encode(const struct open_chunk *c, const struct chunk_spec *spec, struct buf *out)
{
	auto_free int64_t *times = malloc((size_t)c->n * (c->columns + 1) * sizeof(*times));
	uint64_t still;

	if (!times)
		return -ENOMEM;
	make_columns(c, spec, times, times + c->n, &still);
	return chunk_encode_still(spec, c->n, times, times + c->n, still, out);
}
