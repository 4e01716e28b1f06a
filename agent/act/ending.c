/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/ending.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#define TEXT_MAX  8192
#define PATH_SIZE 1100

struct one {
	int pid;
	uint64_t start_ticks;
};

struct all {
	char path[PATH_SIZE];
	struct one at[ENDING_MAX];
	size_t n;
};

/* Is the one still there? A pid and a start time of another boot are nobody's, or as good as. */
static bool lives(const struct one *o, pid_t *ret_parent)
{
	auto_process struct process p = {.pidfd = -1};

	if (process_open(o->pid, &p, NULL) < 0 || p.start_ticks != o->start_ticks ||
	    p.state == 'Z' || p.state == 'X')
		return false;
	*ret_parent = p.parent;
	return true;
}

static int load(struct all *a, const char *journal, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	char *rest;
	int rc;

	a->n = 0;
	snprintf(a->path, sizeof(a->path), "%.1000s.ending", journal);
	if (access(a->path, F_OK) < 0)
		return 0;
	rc = fs_check_root_owned(a->path, err);
	if (rc == 0)
		rc = fs_read(a->path, &text, err);
	if (rc < 0 || !text.len)
		return rc;
	buf_putc(&text, '\0');
	rest = (char *)text.data;
	for (char *line; (line = strsep(&rest, "\n"));) {
		struct one o;

		if (!*line)
			continue;
		if (a->n == ENDING_MAX || sscanf(line, "%d %" SCNu64, &o.pid, &o.start_ticks) != 2)
			return error_set(err, -EBADMSG, "'%s': '%.60s' is no worker", a->path,
					 line);
		a->at[a->n++] = o;
	}
	return 0;
}

int ending_check(const char *journal, pid_t master, struct error *err)
{
	struct all a;
	int rc = load(&a, journal, err);

	for (size_t i = 0; rc == 0 && i < a.n; i++) {
		pid_t parent;

		if (lives(&a.at[i], &parent) && parent == master)
			rc = error_set(err, -EBUSY,
				       "worker %d of the same master was told to end and has not "
				       "yet; one is replaced at a time",
				       a.at[i].pid);
	}
	return rc;
}

int ending_note(const char *journal, const struct process *worker, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	struct all a;
	size_t first;
	int rc = load(&a, journal, err);

	if (rc < 0)
		return rc;
	first = a.n == ENDING_MAX;
	for (size_t i = first; i < a.n; i++) {
		pid_t parent;

		if (lives(&a.at[i], &parent))
			buf_printf(&text, "%d %" PRIu64 "\n", a.at[i].pid, a.at[i].start_ticks);
	}
	buf_printf(&text, "%d %" PRIu64 "\n", (int)worker->pid, worker->start_ticks);
	return fs_write(a.path, 0600, text.data, text.len, err);
}
