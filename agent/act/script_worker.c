/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/script_worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "agent/act/inject/hold.h"
#include "agent/act/inject/remote.h"
#include "agent/act/interpreter.h"
#include "common/clock.h"
#include "common/sign.h"
#include "common/str.h"

#define STEP_NS    2000000
#define KICK_US    100000 /* it has not begun: is the main thread asleep again? */
#define MAP_TRIES  50
#define BACK_TRIES 100
#define WAKE_TRIES 5
#define SIGNAL_MAX 64
#define RUNNER_TRY 20 /* looks at a main thread that runs, before others are asked */

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/*
 * Where a thread must stand for a call, asked again when it has stopped: between our look and the
 * stop it may have come back from its call and gone on to wait for the GIL, or run.
 */
enum where {
	ANYWHERE,
	IN_CALL, /* not a lock's, and without the GIL: the call takes it */
	IN_LOCK, /* in the wait of a lock, a condition, a semaphore */
};

struct running {
	const struct script_job *job;
	struct script_report *report;
	int64_t start_us;
	int64_t run_us;
	pid_t pid; /* and the id of its first thread */
	struct maps maps;
	struct libc libc;
	struct interpreter in;
	struct page page;
	struct remote remote;
	uint64_t blocked; /* by the main thread, when it was not touched yet */
	bool queues;      /* the thread that is checked runs, and is to queue a call */
	bool runs;        /* ... wherever in the interpreter */
	enum where where; /* must the thread that is checked be */
};

static void pause_ns(long ns)
{
	const struct timespec ts = {.tv_nsec = ns};

	nanosleep(&ts, NULL);
}

/* Asked of each thread that stands still. */
static int on_check(void *arg, const struct tracee_state *s, struct error *err)
{
	const struct running *r = arg;
	uint64_t ticks;

	if (process_start_ticks(r->pid, &ticks) < 0 || ticks != r->job->process->start_ticks)
		return error_set(err, -ESRCH, "process %d is another one now", (int)r->pid);
#ifdef __x86_64__
	if (r->queues && !interpreter_queue_is_free(&r->in))
		return -EAGAIN;
	if (r->runs && !interpreter_may_queue(&r->in, s->regs.rip))
		return -EAGAIN;
	if (r->where != ANYWHERE && (r->where == IN_LOCK) != (s->regs.orig_rax == SYS_futex))
		return -EAGAIN;
	if (r->where == IN_CALL)
		return interpreter_check_main(&r->in, s->regs.fs_base, err);
#else
	(void)s;
#endif
	return 0;
}

/* ---- the page ---- */

static int send_syscall(struct running *r, const struct remote_call *c, struct error *err)
{
	int64_t until = clock_boot_us() + SCRIPT_FIND_US;
	pid_t tid;
	int rc;

	do {
		rc = remote_by_any_sleeper(&r->remote, 0, c, &tid, err);
		if (rc == -EAGAIN)
			rc = remote_by_runner(&r->remote, r->pid, 0, 0, c, err);
		if (rc != -EAGAIN)
			return rc;
		pause_ns(STEP_NS);
	} while (clock_boot_us() < until);
	return error_set(err, -EAGAIN, "no safe point: no thread could be borrowed; retry later");
}

static int make_page(struct running *r, struct error *err)
{
	struct remote_call c = {.is_syscall = true, .nr = SYS_mmap};
	uint64_t address;
	int rc = page_place(&r->maps, &address);

	if (rc < 0)
		return error_set(err, -ENOTSUP, "process %d has no room for a page of ours",
				 (int)r->pid);
	c.args[0] = address;
	c.args[1] = PAGE_BYTES;
	c.args[2] = PROT_READ | PROT_WRITE;
	c.args[3] = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
	c.args[4] = (uint64_t)-1;
	rc = send_syscall(r, &c, err);
	if (rc < 0)
		return rc;
	r->report->queued = true;
	for (int i = 0; i < MAP_TRIES && (rc = page_is_there(r->pid, address)) == -ENOENT; i++)
		pause_ns(STEP_NS);
	if (rc < 0)
		return error_set(err, -ENOTSUP,
				 "process %d may have no more memory, or did not "
				 "come to ask for it",
				 (int)r->pid);
	r->page = (struct page){.pid = r->pid, .address = address};
	return page_write(&r->page, err);
}

