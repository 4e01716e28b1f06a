/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agent/python reads of a process, as JSON: 'gcread PID...'. With '-t N' it looks N times and
 * tells what a look costs, in microseconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/python/gcstat.h"
#include "common/clock.h"

#define FROZEN_MAX 1000000u

static void print_interpreter(const struct runtime *r, uint64_t address)
{
	struct gcstat st;
	uint64_t frozen = 0;
	int rc = gcstat_read(r, address, &st);

	if (rc == 0)
		rc = gcstat_frozen(r, address, FROZEN_MAX, &frozen);
	if (rc < 0) {
		printf("{\"error\":\"%s\"}", strerror(-rc));
		return;
	}
	printf("{\"id\":%" PRId64 ",\"enabled\":%s,\"collecting\":%s,\"frozen\":%" PRIu64
	       ",\"long_lived_total\":%" PRIu64 ",\"long_lived_pending\":%" PRIu64
	       ",\"generations\":[",
	       st.interpreter, st.enabled ? "true" : "false", st.collecting ? "true" : "false",
	       frozen, st.long_lived_total, st.long_lived_pending);
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		const struct gcstat_generation *g = &st.generations[i];

		printf("%s{\"threshold\":%d,\"count\":%d,\"collections\":%" PRIu64
		       ",\"collected\":%" PRIu64 ",\"uncollectable\":%" PRIu64
		       ",\"duration_us\":%" PRId64 "}",
		       i ? "," : "", g->threshold, g->count, g->collections, g->collected,
		       g->uncollectable, g->duration_us);
	}
	printf("]}");
}

static void print_readable(const struct runtime *r)
{
	uint64_t list[RUNTIME_MAX_INTERPRETERS];
	char version[PYTHON_VERSION_SIZE];
	int n = runtime_interpreters(r, list, RUNTIME_MAX_INTERPRETERS);

	printf(",\"version\":\"%s\",\"incremental\":%s,\"file\":\"%s\",\"interpreters\":[",
	       python_version_text(version, r->version), r->incremental ? "true" : "false",
	       r->file);
	for (int i = 0; i < n; i++) {
		if (i)
			putchar(',');
		print_interpreter(r, list[i]);
	}
	printf("]");
}

static void print_process(pid_t pid)
{
	struct runtime r;
	struct error err = {{0}};
	enum python_state state = runtime_find(pid, NULL, &r, &err);

	printf("{\"pid\":%d,\"state\":\"%s\",\"why\":\"%s\"", (int)pid, python_state_word(state),
	       state == PYTHON_READABLE ? "" : err.msg);
	if (state == PYTHON_READABLE)
		print_readable(&r);
	puts("}");
}

static int measure(pid_t pid, int times)
{
	struct runtime r;
	struct gcstat st;
	uint64_t main_interpreter;
	int64_t begin = clock_boot_us();
	int64_t found;

	if (runtime_find(pid, NULL, &r, NULL) != PYTHON_READABLE ||
	    runtime_interpreters(&r, &main_interpreter, 1) < 1)
		return EXIT_FAILURE;
	printf("locate_first %" PRId64 " us\n", clock_boot_us() - begin);
	begin = clock_boot_us();
	for (int i = 0; i < times; i++)
		if (runtime_find(pid, NULL, &r, NULL) != PYTHON_READABLE)
			return EXIT_FAILURE;
	found = clock_boot_us();
	printf("locate %.1f us\n", (double)(found - begin) / times);
	for (int i = 0; i < times; i++)
		if (gcstat_read(&r, main_interpreter, &st) < 0)
			return EXIT_FAILURE;
	printf("sample %.2f us\n", (double)(clock_boot_us() - found) / times);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "-t") == 0)
		return measure(atoi(argv[3]), atoi(argv[2]));
	for (int i = 1; i < argc; i++)
		print_process(atoi(argv[i]));
	return EXIT_SUCCESS;
}
