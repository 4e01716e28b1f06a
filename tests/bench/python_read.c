/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measured side of tests/bench/python. The first line on stdin is the pids of Python processes,
 * each further one a word:
 *   locate  finds the interpreter of each, as if for the first time
 *   read    the collector of each, found before
 *   bare    as many bytes of each, in one system call that does nothing else
 *   round   a whole round of the gathering process over all of /proc, interpreters included
 *   plain   the same without interpreters
 * Each prints the CPU microseconds it took and how many processes it was.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/python/gcstat.h"
#include "agent/python/memory.h"
#include "agent/record.h"
#include "agent/sense/tick.h"
#include "common/clock.h"

#define TARGETS_MAX 20000u

struct target {
	struct runtime runtime;
	uint64_t interpreter;
};

static pid_t pids[TARGETS_MAX];
static struct target targets[TARGETS_MAX];
static unsigned n_targets;

static void take_pids(void)
{
	static char line[TARGETS_MAX * 8];
	char *save = NULL;

	if (!fgets(line, sizeof(line), stdin))
		return;
	for (char *word = strtok_r(line, " \n", &save); word && n_targets < TARGETS_MAX;
	     word = strtok_r(NULL, " \n", &save))
		pids[n_targets++] = (pid_t)strtol(word, NULL, 10);
}

static unsigned locate(void)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n_targets; i++) {
		struct target *t = &targets[i];
		struct error err;

		if (runtime_find(pids[i], NULL, &t->runtime, &err) == PYTHON_READABLE &&
		    runtime_interpreters(&t->runtime, &t->interpreter, 1) == 1)
			found++;
		else
			fprintf(stderr, "python_read: %d: %s\n", (int)pids[i], err.msg);
	}
	return found;
}

static unsigned read_all(void)
{
	unsigned read = 0;
	struct gcstat st;

	for (unsigned i = 0; i < n_targets; i++)
		read += gcstat_read(&targets[i].runtime, targets[i].interpreter, &st) == 0;
	return read;
}

static unsigned read_bare(void)
{
	unsigned read = 0;
	char buf[512];

	for (unsigned i = 0; i < n_targets; i++)
		read += memory_read(pids[i], targets[i].runtime.address, buf, sizeof(buf)) == 0;
	return read;
}

static int begin(struct ticker *t, bool no_python)
{
	const struct ticker_config cfg = {.sampling = {.proc_path = "/proc",
						       .max_processes = 20000,
						       .stat_every = SAMPLER_STAT_EVERY,
						       .full_every = SAMPLER_FULL_EVERY},
					  .no_python = no_python,
					  .interval_us = USEC_PER_SEC,
					  .keyframe_us = 300 * USEC_PER_SEC,
					  .window_us = 1800 * USEC_PER_SEC};
	struct error err;

	if (ticker_init(t, &cfg, &err) < 0) {
		fprintf(stderr, "python_read: %s\n", err.msg);
		return 1;
	}
	return 0;
}

static unsigned one_round(struct ticker *t)
{
	static struct buf body = BUF_INIT(RECORD_MAX_BODY);
	struct error err;
	bool keyframe;

	buf_reset(&body);
	if (ticker_round(t, clock_wall_us(), clock_boot_us(), &body, &keyframe, &err) < 0)
		fprintf(stderr, "python_read: %s\n", err.msg);
	return t->pythons.enabled ? t->pythons.readable : t->sampler.live;
}

int main(void)
{
	static struct ticker with, without;
	char line[16];

	take_pids();
	if (begin(&with, false) || begin(&without, true))
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		int64_t before = clock_cpu_us();
		unsigned n = 0;

		if (strcmp(line, "locate\n") == 0)
			n = locate();
		else if (strcmp(line, "read\n") == 0)
			n = read_all();
		else if (strcmp(line, "bare\n") == 0)
			n = read_bare();
		else if (strcmp(line, "round\n") == 0)
			n = one_round(&with);
		else if (strcmp(line, "plain\n") == 0)
			n = one_round(&without);
		printf("%" PRId64 " %u\n", clock_cpu_us() - before, n);
		fflush(stdout);
	}
	ticker_fini(&with);
	ticker_fini(&without);
	return 0;
}
