/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/leak.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/str.h"

/* Growth that is worth a word: in bytes, as a share of the whole, and as a line. */
#define GROWTH_MIN   (4.0 * 1024 * 1024)
#define GROWTH_SHARE 0.02
#define GROWTH_R2    0.3
#define SPAN_SURE_S  (30 * 60.0)
/* Of the growth: it is that; it is not that. */
#define MOST   0.5
#define LITTLE 0.2
#define FILES  0.6
/* Slope of the later half, below which growth has levelled off. */
#define LATE_SHARE 0.25
/* Free memory that is worth a word: in bytes, and of the RSS. */
#define FREE_MIN   (64LL * 1024 * 1024)
#define FREE_SHARE 0.3
/* Bytes an object: more cannot be objects alone, so many may well be. */
#define OBJECT_TOO_LARGE (64 * 1024.0)
#define OBJECT_USUAL     4096.0
#define COUNT_SHARE      0.05 /* more objects than before, of those before */
#define QUIET_GEN2_S     (60 * 60.0)
#define USEC             1e6

static const struct {
	const char *word;
	const char *text;
} kinds[] = {
#define X(NAME, word, text) {#word, text},
	LEAK_KIND_LIST(X)
#undef X
};

const char *leak_kind_word(enum leak_kind kind)
{
	return kinds[kind].word;
}

const char *leak_kind_text(enum leak_kind kind)
{
	return kinds[kind].text;
}

bool leak_is_leak(enum leak_kind kind)
{
	return kind == LEAK_OBJECTS || kind == LEAK_GARBAGE || kind == LEAK_NATIVE;
}

/* ---- words ---- */

static void printf_like(2, 3) say(struct leak_verdict *v, const char *fmt, ...)
{
	va_list ap;

	if (v->n_evidence == LEAK_LINES)
		return;
	va_start(ap, fmt);
	vsnprintf(v->evidence[v->n_evidence++], LEAK_TEXT_SIZE, fmt, ap);
	va_end(ap);
}

static void advise(struct leak_verdict *v, const char *text)
{
	if (v->n_advice < LEAK_ADVICE)
		(void)str_copy(v->advice[v->n_advice++], LEAK_TEXT_SIZE, text);
}

static void settle(struct leak_verdict *v, enum leak_kind kind, enum kill_confidence confidence)
{
	v->kind = kind;
	v->confidence = confidence;
}

/* What agents claim may be more than there is a number for. */
static int64_t whole(double v)
{
	return isnan(v) ? 0 : (int64_t)MIN_OF(MAX_OF(v, -9e18), 9e18);
}

/* '+12 MiB' or '-3 MiB'. */
static const char *change(char out[STR_UNIT_SIZE + 1], double bytes)
{
	char text[STR_UNIT_SIZE];

	snprintf(out, STR_UNIT_SIZE + 1, "%s%s", bytes < 0 ? "" : "+",
		 str_bytes(text, whole(bytes)));
	return out;
}

static const char *span(char out[STR_UNIT_SIZE], double seconds)
{
	return str_duration(out, whole(seconds * USEC));
}

/* ---- figures ---- */

static bool known(int64_t v)
{
	return v != LEAK_ABSENT;
}

static double part_growth(const struct leak_evidence *e, enum heap_part p)
{
	return e->parts[p] == HEAP_ABSENT || e->base_parts[p] == HEAP_ABSENT
		       ? NAN
		       : (double)(e->parts[p] - e->base_parts[p]);
}

/* What of an allocator's memory holds something: its growth, NAN when a part of it is not known. */
static double used_growth(const struct leak_evidence *e, enum heap_part all, enum heap_part free)
{
	return part_growth(e, all) - part_growth(e, free);
}

static bool has_base(const struct leak_evidence *e)
{
	return known(e->objects_bytes) && known(e->base_objects_bytes) && e->census_span_s > 0;
}

/* Growth of the process over the time between the censuses: as they saw it, else by its line. */
static double growth_between(const struct leak_evidence *e)
{
	double rss = part_growth(e, HEAP_PART_RSS);
	double line = isnan(e->anon_growth) ? e->rss_growth : e->anon_growth;

	return isnan(rss) ? line / e->span_s * e->census_span_s : rss;
}

static int64_t free_bytes(const struct leak_evidence *e)
{
	int64_t of_malloc = e->parts[HEAP_PART_MALLOC_FREE];
	int64_t of_python = e->parts[HEAP_PART_PYMALLOC_FREE];

	return (of_malloc == HEAP_ABSENT ? 0 : of_malloc) +
	       (of_python == HEAP_ABSENT ? 0 : of_python);
}

