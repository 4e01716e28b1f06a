/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/options.h"

#include <errno.h>

#include "common/judge.h"
#include "common/log.h"

#define FIELD(name) .key = #name, .type = CONF_STRING, .offset = offsetof(struct act_options, name)

static const struct conf_option options[] = {
	{FIELD(socket), .preset = "/run/memherd/actd.sock",
	 .help = "where memherd-agent hands over signed commands; its folder must exist"},
	{FIELD(policy), .preset = "/etc/memherd/policy",
	 .help = "what this host allows; only root may write it"},
	{FIELD(command_key), .preset = "/etc/memherd/command.pub",
	 .help = "64 hex digits: the collector's public key for commands; only root may write it"},
	{FIELD(host_uuid_file), .preset = "/etc/memherd/host_uuid",
	 .help = "this host's id, written by 'memherd-agent enroll'; only root may write it"},
	{FIELD(operators), .preset = "/etc/memherd/operators",
	 .help = "folder of *.pub, each with 64 hex digits: who may sign what the policy wants "
		 "signed (signed=yes); only root may write it"},
	{FIELD(journal), .preset = "/var/lib/memherd-actd/journal",
	 .help = "what was done, so that it is done once; beside it, .limits: what is to be taken "
		 "back, .ending: workers that were told to end and have not yet"},
	{FIELD(stop_file), .preset = "/etc/memherd/stop",
	 .help = "the kill switch: while this file is there nothing is done, dry runs included"},
	{FIELD(maintenance_file), .preset = "/etc/memherd/maintenance",
	 .help = "while this file is there only dry runs are done; it may say "
		 "'until=2026-12-01T06:00Z'"},
	{FIELD(client_user), .preset = "memherd",
	 .help = "the user whose processes may hand over commands"},
	{FIELD(engine_sockets), .preset = "/run/docker.sock /run/podman/podman.sock",
	 .help = "where container engines are asked to restart a container, with blanks between; "
		 "empty = nowhere"},
	{FIELD(log_level), .preset = "info", .help = "error, warn, info or debug",
	 .refuse = judge_log_level},
	{FIELD(log_format), .preset = "text", .help = "text or json", .refuse = judge_log_format},
	{0},
};

const struct conf_table act_options_table = {
	.section = "actd",
	.options = options,
};

int act_options_log(const struct act_options *o, struct error *err)
{
	int level = log_find_level(o->log_level);
	int format = log_find_format(o->log_format);

	if (level < 0)
		return error_set(err, -EINVAL,
				 "log_level = '%s': expected error, warn, info or debug",
				 o->log_level);
	if (format < 0)
		return error_set(err, -EINVAL, "log_format = '%s': expected text or json",
				 o->log_format);
	log_init("actd", (enum log_level)level, (enum log_format)format);
	return 0;
}
