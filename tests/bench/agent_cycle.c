/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measured side of tests/bench/agent, told what to do by lines on stdin:
 *   bare  one openat+read+close loop over every statm: the floor of the method
 *   ours  one whole cycle: scan, read, diff, encode, write to a socket
 *   pss   smaps_rollup of a sixth of the processes, the next sixth each time
 * Each prints the CPU microseconds it took (ours: and the bytes of its tick). 'agent_cycle N' first
 * forks N sleeping children; 'agent_cycle sense [MILLISECONDS]' runs the gathering process itself,
 * with so much between two rounds (1000), for its memory and the CPU time of its loop.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "agent/sense/outbox.h"
#include "agent/sense/procfs.h"
#include "agent/sense/sense.h"
#include "agent/sense/tick.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define PSS_PARTS 6u

static int fail(const char *what)
{
	fprintf(stderr, "agent_cycle: %s: %s\n", what, strerror(errno));
	return 1;
}

/* The least that any reader of /proc must do, written as such a loop would be. */
static int64_t bare_cycle(int proc)
{
	static uint8_t dents[32 * 1024];
	int64_t before = clock_cpu_us();
	ssize_t n;

	lseek(proc, 0, SEEK_SET);
	while ((n = getdents64(proc, dents, sizeof(dents))) > 0) {
		const struct dirent64 *e;

		for (ssize_t pos = 0; pos < n; pos += e->d_reclen) {
			char path[280];
			char text[128];
			int fd;

			e = (const void *)(dents + pos);
			if (e->d_name[0] < '1' || e->d_name[0] > '9')
				continue;
			memcpy(stpcpy(path, e->d_name), "/statm", 7);
			fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				continue;
			if (read(fd, text, sizeof(text)) < 0)
				text[0] = '\0';
			close(fd);
		}
	}
	return clock_cpu_us() - before;
}

struct ours {
	struct ticker ticker;
	struct outbox outbox;
	struct buf body;
	int drain;
};

static int ours_begin(struct ours *o)
{
	const struct ticker_config cfg = {.sampling = {.proc_path = "/proc",
						       .max_processes = 5000,
						       .stat_every = SAMPLER_STAT_EVERY,
						       .full_every = SAMPLER_FULL_EVERY},
					  .interval_us = 10 * USEC_PER_SEC,
					  .keyframe_us = 300 * USEC_PER_SEC,
					  .window_us = 1800 * USEC_PER_SEC};
	struct error err;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return fail("socketpair");
	o->drain = fd[1];
	outbox_init(&o->outbox, fd[0]);
	buf_init(&o->body, RECORD_MAX_BODY);
	if (ticker_init(&o->ticker, &cfg, &err) < 0) {
		fprintf(stderr, "agent_cycle: %s\n", err.msg);
		return 1;
	}
	return 0;
}

static int64_t ours_cycle(struct ours *o)
{
	static char sink[65536];
	int64_t before = clock_cpu_us();
	int64_t wall_us = clock_wall_us();
	struct error err = {""};
	bool keyframe = false;
	int64_t cpu;
	int r;

	buf_reset(&o->body);
	r = ticker_round(&o->ticker, wall_us, clock_boot_us(), &o->body, &keyframe, &err);
	if (r == 0)
		r = outbox_push(&o->outbox, RECORD_TICK, keyframe, wall_us, o->body.data,
				o->body.len);
	if (r == 0)
		r = outbox_flush(&o->outbox);
	cpu = clock_cpu_us() - before;
	if (r < 0)
		fprintf(stderr, "agent_cycle: a cycle failed: %s %s\n", err.msg, strerror(-r));
	/* what link would do is not in the figure */
	do {
		while (read(o->drain, sink, sizeof(sink)) > 0)
			;
	} while (outbox_flush(&o->outbox) == 1);
	return r < 0 ? -1 : cpu;
}

static int64_t pss_cycle(const struct sampler *s)
{
	static uint32_t phase;
	int64_t before = clock_cpu_us();
	int64_t v[PROCFS_ROLLUP_COUNT];
	char buf[2048];

	phase++;
	for (uint32_t id = 0; id < s->tab.high; id++) {
		const struct proc *p = &s->tab.procs[id];
		int n;

		if (!sampler_tells(p) || (id + phase) % PSS_PARTS)
			continue;
		n = procdir_read(&s->dir, p->pid, "smaps_rollup", buf, sizeof(buf));
		procfs_parse_rollup(buf, n < 0 ? 0 : (size_t)n, v);
	}
	return clock_cpu_us() - before;
}

static int spawn_sleepers(int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return fail("fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	return 0;
}

static int run_sense(int64_t interval_ms, int64_t pss)
{
	const struct sense_config cfg = {.interval_us = interval_ms * 1000,
					 .pss_share = (uint32_t)pss};
	char sink[4096];
	int fd[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return fail("socketpair");
	pid = fork();
	if (pid < 0)
		return fail("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fd[0]);
		log_init("sense", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
		_exit(sense_run(&cfg, &(struct sense_fds){fd[1], -1, -1, -1}));
	}
	close(fd[1]);
	printf("%d\n", (int)pid);
	fflush(stdout);
	while (read(fd[0], sink, sizeof(sink)) > 0)
		;
	return 0;
}

static int serve(void)
{
	static struct ours ours;
	char line[16];
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (proc < 0 || ours_begin(&ours))
		return fail("/proc");
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "bare\n") == 0)
			printf("%" PRId64 "\n", bare_cycle(proc));
		else if (strcmp(line, "pss\n") == 0)
			printf("%" PRId64 "\n", pss_cycle(&ours.ticker.sampler));
		else if (strcmp(line, "ours\n") == 0)
			printf("%" PRId64 " %zu %u\n", ours_cycle(&ours), ours.body.len,
			       ours.ticker.sampler.live);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int64_t n = 0;
	int64_t pss = 0;

	if (argc == 4 && strcmp(argv[1], "sense") == 0 && str_parse_int(argv[2], &n) == 0 &&
	    str_parse_int(argv[3], &pss) == 0 && n > 0 && pss >= 0 && pss <= 10000)
		return run_sense(n, pss);
	if (argc != 2 || str_parse_int(argv[1], &n) < 0 || n < 0 || n > 20000) {
		fprintf(stderr, "usage: agent_cycle N | agent_cycle sense MILLISECONDS PSS\n");
		return 2;
	}
	return spawn_sleepers(n) ? 1 : serve();
}