static double free_growth(const struct leak_evidence *e)
{
	double of_malloc = part_growth(e, HEAP_PART_MALLOC_FREE);
	double of_python = part_growth(e, HEAP_PART_PYMALLOC_FREE);

	if (isnan(of_malloc))
		return of_python;
	return isnan(of_python) ? of_malloc : of_malloc + of_python;
}

static bool is_growth(double bytes, int64_t of)
{
	return bytes >= MAX_OF(GROWTH_MIN, known(of) ? GROWTH_SHARE * (double)of : 0);
}

static bool is_growing(const struct leak_evidence *e)
{
	if (!isnan(e->rss_growth))
		return is_growth(e->rss_growth, e->rss) && !(e->rss_r2 < GROWTH_R2);
	return has_base(e) && is_growth(growth_between(e), e->rss);
}

/* ---- what the figures say, a line each ---- */

static void tell_growth(const struct leak_evidence *e, struct leak_verdict *v)
{
	char amount[STR_UNIT_SIZE + 1];
	char per_hour[STR_UNIT_SIZE + 1];
	char time[STR_UNIT_SIZE];

	if (isnan(e->rss_growth))
		return;
	say(v, "RSS %s in %s (%s/h, r2 %.2f)", change(amount, e->rss_growth), span(time, e->span_s),
	    change(per_hour, e->rss_growth / e->span_s * 3600), isnan(e->rss_r2) ? 0 : e->rss_r2);
	if (!isnan(e->anon_growth) && !isnan(e->file_growth) && !isnan(e->shmem_growth)) {
		char file[STR_UNIT_SIZE + 1];
		char shmem[STR_UNIT_SIZE + 1];

		say(v, "of it anonymous %s, file mappings %s, shared memory %s",
		    change(amount, e->anon_growth), change(file, e->file_growth),
		    change(shmem, e->shmem_growth));
	}
}

static void tell_census(const struct leak_evidence *e, struct leak_verdict *v)
{
	char size[STR_UNIT_SIZE + 1];
	char time[STR_UNIT_SIZE];

	if (!known(e->objects_bytes))
		return;
	if (!has_base(e)) {
		say(v, "a census counted %lld objects of %s", (long long)e->objects,
		    str_bytes(size, e->objects_bytes));
		return;
	}
	say(v, "two censuses %s apart: objects %+lld, %s", span(time, e->census_span_s),
	    (long long)(e->objects - e->base_objects),
	    change(size, (double)(e->objects_bytes - e->base_objects_bytes)));
	for (unsigned i = 0; i < MIN_OF(e->n_types, 3u); i++)
		say(v, "%.160s: %+lld, %s", e->types[i].name, (long long)e->types[i].count_growth,
		    change(size, (double)e->types[i].bytes_growth));
}

static void tell_free(const struct leak_evidence *e, struct leak_verdict *v)
{
	char size[STR_UNIT_SIZE];
	char gain[STR_UNIT_SIZE];

	if (free_bytes(e) < FREE_MIN)
		return;
	if (e->parts[HEAP_PART_TRIM_GAIN] == HEAP_ABSENT)
		say(v, "%s of its heap is free", str_bytes(size, free_bytes(e)));
	else
		say(v, "%s of its heap is free; a trim would give back about %s",
		    str_bytes(size, free_bytes(e)),
		    str_bytes(gain, MAX_OF(e->parts[HEAP_PART_TRIM_GAIN], 0)));
}

/* ---- the collector ---- */

static bool incremental(uint32_t version)
{
	return version >= 0x030e0000 && version < 0x030e0500;
}

/* The most objects that can have become more, or a negative number when that is not known. */
static double kept_at_most(const struct leak_evidence *e)
{
	double kept;

	if (e->gc_enabled != 1 || !known(e->threshold0) || e->threshold0 <= 0 ||
	    !known(e->gc_collections[0]) || !known(e->collected) || incremental(e->version))
		return -1;
	/* Older generations' collections stand for one of the youngest each. */
	kept = (double)e->gc_collections[0];
	for (int g = 1; g < 3; g++)
		kept += known(e->gc_collections[g]) ? (double)e->gc_collections[g] : 0;
	kept = (kept + 1) * (double)e->threshold0 - (double)e->collected;
	return MAX_OF(kept, (double)e->threshold0);
}

static void tell_collector(const struct leak_evidence *e, struct leak_verdict *v)
{
	if (e->gc_enabled == 0)
		say(v, "automatic collection is turned off: cycles are never freed");
	else if (e->threshold0 == 0)
		say(v, "the threshold is 0: cycles are never freed");
	if (known(e->uncollectable) && e->uncollectable > 0)
		say(v, "%lld objects could not be collected", (long long)e->uncollectable);
	if (known(e->gc_collections[2]) && e->gc_collections[2] == 0 && e->span_s >= QUIET_GEN2_S &&
	    e->gc_collections[1] > 0)
		say(v, "generation 2 was not collected in that time: old garbage stays");
}

