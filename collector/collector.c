/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/collector_inner.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "collector/api/api.h"
#include "collector/approval_mail.h"
#include "collector/breaker_mail.h"
#include "collector/command/dispatch.h"
#include "collector/fleet/adopter.h"
#include "collector/fleet/enroll.h"
#include "collector/fleet/holders.h"
#include "collector/fleet/ingest.h"
#include "collector/fleet/listener.h"
#include "collector/fleet/restore.h"
#include "collector/fleet/session.h"
#include "collector/incident.h"
#include "collector/journal_mail.h"
#include "collector/kill_alert.h"
#include "collector/leader.h"
#include "collector/notify/mail.h"
#include "collector/outage.h"
#include "collector/rule/vocab.h"
#include "collector/stats.h"
#include "collector/store/embedded.h"
#include "collector/store/store.h"
#include "collector/store/store_fleet.h"
#include "collector/store/store_lease.h"
#include "collector/store/store_replica.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"

#define DB_CONNECTIONS 4
#define DRAIN_US       (10 * USEC_PER_SEC)
#define GOODBYE_MS     300
#define STATS_SEC      1
#define FENCE          1 /* of commands before any lease was taken */
/* Batches that wait for so long are not stored for a reason. */
#define OUTAGE_LAG_US (10 * USEC_PER_SEC)

void collector_fail(struct collector *c, int rc, const struct error *err)
{
	c->rc = rc;
	c->trouble = *err;
	event_base_loopbreak(c->base);
}

/* ---- the database ---- */

int collector_database(const struct collector_options *o, struct embedded **ret_own,
		       const char **ret_conninfo, struct error *err)
{
	struct embedded_config config = {
		.user = *o->database_user ? o->database_user : NULL,
	};
	int rc;

	*ret_conninfo = o->database;
	if (!str_starts(o->database, COLLECTOR_EMBEDDED))
		return 0;
	config.dir = o->database + strlen(COLLECTOR_EMBEDDED);
	rc = embedded_start(&config, ret_own, err);
	if (rc == 0)
		*ret_conninfo = embedded_conninfo(*ret_own);
	return rc;
}

static void on_acked(void *arg, const struct store_acked *a)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (a->rc == 0)
		sessions_ack(c->sessions, a->host_id, (uint64_t)a->epoch, (uint64_t)a->last_seq);
	else if (a->rc == -ESTALE)
		ingest_fenced(c->ingest, a->host_id, (uint64_t)a->epoch, a->conn, a->t_us);
	else if (a->rc == -EPROTO)
		sessions_drop(c->sessions, a->host_id, WIRE_GOAWAY_PROTOCOL);
	sessions_resume(c->sessions);
}

static int open_store(struct collector *c, const char *conninfo, struct error *err)
{
	struct store_config config;

	store_config_init(&config);
	config.conninfo = conninfo;
	config.connections = DB_CONNECTIONS;
	config.replica = c->o->database_read;
	config.replica_lag_us = c->o->database_read_lag_us;
	config.uuid = c->id.uuid;
	config.ca_sha256 = c->id.fleet;
	config.name = c->name;
	config.relaxed = c->o->database_relaxed;
	config.window_us = c->o->window_us;
	config.flush_us = c->o->flush_interval_us;
	config.wait_us = c->o->wait_for_more_us;
	config.queue_bytes = c->o->queue_bytes;
	config.keep_chunk_us = c->o->keep_chunks_us;
	config.keep_rollup_us = c->o->keep_rollups_us;
	config.keep_day_us = c->o->keep_days_us;
	config.keep_evidence_us = c->o->keep_evidence_us;
	config.keep_event_us = c->o->keep_events_us;
	return store_open(c->base, &config, on_acked, c, &c->store, err);
}

/* ---- samples: ingest tells, incidents look ---- */

static void on_process(void *arg, struct host *h, struct process *p, int64_t t_us)
{
	struct collector *c = arg;

	incidents_process(c->incidents, h, p, t_us);
}

static void on_host(void *arg, struct host *h, int64_t t_us)
{
	struct collector *c = arg;

	incidents_host(c->incidents, h, t_us);
}

