/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command CONNINFO KEYFILE [S,S,S [RUNNING,HOUR,COOLDOWN_S,CANARY_S,BREAKER,BREAKER_S
 *   [APPROVE_S ACTION...]]] - dispatch,
 * audit and alerts alone on a loop, with two hosts (1 'web-1', 2 'web-2') of one process each
 * (proc_id 100 and 200), told what to do by lines on stdin. Effects are measured after so many
 * seconds:
 *
 *   up HOST | down HOST | remediation 0|1 | verify
 *   issue HOST PROC ACTION DRY_RUN KEY|- HASH EXPIRES_S   HASH: one digit, all bytes of the hash
 *   result HOST ID STATUS BEFORE AFTER DETAIL...           STATUS: COMMAND_STATUS_LIST's number
 *   chain HOST ID LAST RECORDS BEFORE HEAD   a result that tells where the host's journal stands
 *   told HOST WHAT LAST RECORDS BEFORE HEAD ID TEXT...     an event of kind 'action'
 *                                          BEFORE, HEAD: a number, all bytes of the hash
 *   hosts N                                hosts 3 .. N, up, each with process HOST * 100
 *   ask ACTOR HOST PROC ACTION [approve]   issue of a rule, which may mark it
 *   with P,P,P TEXT|-                      parameters of every ask from here on
 *   approve ID BY | cancel ID BY
 *   sample HOST PROC PID KIB SERVICE|-   a process with that RSS, made when it is new
 *   forget HOST PROC                       it ended
 *   garbage HOST BYTES                                     a result frame of that many 'x'
 *   open KEY LEVEL VALUE | update ID LEVEL VALUE | resolve ID VALUE | ack ID BY | list STATE|-
 * BEFORE LIMIT
 */
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "collector/command/dispatch.h"
#include "collector/fleet/registry.h"
#include "collector/store/db.h"
#include "collector/store/store_alert.h"
#include "collector/store/store_audit.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "proto/wire.h"
#include "tests/support/lines.h"

struct driver {
	struct event_base *base;
	struct db *db;
	struct registry registry;
	struct sign_key *key;
	struct dispatch *dispatch;
	struct audit_chain chain;
	int64_t params[COMMAND_PARAMS];
	char text[64];
};

static int on_send(void *arg, int32_t host_id, const struct command_request *q)
{
	struct driver *d = arg;
	struct host *h = registry_find_host(&d->registry, host_id);
	uint8_t pub[SIGN_KEY_SIZE];
	char id[UUID_TEXT_SIZE];
	struct command c;
	struct error err;

	if (!h || !h->connected)
		return -ENOTCONN;
	if (command_unpack(q->body, COMMAND_SIZE, &c, &err) < 0 ||
	    sign_key_public(d->key, pub) < 0) {
		printf("send bad %s\n", err.msg);
		return 0;
	}
	uuid_text(id, c.id);
	printf("send host=%d id=%s action=%s dry_run=%d pid=%u ticks=%" PRIu64 " counter=%" PRIu64
	       " fence=%" PRIu64 " signed=%d mine=%d actor=%s\n",
	       host_id, id, command_action_word(c.action), c.dry_run, c.pid, c.start_ticks,
	       c.counter, c.fence,
	       sign_check(pub, COMMAND_DOMAIN, q->body, COMMAND_SIZE, q->signature) == 0,
	       memcmp(c.host_uuid, h->uuid, 16) == 0 && memcmp(c.boot_id, h->boot_id, 16) == 0,
	       c.actor);
	return 0;
}

static void print_row(const char *what, int rc, const struct action_row *row)
{
	char id[UUID_TEXT_SIZE];

	uuid_text(id, row->cmd_id);
	printf("%s rc=%d id=%s state=%s host=%s counter=%" PRId64 " before=%" PRId64
	       " after=%" PRId64 " detail=%s\n",
	       what, rc, id, row->state, row->host, row->counter, row->rss_before, row->rss_after,
	       row->detail);
	fflush(stdout);
}

static void on_end(void *arg unused_arg, const struct action_row *row)
{
	print_row("finished", 0, row);
}

static void on_verdict(void *arg unused_arg, const struct action_row *row)
{
	char id[UUID_TEXT_SIZE];

	uuid_text(id, row->cmd_id);
	printf("verdict id=%s verdict=%s effects=%s\n", id, row->verdict, row->effects);
	fflush(stdout);
}

