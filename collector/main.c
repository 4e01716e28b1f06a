/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "collector/collector.h"
#include "common/log.h"

#define EXIT_USAGE 2

static int check_config(const struct collector_options *o, struct error *err)
{
	int rc = collector_check(o, err);

	if (rc == 0)
		puts("configuration ok");
	return rc;
}

static int dump_config(const struct collector_options *o, struct error *err unused_arg)
{
	conf_dump(&collector_conf, o, stdout);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct collector_options *o, struct error *err);
	const char *help;
} commands[] = {
	{"run", collector_run, "collect until SIGTERM (default)"},
	{"migrate", collector_migrate, "bring the database's schema up and end"},
	{"check-config", check_config, "read the configuration and the rules, start nothing"},
	{"dump-config", dump_config, "print every option with its value, unit and help"},
};

static void usage(FILE *out)
{
	fputs("usage: memherd-collector [COMMAND] [-c FILE] [-o KEY=VALUE]...\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].help);
	fprintf(out, "  %-14s %s\n", "db export FILE",
		"the whole database into a new file; - is standard output");
	fprintf(out, "  %-14s %s\n", "db import FILE", "back, into an empty database");
	fputs("\n  -c FILE        configuration (default " COLLECTOR_CONF ")\n"
	      "  -o KEY=VALUE   one option, over the file's\n"
	      "  --version, --help\n",
	      out);
}

static int set_override(struct collector_options *o, const char *text, struct error *err)
{
	auto_free char *copy = strdup(text);
	char *value = copy ? strchr(copy, '=') : NULL;

	if (!value)
		return error_set(err, -EINVAL, "-o '%s': expected KEY=VALUE", text);
	*value++ = '\0';
	return conf_set(&collector_conf, o, copy, value, "-o", err);
}

struct line {
	const char *command;
	const char *words[2]; /* of 'db' */
	const char *file;
	const char *overrides[64];
	size_t n;
};

/* 0, 1 when the program is done (--help), or -EINVAL. */
static int parse_line(int argc, char **argv, struct line *l)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:o:Vh", longs, NULL)) != -1) {
		if (c == 'V') {
			puts("memherd-collector " MEMHERD_VERSION);
			return 1;
		}
		if (c == 'h') {
			usage(stdout);
			return 1;
		}
		if (c == 'c')
			l->file = optarg;
		else if (c == 'o' && l->n < ARRAY_SIZE(l->overrides))
			l->overrides[l->n++] = optarg;
		else
			return -EINVAL;
	}
	if (optind < argc)
		l->command = argv[optind++];
	if (strcmp(l->command, "db") == 0 && optind + 2 == argc)
		for (size_t i = 0; i < ARRAY_SIZE(l->words); i++)
			l->words[i] = argv[optind++];
	return optind == argc ? 0 : -EINVAL;
}

static int load(struct collector_options *o, const struct line *l, struct error *err)
{
	int rc = conf_defaults(&collector_conf, o, err);

	if (!rc && (l->file || access(COLLECTOR_CONF, F_OK) == 0))
		rc = conf_load(&collector_conf, o, l->file ? l->file : COLLECTOR_CONF, err);
	for (size_t i = 0; !rc && i < l->n; i++)
		rc = set_override(o, l->overrides[i], err);
	if (!rc)
		log_init("collector", collector_log_level(o), collector_log_format(o));
	return rc;
}

int main(int argc, char **argv)
{
	struct collector_options o = {0};
	struct line l = {.command = "run"};
	struct error err = {""};
	int rc = parse_line(argc, argv, &l);

	signal(SIGPIPE, SIG_IGN);
	if (rc) {
		if (rc < 0)
			usage(stderr);
		return rc < 0 ? EXIT_USAGE : 0;
	}
	rc = load(&o, &l, &err);
	if (rc < 0) {
		fprintf(stderr, "memherd-collector: %s\n", err.msg);
		conf_fini(&collector_conf, &o);
		return EXIT_USAGE;
	}
	rc = l.words[0] ? collector_db(&o, l.words[0], l.words[1], &err) : -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, l.command) == 0)
			rc = commands[i].run(&o, &err);
	if (rc == -ENOENT && !*err.msg) {
		usage(stderr);
		rc = -EINVAL;
	} else if (rc < 0) {
		fprintf(stderr, "memherd-collector: %s\n", err.msg);
	}
	conf_fini(&collector_conf, &o);
	return rc == -EINVAL ? EXIT_USAGE : rc < 0;
}
