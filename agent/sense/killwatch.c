/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/killwatch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/sense/oom/deaths.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/command.h"

#define JOURNAL_BUDGET 64 /* entries in one go, once a second or for a verdict */
#define NOTE_FRESH_US  (20 * USEC_PER_SEC)
#define POSITION_FILE  "kmsg"

/* ---- what it asks ---- */

static bool find_process(void *arg, uint32_t pid, struct oom_process *ret)
{
	const struct killwatch *k = arg;
	const struct proctab *tab = &k->cfg.ticker->sampler.tab;
	uint32_t id = proctab_find(tab, pid);

	if (id == PROC_NO_ID)
		return false;
	*ret = (struct oom_process){.id = id,
				    .start_ticks = tab->procs[id].start_ticks,
				    .parent = tab->procs[id].parent,
				    .cgroup = tab->procs[id].cgroup};
	return true;
}

/* ---- what it tells ---- */

static int on_kill(void *arg, const struct wire_kill *kill)
{
	struct killwatch *k = arg;
	const struct buf *body = sender_kill(k->cfg.sender, kill);

	log_warn("kill pid=%u cause=%s verdict=\"%s\"", kill->victim.pid,
		 kill_cause_word(kill->cause), kill->verdict);
	if (!body)
		return -ENOBUFS;
	keeper_kill(k->cfg.keeper, kill->t_wall_us, body);
	k->cfg.urgent(k->cfg.arg);
	return 0;
}

static void on_event(void *arg, const struct wire_event *e)
{
	struct killwatch *k = arg;

	sender_event(k->cfg.sender, e);
	k->cfg.urgent(k->cfg.arg);
}

static void on_pressure(void *arg)
{
	const struct killwatch *k = arg;

	k->cfg.pressure(k->cfg.arg);
}

/* ---- the journal ---- */

static void open_journal(struct killwatch *k, int64_t wall_us)
{
	const struct journal_watch_config cfg = {.lookback_us = DEATHS_STOP_KEEP_US};
	struct error err = {""};

	if (wall_us < k->journal_retry_us && k->journal_retry_us - wall_us <= JOURNAL_RETRY_US)
		return;
	if (journal_watch_new(&cfg, &k->journal, &err) == 0)
		return;
	k->journal_retry_us = wall_us + JOURNAL_RETRY_US;
	if (!k->journal_told)
		log_warn("journal_unreadable error=\"%s\"", err.msg);
	k->journal_told = true;
}

/* What is read late explains nothing any more: a kill in the same unit an hour ago. */
static void on_note(const struct killer_note *note, void *arg)
{
	struct killwatch *k = arg;
	bool stop = note->killer == KILLER_PID1_STOP;

	if (clock_wall_us() - note->wall_us <= (stop ? DEATHS_STOP_KEEP_US : NOTE_FRESH_US))
		oom_note(k->oom, note);
}

static void poll_journal(struct killwatch *k, int64_t wall_us)
{
	bool wanted = k->cfg.ticker->survey.killers > 0 || oom_asks_manager(k->oom);
	struct error err = {""};

	if (wanted && !k->journal)
		open_journal(k, wall_us);
	if (!k->journal)
		return;
	journal_watch_want(k->journal, wanted);
	if (journal_watch_poll(k->journal, wall_us, JOURNAL_BUDGET, on_note, k, &err) < 0)
		log_warn("journal error=\"%s\"", err.msg);
}

void killwatch_beat(struct killwatch *k, int64_t wall_us)
{
	poll_journal(k, wall_us);
}

/* A verdict may be due. */
static void on_hear(void *arg)
{
	struct killwatch *k = arg;

	k->cfg.hear(k->cfg.arg);
	if (k->oom && oom_asks_manager(k->oom))
		poll_journal(k, clock_wall_us());
}

/* ---- its life ---- */

int killwatch_init(struct killwatch *k, const struct killwatch_config *cfg, struct error *err)
{
	const struct ticker *t = cfg->ticker;
	char path[PATH_MAX];
	bool kept = cfg->state_dir && (size_t)snprintf(path, sizeof(path), "%s/" POSITION_FILE,
						       cfg->state_dir) < sizeof(path);
	struct oom_config oom = {
		.base = cfg->base,
		.exits_fd = cfg->fds->exits,
		.trace_fd = cfg->fds->trace,
		.kmsg_path = "/dev/kmsg",
		.position_path = kept ? path : NULL,
		.proc_path = t->cfg.sampling.proc_path,
		.ring = &t->survey.ring,
		.cgroups = &t->survey.cgroups,
		.host = t->survey.figures,
		.ops = {.find_process = find_process,
			.kill = on_kill,
			.event = on_event,
			.pressure = on_pressure,
			.hear = on_hear},
		.arg = k,
	};

	*k = (struct killwatch){.cfg = *cfg};
	memcpy(oom.boot_id, t->boot_id, sizeof(oom.boot_id));
	return oom_new(&oom, &k->oom, err);
}

void killwatch_fini(struct killwatch *k)
{
	if (k->oom)
		oom_flush(k->oom);
	oom_free(&k->oom);
	journal_watch_free(&k->journal);
}

void killwatch_posture(struct killwatch *k, const struct outlook *o)
{
	oom_set_sshd_unprotected(k->oom, o->sshd_unprotected);
}

void killwatch_before_round(struct killwatch *k)
{
	oom_before_round(k->oom);
}

void killwatch_gone(struct killwatch *k, uint32_t id, const struct proc *p)
{
	const struct oom_process who = {.id = id,
					.start_ticks = p->start_ticks,
					.parent = p->parent,
					.cgroup = p->cgroup};

	oom_process_gone(k->oom, p->pid, &who);
}

void killwatch_action(struct killwatch *k, const struct record_action *a)
{
	enum verdict_action what = VERDICT_ACTION_NONE;

	/* While it is being set up nothing can have been tracked. */
	if (!k->oom)
		return;
	if (a->state == RECORD_ACTION_OFF) {
		oom_own_action_off(k->oom, a->id);
		return;
	}
	switch ((enum command_action)a->action) {
	case COMMAND_TRIM:
		what = VERDICT_ACTION_TRIM;
		break;
	case COMMAND_RESTART:
		what = VERDICT_ACTION_RESTART;
		break;
	case COMMAND_GC:
	case COMMAND_GC_THRESHOLD:
	case COMMAND_GC_FREEZE:
	case COMMAND_GC_UNFREEZE:
	case COMMAND_TRACEMALLOC:
	case COMMAND_REFERRERS:
	case COMMAND_SIZES:
		what = VERDICT_ACTION_SCRIPT;
		break;
	case COMMAND_CENSUS:
		what = VERDICT_ACTION_CENSUS;
		break;
	case COMMAND_LIMIT:
	case COMMAND_RECLAIM:
	case COMMAND_OOM_SCORE:
	case COMMAND_DROP_CACHES:
		/* Who dies of it is killed by the kernel, and the dossier names the cgroup. */
	case COMMAND_SHED:
		/* What a program does when it is asked is its own doing. */
		return;
	}
	oom_own_action(k->oom, a->pid, a->start_ticks, what, a->id);
}

void killwatch_after_round(struct killwatch *k)
{
	oom_round(k->oom, k->cfg.ticker->survey.figures[HOST_METRIC_OOM_KILLS]);
}
