/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakestore.h - the store as ingest sees it, in memory: what it was given, and when it is full. A
 * test that includes it links with
 * '// link: -Wl,--wrap=store_put,--wrap=store_has_room,--wrap=store_receive_time' and
 * '// link: -Wl,--wrap=store_windows,--wrap=store_window_of,--wrap=window_add'.
 */
#ifndef MEMHERD_TESTS_FAKESTORE_H
#define MEMHERD_TESTS_FAKESTORE_H

#include "collector/store/store.h"

#define FAKE_BATCHES 64
#define FAKE_ITEMS   16
#define FAKE_STORE   ((struct store *)(void *)&fake)

/* One batch as it was given; strings cut to what tests look at. */
struct fake_batch {
	struct store_batch b; /* its pointers are void by now */
	uint64_t seqs[FAKE_ITEMS];
	size_t n_seqs;
	int64_t born[FAKE_ITEMS];
	char comm[FAKE_ITEMS][WIRE_COMM_MAX + 1];
	int64_t exited[FAKE_ITEMS];
	struct store_gap gaps[FAKE_ITEMS];
	char kinds[FAKE_ITEMS][16];
	char docs[FAKE_ITEMS][512];
	int64_t seq_of_event[FAKE_ITEMS];
	struct store_death deaths[FAKE_ITEMS]; /* as of the two below, its strings are void */
	struct store_kill kills[FAKE_ITEMS];
	struct store_cgroup cgroups[FAKE_ITEMS];
	char kill_doc[2048]; /* of the last one */
	char kill_event[512];
	char posture[512];
	struct store_census census; /* the last one; its strings are void */
	char census_types[512];
	uint8_t *payload;
};

static struct fake_store {
	struct fake_batch batches[FAKE_BATCHES];
	size_t n;
	bool full;
	int put_rc;
	size_t puts_before; /* that succeed before put_rc is the answer */
	int64_t window_us;  /* 0 = one window holds all time */
	int64_t rcv_us;
	unsigned windowed[SERIES_KINDS];
	int64_t last_t_us;
} fake;

static inline void fake_reset(void)
{
	for (size_t i = 0; i < fake.n; i++)
		free(fake.batches[i].payload);
	fake = (struct fake_store){.rcv_us = 1000};
}

static inline void fake_seqs(struct fake_batch *f)
{
	struct wire_batch b;
	struct arena a;

	arena_init(&a, WIRE_BUDGET(f->b.payload_len));
	/* A batch of gaps only has no bytes worth unpacking. */
	if (wire_unpack_batch(&a, f->b.payload, f->b.payload_len, &b, NULL) == 0)
		for (size_t i = 0; i < b.n && i < FAKE_ITEMS; i++)
			f->seqs[f->n_seqs++] = b.records[i].seq;
	arena_fini(&a);
}

int __wrap_store_put(struct store *s unused_arg, const struct store_batch *b)
{
	struct fake_batch *f = &fake.batches[fake.n];

	if (fake.put_rc && fake.n >= fake.puts_before)
		return fake.put_rc;
	if (fake.n == FAKE_BATCHES || b->first_seq < 1 || b->last_seq < b->first_seq)
		abort();
	*f = (struct fake_batch){.b = *b};
	for (size_t i = 0; i < b->n_born && i < FAKE_ITEMS; i++) {
		f->born[i] = b->born[i].proc_id;
		snprintf(f->comm[i], sizeof(f->comm[i]), "%s", b->born[i].comm);
	}
	for (size_t i = 0; i < b->n_exited && i < FAKE_ITEMS; i++)
		f->exited[i] = b->exited[i].proc_id;
	for (size_t i = 0; i < b->n_gaps && i < FAKE_ITEMS; i++)
		f->gaps[i] = b->gaps[i];
	for (size_t i = 0; i < b->n_events && i < FAKE_ITEMS; i++) {
		f->seq_of_event[i] = b->events[i].seq;
		snprintf(f->kinds[i], sizeof(f->kinds[i]), "%s", b->events[i].kind);
		snprintf(f->docs[i], sizeof(f->docs[i]), "%.500s", b->events[i].doc);
	}
	for (size_t i = 0; i < b->n_deaths && i < FAKE_ITEMS; i++)
		f->deaths[i] = b->deaths[i];
	for (size_t i = 0; i < b->n_cgroups && i < FAKE_ITEMS; i++)
		f->cgroups[i] = b->cgroups[i];
	for (size_t i = 0; i < b->n_kills && i < FAKE_ITEMS; i++) {
		f->kills[i] = b->kills[i];
		snprintf(f->kill_doc, sizeof(f->kill_doc), "%.2047s", b->kills[i].doc);
		snprintf(f->kill_event, sizeof(f->kill_event), "%.500s", b->kills[i].event);
	}
	for (size_t i = 0; i < b->n_censuses; i++) {
		f->census = b->censuses[i];
		snprintf(f->census_types, sizeof(f->census_types), "%.500s", b->censuses[i].types);
	}
	for (size_t i = 0; i < b->n_postures; i++)
		snprintf(f->posture, sizeof(f->posture), "%.500s", b->postures[i].doc);
	fake_seqs(f);
	/* For a replay; not counted among the allocations that a test lets fail. */
	f->payload = b->payload_len ? aligned_alloc(16, (b->payload_len + 15) & ~(size_t)15) : NULL;
	if (f->payload)
		memcpy(f->payload, b->payload, b->payload_len);
	fake.n++;
	return 0;
}

bool __wrap_store_has_room(const struct store *s unused_arg, size_t len unused_arg)
{
	return !fake.full;
}

int64_t __wrap_store_receive_time(struct store *s unused_arg)
{
	return ++fake.rcv_us;
}

struct window_set *__wrap_store_windows(struct store *s unused_arg)
{
	return (struct window_set *)(void *)&fake; /* only handed on */
}

int64_t __wrap_store_window_of(const struct store *s unused_arg, int64_t t_us)
{
	return fake.window_us ? t_us - t_us % fake.window_us : 0;
}

int __wrap_window_add(struct window_set *ws unused_arg, const struct series_id *id, int64_t t_us,
		      int64_t rcv_us unused_arg, const int64_t *v unused_arg)
{
	fake.windowed[id->kind]++;
	if (id->kind == SERIES_PROCESS)
		fake.last_t_us = t_us;
	return 0;
}

#endif
