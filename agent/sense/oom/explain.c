/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

/* A sentence that grows in a buffer of fixed size; what does not fit is cut. */
struct words {
	char *out;
	size_t size;
	size_t len;
};

static void say(struct words *w, const char *fmt, ...) printf_like(2, 3);
static void say(struct words *w, const char *fmt, ...)
{
	char part[2 * EXPLAIN_SENTENCE_SIZE];
	va_list ap;

	if (w->len + 1 >= w->size)
		return;
	va_start(ap, fmt);
	vsnprintf(part, sizeof(part), fmt, ap);
	va_end(ap);
	/* vsnprintf may cut inside a character; this does not. */
	w->len += str_safe(w->out + w->len, w->size - w->len, part, strlen(part));
}

static void say_raw(struct words *w, const char *raw)
{
	if (w->len + 1 < w->size)
		w->len += str_safe(w->out + w->len, w->size - w->len, raw, strnlen(raw, 200));
}

static void say_size(struct words *w, int64_t kib)
{
	char text[STR_UNIT_SIZE];

	kib = MAX_OF(MIN_OF(kib, INT64_MAX / 1024), 0);
	say(w, "%s", str_bytes(text, kib * 1024));
}

static void say_process(struct words *w, const char *comm, int64_t pid, const char *service)
{
	if (*comm)
		say_raw(w, comm);
	else
		say(w, "a process");
	if (pid != METRIC_ABSENT)
		say(w, " (pid %" PRId64, pid);
	if (service && *service)
		say(w, "%s%s", pid != METRIC_ABSENT ? ", " : " (", service);
	if (pid != METRIC_ABSENT || (service && *service))
		say(w, ")");
}

/* ' (39 MiB anonymous)': what filled the cgroup, when it is the greater part. */
static void say_filling(struct words *w, const struct oom_kill *k)
{
	static const struct {
		enum oom_stat stat;
		const char *word;
	} rows[] = {{OOM_STAT_ANON, "anonymous"},
		    {OOM_STAT_SHMEM, "shared memory and tmpfs"},
		    {OOM_STAT_FILE, "file cache"},
		    {OOM_STAT_KERNEL, "of the kernel"},
		    {OOM_STAT_SLAB, "kernel slab"}};
	int best = -1;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (k->stat[rows[i].stat] > 0 &&
		    (best < 0 || k->stat[rows[i].stat] > k->stat[rows[best].stat]))
			best = (int)i;
	if (best < 0)
		return;
	say(w, " (");
	say_size(w, k->stat[rows[best].stat]);
	say(w, " %s)", rows[best].word);
}

static void say_memcg(struct words *w, const struct oom_kill *k)
{
	say(w, " because ");
	if (*k->limit_cgroup)
		say_raw(w, k->limit_cgroup);
	else
		say(w, "its memory cgroup");
	say(w, " reached its limit");
	if (k->limit != METRIC_ABSENT) {
		say(w, " of ");
		say_size(w, k->limit);
	}
	say_filling(w, k);
}

static void say_host(struct words *w, const struct oom_kill *k)
{
	say(w, " because the host had no memory left");
	if (k->host[OOM_HOST_FREE] == METRIC_ABSENT)
		return;
	say(w, " (");
	say_size(w, k->host[OOM_HOST_FREE]);
	say(w, " free");
	if (k->host[OOM_HOST_TOTAL_SWAP] == 0)
		say(w, ", no swap");
	else if (k->host[OOM_HOST_FREE_SWAP] != METRIC_ABSENT) {
		say(w, ", ");
		say_size(w, k->host[OOM_HOST_FREE_SWAP]);
		say(w, " of swap free");
	}
	say(w, ")");
}

