/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/script.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/act/inject/worker.h"
#include "agent/act/page.h"
#include "agent/act/script_worker.h"
#include "common/clock.h"
#include "common/str.h"

_Static_assert(SCRIPT_ANSWER == PAGE_ANSWER_MAX, "an answer fits");

#define DEADLINE_US (SCRIPT_FIND_US + SCRIPT_START_US + SCRIPT_RUN_US + 2 * USEC_PER_SEC)

/* The worker died with a call under way: it must not act later. */
static void take_back(const struct script_shared *shared, struct script_report *r)
{
	if (!shared->page.address)
		return;
	r->queued = true;
	r->running = page_disarm(&shared->page) == PAGE_RUNS;
}

static int take_answer(const struct script_shared *shared, struct buf *answer, struct error *err)
{
	char why[256];

	if (shared->answer_len > SCRIPT_ANSWER)
		return error_set(err, -EBADMSG, "the worker's answer is too long");
	buf_reset(answer);
	buf_put(answer, shared->answer, shared->answer_len);
	buf_putc(answer, 0);
	if (buf_status(answer) < 0)
		return error_set(err, -ENOMEM, "no memory for the answer");
	answer->len--;
	if (script_value(answer, "error", why, sizeof(why)))
		return error_set(err, -EPROTO, "the script failed in the process: %s", why);
	return 0;
}

/* One in uninterruptible sleep may be about to wake: the worker waits for that. */
static int check(const struct process *p, struct error *err)
{
	int rc = process_check_traceable(p, err);

	if (rc < 0)
		return rc;
	if (p->state == 'T')
		return error_set(err, -ENOTSUP, "process %d is stopped", (int)p->pid);
	if (p->shadow_stack)
		return error_set(err, -ENOTSUP,
				 "process %d has a shadow stack: a signal frame of ours would end "
				 "it",
				 (int)p->pid);
	return p->wide ? 0
		       : error_set(err, -ENOTSUP,
				   "32-bit program: remote calls are for x86-64 only");
}

int script_run(const struct process *p, const struct script *s, struct buf *answer,
	       struct script_report *ret, struct error *err)
{
	struct script_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct script_job job = {.process = p, .script = s, .shared = shared};
	struct script_report report = {0};
	int rc;

	if (shared == MAP_FAILED)
		return error_sys(err, -errno, "no memory for the answer");
	rc = check(p, err);
	if (rc == 0) {
		rc = worker_run(script_work, &job, &report, sizeof(report), DEADLINE_US, err);
		if (rc == -ECHILD || (rc == -ETIMEDOUT && !report.queued))
			take_back(shared, &report);
		if (report.again)
			(void)syscall(SYS_pidfd_send_signal, p->pidfd, report.again, NULL, 0);
	}
	if (rc == 0 && !s->look_only)
		rc = take_answer(shared, answer, err);
	munmap(shared, sizeof(*shared));
	*ret = report;
	return rc;
}

const char *script_value(const struct buf *answer, const char *name, char *buf, size_t size)
{
	size_t n = strlen(name);
	const char *at = answer->len ? (const char *)answer->data : NULL;

	while (at && *at) {
		const char *end = at + strcspn(at, "\n");

		if (strncmp(at, name, n) == 0 && at[n] == '\t') {
			str_safe(buf, size, at + n + 1, (size_t)(end - at) - n - 1);
			return buf;
		}
		at = *end ? end + 1 : NULL;
	}
	return NULL;
}