static void on_exit_of(void *arg, struct host *h, struct process *p, int64_t t_us)
{
	struct collector *c = arg;

	incidents_exit(c->incidents, h, p, t_us);
}

static void on_kill(void *arg, struct host *h, const struct wire_kill *k, int64_t kill_id,
		    int64_t t_us)
{
	struct collector *c = arg;

	kill_alerts_told(c->kills, h, k, kill_id, t_us);
}

/* What a host did by itself; also after a replay, nothing is taken twice. */
static void on_action_told(void *arg, struct host *h, const struct wire_event *e)
{
	struct collector *c = arg;

	if (c->dispatch)
		dispatch_told(c->dispatch, h->host_id, e);
}

static const struct ingest_ops ingest_ops = {.on_process = on_process,
					     .on_host = on_host,
					     .on_exit = on_exit_of,
					     .on_kill = on_kill,
					     .on_action = on_action_told};

/* ---- connections ---- */

/* A link that died took with it what it had not sent: each of its streams ends in a gap. */
static void note_ends(struct db *db, const struct host *h, const struct wire_hello *m)
{
	const uint64_t ended[] = {m->prev_epoch, m->prev_urgent_epoch};

	for (size_t i = 0; i < ARRAY_SIZE(ended) && !m->prev_clean; i++)
		if (ended[i] && store_fleet_stream_ended(db, h->host_id, (int64_t)ended[i]) < 0)
			log_warn("host=%d end of stream %016" PRIx64 " not noted", h->host_id,
				 ended[i]);
}

static void on_hello(void *arg, struct host *h, const struct wire_hello *m)
{
	struct collector *c = arg;
	struct db *db = store_db(c->store);
	json_t *doc = json_pack("{s:s, s:s, s:i, s:i, s:b}", "version", m->version, "kernel",
				m->kernel, "cpus", (int)m->cpus, "interval_ms", (int)m->interval_ms,
				"act", (int)m->act);
	auto_free char *info = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	if (info && store_fleet_hello(db, h->host_id, m->host_name, info) < 0)
		log_debug("host=%d greeting not noted", h->host_id);
	note_ends(db, h, m);
}

/* So that other collectors know where its agent is. */
static void note_holder(struct collector *c, struct host *h, bool held)
{
	if (held) {
		h->elsewhere = false;
		(void)str_copy(h->holder, sizeof(h->holder), c->name);
	}
	if (store_fleet_hold(store_db(c->store), h->host_id, store_writer(c->store), held) < 0)
		log_debug("host=%d its collector is not noted", h->host_id);
}

static void on_connected(void *arg, struct host *h)
{
	struct collector *c = arg;

	incidents_expect(c->incidents, h);
	note_holder(c, h, true);
	dispatch_host_up(c->dispatch, h->host_id);
}

static void on_result(void *arg, struct host *h, const uint8_t *body, size_t len)
{
	struct collector *c = arg;
	struct error err = {""};

	if (dispatch_result(c->dispatch, h->host_id, body, len, &err) < 0)
		log_warn("host=%d result of an action not taken error=\"%s\"", h->host_id, err.msg);
}

static void on_disconnected(void *arg, struct host *h)
{
	struct collector *c = arg;

	incidents_expect(c->incidents, h);
	note_holder(c, h, false);
}

static const struct sessions_ops sessions_ops = {.on_hello = on_hello,
						 .on_connected = on_connected,
						 .on_disconnected = on_disconnected,
						 .on_result = on_result};

static int send_command(void *arg, int32_t host_id, const struct command_request *request)
{
	struct collector *c = arg;

	return sessions_send_command(c->sessions, host_id, request);
}

static void count_action(struct collector_stats *s, const struct action_row *row)
{
	if (strcmp(row->state, "done") == 0)
		s->trims_done++;
	else if (strcmp(row->state, "ineffective") == 0)
		s->trims_ineffective++;
	else if (strcmp(row->state, "refused") == 0)
		s->trims_refused++;
	else
		s->trims_failed++;
}

