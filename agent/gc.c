/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "agent/gc_report.h"
#include "agent/python/pauses.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_DENIED, EXIT_NOT_FOUND, EXIT_COSTLY };

#define SECONDS_DEFAULT 10
#define SECONDS_MAX     300
#define STEP_MS         10 /* a ring holds more than a busy thread tells in that time */
#define PERCENT_MAX     10 /* of a processor, for the target */
#define NS_PER_SEC      1000000000LL

static const char usage[] =
	"usage: memherd-agent gc PID [--seconds N] [--json] [--force]\n"
	"\n"
	"  --seconds N  how long to watch, 1 to 300 (10); Ctrl-C ends it and still prints\n"
	"  --json       one JSON object, with every collection\n"
	"  --force      also when the probes would cost the process more than 10 % of a "
	"processor\n";

struct gc_options {
	pid_t pid;
	int64_t seconds;
	bool json;
	bool force;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number unused_arg)
{
	interrupted = 1;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/* The second signal ends us as ever. Without SA_RESTART: poll shall return. */
static void catch_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	/* a reader that has gone is seen at the end, as an error of writing */
	signal(SIGPIPE, SIG_IGN);
}

/* Some descriptors for each thread. What the hard limit leaves has to do. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)!setrlimit(RLIMIT_NOFILE, &limit);
}

static void read_comm(pid_t pid, char *out, size_t size)
{
	char path[32];
	char text[32];
	int n;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	n = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	if (n > 0 && text[n - 1] == '\n')
		n--;
	str_safe(out, size, text, n > 0 ? (size_t)n : 0);
}

/* ---- watching ---- */

static double percent(double hits_per_second)
{
	return hits_per_second * (PAUSES_COST_NS / 2.0) / NS_PER_SEC * 100;
}

/* Until the time is over, or why earlier. A second at a time, what it costs is looked at. */
static const char *watch(struct pauses *p, const struct gc_options *o)
{
	int64_t end_ns = p->from_ns + o->seconds * NS_PER_SEC;
	int64_t second_ns = p->from_ns;
	uint64_t hits = p->hits;

	for (int64_t now = p->from_ns; now < end_ns; now = now_ns()) {
		if (now - second_ns >= NS_PER_SEC) {
			double rate = (double)(p->hits - hits) * 1e9 / (double)(now - second_ns);

			if (!o->force && percent(rate) > PERCENT_MAX)
				return "cost";
			second_ns = now;
			hits = p->hits;
		}
		if (interrupted)
			return "signal";
		if (pauses_step(p, STEP_MS) == -ESRCH)
			return "process";
	}
	return "time";
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
			"%llu collections have no duration: where a caller's collections end is "
			"learned from its first",
			(unsigned long long)(all->count - all->timed));
	if (p->lost)
		gc_note(r, "%llu records were lost: some collections are missing",
			(unsigned long long)p->lost);
	if (p->not_kept)
		gc_note(r, "%llu collections more are not in these figures",
			(unsigned long long)p->not_kept);
	if (p->too_many_threads)
		gc_note(r, "of the threads the first %u were watched", PAUSES_THREADS_MAX);
	if (strcmp(r->ended, "process") == 0)
		gc_note(r, "the process ended after %.1f s", (double)r->seconds_ns / 1e9);
	if (strcmp(r->ended, "cost") == 0)
		gc_note(r,
			"ended early: the probes would cost more than %d %% of a processor "
			"(--force goes on)",
			PERCENT_MAX);
}

static int report(struct gc_report *r, const struct gc_options *o)
{
	int rc = 0;

	if (o->json)
		rc = gc_report_json(r);
	else
		gc_report_human(r);
	return rc < 0 || fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

static int watch_pauses(struct gc_report *r, const struct gc_options *o, struct pauses *p)
{
	int64_t since_ns = 0;
	unsigned running;

	r->method = p->points.kind == PROBE_USDT ? GC_USDT : GC_FUNCTION;
	str_copy(r->file, sizeof(r->file), p->points.name);
	r->start_ns = p->from_ns;
	r->wall_minus_monotonic_ns = clock_wall_us() * 1000 - now_ns();
	r->ended = watch(p, o);
	r->seconds_ns = now_ns() - p->from_ns;
	running = pauses_finish(p, &since_ns);
	r->cost_percent = percent((double)p->hits * 1e9 / (double)r->seconds_ns);
	r->lost = p->lost;
	r->not_kept = p->not_kept;
	r->pauses = p->kept;
	r->n = p->n;
	if (pause_summarize(p->kept, p->n, r->rows) < 0)
		return EXIT_FAILED;
	note_pauses(r, p, running, since_ns);
	return report(r, o);
}

/* ---- the command ---- */

static int exit_code(int rc)
{
	if (rc == -ESRCH || rc == -ENOENT)
		return EXIT_NOT_FOUND;
	return rc == -EACCES || rc == -EPERM ? EXIT_DENIED : EXIT_FAILED;
}

static int run(const struct gc_options *o)
{
	struct gc_report r = {.pid = (uint32_t)o->pid, .rate_before = -1, .cost_percent = -1};
	struct error err = {""};
	struct pauses p;
	int code;
	int rc;

	read_comm(o->pid, r.comm, sizeof(r.comm));
	catch_signals();
	raise_descriptors();
	rc = pauses_open(&p, o->pid, &err);
	if (rc == 0) {
		code = watch_pauses(&r, o, &p);
	} else {
		fprintf(stderr, "memherd-agent gc: %s\n", err.msg);
		code = exit_code(rc);
	}
	pauses_close(&p);
	return code;
}

static int parse_number(const char *what, const char *text, int64_t max, int64_t *ret,
			struct error *err)
{
	if (str_parse_int(text, ret) < 0 || *ret < 1 || *ret > max)
		return error_set(err, -EINVAL, "%s is a number from 1 to %lld, not '%s'", what,
				 (long long)max, text);
	return 0;
}

static int parse_options(int argc, char **argv, struct gc_options *o, struct error *err)
{
	int rc = 0;

	*o = (struct gc_options){.seconds = SECONDS_DEFAULT};
	for (int i = 1; rc == 0 && i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			o->json = true;
		} else if (strcmp(argv[i], "--force") == 0) {
			o->force = true;
		} else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
			rc = parse_number("--seconds", argv[++i], SECONDS_MAX, &o->seconds, err);
		} else if (argv[i][0] == '-' || o->pid) {
			rc = error_set(err, -EINVAL, "unexpected argument '%s'", argv[i]);
		} else {
			int64_t pid = 0;

			rc = parse_number("a process id", argv[i], 1 << 22, &pid, err);
			o->pid = (pid_t)pid;
		}
	}
	if (rc == 0 && !o->pid)
		rc = error_set(err, -EINVAL, "which process? a PID is missing");
	return rc;
}

int gc_main(int argc, char **argv)
{
	struct gc_options o;
	struct error err;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (parse_options(argc, argv, &o, &err) < 0) {
		fprintf(stderr, "memherd-agent gc: %s\n%s", err.msg, usage);
		return EXIT_USAGE;
	}
	return run(&o);
}
