/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/gc_report.h"
#include "agent/gc_watch.h"
#include "common/fs.h"
#include "common/str.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_DENIED, EXIT_NOT_FOUND, EXIT_COSTLY };

#define SECONDS_DEFAULT 10
#define SECONDS_MAX     300
#define REMOVAL_MS      90 /* a probe, see probe_ring_close() */
#define PROBES_TOLD     20

static const char usage[] =
	"usage: memherd-agent gc PID [--seconds N] [--json] [--force]\n"
	"\n"
	"  --seconds N  how long to watch, 1 to 300 (10); Ctrl-C ends it and still prints\n"
	"  --json       one JSON object, with every collection\n"
	"  --force      also when the probes cost the process more than 10 % of a processor\n";

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

/* The second signal ends us as ever. Without SA_RESTART: what waits shall return. */
static void catch_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
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

static int exit_code(int rc)
{
	if (rc == -EDQUOT)
		return EXIT_COSTLY;
	if (rc == -ESRCH || rc == -ENOENT)
		return EXIT_NOT_FOUND;
	return rc == -EACCES || rc == -EPERM ? EXIT_DENIED : EXIT_FAILED;
}

static int print(const struct gc_report *r, bool json)
{
	int rc = 0;

	if (json)
		rc = gc_report_json(r);
	else
		gc_report_human(r);
	return rc < 0 || fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

/* What was seen is printed already; who waits for the prompt shall know why. */
static void say_removal(unsigned probes)
{
	if (probes >= PROBES_TOLD)
		fprintf(stderr, "taking %u probes out: the kernel needs about %u s\n", probes,
			(probes * REMOVAL_MS + 999) / 1000);
}

static int run(const struct gc_options *o)
{
	const struct gc_request q = {.pid = o->pid,
				     .seconds = o->seconds,
				     .force = o->force,
				     .interrupted = &interrupted};
	struct gc_report r = {.pid = (uint32_t)o->pid};
	struct gc_session session;
	struct error err = {""};
	int code;
	int rc;

	read_comm(o->pid, r.comm, sizeof(r.comm));
	catch_signals();
	raise_descriptors();
	gc_session_init(&session);
	rc = gc_watch(&q, &session, &r, &err);
	pause_list_sort(&session.list);
	r.pauses = session.list.rows;
	r.n = session.list.n;
	if (rc == 0) {
		code = print(&r, o->json);
	} else {
		fprintf(stderr, "memherd-agent gc: %s\n", err.msg);
		code = exit_code(rc);
	}
	say_removal(pauses_probes(&session.pauses));
	gc_session_fini(&session);
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
