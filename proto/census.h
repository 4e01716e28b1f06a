/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census.h - the words of a census: how the objects of a Python process were counted, who wanted
 * it, and the parts that its memory is split into. Numbers go over the wire and into the database:
 * rows are added at the end, none is moved.
 */
#ifndef MEMHERD_PROTO_CENSUS_H
#define MEMHERD_PROTO_CENSUS_H

#include <stdint.h>

/* X(NAME, word, help) */
#define CENSUS_METHOD_LIST(X)                                                    \
	X(SNAPSHOT, snapshot, "of a copy-on-write snapshot: of one moment")      \
	X(STOPPED, stopped, "while all its threads were stopped: of one moment") \
	X(LIVE, live, "while it ran: counts may be off")

enum census_method {
#define X(NAME, word, help) CENSUS_METHOD_##NAME,
	CENSUS_METHOD_LIST(X)
#undef X
		CENSUS_METHOD_COUNT
};

#define CENSUS_REASON_LIST(X)                                   \
	X(ASKED, asked, "somebody asked for it")                \
	X(RULE, rule, "a rule asked for it")                    \
	X(SCHEDULE, schedule, "its process is under suspicion") \
	X(BY_HAND, by_hand, "asked for by hand on the host")

enum census_reason {
#define X(NAME, word, help) CENSUS_REASON_##NAME,
	CENSUS_REASON_LIST(X)
#undef X
		CENSUS_REASON_COUNT
};

/*
 * X(NAME, name, is_bytes, help): where the memory of a process is. The parts from 'objects' to
 * 'swap' overlap in places that their help names; 'rss' is the whole.
 */
#define HEAP_PART_LIST(X)                                                                   \
	X(RSS, rss, 1, "resident set size")                                                 \
	X(OBJECTS, objects, 1, "objects that the collector tracks, estimated; of a census") \
	X(PYMALLOC, pymalloc, 1, "resident arenas of Python's own allocator")               \
	X(PYMALLOC_FREE, pymalloc_free, 1, "free blocks and pools within them")             \
	X(MALLOC, malloc, 1, "resident memory of the C library's heap and arenas")          \
	X(MALLOC_FREE, malloc_free, 1, "free chunks within them")                           \
	X(NATIVE, native, 1, "other anonymous memory: buffers mapped by extensions")        \
	X(STACKS, stacks, 1, "resident stacks of its threads")                              \
	X(FILE, file, 1, "resident file mappings")                                          \
	X(SHMEM, shmem, 1, "resident shared memory")                                        \
	X(PAGE_TABLES, page_tables, 1, "page tables, beside the RSS")                       \
	X(SWAP, swap, 1, "in swap, beside the RSS")                                         \
	X(ARENAS, arenas, 0, "arenas of the C library's malloc")                            \
	X(TRIM_GAIN, trim_gain, 1, "what malloc_trim would give back, predicted")

enum heap_part {
#define X(NAME, name, is_bytes, help) HEAP_PART_##NAME,
	HEAP_PART_LIST(X)
#undef X
		HEAP_PART_COUNT
};

#define HEAP_ABSENT INT64_MIN

/* The word; NULL for a number that is none. */
const char *census_method_word(unsigned method);
const char *census_method_help(unsigned method);
const char *census_reason_word(unsigned reason);
const char *heap_part_name(unsigned part);
const char *heap_part_help(unsigned part);
/* The method of that word, or -1. */
int census_method_find(const char *word);

#endif
