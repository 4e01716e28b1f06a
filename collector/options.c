/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/options.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "common/str.h"

#define O(field) offsetof(struct collector_options, field)
#define SEC      1000000LL
#define MIN      (60 * SEC)
#define HOUR     (60 * MIN)
#define DAY      (24 * HOUR)
#define MIB      (1024 * 1024LL)

static const struct conf_option options[] = {
	{"state_dir", CONF_STRING, O(state_dir), "/var/lib/memherd-collector", 0, 0, 0,
	 "folder of the CA, keys and the bootstrap token (0700)"},
	{"database", CONF_STRING, O(database), "embedded:/var/lib/memherd-collector/postgres", 0, 0,
	 0, "embedded:FOLDER runs a private PostgreSQL; postgresql://... uses your own"},
	{"database_user", CONF_STRING, O(database_user), "", 0, 0, 0,
	 "user that runs the private PostgreSQL when started as root; empty: postgres, else "
	 "nobody"},
	{"database_relaxed", CONF_BOOL, O(database_relaxed), "no", 0, 0, 0,
	 "accept a database with fsync or synchronous_commit off: a crash may lose acknowledged "
	 "samples"},
	{"listen_stream", CONF_STRING, O(listen_stream), "0.0.0.0:7421", 0, 0, 0,
	 "address of the agents' stream (mutual TLS 1.3 only)"},
	{"listen_enroll", CONF_STRING, O(listen_enroll), "0.0.0.0:7422", 0, 0, 0,
	 "address where new hosts enrol (TLS 1.3, pinned by the token)"},
	{"listen_http", CONF_STRING, O(listen_http), "127.0.0.1:7420", 0, 0, 0,
	 "address of REST, dashboard and /metrics; TLS when it is not a loopback address"},
	{"http_hosts", CONF_STRING, O(http_hosts), "", 0, 0, CONF_REPEAT,
	 "host name that browsers may ask for, beside loopback names; may be repeated"},
	{"public_address", CONF_STRING, O(public_address), "", 0, 0, 0,
	 "host name or address that agents reach this collector by; empty: the host's name"},
	{"base_url", CONF_STRING, O(base_url), "", 0, 0, 0,
	 "URL of the dashboard in mails; empty: http://listen_http"},
	{"window", CONF_DURATION, O(window_us), "30min", 10 * SEC, HOUR, 0,
	 "span of a stored chunk; agents and database must agree, so choose before the first "
	 "start"},
	{"flush_interval", CONF_DURATION, O(flush_interval_us), "200ms", 10000, 10 * SEC, 0,
	 "longest wait before samples are committed and acknowledged"},
	{"queue_bytes", CONF_BYTES, O(queue_bytes), "64MiB", MIB, 4096 * MIB, 0,
	 "batches held in memory while the database is away; then agents must wait"},
	{"keep_chunks", CONF_DURATION, O(keep_chunks_us), "14d", DAY, 3650 * DAY, 0,
	 "how long samples are kept"},
	{"keep_rollups", CONF_DURATION, O(keep_rollups_us), "90d", DAY, 3650 * DAY, 0,
	 "how long hourly figures are kept"},
	{"keep_events", CONF_DURATION, O(keep_events_us), "365d", DAY, 3650 * DAY, 0,
	 "how long events are kept"},
	{"max_agents", CONF_INT, O(max_agents), "12000", 1, 100000, 0,
	 "agents connected at a time"},
	{"accepts_per_second", CONF_INT, O(accepts_per_second), "400", 1, 100000, 0,
	 "new connections admitted a second"},
	{"rules_dir", CONF_STRING, O(rules_dir), "/etc/memherd/rules.d", 0, 0, 0,
	 "folder of the *.rules files"},
	{"remediation", CONF_BOOL, O(remediation), "yes", 0, 0, 0,
	 "no is the kill switch: no action is sent to any host"},
	{"action_ttl", CONF_DURATION, O(action_ttl_us), "2min", 5 * SEC, 10 * MIN, 0,
	 "an action that has not begun after this is dropped"},
	{"smtp_url", CONF_STRING, O(smtp_url), "", 0, 0, 0,
	 "smtp://host:port or smtps://host:port; empty: no mail"},
	{"smtp_tls", CONF_STRING, O(smtp_tls), "starttls", 0, 0, 0, "starttls, implicit or none"},
	{"smtp_user", CONF_STRING, O(smtp_user), "", 0, 0, 0, "login name; empty: none"},
	{"smtp_password_file", CONF_STRING, O(smtp_password_file), "", 0, 0, 0,
	 "file (0600) with the password in its first line"},
	{"smtp_ca_file", CONF_STRING, O(smtp_ca_file), "", 0, 0, 0,
	 "CA certificates of the mail server; empty: the system's"},
	{"mail_from", CONF_STRING, O(mail_from), "memherd@localhost", 0, 0, 0,
	 "sender of alert mails"},
	{"mail_to", CONF_STRING, O(mail_to), "", 0, 0, CONF_REPEAT,
	 "recipient of alert mails; may be repeated; none: no mail"},
	{"log_level", CONF_STRING, O(log_level), "info", 0, 0, 0, "error, warn, info or debug"},
	{"log_format", CONF_STRING, O(log_format), "text", 0, 0, 0, "text or json"},
	{NULL},
};

