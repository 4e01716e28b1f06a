/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - everything that can be set in collector.conf, one row each in options.c.
 */
#ifndef MEMHERD_COLLECTOR_OPTIONS_H
#define MEMHERD_COLLECTOR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/log.h"

#define COLLECTOR_CONF     "/etc/memherd/collector.conf"
#define COLLECTOR_EMBEDDED "embedded:" /* 'database' of a PostgreSQL of our own */

struct collector_options {
	char *state_dir;
	char *database;
	char *database_read;
	int64_t database_read_lag_us;
	char *database_user;
	bool database_relaxed;
	char *listen_stream;
	char *listen_enroll;
	char *listen_http;
	char *http_hosts;
	char *cells;
	char *public_address;
	char *base_url;
	int64_t window_us;
	int64_t flush_interval_us;
	int64_t wait_for_more_us;
	int64_t queue_bytes;
	int64_t lease_us;
	int64_t adopt_after_us;
	int64_t agent_rate;
	int64_t outage_mail_us;
	int64_t keep_chunks_us;
	int64_t keep_rollups_us;
	int64_t keep_days_us;
	int64_t keep_evidence_us;
	int64_t keep_events_us;
	int64_t max_agents;
	int64_t accepts_per_second;
	char *rules_dir;
	bool remediation;
	int64_t action_ttl_us;
	int64_t action_max_running;
	int64_t action_max_per_hour;
	int64_t action_cooldown_us;
	int64_t action_canary_us;
	int64_t action_breaker;
	int64_t action_breaker_time_us;
	char *approve; /* actions' words, blanks between: collector_approve() */
	int64_t approve_within_us;
	bool oom_mail;
	char *smtp_url;
	char *smtp_tls;
	char *smtp_user;
	char *smtp_password_file;
	char *smtp_ca_file;
	char *mail_from;
	char *mail_to;
	char *log_level;
	char *log_format;
};

extern const struct conf_table collector_conf;

enum log_level collector_log_level(const struct collector_options *o);
enum log_format collector_log_format(const struct collector_options *o);
/* What needs a second person, as dispatch_config has it. */
uint64_t collector_approve(const struct collector_options *o);

#endif