static void say_why(struct words *w, const struct oom_kill *k)
{
	switch (k->scope) {
	case OOM_SCOPE_MEMCG:
		say_memcg(w, k);
		return;
	case OOM_SCOPE_GLOBAL:
	case OOM_SCOPE_ALLOCATING:
		say_host(w, k);
		return;
	case OOM_SCOPE_CPUSET:
	case OOM_SCOPE_MEMPOLICY:
	case OOM_SCOPE_SYSRQ:
		say(w, ": %s", oom_scope_help(k->scope));
		return;
	case OOM_SCOPE_UNKNOWN:
	case OOM_SCOPE_COUNT:
	default:
		say(w, "; its log does not say whose memory had run out");
	}
}

static void say_growth(struct words *w, const struct explain_facts *f)
{
	char span[STR_UNIT_SIZE];

	if (f->grown_kib <= 0)
		return;
	say(w, ", by ");
	say_size(w, f->grown_kib);
	if (f->grown_seconds > 0)
		say(w, " in %s", str_duration(span, f->grown_seconds * 1000000));
}

/* Who asked for memory last, and who had grown: often two, and often neither is the victim. */
static void say_others(struct words *w, const struct oom_kill *k, const struct explain_facts *f)
{
	bool trigger = k->complete && *k->trigger.comm && k->scope != OOM_SCOPE_SYSRQ;
	bool same = trigger && f->grower && f->grower_pid && f->grower_pid == k->trigger.pid;

	if (trigger) {
		say(w, "; ");
		say_process(w, k->trigger.comm, k->trigger.pid, NULL);
		say(w, " triggered it");
	}
	if (!f->grower)
		return;
	if (same) {
		say(w, " and had grown most");
	} else {
		say(w, "; %s", f->grower);
		if (f->grower_service)
			say(w, " of %s", f->grower_service);
		say(w, " had grown most");
	}
	say_growth(w, f);
}

size_t explain_kill(char *out, size_t size, const struct oom_kill *k, const struct explain_facts *f)
{
	struct words w = {out, size, 0};

	if (!size)
		return 0;
	*out = '\0';
	say(&w, "The kernel killed ");
	say_process(&w, k->comm, k->pid, f->victim_service);
	if (k->group_member) {
		say(&w, " along with its cgroup");
		if (*k->limit_cgroup) {
			say(&w, ": ");
			say_raw(&w, k->limit_cgroup);
			say(&w, " had no memory left");
		}
		say(&w, " and memory.oom.group is set");
	} else {
		say_why(&w, k);
		say_others(&w, k, f);
	}
	say(&w, ".");
	return w.len;
}

/* ---- advice: each says its sentence, or nothing when it does not apply ---- */

static bool on_host(const struct oom_kill *k)
{
	return k->scope == OOM_SCOPE_GLOBAL || k->scope == OOM_SCOPE_ALLOCATING;
}

static void advise_limit_of_grower(struct words *w, const struct oom_kill *k,
				   const struct explain_facts *f)
{
	if (!on_host(k) || !f->grower || !f->grower_unlimited)
		return;
	say(w,
	    "%s had no memory limit and took the host: a limit (MemoryMax=, docker run -m) would "
	    "have kept the kill inside it.",
	    f->grower_service ? f->grower_service : f->grower);
}

static void advise_tmpfs(struct words *w, const struct oom_kill *k,
			 const struct explain_facts *f unused_arg)
{
	int64_t shmem = k->stat[OOM_STAT_SHMEM];

	if (k->scope != OOM_SCOPE_MEMCG || k->limit <= 0 || shmem < k->limit / 4)
		return;
	say(w, "Shared memory and tmpfs hold ");
	say_size(w, shmem);
	say(w, " of the limit and cannot be reclaimed: give /dev/shm and tmpfs mounts a size.");
}

static void advise_kernel(struct words *w, const struct oom_kill *k,
			  const struct explain_facts *f unused_arg)
{
	int64_t kernel = MAX_OF(k->stat[OOM_STAT_KERNEL], k->stat[OOM_STAT_SLAB]);

	if (k->scope != OOM_SCOPE_MEMCG || k->limit <= 0 || kernel < k->limit / 4)
		return;
	say(w, "The kernel's own memory for this cgroup is ");
	say_size(w, kernel);
	say(w, ": look for many open files, sockets or small files before you raise the limit.");
}

