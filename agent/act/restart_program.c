/* SPDX-License-Identifier: Apache-2.0 */
/* A program of supervisord: stopped and started by it, or ended where it says that it comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/act/restart.h"
#include "agent/act/supervisord_conf.h"
#include "agent/act/supervisord_rpc.h"
#include "common/clock.h"

#define LOOK_EVERY_MS 100
/* For it to be asked who it is and what it has. */
#define FIRST_LOOK_US (6 * INT64_C(1000000))
/* A program that may take longer to stop than this is not stopped: nobody would be there to start
 * it when it has. The rest of RESTART_ASKED_US is for supervisord's own turns and SIGKILL. */
#define STOP_MOST_SEC 14
#define ARGUMENTS_MAX 4096

static bool is_program(const struct restart *r)
{
	return r->process->pid == r->program->program.pid;
}

/* ---- by its control socket ---- */

static const char *signal_word(int number, char out[16])
{
	const char *name = number > 0 ? sigabbrev_np(number) : NULL;

	if (name)
		snprintf(out, 16, "SIG%.10s", name);
	else
		snprintf(out, 16, "its stopsignal");
	return out;
}

static void plan(struct restart *r, const struct supervisord_program *p)
{
	char word[16];
	char grace[64];

	if (p->stop_wait_sec >= 0)
		snprintf(grace, sizeof(grace), "SIGKILL after %d s", p->stop_wait_sec);
	else
		snprintf(grace, sizeof(grace), "SIGKILL after its stopwaitsecs");
	if (is_program(r))
		snprintf(r->plan, sizeof(r->plan), "%s, %s; then it is started",
			 signal_word(p->stop_signal, word), grace);
	else
		snprintf(r->plan, sizeof(r->plan),
			 "the program is process %d, which this one is below: %s, %s; then it is "
			 "started",
			 (int)r->program->program.pid, signal_word(p->stop_signal, word), grace);
}

static int check_program(const struct restart *r, const struct supervisord_program *p,
			 struct error *err)
{
	if (p->state != SUPERVISORD_RUNNING && p->state != SUPERVISORD_STARTING)
		return error_set(err, -EBUSY,
				 "program '%s' of supervisord is %s just now; retry later",
				 p->shown, p->state_name);
	if (process_alive(r->process) && process_alive(&r->program->program))
		return 0;
	return error_set(err, -ESRCH, "process %d ended just now", (int)r->process->pid);
}

static int look_until(struct supervisord_door *d, struct supervisord_program *p, int64_t until_us,
		      bool (*is_there)(const struct supervisord_program *p), struct error *err)
{
	int rc;

	d->until_us = until_us;
	do {
		rc = supervisord_look_again(d, p, err);
		if (rc == 0 && is_there(p))
			return 0;
		poll(NULL, 0, LOOK_EVERY_MS);
	} while (clock_boot_us() < until_us);
	return rc < 0 ? rc : -ETIMEDOUT;
}

static bool has_stopped(const struct supervisord_program *p)
{
	return p->state == SUPERVISORD_STOPPED || p->state == SUPERVISORD_EXITED ||
	       p->state == SUPERVISORD_FATAL;
}

static bool has_come_to_rest(const struct supervisord_program *p)
{
	return p->state == SUPERVISORD_RUNNING || has_stopped(p);
}

static int stop(struct restart *r, struct supervisord_door *d, struct supervisord_program *p,
		struct error *err)
{
	int64_t until_us = r->began_us + RESTART_ASKED_US;
	int rc = supervisord_stop(d, p, err);

	/* A fault means that nothing was done; no answer does not. */
	if (rc == -EREMOTEIO)
		return rc;
	r->acted = true;
	rc = look_until(d, p, until_us, has_stopped, err);
	if (rc == -ETIMEDOUT)
		return error_set(err, rc,
				 "supervisord was told to stop '%s', and after %d s it is %s; it "
				 "may have to be started by hand (supervisorctl start %s)",
				 p->shown, (int)(RESTART_ASKED_US / USEC_PER_SEC), p->state_name,
				 p->shown);
	return rc;
}

/* Until the end of the time: what was stopped must not stay so for one answer that did not come. */
static int start(struct restart *r, struct supervisord_door *d, struct supervisord_program *p,
		 struct error *err)
{
	int64_t until_us = r->began_us + RESTART_BACK_US;
	struct error why = {""};
	int rc;

	d->until_us = until_us;
	for (;;) {
		rc = supervisord_start(d, p, &why);
		if (rc == 0 || rc == -EREMOTEIO || clock_boot_us() >= until_us)
			break;
		poll(NULL, 0, LOOK_EVERY_MS);
	}
	/* Told that it is started already, or that it ended at once: what is there now counts. */
	if (rc == -EREMOTEIO)
		rc = supervisord_look_again(d, p, err) == 0 && (p->state == SUPERVISORD_STARTING ||
								p->state == SUPERVISORD_RUNNING ||
								p->state == SUPERVISORD_BACKOFF)
			     ? 0
			     : rc;
	if (rc == 0)
		rc = look_until(d, p, until_us - RESTART_SETTLE_US, has_come_to_rest, &why);
	if (rc == -ETIMEDOUT && p->state == SUPERVISORD_STARTING && p->pid > 0)
		rc = 0;
	if (rc == 0 && !has_stopped(p) && p->pid > 0)
		return 0;
	return error_set(err, -EIO,
			 "supervisord stopped '%s', and it did not start again: it is %s%s%s%s%s",
			 p->shown, p->state_name, *p->why ? ": " : "", p->why, *why.msg ? "; " : "",
			 why.msg);
}