static bool collector_is_off(const struct leak_evidence *e)
{
	return e->gc_enabled == 0 || e->threshold0 == 0;
}

/* ---- verdicts: each true when it is the one ---- */

static bool is_fragmented(const struct leak_evidence *e, struct leak_verdict *v)
{
	int64_t rss = e->parts[HEAP_PART_RSS] == HEAP_ABSENT ? e->rss : e->parts[HEAP_PART_RSS];
	double grown = has_base(e) ? growth_between(e) : NAN;
	bool explains = !isnan(grown) && free_growth(e) >= MOST * MAX_OF(grown, GROWTH_MIN);

	if (!known(rss) || free_bytes(e) < FREE_MIN ||
	    (double)free_bytes(e) < FREE_SHARE * (double)rss)
		return false;
	/* Growth that is not of what is free has another reason. */
	if (is_growing(e) && has_base(e) && !explains)
		return false;
	settle(v, LEAK_FRAGMENTATION, explains ? KILL_CONFIDENCE_CERTAIN : KILL_CONFIDENCE_LIKELY);
	advise(v, e->on_host ? "trim it: memherd-actd trim PID gives back what the C library keeps"
			     : "trim it: memherd trim TARGET gives back what the C library keeps");
	advise(v, "for good: MALLOC_ARENA_MAX=2 or MALLOC_TRIM_THRESHOLD_ in its environment");
	return true;
}

static bool is_quiet(const struct leak_evidence *e, struct leak_verdict *v)
{
	if (is_growing(e))
		return false;
	if (isnan(e->rss_growth) && !has_base(e))
		settle(v, LEAK_UNKNOWN, KILL_CONFIDENCE_GUESS);
	else
		settle(v, LEAK_NOT_GROWING,
		       e->span_s >= SPAN_SURE_S ? KILL_CONFIDENCE_LIKELY : KILL_CONFIDENCE_GUESS);
	return true;
}

static bool is_file(const struct leak_evidence *e, struct leak_verdict *v)
{
	double files = e->file_growth + e->shmem_growth;

	if (isnan(files) || files < FILES * e->rss_growth)
		return false;
	settle(v, LEAK_CACHE, KILL_CONFIDENCE_LIKELY);
	if (e->shmem_growth > e->file_growth)
		advise(v, "look at what it writes to tmpfs (/dev/shm, /tmp) or shares");
	else
		advise(v, "file mappings can be reclaimed when memory is short; see what it maps");
	return true;
}

static bool levels_off(const struct leak_evidence *e, struct leak_verdict *v)
{
	if (isnan(e->late_share) || e->late_share >= LATE_SHARE || e->span_s < SPAN_SURE_S / 2)
		return false;
	say(v, "the later half grew at %.0f %% of the pace of the earlier one",
	    MAX_OF(e->late_share, 0) * 100);
	settle(v, LEAK_CACHE,
	       e->span_s >= SPAN_SURE_S ? KILL_CONFIDENCE_LIKELY : KILL_CONFIDENCE_GUESS);
	advise(v, "if it grows on: bound its caches");
	return true;
}

static bool objects_grew(const struct leak_evidence *e)
{
	return has_base(e) && (double)(e->objects_bytes - e->base_objects_bytes) >=
				      LITTLE * MAX_OF(growth_between(e), GROWTH_MIN);
}

static bool is_garbage(const struct leak_evidence *e, struct leak_verdict *v)
{
	bool uncollectable = known(e->uncollectable) && e->uncollectable > 0;
	bool untouched = has_base(e) && !objects_grew(e);

	if ((!collector_is_off(e) && !uncollectable) || untouched)
		return false;
	settle(v, LEAK_GARBAGE,
	       objects_grew(e) || uncollectable ? KILL_CONFIDENCE_LIKELY : KILL_CONFIDENCE_GUESS);
	if (collector_is_off(e))
		advise(v, "turn collection on again (gc.enable()), or call gc.collect() at quiet "
			  "times");
	else
		advise(v, "look at gc.garbage: an extension type or a legacy finalizer holds them");
	return true;
}

static void advise_objects(struct leak_verdict *v)
{
	advise(v, "see who holds the growing types: caches without a bound, lists that only grow");
}

static void advise_native(struct leak_verdict *v)
{
	advise(v, "look at extensions and large buffers: bytes, arrays, images, data frames");
	advise(v,
	       "a heap profiler that sees native allocations (memray --native) names the caller");
}

