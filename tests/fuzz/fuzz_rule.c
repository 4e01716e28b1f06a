/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as rules; those that parse are printed, parsed again, and run over samples made of the
 * same bytes, with restarts of processes, late and future times between.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/rule/engine.h"
#include "collector/rule/parse.h"

#define T0 1700000000000000LL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_transition(void *arg, const struct rule_transition *t)
{
	struct rule_key key;

	if (rule_key_parse(t->key, &key) < 0 || key.host_id != t->host_id || !t->explain)
		abort();
	++*(unsigned *)arg;
}

static const struct rule_engine_ops ops = {on_transition};

struct feed {
	const uint8_t *p;
	size_t left;
	uint32_t x;
};

static int64_t next(struct feed *f)
{
	f->x = f->x * 1664525 + 1013904223;
	if (f->left) {
		f->x ^= *f->p++;
		f->left--;
	}
	return f->x >> 8;
}

static int64_t hostile(struct feed *f)
{
	static const int64_t odd[] = {0, -1, INT64_MIN, INT64_MAX, 1LL << 53};
	int64_t r = next(f);

	return r % 16 ? r % 4000000 : odd[r / 16 % 5];
}

static void sample(struct rule_engine *e, struct feed *f, int64_t t)
{
	struct rule_subject who = {
		.kind = (enum rule_kind)(next(f) % 3),
		.host_id = (int32_t)(next(f) % 3),
		.id = next(f) % 5,
		.rev = (uint32_t)(next(f) % 2),
		.service = next(f) % 2 ? "web" : NULL,
		.comm = next(f) % 2 ? "python3" : NULL,
		.uid = next(f) % 3 - 1,
		.python = next(f) % 2,
		.first_seen_us = next(f) % 8 ? T0 - 900000000 : hostile(f),
	};
	int64_t v[(int)METRIC_COUNT + (int)HOST_METRIC_COUNT]; /* enough for either */

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		v[i] = hostile(f);
	if (engine_sample(e, &who, next(f) % 32 ? t : hostile(f), v) == 0 && next(f) % 64 == 0)
		engine_gone(e, who.kind, who.host_id, who.id, t);
}

static void run(const struct rule_set *set, const uint8_t *data, size_t size)
{
	struct feed f = {data, size, (uint32_t)size};
	struct rule_engine *e;
	unsigned told = 0;
	int64_t t = T0;

	if (engine_new(set, t, &ops, &told, &e) < 0)
		return;
	for (int i = 0; i < 400; i++) {
		t += next(&f) % 32 ? 10000000 : next(&f) * 100000;
		engine_sweep(e, t);
		sample(e, &f, t);
	}
	engine_free(&e);
}

static void print(struct buf *b, const struct rule_set *set)
{
	buf_reset(b);
	for (unsigned i = 0; i < set->n_rules; i++)
		rule_print_rule(b, set, set->rules[i]);
}

static struct rule_set *parse(const void *text, size_t size, struct error *err)
{
	struct rule_set *set;

	if (rule_set_new(&set) < 0)
		return NULL;
	if (rule_set_parse(set, "fuzz", text, size, err) < 0)
		rule_set_free(&set);
	return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf struct buf first = BUF_INIT(1 << 21);
	auto_buf struct buf second = BUF_INIT(1 << 21);
	struct error err = {""};
	struct rule_set *set = parse(data, size, &err);
	struct rule_set *again;

	if (!set)
		return err.msg[0] ? 0 : 1;
	print(&first, set);
	if (!first.failed && first.len && first.len < RULE_FILE_MAX) {
		again = parse(first.data, first.len, &err);
		if (!again) {
			fprintf(stderr, "%s\n%s\n", err.msg, (char *)first.data);
			abort();
		}
		print(&second, again);
		if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
			abort();
		rule_set_free(&again);
	}
	run(set, data, size);
	rule_set_free(&set);
	return 0;
}
