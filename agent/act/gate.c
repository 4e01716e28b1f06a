/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/gate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/act/authority.h"
#include "agent/act/halt.h"
#include "agent/act/policy.h"
#include "agent/act/process.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"
#include "proto/command_param.h"

/* As long as an action may take, and a little. */
#define LOCK_WAIT_US ((COMMAND_LIMIT_SEC + 2) * USEC_PER_SEC)

static struct command_result no_result(const uint8_t id[16])
{
	struct command_result r = {
		.status = COMMAND_REFUSED,
		.rss_before = -1,
		.rss_after = -1,
		.swap_before = -1,
		.swap_after = -1,
	};

	if (id)
		memcpy(r.id, id, sizeof(r.id));
	return r;
}

static void log_result(const struct command *c, const struct process *p, const char *signer,
		       const struct command_result *r)
{
	char id[33];
	char params[COMMAND_PARAMS_SIZE];
	enum log_level level = r->status == COMMAND_DONE || r->status == COMMAND_DRY_RUN
				       ? LOG_LEVEL_INFO
				       : LOG_LEVEL_WARN;

	str_hex(id, r->id, sizeof(r->id));
	log_line(
		level,
		"command=%s action=%s params='%s' pid=%u comm='%s' uid=%d actor='%s' operator='%s' "
		"reason='%s' status=%s "
		"rss_before=%lld rss_after=%lld held_us=%lld detail='%s'",
		id, command_action_word(c->action),
		command_params_text(params, c->action, c->params, c->reason), c->pid,
		p ? p->comm : "", p ? (int)p->uid : -1, c->actor, signer,
		command_param_of_text(c->action) ? "" : c->reason, command_status_word(r->status),
		(long long)r->rss_before, (long long)r->rss_after, (long long)r->held_us,
		r->detail);
}

/*
 * What 'how often' counts. A restart makes another process of the same program: counted by process,
 * a loop of them would have no bound. So they are counted by who does it, for a process without a
 * supervisor by user, program and cgroup. As few bytes as the journal has room for: two that are
 * taken for one are restarted less often, never more. 0 = the process itself.
 */
static uint32_t subject_of(const struct command *c, const struct process *p)
{
	char text[2 * PROCESS_PATH_SIZE + SUPERVISOR_NAME_SIZE];
	uint8_t digest[SHA256_SIZE];
	uint32_t subject = 0;
	int n;

	if (c->action != COMMAND_RESTART || !p)
		return 0;
	if (*p->supervisor.name)
		n = snprintf(text, sizeof(text), "%d %s", (int)p->supervisor.kind,
			     p->supervisor.name);
	else
		n = snprintf(text, sizeof(text), "%u %s %s", p->uid, p->exe, p->cgroup);
	sha256(digest, text, (size_t)n);
	memcpy(&subject, digest, sizeof(subject));
	return subject ? subject : 1;
}

static int check_quiet(const struct policy_verdict *v, int64_t now_us, struct error *err)
{
	time_t now = (time_t)(now_us / USEC_PER_SEC);
	struct tm t;

	if (v->quiet_from == v->quiet_to)
		return 0;
	/* Who cannot tell the hour lets it be quiet. */
	if (localtime_r(&now, &t) && !policy_is_quiet(v, t.tm_hour * 60 + t.tm_min))
		return 0;
	return error_set(err, -EPERM, "policy line %u wants quiet from %02d:%02d to %02d:%02d",
			 v->line, v->quiet_from / 60, v->quiet_from % 60, v->quiet_to / 60,
			 v->quiet_to % 60);
}

/* The policy's bounds on how often, from what the journal remembers. */
static int check_rate(const struct gate *g, const struct command *c, const struct process *p,
		      const struct policy_verdict *v, int64_t now_us, struct error *err)
{
	const struct action *a = action_find(c->action);
	char text[STR_UNIT_SIZE];
	int64_t last;
	struct journal_entry like = {.action = c->action,
				     .pid = c->pid,
				     .start_ticks = c->start_ticks,
				     .subject = subject_of(c, p)};
	unsigned n = journal_count(g->journal, &like, now_us - v->max_window_us, &last);

	if (a && last && now_us - last < a->rest_us)
		return error_set(err, -EPERM, "last done %s ago, and %s wants a rest of %s",
				 str_duration(text, MAX_OF(now_us - last, (int64_t)0)), a->name,
				 str_duration((char[STR_UNIT_SIZE]){0}, a->rest_us));
	/* 'last' may lie ahead of a clock that was set back: then it counts as now. */
	if (v->cooldown_us && last && now_us - last < v->cooldown_us)
		return error_set(err, -EPERM, "last done %s ago, policy line %u wants a rest of %s",
				 str_duration(text, MAX_OF(now_us - last, (int64_t)0)), v->line,
				 str_duration((char[STR_UNIT_SIZE]){0}, v->cooldown_us));
	if (v->max && n >= v->max)
		return error_set(err, -EPERM,
				 "done %u times in the last %s, policy line %u allows %u", n,
				 str_duration(text, v->max_window_us), v->line, v->max);
	return 0;
}

