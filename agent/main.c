/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/enroll.h"
#include "agent/gc.h"
#include "agent/inspect.h"
#include "agent/link/credentials.h"
#include "agent/link/process.h"
#include "agent/names/names.h"
#include "agent/options.h"
#include "agent/sense/sense.h"
#include "agent/top.h"

#define EXIT_USAGE 2

/* What stands on the command line of the commands that read the configuration. */
struct invocation {
	struct agent_options options;
	const char *config; /* -c, NULL = the usual place, which may be missing */
	const char *token_file;
	bool force;
};

static int usage_error(const struct error *err)
{
	fprintf(stderr, "memherd-agent: %s\n", err->msg);
	return EXIT_USAGE;
}

static int set_from_argument(struct invocation *in, char *arg, struct error *err)
{
	char *eq = strchr(arg, '=');

	if (!eq)
		return error_set(err, -EINVAL, "-o %s: expected key=value", arg);
	*eq = '\0';
	return conf_set(&agent_options_table, &in->options, arg, eq + 1, "-o", err);
}

static int load(struct invocation *in, struct error *err)
{
	int rc = conf_defaults(&agent_options_table, &in->options, err);

	if (rc == 0 && (in->config || access(AGENT_CONFIG, F_OK) == 0))
		rc = conf_load(&agent_options_table, &in->options,
			       in->config ? in->config : AGENT_CONFIG, err);
	return rc;
}

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"option", required_argument, NULL, 'o'},
	{"token-file", required_argument, NULL, 't'},
	{"force", no_argument, NULL, 'f'},
	{0},
};

/* Twice over the arguments: the file first, whatever the order, so that -o has the last word. */
static int parse(struct invocation *in, int argc, char **argv, struct error *err)
{
	int rc = 0;
	int c;

	opterr = 0;
	for (int pass = 0; rc == 0 && pass < 2; pass++) {
		if (pass == 1)
			rc = load(in, err);
		optind = 0;
		while (rc == 0 && (c = getopt_long(argc, argv, ":c:o:", long_options, NULL)) >= 0) {
			if (c == 'c')
				in->config = optarg;
			else if (c == 't')
				in->token_file = optarg;
			else if (c == 'f')
				in->force = true;
			else if (c == 'o' && pass == 1)
				rc = set_from_argument(in, optarg, err);
			else if (c == ':')
				rc = error_set(err, -EINVAL, "'%s' lacks its value",
					       argv[optind - 1]);
			else if (c == '?')
				rc = error_set(err, -EINVAL, "unknown option '%s'",
					       argv[optind - 1]);
		}
	}
	if (rc == 0)
		rc = options_check(&in->options, err);
	return rc;
}

static int refuse_operands(int argc, char **argv, struct error *err)
{
	if (optind < argc)
		return error_set(err, -EINVAL, "unexpected argument '%s'", argv[optind]);
	return 0;
}

static int sense_part(const struct agent_options *o, const struct sense_fds *fds)
{
	const struct sense_config cfg = {
		.proc_path = o->proc_path,
		.interval_us = o->interval,
		.window_us = o->window,
		.max_processes = (size_t)o->max_processes,
		.state_dir = o->state_dir,
		.hurry = (enum sense_hurry)options_fast_sampling(o),
		.pss_share = (uint32_t)o->pss_cpu * 100,
		.no_python = !o->python,
		.max_cpu = (uint32_t)o->max_cpu * 100,
		.max_rss = o->max_rss,
		.ring_bytes = o->ring_memory,
		.expected_services = o->expected_services,
		.absent_after_us = o->absent_after,
	};

	return sense_run(&cfg, fds);
}

static int names_part(const struct agent_options *o, int fd)
{
	return names_run(o->container_engine, fd);
}

