/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/options.h"

#include <errno.h>
#include <string.h>

#include "agent/names/names.h"
#include "agent/sense/services.h"
#include "common/clock.h"
#include "common/judge.h"
#include "common/str.h"

#define SECONDS(n) ((n)*USEC_PER_SEC)
#define MINUTES(n) SECONDS((n)*60)
#define KIB(n)     ((n)*INT64_C(1024))
#define MIB(n)     KIB((n)*1024)

#define SPOOL_DISK_MIN MIB(1)

#define FIELD(name) .key = #name, .offset = offsetof(struct agent_options, name)

static const char *refuse_collector(const char *value)
{
	char host[OPTIONS_HOST_SIZE];
	uint16_t port;

	for (unsigned i = 0; *value && i < options_collectors(value); i++)
		if (options_collector(value, i, host, &port) < 0)
			return "host:port, or several with commas between them";
	return NULL;
}

static const char *refuse_user(const char *value)
{
	return *value ? NULL : "the name of a user";
}

static const char *refuse_host_name(const char *value)
{
	return strlen(value) <= 255 && str_is_safe(value, strlen(value))
		       ? NULL
		       : "at most 255 bytes of printable text";
}

static const char *const fast_words[] = {
	[OPTIONS_FAST_AUTO] = "auto",
	[OPTIONS_FAST_ALWAYS] = "always",
	[OPTIONS_FAST_OFF] = "off",
};

static int find_fast(const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(fast_words); i++)
		if (strcmp(fast_words[i], value) == 0)
			return (int)i;
	return -1;
}

static const char *refuse_fast(const char *value)
{
	return find_fast(value) < 0 ? "auto, always or off" : NULL;
}

static const char *refuse_expected(const char *value)
{
	return services_expectable(value) ? NULL
					  : "at most 64 names or globs, with blanks between them";
}

/* Every row's text is what dump-config, the example file and the manual say. */
static const struct conf_option rows[] = {
	{FIELD(collector), .type = CONF_STRING, .preset = "",
	 .help = "host:port of the collector; of several 'a:7421, b:7421'; empty = the one "
		 "enrolled with",
	 .refuse = refuse_collector},
	{FIELD(state_dir), .type = CONF_STRING, .preset = "/var/lib/memherd-agent",
	 .help = "folder of this host's key, certificates and name at the collector",
	 .refuse = judge_path},
	{FIELD(trust_dir), .type = CONF_STRING, .preset = "/etc/memherd",
	 .help = "root's folder for what memherd-actd trusts; empty = this host takes no commands",
	 .refuse = judge_path_or_none},
	{FIELD(user), .type = CONF_STRING, .preset = "memherd",
	 .help = "whom the agent's processes become when it is started as root",
	 .refuse = refuse_user},
	{FIELD(host_name), .type = CONF_STRING, .preset = "",
	 .help = "what this host is called at the collector; empty = the system's host name",
	 .refuse = refuse_host_name},
	{FIELD(interval), .type = CONF_DURATION, .preset = "10s", .min = SECONDS(1),
	 .max = MINUTES(5), .help = "time between two samples of every process"},
	{FIELD(window), .type = CONF_DURATION, .preset = "30min", .min = SECONDS(10),
	 .max = MINUTES(60), .help = "storage window; must equal the collector's"},
	{FIELD(max_processes), .type = CONF_INT, .preset = "5000", .min = 16, .max = 65535,
	 .help = "processes sampled at most; the rest is counted"},
	{FIELD(fast_sampling), .type = CONF_STRING, .preset = "auto",
	 .help = "sample each second: auto = while memory runs out, always, off",
	 .refuse = refuse_fast},
	{FIELD(pss_cpu), .type = CONF_INT, .preset = "1", .min = 0, .max = 100,
	 .help = "percent of one core that reading PSS may take; 0 = PSS is not read"},
	{FIELD(python), .type = CONF_BOOL, .preset = "yes",
	 .help = "read the garbage collector's state of Python processes, from outside"},
	{FIELD(max_cpu), .type = CONF_INT, .preset = "10", .min = 0, .max = 100,
	 .help = "percent of one core for gathering; above it does less; 0 = no ceiling"},
	{FIELD(max_rss), .type = CONF_BYTES, .preset = "32MiB", .min = 0, .max = MIB(1024),
	 .help = "memory for gathering; above it does less; 0 = no ceiling"},
	{FIELD(ring_memory), .type = CONF_BYTES, .preset = "1MiB", .min = KIB(64), .max = MIB(64),
	 .help = "memory for the last hour of every process, at most"},
	{FIELD(expected_services), .type = CONF_STRING, .preset = "", .flags = CONF_REPEAT,
	 .help = "services that must run: names or globs; their absence is an event",
	 .refuse = refuse_expected},
	{FIELD(absent_after), .type = CONF_DURATION, .preset = "60s", .min = SECONDS(1),
	 .max = MINUTES(1440), .help = "no process for this long makes an expected service absent"},
	{FIELD(container_engine), .type = CONF_STRING, .preset = "off",
	 .help = "who names containers: off, auto, or an engine's socket (as good as root)",
	 .refuse = names_refuse_option},
	{FIELD(proc_path), .type = CONF_STRING, .preset = "/proc",
	 .help = "where the proc file system of the watched host is mounted", .refuse = judge_path},
	{FIELD(actd_socket), .type = CONF_STRING, .preset = "/run/memherd/actd.sock",
	 .help = "socket of memherd-actd; commands are refused while it is not there",
	 .refuse = judge_path},
	{FIELD(spool_memory), .type = CONF_BYTES, .preset = "4MiB", .min = KIB(64), .max = MIB(256),
	 .help = "memory for samples not stored yet; events and kills have 1/8 more"},
	{FIELD(spool_disk), .type = CONF_BYTES, .preset = "64MiB", .min = 0, .max = MIB(1024),
	 .help = "disk for what is not stored yet, 1/8 of it for events and kills; 0 = none"},
	{FIELD(spool_dir), .type = CONF_STRING, .preset = "",
	 .help = "folder for that; empty = 'spool' in state_dir", .refuse = judge_path_or_none},
	{FIELD(reconnect_base), .type = CONF_DURATION, .preset = "1s", .min = 10000,
	 .max = MINUTES(1), .help = "longest wait before the first retry; doubles with each"},
	{FIELD(reconnect_cap), .type = CONF_DURATION, .preset = "5min", .min = 10000,
	 .max = MINUTES(60), .help = "longest wait between two retries"},
	{FIELD(reconnect_first), .type = CONF_DURATION, .preset = "30s", .min = 10000,
	 .max = MINUTES(60),
	 .help = "longest wait after a connection that worked, so that a fleet spreads out"},
	{FIELD(log_level), .type = CONF_STRING, .preset = "info",
	 .help = "error, warn, info or debug", .refuse = judge_log_level},
	{FIELD(log_format), .type = CONF_STRING, .preset = "text", .help = "text or json",
	 .refuse = judge_log_format},
	{.key = NULL},
};