static int arm(struct running *r, struct error *err)
{
	char script[PAGE_SCRIPT_MAX];
	uint64_t token = 0;
	int n = snprintf(script, sizeof(script), "ARGS = %s\n%s%s", r->job->script->args,
			 r->job->script->prelude ? r->job->script->prelude : "",
			 r->job->script->source);
	int rc;

	if (n < 0 || (size_t)n >= sizeof(script))
		return error_set(err, -E2BIG, "the script is too long");
	while (!token)
		random_bytes(&token, sizeof(token));
	rc = page_arm(&r->page, hold_pid_there(r->pid), token, script, (size_t)n, err);
	if (rc == 0)
		r->job->shared->page = r->page;
	return rc;
}

/* ---- who runs it ---- */

static bool waits_for_lock(const struct blocked *b)
{
	return b->nr == SYS_futex;
}

static struct remote_call call_pending(const struct running *r, bool interrupt)
{
	return (struct remote_call){
		.args = {r->in.run_simple_string, r->page.address + PAGE_BOOT},
		.steps = {{.fn = r->in.add_pending_call}},
		.n_steps = 1,
		.interrupt = interrupt,
	};
}

/* In a thread that gave the GIL back: PyGILState_Ensure says so (1), and Release is told. */
static struct remote_call call_now(const struct running *r, uint64_t fn, uint64_t arg)
{
	return (struct remote_call){
		.steps = {{.fn = r->in.gil_ensure},
			  {.fn = fn, .arg = arg},
			  {.fn = r->in.gil_release, .arg = 1}},
		.n_steps = 3,
	};
}

static void told(struct running *r, const char *how)
{
	(void)str_copy(r->report->carrier, sizeof(r->report->carrier), how);
}

/*
 * The main thread runs: at first only inside of the eval loop; builds that spread the loop over
 * other functions are given up on that and borrowed anywhere in the interpreter where the lock of
 * pending calls cannot be had.
 */
static int by_runner(struct running *r, int round, const struct remote_call *c, struct error *err)
{
	bool loop = round < RUNNER_TRY && r->in.loop[0];
	const uint64_t *code = loop ? r->in.loop : r->in.text;
	int rc = -EAGAIN;

	r->queues = true;
	r->runs = !loop;
	if (code[1])
		rc = remote_by_runner(&r->remote, r->pid, code[0], code[1], c, err);
	r->queues = r->runs = false;
	return rc;
}

static int by_main(struct running *r, enum where where, const struct remote_call *c,
		   struct error *err)
{
	int rc;

	r->where = where;
	rc = remote_by_sleeper(&r->remote, r->pid, c, err);
	r->where = ANYWHERE;
	return rc;
}

/* The main thread was seen asleep. */
static int by_asleep(struct running *r, const struct blocked *seen, struct error *err)
{
	bool look = r->job->script->look_only;
	struct remote_call c;

	if (waits_for_lock(seen)) {
		told(r, "its main thread, which waits for a lock and is woken");
		c = call_pending(r, true);
		return look ? 0 : by_main(r, IN_LOCK, &c, err);
	}
	told(r, "its main thread, which sleeps in a system call");
	c = call_now(r, r->in.run_simple_string, r->page.address + PAGE_BOOT);
	return look ? 0 : by_main(r, IN_CALL, &c, err);
}

/* One try: 0 when the script is on its way (or would be). What takes the GIL is for the main thread
 * asleep alone: a thread that has it would give it away, one that waits for it wait for itself. */
