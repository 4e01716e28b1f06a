/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/lib/fleet.h"

#include <stdbool.h>
#include <string.h>

#include "common/check.h"

#define PAGE 4 /* KiB */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t draw(struct fleet_process *p)
{
	p->seed ^= p->seed << 13;
	p->seed ^= p->seed >> 7;
	p->seed ^= p->seed << 17;
	return p->seed * 0x2545f4914f6cdd1du;
}

/* Below n, from 16 bits of a draw. */
static int64_t below(uint64_t bits, int64_t n)
{
	return (int64_t)((bits & 0xffff) * (uint64_t)n >> 16);
}

static enum fleet_kind kind_of(unsigned number)
{
	unsigned percent = number % FLEET_PROCESSES * 100 / FLEET_PROCESSES;

	return percent < 55   ? FLEET_IDLE
	       : percent < 80 ? FLEET_DAEMON
	       : percent < 95 ? FLEET_BUSY
			      : FLEET_LEAK;
}

int64_t fleet_proc_id(unsigned host, unsigned number)
{
	return (int64_t)(mix((uint64_t)host << 20 | (number + 1)) >> 1);
}

int64_t fleet_jitter(unsigned host, int64_t t_us)
{
	return t_us + below(mix((uint64_t)t_us ^ (uint64_t)host << 48), 40) * 1000;
}

static void measure(struct fleet_process *p)
{
	p->measured_rss = p->v[METRIC_RSS];
	p->measured_uss = p->v[METRIC_ANON] + p->v[METRIC_FILE] - p->shared;
	p->measured_pss = p->measured_uss + p->shared / 5;
}

static void estimate(struct fleet_process *p)
{
	p->v[METRIC_RSS] = p->v[METRIC_ANON] + p->v[METRIC_FILE] + p->v[METRIC_SHMEM];
	if (p->rounds++ % 6 == 0)
		measure(p);
	p->v[METRIC_USS] = p->measured_uss * p->v[METRIC_RSS] / p->measured_rss;
	p->v[METRIC_PSS] = p->measured_pss * p->v[METRIC_RSS] / p->measured_rss;
}

void fleet_start(struct fleet_process *p, unsigned host, unsigned number, unsigned day)
{
	*p = (struct fleet_process){.kind = kind_of(number)};
	bool python = p->kind >= FLEET_BUSY;
	uint64_t r;

	p->seed = mix((uint64_t)fleet_proc_id(host, number)) | 1;
	r = draw(p);
	for (int k = 0; k < METRIC_COUNT; k++)
		p->v[k] = k < FLEET_METRICS ? 0 : METRIC_ABSENT;
	p->v[METRIC_ANON] = (python ? 20000 : 600) + below(r, python ? 60000 : 8000) * PAGE;
	p->v[METRIC_FILE] = 2000 + below(r >> 16, 4000) * PAGE;
	p->v[METRIC_SHMEM] = below(r >> 32, 10) ? 0 : 1024;
	p->v[METRIC_VSIZE] = 3 * p->v[METRIC_ANON] + 200000;
	p->v[METRIC_THREADS] = 1 + below(r >> 48, 8);
	p->v[METRIC_FDS] = 8 + below(r >> 40, 60);
	p->v[METRIC_MINFLT] = below(r >> 8, 60000);
	p->v[METRIC_CPU] = below(r >> 24, 60000) * 10;
	p->shared = p->v[METRIC_FILE] * 3 / 4;
	p->leak = p->kind == FLEET_LEAK ? 100 + (uint32_t)below(r >> 20, 700) : 0;
	/* a leak has grown in the days before, and is another path from here on */
	p->v[METRIC_ANON] += day * 8640LL * p->leak / 1000 * PAGE;
	p->seed = mix(p->seed + day) | 1;
	estimate(p);
}

static void idle(struct fleet_process *p)
{
	uint64_t r = draw(p);

	if ((r & 0xff) < 12)
		p->v[METRIC_CPU] += 10;
	if ((r >> 8 & 0x3ff) > 5)
		return;
	p->v[METRIC_ANON] += (below(r >> 20, 5) - 2) * PAGE;
	p->v[METRIC_ANON] = MAX_OF(p->v[METRIC_ANON], 400);
	p->v[METRIC_MINFLT] += 1 + below(r >> 40, 6);
}

static void daemon_works(struct fleet_process *p)
{
	uint64_t r = draw(p);

	if ((r & 7) < 3)
		p->v[METRIC_CPU] += 10 * (1 + below(r >> 3, 3));
	if ((r >> 19 & 7) < 2)
		p->v[METRIC_MINFLT] += 1 + below(r >> 22, 30);
	if ((r >> 38 & 15) == 0) {
		p->v[METRIC_ANON] += (below(r >> 42, 33) - 16) * PAGE;
		p->v[METRIC_ANON] = MAX_OF(p->v[METRIC_ANON], 400);
	}
	if ((r >> 58) == 0)
		p->v[METRIC_FDS] += r >> 57 & 1 ? 1 : p->v[METRIC_FDS] > 8 ? -1 : 0;
}

static void python_works(struct fleet_process *p)
{
	uint64_t r = draw(p), q = draw(p);
	int64_t young = 1 + below(r, 30);

	p->v[METRIC_CPU] += 10 * below(r >> 16, 300);
	p->v[METRIC_MINFLT] += below(r >> 32, 1500);
	p->v[METRIC_GC0] += young;
	p->v[METRIC_GC1] += young / 10;
	p->v[METRIC_GC2] += young == 30 && (r & 1);
	p->v[METRIC_COLLECTED] += below(r >> 48, 250);
	if ((q & 3) != 0)
		p->v[METRIC_ANON] += (below(q >> 2, 201) - 100) * PAGE;
	if (below(q >> 18, 1000) < p->leak)
		p->v[METRIC_ANON] += 2 * PAGE;
	p->v[METRIC_ANON] = MAX_OF(p->v[METRIC_ANON], 12000);
	if ((q >> 34 & 15) == 0)
		p->v[METRIC_FDS] = 8 + below(q >> 38, 60);
	if ((q >> 54 & 127) == 0)
		p->v[METRIC_VSIZE] += 256;
	if ((q >> 61) == 0 && (r & 63) == 0)
		p->v[METRIC_MAJFLT] += 1;
}

void fleet_step(struct fleet_process *p)
{
	if (p->kind == FLEET_IDLE)
		idle(p);
	else if (p->kind == FLEET_DAEMON)
		daemon_works(p);
	else
		python_works(p);
	estimate(p);
}
