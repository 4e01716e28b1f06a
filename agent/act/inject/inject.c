/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/inject.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/act/inject/thread.h"
#include "agent/act/inject/worker.h"
#include "agent/act/process.h"
#include "common/clock.h"
#include "common/str.h"

#define FIND_US     (2 * USEC_PER_SEC)
#define RETURN_US   (10 * USEC_PER_SEC)
#define DEADLINE_US (FIND_US + RETURN_US + USEC_PER_SEC)
#define FIND_STEP   5000000 /* ns */
#define RETURN_STEP 1000000
#define TASKS_MAX   4096

struct search {
	const struct inject_order *order;
	struct maps maps;
	struct libc libc;
	struct frame frame;
};

static bool on_still_ours(const void *arg)
{
	const struct inject_order *o = arg;
	uint64_t ticks;

	return process_start_ticks(o->pid, &ticks) == 0 && ticks == o->start_ticks;
}

/* 0 when the thread took it (or would), -EAGAIN to try the next. */
static int try_thread(struct search *s, pid_t tid, struct inject_report *r, struct error *err)
{
	const struct inject_order *o = s->order;
	struct blocked b;
	int rc = thread_look(o->pid, tid, &s->libc, &s->maps, &b);

	if (rc == 0 && !o->look_only)
		rc = thread_send(o->pid, tid, &s->libc, &s->maps, &b, on_still_ours, o, &s->frame,
				 &r->held_us, err);
	if (rc == 0)
		r->tid = tid;
	return rc;
}

static int try_threads(struct search *s, struct inject_report *r, struct error *err)
{
	char path[32];
	struct dirent *d;
	int rc = -EAGAIN;
	int left = TASKS_MAX;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)s->order->pid);
	dir = opendir(path);
	if (!dir)
		return error_set(err, -ESRCH, "process %d is gone", (int)s->order->pid);
	while (rc == -EAGAIN && left-- > 0 && (d = readdir(dir))) {
		int64_t tid;

		if (str_parse_int(d->d_name, &tid) == 0 && tid > 0)
			rc = try_thread(s, (pid_t)tid, r, err);
	}
	closedir(dir);
	return rc;
}

static void pause_ns(long ns)
{
	const struct timespec ts = {.tv_nsec = ns};

	nanosleep(&ts, NULL);
}

static int find_and_send(struct search *s, struct inject_report *r, struct error *err)
{
	int64_t until = clock_boot_us() + FIND_US;
	int rc;

	for (;;) {
		rc = try_threads(s, r, err);
		if (rc != -EAGAIN)
			return rc;
		if (clock_boot_us() >= until)
			return error_set(err, -EAGAIN,
					 "no safe point: no thread waited in a call where malloc "
					 "is free within %lld s; retry later",
					 (long long)(FIND_US / USEC_PER_SEC));
		pause_ns(FIND_STEP);
	}
}

static bool wait_return(const struct search *s, pid_t tid)
{
	int64_t until = clock_boot_us() + RETURN_US;

	while (!thread_is_back(s->order->pid, tid, &s->frame)) {
		if (clock_boot_us() >= until)
			return false;
		pause_ns(RETURN_STEP);
	}
	return true;
}

static int on_worker(const void *arg, void *result, struct error *err)
{
	struct search s = {.order = arg};
	struct inject_report *r = result;
	int rc;

	/* Nothing is freed on the way out: the process ends here. */
	rc = maps_load(s.order->pid, &s.maps, err);
	if (rc == 0)
		rc = libc_check_allocator(&s.maps, err);
	if (rc == 0)
		rc = libc_find(s.order->pid, &s.maps, &s.libc, err);
	if (rc == 0)
		rc = find_and_send(&s, r, err);
	if (rc == 0 && !s.order->look_only)
		r->returned = wait_return(&s, r->tid);
	return rc;
}

int inject_trim(const struct inject_order *o, struct inject_report *ret, struct error *err)
{
#ifdef __x86_64__
	return worker_run(on_worker, o, ret, sizeof(*ret), DEADLINE_US, err);
#else
	(void)o;
	(void)ret;
	return error_set(err, -ENOTSUP, "remote calls are for x86-64 only");
#endif
}