static void on_tripped(void *arg unused_arg, const struct action_row *row)
{
	printf("tripped actor=%s action=%s %s\n", row->actor, row->action, row->detail);
	fflush(stdout);
}

static void on_answer(void *arg unused_arg, int rc, const struct action_row *row,
		      const struct error *err)
{
	if (row)
		print_row("issued", rc, row);
	else
		printf("issued rc=%d %s\n", rc, err ? err->msg : strerror(-rc));
	fflush(stdout);
}

static void on_told(void *arg unused_arg, int rc, const struct action_row *row,
		    const struct error *err)
{
	if (row)
		print_row("told", rc, row);
	else
		printf("told rc=%d %s\n", rc, err ? err->msg : strerror(-rc));
	fflush(stdout);
}

static void on_waits(void *arg unused_arg, const struct action_row *row)
{
	print_row("waits", 0, row);
}

static void on_audit(void *arg, int rc, const struct db_result *r,
		     const struct error *err unused_arg)
{
	struct driver *d = arg;
	struct audit_row row = {.audit_id = 0};
	struct error why = {""};

	for (size_t i = 0; rc >= 0 && i < db_rows(r); i++) {
		store_audit_row(r, i, &row);
		rc = audit_chain_check(&d->chain, &row, &why);
	}
	if (rc < 0)
		printf("chain %s\n", why.msg);
	else
		printf("chain ok rows=%" PRIu64 "\n", d->chain.rows);
	fflush(stdout);
}

static void on_alert(void *arg unused_arg, int rc, const struct db_result *r,
		     const struct error *err)
{
	if (rc < 0)
		printf("alert %s\n", err->msg);
	for (size_t i = 0; rc >= 0 && i < db_rows(r); i++) {
		struct alert_row a;

		store_alert_row(r, i, &a);
		printf("alert id=%" PRId64 " key=%s level=%s state=%s first=%g peak=%g last=%g "
		       "resolved=%g acked_by=%s host=%s doc=%s\n",
		       a.alert_id, a.key, a.level, a.state, a.first_value, a.peak_value,
		       a.last_value, a.resolved_value, a.acked_by, a.host, a.doc);
	}
	printf("end\n");
	fflush(stdout);
}

static int on_ack_row(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	on_alert(arg, 0, r, NULL);
	return 0;
}

static int ack_alert(struct driver *d, int64_t alert_id, const char *by)
{
	struct db_tx *tx = NULL;
	int rc = db_tx_new(d->db, &tx);

	if (!rc)
		rc = store_alert_ack(tx, alert_id, by, clock_wall_us(), on_ack_row);
	if (!rc)
		rc = db_tx_commit(&tx, NULL, d);
	db_tx_free(&tx);
	return rc;
}

static void obey_alert(struct driver *d, const char *line)
{
	struct alert_row a = {.rule = "leak",
			      .subject = "python",
			      .title = "t",
			      .doc = "{\"a\":1}",
			      .host_id = 1,
			      .opened_us = clock_wall_us(),
			      .service = "api"};
	struct alert_filter f = {.state = NULL};
	char key[64] = "", level[64] = "";
	double v = NAN;
	int rc = -EINVAL;

	a.key = key;
	a.level = level;
	if (sscanf(line, "open %63s %63s %lf", key, level, &v) == 3) {
		a.first_value = a.peak_value = a.last_value = v;
		rc = store_alert_open(d->db, &a, on_alert, d);
	} else if (sscanf(line, "update %" SCNd64 " %63s %lf", &a.alert_id, level, &v) == 3) {
		a.peak_value = a.last_value = v;
		a.doc = NULL;
		rc = store_alert_update(d->db, &a, on_alert, d);
	} else if (sscanf(line, "resolve %" SCNd64 " %lf", &a.alert_id, &v) == 2) {
		a.resolved_us = clock_wall_us();
		a.resolved_value = v;
		a.last_value = NAN;
		rc = store_alert_resolve(d->db, &a, on_alert, d);
	} else if (sscanf(line, "ack %" SCNd64 " %63s", &a.alert_id, key) == 2) {
		rc = ack_alert(d, a.alert_id, key);
	} else if (sscanf(line, "list %63s %" SCNd64 " %d", key, &f.before_id, &f.limit) == 3) {
		f.state = strcmp(key, "-") == 0 ? NULL : key;
		rc = store_alert_list(d->db, &f, on_alert, d);
	}
	if (rc < 0)
		printf("alert rc=%d\n", rc);
}

