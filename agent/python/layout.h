/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - where CPython 3.8 to 3.15 keeps what we read, in bytes from the start of each
 * structure. One row a minor version, and a variant where a minor version has two.
 *
 * Sources: the DWARF of each build and, from 3.13, _Py_DebugOffsets of the program itself, which
 * wins over the table (docs/PYTHON.md). x86-64, release builds with the GIL. LAYOUT_NONE = this
 * version has no such field.
 */
#ifndef MEMHERD_AGENT_PYTHON_LAYOUT_H
#define MEMHERD_AGENT_PYTHON_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_NONE        UINT32_MAX
#define LAYOUT_GENERATIONS 3

/* Offsets in _PyRuntime, PyInterpreterState and PyThreadState. */
struct layout_runtime {
	uint32_t initialized; /* int */
	uint32_t finalizing;  /* pointer, not 0 while the interpreter ends */
	uint32_t interpreters_head;
	uint32_t gc;          /* 3.8: the one collector of all interpreters; else LAYOUT_NONE */
	uint32_t main_thread; /* pthread_self() of the one that pending calls run in */
	uint32_t current;     /* thread state that has the GIL; LAYOUT_NONE from 3.12 on */
};

struct layout_interpreter {
	uint32_t next;
	uint32_t id;      /* int64 */
	uint32_t runtime; /* back pointer; LAYOUT_NONE in 3.8 */
	uint32_t threads_head;
	uint32_t gc;  /* struct of the collector, inline; LAYOUT_NONE in 3.8 */
	uint32_t gil; /* pointer to its GIL: last holder +8, locked +16; LAYOUT_NONE before 3.12 */
	uint32_t obmalloc; /* LAYOUT_NONE: static, or not known */
	bool obmalloc_is_pointer;
};

struct layout_thread {
	uint32_t next;
	uint32_t thread_id;        /* pthread_self() */
	uint32_t native_thread_id; /* as the target's pid namespace has it; LAYOUT_NONE before 3.11
				    */
};

/* In struct _gc_runtime_state. A generation: head.next +0, head.prev +8, int threshold +16, int
 * count +20; 24 bytes each. */
struct layout_gc {
	uint32_t enabled; /* int */
	uint32_t generations;
	uint32_t generation0;  /* pointer to generations[0]: a free check; LAYOUT_NONE = has none */
	uint32_t permanent;    /* a generation: what gc.freeze() put aside */
	uint32_t stats;        /* three of {collections, collected, uncollectable}, 8 bytes each */
	bool stats_is_pointer; /* 3.15: to rings of records */
	uint32_t stats_size;   /* of what is pointed to; 0 = no pointer */
	uint32_t collecting;   /* int */
	uint32_t long_lived_total; /* LAYOUT_NONE: this collector keeps none */
	uint32_t long_lived_pending;
	uint32_t size; /* of the structure; with collecting the fingerprint of a variant */
};

/* In objects and types; what is the same in all versions is in layout.c's comment. */
struct layout_object {
	uint32_t tuple_items;
	bool new_keys; /* 3.11+: struct _dictkeysobject with log2 sizes and kinds */
	uint32_t heap_type_name;
	uint32_t heap_type_module; /* LAYOUT_NONE in 3.8 */
	bool managed_dict;         /* 3.11+: tp_flags tell of a pre-header */
	bool inline_values;        /* 3.13+ */
};

struct layout {
	uint16_t minor;   /* 3.minor */
	bool incremental; /* 3.14.0 to 3.14.4: the collector works in increments */
	struct layout_runtime runtime;
	struct layout_interpreter interpreter;
	struct layout_thread thread;
	struct layout_gc gc;
	struct layout_object object;
};

/* The first row of 3.minor, or NULL. A minor version's variants follow each other; runtime.c tells
 * them apart by what it finds. */
const struct layout *layout_find(unsigned minor);
/* The i-th row, NULL after the last. */
const struct layout *layout_at(unsigned i);

#endif
