/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of the journal on a line of commands: 'journal [dir=D] [library=L] [boot=ID]
 * [lookback=SECONDS] [uid=N] [confined]'. Reads from stdin, one a line:
 *   want 0|1        a program that kills is there or not
 *   poll [AHEAD]    AHEAD seconds are added to the clock; 'budget' entries at most
 *   budget N
 *   memory          KiB of this process
 * Answers with lines that end with one of a single dot:
 *   note KILLER ACT PID SIGNAL COUNT WALL_US COMM<tab>TARGET<tab>REASON   (made printable)
 *   polled RC ENTRIES NOTES FOREIGN ERRORS OPEN [error]
 */
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/sense/oom/journal_watch.h"
#include "common/clock.h"
#include "common/confine.h"
#include "common/str.h"

static const char *const acts[] = {
#define X(NAME, help) #NAME,
	KILLER_ACT_LIST(X)
#undef X
};

static void on_note(const struct killer_note *n, void *arg)
{
	char comm[4 * sizeof(n->comm)];
	char target[4 * sizeof(n->target)];

	(void)arg;
	str_safe(comm, sizeof(comm), n->comm, strlen(n->comm));
	str_safe(target, sizeof(target), n->target, strlen(n->target));
	printf("note %s %s %" PRId64 " %d %" PRId64 " %" PRId64 " %s\t%s\t%s\n",
	       killer_name(n->killer), acts[n->act], n->pid, n->signal, n->count, n->wall_us, comm,
	       target, n->reason);
}

static void poll_once(struct journal_watch *j, long ahead_s, unsigned budget)
{
	const struct journal_watch_counts *c = journal_watch_counts(j);
	struct error err = {.msg = ""};
	int rc = journal_watch_poll(j, clock_wall_us() + ahead_s * USEC_PER_SEC, budget, on_note,
				    NULL, &err);

	printf("polled %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %s\n", rc, c->entries,
	       c->notes, c->foreign, c->errors, c->open, err.msg);
}

static void print_memory(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/smaps_rollup", "r");

	printf("memory");
	while (f && fgets(line, sizeof(line), f))
		if (str_starts(line, "Rss:") || str_starts(line, "Pss:") ||
		    str_starts(line, "Private_Dirty:"))
			printf(" %.*s %ld", (int)strcspn(line, ":"), line,
			       strtol(strchr(line, ':') + 1, NULL, 10));
	printf("\n");
	if (f)
		fclose(f);
}

static void obey(struct journal_watch *j, const char *line, unsigned *budget)
{
	if (str_starts(line, "want "))
		journal_watch_want(j, line[5] == '1');
	else if (str_starts(line, "budget "))
		*budget = (unsigned)strtoul(line + 7, NULL, 10);
	else if (str_starts(line, "poll"))
		poll_once(j, strtol(line + 4, NULL, 10), *budget);
	else if (str_starts(line, "memory"))
		print_memory();
	else
		printf("what is '%s'?\n", line);
	puts(".");
	fflush(stdout);
}

static int run(const struct journal_watch_config *c, bool confined)
{
	struct journal_watch *j = NULL;
	struct error err = {.msg = ""};
	char line[128];
	unsigned budget = 64;
	int rc = confined ? confine(CONFINE_SENSE, &err) : 0;

	if (rc == 0)
		rc = journal_watch_new(c, &j, &err);
	printf("new %d %s\n.\n", rc, err.msg);
	fflush(stdout);
	while (rc == 0 && fgets(line, sizeof(line), stdin))
		obey(j, str_trim(line), &budget);
	journal_watch_free(&j);
	return rc == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct journal_watch_config c = {.lookback_us = 60 * USEC_PER_SEC};
	bool confined = false;

	for (int i = 1; i < argc; i++) {
		const char *value = strchr(argv[i], '=') ? strchr(argv[i], '=') + 1 : "";

		if (str_starts(argv[i], "dir="))
			c.dir = value;
		else if (str_starts(argv[i], "library="))
			c.library = value;
		else if (str_starts(argv[i], "boot="))
			c.boot_id = value;
		else if (str_starts(argv[i], "lookback="))
			c.lookback_us = strtol(value, NULL, 10) * USEC_PER_SEC;
		else if (strcmp(argv[i], "confined") == 0)
			confined = true;
		else if (!str_starts(argv[i], "uid=") || setgroups(0, NULL) < 0 ||
			 setgid((gid_t)strtoul(value, NULL, 10)) < 0 ||
			 setuid((uid_t)strtoul(value, NULL, 10)) < 0)
			return 2;
	}
	return run(&c, confined);
}
