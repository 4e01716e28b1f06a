/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject WHAT PID TIMES - has something done in a process again and again, as fast as it goes,
 *without policy, journal and rests between: 'trim', or 'script', a line of Python that counts
 *itself in sys.__dict__['_memherd_ran']. Ends with one line of JSON, also when the process ends
 *before:
 *
 *	{"runs":N,"done":N,"later":N,"taken_back":N,"unknown":N,"failed":N,"alive":true,"first":"..."}
 *
 * later: no safe point was come by. taken_back: queued, did not run and never will. unknown: it may
 * have been done. first: what the first that was not done said.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/act/inject/inject.h"
#include "agent/act/process.h"
#include "agent/act/script.h"
#include "common/str.h"

#define COUNT                                                                      \
	"import sys\n"                                                             \
	"sys.__dict__['_memherd_ran'] = sys.__dict__.get('_memherd_ran', 0) + 1\n" \
	"lines.append('ok\\t1')\n"

struct counts {
	int64_t done;
	int64_t later;
	int64_t taken_back;
	int64_t unknown;
	int64_t failed;
	struct error first;
};

static int trim(const struct process *p, struct error *err)
{
	const struct inject_order o = {.pid = p->pid, .start_ticks = p->start_ticks};
	struct inject_report r = {0};

	return inject_trim(&o, &r, err);
}

static int script(const struct process *p, bool *running, struct error *err)
{
	static const struct script count = {.source = COUNT, .args = "()"};
	auto_buf struct buf answer = BUF_INIT(SCRIPT_ANSWER + 1);
	struct script_report r = {0};
	int rc = script_run(p, &count, &answer, &r, err);

	*running = r.running || rc == -ECHILD;
	return rc;
}

static void count(struct counts *c, int rc, bool running, const struct error *err)
{
	if (rc == 0)
		c->done++;
	else if (running)
		c->unknown++;
	else if (rc == -EAGAIN)
		c->later++;
	else if (rc == -ETIMEDOUT)
		c->taken_back++;
	else
		c->failed++;
	if (rc < 0 && !*c->first.msg)
		c->first = *err;
}

int main(int argc, char **argv)
{
	struct counts c = {0};
	auto_process struct process p = {.pidfd = -1};
	char safe[sizeof(c.first.msg)];
	struct error err = {""};
	int64_t pid;
	int64_t times;
	int64_t i;

	if (argc != 4 || (strcmp(argv[1], "trim") != 0 && strcmp(argv[1], "script") != 0) ||
	    str_parse_int(argv[2], &pid) < 0 || str_parse_int(argv[3], &times) < 0) {
		fprintf(stderr, "inject trim|script PID TIMES\n");
		return 2;
	}
	if (process_open((pid_t)pid, &p, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 4;
	}
	for (i = 0; i < times && process_alive(&p); i++) {
		bool running = false;
		int rc = *argv[1] == 't' ? trim(&p, &err) : script(&p, &running, &err);

		count(&c, rc, running, &err);
	}
	for (char *q = c.first.msg; *q; q++)
		if (*q == '"' || *q == '\\')
			*q = '\'';
	str_safe(safe, sizeof(safe), c.first.msg, strlen(c.first.msg));
	printf("{\"runs\":%lld,\"done\":%lld,\"later\":%lld,\"taken_back\":%lld,\"unknown\":%lld,"
	       "\"failed\":%lld,\"alive\":%s,\"first\":\"%s\"}\n",
	       (long long)i, (long long)c.done, (long long)c.later, (long long)c.taken_back,
	       (long long)c.unknown, (long long)c.failed, process_alive(&p) ? "true" : "false",
	       safe);
	return 0;
}