static void issue(struct driver *d, const char *line)
{
	char action[64], key[200], hash[8];
	struct action_request r = {.action = action, .actor = "token:ops", .reason = "a\ntest"};
	struct error err = {""};
	int dry_run, expires, rc;

	if (sscanf(line, "issue %d %" SCNd64 " %63s %d %199s %7s %d", &r.host_id, &r.proc_id,
		   action, &dry_run, key, hash, &expires) != 7)
		return;
	r.dry_run = dry_run;
	r.idempotency_key = strcmp(key, "-") == 0 ? NULL : key;
	memset(r.request_hash, hash[0], sizeof(r.request_hash));
	r.expires_us = expires ? clock_wall_us() + expires * USEC_PER_SEC : 0;
	rc = dispatch_issue(d->dispatch, &r, on_answer, d, &err);
	if (rc < 0)
		printf("issued rc=%d %s\n", rc, err.msg);
}

static void ask(struct driver *d, const char *line)
{
	char action[64], actor[64], mark[8] = "";
	struct action_request r = {.action = action, .actor = actor, .reason = "asked"};
	struct error err = {""};
	int rc;

	if (sscanf(line, "ask %63s %d %" SCNd64 " %63s %7s", actor, &r.host_id, &r.proc_id, action,
		   mark) < 4)
		return;
	r.approve = strcmp(mark, "approve") == 0;
	memcpy(r.params, d->params, sizeof(r.params));
	r.text = d->text;
	rc = dispatch_issue(d->dispatch, &r, on_answer, d, &err);
	if (rc < 0)
		printf("issued rc=%d %s\n", rc, err.msg);
}

/* A second person's word, once the row is read. */
struct word {
	struct driver *d;
	bool approve;
	char by[64];
};

static void on_word_row(void *arg, int rc, const struct db_result *r,
			const struct error *unused_err unused_arg)
{
	struct word *w = arg;
	struct error err = {"no such action"};
	struct action_row row;

	if (rc >= 0)
		rc = db_rows(r) == 1 ? 0 : -ENOENT;
	if (rc == 0) {
		store_command_row(r, 0, &row);
		rc = w->approve ? dispatch_approve(w->d->dispatch, &row, w->by, NULL, on_told, w->d,
						   &err)
				: dispatch_cancel(w->d->dispatch, &row, w->by, on_told, w->d, &err);
	}
	if (rc < 0)
		printf("told rc=%d %s\n", rc, err.msg);
	fflush(stdout);
	free(w);
}

static bool obey_word(struct driver *d, const char *line)
{
	struct word *w = calloc(1, sizeof(*w));
	uint8_t id[16];
	char text[64];

	if (w && (sscanf(line, "approve %63s %63s", text, w->by) == 2 ||
		  sscanf(line, "cancel %63s %63s", text, w->by) == 2)) {
		w->d = d;
		w->approve = *line == 'a';
		if (uuid_parse(id, text) == 0 && store_command_get(d->db, id, on_word_row, w) == 0)
			return true;
	}
	free(w);
	return false;
}

static void take_result(struct driver *d, const char *line)
{
	struct command_result r = {.swap_before = -1, .swap_after = -1, .held_us = 150};
	uint8_t raw[COMMAND_RESULT_SIZE];
	char id[64];
	int host_id, status, rc;
	struct error err = {""};

	if (sscanf(line, "result %d %63s %d %" SCNd64 " %" SCNd64 " %99[^\n]", &host_id, id,
		   &status, &r.rss_before, &r.rss_after, r.detail) != 6 ||
	    uuid_parse(r.id, id) < 0)
		return;
	r.status = (enum command_status)status;
	command_result_pack(raw, &r);
	rc = dispatch_result(d->dispatch, host_id, raw, sizeof(raw), &err);
	printf("result rc=%d %s\n", rc, err.msg);
}