static int check_policy(const struct gate *g, const struct command *c, const struct process *p,
			bool no_policy, int64_t now_us, bool *ret_may_lower, struct error *err)
{
	struct policy *policy = NULL;
	struct policy_verdict v;
	int rc = no_policy ? 0 : policy_load(g->options->policy, &policy, err);

	if (rc < 0)
		return -EPERM;
	if (policy && !c->dry_run)
		rc = policy_maintenance(policy, now_us, err);
	policy_judge(policy, command_action_word(c->action), p, &v);
	policy_free(&policy);
	if (rc < 0)
		return rc;
	if (!v.allowed)
		return error_set(err, -EPERM, "not allowed: %s", v.why);
	*ret_may_lower = no_policy || v.lower;
	/* A dry run changes nothing, disturbs nobody and uses nothing up. */
	if (c->dry_run)
		return 0;
	if (v.signed_only && !g->by_hand && !*g->signer)
		return error_set(
			err, -EPERM,
			"policy line %u wants an operator's signature (memherd --sign-key)",
			v.line);
	rc = check_quiet(&v, now_us, err);
	return rc < 0 ? rc : check_rate(g, c, p, &v, now_us, err);
}

static int check_identity(const struct command *c, const struct process *p, struct error *err)
{
	uint8_t boot_id[16];
	int rc = process_boot_id(boot_id, err);

	if (rc < 0)
		return rc;
	if (memcmp(boot_id, c->boot_id, sizeof(boot_id)) != 0)
		return error_set(err, -ESRCH, "the command speaks of %s before this boot",
				 p ? "a process" : "this host");
	if (p && p->start_ticks != c->start_ticks)
		return error_set(err, -ESRCH,
				 "process %u is not the one that was meant: its pid was reused",
				 c->pid);
	return 0;
}

/* A host has no pid and no start: a command that names one means something else. */
static int check_host(const struct command *c, struct error *err)
{
	if (!c->pid && !c->start_ticks)
		return 0;
	return error_set(err, -EPERM, "%s is done to the whole host, not to process %u",
			 command_action_word(c->action), c->pid);
}

/* p: NULL = it is not known. */
static void fill_entry(struct journal_entry *e, const struct command *c, const struct process *p,
		       int64_t now_us)
{
	*e = (struct journal_entry){
		.t_wall_us = now_us,
		.action = c->action,
		.dry_run = c->dry_run,
		.pid = c->pid,
		.start_ticks = c->start_ticks,
		.subject = p ? subject_of(c, p) : 0,
		.counter = c->counter,
		.fence = c->fence,
	};
	memcpy(e->id, c->id, sizeof(e->id));
}

static int act(struct gate *g, const struct command *c, const struct process *p, bool may_lower,
	       int64_t now_us, struct command_result *r, struct error *err)
{
	const struct action *a = action_find(c->action);
	const struct action_order order = {
		.options = g->options,
		.dry_run = c->dry_run,
		.by_hand = g->by_hand,
		.command_id = c->id,
		.actor = c->actor,
		.params = c->params,
		.text = command_param_of_text(c->action) ? c->reason : "",
		.may_lower = may_lower,
		.poster = g->poster,
		.body = g->body,
	};
	struct journal_entry e;
	int rc;

	if (!a)
		return error_set(err, -ENOSYS, "this memherd-actd does not know the action");
	fill_entry(&e, c, p, now_us);
	rc = journal_append(g->journal, &e, err);
	if (rc < 0)
		return rc;
	a->run(p, &order, r);
	return 0;
}

/* An authentic command, or root's own. The journal is locked. */
static int execute(struct gate *g, const struct command *c, bool no_policy, int64_t now_us,
		   struct command_result *r)
{
	auto_process struct process p = {.pidfd = -1};
	bool of_host = command_action_of_host(c->action);
	bool may_lower = false;
	struct journal_entry e;
	struct error err = {""};
	struct command_result told;
	const struct process *known = NULL;
	int rc = halt_check(g->options, c->dry_run, now_us, &err);

