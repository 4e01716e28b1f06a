/* SPDX-License-Identifier: Apache-2.0 */
/* Records of /dev/kmsg through the watch into dossiers: whatever the log holds, a receiver takes
 * what is made of it, and it stays below its bound. Records end as in fuzz_kmsg. */
#include <string.h>

#include "agent/sense/oom/dossier.h"
#include "agent/sense/oom/report.h"
#include "tests/fuzz/kmsg_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (100 * (int64_t)1000000)

/* Every third pid is one that is in the ring, every third is new. */
static enum dossier_known on_find(void *arg, int64_t pid, uint32_t *ret_slot)
{
	(void)arg;
	*ret_slot = 0;
	return (enum dossier_known)((uint64_t)pid % 3);
}

static const char *on_cgroup(void *arg, const struct ring_who *who)
{
	(void)arg;
	(void)who;
	return "/a";
}

static bool on_unlimited(void *arg, const struct ring_who *who)
{
	(void)arg;
	return who->pid == 5;
}

static void tell(const struct wire_kill *k)
{
	static struct arena a;
	struct error err;
	struct wire_kill got;
	struct buf b;

	buf_init(&b, 1 << 20);
	wire_pack_kill(&b, k);
	if (buf_status(&b) < 0 || b.len >= DOSSIER_MAX_PACKED)
		abort();
	arena_init(&a, WIRE_BUDGET(b.len));
	if (wire_unpack_kill(&a, b.data, b.len, &got, &err) < 0)
		abort();
	arena_fini(&a);
	buf_fini(&b);
}

static void check_kill(struct oom_kill *k, const char *line)
{
	static const uint8_t boot[16];
	static struct ring ring;
	struct ring_grown *grown;
	struct dossier_facts f = {.kill = k,
				  .boot_id = boot,
				  .seq = k->seq,
				  .now_us = NOW,
				  .ring = &ring,
				  .kills_so_far = 1,
				  .trigger_tgid = METRIC_ABSENT,
				  .lines = &line,
				  .n_lines = 1,
				  .find = on_find,
				  .cgroup = on_cgroup,
				  .unlimited = on_unlimited};
	struct ring_birth b = {
		.pid = 5, .comm = "\xff)", .service = "\xc3", .container = "", .start_ticks = 1};
	struct wire_kill out;
	struct arena a;

	if (ring_init(&ring, &ring_defaults) < 0)
		return;
	ring_round_begin(&ring, NOW - 1000000, 1u << RING_SLOW);
	if (ring_birth(&ring, 0, &b) == 0)
		ring_value(&ring, 0, 1000, 7);
	ring_round_end(&ring);
	dossier_spans(&ring, NOW, f.spans_us);
	arena_init(&a, DOSSIER_ARENA);
	if (ring_growth(&ring, NOW, f.spans_us, &grown, &f.n_grown) == 0) {
		f.grown = grown;
		/* The budget is enough for the worst. */
		if (dossier_make(&a, &f, &out) < 0)
			abort();
		tell(&out);
		free(grown);
	}
	arena_fini(&a);
	ring_fini(&ring);
	oom_kill_fini(k);
}

static void feed(struct oom_watch *w, const uint8_t *p, size_t len)
{
	static struct kmsg_record rec;
	static struct oom_event e;

	if (kmsg_parse(p, len, &rec) == 0 && rec.seq <= INT64_MAX &&
	    oom_watch_feed(w, &rec, 1, &e) && e.kind == OOM_EVENT_KILL)
		check_kill(&e.kill, rec.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kmsg_feed(data, size, feed);
	return 0;
}
