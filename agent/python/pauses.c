/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/pauses.h"

#include <asm/perf_regs.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/clock.h"
#include "common/str.h"

/* A ring of the first threads: 64 KiB, some 600 hits; of the many: 16 KiB. */
#define PAGES_FEW     16u
#define PAGES_MANY    4u
#define FEW_THREADS   32u
#define UNLEARNED_MS  1
#define SCAN_EVERY_NS (100 * 1000000LL)

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* ---- what is told ---- */

/* Where this caller's collections end is a new place: probe it in all threads, at once. */
static void learn(struct pauses *p, const struct probe_hit *hit)
{
	int r = p->cannot_learn ? 0 : probe_learn_return(&p->points, &hit->state);

	if (r < 0)
		p->cannot_learn = true;
	for (unsigned i = 0; r == 1 && i < p->n_threads; i++) {
		struct probe_ring *ring = &p->threads[i].ring;

		r = p->threads[i].ended ? 0 : probe_ring_extend(ring, p->type, &p->points, NULL);
		if (r == 0 || r == -ESRCH) /* a thread may end meanwhile */
			r = 1;
	}
	if (r < 0)
		p->cannot_learn = true;
	if (r == 1)
		p->learned_ns = now_ns();
}

static void on_hit(struct pauses *p, struct pauses_thread *t, const struct probe_hit *hit)
{
	const struct probe_point *point = probe_at(&p->points, hit->address);
	bool function = p->points.kind == PROBE_FUNCTION;
	uint64_t sp = hit->state.registers[PERF_REG_X86_SP];
	struct pause one;

	p->hits++;
	if (!point)
		return;
	if (point->role == PROBE_START) {
		/* what the frame's pointer will be when the call has returned */
		if (pairing_start(&t->pairing, hit->t_ns, t->ring.tid, sp + (function ? 8 : 0),
				  probe_generation(point, &hit->state), &one))
			pause_list_add(&p->kept, &one);
		if (function)
			learn(p, hit);
		if (function && (p->cannot_learn || hit->t_ns < p->learned_ns))
			pairing_doubt(&t->pairing);
	} else if (pairing_done(&t->pairing, hit->t_ns, function ? sp : PAIRING_ANY_FRAME,
				probe_collected(&p->points, point, &hit->state), &one)) {
		pause_list_add(&p->kept, &one);
	}
}

static void on_record(void *owner, struct probe_ring *ring, enum probe_record what,
		      const struct probe_hit *hit, uint64_t lost)
{
	struct pauses_thread *t = container_of(ring, struct pauses_thread, ring);
	struct pauses *p = owner;

	switch (what) {
	case PROBE_HIT:
		on_hit(p, t, hit);
		break;
	case PROBE_LOST:
		p->lost += lost;
		p->hits += lost;
		pairing_reset(&t->pairing);
		break;
	}
}

static void drain(struct pauses *p)
{
	const struct probe_sink sink = {.owner = p, .on_record = on_record};

	for (unsigned i = 0; i < p->n_threads; i++)
		if (!p->threads[i].ended)
			probe_ring_drain(&p->threads[i].ring, &p->points, &sink);
}

/* ---- threads ---- */

static bool is_watched(const struct pauses *p, pid_t tid)
{
	for (unsigned i = 0; i < p->n_threads; i++)
		if (p->threads[i].ring.tid == tid && !p->threads[i].ended)
			return true;
	return false;
}

static int watch(struct pauses *p, pid_t tid, struct error *err)
{
	unsigned pages = p->n_threads < FEW_THREADS ? PAGES_FEW : PAGES_MANY;
	struct pauses_thread *t = &p->threads[p->n_threads];
	int rc;

	if (p->n_threads == PAUSES_THREADS_MAX ||
	    pauses_probes(p) + p->points.n > PAUSES_PROBES_MAX) {
		p->too_many_threads = true;
		return 0;
	}
	*t = (struct pauses_thread){0};
	rc = probe_ring_open(&t->ring, p->type, tid, &p->points, pages, err);
	if (rc == 0)
		p->n_threads++;
	else
		probe_ring_close(&t->ring);
	return rc == -ESRCH ? 0 : rc; /* it has ended since */
}

/* All threads that are not watched yet. */
static int scan(struct pauses *p, struct error *err)
{
	char path[32];
	struct dirent *d;
	DIR *dir;
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)p->pid);
	dir = opendir(path);
	if (!dir)
		return error_sys(err, errno == ENOENT ? -ESRCH : -errno, "cannot read '%s'", path);
	while (rc == 0 && (d = readdir(dir))) {
		int64_t tid;

		if (str_parse_int(d->d_name, &tid) == 0 && !is_watched(p, (pid_t)tid))
			rc = watch(p, (pid_t)tid, err);
	}
	closedir(dir);
	p->scanned_ns = now_ns();
	return rc;
}

