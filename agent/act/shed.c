/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/shed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/act/policy.h"
#include "agent/act/poster.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "common/unix_http.h"

#define ANSWER_US  (10 * USEC_PER_SEC)
#define EFFECT_US  (5 * USEC_PER_SEC) /* what it gives back is waited for */
#define LOOK_MS    100
#define ANSWER_MAX 16384
#define TEXT_SIZE  (HOOK_SOCKET_SIZE + HOOK_PATH_SIZE + 32)

static int find_hook(const struct process *p, const struct action_order *o, struct hook *ret,
		     struct error *err)
{
	struct policy *policy = NULL;
	int rc = policy_load(o->options->policy, &policy, err);

	if (rc == 0 && policy_hook(policy, p, ret) < 0)
		rc = error_set(err, -ENOENT,
			       "no 'shed' line of '%s' says how process %d (unit '%.100s') is "
			       "asked",
			       o->options->policy, (int)p->pid,
			       p->supervisor.kind == SUPERVISOR_UNIT ? p->supervisor.name : "");
	policy_free(&policy);
	return rc;
}

static int check_caught(const struct process *p, const struct hook *h, struct error *err)
{
	char path[32], text[8192], name[TEXT_SIZE];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)p->pid);
	if (fs_read_small(AT_FDCWD, path, text, sizeof(text)) < 0 || !process_alive(p))
		return error_set(err, -ESRCH, "process %d ended", (int)p->pid);
	if (hook_is_caught(text, h->signal))
		return 0;
	return error_set(err, -ENOTSUP,
			 "process %d has no handler for %s: it would be ended by it, or not "
			 "notice",
			 (int)p->pid, hook_text(name, h));
}

/* Another network has another loopback, where somebody else may listen. */
static int check_network(const struct process *p, struct error *err)
{
	char path[32];
	struct stat ours, its;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)p->pid);
	if (stat(path, &its) == 0 && stat("/proc/self/ns/net", &ours) == 0 &&
	    its.st_ino == ours.st_ino && its.st_dev == ours.st_dev)
		return 0;
	return error_set(err, -ENOTSUP,
			 "process %d and memherd-actd do not share a loopback (a container, or "
			 "PrivateNetwork= of memherd-actd.service): use signal= or unix=, or see "
			 "docs/ACTIONS.md",
			 (int)p->pid);
}

static int check(const struct process *p, const struct hook *h, struct error *err)
{
	switch (h->kind) {
	case HOOK_SIGNAL:
		return check_caught(p, h, err);
	case HOOK_HTTP:
		return check_network(p, err);
	case HOOK_UNIX:
	case HOOK_NONE:
		break;
	}
	return 0;
}

static int ask_unix(const struct hook *h, struct error *err)
{
	auto_buf struct buf answer = BUF_INIT(ANSWER_MAX);
	char request[POSTER_REQUEST_SIZE];
	size_t body;
	int rc;

	poster_request(request, h);
	rc = unix_http_ask(h->socket, request, ANSWER_US, &answer, err);
	/* More than is wanted is no fault of it. */
	if (rc < 0 && rc != -EFBIG)
		return rc;
	return unix_http_parse(answer.data, answer.len, &body, err);
}

/* Status of an answer, 0 for a signal, or -errno. */
static int ask(const struct process *p, const struct action_order *o, const struct hook *h,
	       struct error *err)
{
	switch (h->kind) {
	case HOOK_SIGNAL:
		if (syscall(SYS_pidfd_send_signal, p->pidfd, h->signal, NULL, 0) < 0)
			return error_sys(err, -errno, "cannot send a signal to process %d",
					 (int)p->pid);
		return 0;
	case HOOK_HTTP:
		return poster_ask(o->poster, h, ANSWER_US, err);
	case HOOK_UNIX:
		return ask_unix(h, err);
	case HOOK_NONE:
		break;
	}
	return error_set(err, -EINVAL, "no hook");
}

/* Until a twentieth is gone, and then as long as it falls. -ESRCH: the process ended. */
static int wait_for_effect(const struct process *p, int64_t before, struct process_memory *ret,
			   struct error *err)
{
	int64_t until = clock_boot_us() + EFFECT_US;
	int64_t last = before;
	int rc;

	for (;;) {
		struct pollfd end = {.fd = p->pidfd, .events = POLLIN};

		(void)poll(&end, 1, LOOK_MS);
		rc = process_memory(p, ret, err);
		if (rc < 0 || clock_boot_us() >= until)
			return rc;
		if (ret->rss < before - before / 20 && ret->rss >= last)
			return 0;
		last = ret->rss;
	}
}

static void say_done(const char *hook, int status, const struct process_memory *after,
		     struct command_result *r)
{
	char a[STR_UNIT_SIZE], b[STR_UNIT_SIZE], c[STR_UNIT_SIZE], answer[32] = "";

	if (status)
		snprintf(answer, sizeof(answer), ", answered %d", status);
	if (status >= 300)
		action_say(r, COMMAND_FAILED, "%s%s: it did not shed (RSS %s)", hook, answer,
			   str_bytes(a, after->rss));
	else
		action_say(r, COMMAND_DONE, "%s%s: RSS %s -> %s, swap %s", hook, answer,
			   str_bytes(a, r->rss_before), str_bytes(b, after->rss),
			   str_bytes(c, after->swap));
}

static void do_it(const struct process *p, const struct action_order *o, const struct hook *h,
		  struct command_result *r)
{
	struct process_memory after;
	struct error err = {""};
	char hook[TEXT_SIZE];
	int status = ask(p, o, h, &err);

	hook_text(hook, h);
	if (status < 0) {
		/* What does not answer may have begun. */
		if (status == -ETIMEDOUT && process_memory(p, &after, NULL) == 0) {
			r->rss_after = after.rss;
			r->swap_after = after.swap;
		}
		action_say(r, COMMAND_FAILED, "%s", err.msg);
		return;
	}
	if (wait_for_effect(p, r->rss_before, &after, &err) < 0) {
		r->rss_after = 0;
		action_say(r, COMMAND_FAILED, "%s: the process ended within %d s of it", hook,
			   (int)(EFFECT_US / USEC_PER_SEC));
		return;
	}
	r->rss_after = after.rss;
	r->swap_after = after.swap;
	say_done(hook, status, &after, r);
}

void shed_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	int64_t start = clock_boot_us();
	struct process_memory before;
	struct hook h = {.kind = HOOK_NONE};
	struct error err = {""};
	char hook[TEXT_SIZE], rss[STR_UNIT_SIZE];

	if (find_hook(p, o, &h, &err) < 0 || check(p, &h, &err) < 0 ||
	    process_memory(p, &before, &err) < 0) {
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
		return;
	}
	r->rss_before = before.rss;
	r->swap_before = before.swap;
	if (o->dry_run)
		action_say(r, COMMAND_DRY_RUN,
			   "would ask it by %s, as the policy says; RSS is %s, what it sheds is "
			   "its own affair",
			   hook_text(hook, &h), str_bytes(rss, before.rss));
	else
		do_it(p, o, &h, r);
	r->total_us = clock_boot_us() - start;
}