const struct conf_table agent_options_table = {
	.section = "agent",
	.options = rows,
};

int options_parse_address(const char *text, char host[OPTIONS_HOST_SIZE], uint16_t *port)
{
	int rc = address_parse(text, host, port);

	return rc == 0 && (!*host || *port == 0) ? -EINVAL : rc;
}

unsigned options_collectors(const char *list)
{
	unsigned n = 1;

	for (; *list; list++)
		n += *list == ',';
	return n;
}

int options_collector(const char *list, unsigned which, char host[OPTIONS_HOST_SIZE],
		      uint16_t *port)
{
	char one[OPTIONS_HOST_SIZE + 16];
	size_t len;

	for (which %= options_collectors(list); which; which--)
		list = strchr(list, ',') + 1;
	len = strcspn(list, ",");
	if (len >= sizeof(one))
		return -EINVAL;
	memcpy(one, list, len);
	one[len] = '\0';
	return options_parse_address(str_trim(one), host, port);
}

int options_check(const struct agent_options *o, struct error *err)
{
	if (o->window < o->interval * 2)
		return error_set(err, -EINVAL, "window: expected at least two intervals");
	if (o->reconnect_cap < o->reconnect_base)
		return error_set(err, -EINVAL,
				 "reconnect_cap: expected no less than reconnect_base");
	if (o->spool_disk && o->spool_disk < SPOOL_DISK_MIN)
		return error_set(err, -EINVAL, "spool_disk: expected 0 or at least 1MiB");
	/* each line was judged, not their sum */
	if (!services_expectable(o->expected_services))
		return error_set(err, -EINVAL, "expected_services: expected %s",
				 refuse_expected(o->expected_services));
	return 0;
}

enum log_level options_log_level(const struct agent_options *o)
{
	int i = log_find_level(o->log_level);

	return i < 0 ? LOG_LEVEL_INFO : (enum log_level)i;
}

enum log_format options_log_format(const struct agent_options *o)
{
	int i = log_find_format(o->log_format);

	return i < 0 ? LOG_FORMAT_TEXT : (enum log_format)i;
}

enum options_fast options_fast_sampling(const struct agent_options *o)
{
	int i = find_fast(o->fast_sampling);

	return i < 0 ? OPTIONS_FAST_AUTO : (enum options_fast)i;
}

static char *join(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

char *options_state_path(const struct agent_options *o, const char *name)
{
	return join(o->state_dir, name);
}

char *options_spool_path(const struct agent_options *o)
{
	return *o->spool_dir ? strdup(o->spool_dir) : options_state_path(o, "spool");
}

char *options_trust_path(const struct agent_options *o, const char *name)
{
	return join(o->trust_dir, name);
}
