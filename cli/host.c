/* SPDX-License-Identifier: Apache-2.0 */
/* One host: memory, pressure, how it is set up, limits and containers. */
#include <string.h>

#include "cli/cli.h"
#include "common/str.h"

#define CGROUPS "1000"

static void show_bytes(const char *before, const json_t *h, const char *key, const char *after)
{
	char text[STR_UNIT_SIZE];

	if (json_is_number(json_object_get(h, key)))
		cli_say("%s%s%s", before, str_bytes(text, field_int(h, key)), after);
	else
		cli_say("%s?%s", before, after);
}

static void show_ratio(const json_t *o, const char *key, const char *word)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_number(v))
		cli_say("%.1f %% of the time %s", json_number_value(v) * 100, word);
}

static void show_pressure(const json_t *h)
{
	const json_t *p = json_object_get(h, "pressure");

	if (!json_is_object(p)) {
		cli_line("Pressure   not told: the kernel has no PSI, or it is off");
		return;
	}
	cli_say("Pressure   ");
	show_ratio(p, "some_ratio", "a task waited for memory, ");
	show_ratio(p, "full_ratio", "all did");
	cli_break();
}

/* 'label 17 words'; '?' for what the kernel does not tell. */
static void show_count(const char *before, const json_t *h, const char *key, const char *after)
{
	if (json_is_number(json_object_get(h, key)))
		cli_say("%s%lld%s", before, (long long)field_int(h, key), after);
	else
		cli_say("%s?%s", before, after);
}

/* Counted by the kernel since the host's start. */
static void show_reclaim(const json_t *h)
{
	show_count("Reclaim    ", h, "steal_kswapd", " pages by kswapd, ");
	show_count("", h, "steal_direct", " by tasks that needed memory, ");
	show_count("", h, "alloc_stalls", " stalls; swapped in ");
	show_count("", h, "swap_in", ", out ");
	show_count("", h, "swap_out", " pages");
	cli_break();
	show_count("OOM kills  ", h, "oom_kills", " since the host's start");
	cli_break();
}

static void show_agent(const json_t *h)
{
	const json_t *cpu = json_object_get(h, "agent_cpu_seconds");
	const char *version = field_text(h, "agent_version");
	char text[STR_UNIT_SIZE];

	cli_say("Agent      %s, ", version ? version : "of unknown version");
	show_bytes("", h, "agent_rss_bytes", " RSS");
	if (json_is_number(cpu))
		cli_say(", %s of CPU so far",
			str_duration(text, (int64_t)(json_number_value(cpu) * 1e6)));
	cli_break();
}

static void show_head(const json_t *h)
{
	const char *kernel = field_text(h, "kernel");

	cli_line("%s, %s, kernel %s, %lld CPUs", field_or(h, "name"),
		 json_is_true(json_object_get(h, "connected")) ? "up" : "silent",
		 kernel ? kernel : "?", (long long)field_int(h, "cpus"));
	cli_break();
	show_bytes("Memory     ", h, "available_bytes", " available of ");
	show_bytes("", h, "total_bytes", "");
	cli_break();
	show_bytes("Swap       ", h, "swap_free_bytes", " free of ");
	show_bytes("", h, "swap_total_bytes", "");
	cli_break();
	show_pressure(h);
	show_reclaim(h);
	show_agent(h);
}

/* The worst first. */
static void show_findings(const json_t *h)
{
	static const char *const severities[] = {"bad", "warn", "info"};
	const json_t *posture = json_object_get(h, "posture");
	const json_t *list = json_object_get(posture, "findings");
	const json_t *f;
	size_t i;

	cli_title("How it is set up");
	if (!json_is_object(posture))
		cli_line("  not told yet");
	else if (!json_array_size(list))
		cli_line("  nothing to complain of");
	for (size_t s = 0; s < ARRAY_SIZE(severities); s++) {
		json_array_foreach (list, i, f) {
			const char *fix = field_text(f, "fix");

			if (!field_text(f, "severity") ||
			    strcmp(field_text(f, "severity"), severities[s]) != 0)
				continue;
			cli_line("  %-4s  %s", severities[s], field_or(f, "text"));
			if (fix && *fix)
				cli_line("        fix: %s", fix);
		}
	}
}

static void cgroup_row(struct table *t, const json_t *g)
{
	const char *name = field_text(g, "name");
	const char *runtime = field_text(g, "runtime");
	bool none = json_is_true(json_object_get(g, "no_limit"));

	table_cell(t, name ? name : field_text(g, "path"));
	table_cell(t, runtime);
	cell_bytes(t, g, "working_set_bytes");
	cell_bytes(t, g, "anon_bytes");
	cell_bytes(t, g, "swap_bytes");
	if (none)
		table_cell(t, "none");
	else
		cell_bytes(t, g, "limit_bytes");
	table_cell(t, none ? "the host's memory" : field_text(g, "limited_by"));
	cell_number(t, g, "oom_kills");
	cell_number(t, g, "processes");
}

static int show_cgroups(const struct cli *c, const json_t *groups)
{
	static const char *const headings[] = {"NAME",   "RUNTIME", ">WITHOUT CACHE", ">ANON",
					       ">SWAP",  ">LIMIT",  "LIMITED BY",     ">KILLS",
					       ">PROCS", NULL};

	cli_title("Containers and cgroups");
	if (json_array_size(groups))
		return cli_print_items(c, groups, headings, cgroup_row);
	cli_line("  none is watched");
	return CLI_OK;
}

int command_host(struct cli *c)
{
	json_t *host = NULL;
	json_t *groups = NULL;
	char name[512];
	char path[600];
	int code;

	if (rest_escape(c->rest, c->args[0], name, sizeof(name)) < 0)
		return cli_usage("host");
	snprintf(path, sizeof(path), "/hosts/%s", name);
	code = cli_get(c, path, &host);
	if (!code) {
		snprintf(path, sizeof(path), "/hosts/%s/cgroups?limit=" CGROUPS, name);
		code = cli_get(c, path, &groups);
	}
	if (!code && c->json) {
		json_object_set(host, "cgroups", json_object_get(groups, "items"));
		code = cli_print_json(host);
	} else if (!code) {
		show_head(host);
		show_findings(host);
		code = show_cgroups(c, json_object_get(groups, "items"));
	}
	json_decref(groups);
	json_decref(host);
	return code;
}
