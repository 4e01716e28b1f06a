/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/options.h"

#include <stddef.h>
#include <string.h>

#include "collector/cell/cell.h"
#include "collector/command/dispatch.h"
#include "collector/notify/encode.h"
#include "common/judge.h"
#include "common/str.h"

#define O(field) offsetof(struct collector_options, field)
#define SEC      1000000LL
#define MIN      (60 * SEC)
#define HOUR     (60 * MIN)
#define DAY      (24 * HOUR)
#define MIB      (1024 * 1024LL)

#define X(NAME, number, word) " " word
#define ACTION_WORDS          "such as" COMMAND_ACTION_LIST(X)

/* ---- what a string must look like, so that a mistake is told with its line ---- */

static const char *refuse_database(const char *value)
{
	if (str_starts(value, COLLECTOR_EMBEDDED "/") || str_starts(value, "postgresql://") ||
	    str_starts(value, "postgres://"))
		return NULL;
	return COLLECTOR_EMBEDDED "/FOLDER or postgresql://...";
}

static const char *refuse_replica(const char *value)
{
	return !*value || str_starts(value, "postgresql://") || str_starts(value, "postgres://")
		       ? NULL
		       : "postgresql://... or nothing";
}

static const char *refuse_host(const char *value)
{
	bool v6 = strspn(value, "0123456789abcdefABCDEF:.") == strlen(value);

	if (strcspn(value, " \t/@") < strlen(value) || (!v6 && strchr(value, ':')))
		return "a host name or an address, without a port";
	return NULL;
}

static const char *refuse_cell(const char *value)
{
	struct error err = {""};
	struct cell cell;

	return !*value || cell_parse(value, strlen(value), &cell, &err) == 0
		       ? NULL
		       : "NAME=https://HOST[:PORT],/TOKEN-FILE[,/CA-FILE] (http:// for loopback "
			 "addresses only)";
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

static const char *refuse_smtp_tls(const char *value)
{
	static const char *const words[] = {"starttls", "implicit", "none"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i], value) == 0)
			return NULL;
	return "starttls, implicit or none";
}

/* Words of actions as a set of DISPATCH_KIND(); false: one is none. */
static bool parse_actions(const char *value, uint64_t *ret)
{
	uint64_t set = 0;

	for (const char *p = value; *(p += strspn(p, " \t"));) {
		char word[32];
		size_t n = strcspn(p, " \t");
		int action;

		if (n >= sizeof(word))
			return false;
		memcpy(word, p, n);
		word[n] = '\0';
		action = command_action_find(word);
		if (action < 0)
			return false;
		set |= DISPATCH_KIND(action);
		p += n;
	}
	*ret = set;
	return true;
}

static const char *refuse_actions(const char *value)
{
	uint64_t set;

	return parse_actions(value, &set) ? NULL
					  : "words of actions (" ACTION_WORDS "), or nothing";
}