/* ---- the session ---- */

int pauses_open(struct pauses *p, pid_t pid, uint64_t image, struct error *err)
{
	int rc;

	*p = (struct pauses){.pid = pid,
			     .pidfd = -1,
			     .points = {.file = -1},
			     .kept = {.from_ns = INT64_MAX}};
	p->threads = calloc(PAUSES_THREADS_MAX, sizeof(*p->threads));
	if (!p->threads)
		return error_sys(err, -ENOMEM, "cannot watch threads");
	/* before Linux 5.3 there is none: then the missing threads tell of the end */
	p->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p->pidfd < 0 && errno != ENOSYS)
		return error_set(err, -errno, "no process %d", (int)pid);
	p->type = probe_event_type(err);
	rc = p->type < 0 ? p->type : probe_find(pid, image, &p->points, err);
	if (rc == 0)
		rc = scan(p, err);
	/* a thread that was begun by one not yet watched */
	if (rc == 0)
		rc = scan(p, err);
	if (rc == 0 && p->n_threads == 0)
		rc = error_set(err, -ESRCH, "process %d has ended", (int)pid);
	p->kept.from_ns = now_ns();
	return rc;
}

/* The threads' rings, then what tells of their new threads, then the process's end. */
static nfds_t fill_polled(const struct pauses *p, struct pollfd *fds)
{
	unsigned n = p->n_threads;

	for (unsigned i = 0; i < n; i++) {
		const struct pauses_thread *t = &p->threads[i];

		fds[i] = (struct pollfd){.fd = t->ended ? -1 : t->ring.fds[0], .events = POLLIN};
		fds[n + i] =
			(struct pollfd){.fd = t->ended ? -1 : t->ring.births, .events = POLLIN};
	}
	fds[2 * n] = (struct pollfd){.fd = p->pidfd, .events = POLLIN};
	return 2 * n + 1;
}

/* True when threads were begun. */
static bool take_births(struct pauses *p, const struct pollfd *fds, unsigned n)
{
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		if (!(fds[n + i].revents & POLLIN))
			continue;
		probe_ring_take_births(&p->threads[i].ring);
		any = true;
	}
	return any;
}

int pauses_step(struct pauses *p, int timeout_ms)
{
	struct pollfd fds[2 * PAUSES_THREADS_MAX + 1];
	unsigned n = p->n_threads;
	nfds_t n_fds = fill_polled(p, fds);
	int rc = 0;

	/* what begins before the first end is known stays without a duration */
	if (p->points.kind == PROBE_FUNCTION && !p->learned_ns)
		timeout_ms = MIN_OF(timeout_ms, UNLEARNED_MS);
	if (poll(fds, n_fds, timeout_ms) < 0)
		return -errno;
	/* What cannot be watched now is looked for again: a thread is no reason to end. */
	if (take_births(p, fds, n) || now_ns() - p->scanned_ns > SCAN_EVERY_NS)
		rc = scan(p, NULL) == -ESRCH ? -ESRCH : 0;
	drain(p);
	for (unsigned i = 0; i < n; i++) {
		if (!(fds[i].revents & POLLHUP))
			continue;
		probe_ring_unmap(&p->threads[i].ring);
		p->threads[i].ended = true;
	}
	return fds[n_fds - 1].revents ? -ESRCH : rc;
}

unsigned pauses_finish(struct pauses *p, int64_t *ret_since_ns)
{
	unsigned running = 0;

	drain(p);
	for (unsigned i = 0; i < p->n_threads; i++) {
		const struct pairing *open = &p->threads[i].pairing;

		if (!open->depth)
			continue;
		if (open->open[0].doubtful) {
			pause_list_add(&p->kept, &open->open[0].pause);
			continue;
		}
		if (!running || open->open[0].pause.start_ns < *ret_since_ns)
			*ret_since_ns = open->open[0].pause.start_ns;
		running++;
	}
	return running;
}

unsigned pauses_probes(const struct pauses *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_threads; i++)
		n += p->threads[i].ring.n_fds;
	return n;
}

void pauses_close(struct pauses *p)
{
	for (unsigned i = 0; i < p->n_threads; i++)
		probe_ring_close(&p->threads[i].ring);
	p->n_threads = 0;
	if (p->threads)
		probe_fini(&p->points);
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = -1;
	free(p->threads);
	p->threads = NULL;
	pause_list_fini(&p->kept);
}
