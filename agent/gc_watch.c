/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gc_watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/python/counters.h"
#include "agent/python/pauses.h"
#include "common/clock.h"
#include "common/str.h"

#define STEP_MS     10 /* a ring holds more than a busy thread tells in that time */
#define RING_MS     2  /* the rings hold 11 young and 3 of each older generation */
#define RATE_NS     NS_PER_SEC
#define PERCENT_MAX 10 /* of a processor, for the target */
#define NS_PER_SEC  1000000000LL
#define NS_PER_MS   1000000LL
/* The counters are read a moment before and after the probes: a few may lie between. */
#define MISSED_FROM 3

struct watch {
	const struct gc_request *q;
	struct gc_report *report;
	struct gc_session *session;
	struct runtime runtime;
	bool readable; /* the counters are */
	struct counters before;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static void sleep_ms(int64_t ms)
{
	struct timespec ts = {.tv_nsec = ms * NS_PER_MS};

	(void)!nanosleep(&ts, NULL);
}

static double percent(double hits_per_second)
{
	return hits_per_second * (PAUSES_COST_NS / 2.0) / NS_PER_SEC * 100;
}

static void begin(struct watch *w, enum gc_method method, int64_t start_ns)
{
	w->report->method = method;
	w->report->start_ns = start_ns;
	w->report->wall_minus_monotonic_ns = clock_wall_us() * 1000 - now_ns();
	fprintf(stderr, "watching process %d by %s for %lld s\n", (int)w->q->pid,
		gc_method_word(method), (long long)w->q->seconds);
}

static void end(struct watch *w, const char *why)
{
	w->report->ended = why;
	w->report->seconds_ns = now_ns() - w->report->start_ns;
}

/* One more look? Else ret_why has the cause. */
static bool goes_on(const struct watch *w, int64_t until_ns, int rc, const char **ret_why)
{
	if (rc < 0)
		*ret_why = "process";
	else if (*w->q->interrupted)
		*ret_why = "signal";
	else if (now_ns() >= until_ns)
		*ret_why = "time";
	else
		return true;
	return false;
}

/* ---- before ---- */

static uint64_t sum(const struct counters *c)
{
	uint64_t n = 0;

	for (unsigned g = 0; g < LAYOUT_GENERATIONS; g++)
		n += c->collections[g];
	return n;
}

/* How often it collects now, without touching it. */
static int measure_rate(struct watch *w, struct error *err)
{
	struct counters c;
	const char *why = NULL;
	int64_t start_ns = now_ns();
	int rc = counters_read(&w->runtime, &c);
	uint64_t first = rc < 0 ? 0 : sum(&c);

	while (goes_on(w, start_ns + RATE_NS, rc, &why)) {
		sleep_ms(STEP_MS);
		rc = counters_read(&w->runtime, &c);
		if (rc == -EAGAIN) /* written just then */
			rc = 0;
	}
	if (rc < 0)
		return error_set(err, rc == -ESHUTDOWN ? -ESRCH : rc,
				 "process %d has ended or runs another program now",
				 (int)w->q->pid);
	w->report->rate_before = (double)(sum(&c) - first) * 1e9 / (double)(now_ns() - start_ns);
	return 0;
}

static int announce(struct watch *w, struct error *err)
{
	double rate = w->report->rate_before;

	if (rate < 0) {
		fputs("its counters cannot be read, so what the probes will cost is not known: "
		      "about "
		      "1.5 % of a processor at 1000 collections/s\n",
		      stderr);
		return 0;
	}
	if (percent(2 * rate) > PERCENT_MAX && !w->q->force)
		return error_set(err, -EDQUOT,
				 "at %.0f collections/s the probes would cost the process about "
				 "%.0f %% of a processor (--force watches all the same)",
				 rate, percent(2 * rate));
	fprintf(stderr,
		"the probes cost the process at most %.2g %% of a processor at %.0f "
		"collections/s\n",
		percent(2 * rate), rate);
	return 0;
}

/* ---- by counters ---- */

static int count_only(struct watch *w, const char *why_not)
{
	struct gc_report *r = w->report;
	struct counters c = {0};
	const char *why = NULL;
	int64_t until_ns;
	int rc = counters_read(&w->runtime, &w->before);

	begin(w, GC_COUNTERS, now_ns());
	until_ns = r->start_ns + w->q->seconds * NS_PER_SEC;
	c = w->before;
	while (goes_on(w, until_ns, rc == -EAGAIN ? 0 : rc, &why)) {
		sleep_ms(STEP_MS);
		rc = counters_read(&w->runtime, &c);
	}
	end(w, why);
	r->rows[PAUSE_ROW_UNKNOWN].collected = -1;
	for (unsigned g = 0; g < PAUSE_GENERATIONS; g++) {
		r->rows[g].count = c.collections[g] - w->before.collections[g];
		r->rows[g].collected = (int64_t)(c.collected[g] - w->before.collected[g]);
		r->rows[PAUSE_ROW_ALL].count += r->rows[g].count;
		r->rows[PAUSE_ROW_ALL].collected += r->rows[g].collected;
	}
	gc_note(r, "counts only, no durations: %s", why_not);
	return 0;
}

/* ---- by the interpreter's own rings ---- */

static int poll_memory(struct watch *w)
{
	struct counters_poll poll = {0};
	const char *why = NULL;
	int64_t until_ns;
	int rc = counters_poll(&poll, &w->runtime, &w->session->list);

	begin(w, GC_MEMORY, now_ns());
	w->session->list.from_ns = w->report->start_ns;
	until_ns = w->report->start_ns + w->q->seconds * NS_PER_SEC;
	while (goes_on(w, until_ns, rc == -EAGAIN ? 0 : rc, &why)) {
		sleep_ms(RING_MS);
		rc = counters_poll(&poll, &w->runtime, &w->session->list);
	}
	end(w, why);
	w->report->lost = poll.lost;
	if (poll.lost)
		gc_note(w->report,
			"%llu collections were overwritten before they were read: they are missing",
			(unsigned long long)poll.lost);
	return pause_summarize(w->session->list.rows, w->session->list.n, w->report->rows);
}

/* ---- by probes ---- */

/* Until the time is over, or why earlier. What it costs is looked at each second. */
static const char *step_pauses(struct watch *w, struct pauses *p)
{
	int64_t until_ns = w->report->start_ns + w->q->seconds * NS_PER_SEC;
	int64_t second_ns = w->report->start_ns;
	uint64_t hits = p->hits;
	const char *why = NULL;
	int rc = 0;

	while (goes_on(w, until_ns, rc == -EINTR ? 0 : rc, &why)) {
		int64_t now = now_ns();

		if (now - second_ns >= NS_PER_SEC) {
			double rate = (double)(p->hits - hits) * 1e9 / (double)(now - second_ns);

			if (!w->q->force && percent(rate) > PERCENT_MAX)
				return "cost";
			second_ns = now;
			hits = p->hits;
		}
		rc = pauses_step(p, STEP_MS);
	}
	return why;
}

/* What the interpreter counted and no probe told. */
static void note_missed(struct watch *w, const struct counters *after)
{
	uint64_t counted = sum(after) - sum(&w->before);
	uint64_t seen = w->report->rows[PAUSE_ROW_ALL].count + w->session->list.not_kept;

	if (counted >= seen + MISSED_FROM && counted > seen + seen / 50)
		gc_note(w->report,
			"the interpreter counts %llu collections more: in threads that began them "
			"at "
			"once, before they were watched",
			(unsigned long long)(counted - seen));
}

static void note_pauses(struct gc_report *r, const struct pauses *p, unsigned running,
			int64_t since_ns)
{
	const struct pause_summary *all = &r->rows[PAUSE_ROW_ALL];

	if (running)
		gc_note(r, "a collection was still running at the end, for %.3f s",
			(double)(r->start_ns + r->seconds_ns - since_ns) / 1e9);
	if (all->timed < all->count)
		gc_note(r,
			"%llu without a duration: where a caller's collections end is learned from "
			"its first",
			(unsigned long long)(all->count - all->timed));
	if (p->lost)
		gc_note(r, "%llu records were lost: some collections are missing",
			(unsigned long long)p->lost);
	if (p->too_many_threads)
		gc_note(r, "not all threads were watched: %u are as many as can be", p->n_threads);
	if (strcmp(r->ended, "cost") == 0)
		gc_note(r,
			"ended early: the probes would cost more than %d %% of a processor "
			"(--force "
			"goes on)",
			PERCENT_MAX);
}

static int watch_probes(struct watch *w, struct pauses *p)
{
	struct gc_report *r = w->report;
	struct counters after;
	int64_t since_ns = 0;
	unsigned running;
	bool counted = w->readable && counters_read(&w->runtime, &w->before) == 0;

	begin(w, p->points.kind == PROBE_USDT ? GC_USDT : GC_FUNCTION, p->kept.from_ns);
	str_copy(r->file, sizeof(r->file), p->points.name);
	end(w, step_pauses(w, p));
	running = pauses_finish(p, &since_ns);
	if (counted && counters_read(&w->runtime, &after) < 0) {
		counted = false;
		if (strcmp(r->ended, "process") != 0)
			gc_note(r, "at the end it ran another program or shut down: what came last "
				   "may be missing");
	}
	w->session->list = p->kept;
	p->kept = (struct pause_list){0};
	r->cost_percent = percent((double)p->hits * 1e9 / (double)r->seconds_ns);
	r->lost = p->lost;
	note_pauses(r, p, running, since_ns);
	if (pause_summarize(w->session->list.rows, w->session->list.n, r->rows) < 0)
		return -ENOMEM;
	if (counted && !p->lost)
		note_missed(w, &after);
	return 0;
}

static bool is_denied(int rc)
{
	return rc == -EACCES || rc == -EPERM || rc == -ENOENT || rc == -ENOSYS || rc == -ENOTSUP ||
	       rc == -EINVAL;
}

static int try_probes(struct watch *w, struct error *err)
{
	struct error why = {""};
	struct pauses *p = &w->session->pauses;
	int rc = announce(w, err);

	if (rc < 0)
		return rc;
	rc = pauses_open(p, w->q->pid, w->readable ? w->runtime.image : 0, &why);
	if (rc == 0)
		rc = watch_probes(w, p);
	else if (w->readable && is_denied(rc))
		rc = count_only(w, why.msg);
	else
		error_set(err, rc, "%s", why.msg);
	return rc;
}

/* A runtime whose memory is not understood may still have probes. */
static bool may_have_probes(enum python_state s)
{
	return s == PYTHON_READABLE || s == PYTHON_UNKNOWN_VERSION || s == PYTHON_UNKNOWN_LAYOUT ||
	       s == PYTHON_FREE_THREADED || s == PYTHON_DEBUG_BUILD;
}

static int refusal(enum python_state s)
{
	if (s == PYTHON_GONE)
		return -ESRCH;
	return s == PYTHON_DENIED ? -EACCES : -ENOTSUP;
}

void gc_session_init(struct gc_session *s)
{
	*s = (struct gc_session){.pauses = {.pidfd = -1, .points = {.file = -1}}};
}

void gc_session_fini(struct gc_session *s)
{
	pause_list_fini(&s->list);
	pauses_close(&s->pauses);
}

int gc_watch(const struct gc_request *q, struct gc_session *session, struct gc_report *ret,
	     struct error *err)
{
	struct watch w = {.q = q, .report = ret, .session = session};
	enum python_state s = runtime_find(q->pid, NULL, &w.runtime, err);
	int rc = 0;

	ret->rate_before = -1;
	ret->cost_percent = -1;
	if (!may_have_probes(s)) {
		error_wrap(err, "process %d", (int)q->pid);
		return refusal(s);
	}
	w.readable = s == PYTHON_READABLE;
	if (w.readable) {
		char version[PYTHON_VERSION_SIZE];

		str_copy(ret->version, sizeof(ret->version),
			 python_version_text(version, w.runtime.version));
		str_copy(ret->file, sizeof(ret->file), w.runtime.file);
		if (counters_have_pauses(&w.runtime))
			return poll_memory(&w);
		rc = measure_rate(&w, err);
	}
	if (rc == 0)
		rc = try_probes(&w, err);
	ret->not_kept = session->list.not_kept;
	if (rc == 0 && session->list.not_kept)
		gc_note(ret, "%llu collections more are not in these figures",
			(unsigned long long)session->list.not_kept);
	return rc;
}
