/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/chunks.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/python/memory.h"

/* How many reads a chunk must have served on average since the last look, or it costs more than
 * reading singly would: copying 64 KiB takes about as long as 32 small calls. */
#define PAYS_READS  32
#define LOOK_LOADS  64     /* chunks that had to make room, between two looks */
#define REST_SINGLE 262144 /* single reads before chunks are tried again */

struct chunk {
	uint64_t base; /* a multiple of CHUNK_SIZE */
	uint32_t from; /* what of it is there */
	uint32_t to;
	bool used; /* since the hand of the clock came by */
};

struct chunks {
	struct chunk_source source;
	struct chunk *rows;
	uint8_t *data; /* max chunks; pages are there once they were used */
	uint32_t n;
	uint32_t max;
	uint32_t hand;
	uint32_t *slots; /* open addressing: index into rows + 1 */
	uint32_t mask;
	struct chunk *last;
	uint64_t reads;       /* since the last look */
	uint32_t replaced;    /* since the last look */
	uint32_t single_left; /* > 0: chunks do not pay at the moment */
	struct chunk_stats stats;
};

static ssize_t read_process(void *arg, uint64_t address, void *buf, size_t n)
{
	const pid_t *pid = arg;

	return memory_read_some(*pid, address, buf, n);
}

struct chunk_source chunk_source_of(const pid_t *pid)
{
	/* Never written through: the field serves other sources too. */
	return (struct chunk_source){.read = read_process, .arg = (void *)(uintptr_t)pid};
}

static size_t data_bytes(const struct chunks *c)
{
	return (size_t)c->max * CHUNK_SIZE;
}

