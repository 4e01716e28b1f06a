/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/offsets.h"

#include <errno.h>
#include <string.h>

#include "agent/python/memory.h"

#define OFFSETS_WORDS 112u
#define OFFSETS_MAX   (1u << 20) /* no field of these structures is further in */

/* Beside the pointer to the first interpreter and the collector, in 3.13 to 3.15. */
#define INITIALIZED_BEFORE_HEAD 32u
#define RUNTIME_BEFORE_GC       24u

/* The first words are everywhere the same. */
enum {
	WORD_COOKIE,
	WORD_VERSION,
	WORD_FREE_THREADED,
	WORD_FINALIZING = 4,
	WORD_INTERPRETERS_HEAD,
	WORD_ID = 7,
	WORD_NEXT,
	WORD_THREADS_HEAD,
	WORDS_COMMON
};

/* Where a version has the others; 0 = it has none. */
struct order {
	uint8_t minor;
	uint8_t gc;
	uint8_t thread_next;
	uint8_t thread_id;
	uint8_t native_thread_id;
	uint8_t gc_size;
	uint8_t gc_collecting;
	uint8_t stats_size;
	uint8_t stats;
};

static const struct order orders[] = {
	{.minor = 13,
	 .gc = 10,
	 .thread_next = 21,
	 .thread_id = 24,
	 .native_thread_id = 25,
	 .gc_size = 71,
	 .gc_collecting = 72},
	{.minor = 14,
	 .gc = 11,
	 .thread_next = 24,
	 .thread_id = 27,
	 .native_thread_id = 28,
	 .gc_size = 81,
	 .gc_collecting = 82},
	{.minor = 15,
	 .gc = 11,
	 .thread_next = 24,
	 .thread_id = 30,
	 .native_thread_id = 31,
	 .gc_size = 94,
	 .gc_collecting = 95,
	 .stats_size = 97,
	 .stats = 98},
};

static const struct order *order_of(uint32_t version)
{
	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++)
		if (version >> 24 == 3 && (version >> 16 & 0xff) == orders[i].minor)
			return &orders[i];
	return NULL;
}

/* Takes one word as an offset; keeps false once one is too large. */
static uint32_t take(const uint64_t *words, unsigned i, bool *ok)
{
	if (words[i] >= OFFSETS_MAX)
		*ok = false;
	return (uint32_t)words[i];
}

int offsets_read(pid_t pid, uint64_t address, struct offsets *ret)
{
	uint64_t words[OFFSETS_WORDS] = {0};
	const struct order *order;
	struct offsets o = {0};
	bool ok = true;
	/* before 3.13 all of _PyRuntime may be shorter than the block */
	ssize_t got = memory_read_some(pid, address, words, sizeof(words));

	if (got < 0)
		return (int)got;
	if (memcmp(&words[WORD_COOKIE], "xdebugpy", sizeof(words[0])) != 0)
		return -ENOENT;
	if ((size_t)got < sizeof(words))
		return -EFAULT;
	o.version = (uint32_t)words[WORD_VERSION];
	o.free_threaded = words[WORD_FREE_THREADED] != 0;
	order = order_of(o.version);
	if (!order) {
		*ret = o;
		return -ENOTSUP;
	}
	o.finalizing = take(words, WORD_FINALIZING, &ok);
	o.interpreters_head = take(words, WORD_INTERPRETERS_HEAD, &ok);
	o.id = take(words, WORD_ID, &ok);
	o.next = take(words, WORD_NEXT, &ok);
	o.threads_head = take(words, WORD_THREADS_HEAD, &ok);
	o.gc = take(words, order->gc, &ok);
	o.thread_next = take(words, order->thread_next, &ok);
	o.thread_id = take(words, order->thread_id, &ok);
	o.native_thread_id = take(words, order->native_thread_id, &ok);
	o.gc_size = take(words, order->gc_size, &ok);
	o.gc_collecting = take(words, order->gc_collecting, &ok);
	o.stats_size = order->stats_size ? take(words, order->stats_size, &ok) : 0;
	o.stats = order->stats ? take(words, order->stats, &ok) : 0;
	if (!ok || o.interpreters_head < INITIALIZED_BEFORE_HEAD || o.gc < RUNTIME_BEFORE_GC)
		return -EBADMSG;
	*ret = o;
	return 0;
}

bool offsets_match(const struct offsets *o, const struct layout *row)
{
	if (row->minor != (o->version >> 16 & 0xff) || row->gc.size != o->gc_size ||
	    row->gc.collecting != o->gc_collecting)
		return false;
	/* 3.15.2 put a counter of writers behind the rings (cpython gh-155811) */
	return !row->gc.stats_is_pointer ||
	       (row->gc.stats == o->stats &&
		(o->stats_size == row->gc.stats_size || o->stats_size == row->gc.stats_size + 8));
}

void offsets_apply(const struct offsets *o, struct layout *row)
{
	row->runtime.finalizing = o->finalizing;
	row->runtime.interpreters_head = o->interpreters_head;
	row->runtime.initialized = o->interpreters_head - INITIALIZED_BEFORE_HEAD;
	row->interpreter.id = o->id;
	row->interpreter.next = o->next;
	row->interpreter.threads_head = o->threads_head;
	row->interpreter.gc = o->gc;
	row->interpreter.runtime = o->gc - RUNTIME_BEFORE_GC;
	row->thread.next = o->thread_next;
	row->thread.thread_id = o->thread_id;
	row->thread.native_thread_id = o->native_thread_id;
	if (row->gc.stats_is_pointer)
		row->gc.stats_size = o->stats_size;
}
