/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/options.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"

#define TEXT(field, preset, help)                                                               \
	{                                                                                       \
#field, CONF_STRING, offsetof(struct act_options, field), preset, 0, 0, 0, help \
	}

static const struct conf_option options[] = {
	TEXT(socket, "/run/memherd/actd.sock",
	     "where memherd-agent hands over signed commands; its folder must exist"),
	TEXT(policy, "/etc/memherd/policy", "what this host allows; only root may write it"),
	TEXT(command_key, "/etc/memherd/command.pub",
	     "64 hex digits: the collector's public key for commands; only root may write it"),
	TEXT(host_uuid_file, "/etc/memherd/host_uuid",
	     "this host's id, written by 'memherd-agent enroll'; only root may write it"),
	TEXT(journal, "/var/lib/memherd-actd/journal", "what was done, so that it is done once"),
	TEXT(client_user, "memherd", "the user whose processes may hand over commands"),
	TEXT(log_level, "info", "error, warn, info or debug"),
	TEXT(log_format, "text", "text or json"),
	{0},
};

static const char *refuse(const char *key, const char *value)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};

	if (strcmp(key, "log_format") == 0)
		return strcmp(value, "json") == 0 || strcmp(value, "text") == 0 ? NULL
										: "text or json";
	if (strcmp(key, "log_level") != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(value, levels[i]) == 0)
			return NULL;
	return "error, warn, info or debug";
}

const struct conf_table act_options_table = {
	.section = "actd",
	.options = options,
	.refuse = refuse,
};

int act_options_log(const struct act_options *o, struct error *err)
{
	static const char *const levels[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug",
	};
	bool json = strcmp(o->log_format, "json") == 0;

	if (!json && strcmp(o->log_format, "text") != 0)
		return error_set(err, -EINVAL, "log_format = '%s': expected text or json",
				 o->log_format);
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(o->log_level, levels[i]) != 0)
			continue;
		log_init("actd", (enum log_level)i, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
		return 0;
	}
	return error_set(err, -EINVAL, "log_level = '%s': expected error, warn, info or debug",
			 o->log_level);
}
