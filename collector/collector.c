/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/collector.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "collector/api/api.h"
#include "collector/command/dispatch.h"
#include "collector/fleet/enroll.h"
#include "collector/fleet/holders.h"
#include "collector/fleet/ingest.h"
#include "collector/fleet/listener.h"
#include "collector/fleet/restore.h"
#include "collector/fleet/session.h"
#include "collector/incident.h"
#include "collector/kill_alert.h"
#include "collector/leader.h"
#include "collector/notify/mail.h"
#include "collector/outage.h"
#include "collector/rule/vocab.h"
#include "collector/stats.h"
#include "collector/store/db_sync.h"
#include "collector/store/embedded.h"
#include "collector/store/migrate.h"
#include "collector/store/store.h"
#include "collector/store/store_fleet.h"
#include "collector/store/store_lease.h"
#include "collector/store/transfer.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"
#include "common/tls.h"
#include "common/tls_ca.h"

#define COLLECTOR_MAGIC 0xc011ec70u
#define DB_CONNECTIONS  4
#define DRAIN_US        (10 * USEC_PER_SEC)
#define GOODBYE_MS      300
#define STATS_SEC       1
#define BEGIN_RETRY_MS  50
#define PATH_SIZE       4096
#define FENCE           1 /* of commands before any lease was taken */
#define DEAD_LEASES     2 /* a collector that gave no sign for so many leases has no agents */
#define FOLLOW_BACK_US  (60 * USEC_PER_SEC)
#define UUID_FILE_SIZE  64
/* Batches that wait for so long are not stored for a reason. */
#define OUTAGE_LAG_US (10 * USEC_PER_SEC)

struct collector {
	unsigned magic;
	const struct collector_options *o;
	struct event_base *base;
	struct embedded *embedded;
	struct tls_ca *ca;
	struct tls_ctx *tls_stream;
	struct tls_ctx *tls_enroll;
	struct tls_ctx *tls_web;
	struct sign_key *command_key;
	uint8_t command_public[SIGN_KEY_SIZE];
	uint8_t pin[TLS_PIN_SIZE];
	struct registry registry;
	struct store *store;
	struct ingest *ingest;
	struct restore *restore;
	struct leader *leader;
	struct holders *holders;
	uint8_t uuid[16];
	uint8_t identity[SHA256_SIZE]; /* of CA and command key together */
	char name[320];
	bool begun;
	bool open;     /* the doors are */
	int64_t fence; /* as the parts were told */
	struct incidents *incidents;
	struct kill_alerts *kills;
	struct mailer *mailer;
	struct outage *outage;
	struct dispatch *dispatch;
	struct sessions *sessions;
	struct enroller *enroller;
	struct listener *listen_stream;
	struct listener *listen_enroll;
	struct api *api;
	struct collector_stats stats;
	struct event *signals[2];
	struct event *begin;
	struct event *tick;
	char public_host[256];
	char base_url[512];
	char token_path[PATH_SIZE];
	struct error trouble; /* why the loop was ended, when not by a signal */
	int rc;
};

static void fail(struct collector *c, int rc, const struct error *err)
{
	c->rc = rc;
	c->trouble = *err;
	event_base_loopbreak(c->base);
}

static int join(char out[PATH_SIZE], const char *folder, const char *name, struct error *err)
{
	int n = snprintf(out, PATH_SIZE, "%s/%s", folder, name);

	if (n < 0 || n >= PATH_SIZE)
		return error_set(err, -EINVAL, "state_dir = '%s': too long", folder);
	return 0;
}

/* ---- identity: CA, certificates, the key that signs commands ---- */

static int open_tls(struct collector *c, struct error *err)
{
	char cert[PATH_SIZE];
	char key[PATH_SIZE];
	char ca[PATH_SIZE];
	const struct tls_files files = {.ca = ca, .cert = cert, .key = key};
	const char *dir = c->o->state_dir;
	int rc = 0;

	if (join(cert, dir, "server.pem", err) < 0 || join(key, dir, "server.key", err) < 0 ||
	    join(ca, dir, "ca.pem", err) < 0)
		return -EINVAL;
	rc = tls_ca_server(c->ca, dir, err);
	if (!rc)
		rc = tls_ctx_new(TLS_STREAM_SERVER, &files, &c->tls_stream, err);
	if (!rc)
		rc = tls_ctx_new(TLS_ENROL_SERVER, &files, &c->tls_enroll, err);
	if (!rc)
		rc = tls_ctx_new(TLS_WEB_SERVER, &files, &c->tls_web, err);
	return rc;
}