static void on_action_finished(void *arg, const struct action_row *row)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	count_action(&c->stats, row);
	incidents_action_finished(c->incidents, row);
}

/* The rules hear of an action's end from the table: its result may have come in anywhere. */
static void on_action_ended(void *arg, const struct action_row *row)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	incidents_action_finished(c->incidents, row);
}

static void on_action_verified(void *arg, const struct action_row *row)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	incidents_action_verified(c->incidents, row);
}

static void on_action_asked(void *arg, int rc, const struct action_row *row,
			    const struct error *err)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	incidents_action_asked(c->incidents, rc, row, err);
}

/* What belongs to an alert is told by the alert's own mails, but for a census. */
static void on_action_waits(void *arg, const struct action_row *row)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (c->mailer && (!row->alert_id || strcmp(row->action, "census") == 0))
		approval_mail(c->mailer, row);
}

static void on_action_tripped(void *arg, const struct action_row *row)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (c->mailer)
		breaker_mail(c->mailer, row);
}

static void on_journal_broken(void *arg, const char *host, const char *why)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (c->mailer)
		journal_mail(c->mailer, host, why);
}

/* ---- making the parts, in the order in which they need each other ---- */

static int make_dispatch(struct collector *c, struct error *err)
{
	const struct dispatch_config config = {
		.db = store_db(c->store),
		.registry = &c->registry,
		.key = c->id.command_key,
		.fence = FENCE,
		.writer = store_writer(c->store),
		.limits = {.max_running = c->o->action_max_running,
			   .max_per_hour = c->o->action_max_per_hour,
			   .cooldown_us = c->o->action_cooldown_us,
			   .canary_us = c->o->action_canary_us,
			   .breaker = c->o->action_breaker,
			   .breaker_us = c->o->action_breaker_time_us},
		.approve = collector_approve(c->o),
		.approve_within_us = c->o->approve_within_us,
		.remediation = c->o->remediation,
		.ops = {.send = send_command,
			.finished = on_action_finished,
			.ended = on_action_ended,
			.verified = on_action_verified,
			.asked = on_action_asked,
			.waits = on_action_waits,
			.tripped = on_action_tripped,
			.journal_broken = on_journal_broken,
			.arg = c},
	};

	return dispatch_new(c->base, &config, &c->dispatch, err);
}

static void find_public_host(struct collector *c)
{
	struct utsname u;

	if (*c->o->public_address)
		str_copy(c->public_host, sizeof(c->public_host), c->o->public_address);
	else if (uname(&u) == 0)
		str_copy(c->public_host, sizeof(c->public_host), u.nodename);
}

bool collector_is_loopback(const char *address)
{
	return str_starts(address, "127.") || str_starts(address, "localhost:") ||
	       str_starts(address, "[::1]:");
}

/* Where links in mails lead: what is configured, else where the dashboard is. */
static int find_base_url(struct collector *c, struct error *err)
{
	const char *listen = c->o->listen_http;
	const char *port = strrchr(listen, ':');
	int n;

	if (*c->o->base_url)
		n = snprintf(c->base_url, sizeof(c->base_url), "%s", c->o->base_url);
	else if (collector_is_loopback(listen))
		n = snprintf(c->base_url, sizeof(c->base_url), "http://%s", listen);
	else
		n = snprintf(c->base_url, sizeof(c->base_url), "https://%s%s", c->public_host,
			     port ? port : "");
	if (n < 0 || (size_t)n >= sizeof(c->base_url))
		return error_set(err, -EINVAL, "base_url = '%s': too long", c->o->base_url);
	return 0;
}

static bool may_mail(void *arg)
{
	const struct collector *c = arg;

	return c->leader && leader_leads(c->leader);
}