/* The limit is small for what its processes need: the victim alone filled most of it. */
static void advise_raise(struct words *w, const struct oom_kill *k,
			 const struct explain_facts *f unused_arg)
{
	int64_t anon = k->stat[OOM_STAT_ANON];

	if (k->scope != OOM_SCOPE_MEMCG || k->limit <= 0 || anon < k->limit / 2)
		return;
	say(w, "Memory that cannot be reclaimed filled the limit: below about ");
	say_size(w, MIN_OF(k->limit, INT64_MAX / 8) / 4 * 5);
	say(w, " it will happen again unless the process is kept smaller; restart it before it "
	       "grows that far.");
}

static void advise_high(struct words *w, const struct oom_kill *k,
			const struct explain_facts *f unused_arg)
{
	int64_t cache = k->stat[OOM_STAT_INACTIVE_FILE];

	if (k->scope != OOM_SCOPE_MEMCG || k->limit <= 0 || cache < k->limit / 4)
		return;
	say(w, "File cache still held ");
	say_size(w, cache);
	say(w, " of the limit: reclaim could not keep up; memory.high below the limit slows the "
	       "writer down instead of killing it.");
}

static void advise_swap(struct words *w, const struct oom_kill *k, const struct explain_facts *f)
{
	bool none = k->host[OOM_HOST_TOTAL_SWAP] == 0 ||
		    (f->host_total_kib > 0 && f->swap_total_kib == 0);

	if (!on_host(k) || !none)
		return;
	say(w, "The host has no swap: some swap (or zram) takes idle memory and turns a kill into "
	       "slowness that can be seen coming.");
}

static void advise_sshd(struct words *w, const struct oom_kill *k, const struct explain_facts *f)
{
	bool hit = strcmp(k->comm, "sshd") == 0;

	if (!on_host(k) || (!hit && !f->sshd_unprotected))
		return;
	say(w, "%s: OOMScoreAdjust=-900 in its unit keeps the way in open.",
	    hit ? "sshd itself was killed" : "sshd is not protected and may be the next victim");
}

static void advise_adj(struct words *w, const struct oom_kill *k,
		       const struct explain_facts *f unused_arg)
{
	const struct oom_task *row = oom_kill_task(k, k->pid);
	const struct oom_task *most = oom_kill_largest(k);
	int64_t adj = k->victim[OOM_VICTIM_SCORE_ADJ];

	if (!row || !most || row == most || adj == METRIC_ABSENT || adj <= 0 ||
	    most->v[OOM_TASK_RSS] <= row->v[OOM_TASK_RSS])
		return;
	say(w, "It was chosen for its oom_score_adj of %" PRId64 ", not for its size: ", adj);
	say_process(w, most->comm, most->v[OOM_TASK_PID], NULL);
	say(w, " held ");
	say_size(w, most->v[OOM_TASK_RSS]);
	say(w, ".");
}

static void advise_group(struct words *w, const struct oom_kill *k,
			 const struct explain_facts *f unused_arg)
{
	if (!k->group_member)
		return;
	say(w, "memory.oom.group (OOMPolicy=kill) ends the whole cgroup: put helpers that may live "
	       "on into a cgroup of their own.");
}

size_t explain_advice(char out[EXPLAIN_MAX_ADVICE][EXPLAIN_ADVICE_SIZE], const struct oom_kill *k,
		      const struct explain_facts *f)
{
	static void (*const advisers[])(struct words *, const struct oom_kill *,
					const struct explain_facts *) = {
		advise_limit_of_grower, advise_tmpfs, advise_kernel, advise_high,
		advise_raise,           advise_swap,  advise_sshd,   advise_adj,
		advise_group,
	};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(advisers) && n < EXPLAIN_MAX_ADVICE; i++) {
		struct words w = {out[n], EXPLAIN_ADVICE_SIZE, 0};

		*out[n] = '\0';
		advisers[i](&w, k, f);
		n += w.len > 0;
	}
	return n;
}