/* Two censuses: the growth is of the objects, or it is not. */
static bool by_censuses(const struct leak_evidence *e, struct leak_verdict *v)
{
	double grown = growth_between(e);
	double objects = (double)(e->objects_bytes - e->base_objects_bytes);
	double python = used_growth(e, HEAP_PART_PYMALLOC, HEAP_PART_PYMALLOC_FREE);
	double native = used_growth(e, HEAP_PART_MALLOC, HEAP_PART_MALLOC_FREE) +
			part_growth(e, HEAP_PART_NATIVE);
	bool more = (double)(e->objects - e->base_objects) >
		    COUNT_SHARE * (double)MAX_OF(e->base_objects, INT64_C(1));
	char size[STR_UNIT_SIZE + 1];

	if (!has_base(e) || !(grown >= GROWTH_MIN))
		return false;
	if (objects >= MOST * grown) {
		settle(v, LEAK_OBJECTS,
		       e->counts_are_exact && e->n_types ? KILL_CONFIDENCE_CERTAIN
							 : KILL_CONFIDENCE_LIKELY);
		advise_objects(v);
		return true;
	}
	if (python >= MOST * grown || (more && objects >= LITTLE * grown)) {
		if (python >= MOST * grown)
			say(v, "Python's small objects took %s", change(size, python));
		settle(v, LEAK_OBJECTS, KILL_CONFIDENCE_LIKELY);
		advise_objects(v);
		return true;
	}
	if (objects >= LITTLE * grown || python >= LITTLE * grown)
		return false;
	if (!isnan(native))
		say(v, "buffers and the C library's heap took %s", change(size, native));
	settle(v, LEAK_NATIVE,
	       native >= MOST * grown && e->counts_are_exact ? KILL_CONFIDENCE_CERTAIN
							     : KILL_CONFIDENCE_LIKELY);
	advise_native(v);
	return true;
}

/* Without two censuses: how large would an object have to be? */
static void by_figures(const struct leak_evidence *e, struct leak_verdict *v)
{
	double grown = isnan(e->anon_growth) ? e->rss_growth : e->anon_growth;
	double kept = kept_at_most(e);
	char each[STR_UNIT_SIZE];

	settle(v, LEAK_UNCLEAR, KILL_CONFIDENCE_GUESS);
	if (kept > 0 && !isnan(grown)) {
		say(v, "at most %.0f objects more are kept, going by the collector: %s each", kept,
		    str_bytes(each, whole(grown / kept)));
		if (grown / kept >= OBJECT_TOO_LARGE)
			v->kind = LEAK_NATIVE;
		else if (grown / kept <= OBJECT_USUAL)
			v->kind = LEAK_OBJECTS;
	}
	if (v->kind == LEAK_NATIVE)
		advise_native(v);
	if (e->on_host)
		advise(v,
		       "count its objects between: memherd-agent inspect PID --seconds N --census");
	else
		advise(v,
		       known(e->objects)
			       ? "take another census: memherd census TARGET --now"
			       : "take two censuses some time apart: memherd census TARGET --now");
}

static void put_sentence(const struct leak_evidence *e, struct leak_verdict *v)
{
	char pace[STR_UNIT_SIZE + 8] = "";
	char size[STR_UNIT_SIZE + 1];
	char amount[STR_UNIT_SIZE];
	const struct leak_type *t = e->types;
	bool named = e->n_types && has_base(e) && is_growing(e) && v->kind != LEAK_NATIVE;

	if (is_growing(e) && !isnan(e->rss_growth))
		snprintf(pace, sizeof(pace), ", %s/h",
			 str_bytes(amount, whole(e->rss_growth / e->span_s * 3600)));
	if (named)
		snprintf(v->sentence, sizeof(v->sentence), "%s%s; most of it %.120s (%+lld, %s)",
			 kinds[v->kind].text, pace, t->name, (long long)t->count_growth,
			 change(size, (double)t->bytes_growth));
	else if (v->kind == LEAK_FRAGMENTATION)
		snprintf(v->sentence, sizeof(v->sentence), "%s: %s of its heap is free%s",
			 kinds[v->kind].text, str_bytes(amount, free_bytes(e)),
			 is_growing(e) ? ", and more and more" : "");
	else
		snprintf(v->sentence, sizeof(v->sentence), "%s%s", kinds[v->kind].text, pace);
}

void leak_judge(const struct leak_evidence *e, struct leak_verdict *ret)
{
	*ret = (struct leak_verdict){.kind = LEAK_UNKNOWN};
	tell_growth(e, ret);
	tell_census(e, ret);
	tell_free(e, ret);
	tell_collector(e, ret);
	if (!is_fragmented(e, ret) && !is_quiet(e, ret) && !is_file(e, ret) &&
	    !levels_off(e, ret) && !is_garbage(e, ret) && !by_censuses(e, ret))
		by_figures(e, ret);
	put_sentence(e, ret);
}
