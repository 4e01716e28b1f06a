/* SPDX-License-Identifier: Apache-2.0 */
/* What is: status, hosts, ps, top. */
#include <string.h>

#include "cli/cli.h"
#include "common/str.h"

#define TOP_ROWS "20"
#define ALL_ROWS "10000" /* the most that REST gives at once; more than any fleet or host has */

static void host_row(struct table *t, const json_t *h)
{
	const json_t *culprit = json_object_get(h, "culprit");

	cell_text(t, h, "name");
	table_cell(t, json_is_true(json_object_get(h, "connected")) ? "up" : "silent");
	cell_bytes(t, h, "available_bytes");
	cell_bytes(t, h, "total_bytes");
	cell_number(t, h, "processes");
	cell_seconds(t, h, "time_to_oom_seconds");
	if (json_is_object(culprit)) {
		const char *name = field_text(culprit, "service");

		table_cell(t, name && *name ? name : field_text(culprit, "comm"));
		cell_number(t, culprit, "pid");
		cell_growth(t, culprit, "growth_bytes_per_hour");
	} else {
		table_cell(t, NULL);
		table_cell(t, NULL);
		table_cell(t, NULL);
	}
	cell_age(t, h, "last_seen");
}

int command_hosts(struct cli *c)
{
	static const char *const headings[] = {"HOST",    "STATE",        ">AVAILABLE", ">TOTAL",
					       ">PROCS",  ">TIME TO OOM", "CULPRIT",    ">PID",
					       ">GROWTH", ">SEEN",        NULL};

	return cli_list(c, "/hosts?limit=" ALL_ROWS, headings, host_row);
}

int command_status(struct cli *c)
{
	json_t *fleet = NULL;
	const json_t *hosts;
	const json_t *alerts;
	int code = cli_get(c, "/fleet", &fleet);

	if (code)
		return code;
	if (c->json) {
		code = cli_print_json(fleet);
		json_decref(fleet);
		return code;
	}
	hosts = json_object_get(fleet, "hosts");
	alerts = json_object_get(fleet, "alerts");
	printf("%d hosts, %d connected; %d alerts firing\n", (int)field_int(hosts, "total"),
	       (int)field_int(hosts, "connected"), (int)field_int(alerts, "firing"));
	json_decref(fleet);
	return command_hosts(c);
}

static void store_row(struct table *t, const json_t *s)
{
	cell_text(t, s, "name");
	cell_bytes(t, s, "bytes");
	cell_bytes(t, s, "index_bytes");
	cell_number(t, s, "rows");
	cell_number(t, s, "partitions");
	cell_time(t, s, "oldest");
}

int command_store(struct cli *c)
{
	static const char *const headings[] = {"TABLE",       ">BYTES", ">INDEXES", ">~ROWS",
					       ">PARTITIONS", "OLDEST", NULL};
	json_t *store = NULL;
	int code = cli_get(c, "/store", &store);

	if (code)
		return code;
	code = c->json ? cli_print_json(store)
		       : cli_print_items(c, json_object_get(store, "tables"), headings, store_row);
	json_decref(store);
	return code;
}

static void process_row(struct table *t, const json_t *p)
{
	const char *cmdline = field_text(p, "cmdline");

	cell_number(t, p, "pid");
	cell_bytes(t, p, "rss_bytes");
	cell_bytes(t, p, "anon_bytes");
	cell_bytes(t, p, "swap_bytes");
	cell_number(t, p, "threads");
	cell_seconds(t, p, "cpu_seconds");
	cell_growth(t, p, "growth_bytes_per_hour");
	cell_text(t, p, "service");
	table_cell(t, cmdline && *cmdline ? cmdline : field_text(p, "comm"));
}

int command_ps(struct cli *c)
{
	static const char *const headings[] = {">PID", ">RSS",    ">ANON",   ">SWAP",   ">THREADS",
					       ">CPU", ">GROWTH", "SERVICE", "COMMAND", NULL};
	char host[512];
	char path[600];

	if (rest_escape(c->rest, c->args[0], host, sizeof(host)) < 0)
		return cli_usage("ps");
	snprintf(path, sizeof(path), "/hosts/%s/processes?limit=" ALL_ROWS, host);
	return cli_list(c, path, headings, process_row);
}

static void top_process_row(struct table *t, const json_t *p)
{
	cell_text(t, p, "host");
	process_row(t, p);
}

static void top_service_row(struct table *t, const json_t *s)
{
	cell_text(t, s, "host");
	cell_text(t, s, "service");
	cell_number(t, s, "processes");
	cell_bytes(t, s, "rss_bytes");
	cell_bytes(t, s, "pss_bytes");
	cell_bytes(t, s, "anon_bytes");
	cell_bytes(t, s, "swap_bytes");
	cell_growth(t, s, "growth_bytes_per_hour");
}

int command_top(struct cli *c)
{
	static const char *const processes[] = {"HOST",    ">PID",     ">RSS", ">ANON",
						">SWAP",   ">THREADS", ">CPU", ">GROWTH",
						"SERVICE", "COMMAND",  NULL};
	static const char *const services[] = {"HOST",  "SERVICE", ">PROCS",  ">RSS", ">PSS",
					       ">ANON", ">SWAP",   ">GROWTH", NULL};
	bool of_services = c->n_args && strcmp(c->args[0], "services") == 0;
	char path[600];

	if (c->n_args && !of_services && strcmp(c->args[0], "processes") != 0)
		return cli_usage("top");
	snprintf(path, sizeof(path), "/%s", of_services ? "services" : "processes");
	if (cli_add_query(c, path, sizeof(path), "limit", c->limit ? c->limit : TOP_ROWS) < 0 ||
	    cli_add_query(c, path, sizeof(path), "sort", c->sort) < 0)
		return cli_usage("top");
	return cli_list(c, path, of_services ? services : processes,
			of_services ? top_service_row : top_process_row);
}
