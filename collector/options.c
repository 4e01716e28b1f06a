/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/options.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "collector/notify/encode.h"
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
	{0},
};

/* ---- what a string must look like, so that a mistake is told with its line ---- */

static const char *refuse_path(const char *value)
{
	return *value == '/' ? NULL : "an absolute path";
}

static const char *refuse_file(const char *value)
{
	return !*value || *value == '/' ? NULL : "an absolute path, or nothing";
}

static const char *refuse_database(const char *value)
{
	if (str_starts(value, COLLECTOR_EMBEDDED "/") || str_starts(value, "postgresql://") ||
	    str_starts(value, "postgres://"))
		return NULL;
	return COLLECTOR_EMBEDDED "/FOLDER or postgresql://...";
}

/* Also ':port' and '[v6]:port'; port 0 takes a free one. */
static const char *refuse_address(const char *value)
{
	const char *colon = strrchr(value, ':');
	size_t len = colon ? (size_t)(colon - value) : 0;
	bool v6 = len > 2 && value[0] == '[' && value[len - 1] == ']';
	int64_t port;

	if (!colon || !isdigit((unsigned char)colon[1]) || str_parse_int(colon + 1, &port) < 0 ||
	    port > UINT16_MAX || strcspn(value, " \t/@") < strlen(value) ||
	    (!v6 && memchr(value, ':', len)))
		return "address:port";
	return NULL;
}

static const char *refuse_host(const char *value)
{
	bool v6 = strspn(value, "0123456789abcdefABCDEF:.") == strlen(value);

	if (strcspn(value, " \t/@") < strlen(value) || (!v6 && strchr(value, ':')))
		return "a host name or an address, without a port";
	return NULL;
}

static bool is_url(const char *value, const char *scheme)
{
	size_t n = strlen(scheme);

	return str_starts(value, scheme) && value[n] && value[n] != '/' && value[n] != ':' &&
	       str_is_safe(value, strlen(value)) && !strpbrk(value, " \"<>");
}

static const char *refuse_web_url(const char *value)
{
	return !*value || is_url(value, "http://") || is_url(value, "https://")
		       ? NULL
		       : "http://host or https://host, or nothing";
}

static const char *refuse_smtp_url(const char *value)
{
	return !*value || is_url(value, "smtp://") || is_url(value, "smtps://")
		       ? NULL
		       : "smtp://host:port or smtps://host:port, or nothing";
}

static const char *refuse_mailbox(const char *value)
{
	return !*value || encode_is_address(value) ? NULL : "an address like name@host";
}

static const char *const tls_words[] = {"starttls", "implicit", "none"};
static const char *const level_words[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};
static const char *const format_words[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
};

static int find_word(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

static const char *refuse_smtp_tls(const char *value)
{
	return find_word(tls_words, ARRAY_SIZE(tls_words), value) >= 0
		       ? NULL
		       : "starttls, implicit or none";
}

static const char *refuse_level(const char *value)
{
	return find_word(level_words, ARRAY_SIZE(level_words), value) >= 0
		       ? NULL
		       : "error, warn, info or debug";
}

static const char *refuse_format(const char *value)
{
	return find_word(format_words, ARRAY_SIZE(format_words), value) >= 0 ? NULL
									     : "text or json";
}

static const struct {
	const char *key;
	const char *(*refuse)(const char *value);
} judges[] = {
	{"state_dir", refuse_path},          {"rules_dir", refuse_path},
	{"smtp_password_file", refuse_file}, {"smtp_ca_file", refuse_file},
	{"database", refuse_database},       {"listen_stream", refuse_address},
	{"listen_enroll", refuse_address},   {"listen_http", refuse_address},
	{"http_hosts", refuse_host},         {"public_address", refuse_host},
	{"base_url", refuse_web_url},        {"smtp_url", refuse_smtp_url},
	{"smtp_tls", refuse_smtp_tls},       {"mail_from", refuse_mailbox},
	{"mail_to", refuse_mailbox},         {"log_level", refuse_level},
	{"log_format", refuse_format},
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

enum log_level collector_log_level(const struct collector_options *o)
{
	int i = find_word(level_words, ARRAY_SIZE(level_words), o->log_level);

	return i < 0 ? LOG_LEVEL_INFO : (enum log_level)i;
}

enum log_format collector_log_format(const struct collector_options *o)
{
	return strcmp(o->log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
}