static int try_once(struct running *r, int round, struct error *err)
{
	const struct remote_call c = call_pending(r, false);
	bool look = r->job->script->look_only;
	struct blocked seen;
	pid_t tid;
	int rc = thread_look(r->pid, r->pid, &r->libc, &r->maps, &seen);

	if (rc == 0)
		rc = by_asleep(r, &seen, err);
	/* it may have woken, or sleep in C with the GIL: others can queue */
	if (rc != -EAGAIN)
		return rc;
	if (hold_state(r->pid, r->pid) == 'R') {
		told(r, "its main thread, between two instructions");
		if (look)
			return 0;
		rc = by_runner(r, round, &c, err);
		if (rc != -EAGAIN)
			return rc;
	}
	if (look || round < RUNNER_TRY / 2)
		return -EAGAIN;
	told(r, "its main thread, as soon as it runs Python");
	return remote_by_any_sleeper(&r->remote, r->pid, &c, &tid, err);
}

static int send_script(struct running *r, struct error *err)
{
	int64_t until = clock_boot_us() + SCRIPT_FIND_US;
	int rc;

	for (int round = 0;; round++) {
		rc = try_once(r, round, err);
		if (rc != -EAGAIN)
			return rc;
		if (clock_boot_us() >= until)
			return error_set(
				err, -EAGAIN,
				"no safe point: its main thread neither ran Python nor "
				"waited where it may be borrowed within %lld s; retry later",
				(long long)(SCRIPT_FIND_US / USEC_PER_SEC));
		pause_ns(STEP_NS);
	}
}

/* The call is queued and the main thread went to sleep, or slept on: what is queued is run by it
 * all the same, once. */
static void kick(struct running *r, int kicks)
{
	struct remote_call c = call_now(r, r->in.make_pending_calls, 0);
	struct blocked seen;

	if (hold_state(r->pid, r->pid) == 'R') {
		/* 3.9 and 3.10 tell the main thread of a queued call only where it queues it. The
		 * second of the two finds the token taken. */
		c = call_pending(r, false);
		(void)!by_runner(r, kicks % 2 ? RUNNER_TRY : 0, &c, NULL);
		return;
	}
	if (thread_look(r->pid, r->pid, &r->libc, &r->maps, &seen) < 0)
		return;
	if (!waits_for_lock(&seen)) {
		(void)!by_main(r, IN_CALL, &c, NULL);
		return;
	}
	r->where = IN_LOCK;
	(void)!remote_wake(&r->remote, r->pid, NULL);
	r->where = ANYWHERE;
}

/* ---- waiting for it ---- */

static int await_end(struct running *r, int64_t limit_us)
{
	int64_t until = clock_boot_us() + limit_us;
	int state;

	while ((state = page_state(&r->page)) == PAGE_RUNS && clock_boot_us() < until)
		pause_ns(STEP_NS);
	return state;
}

static const char *blocked_where(const struct running *r, char *out, size_t size)
{
	char line[256];
	char state = hold_state(r->pid, r->pid);
	struct blocked b;

	if (state == 'R')
		(void)str_copy(out, size, "runs in C code");
	else if (tracee_file(r->pid, r->pid, "syscall", line, sizeof(line)) > 0 &&
		 blocked_parse(line, &b) == 0)
		snprintf(out, size, "is blocked in C, in system call %" PRId64, b.nr);
	else
		snprintf(out, size, "is blocked in C (state %c)", state ? state : '?');
	return out;
}

static int await_start(struct running *r, struct error *err)
{
	int64_t start = clock_boot_us();
	int64_t kick_us = start + KICK_US;
	char where[64];
	int kicks = 0;
	int state;

	while ((state = page_state(&r->page)) == PAGE_ARMED) {
		int64_t now = clock_boot_us();

		if (now >= start + r->start_us)
			break;
		if (now >= kick_us) {
			kick(r, kicks++);
			kick_us = now + KICK_US;
		}
		pause_ns(STEP_NS);
	}
	if (state != PAGE_ARMED)
		return state;
	state = page_disarm(&r->page);
	if (state != PAGE_ARMED)
		return state;
	return error_set(err, -ETIMEDOUT,
			 "queued but not run within %lld s and taken back: the main thread %s",
			 (long long)(r->start_us / USEC_PER_SEC),
			 blocked_where(r, where, sizeof(where)));
}

