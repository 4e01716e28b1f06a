/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - the agent's settings: one table row an option (options.c), read once at start.
 * The struct is owned by main and only read by everyone else.
 */
#ifndef MEMHERD_AGENT_OPTIONS_H
#define MEMHERD_AGENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"
#include "common/conf.h"
#include "common/log.h"

#define AGENT_CONFIG "/etc/memherd/agent.conf"

/* Durations in microseconds, sizes in bytes; see options.c for meaning and range. */
struct agent_options {
	char *collector;
	char *state_dir;
	char *trust_dir;
	char *user;
	char *host_name;
	char *proc_path;
	char *actd_socket;
	char *expected_services;
	char *container_engine;
	char *log_level;
	char *log_format;
	int64_t interval;
	int64_t window;
	int64_t max_processes;
	char *fast_sampling;
	int64_t pss_cpu; /* percent of one core, as max_cpu */
	bool python;
	int64_t max_cpu;
	int64_t max_rss;
	int64_t ring_memory;
	int64_t absent_after;
	int64_t spool_memory;
	char *spool_dir;
	int64_t spool_disk;
	int64_t reconnect_base;
	int64_t reconnect_cap;
	int64_t reconnect_first;
};

extern const struct conf_table agent_options_table;

/* An address that one can connect to: -EINVAL without a host or a port. */
#define OPTIONS_HOST_SIZE ADDRESS_HOST_SIZE
int options_parse_address(const char *text, char host[OPTIONS_HOST_SIZE], uint16_t *port) must_use;
/* 'collector' lists addresses with commas between them: how many, and one of them, counted from 0
 * and over again behind the last. -EINVAL as above. */
unsigned options_collectors(const char *list);
int options_collector(const char *list, unsigned which, char host[OPTIONS_HOST_SIZE],
		      uint16_t *port) must_use;
/* Values that are valid one by one and not together. */
int options_check(const struct agent_options *o, struct error *err) must_use;
enum log_level options_log_level(const struct agent_options *o);
enum log_format options_log_format(const struct agent_options *o);
enum options_fast { OPTIONS_FAST_AUTO, OPTIONS_FAST_ALWAYS, OPTIONS_FAST_OFF };
enum options_fast options_fast_sampling(const struct agent_options *o);
/* state_dir/name, to be freed; NULL without memory. */
char *options_state_path(const struct agent_options *o, const char *name) must_use;
/* The folder of the disk spool; likewise. */
char *options_spool_path(const struct agent_options *o) must_use;
char *options_trust_path(const struct agent_options *o, const char *name) must_use;

#endif