int chunks_new(const struct chunk_source *source, size_t max_bytes, struct chunks **ret)
{
	struct chunks *c = calloc(1, sizeof(*c));
	uint32_t slots = 4;

	if (!c)
		return -ENOMEM;
	c->source = *source;
	c->max = (uint32_t)MIN_OF(MAX_OF(max_bytes / CHUNK_SIZE, (size_t)1), (size_t)1 << 20);
	while (slots < c->max * 2)
		slots *= 2;
	c->mask = slots - 1;
	c->rows = calloc(c->max, sizeof(*c->rows));
	c->slots = calloc(slots, sizeof(*c->slots));
	c->data = mmap(NULL, data_bytes(c), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->data == MAP_FAILED)
		c->data = NULL;
	if (!c->rows || !c->slots || !c->data) {
		chunks_free(&c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void chunks_free(struct chunks **slot)
{
	struct chunks *c = *slot;

	if (!c)
		return;
	if (c->data)
		munmap(c->data, data_bytes(c));
	free(c->rows);
	free(c->slots);
	free(c);
	*slot = NULL;
}

static uint8_t *data_of(const struct chunks *c, const struct chunk *row)
{
	return c->data + (size_t)(row - c->rows) * CHUNK_SIZE;
}

static uint32_t home_of(const struct chunks *c, uint64_t base)
{
	return (uint32_t)((base / CHUNK_SIZE * 0x9e3779b97f4a7c15ull) >> 32) & c->mask;
}

static struct chunk *find(const struct chunks *c, uint64_t base)
{
	for (uint32_t i = home_of(c, base); c->slots[i]; i = (i + 1) & c->mask)
		if (c->rows[c->slots[i] - 1].base == base)
			return &c->rows[c->slots[i] - 1];
	return NULL;
}

static void enter(struct chunks *c, struct chunk *row)
{
	uint32_t i = home_of(c, row->base);

	while (c->slots[i])
		i = (i + 1) & c->mask;
	c->slots[i] = (uint32_t)(row - c->rows) + 1;
}

/* Takes a row out of the table; what stood behind it moves up, so that no search ends too soon. */
static void leave(struct chunks *c, const struct chunk *row)
{
	uint32_t i = home_of(c, row->base);
	uint32_t next;

	while (c->slots[i] != (uint32_t)(row - c->rows) + 1)
		i = (i + 1) & c->mask;
	c->slots[i] = 0;
	for (next = (i + 1) & c->mask; c->slots[next]; next = (next + 1) & c->mask) {
		uint32_t home = home_of(c, c->rows[c->slots[next] - 1].base);

		if (((next - home) & c->mask) < ((next - i) & c->mask))
			continue;
		c->slots[i] = c->slots[next];
		c->slots[next] = 0;
		i = next;
	}
}

void chunks_clear(struct chunks *c)
{
	memset(c->slots, 0, ((size_t)c->mask + 1) * sizeof(*c->slots));
	c->n = 0;
	c->hand = 0;
	c->last = NULL;
	c->reads = 0;
	c->replaced = 0;
	c->single_left = 0;
}

/* False when the cache is full and replacing has not paid lately. */
static bool may_load(struct chunks *c)
{
	if (c->single_left) {
		c->single_left--;
		return false;
	}
	if (c->n < c->max)
		return true;
	if (++c->replaced < LOOK_LOADS)
		return true;
	if (c->reads < (uint64_t)LOOK_LOADS * PAYS_READS)
		c->single_left = REST_SINGLE;
	c->replaced = 0;
	c->reads = 0;
	return c->single_left == 0;
}

/* A row that is in no table. */
static struct chunk *take_row(struct chunks *c)
{
	struct chunk *row;

	if (c->n < c->max)
		return &c->rows[c->n++];
	while (c->rows[c->hand].used) {
		c->rows[c->hand].used = false;
		c->hand = (c->hand + 1) % c->max;
	}
	row = &c->rows[c->hand];
	c->hand = (c->hand + 1) % c->max;
	leave(c, row);
	return row;
}

/* The chunk around an address; from the address's page on where its beginning is a hole. */
static struct chunk *load(struct chunks *c, uint64_t address)
{
	uint64_t base = address & ~(uint64_t)(CHUNK_SIZE - 1);
	struct chunk *row = take_row(c);
	uint8_t *data = data_of(c, row);
	uint32_t from = 0;
	ssize_t n = c->source.read(c->source.arg, base, data, CHUNK_SIZE);

	if (n <= 0 || base + (uint64_t)n <= address) {
		from = (uint32_t)(address - base) & ~4095u;
		n = c->source.read(c->source.arg, base + from, data + from, CHUNK_SIZE - from);
	}
	/* A chunk that holds nothing is kept as such: the hole is not asked for again. */
	row->used = false;
	row->base = base;
	row->from = from;
	row->to = from + (uint32_t)MAX_OF(n, (ssize_t)0);
	enter(c, row);
	c->stats.loads++;
	return row;
}

static int read_single(struct chunks *c, uint64_t address, uint8_t *buf, size_t n)
{
	size_t done = 0;

	c->stats.single++;
	while (done < n) {
		ssize_t got = c->source.read(c->source.arg, address + done, buf + done, n - done);

		if (got <= 0)
			return got < 0 ? (int)got : -EFAULT;
		done += (size_t)got;
	}
	return 0;
}

static bool holds(const struct chunk *row, uint64_t address, size_t n)
{
	uint64_t at = address - row->base;

	return at >= row->from && at + n <= row->to;
}

int chunks_read(struct chunks *c, uint64_t address, void *buf, size_t n)
{
	uint64_t base = address & ~(uint64_t)(CHUNK_SIZE - 1);
	struct chunk *row = c->last;

	if (n > CHUNK_SIZE || address + n < address)
		return -EFAULT;
	c->reads++;
	if (!row || row->base != base)
		row = find(c, base);
	if (!row && may_load(c))
		row = load(c, address);
	if (!row || !holds(row, address, n))
		return read_single(c, address, buf, n);
	row->used = true;
	c->last = row;
	memcpy(buf, data_of(c, row) + (address - base), n);
	return 0;
}

struct chunk_stats chunks_stats(const struct chunks *c)
{
	return c->stats;
}
