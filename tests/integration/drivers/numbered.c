/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numbered CONFIG FILE RATE PROCESSES - memherd-agent's supervisor and link, with a sense that
 * produces RATE numbered events a second, and with every TICK_EACH-th a keyframe of PROCESSES
 * processes whose memory is that number. Event n says 'n=N c=C', C made of N, so that what is
 * stored can be judged.
 *
 * FILE is the truth: 'N' on a line before event N goes to link's socket, '+' when it is in there. A
 * sense that is killed leaves at most its last number without '+'; its successor goes on behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/link/process.h"
#include "agent/record.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/wire.h"

#define TICK_EACH     5
#define PROCESSES_MAX 500
#define FACTOR        2654435761u

static const uint8_t boot_id[16] = {1, 2, 3, 4};
static const char *file;
static unsigned rate;
static unsigned processes;

/* False when link is gone. */
static bool put(int fd, enum record_kind kind, const struct buf *b)
{
	struct record_head h = {.len = (uint32_t)b->len,
				.kind = (uint16_t)kind,
				.flags = kind == RECORD_TICK ? RECORD_KEYFRAME : 0,
				.t_wall_us = clock_wall_us()};

	if (buf_status(b) < 0)
		return false;
	return send(fd, &h, sizeof(h), MSG_NOSIGNAL) == (ssize_t)sizeof(h) &&
	       send(fd, b->data, b->len, MSG_NOSIGNAL) == (ssize_t)b->len;
}

static bool put_event(int fd, uint32_t n)
{
	char text[64];
	const struct wire_event m = {.t_wall_us = clock_wall_us(),
				     .kind = WIRE_EVENT_MEMORY,
				     .text = text};
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);

	snprintf(text, sizeof(text), "n=%" PRIu32 " c=%" PRIu32, n, n * FACTOR);
	wire_pack_event(&b, &m);
	return put(fd, RECORD_EVENT, &b);
}

static bool put_tick(int fd, uint32_t n)
{
	static struct wire_process born[PROCESSES_MAX];
	static uint32_t ids[PROCESSES_MAX];
	static int64_t values[PROCESSES_MAX];
	struct wire_column rss = {.metric = METRIC_RSS,
				  .ids = ids,
				  .deltas = values,
				  .n = processes};
	struct wire_tick m = {.t_wall_us = clock_wall_us(),
			      .t_boot_us = (uint64_t)clock_boot_us(),
			      .interval_ms = 1000,
			      .keyframe = true,
			      .born = born,
			      .n_born = processes,
			      .columns = &rss,
			      .n_columns = 1};
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);

	memcpy(m.boot_id, boot_id, sizeof(boot_id));
	for (uint32_t i = 0; i < processes; i++) {
		born[i] = (struct wire_process){.id = i,
						.pid = 1000 + i,
						.start_ticks = 7,
						.comm = "numbered",
						.cmdline = "numbered --of-a-driver --with-a-line",
						.exe = "",
						.cgroup = "",
						.service = "",
						.container = ""};
		ids[i] = i;
		values[i] = n;
	}
	wire_pack_tick(&b, &m);
	return put(fd, RECORD_TICK, &b);
}

/* The number that was begun last, 0 for none. */
static uint32_t last_begun(void)
{
	FILE *f = fopen(file, "re");
	uint32_t n = 0;
	char line[32];

	while (f && fgets(line, sizeof(line), f))
		if (*line != '+')
			n = (uint32_t)strtoul(line, NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static bool note(int log, const char *line)
{
	size_t len = strlen(line);

	return write(log, line, len) == (ssize_t)len;
}

static bool produce(int fd, int log, uint32_t n)
{
	char line[32];

	snprintf(line, sizeof(line), "%" PRIu32 "\n", n);
	if (!note(log, line) || !put_event(fd, n) || !note(log, "+\n"))
		return false;
	return n % TICK_EACH || put_tick(fd, n);
}

static int numbering_sense(const struct agent_options *o unused_arg, const struct sense_fds *fds)
{
	const struct timespec gap = {.tv_nsec = 1000000000L / rate};
	int log = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
	uint32_t n = last_begun();

	if (log < 0)
		return EXIT_FAILURE;
	while (produce(fds->link, log, ++n))
		nanosleep(&gap, NULL);
	close(log);
	return EXIT_FAILURE;
}

static int run(const char *conf)
{
	static const struct agent_parts parts = {.sense = numbering_sense, .link = link_run};
	struct agent_options o = {0};
	struct error err = {""};
	int rc = conf_defaults(&agent_options_table, &o, &err);

	if (rc == 0)
		rc = conf_load(&agent_options_table, &o, conf, &err);
	if (rc == 0) {
		log_init("agent", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
		rc = agent_run(&o, &parts, &err);
	}
	if (rc < 0)
		fprintf(stderr, "numbered: %s\n", *err.msg ? err.msg : strerror(-rc));
	conf_fini(&agent_options_table, &o);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 5) {
		file = argv[2];
		rate = (unsigned)strtoul(argv[3], NULL, 10);
		processes = (unsigned)strtoul(argv[4], NULL, 10);
	}
	if (rate < 2 || processes > PROCESSES_MAX) {
		fprintf(stderr, "usage: numbered CONFIG FILE RATE(2..) PROCESSES(..%d)\n",
			PROCESSES_MAX);
		return 2;
	}
	return run(argv[1]);
}