/* Agents believe one CA and one command key: collectors of one database share both. */
static void identify(struct collector *c)
{
	uint8_t both[TLS_PIN_SIZE + SIGN_KEY_SIZE];

	tls_ca_pin(c->ca, c->pin);
	memcpy(both, c->pin, TLS_PIN_SIZE);
	memcpy(both + TLS_PIN_SIZE, c->command_public, SIGN_KEY_SIZE);
	sha256(c->identity, both, sizeof(both));
}

/* Which collector this is, over restarts. */
static int open_uuid(struct collector *c, struct error *err)
{
	char path[PATH_SIZE];
	char text[UUID_FILE_SIZE];
	int rc = join(path, c->o->state_dir, "collector.uuid", err);

	if (rc < 0)
		return rc;
	rc = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	if (rc >= 0)
		return uuid_parse(c->uuid, str_trim(text)) < 0
			       ? error_set(err, -EINVAL, "'%s' holds no UUID", path)
			       : 0;
	if (rc != -ENOENT)
		return error_sys(err, rc, "'%s'", path);
	random_bytes(c->uuid, sizeof(c->uuid));
	c->uuid[6] = (uint8_t)((c->uuid[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	c->uuid[8] = (uint8_t)((c->uuid[8] & 0x3f) | 0x80);
	uuid_text(text, c->uuid);
	return fs_write(path, 0600, text, strlen(text), err);
}

static int open_identity(struct collector *c, struct error *err)
{
	char key[PATH_SIZE];
	int rc = fs_mkdir(c->o->state_dir, 0700, err);

	if (!rc)
		rc = join(key, c->o->state_dir, "command.key", err);
	if (!rc)
		rc = tls_ca_open(c->o->state_dir, &c->ca, err);
	if (!rc)
		rc = sign_key_open(key, &c->command_key, err);
	if (!rc && sign_key_public(c->command_key, c->command_public) < 0)
		rc = error_set(err, -EIO, "'%s' has no public key", key);
	if (rc)
		return rc;
	identify(c);
	rc = open_uuid(c, err);
	return rc < 0 ? rc : open_tls(c, err);
}

/* ---- the database ---- */

static int start_embedded(struct collector *c, const char **ret_conninfo, struct error *err)
{
	const struct embedded_config config = {
		.dir = c->o->database + strlen(COLLECTOR_EMBEDDED),
		.user = *c->o->database_user ? c->o->database_user : NULL,
	};
	int rc = embedded_start(&config, &c->embedded, err);

	if (rc < 0)
		return rc;
	*ret_conninfo = embedded_conninfo(c->embedded);
	return 0;
}

static int find_database(struct collector *c, const char **ret_conninfo, struct error *err)
{
	const char *d = c->o->database;

	if (str_starts(d, COLLECTOR_EMBEDDED))
		return start_embedded(c, ret_conninfo, err);
	*ret_conninfo = d;
	return 0;
}

static void on_acked(void *arg, const struct store_acked *a)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (a->rc == 0)
		sessions_ack(c->sessions, a->host_id, (uint64_t)a->epoch, (uint64_t)a->last_seq);
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
	config.uuid = c->uuid;
	config.ca_sha256 = c->identity;
	config.name = c->name;
	config.relaxed = c->o->database_relaxed;
	config.window_us = c->o->window_us;
	config.flush_us = c->o->flush_interval_us;
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

static const struct ingest_ops ingest_ops = {.on_process = on_process,
					     .on_host = on_host,
					     .on_exit = on_exit_of,
					     .on_kill = on_kill};

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

static int send_command(void *arg, int32_t host_id, const uint8_t body[COMMAND_SIZE],
			const uint8_t signature[SIGN_SIZE])
{
	struct collector *c = arg;

	return sessions_send_command(c->sessions, host_id, body, COMMAND_SIZE, signature,
				     SIGN_SIZE);
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

/* ---- making the parts, in the order in which they need each other ---- */

static int make_dispatch(struct collector *c, struct error *err)
{
	const struct dispatch_config config = {
		.db = store_db(c->store),
		.registry = &c->registry,
		.key = c->command_key,
		.fence = FENCE,
		.writer = store_writer(c->store),
		.remediation = c->o->remediation,
		.ops = {.send = send_command,
			.finished = on_action_finished,
			.ended = on_action_ended,
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

static bool is_loopback(const char *address)
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
	else if (is_loopback(listen))
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

static int make_api(struct collector *c, struct error *err)
{
	struct http_config http;
	struct api_context ctx = {
		.registry = &c->registry,
		.db = store_db(c->store),
		.store = c->store,
		.dispatch = c->dispatch,
		.rules = {incidents_write_rules, incidents_check_rules, c->incidents},
		.stats = &c->stats,
		.enroll_host = c->public_host,
		.enroll_port = listener_port(c->listen_enroll),
		.ca_pin = c->pin,
	};
	int rc = join(c->token_path, c->o->state_dir, "admin.token", err);

	if (rc < 0)
		return rc;
	ctx.admin_token_path = c->token_path;
	http_config_init(&http);
	http.listen = c->o->listen_http;
	http.allowed_hosts = c->o->http_hosts;
	http.tls = is_loopback(c->o->listen_http) ? NULL : c->tls_web;
	return api_new(c->base, &http, &ctx, &c->api, err);
}

static int make_fleet(struct collector *c, struct error *err)
{
	if (ingest_new(&c->registry, c->store, &ingest_ops, c, &c->ingest) < 0 ||
	    sessions_new(c->base, c->tls_stream, &c->registry, c->store, c->ingest, &sessions_ops,
			 c, &c->sessions) < 0)
		return error_set(err, -ENOMEM, "no memory to start");
	sessions_limit(c->sessions, c->o->agent_rate);
	return 0;
}

static int listen_for_agents(struct collector *c, struct error *err)
{
	const struct listener_limits stream = {
		.per_second = (unsigned)c->o->accepts_per_second,
		.max_open = (unsigned)c->o->max_agents,
		.max_new_per_address = 256,
	};
	const struct listener_limits enroll = {.per_second = 50,
					       .max_open = 256,
					       .max_new_per_address = 8};
	struct enroll_config config = {
		.ca = c->ca,
		.tls = c->tls_enroll,
		.db = store_db(c->store),
		.registry = &c->registry,
		.command_key = c->command_public,
	};
	int rc = listener_new(c->base, c->o->listen_stream, &stream, sessions_accept, c->sessions,
			      &c->listen_stream, err);

	if (rc < 0)
		return rc;
	config.stream_port = listener_port(c->listen_stream);
	if (enroller_new(c->base, &config, &c->enroller) < 0)
		return error_set(err, -ENOMEM, "no memory to start");
	return listener_new(c->base, c->o->listen_enroll, &enroll, enroller_accept, c->enroller,
			    &c->listen_enroll, err);
}

/* ---- start, once the loop runs: hosts, alerts, what was stored last, then the doors open ---- */

/* Its first batches may have been passed over: nobody here knew whose they are. */
static void on_new_host(void *arg, struct host *h)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	incidents_expect(c->incidents, h);
	store_follow_back(c->store, FOLLOW_BACK_US);
}

static void on_followed_row(void *arg, const struct store_replayed *r)
{
	struct collector *c = arg;
	struct host *h;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	h = registry_find_host(&c->registry, r->host_id);
	if (!h)
		return;
	if (!h->connected)
		h->last_seen_us = MAX_OF(h->last_seen_us, r->rcv_us);
	ingest_replay(c->ingest, h, r);
}

/* Each part that only the leader may do things in is told. */
static void lead(struct collector *c, int64_t fence)
{
	bool leads = fence > 0;

	c->fence = fence;
	incidents_lead(c->incidents, leads);
	kill_alerts_lead(c->kills, leads);
	dispatch_lead(c->dispatch, leads);
	mailer_forget(c->mailer);
}

static void open_doors(struct collector *c)
{
	struct error err = {""};
	int rc = listen_for_agents(c, &err);

	if (!rc)
		rc = make_api(c, &err);
	if (!rc)
		rc = holders_new(c->base, c->store, &c->registry, DEAD_LEASES * c->o->lease_us,
				 on_new_host, c, &c->holders);
	if (rc < 0) {
		fail(c, rc == -EADDRINUSE ? -EINVAL : rc, &err);
		return;
	}
	c->open = true;
	lead(c, leader_fence(c->leader));
	store_follow(c->store, on_followed_row, c);
	log_info("ready stream=%u enroll=%u http=%s hosts=%u", listener_port(c->listen_stream),
		 listener_port(c->listen_enroll), c->o->listen_http, HASH_COUNT(c->registry.hosts));
}

static void on_replayed_row(void *arg, const struct store_replayed *r)
{
	struct collector *c = arg;
	struct host *h;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	h = registry_find_host(&c->registry, r->host_id);
	if (h)
		ingest_replay(c->ingest, h, r);
}

static void on_replayed(void *arg, int rc, const struct error *err)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (rc < 0)
		fail(c, rc, err ? err : &(struct error){"cannot read back what was stored last"});
	else
		open_doors(c);
}

/* Alerts first: what is read back then finds them open and raises nothing anew. */
static void on_kills_restored(void *arg)
{
	struct collector *c = arg;
	int rc;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	rc = store_replay(c->store, on_replayed_row, on_replayed, c);
	if (rc < 0)
		fail(c, rc, &(struct error){"cannot read back what was stored last"});
}

static void on_restored(void *arg)
{
	struct collector *c = arg;
	int rc;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	rc = kill_alerts_restore(c->kills, on_kills_restored, c);
	if (rc < 0)
		fail(c, rc, &(struct error){"cannot read the alerts of kills"});
}

static void on_known(void *arg, int rc, const struct error *err)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (rc == 0)
		rc = incidents_restore(c->incidents, on_restored, c);
	if (rc < 0)
		fail(c, rc, err ? err : &(struct error){"cannot read what hosts told last"});
}

static void on_hosts(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	for (size_t i = 0; rc == 0 && i < db_rows(r); i++) {
		struct fleet_host f;
		struct host *h;

		store_fleet_host(r, i, &f);
		h = registry_host(&c->registry, f.host_id, f.uuid, f.name);
		if (h)
			incidents_expect(c->incidents, h);
		else
			rc = -ENOMEM;
	}
	if (rc == 0)
		rc = restore_new(&c->registry, store_db(c->store), on_known, c, &c->restore);
	if (rc < 0)
		fail(c, rc, err ? err : &(struct error){"cannot read the hosts"});
}

/* The first turn at the lease: what follows depends on it. */
static void begin(struct collector *c)
{
	if (c->fence == 0) {
		incidents_lead(c->incidents, false);
		kill_alerts_lead(c->kills, false);
		dispatch_lead(c->dispatch, false);
	}
	event_active(c->begin, EV_TIMEOUT, 0);
}

static void on_leader(void *arg, int64_t fence)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (c->open) {
		lead(c, fence);
	} else if (!c->begun) { /* later ones are told when the doors open */
		c->begun = true;
		c->fence = fence;
		begin(c);
	}
}

static void on_replaced(void *arg)
{
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	fail(c, -EEXIST,
	     &(struct error){"another process has started as this collector (collector.uuid in its "
			     "state_dir is the same as ours)"});
}

static const struct leader_ops leader_ops = {.changed = on_leader, .replaced = on_replaced};

/* The pool's connections come up with the loop. */
static void on_begin(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	const struct timeval moment = {.tv_usec = BEGIN_RETRY_MS * 1000};
	struct collector *c = arg;

	MAGIC_CHECK(c, COLLECTOR_MAGIC);
	if (!store_ready(c->store) ||
	    store_fleet_load(store_db(c->store), on_hosts, c) == -ENOTCONN)
		event_add(c->begin, &moment);
}

/* ---- our own counters ---- */

static void gather_stats(struct collector *c)
{
	struct store_stats store;
	struct mail_counts mail;
	struct incident_counts alerts;

	store_stats(c->store, &store);
	mail_counts(c->mailer, &mail);
	incidents_counts(c->incidents, &alerts);
	c->stats.ingest_batches = store.batches;
	c->stats.ingest_bytes = store.bytes;
	c->stats.ingest_rejected = sessions_stats(c->sessions)->refused;
	c->stats.ingest_lag_us =
		store.oldest_queued_us
			? (uint64_t)MAX_OF(clock_wall_us() - store.oldest_queued_us, (int64_t)0)
			: 0;
	c->stats.db_errors = store.flush_errors + store.seal_errors;
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

static int check_secrets(const struct collector_options *o, struct error *err)
{
	if (!*o->smtp_password_file || fs_check_private(o->smtp_password_file, err) == 0)
		return 0;
	return -EINVAL;
}

static int start(struct collector *c, struct error *err)
{
	const char *conninfo;
	int rc = check_secrets(c->o, err);

	find_public_host(c);
	(void)snprintf(c->name, sizeof(c->name), "%s%s", c->public_host,
		       strrchr(c->o->listen_stream, ':') ? strrchr(c->o->listen_stream, ':') : "");
	if (!rc)
		rc = open_identity(c, err);
	if (!rc)
		rc = incidents_new(c->base, c->o->rules_dir, &c->registry, &c->incidents, err);
	if (!rc)
		rc = find_database(c, &conninfo, err);
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
	c->begin = evtimer_new(c->base, on_begin, c);
	if (!c->begin)
		return error_set(err, -ENOMEM, "no memory to start");
	return leader_new(c->base, c->store, c->o->lease_us, &leader_ops, c, &c->leader);
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
	restore_free(&c->restore);
	api_free(&c->api);
	kill_alerts_free(&c->kills);
	incidents_free(&c->incidents);
	embedded_free(&c->embedded);
	registry_fini(&c->registry);
	sign_key_free(&c->command_key);
	tls_ctx_free(&c->tls_web);
	tls_ctx_free(&c->tls_enroll);
	tls_ctx_free(&c->tls_stream);
	tls_ca_free(&c->ca);
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

int collector_migrate(const struct collector_options *o, struct error *err)
{
	struct collector c = {.magic = COLLECTOR_MAGIC, .o = o};
	struct db_sync *s = NULL;
	const char *conninfo;
	int rc = find_database(&c, &conninfo, err);

	if (!rc)
		rc = db_sync_open(conninfo, o->database_relaxed, &s, err);
	if (!rc)
		rc = migrate_run(s, err);
	if (rc >= 0)
		printf("%d migrations applied, schema is at version %d\n", rc, migrate_newest());
	db_sync_free(&s);
	embedded_free(&c.embedded);
	return rc < 0 ? rc : 0;
}

int collector_db(const struct collector_options *o, const char *verb, const char *file,
		 struct error *err)
{
	struct collector c = {.magic = COLLECTOR_MAGIC, .o = o};
	struct transfer t = {.relaxed = o->database_relaxed};
	bool out = strcmp(verb, "export") == 0;
	int rc;

	if (!out && strcmp(verb, "import") != 0)
		return error_set(err, -EINVAL, "db '%s': expected export or import", verb);
	rc = find_database(&c, &t.conninfo, err);
	if (!rc && c.embedded)
		t.bin_dir = embedded_bin_dir(c.embedded);
	if (!rc)
		rc = out ? transfer_export(&t, file, err) : transfer_import(&t, file, err);
	if (!rc)
		fprintf(stderr, "%s done\n", verb);
	embedded_free(&c.embedded);
	return rc;
}

int collector_check(const struct collector_options *o, struct error *err)
{
	struct registry registry;
	struct incidents *i = NULL;
	int rc;

	registry_init(&registry);
	rc = check_secrets(o, err);
	if (!rc)
		rc = incidents_new(NULL, o->rules_dir, &registry, &i, err);
	incidents_free(&i);
	return rc;
}