static int cmd_run(int argc, char **argv, struct invocation *in)
{
	static const struct agent_parts parts = {.sense = sense_part,
						 .link = link_run,
						 .names = names_part};
	struct error err = {""};

	if (refuse_operands(argc, argv, &err) < 0)
		return usage_error(&err);
	log_init("agent", options_log_level(&in->options), options_log_format(&in->options));
	if (credentials_check(&in->options, &err) < 0 ||
	    agent_run(&in->options, &parts, &err) < 0) {
		log_error("agent cannot start error='%s'", err.msg);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static int cmd_enroll(int argc, char **argv, struct invocation *in)
{
	struct error err = {""};
	struct token token;
	int rc;

	if (optind < argc) {
		/* Arguments are in ps, in the shell's history and in the audit log. */
		error_set(&err, -EINVAL,
			  "a token does not belong on the command line, where every user of this "
			  "host can read it: give it with --token-file or on standard input");
		memset(argv[optind], 'x', strlen(argv[optind]));
		return usage_error(&err);
	}
	log_init("enroll", options_log_level(&in->options), options_log_format(&in->options));
	signal(SIGPIPE, SIG_IGN);
	rc = enroll_read_token(in->token_file, &token, &err);
	if (rc == 0)
		rc = enroll_run(&in->options, &token, in->force, &err);
	explicit_bzero(&token, sizeof(token));
	if (rc < 0) {
		fprintf(stderr, "memherd-agent: %s\n", err.msg);
		return EXIT_FAILURE;
	}
	printf("enrolled: %s\n", in->options.state_dir);
	return EXIT_SUCCESS;
}

static int cmd_check_config(int argc, char **argv, struct invocation *in unused_arg)
{
	struct error err = {""};

	if (refuse_operands(argc, argv, &err) < 0)
		return usage_error(&err);
	puts("configuration ok");
	return EXIT_SUCCESS;
}

static int cmd_dump_config(int argc, char **argv, struct invocation *in)
{
	struct error err = {""};

	if (refuse_operands(argc, argv, &err) < 0)
		return usage_error(&err);
	conf_dump(&agent_options_table, &in->options, stdout);
	return EXIT_SUCCESS;
}

static int cmd_help(int argc, char **argv);

static int cmd_version(int argc unused_arg, char **argv unused_arg)
{
	puts("memherd-agent " MEMHERD_VERSION);
	return EXIT_SUCCESS;
}

/* Either takes an invocation, or (plain) parses its own arguments and reads no configuration. */
static const struct command {
	const char *name;
	int (*run)(int argc, char **argv, struct invocation *in);
	int (*plain)(int argc, char **argv);
	const char *arguments;
	const char *help;
} commands[] = {
	{"run", cmd_run, NULL, "", "watch this host (the default)"},
	{"enroll", cmd_enroll, NULL, "[--token-file F] [--force]",
	 "become a host of a collector; the token is read from F or standard input"},
	{"check-config", cmd_check_config, NULL, "", "say whether the configuration is valid"},
	{"dump-config", cmd_dump_config, NULL, "", "print every option with its help"},
	{"inspect", NULL, inspect_main, "PID [--json] [--census]",
	 "everything about one process, now; needs no collector"},
	{"gc", NULL, gc_main, "PID [--seconds N] [--json]",
	 "every garbage collection of a Python process and its pause, for some seconds"},
	{"top", NULL, top_main, "", "processes by memory and growth; needs no collector"},
	{"--version", NULL, cmd_version, "", "print the version"},
	{"--help", NULL, cmd_help, "", "print this"},
};

static int cmd_help(int argc unused_arg, char **argv unused_arg)
{
	puts("usage: memherd-agent [COMMAND] [-c FILE] [-o KEY=VALUE]...\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-13s %-27s %s\n", commands[i].name, commands[i].arguments,
		       commands[i].help);
	puts("\n  -c FILE       configuration (default " AGENT_CONFIG ")\n"
	     "  -o KEY=VALUE  sets an option, after the file");
	return EXIT_SUCCESS;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int run_with_config(const struct command *cmd, int argc, char **argv)
{
	struct invocation in = {0};
	struct error err = {""};
	int code;

	if (parse(&in, argc, argv, &err) < 0)
		code = usage_error(&err);
	else
		code = cmd->run(argc, argv, &in);
	conf_fini(&agent_options_table, &in.options);
	return code;
}

/* The command is the first word that is neither an option nor the value of -c or -o. */
static int command_index(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (*argv[i] != '-' || find_command(argv[i]))
			return i;
		if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "-o") == 0)
			i++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int at = command_index(argc, argv);
	const struct command *cmd = find_command(at ? argv[at] : "run");

	if (!cmd) {
		fprintf(stderr, "memherd-agent: unknown command '%s' (--help lists them)\n",
			argv[at]);
		return EXIT_USAGE;
	}
	if (cmd->plain)
		return cmd->plain(argc - at, argv + at);
	if (at) { /* what stood before it counts as well */
		memmove(&argv[at], &argv[at + 1], (size_t)(argc - at) * sizeof(*argv));
		argc--;
	}
	return run_with_config(cmd, argc, argv);
}
