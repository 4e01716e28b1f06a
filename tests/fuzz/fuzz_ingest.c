/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's batches, as hostile as they like: each is two bytes of length (little endian) and that
 * many of payload; an empty one is a new connection. The store is this file's: what it is given
 * must be whole, in order and without a hole.
 */
#include <string.h>

#include "collector/fleet/ingest.h"
#include "common/clock.h"
#include "common/cursor.h"

#define HOST_ID 1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One stream: the fuzzer cannot guess sixty-four bits of epoch, so the first batch names it. */
static struct {
	uint64_t epoch;
	int64_t conn;
	int64_t last_seq; /* given on this connection */
	int64_t rcv_us;
} stored;

int store_put(struct store *s unused_arg, const struct store_batch *b)
{
	if (b->host_id != HOST_ID || (uint64_t)b->epoch != stored.epoch || b->conn != stored.conn)
		abort();
	if (b->first_seq != stored.last_seq + 1 || b->last_seq < b->first_seq)
		abort();
	if (b->rcv_us != stored.rcv_us)
		abort();
	for (size_t i = 0; i < b->n_events; i++)
		if (b->events[i].seq < b->first_seq || b->events[i].seq > b->last_seq ||
		    !b->events[i].kind || !b->events[i].doc)
			abort();
	for (size_t i = 0; i < b->n_gaps; i++)
		if (b->gaps[i].from_seq < b->first_seq || b->gaps[i].to_seq > b->last_seq)
			abort();
	for (size_t i = 0; i < b->n_born; i++)
		if (!b->born[i].comm || !b->born[i].cmdline || b->born[i].proc_id <= 0)
			abort();
	stored.last_seq = b->last_seq;
	return 0;
}

bool store_has_room(const struct store *s unused_arg, size_t len unused_arg)
{
	return true;
}

int64_t store_receive_time(struct store *s unused_arg)
{
	return ++stored.rcv_us;
}

struct window_set *store_windows(struct store *s unused_arg)
{
	return (struct window_set *)(void *)&stored; /* only handed on */
}

int64_t store_window_of(const struct store *s unused_arg, int64_t t_us)
{
	return t_us - t_us % (10 * USEC_PER_SEC);
}

int window_add(struct window_set *ws unused_arg, const struct series_id *id,
	       int64_t t_us unused_arg, int64_t rcv_us unused_arg, const int64_t *v)
{
	for (unsigned i = 0; i < series_types[id->kind].spec->n_columns; i++)
		if (v[i] != METRIC_ABSENT && v[i] < 0)
			abort();
	return id->obj_id > 0 || id->kind == SERIES_HOST ? 0 : -1;
}

int window_take_back(struct window_set *ws unused_arg, int32_t host_id unused_arg,
		     int64_t t_us unused_arg)
{
	return 0;
}

static void reconnect(struct ingest *in, struct host *h, int64_t committed)
{
	stored.conn++;
	stored.last_seq = committed;
	if (ingest_open(in, h, stored.epoch, (uint64_t)committed, stored.conn) < 0)
		abort();
}

static void first(struct ingest *in, struct host *h, const uint8_t *p, size_t len)
{
	struct wire_batch b;
	struct arena a;

	arena_init(&a, WIRE_BUDGET(len));
	if (wire_unpack_batch(&a, p, len, &b, NULL) == 0) {
		stored.epoch = b.epoch;
		reconnect(in, h, (int64_t)b.records[0].seq - 1);
	}
	arena_fini(&a);
}

static void feed(struct ingest *in, struct host *h, struct cursor c)
{
	int64_t began = -1;
	struct error err;

	while (cursor_left(&c) >= 2) {
		size_t said = cursor_le16(&c);
		size_t len = MIN_OF(said, cursor_left(&c));
		const uint8_t *p = cursor_bytes(&c, len);

		if (!stored.epoch) {
			first(in, h, p, len);
			began = stored.last_seq;
		} else if (!len) {
			reconnect(in, h, began);
		}
		if (ingest_batch(in, h, p, len, &err) == 0 && !stored.epoch)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[16] = {1};
	static const struct ingest_ops ops;
	struct registry r;
	struct ingest *in;
	struct host *h;

	memset(&stored, 0, sizeof(stored));
	registry_init(&r);
	h = registry_host(&r, HOST_ID, uuid, "h");
	if (!h || ingest_new(&r, NULL, &ops, NULL, &in) < 0)
		abort();
	feed(in, h, cursor_of(data, size));
	if (HASH_COUNT(h->processes) > WIRE_MAX_PROCESSES)
		abort();
	ingest_free(&in);
	registry_fini(&r);
	return 0;
}
