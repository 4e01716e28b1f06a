/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "common/str.h"
#include "proto/command_param.h"

#define OPT_PARAM 256 /* and the name's place */

/* An action and its parameters. */
static void usage_of(FILE *out, const struct action *a)
{
	const struct command_param *p;
	char preset[COMMAND_PARAM_TEXT_SIZE];

	fprintf(out, "  %-12s %s %s\n", a->name, command_action_of_host(a->number) ? "   " : "PID",
		a->help);
	for (size_t i = 0; (p = command_param_at(a->number, i)); i++) {
		fprintf(out, "                   --%s %s  %s", p->name, p->words ? p->words : "N",
			p->help);
		if (p->required)
			fputs("\n", out);
		else
			fprintf(out, " (%s)\n", command_param_text(preset, p, p->preset));
	}
}

void arguments_usage(FILE *out)
{
	fputs("usage: memherd-actd [-c FILE] [-o KEY=VALUE]... COMMAND\n\n"
	      "  run              serve signed commands from memherd-agent (default)\n",
	      out);
	for (size_t i = 0; action_at(i); i++)
		usage_of(out, action_at(i));
	fputs("  journal      [--verify] [--json]: what was done here, or whether its chain holds\n"
	      "  snapshot     PID [--kind census|tracemalloc|referrers|sizes]: the action of that "
	      "name\n"
	      "                   [--dry-run] [--json] [--no-policy]; census: [--top N]\n"
	      "  check-config     read configuration and policy, tell what is wrong\n"
	      "  dump-config      print every option\n"
	      "  --version\n",
	      out);
}

/* Room for each name of a parameter, and the end. */
static void add_params(struct option *to)
{
	const char *name;

	for (size_t i = 0; i < PARAM_NAMES_MAX && (name = command_param_name(i)); i++)
		*to++ = (struct option){name, required_argument, NULL, OPT_PARAM + (int)i};
	*to = (struct option){0};
}

int arguments_parse(int argc, char **argv, struct arguments *a)
{
	static const struct option fixed[] = {
		{"config", required_argument, NULL, 'c'}, {"dry-run", no_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'},         {"no-policy", no_argument, NULL, 'P'},
		{"top", required_argument, NULL, 't'},    {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},         {"verify", no_argument, NULL, 'v'},
	};
	struct option longs[ARRAY_SIZE(fixed) + PARAM_NAMES_MAX + 1];
	int c;

	memcpy(longs, fixed, sizeof(fixed));
	add_params(longs + ARRAY_SIZE(fixed));

	while ((c = getopt_long(argc, argv, "c:o:h", longs, NULL)) != -1) {
		if (c == 'c') {
			a->config = optarg;
		} else if (c == 'o' && a->n_sets < ARRAY_SIZE(a->sets)) {
			a->sets[a->n_sets++] = optarg;
		} else if (c == 'n') {
			a->dry_run = true;
		} else if (c == 'j') {
			a->json = true;
		} else if (c == 'P') {
			a->no_policy = true;
		} else if (c == 'v') {
			a->verify = true;
		} else if (c >= OPT_PARAM) {
			a->params[c - OPT_PARAM] = optarg;
		} else if (c == 't' && str_parse_int(optarg, &a->top) == 0 && a->top > 0) {
			continue;
		} else if (c == 'V') {
			puts("memherd-actd " MEMHERD_VERSION);
			return EXIT_OK;
		} else {
			arguments_usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? EXIT_OK : EXIT_USAGE;
		}
	}
	a->command = optind < argc ? argv[optind++] : "run";
	a->target = optind < argc ? argv[optind++] : NULL;
	if (optind == argc)
		return -1;
	arguments_usage(stderr);
	return EXIT_USAGE;
}

/* What was said for a parameter's name; it counts as taken. */
static const char *take_param(struct arguments *a, const char *name)
{
	const char *known;
	const char *said = NULL;

	for (size_t i = 0; i < PARAM_NAMES_MAX && (known = command_param_name(i)); i++) {
		if (strcmp(known, name) != 0)
			continue;
		said = a->params[i];
		a->params[i] = NULL;
	}
	return said;
}

const struct action *arguments_action(struct arguments *a)
{
	static const char *const kinds[] = {"census", "tracemalloc", "referrers", "sizes"};
	const char *kind;

	if (strcmp(a->command, "snapshot") != 0)
		return action_find_name(a->command);
	kind = take_param(a, "kind");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i], kind ? kind : kinds[0]) == 0)
			return action_find_name(kinds[i]);
	return NULL;
}

int arguments_params(const struct arguments *args, enum command_action action,
		     int64_t params[COMMAND_PARAMS], const char **ret_text, struct error *err)
{
	const struct command_param *text = command_param_of_text(action);
	int rc = 0;

	command_params_preset(action, params);
	for (size_t i = 0; rc == 0 && i < PARAM_NAMES_MAX; i++) {
		if (!args->params[i])
			continue;
		if (text && strcmp(text->name, command_param_name(i)) == 0)
			*ret_text = args->params[i];
		rc = command_params_set(action, command_param_name(i), args->params[i], params,
					err);
	}
	return rc < 0 ? rc : command_params_check(action, params, err);
}

int arguments_target(const struct arguments *args, const struct action *a, int64_t *ret_pid,
		     struct error *err)
{
	bool of_host = command_action_of_host(a->number);

	*ret_pid = 0;
	if (of_host && args->target)
		return error_set(err, -EINVAL, "%s '%s': it is done to the whole host", a->name,
				 args->target);
	if (of_host)
		return 0;
	if (!args->target || str_parse_int(args->target, ret_pid) < 0 || *ret_pid < 1 ||
	    *ret_pid > INT32_MAX)
		return error_set(err, -EINVAL, "%s '%s': expected a process id", a->name,
				 args->target ? args->target : "");
	return 0;
}