static void take_chain(struct driver *d, const char *line)
{
	struct command_result r = {.status = COMMAND_DONE, .swap_before = -1, .swap_after = -1};
	struct command_span *j = &r.journal;
	uint8_t raw[COMMAND_RESULT_SIZE];
	struct error err = {""};
	char id[64];
	int host_id, before, head, rc;

	if (sscanf(line, "chain %d %63s %" SCNu64 " %u %d %d", &host_id, id, &j->last, &j->records,
		   &before, &head) != 6 ||
	    uuid_parse(r.id, id) < 0)
		return;
	memset(j->before, before, sizeof(j->before));
	memset(j->head, head, sizeof(j->head));
	command_result_pack(raw, &r);
	rc = dispatch_result(d->dispatch, host_id, raw, sizeof(raw), &err);
	printf("result rc=%d %s\n", rc, err.msg);
}

static void take_told(struct driver *d, const char *line)
{
	const char *keys[] = {"what", "record", "records", "before", "head",
			      "id",   "action", "status",  "pid",    "dry_run"};
	char what[32], last[32], records[32], before[40], head[40], id[64], text[200] = "";
	const char *values[] = {what, last, records, before, head, id, "limit", "done", "77", "no"};
	struct wire_event e = {.t_wall_us = clock_wall_us(),
			       .kind = WIRE_EVENT_ACTION,
			       .text = text,
			       .keys = keys,
			       .values = values,
			       .n_details = ARRAY_SIZE(keys)};
	uint8_t bytes[COMMAND_LINK_SIZE];
	int host_id, b, h;

	if (sscanf(line, "told %d %31s %31s %31s %d %d %63s %199[^\n]", &host_id, what, last,
		   records, &b, &h, id, text) < 7)
		return;
	memset(bytes, b, sizeof(bytes));
	str_hex(before, bytes, sizeof(bytes));
	memset(bytes, h, sizeof(bytes));
	str_hex(head, bytes, sizeof(bytes));
	dispatch_told(d->dispatch, host_id, &e);
}

static void on_broken(void *arg unused_arg, const char *host, const char *why)
{
	printf("broken host=%s %s\n", host, why);
	fflush(stdout);
}

static void add_host(struct driver *d, int32_t host_id, const char *name)
{
	const struct wire_process info = {.pid = 4000u + (uint32_t)host_id,
					  .start_ticks = 77,
					  .comm = "python",
					  .cmdline = "",
					  .exe = "",
					  .cgroup = "",
					  .service = "",
					  .container = ""};
	uint8_t uuid[16];
	struct host *h;

	memset(uuid, host_id, sizeof(uuid));
	h = registry_host(&d->registry, host_id, uuid, name);
	memset(h->boot_id, 0x40 + host_id, sizeof(h->boot_id));
	registry_process(h, host_id * 100, &info, clock_wall_us());
}

static void add_hosts(struct driver *d, int last)
{
	char name[32];

	for (int32_t id = 3; id <= last; id++) {
		snprintf(name, sizeof(name), "web-%d", id);
		add_host(d, id, name);
	}
	for (struct host *h = d->registry.hosts; h; h = h->hh.next)
		h->connected = h->act = true;
	printf("hosts ok\n");
}