static bool is_one_of(const char *value, const char *const *words)
{
	while (*words && strcmp(*words, value) != 0)
		words++;
	return *words;
}

static const char *refuse_address(const char *value)
{
	const char *colon = strrchr(value, ':');
	int64_t port;

	if (!colon || colon == value || !isdigit((unsigned char)colon[1]) ||
	    str_parse_int(colon + 1, &port) < 0 || port > 65535)
		return "address:port, the port 0 to 65535";
	return NULL;
}

static const char *refuse_database(const char *value)
{
	if (str_starts(value, "embedded:/") || str_starts(value, "postgresql://") ||
	    str_starts(value, "postgres://"))
		return NULL;
	return "embedded:/FOLDER or postgresql://...";
}

static const char *refuse_smtp_url(const char *value)
{
	if (!*value || str_starts(value, "smtp://") || str_starts(value, "smtps://"))
		return NULL;
	return "smtp://host:port or smtps://host:port";
}

static const char *refuse_smtp_tls(const char *value)
{
	static const char *const words[] = {"starttls", "implicit", "none", NULL};

	return is_one_of(value, words) ? NULL : "starttls, implicit or none";
}

static const char *refuse_level(const char *value)
{
	static const char *const words[] = {"error", "warn", "info", "debug", NULL};

	return is_one_of(value, words) ? NULL : "error, warn, info or debug";
}

static const char *refuse_format(const char *value)
{
	static const char *const words[] = {"text", "json", NULL};

	return is_one_of(value, words) ? NULL : "text or json";
}

static const char *refuse_folder(const char *value)
{
	return *value == '/' ? NULL : "an absolute path";
}

static const struct {
	const char *key;
	const char *(*refuse)(const char *value);
} judges[] = {
	{"state_dir", refuse_folder},      {"rules_dir", refuse_folder},
	{"database", refuse_database},     {"listen_stream", refuse_address},
	{"listen_enroll", refuse_address}, {"listen_http", refuse_address},
	{"smtp_url", refuse_smtp_url},     {"smtp_tls", refuse_smtp_tls},
	{"log_level", refuse_level},       {"log_format", refuse_format},
};

static const char *refuse(const char *key, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(judges); i++)
		if (strcmp(judges[i].key, key) == 0)
			return judges[i].refuse(value);
	return NULL;
}

const struct conf_table collector_conf = {
	.section = "collector",
	.options = options,
	.refuse = refuse,
};
