/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leak.h - why a Python process grows, judged from what is known of it: a struct of figures in, any
 * of which may be absent, a verdict with its evidence and advice in plain words out. Pure: the
 * collector judges an hour of figures with it, 'memherd-agent inspect' what it saw at one moment or
 * two.
 *
 * What is known decides how sure it can be. Two censuses say which objects grew; the parts of the
 * heap at two moments say where; figures alone still tell files and shared memory from the heap,
 * and bound how many objects can have been kept: the collector starts generation 0 after
 * 'threshold0' more allocations than deallocations of objects that it tracks, so collections x
 * threshold0 - collected is the most that can have become more.
 */
#ifndef MEMHERD_PROTO_LEAK_H
#define MEMHERD_PROTO_LEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/trend.h"
#include "proto/census.h"
#include "proto/kill.h"

/* X(NAME, word, text): numbers are internal, words are REST's. */
#define LEAK_KIND_LIST(X)                                                            \
	X(UNKNOWN, unknown, "too little is known")                                   \
	X(NOT_GROWING, not_growing, "does not grow")                                 \
	X(OBJECTS, python_objects, "keeps more and more Python objects")             \
	X(GARBAGE, cycle_garbage, "gathers garbage in cycles that is not collected") \
	X(FRAGMENTATION, fragmentation, "holds memory that its objects do not use")  \
	X(NATIVE, native, "grows outside Python's objects")                          \
	X(CACHE, cache, "grows like a cache")                                        \
	X(UNCLEAR, unclear, "grows; what is not known")

enum leak_kind {
#define X(NAME, word, text) LEAK_##NAME,
	LEAK_KIND_LIST(X)
#undef X
		LEAK_KINDS
};

#define LEAK_ABSENT INT64_MIN

/* A type and how it changed from the base census to the one after it. */
struct leak_type {
	const char *name;
	int64_t count_growth;
	int64_t bytes_growth;
};
#define LEAK_TYPES 5

/* Bytes, counts, seconds; LEAK_ABSENT and NAN where a figure is not known. leak_evidence_init()
 * sets all of them so. */
struct leak_evidence {
	bool on_host; /* who reads the advice is at the host, with no collector */

	/* now */
	int64_t rss, anon, file, shmem, swap;
	int64_t limit;
	uint32_t version; /* PY_VERSION_HEX, 0 = not known */
	int64_t gc_enabled;
	int64_t threshold0;

	/* over span_s: growth is what a robust line gains in that time */
	double span_s;
	double rss_growth, anon_growth, file_growth, shmem_growth;
	double rss_r2;
	double late_share; /* slope of the later half by that of the earlier one */
	int64_t gc_collections[3];
	int64_t collected, uncollectable;

	/* the newest census and the parts of the heap, and those before it */
	int64_t objects, objects_bytes;
	int64_t parts[HEAP_PART_COUNT]; /* HEAP_ABSENT */
	double census_span_s;           /* to the base; NAN = there is none */
	int64_t base_objects, base_objects_bytes;
	int64_t base_parts[HEAP_PART_COUNT];
	struct leak_type types[LEAK_TYPES]; /* that grew, the most first */
	unsigned n_types;
	bool counts_are_exact; /* both censuses were of one moment */
};

#define LEAK_TEXT_SIZE 256
#define LEAK_LINES     10
#define LEAK_ADVICE    4

struct leak_verdict {
	enum leak_kind kind;
	enum kill_confidence confidence;
	char sentence[LEAK_TEXT_SIZE];
	char evidence[LEAK_LINES][LEAK_TEXT_SIZE];
	unsigned n_evidence;
	char advice[LEAK_ADVICE][LEAK_TEXT_SIZE];
	unsigned n_advice;
};

void leak_evidence_init(struct leak_evidence *e);

/* Samples that growth is taken from. */
enum leak_series { LEAK_OF_RSS, LEAK_OF_ANON, LEAK_OF_FILE, LEAK_OF_SHMEM, LEAK_SERIES };
/* What a robust line through the points (bytes; the oldest first, at most TREND_POINTS) gains; of
 * the RSS the time span and the shape too. Fewer than five say nothing. */
void leak_take_samples(struct leak_evidence *e, enum leak_series s, const struct trend_point *p,
		       size_t n);

/* The types of a census, the largest first: maybe not all of them. */
struct leak_count {
	const char *name;
	int64_t count;
	int64_t bytes;
};
struct leak_counts {
	const struct leak_count *rows;
	size_t n;
	size_t total;
};
/* Fills in the types that grew; their names point to where now's do. */
void leak_take_types(struct leak_evidence *e, const struct leak_counts *now,
		     const struct leak_counts *base);

void leak_judge(const struct leak_evidence *e, struct leak_verdict *ret);
/* Does the verdict say that memory is lost? Not for what is unclear, levels off or stands still. */
bool leak_is_leak(enum leak_kind kind);
const char *leak_kind_word(enum leak_kind kind);
const char *leak_kind_text(enum leak_kind kind);

#endif