/* '' is allowed: then nothing is mailed. */
static int make_mailer(struct collector *c, struct error *err)
{
	const struct collector_options *o = c->o;
	const struct mail_config config = {
		.url = *o->mail_to ? o->smtp_url : "",
		.tls = o->smtp_tls,
		.from = o->mail_from,
		.recipients = o->mail_to,
		.user = o->smtp_user,
		.password_file = o->smtp_password_file,
		.ca_file = o->smtp_ca_file,
		.base_url = c->base_url,
		.leads = may_mail,
		.arg = c,
	};

	int rc = find_base_url(c, err);

	if (!rc)
		rc = mailer_new(c->base, store_db(c->store), &config, &c->mailer, err);
	if (rc < 0)
		return rc;
	rc = outage_new(c->mailer, o->outage_mail_us, c->public_host, &c->outage);
	if (rc == 0)
		rc = kill_alerts_new(c->base, &c->registry, store_db(c->store),
				     o->oom_mail ? c->mailer : NULL, &c->kills);
	return rc < 0 ? error_set(err, rc, "no memory to start") : 0;
}

static int make_fleet(struct collector *c, struct error *err)
{
	if (ingest_new(&c->registry, c->store, &ingest_ops, c, &c->ingest) < 0 ||
	    sessions_new(c->base, c->id.stream, &c->registry, c->store, c->ingest, &sessions_ops, c,
			 &c->sessions) < 0)
		return error_set(err, -ENOMEM, "no memory to start");
	sessions_limit(c->sessions, c->o->agent_rate);
	return 0;
}

/* ---- our own counters ---- */

static void gather_stats(struct collector *c)
{
	struct store_stats store;
	struct replica_state replica;
	struct mail_counts mail;
	struct incident_counts alerts;

	store_stats(c->store, &store);
	store_replica_state(c->store, &replica);
	mail_counts(c->mailer, &mail);
	incidents_counts(c->incidents, &alerts);
	c->stats.ingest_batches = store.batches;
	c->stats.ingest_bytes = store.bytes;
	c->stats.ingest_fenced = store.fenced;
	c->stats.ingest_rejected = sessions_stats(c->sessions)->refused;
	c->stats.ingest_lag_us =
		store.oldest_queued_us
			? (uint64_t)MAX_OF(clock_wall_us() - store.oldest_queued_us, (int64_t)0)
			: 0;
	c->stats.db_errors = store.flush_errors + store.seal_errors;
	c->stats.replica_used = replica.used;
	c->stats.replica_lag_us = (uint64_t)MAX_OF(replica.lag_us, (int64_t)0);
	c->stats.replica_falls = replica.falls;
	c->stats.replica_retried = replica.retried;
	c->stats.adopted = store.adopted;
	c->stats.adopt_errors = store.adopt_errors;
	c->stats.alerts_log = alerts.firing[RULE_LOG];
	c->stats.alerts_mail = alerts.firing[RULE_MAIL] + kill_alerts_firing(c->kills);
	c->stats.alerts_trim = alerts.firing[RULE_TRIM];
	c->stats.mails_sent = mail.sent;
	c->stats.mails_failed = mail.failed;
}

/* The database does not answer, or it answers and takes nothing (a full disk). */
static void look_for_outage(struct collector *c)
{
	struct store_stats store;
	struct outage_view v = {.queue_bytes = c->o->queue_bytes,
				.agents = sessions_stats(c->sessions)->connected,
				.boot_us = clock_boot_us(),
				.wall_us = clock_wall_us()};

	store_stats(c->store, &store);
	v.queued_bytes = store.queued_bytes;
	v.queued_batches = store.queued_batches;
	if (!store_ready(c->store))
		v.trouble = store_trouble(c->store);
	else if (c->stats.ingest_lag_us > OUTAGE_LAG_US)
		v.trouble = *store.refused ? store.refused
					   : "batches wait for longer than 10 s to be stored";
	outage_look(c->outage, &v);
	c->stats.queued_bytes = store.queued_bytes;
	c->stats.db_away_us = (uint64_t)outage_lasts_us(c->outage, v.boot_us);
	c->stats.agents_slowed = sessions_stats(c->sessions)->slowed;
}

static void on_tick(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	gather_stats(c);
	look_for_outage(c);
	sessions_resume(c->sessions);
}

static void on_signal(evutil_socket_t number, short what unused_arg, void *arg)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	log_info("stopping signal=%d", (int)number);
	event_base_loopbreak(c->base);
}