static const struct conf_option options[] = {
	{"state_dir", CONF_STRING, O(state_dir), "/var/lib/memherd-collector", 0, 0, 0,
	 "folder of the CA, keys and the bootstrap token (0700)", judge_path},
	{"database", CONF_STRING, O(database), "embedded:/var/lib/memherd-collector/postgres", 0, 0,
	 0, "embedded:FOLDER runs a private PostgreSQL; postgresql://... uses your own",
	 refuse_database},
	{"database_read", CONF_STRING, O(database_read), "", 0, 0, 0,
	 "postgresql://... of a standby that history is read from; empty: from the database",
	 refuse_replica},
	{"database_read_lag", CONF_DURATION, O(database_read_lag_us), "30s", 5 * SEC, HOUR, 0,
	 "a standby that is further behind is not read from", NULL},
	{"database_user", CONF_STRING, O(database_user), "", 0, 0, 0,
	 "user that runs the private PostgreSQL when started as root; empty: postgres, else "
	 "nobody",
	 NULL},
	{"database_relaxed", CONF_BOOL, O(database_relaxed), "no", 0, 0, 0,
	 "accept a database with fsync or synchronous_commit off: a crash may lose acknowledged "
	 "samples",
	 NULL},
	{"listen_stream", CONF_STRING, O(listen_stream), "0.0.0.0:7421", 0, 0, 0,
	 "address of the agents' stream (mutual TLS 1.3 only)", judge_address},
	{"listen_enroll", CONF_STRING, O(listen_enroll), "0.0.0.0:7422", 0, 0, 0,
	 "address where new hosts enrol (TLS 1.3, pinned by the token)", judge_address},
	{"listen_http", CONF_STRING, O(listen_http), "127.0.0.1:7420", 0, 0, 0,
	 "address of REST, dashboard and /metrics; TLS when it is not a loopback address",
	 judge_address},
	{"http_hosts", CONF_STRING, O(http_hosts), "", 0, 0, CONF_REPEAT,
	 "host name that browsers may ask for, beside loopback names; may be repeated",
	 refuse_host},
	{"cells", CONF_STRING, O(cells), "", 0, 0, CONF_REPEAT,
	 "NAME=URL,TOKEN-FILE[,CA-FILE] of another collector whose fleet is shown here; may be "
	 "repeated",
	 refuse_cell},
	{"public_address", CONF_STRING, O(public_address), "", 0, 0, 0,
	 "host name or address that agents reach this collector by; empty: the host's name",
	 refuse_host},
	{"base_url", CONF_STRING, O(base_url), "", 0, 0, 0,
	 "URL of the dashboard in mails; empty: http://listen_http", refuse_web_url},
	{"window", CONF_DURATION, O(window_us), "30min", 10 * SEC, HOUR, 0,
	 "span of a stored chunk; agents and database must agree, so choose before the first "
	 "start",
	 NULL},
	{"flush_interval", CONF_DURATION, O(flush_interval_us), "200ms", 10000, 10 * SEC, 0,
	 "longest wait before what agents sent is committed, if it need not wait for more", NULL},
	{"wait_for_more", CONF_DURATION, O(wait_for_more_us), "60s", 0, 5 * MIN, 0,
	 "samples wait so long, at most 6 rounds, to be committed as one row with others of their "
	 "host; rules and REST have them at once; 0s: none waits",
	 NULL},
	{"queue_bytes", CONF_BYTES, O(queue_bytes), "64MiB", MIB, 4096 * MIB, 0,
	 "batches held in memory while the database is away; then agents must wait", NULL},
	{"lease", CONF_DURATION, O(lease_us), "15s", SEC, 5 * MIN, 0,
	 "of several collectors on one database another leads so long after the leader went silent",
	 NULL},
	{"adopt_after", CONF_DURATION, O(adopt_after_us), "10min", 5 * SEC, HOUR, 0,
	 "what a collector received that went silent for so long (at least four leases) is sealed "
	 "by "
	 "the one that leads",
	 NULL},
	{"agent_rate", CONF_BYTES, O(agent_rate), "256KiB", 16 * 1024, 1024 * MIB, 0,
	 "bytes a second that one agent may send after a burst of 1 MiB: how fast what it held "
	 "over an "
	 "outage comes in",
	 NULL},
	{"outage_mail", CONF_DURATION, O(outage_mail_us), "2min", 0, DAY, 0,
	 "mail, past the database, when it has been away for so long, and once when it is back; "
	 "0s: "
	 "only the log",
	 NULL},
	{"keep_chunks", CONF_DURATION, O(keep_chunks_us), "14d", DAY, 3650 * DAY, 0,
	 "how long samples are kept", NULL},
	{"keep_rollups", CONF_DURATION, O(keep_rollups_us), "90d", DAY, 3650 * DAY, 0,
	 "how long hourly figures are kept", NULL},
	{"keep_days", CONF_DURATION, O(keep_days_us), "730d", DAY, 3650 * DAY, 0,
	 "how long daily figures are kept", NULL},
	{"keep_evidence", CONF_DURATION, O(keep_evidence_us), "365d", DAY, 3650 * DAY, 0,
	 "how long samples around an alert or a kill are kept; up to keep_chunks: no longer than "
	 "the others",
	 NULL},
	{"keep_events", CONF_DURATION, O(keep_events_us), "365d", DAY, 3650 * DAY, 0,
	 "how long events are kept", NULL},
	{"max_agents", CONF_INT, O(max_agents), "12000", 1, 100000, 0, "agents connected at a time",
	 NULL},
	{"accepts_per_second", CONF_INT, O(accepts_per_second), "400", 1, 100000, 0,
	 "new connections admitted a second", NULL},
	{"rules_dir", CONF_STRING, O(rules_dir), "/etc/memherd/rules.d", 0, 0, 0,
	 "folder of the *.rules files", judge_path},
	{"remediation", CONF_BOOL, O(remediation), "yes", 0, 0, 0,
	 "no is the kill switch: no action is sent to any host", NULL},
	{"action_ttl", CONF_DURATION, O(action_ttl_us), "2min", 5 * SEC, 10 * MIN, 0,
	 "an action that has not begun after this is dropped", NULL},
	{"action_max_running", CONF_INT, O(action_max_running), "8", 0, 10000, 0,
	 "actions under way at once over the fleet, of people and rules; 0: any number", NULL},
	{"action_max_per_hour", CONF_INT, O(action_max_per_hour), "120", 0, 100000, 0,
	 "actions in an hour over the fleet, of people and rules; 0: any number", NULL},
	{"action_cooldown", CONF_DURATION, O(action_cooldown_us), "10min", 0, 24 * 60 * MIN, 0,
	 "between two actions of rules on one service of a host", NULL},
	{"action_canary", CONF_DURATION, O(action_canary_us), "1d", 0, 30 * 24 * 60 * MIN, 0,
	 "of a rule's actions the first one waits for its verdict alone; so long it is good for; "
	 "0: no canary",
	 NULL},
	{"action_breaker", CONF_INT, O(action_breaker), "3", 0, 64, 0,
	 "a rule's action that gave nothing so many times in a row stops; 0: never", NULL},
	{"action_breaker_time", CONF_DURATION, O(action_breaker_time_us), "1h", MIN,
	 7 * 24 * 60 * MIN, 0, "how long it stops, unless it is closed by hand", NULL},
	{"approve", CONF_STRING, O(approve), "", 0, 0, 0,
	 "actions that need a second person's approval, with blanks between, as 'restart limit'; "
	 "empty: none but those that a rule marks",
	 refuse_actions},
	{"approve_within", CONF_DURATION, O(approve_within_us), "1h", MIN, DAY, 0,
	 "an action that nobody has approved after this is dropped", NULL},
	{"oom_mail", CONF_BOOL, O(oom_mail), "yes", 0, 0, 0,
	 "mail at once when a process was killed for memory; no: the alert is there, no mail",
	 NULL},
	{"smtp_url", CONF_STRING, O(smtp_url), "", 0, 0, 0,
	 "smtp://host:port or smtps://host:port; empty: no mail", refuse_smtp_url},
	{"smtp_tls", CONF_STRING, O(smtp_tls), "starttls", 0, 0, 0, "starttls, implicit or none",
	 refuse_smtp_tls},
	{"smtp_user", CONF_STRING, O(smtp_user), "", 0, 0, 0, "login name; empty: none", NULL},
	{"smtp_password_file", CONF_STRING, O(smtp_password_file), "", 0, 0, 0,
	 "file (0600) with the password in its first line", judge_path_or_none},
	{"smtp_ca_file", CONF_STRING, O(smtp_ca_file), "", 0, 0, 0,
	 "CA certificates of the mail server; empty: the system's", judge_path_or_none},
	{"mail_from", CONF_STRING, O(mail_from), "memherd@localhost", 0, 0, 0,
	 "sender of alert mails", refuse_mailbox},
	{"mail_to", CONF_STRING, O(mail_to), "", 0, 0, CONF_REPEAT,
	 "recipient of alert mails; may be repeated; none: no mail", refuse_mailbox},
	{"log_level", CONF_STRING, O(log_level), "info", 0, 0, 0, "error, warn, info or debug",
	 judge_log_level},
	{"log_format", CONF_STRING, O(log_format), "text", 0, 0, 0, "text or json",
	 judge_log_format},
	{0},
};

const struct conf_table collector_conf = {
	.section = "collector",
	.options = options,
};

enum log_level collector_log_level(const struct collector_options *o)
{
	int i = log_find_level(o->log_level);

	return i < 0 ? LOG_LEVEL_INFO : (enum log_level)i;
}

enum log_format collector_log_format(const struct collector_options *o)
{
	int i = log_find_format(o->log_format);

	return i < 0 ? LOG_FORMAT_TEXT : (enum log_format)i;
}

uint64_t collector_approve(const struct collector_options *o)
{
	uint64_t set = 0;

	return parse_actions(o->approve, &set) ? set : 0;
}