/* The pid that it tells is of another process, a child of it, that began since. */
static int verify(struct restart *r, const struct supervisord_program *p, struct error *err)
{
	auto_process struct process now = {.pidfd = -1};
	int rc = supervisord_child(r->program, p->pid, &now);

	if (rc < 0 || now.start_ticks <= r->program->program.start_ticks)
		return error_set(err, -EIO,
				 "supervisord says that '%s' is process %d, which is no new child "
				 "of it",
				 p->shown, (int)p->pid);
	if (is_program(r))
		r->came = now.pid;
	snprintf(r->said, sizeof(r->said), "supervisord says %s%s", p->state_name,
		 p->state == SUPERVISORD_STARTING ? ", until its startsecs are over" : "");
	return 0;
}

static int replace(struct restart *r, struct supervisord_door *d, struct supervisord_program *p,
		   struct error *err)
{
	bool lives;
	int rc = stop(r, d, p, err);

	if (rc < 0)
		return rc;
	/* One that is only below the program may have been left over; it is not for that that the
	 * service stays down. */
	lives = !process_ends_until(r->process, clock_boot_us() + LOOK_EVERY_MS * 1000);
	rc = start(r, d, p, err);
	if (rc == 0)
		rc = verify(r, p, err);
	if (rc == 0 && lives && process_alive(r->process))
		return error_set(err, -EIO,
				 "supervisord restarted '%s', but process %d, which was below it, "
				 "has not ended (stopasgroup is off); it is not killed",
				 p->shown, (int)r->process->pid);
	return rc;
}

/* ---- without it: what its configuration says ---- */

/* Would the process be started again, had it ended by itself? Fills by. */
static int comes_back(struct restart *r, struct error *err)
{
	const struct supervisord *s = r->program;
	auto_supervisord_conf struct supervisord_conf *c = NULL;
	char arguments[ARGUMENTS_MAX];
	char name[SUPERVISORD_WORD_SIZE];
	char path[32];
	auto_close int fd = -1;
	ssize_t n;
	int rc;

	if (!is_program(r))
		return error_set(err, -EPERM,
				 "it is below process %d, which supervisord started and would not "
				 "miss it",
				 (int)s->program.pid);
	if (s->master.state == 'T' || s->master.state == 't')
		return error_set(err, -EPERM, "supervisord, process %d, is stopped",
				 (int)s->master.pid);
	c = supervisord_conf_load(s, err);
	if (!c)
		return -EPERM;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)r->process->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, arguments, sizeof(arguments) - 1);
	if (n < 0)
		return error_set(err, -ESRCH, "process %d ended just now", (int)r->process->pid);
	arguments[n] = '\0';
	rc = supervisord_conf_comes_back(c, arguments, (size_t)n,
					 process_catches(r->process, SIGTERM), name, err);
	if (rc < 0)
		return rc;
	snprintf(r->by, sizeof(r->by), "supervisord, process %d%s%.100s, after a SIGTERM",
		 (int)s->master.pid, *name ? ", program " : "", name);
	return 0;
}

static int end_it(struct restart *r, struct error *err)
{
	const struct process *p = r->process;
	int rc = process_signal(p, SIGTERM, err);

	if (rc < 0)
		return rc;
	r->acted = true;
	if (process_ends_until(p, r->began_us + RESTART_ASKED_US))
		return 0;
	return error_set(err, -ETIMEDOUT,
			 "process %d got SIGTERM and has not ended after %d s; it is not killed, "
			 "and supervisord starts it again when it has ended",
			 (int)p->pid, (int)(RESTART_ASKED_US / USEC_PER_SEC));
}

/* why: what keeps it from being stopped and started. */
static int restart_by_end(struct restart *r, bool dry_run, const char *why, struct error *err)
{
	struct error no = {""};
	int rc = comes_back(r, &no);

	if (rc < 0)
		return error_set(err, rc, "%.200s; %.280s", why, no.msg);
	snprintf(r->plan, sizeof(r->plan), "its configuration says that it comes back; %.180s",
		 why);
	return dry_run ? 0 : end_it(r, err);
}

static bool is_closed(int rc)
{
	return rc == -ENOENT || rc == -ECONNREFUSED || rc == -EACCES;
}

int restart_program(struct restart *r, bool dry_run, struct error *err)
{
	struct supervisord_door door;
	struct supervisord_program p;
	char why[200];
	int rc = supervisord_door_open(&door, r->program, clock_boot_us() + FIRST_LOOK_US, err);

	if (rc < 0 && is_closed(rc)) {
		snprintf(why, sizeof(why), "%.199s", err->msg);
		return restart_by_end(r, dry_run, why, err);
	}
	if (rc < 0)
		return rc;
	rc = supervisord_look(&door, r->program->program_pid, &p, err);
	if (rc == 0)
		rc = check_program(r, &p, err);
	if (rc == 0 && p.stop_wait_sec > STOP_MOST_SEC) {
		supervisord_door_close(&door);
		snprintf(why, sizeof(why),
			 "'%.60s' may take %d s to stop (stopwaitsecs), longer than memherd can "
			 "wait to start it (%d s)",
			 p.shown, p.stop_wait_sec, STOP_MOST_SEC);
		return restart_by_end(r, dry_run, why, err);
	}
	if (rc == 0) {
		snprintf(r->by, sizeof(r->by), "supervisord, process %d, program %s",
			 (int)r->program->master.pid, p.shown);
		plan(r, &p);
	}
	if (rc == 0 && !dry_run)
		rc = replace(r, &door, &p, err);
	supervisord_door_close(&door);
	return rc;
}