static int watch_signals(struct collector *c)
{
	const int numbers[] = {SIGTERM, SIGINT};
	const struct timeval second = {.tv_sec = STATS_SEC};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		c->signals[i] = evsignal_new(c->base, numbers[i], on_signal, c);
		if (!c->signals[i] || event_add(c->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	c->tick = event_new(c->base, -1, EV_PERSIST, on_tick, c);
	return c->tick && event_add(c->tick, &second) == 0 ? 0 : -ENOMEM;
}

int collector_check_secrets(const struct collector_options *o, struct error *err)
{
	if (!*o->smtp_password_file || fs_check_private(o->smtp_password_file, err) == 0)
		return 0;
	return -EINVAL;
}

static int start(struct collector *c, struct error *err)
{
	const char *conninfo;
	int rc = collector_check_secrets(c->o, err);

	find_public_host(c);
	(void)snprintf(c->name, sizeof(c->name), "%s%s", c->public_host,
		       strrchr(c->o->listen_stream, ':') ? strrchr(c->o->listen_stream, ':') : "");
	if (!rc)
		rc = identity_open(c->o->state_dir, &c->id, err);
	if (!rc)
		rc = incidents_new(c->base, c->o->rules_dir, &c->registry, &c->incidents, err);
	if (!rc)
		rc = collector_database(c->o, &c->embedded, &conninfo, err);
	if (!rc)
		rc = open_store(c, conninfo, err);
	if (!rc && c->embedded)
		rc = embedded_supervise(c->embedded, c->base, err);
	if (!rc)
		rc = make_fleet(c, err);
	if (!rc)
		rc = make_dispatch(c, err);
	if (!rc)
		rc = make_mailer(c, err);
	if (rc)
		return rc;
	incidents_connect(c->incidents, store_db(c->store), c->mailer, c->dispatch);
	if (watch_signals(c) < 0)
		return error_set(err, -ENOMEM, "no memory to start");
	return collector_begin(c, err);
}

/* Agents hear that we stop, what they sent is committed, then everything goes in reverse order. */
static void stop(struct collector *c)
{
	const struct timeval moment = {.tv_usec = GOODBYE_MS * 1000};

	listener_stop(c->listen_enroll);
	listener_stop(c->listen_stream);
	if (c->sessions && c->rc == 0) {
		sessions_goodbye(c->sessions);
		leader_release(c->leader);
		event_base_loopexit(c->base, &moment);
		event_base_dispatch(c->base);
		if (store_drain(c->store, DRAIN_US) < 0)
			log_warn("stopping with batches that the database did not take; agents "
				 "resend them");
	}
	if (c->begin)
		event_free(c->begin);
	if (c->tick)
		event_free(c->tick);
	for (size_t i = 0; i < ARRAY_SIZE(c->signals); i++)
		if (c->signals[i])
			event_free(c->signals[i]);
	leader_free(&c->leader);
	holders_free(&c->holders);
	enroller_free(&c->enroller);
	sessions_free(&c->sessions);
	listener_free(&c->listen_enroll);
	listener_free(&c->listen_stream);
	dispatch_free(&c->dispatch);
	outage_free(&c->outage);
	mailer_free(&c->mailer);
	ingest_free(&c->ingest);
	store_free(&c->store);
	adopter_free(&c->adopter);
	restore_free(&c->restore);
	api_free(&c->api);
	kill_alerts_free(&c->kills);
	incidents_free(&c->incidents);
	embedded_free(&c->embedded);
	registry_fini(&c->registry);
	identity_fini(&c->id);
}

int collector_run(const struct collector_options *o, struct error *err)
{
	struct collector c = {.magic = COLLECTOR_MAGIC, .o = o};
	int rc;

	c.base = event_base_new();
	if (!c.base)
		return error_set(err, -ENOMEM, "no memory to start");
	registry_init(&c.registry);
	rc = start(&c, err);
	if (!rc) {
		event_base_dispatch(c.base);
		rc = c.rc;
		if (rc < 0)
			*err = c.trouble;
	}
	c.rc = rc;
	stop(&c);
	event_base_free(c.base);
	libevent_global_shutdown();
	return rc;
}