	/* Told apart from what cannot be read: pid 1 may be closed to us in a container. */
	if (rc == 0 && of_host)
		rc = check_host(c, &err);
	else if (rc == 0 && c->pid == 1)
		rc = error_set(&err, -EPERM, "not allowed: pid 1 is never touched");
	else if (rc == 0)
		rc = process_open((pid_t)c->pid, &p, &err);
	if (rc == 0 && !of_host)
		known = &p;
	if (rc == 0)
		rc = check_identity(c, known, &err);
	if (rc == 0)
		rc = check_policy(g, c, known, no_policy, now_us, &may_lower, &err);
	if (rc == 0)
		rc = act(g, c, known, may_lower, now_us, r, &err);
	if (rc < 0)
		action_say(r, COMMAND_REFUSED, "%s", err.msg);
	/* Refusals are kept too: the same command later must get the same answer. */
	fill_entry(&e, c, known, now_us);
	e.done = true;
	e.result = *r;
	if (journal_append(g->journal, &e, &err) < 0)
		log_error("journal error='%s'", err.msg);
	if (journal_find(g->journal, c->id, &told) == 0)
		r->journal = told.journal;
	log_result(c, known, g->by_hand ? "" : g->signer, r);
	if (rc == 0 && r->status != COMMAND_DONE && r->status != COMMAND_DRY_RUN)
		rc = -EIO;
	return rc;
}

/* Both signatures, over the exact bytes, before one field is read. */
static int verify(struct gate *g, const struct command_request *request, int64_t now_us,
		  struct command *c, struct error *err)
{
	struct authority authority;
	int rc = authority_load(g->options->command_key, g->options->host_uuid_file, &authority,
				err);

	if (rc == 0)
		rc = authority_check(&authority, request, err);
	if (rc == 0 && request->has_warrant)
		rc = operators_check(g->options->operators, &request->warrant, g->signer, err);
	if (rc == 0)
		rc = authority_verify(&authority, request, c, err);
	if (rc == 0)
		rc = operators_agree(request, c, now_us, journal_reach(g->journal), err);
	return rc;
}

static int admit(struct gate *g, const struct command_request *request, int64_t now_us,
		 struct command *c, struct command_result *r, struct error *err)
{
	uint64_t counter;
	uint64_t fence;
	int rc = verify(g, request, now_us, c, err);

	if (rc < 0)
		return rc;
	*r = no_result(c->id);
	if (journal_find(g->journal, c->id, r) == 0)
		return -EALREADY;
	journal_highest(g->journal, &counter, &fence);
	return authority_fresh(c, now_us, counter, fence, err);
}

void gate_submit(struct gate *g, const struct command_request *request, int64_t now_us,
		 struct command_result *ret)
{
	struct command_result r = no_result(NULL);
	struct command c = {0};
	struct error err = {""};
	char id[33];
	int rc = journal_lock(g->journal, LOCK_WAIT_US, &err);

	g->signer[0] = '\0';
	if (rc == 0) {
		rc = admit(g, request, now_us, &c, &r, &err);
		if (rc == 0)
			execute(g, &c, false, now_us, &r);
		else if (rc != -EALREADY)
			journal_head(g->journal, &r.journal);
		journal_unlock(g->journal);
	}
	str_hex(id, r.id, sizeof(r.id));
	if (rc == -EALREADY) {
		log_info("command=%s seen before status=%s", id, command_status_word(r.status));
	} else if (rc < 0) {
		/* Not journalled: what is not authentic and fresh must not fill the file. */
		action_say(&r, COMMAND_REFUSED, "%s", err.msg);
		log_warn("command=%s status=refused detail='%s'", id, r.detail);
	}
	*ret = r;
}

int gate_by_hand(struct gate *g, const struct gate_wish *wish, int64_t now_us,
		 struct command_result *ret)
{
	struct command c = {
		.action = wish->action->number,
		.dry_run = wish->dry_run,
		.pid = (uint32_t)wish->pid,
		.actor = "root by hand",
	};
	struct error err = {""};
	int rc;

	memcpy(c.params, wish->params, sizeof(c.params));
	if (wish->text)
		(void)str_copy(c.reason, sizeof(c.reason), wish->text);
	random_bytes(c.id, sizeof(c.id));
	*ret = no_result(c.id);
	rc = process_boot_id(c.boot_id, &err);
	if (rc == 0 && !command_action_of_host(c.action) &&
	    process_start_ticks(wish->pid, &c.start_ticks) < 0)
		rc = error_set(&err, -ESRCH, "no process %d", (int)wish->pid);
	if (rc == 0)
		rc = journal_lock(g->journal, LOCK_WAIT_US, &err);
	if (rc < 0) {
		action_say(ret, COMMAND_REFUSED, "%s", err.msg);
		return rc;
	}
	if (wish->no_policy)
		log_warn("command=by-hand pid=%d policy=overridden uid=%u", (int)wish->pid,
			 (unsigned)getuid());
	g->by_hand = true;
	rc = execute(g, &c, wish->no_policy, now_us, ret);
	g->by_hand = false;
	journal_unlock(g->journal);
	return rc;
}