/* What an agent would tell of a process now. */
static void sample(struct driver *d, int32_t host_id, int64_t proc_id, uint32_t pid, int64_t kib,
		   const char *service)
{
	const struct wire_process info = {.pid = pid,
					  .start_ticks = 77,
					  .comm = "python",
					  .cmdline = "",
					  .exe = "",
					  .cgroup = "",
					  .service = strcmp(service, "-") == 0 ? "" : service,
					  .container = ""};
	struct host *h = registry_find_host(&d->registry, host_id);
	int64_t now_us = clock_wall_us();
	struct process *p = registry_process(h, proc_id, &info, now_us);
	int64_t v[METRIC_COUNT];

	for (size_t i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = kib;
	registry_sample(p, v, now_us);
}

static bool obey_sample(struct driver *d, const char *line)
{
	char service[64];
	int64_t proc_id, kib;
	int32_t host_id;
	uint32_t pid;
	struct host *h;

	if (sscanf(line, "sample %d %" SCNd64 " %u %" SCNd64 " %63s", &host_id, &proc_id, &pid,
		   &kib, service) == 5) {
		sample(d, host_id, proc_id, pid, kib, service);
		return true;
	}
	if (sscanf(line, "forget %d %" SCNd64, &host_id, &proc_id) != 2)
		return false;
	h = registry_find_host(&d->registry, host_id);
	registry_remove_process(h, registry_find_process(h, proc_id));
	return true;
}

static void obey(void *arg, char *line)
{
	struct driver *d = arg;
	int host_id, n;
	struct host *h;

	if (sscanf(line, "up %d", &host_id) == 1 || sscanf(line, "down %d", &host_id) == 1) {
		h = registry_find_host(&d->registry, host_id);
		h->connected = h->act = line[0] == 'u';
		if (h->connected)
			dispatch_host_up(d->dispatch, host_id);
	} else if (sscanf(line, "remediation %d", &n) == 1) {
		dispatch_set_remediation(d->dispatch, n);
	} else if (strcmp(line, "verify") == 0) {
		d->chain = (struct audit_chain){.rows = 0};
		if (store_audit_list(d->db, 0, 10000, on_audit, d) < 0)
			printf("chain away\n");
	} else if (sscanf(line, "garbage %d %d", &host_id, &n) == 2) {
		static char junk[1000];
		struct error err = {""};

		memset(junk, 'x', sizeof(junk));
		n = dispatch_result(d->dispatch, host_id, junk, (size_t)n, &err);
		printf("result rc=%d %s\n", n, err.msg);
	} else if (sscanf(line, "hosts %d", &n) == 1) {
		add_hosts(d, n);
	} else if (sscanf(line, "with %" SCNd64 ",%" SCNd64 ",%" SCNd64 " %63s", &d->params[0],
			  &d->params[1], &d->params[2], d->text) == 4) {
		if (strcmp(d->text, "-") == 0)
			*d->text = '\0';
	} else if (str_starts(line, "ask ")) {
		ask(d, line);
	} else if (obey_sample(d, line) || obey_word(d, line)) {
		return;
	} else if (str_starts(line, "issue ")) {
		issue(d, line);
	} else if (str_starts(line, "chain ")) {
		take_chain(d, line);
	} else if (str_starts(line, "told ")) {
		take_told(d, line);
	} else if (str_starts(line, "result ")) {
		take_result(d, line);
	} else {
		obey_alert(d, line);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct driver d = {.base = NULL};
	struct lines in = {.obey = obey, .arg = &d};
	struct dispatch_config config = {
		.registry = &d.registry,
		.fence = 1,
		.remediation = true,
		.ops = {.send = on_send,
			.finished = on_end,
			.verified = on_verdict,
			.tripped = on_tripped,
			.waits = on_waits,
			.journal_broken = on_broken,
			.arg = &d},
	};
	struct standdown_limits *l = &config.limits;
	struct error err;

	if (argc < 3)
		return 2;
	if (argc > 4 &&
	    sscanf(argv[4], "%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64,
		   &l->max_running, &l->max_per_hour, &l->cooldown_us, &l->canary_us, &l->breaker,
		   &l->breaker_us) != 6)
		return 2;
	l->cooldown_us *= USEC_PER_SEC;
	l->canary_us *= USEC_PER_SEC;
	l->breaker_us *= USEC_PER_SEC;
	if (argc > 3 && sscanf(argv[3], "%" SCNd64 ",%" SCNd64 ",%" SCNd64, &config.stages_s[0],
			       &config.stages_s[1], &config.stages_s[2]) != 3)
		return 2;
	for (int i = 5; i < argc; i++) {
		if (i == 5)
			config.approve_within_us = atoll(argv[i]) * USEC_PER_SEC;
		else
			config.approve |= DISPATCH_KIND(command_action_find(argv[i]));
	}
	log_init("command-driver", LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	d.base = event_base_new();
	registry_init(&d.registry);
	setvbuf(stdout, NULL, _IOLBF, 0);
	add_host(&d, 1, "web-1");
	add_host(&d, 2, "web-2");
	if (!d.base || db_new(d.base, argv[1], 2, &d.db, &err) < 0 ||
	    sign_key_open(argv[2], &d.key, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	config.db = d.db;
	config.key = d.key;
	if (dispatch_new(d.base, &config, &d.dispatch, &err) < 0)
		return 1;
	in.base = d.base;
	if (lines_start(&in) == 0)
		event_base_dispatch(d.base);
	lines_stop(&in);
	dispatch_free(&d.dispatch);
	db_free(&d.db);
	sign_key_free(&d.key);
	registry_fini(&d.registry);
	event_base_free(d.base);
	libevent_global_shutdown();
	return 0;
}
