/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/lib/agent.h"

#include "common/arena.h"
#include "common/clock.h"
#include "tests/bench/lib/open_store.h"

void fleet_agent_init(struct fleet_agent *a, unsigned host, uint64_t epoch)
{
	*a = (struct fleet_agent){.host = host, .epoch = epoch};
	delta_init(&a->state);
	for (unsigned i = 0; i < FLEET_PROCESSES; i++)
		fleet_start(&a->fleet[i], host, i, 0);
}

void fleet_agent_fini(struct fleet_agent *a)
{
	delta_fini(&a->state);
}

static void announce(struct wire_process *born, unsigned host)
{
	for (unsigned i = 0; i < FLEET_PROCESSES; i++)
		born[i] = (struct wire_process){
			.id = i,
			.pid = 1000 + i,
			.start_ticks = 100000ull * host + i,
			.comm = i < 32 ? "postgres" : "python3",
			.cmdline = "/usr/bin/python3 -m service --port 8000",
			.exe = "/usr/bin/python3.11",
			.cgroup = "/system.slice/service.service",
			.service = "service",
			.container = "",
		};
}

void fleet_agent_round(struct fleet_agent *a, int64_t t_us, bool keyframe, struct buf *batch)
{
	struct wire_process born[FLEET_PROCESSES];
	struct wire_tick t = {.t_wall_us = fleet_jitter(a->host, t_us),
			      .t_boot_us = (uint64_t)t_us / 1000,
			      .interval_ms = FLEET_STEP_US / 1000,
			      .keyframe = keyframe,
			      .boot_id = {1}};
	auto_buf struct buf body = BUF_INIT(1 << 20);
	auto_arena struct arena arena;
	struct delta_encoder e;

	arena_init(&arena, 4 << 20);
	if (keyframe) {
		announce(born, a->host);
		t.born = born;
		t.n_born = FLEET_PROCESSES;
	}
	bench_must(delta_begin(&e, &a->state, &arena, &t, FLEET_PROCESSES,
			       (const size_t[DELTA_KINDS]){0}),
		   "a tick");
	for (uint32_t i = 0; i < FLEET_PROCESSES; i++) {
		fleet_step(&a->fleet[i]);
		delta_process(&e, i, a->fleet[i].v);
	}
	bench_must(delta_finish(&e, &body), "a tick");
	wire_batch_begin(batch, a->epoch);
	wire_batch_add(batch, (uint64_t)++a->seq, WIRE_TICK, body.data, body.len);
}
