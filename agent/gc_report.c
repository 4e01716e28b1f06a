/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gc_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/json.h"
#include "common/str.h"

#define JSON_MAX ((size_t)128 << 20) /* PAUSES_KEPT_MAX lines of some 150 bytes, and room */

static const char *const method_words[GC_METHODS] = {
#define X(NAME, word) #word,
	GC_METHOD_LIST(X)
#undef X
};

static const char *const row_names[PAUSE_ROWS] = {"0", "1", "2", "unknown", "all"};

const char *gc_method_word(enum gc_method m)
{
	return method_words[m];
}

void gc_note(struct gc_report *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (r->n_notes < GC_NOTES_MAX)
		vsnprintf(r->notes[r->n_notes++], sizeof(r->notes[0]), fmt, ap);
	va_end(ap);
}

static bool has_pauses(const struct gc_report *r)
{
	return r->method != GC_COUNTERS;
}

static int64_t wall_us(const struct gc_report *r, int64_t monotonic_ns)
{
	return (monotonic_ns + r->wall_minus_monotonic_ns) / 1000;
}

/* Percent of the time that was watched. */
static double share(const struct gc_report *r, int64_t ns)
{
	return r->seconds_ns > 0 ? 100.0 * (double)ns / (double)r->seconds_ns : 0;
}

/* ---- the table ---- */

#define PAUSE_TEXT 16

/* Microseconds below a millisecond, else milliseconds: a pause is compared with a request's time.
 */
static const char *text_of(char out[PAUSE_TEXT], int64_t ns)
{
	if (ns < 1000000)
		snprintf(out, PAUSE_TEXT, "%.1f us", (double)ns / 1e3);
	else if (ns < 10000000000)
		snprintf(out, PAUSE_TEXT, "%.2f ms", (double)ns / 1e6);
	else
		snprintf(out, PAUSE_TEXT, "%.2f s", (double)ns / 1e9);
	return out;
}

static void print_collected(int64_t collected)
{
	if (collected < 0)
		printf("  %11s", "unknown");
	else
		printf("  %11" PRId64, collected);
}

static void print_row(const struct gc_report *r, unsigned row)
{
	const struct pause_summary *s = &r->rows[row];
	const int64_t figures[] = {s->total_ns, s->mean_ns, s->p50_ns, s->p99_ns, s->max_ns};
	char text[PAUSE_TEXT];

	printf("%-10s  %9" PRIu64, row_names[row], s->count);
	for (size_t i = 0; has_pauses(r) && i < ARRAY_SIZE(figures); i++)
		printf("  %10s", s->timed ? text_of(text, figures[i]) : "-");
	if (has_pauses(r))
		printf("  %6.2f %%", share(r, s->total_ns));
	print_collected(s->collected);
	putchar('\n');
}

static void print_table(const struct gc_report *r)
{
	printf("%-10s  %9s", "generation", "count");
	if (has_pauses(r))
		printf("  %10s  %10s  %10s  %10s  %10s  %8s", "total", "mean", "p50", "p99", "max",
		       "of time");
	printf("  %11s\n", "collected");
	for (unsigned row = 0; row < PAUSE_ROWS; row++)
		if (row != PAUSE_ROW_UNKNOWN || r->rows[row].count)
			print_row(r, row);
}

static void print_longest(const struct gc_report *r)
{
	size_t places[GC_LONGEST];
	size_t n = pause_longest(r->pauses, r->n, places, GC_LONGEST);

	if (!n)
		return;
	printf("\nlongest\n%-24s  %10s  %10s  %11s  %s\n", "started", "pause", "generation",
	       "collected", "thread");
	for (size_t i = 0; i < n; i++) {
		const struct pause *p = &r->pauses[places[i]];
		char started[STR_TIME_SIZE];
		char text[PAUSE_TEXT];

		printf("%-24s  %10s  %10s", str_time(started, wall_us(r, p->start_ns)),
		       text_of(text, p->duration_ns),
		       row_names[p->generation < 0 ? PAUSE_ROW_UNKNOWN : p->generation]);
		print_collected(p->collected);
		if (p->tid > 0)
			printf("  %d", p->tid);
		putchar('\n');
	}
}

void gc_report_human(const struct gc_report *r)
{
	char started[STR_TIME_SIZE];

	printf("process %u (%s), CPython%s%s, by %s; %.1f s from %s\n\n", r->pid, r->comm,
	       *r->version ? " " : "", r->version, gc_method_word(r->method),
	       (double)r->seconds_ns / 1e9, str_time(started, wall_us(r, r->start_ns)));
	print_table(r);
	print_longest(r);
	for (size_t i = 0; i < r->n_notes; i++)
		printf("%s%s\n", i ? "" : "\n", r->notes[i]);
}