/*
 * Signals that came meanwhile. One whose handler raised ended our script instead of what the
 * program does: it is sent again. One that waited for the end of the script has met a call that was
 * made anew: the call is told of it now.
 */
static void give_signals_back(struct running *r)
{
	uint64_t again;
	uint64_t pending;

	if (page_signals(&r->page, &again, &pending) < 0 || (!again && !(pending & ~r->blocked)))
		return;
	for (int i = 0; i < BACK_TRIES && tracee_blocked(r->pid, r->pid) != r->blocked; i++)
		pause_ns(STEP_NS);
	/* out of the script, whose last steps could still swallow it */
	pause_ns(STEP_NS * 5);
	if (again && again <= SIGNAL_MAX)
		r->report->again = (int)again;
	for (int i = 0;
	     !again && i < WAKE_TRIES && remote_wake(&r->remote, r->pid, NULL) == -EAGAIN; i++)
		pause_ns(STEP_NS);
}

static int await(struct running *r, struct error *err)
{
	struct script_shared *shared = r->job->shared;
	size_t len = 0;
	int state = await_start(r, err);
	int rc;

	if (state == PAGE_RUNS)
		state = await_end(r, r->run_us);
	r->report->running = state == PAGE_RUNS;
	if (state == -ETIMEDOUT)
		return state;
	if (state == PAGE_RUNS) {
		(void)!page_disarm(&r->page);
		return error_set(err, -ETIMEDOUT,
				 "it runs for more than %lld s; its answer is not waited for",
				 (long long)(r->run_us / USEC_PER_SEC));
	}
	if (state == -ESRCH)
		return error_set(err, state, "process %d ended meanwhile", (int)r->pid);
	if (state != PAGE_DONE)
		return error_set(err, -EPROTO, "the process's answer cannot be read");
	give_signals_back(r);
	rc = page_answer(&r->page, shared->answer, &len);
	shared->answer_len = (uint32_t)len;
	(void)!page_disarm(&r->page);
	return rc < 0 ? error_sys(err, rc, "cannot read the process's answer") : 0;
}

int script_work(const void *arg, void *result, struct error *err)
{
	struct running r = {.job = arg, .report = result};
	int rc;

	/* Nothing is freed on the way out: the process ends here. */
	*r.report = (struct script_report){0};
	r.pid = r.job->process->pid;
	r.start_us = r.job->script->start_us ? r.job->script->start_us : SCRIPT_START_US;
	r.run_us = r.job->script->run_us ? r.job->script->run_us : SCRIPT_RUN_US;
	rc = maps_load(r.pid, &r.maps, err);
	if (rc == 0)
		rc = interpreter_find(r.pid, &r.maps, &r.in, err);
	if (rc == 0)
		rc = libc_find_calls(r.pid, &r.maps, &r.libc, err);
	if (rc < 0)
		return rc;
	r.report->version = r.in.runtime.version;
	r.blocked = tracee_blocked(r.pid, r.pid);
	r.remote = (struct remote){
		.pid = r.pid, .libc = &r.libc, .maps = &r.maps, .check = on_check, .arg = &r};
	if (r.job->script->look_only)
		return send_script(&r, err);
	rc = page_find(r.pid, &r.maps, &r.page);
	if (rc < 0)
		rc = make_page(&r, err);
	if (rc == 0)
		rc = arm(&r, err);
	if (rc == 0) {
		rc = send_script(&r, err);
		r.report->queued |= rc == 0;
		if (rc < 0)
			(void)!page_disarm(&r.page);
	}
	if (rc == 0)
		rc = await(&r, err);
	r.report->held_us = r.remote.held_us;
	return rc;
}
