/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/str.h"

void jw_init(struct json_writer *w, struct buf *out)
{
	*w = (struct json_writer){.out = out};
}

/* What stands before any value: nothing after a key, else a comma from the second on. */
static void separate(struct json_writer *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->started & (UINT32_C(1) << w->depth))
		buf_putc(w->out, ',');
	w->started |= UINT32_C(1) << w->depth;
}

static void open_level(struct json_writer *w, char c)
{
	separate(w);
	buf_putc(w->out, c);
	assert(w->depth + 1 < JW_DEPTH_MAX);
	w->depth++;
	w->started &= ~(UINT32_C(1) << w->depth);
}

static void close_level(struct json_writer *w, char c)
{
	assert(w->depth > 0 && !w->after_key);
	w->depth--;
	buf_putc(w->out, c);
}

void jw_object(struct json_writer *w)
{
	open_level(w, '{');
}

void jw_object_end(struct json_writer *w)
{
	close_level(w, '}');
}

void jw_array(struct json_writer *w)
{
	open_level(w, '[');
}

void jw_array_end(struct json_writer *w)
{
	close_level(w, ']');
}

void jw_key(struct json_writer *w, const char *key)
{
	separate(w);
	buf_putc(w->out, '"');
	buf_puts(w->out, key);
	buf_put(w->out, "\":", 2);
	w->after_key = true;
}

static void word(struct json_writer *w, const char *s)
{
	separate(w);
	buf_puts(w->out, s);
}

void jw_null(struct json_writer *w)
{
	word(w, "null");
}

void jw_bool(struct json_writer *w, bool v)
{
	word(w, v ? "true" : "false");
}

/* Digits without stdio: lists and series are mostly numbers. */
static void put_int(struct buf *b, int64_t v)
{
	char text[24];
	char *p = text + sizeof(text);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--p = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		*--p = '-';
	buf_put(b, p, (size_t)(text + sizeof(text) - p));
}

void jw_int(struct json_writer *w, int64_t v)
{
	separate(w);
	put_int(w->out, v);
}

void jw_id(struct json_writer *w, int64_t v)
{
	separate(w);
	buf_putc(w->out, '"');
	put_int(w->out, v);
	buf_putc(w->out, '"');
}

void jw_num(struct json_writer *w, double v)
{
	/* whole numbers that a double holds exactly */
	if (v > -9e15 && v < 9e15 && v == (double)(int64_t)v) {
		jw_int(w, (int64_t)v);
		return;
	}
	separate(w);
	if (isfinite(v))
		buf_printf(w->out, "%.15g", v);
	else
		buf_puts(w->out, "null");
}

/* Length of the UTF-8 character at p (RFC 3629 table 3-7), or 0 when it is not one. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (n == 0 || p[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

static void put_escaped(struct buf *b, uint8_t c)
{
	if (c == '"' || c == '\\')
		buf_printf(b, "\\%c", c);
	else if (c == '\n')
		buf_puts(b, "\\n");
	else if (c == '\t')
		buf_puts(b, "\\t");
	else
		buf_printf(b, "\\u%04x", c);
}

void jw_strn(struct json_writer *w, const void *s, size_t len)
{
	const uint8_t *p = s;
	const uint8_t *end = p + len;

	separate(w);
	buf_putc(w->out, '"');
	while (p < end) {
		const uint8_t *run = p;
		size_t n;

		while (p < end && is_plain(*p))
			p++;
		if (p > run)
			buf_put(w->out, run, (size_t)(p - run));
		if (p == end)
			break;
		n = utf8_length(p, (size_t)(end - p));
		if (n == 0)
			buf_puts(w->out, "\\ufffd");
		else if (n == 1)
			put_escaped(w->out, *p);
		else
			buf_put(w->out, p, n);
		p += n ? n : 1;
	}
	buf_putc(w->out, '"');
}

void jw_str(struct json_writer *w, const char *s)
{
	if (s)
		jw_strn(w, s, strlen(s));
	else
		jw_null(w);
}

void jw_time(struct json_writer *w, int64_t wall_us)
{
	char text[STR_TIME_SIZE];

	if (wall_us)
		jw_str(w, str_time(text, wall_us));
	else
		jw_null(w);
}

void jw_raw(struct json_writer *w, const char *json)
{
	word(w, json && *json ? json : "null");
}

void jw_k_bool(struct json_writer *w, const char *key, bool v)
{
	jw_key(w, key);
	jw_bool(w, v);
}

void jw_k_int(struct json_writer *w, const char *key, int64_t v)
{
	jw_key(w, key);
	jw_int(w, v);
}

void jw_k_id(struct json_writer *w, const char *key, int64_t v)
{
	jw_key(w, key);
	jw_id(w, v);
}

void jw_k_num(struct json_writer *w, const char *key, double v)
{
	jw_key(w, key);
	jw_num(w, v);
}

void jw_k_str(struct json_writer *w, const char *key, const char *s)
{
	jw_key(w, key);
	jw_str(w, s);
}

void jw_k_time(struct json_writer *w, const char *key, int64_t wall_us)
{
	jw_key(w, key);
	jw_time(w, wall_us);
}

void jw_k_raw(struct json_writer *w, const char *key, const char *json)
{
	jw_key(w, key);
	jw_raw(w, json);
}

void jw_k_null(struct json_writer *w, const char *key)
{
	jw_key(w, key);
	jw_null(w);
}
