/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/lib/open_store.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define DAY_US (24LL * 3600 * USEC_PER_SEC)

void bench_must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	exit(1);
}

void bench_store_config(struct store_config *cfg, const char *conninfo)
{
	store_config_init(cfg);
	cfg->conninfo = conninfo;
	cfg->seal_grace_us = 0;
	cfg->window_bytes = 6LL << 30;
	cfg->keep_chunk_us = 400 * DAY_US;
	cfg->keep_rollup_us = 400 * DAY_US;
}

static void on_row(void *arg, const struct store_replayed *r)
{
	(void)arg, (void)r;
}

static void on_replayed(void *arg, int rc, const struct error *err)
{
	if (rc < 0) {
		fprintf(stderr, "replay: %s\n", err->msg);
		exit(1);
	}
	*(bool *)arg = true;
}

struct store *bench_store_open(struct event_base *base, const struct store_config *cfg,
			       store_on_acked *on_acked, void *arg)
{
	bool replayed = false;
	struct error err;
	struct store *s;

	if (!base || store_open(base, cfg, on_acked, arg, &s, &err) < 0) {
		fprintf(stderr, "%s\n", base ? err.msg : "no loop");
		exit(1);
	}
	while (!store_ready(s))
		event_base_loop(base, EVLOOP_ONCE);
	bench_must(store_replay(s, on_row, on_replayed, &replayed), "replay");
	while (!replayed)
		event_base_loop(base, EVLOOP_ONCE);
	return s;
}

void bench_store_seal(struct event_base *base, struct store *s, uint64_t samples)
{
	int64_t last_us = clock_boot_us();
	struct store_stats stats;
	uint64_t before;

	store_stats(s, &stats);
	samples += stats.sealed_samples;
	while (stats.sealed_samples < samples) {
		before = stats.sealed_samples;
		event_base_loop(base, EVLOOP_ONCE);
		store_stats(s, &stats);
		if (stats.sealed_samples != before)
			last_us = clock_boot_us();
		if (clock_boot_us() > last_us + 60 * USEC_PER_SEC) {
			fprintf(stderr, "no sample was sealed for a minute\n");
			exit(1);
		}
	}
}
