/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - what memherd-actd can be told, in /etc/memherd/actd.conf.
 */
#ifndef MEMHERD_AGENT_ACT_OPTIONS_H
#define MEMHERD_AGENT_ACT_OPTIONS_H

#include <stdbool.h>

#include "common/conf.h"

#define ACTD_CONF "/etc/memherd/actd.conf"

struct act_options {
	char *socket;
	char *policy;
	char *command_key;
	char *host_uuid_file;
	char *journal; /* with .limits behind it: limits that are to be taken back; .ending:
			  ending.h */
	char *operators;
	char *stop_file;
	char *maintenance_file;
	char *client_user;
	char *engine_sockets;
	char *log_level;
	char *log_format;
};

extern const struct conf_table act_options_table;

/* Starts the log as the options say; -EINVAL for a word that is not known. */
int act_options_log(const struct act_options *o, struct error *err) must_use;

#endif
