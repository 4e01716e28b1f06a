/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measured from the DWARF of each build and read back against the program's own gc module. The same
 * in every row: ob_refcnt 0, ob_type 8, ob_size 16; a PyGC_Head {next, prev} lies 16 bytes before
 * its object; tp_name 24, tp_basicsize 32, tp_itemsize 40, tp_flags 168, tp_dict 264.
 */
#include "agent/python/layout.h"

#include <stddef.h>

#define NONE LAYOUT_NONE

/* The collector of 3.8 to 3.13; only where the generations begin moved. */
#define GC_CLASSIC(at)                                                                   \
	{                                                                                \
		.enabled = 12, .generations = (at), .generation0 = 96, .permanent = 104, \
		.stats = 128, .collecting = 200, .long_lived_total = 224,                \
		.long_lived_pending = 232, .size = 240                                   \
	}

#define RUNTIME_313                                                                         \
	{                                                                                   \
		.main_thread = 656, .current = NONE, .initialized = 600, .finalizing = 608, \
		.interpreters_head = 632, .gc = NONE                                        \
	}
#define INTERPRETER_313                                                                     \
	{                                                                                   \
		.gil = 16, .next = 7264, .id = 7272, .runtime = 7376, .threads_head = 7344, \
		.gc = 7400, .obmalloc = 10800, .obmalloc_is_pointer = true                  \
	}
#define THREAD_313                                                   \
	{                                                            \
		.next = 8, .thread_id = 152, .native_thread_id = 160 \
	}
#define OBJECT_313                                                                   \
	{                                                                            \
		.tuple_items = 24, .new_keys = true, .heap_type_name = 856,          \
		.heap_type_module = 888, .managed_dict = true, .inline_values = true \
	}

#define RUNTIME_314                                                                         \
	{                                                                                   \
		.main_thread = 832, .current = NONE, .initialized = 776, .finalizing = 784, \
		.interpreters_head = 808, .gc = NONE                                        \
	}
#define INTERPRETER_314                                                                     \
	{                                                                                   \
		.gil = 16, .next = 7272, .id = 7280, .runtime = 7384, .threads_head = 7344, \
		.gc = 7408, .obmalloc = 10904, .obmalloc_is_pointer = true                  \
	}
#define OBJECT_314                                                                   \
	{                                                                            \
		.tuple_items = 32, .new_keys = true, .heap_type_name = 856,          \
		.heap_type_module = 888, .managed_dict = true, .inline_values = true \
	}