/* ---- JSON ---- */

static void put_known(struct json_writer *w, const char *key, int64_t v)
{
	if (v < 0)
		jw_k_null(w, key);
	else
		jw_k_int(w, key, v);
}

static void put_us(struct json_writer *w, const char *key, int64_t ns)
{
	if (ns < 0)
		jw_k_null(w, key);
	else
		jw_k_num(w, key, (double)ns / 1e3);
}

static void put_pause(struct json_writer *w, const struct gc_report *r, const struct pause *p)
{
	jw_object(w);
	jw_k_int(w, "start_wall_us", wall_us(r, p->start_ns));
	jw_k_int(w, "start_monotonic_us", p->start_ns / 1000);
	put_us(w, "duration_us", p->duration_ns);
	put_known(w, "generation", p->generation);
	put_known(w, "collected", p->collected);
	put_known(w, "thread", p->tid > 0 ? p->tid : -1);
	jw_object_end(w);
}

static void put_row(struct json_writer *w, const struct gc_report *r, unsigned row)
{
	const struct pause_summary *s = &r->rows[row];
	bool timed = has_pauses(r) && (s->timed || !s->count);

	jw_object(w);
	if (row < PAUSE_GENERATIONS)
		jw_k_int(w, "generation", row);
	else if (row == PAUSE_ROW_UNKNOWN)
		jw_k_null(w, "generation");
	jw_k_int(w, "count", (int64_t)s->count);
	jw_k_int(w, "timed", (int64_t)s->timed);
	put_us(w, "total_us", timed ? s->total_ns : -1);
	put_us(w, "mean_us", s->timed ? s->mean_ns : -1);
	put_us(w, "p50_us", s->timed ? s->p50_ns : -1);
	put_us(w, "p99_us", s->timed ? s->p99_ns : -1);
	put_us(w, "max_us", s->timed ? s->max_ns : -1);
	if (timed)
		jw_k_num(w, "share_percent", share(r, s->total_ns));
	else
		jw_k_null(w, "share_percent");
	put_known(w, "collected", s->collected);
	jw_object_end(w);
}

static void put_head(struct json_writer *w, const struct gc_report *r)
{
	jw_k_int(w, "pid", r->pid);
	jw_k_str(w, "comm", r->comm);
	jw_k_str(w, "version", *r->version ? r->version : NULL);
	jw_k_str(w, "file", r->file);
	jw_k_str(w, "method", gc_method_word(r->method));
	jw_k_time(w, "start_time", wall_us(r, r->start_ns));
	jw_k_num(w, "seconds", (double)r->seconds_ns / 1e9);
	jw_k_str(w, "ended", r->ended);
	if (r->rate_before < 0)
		jw_k_null(w, "collections_per_second_before");
	else
		jw_k_num(w, "collections_per_second_before", r->rate_before);
	if (r->cost_percent < 0)
		jw_k_null(w, "cost_percent_at_most");
	else
		jw_k_num(w, "cost_percent_at_most", r->cost_percent);
	jw_k_int(w, "lost_records", (int64_t)r->lost);
	jw_k_int(w, "not_kept", (int64_t)r->not_kept);
}

static void put_body(struct json_writer *w, const struct gc_report *r)
{
	jw_key(w, "generations");
	jw_array(w);
	for (unsigned row = 0; row < PAUSE_ROW_ALL; row++)
		if (row != PAUSE_ROW_UNKNOWN || r->rows[row].count)
			put_row(w, r, row);
	jw_array_end(w);
	jw_key(w, "all");
	put_row(w, r, PAUSE_ROW_ALL);
	jw_key(w, "pauses");
	jw_array(w);
	for (size_t i = 0; i < r->n; i++)
		put_pause(w, r, &r->pauses[i]);
	jw_array_end(w);
	jw_key(w, "notes");
	jw_array(w);
	for (size_t i = 0; i < r->n_notes; i++)
		jw_str(w, r->notes[i]);
	jw_array_end(w);
}

int gc_report_json(const struct gc_report *r)
{
	auto_buf struct buf out = BUF_INIT(JSON_MAX);
	struct json_writer w;

	jw_init(&w, &out);
	jw_object(&w);
	put_head(&w, r);
	put_body(&w, r);
	jw_object_end(&w);
	buf_putc(&out, '\n');
	if (buf_status(&out) < 0)
		return -ENOMEM;
	fwrite(out.data, 1, out.len, stdout);
	return 0;
}
