/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/inspection.h"
#include "common/str.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_DENIED, EXIT_NOT_FOUND };

#define SECONDS_MIN 5
#define SECONDS_MAX 3600

static const char usage[] =
	"usage: memherd-agent inspect PID [--json] [--census] [--seconds N] [--proc DIR]\n"
	"\n"
	"  --json       one JSON object\n"
	"  --census     ask for the counts of Python objects too\n"
	"  --seconds N  watch it for so long, 5 to 3600, and say why it grows; with --census one\n"
	"               before and one after\n"
	"  --proc DIR   read this folder instead of /proc\n";

static int parse_pid(const char *text, uint32_t *ret, struct error *err)
{
	int64_t v;

	if (str_parse_int(text, &v) < 0 || v < 1 || v > (1 << 22))
		return error_set(err, -EINVAL, "'%s' is not a process id", text);
	*ret = (uint32_t)v;
	return 0;
}

static int parse_seconds(const char *text, unsigned *ret, struct error *err)
{
	int64_t v;

	if (str_parse_int(text, &v) < 0 || v < SECONDS_MIN || v > SECONDS_MAX)
		return error_set(err, -EINVAL, "--seconds takes %d to %d, not '%s'", SECONDS_MIN,
				 SECONDS_MAX, text);
	*ret = (unsigned)v;
	return 0;
}

static int parse_options(int argc, char **argv, struct inspect_options *o, struct error *err)
{
	*o = (struct inspect_options){.proc_path = "/proc"};
	for (int i = 1; i < argc; i++) {
		int r = 0;

		if (strcmp(argv[i], "--json") == 0) {
			o->json = true;
		} else if (strcmp(argv[i], "--census") == 0) {
			o->census = true;
		} else if (strcmp(argv[i], "--proc") == 0 && i + 1 < argc) {
			o->proc_path = argv[++i];
		} else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
			r = parse_seconds(argv[++i], &o->seconds, err);
		} else if (argv[i][0] == '-' || o->pid) {
			return error_set(err, -EINVAL, "unexpected argument '%s'", argv[i]);
		} else {
			r = parse_pid(argv[i], &o->pid, err);
		}
		if (r < 0)
			return r;
	}
	if (o->seconds && strcmp(o->proc_path, "/proc") != 0)
		return error_set(err, -EINVAL, "--seconds is of this machine, not of --proc");
	if (!o->pid)
		return error_set(err, -EINVAL, "which process? a PID is missing");
	return 0;
}

static int exit_code(int r)
{
	if (r == -ENOENT || r == -ESRCH)
		return EXIT_NOT_FOUND;
	return r == -EACCES || r == -EPERM ? EXIT_DENIED : EXIT_FAILED;
}

int inspect_main(int argc, char **argv)
{
	struct inspect_options o;
	static struct inspection in; /* large */
	struct error err;
	int r;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (parse_options(argc, argv, &o, &err) < 0) {
		fprintf(stderr, "memherd-agent inspect: %s\n%s", err.msg, usage);
		return EXIT_USAGE;
	}
	r = inspection_gather(&o, &in, &err);
	if (r < 0) {
		fprintf(stderr, "memherd-agent inspect: %s\n", err.msg);
		return exit_code(r);
	}
	if (o.json)
		inspection_print_json(&in);
	else
		inspection_print_human(&in);
	inspection_fini(&in);
	return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}
