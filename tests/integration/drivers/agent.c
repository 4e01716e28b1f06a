/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent CONFIG - memherd-agent's supervisor and link, with a sense that produces what lines on
 * stdin order:
 *
 *   ticks N    N keyframes of some 50 KB, each of PROCESSES processes
 *   events N | kills N | postures N
 *   old-kills N    kills found in a log, two hours after
 *
 * and says 'ok' on stdout when link's socket has taken them.
 * One that is started again produces a keyframe and an event first, as the real one does. At the
 * end of stdin it waits for SIGTERM.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/agent.h"
#include "agent/link/process.h"
#include "agent/record.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/wire.h"

#define PROCESSES 100
#define HOSTILE   "evil) x,pid=1 <b>"

static const uint8_t boot_id[16] = {1, 2, 3, 4};

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

static bool put_tick(int fd)
{
	static char cmdline[WIRE_CMDLINE_MAX + 1];
	struct wire_process born[PROCESSES];
	struct wire_tick m = {.t_wall_us = clock_wall_us(),
			      .t_boot_us = (uint64_t)clock_boot_us(),
			      .interval_ms = 1000,
			      .keyframe = true,
			      .born = born,
			      .n_born = PROCESSES};
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);

	memset(cmdline, 'x', WIRE_CMDLINE_MAX);
	memcpy(m.boot_id, boot_id, sizeof(boot_id));
	for (uint32_t i = 0; i < PROCESSES; i++)
		born[i] = (struct wire_process){.id = i,
						.pid = 1000 + i,
						.start_ticks = 7,
						.comm = "made-up",
						.cmdline = cmdline,
						.exe = "",
						.cgroup = "",
						.service = "",
						.container = ""};
	wire_pack_tick(&b, &m);
	return put(fd, RECORD_TICK, &b);
}

static bool put_event(int fd)
{
	const struct wire_event m = {.t_wall_us = clock_wall_us(),
				     .kind = WIRE_EVENT_MEMORY,
				     .text = "made up"};
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);

	wire_pack_event(&b, &m);
	return put(fd, RECORD_EVENT, &b);
}

static struct wire_party party(uint32_t pid, const char *comm, const char *service)
{
	struct wire_party p = {.pid = pid,
			       .start_ticks = 7,
			       .uid = 33,
			       .comm = comm,
			       .service = service,
			       .container = ""};

	for (size_t i = 0; i < KILL_FIGURE_COUNT; i++)
		p.v[i] = KILL_ABSENT;
	return p;
}

/* Of a cgroup of 512 MiB: a worker is killed, its master asked last, a third one had grown. */
static bool put_kill_of(int fd, int64_t t_wall_us, bool replayed)
{
	static const char *advice[] = {"raise the limit"};
	static uint64_t seq;
	struct wire_party grower = party(1002, "grower", "shop");
	struct wire_kill m = {.t_wall_us = t_wall_us,
			      .seq = ++seq,
			      .cause = KILL_CAUSE_KERNEL_MEMCG,
			      .confidence = KILL_CONFIDENCE_CERTAIN,
			      .complete = true,
			      .replayed = replayed,
			      .victim = party(1000, HOSTILE, "shop"),
			      .trigger = party(1001, "master", "shop"),
			      .growers = &grower,
			      .n_growers = replayed ? 0 : 1,
			      .victim_cgroup = "/a",
			      .limit_cgroup = "/a",
			      .limit_owner = "shop-1",
			      .advice = advice,
			      .n_advice = 1,
			      .verdict = "made up: " HOSTILE " had to go"};
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);

	memcpy(m.boot_id, boot_id, sizeof(boot_id));
	for (size_t i = 0; i < KILL_TOTAL_COUNT; i++)
		m.v[i] = KILL_ABSENT;
	m.v[KILL_TOTAL_LIMIT] = m.v[KILL_TOTAL_USAGE] = 512 * 1024;
	m.victim.v[KILL_FIGURE_RSS] = 100 * 1024;
	grower.v[KILL_FIGURE_RSS] = 300 * 1024;
	grower.v[KILL_FIGURE_GROWN_10M] = 200 * 1024;
	wire_pack_kill(&b, &m);
	return put(fd, RECORD_KILL, &b);
}

static bool put_kill(int fd)
{
	return put_kill_of(fd, clock_wall_us(), false);
}

static bool put_old_kill(int fd)
{
	return put_kill_of(fd, clock_wall_us() - 2 * 3600 * USEC_PER_SEC, true);
}

static bool put_posture(int fd)
{
	const struct wire_posture m = {.t_wall_us = clock_wall_us()};
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);

	wire_pack_posture(&b, &m);
	return put(fd, RECORD_POSTURE, &b);
}

static const struct {
	const char *word;
	bool (*put)(int fd);
} orders[] = {
	{"ticks", put_tick},         {"events", put_event},     {"kills", put_kill},
	{"old-kills", put_old_kill}, {"postures", put_posture},
};

static bool obey(int fd, const char *line)
{
	char word[16];
	unsigned n;

	if (sscanf(line, "%15s %u", word, &n) != 2)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		if (strcmp(orders[i].word, word) != 0)
			continue;
		while (n && orders[i].put(fd))
			n--;
		return n == 0;
	}
	return false;
}

static int told_sense(const struct agent_options *o unused_arg, const struct sense_fds *fds)
{
	char line[128];

	setvbuf(stdin, NULL, _IONBF, 0); /* what one sense reads ahead, its successor lacks */
	if (!put_tick(fds->link) || !put_event(fds->link))
		return EXIT_FAILURE;
	while (fgets(line, sizeof(line), stdin)) {
		if (!obey(fds->link, line))
			return EXIT_FAILURE;
		puts("ok");
		fflush(stdout);
	}
	pause();
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct agent_parts parts = {.sense = told_sense, .link = link_run};
	struct agent_options o = {0};
	struct error err = {""};
	int rc = argc == 2 ? conf_defaults(&agent_options_table, &o, &err) : -EINVAL;

	if (rc == 0)
		rc = conf_load(&agent_options_table, &o, argv[1], &err);
	if (rc == 0) {
		log_init("agent", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
		rc = agent_run(&o, &parts, &err);
	}
	if (rc < 0)
		fprintf(stderr, "agent: %s\n", *err.msg ? err.msg : strerror(-rc));
	conf_fini(&agent_options_table, &o);
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