static const struct layout rows[] = {
	{.minor = 8,
	 .runtime = {.main_thread = 72,
		     .current = 1368,
		     .initialized = 12,
		     .finalizing = 16,
		     .interpreters_head = 32,
		     .gc = 344},
	 .interpreter = {.gil = NONE,
			 .next = 0,
			 .id = 16,
			 .runtime = NONE,
			 .threads_head = 8,
			 .gc = NONE,
			 .obmalloc = NONE},
	 .thread = {.next = 8, .thread_id = 176, .native_thread_id = NONE},
	 .gc = GC_CLASSIC(24),
	 .object = {.tuple_items = 24, .heap_type_name = 848, .heap_type_module = NONE}},
	{.minor = 9,
	 .runtime = {.main_thread = 72,
		     .current = 568,
		     .initialized = 12,
		     .finalizing = 16,
		     .interpreters_head = 32,
		     .gc = NONE},
	 .interpreter = {.gil = NONE,
			 .next = 0,
			 .id = 24,
			 .runtime = 16,
			 .threads_head = 8,
			 .gc = 616,
			 .obmalloc = NONE},
	 .thread = {.next = 8, .thread_id = 176, .native_thread_id = NONE},
	 .gc = GC_CLASSIC(24),
	 .object = {.tuple_items = 24, .heap_type_name = 840, .heap_type_module = 872}},
	{.minor = 10,
	 .runtime = {.main_thread = 72,
		     .current = 568,
		     .initialized = 12,
		     .finalizing = 16,
		     .interpreters_head = 32,
		     .gc = NONE},
	 .interpreter = {.gil = NONE,
			 .next = 0,
			 .id = 24,
			 .runtime = 16,
			 .threads_head = 8,
			 .gc = 616,
			 .obmalloc = NONE},
	 .thread = {.next = 8, .thread_id = 176, .native_thread_id = NONE},
	 .gc = GC_CLASSIC(24),
	 .object = {.tuple_items = 24, .heap_type_name = 848, .heap_type_module = 880}},
	{.minor = 11,
	 .runtime = {.main_thread = 80,
		     .current = 576,
		     .initialized = 16,
		     .finalizing = 24,
		     .interpreters_head = 40,
		     .gc = NONE},
	 .interpreter = {.gil = NONE,
			 .next = 0,
			 .id = 48,
			 .runtime = 40,
			 .threads_head = 16,
			 .gc = 648,
			 .obmalloc = NONE},
	 .thread = {.next = 8, .thread_id = 152, .native_thread_id = 160},
	 .gc = GC_CLASSIC(24),
	 .object = {.tuple_items = 24,
		    .new_keys = true,
		    .heap_type_name = 848,
		    .heap_type_module = 880,
		    .managed_dict = true}},
	{.minor = 12,
	 .runtime = {.main_thread = 64,
		     .current = NONE,
		     .initialized = 16,
		     .finalizing = 24,
		     .interpreters_head = 40,
		     .gc = NONE},
	 .interpreter = {.gil = 384,
			 .next = 0,
			 .id = 8,
			 .runtime = 96,
			 .threads_head = 72,
			 .gc = 112,
			 .obmalloc = 3960},
	 .thread = {.next = 8, .thread_id = 136, .native_thread_id = 144},
	 .gc = GC_CLASSIC(24),
	 .object = {.tuple_items = 24,
		    .new_keys = true,
		    .heap_type_name = 856,
		    .heap_type_module = 888,
		    .managed_dict = true}},
	/* 3.13.0: before a generation's head got an alignment of 4 (cpython gh-127545) ... */
	{.minor = 13,
	 .runtime = RUNTIME_313,
	 .interpreter = INTERPRETER_313,
	 .thread = THREAD_313,
	 .gc = GC_CLASSIC(24),
	 .object = OBJECT_313},
	/* ... and after */
	{.minor = 13,
	 .runtime = RUNTIME_313,
	 .interpreter = INTERPRETER_313,
	 .thread = THREAD_313,
	 .gc = GC_CLASSIC(20),
	 .object = OBJECT_313},
	/* 3.14.0 to 3.14.4: the incremental collector, which 3.14.5 took back (cpython gh-148726)
	 */
	{.minor = 14,
	 .incremental = true,
	 .runtime = RUNTIME_314,
	 .interpreter = INTERPRETER_314,
	 .thread = THREAD_313,
	 .gc = {.enabled = 12,
		.generations = 24,
		.generation0 = NONE,
		.permanent = 96,
		.stats = 120,
		.collecting = 192,
		.long_lived_total = NONE,
		.long_lived_pending = NONE,
		.size = 240},
	 .object = OBJECT_314},
	{.minor = 14,
	 .runtime = RUNTIME_314,
	 .interpreter = INTERPRETER_314,
	 .thread = THREAD_313,
	 .gc = {.enabled = 12,
		.generations = 24,
		.generation0 = 256,
		.permanent = 96,
		.stats = 120,
		.collecting = 192,
		.long_lived_total = 240,
		.long_lived_pending = 248,
		.size = 264},
	 .object = OBJECT_314},
	{.minor = 15,
	 .runtime = {.main_thread = 960,
		     .current = NONE,
		     .initialized = 904,
		     .finalizing = 912,
		     .interpreters_head = 936,
		     .gc = NONE},
	 .interpreter = {.gil = 16,
			 .next = 7264,
			 .id = 7272,
			 .runtime = 7376,
			 .threads_head = 7336,
			 .gc = 7400,
			 .obmalloc = 10880,
			 .obmalloc_is_pointer = true},
	 .thread = {.next = 8, .thread_id = 176, .native_thread_id = 184},
	 .gc = {.enabled = 0,
		.generations = 8,
		.generation0 = 168,
		.permanent = 80,
		.stats = 104,
		.stats_is_pointer = true,
		.stats_size = 1112,
		.collecting = 112,
		.long_lived_total = 152,
		.long_lived_pending = 160,
		.size = 176},
	 .object = {.tuple_items = 32,
		    .new_keys = true,
		    .heap_type_name = 864,
		    .heap_type_module = 896,
		    .managed_dict = true,
		    .inline_values = true}},
};

const struct layout *layout_at(unsigned i)
{
	return i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL;
}

const struct layout *layout_find(unsigned minor)
{
	for (unsigned i = 0; layout_at(i); i++)
		if (rows[i].minor == minor)
			return &rows[i];
	return NULL;
}
