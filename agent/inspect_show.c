/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inspection.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/act/census_print.h"
#include "agent/inspect_census.h"
#include "common/clock.h"
#include "common/str.h"

static void print_json_text(const char *s)
{
	if (!*s) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	/* str_safe() left only printable UTF-8 */
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('"');
}

static void print_json_number(const char *key, int64_t v)
{
	if (v == METRIC_ABSENT)
		printf("\"%s\":null,", key);
	else
		printf("\"%s\":%" PRId64 ",", key, v);
}

static void print_json_field(const char *key, const char *text)
{
	printf("\"%s\":", key);
	print_json_text(text);
	putchar(',');
}

static void print_json_generation(const struct gcstat_generation *g)
{
	printf("{\"count\":%" PRId32 ",\"threshold\":%" PRId32 ",\"collections\":%" PRIu64
	       ",\"collected\":%" PRIu64 ",\"uncollectable\":%" PRIu64 ",\"seconds\":",
	       g->count, g->threshold, g->collections, g->collected, g->uncollectable);
	if (g->duration_us < 0)
		fputs("null}", stdout);
	else
		printf("%.6f}", (double)g->duration_us / USEC_PER_SEC);
}

static void print_json_interpreter(const struct inspection_interpreter *one)
{
	printf("{\"id\":%" PRId64 ",\"gc\":{\"enabled\":%s,\"collecting\":%s,", one->gc.interpreter,
	       one->gc.enabled ? "true" : "false", one->gc.collecting ? "true" : "false");
	print_json_number("frozen", one->frozen);
	fputs("\"generations\":[", stdout);
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		if (i)
			putchar(',');
		print_json_generation(&one->gc.generations[i]);
	}
	fputs("]},\"objects\":null}", stdout);
}

static void print_json_python(const struct inspection_python *p)
{
	char version[PYTHON_VERSION_SIZE];

	fputs("\"python\":", stdout);
	if (p->state == PYTHON_NOT_PYTHON) {
		fputs("null", stdout);
		return;
	}
	putchar('{');
	print_json_field("state", python_state_word(p->state));
	if (p->state != PYTHON_READABLE) {
		fputs("\"version\":null,\"implementation\":null,\"build\":null,\"file\":null,"
		      "\"interpreters\":null}",
		      stdout);
		return;
	}
	print_json_field("version", python_version_text(version, p->runtime.version));
	print_json_field("implementation", "CPython");
	print_json_field("build", p->runtime.incremental ? "incremental" : "release");
	print_json_field("file", p->runtime.file);
	fputs("\"interpreters\":[", stdout);
	for (unsigned i = 0; i < p->n; i++) {
		if (i)
			putchar(',');
		print_json_interpreter(&p->interpreters[i]);
	}
	fputs("]}", stdout);
}

static void print_json_malloc(const struct inspection *in)
{
	fputs("\"malloc\":{", stdout);
	print_json_number("arenas", in->parts[HEAP_PART_ARENAS]);
	print_json_number("system_bytes", in->parts[HEAP_PART_MALLOC]);
	print_json_number("free_bytes", in->parts[HEAP_PART_MALLOC_FREE]);
	print_json_number("trim_gain_bytes", in->parts[HEAP_PART_TRIM_GAIN]);
	fputs("\"libc\":", stdout);
	print_json_text(in->libc);
	fputs("},", stdout);
}

/* Where the memory is: the whole, the parts that add up to it, and what is beside it. */
static const enum heap_part memory_parts[] = {
	HEAP_PART_RSS,         HEAP_PART_PYMALLOC, HEAP_PART_PYMALLOC_FREE, HEAP_PART_MALLOC,
	HEAP_PART_MALLOC_FREE, HEAP_PART_NATIVE,   HEAP_PART_STACKS,        HEAP_PART_FILE,
	HEAP_PART_SHMEM,       HEAP_PART_SWAP,     HEAP_PART_PAGE_TABLES,
};

static void print_json_memory(const struct inspection *in)
{
	fputs("\"memory\":{", stdout);
	for (size_t i = 0; i < ARRAY_SIZE(memory_parts); i++) {
		int64_t v = in->parts[memory_parts[i]];

		printf("%s\"%s_bytes\":", i ? "," : "", heap_part_name(memory_parts[i]));
		if (v == HEAP_ABSENT)
			fputs("null", stdout);
		else
			printf("%" PRId64, v);
	}
	fputs("},", stdout);
}

void inspection_print_json(const struct inspection *in)
{
	char started[STR_TIME_SIZE];

	printf("{\"pid\":%u,", in->pid);
	print_json_field("comm", in->who.comm);
	print_json_field("cmdline", in->who.cmdline);
	print_json_field("service", in->who.service);
	print_json_field("container", in->who.container);
	print_json_field("start_time", str_time(started, in->start_us));
	print_json_number("rss_bytes", in->rss);
	print_json_number("pss_bytes", in->pss);
	print_json_number("uss_bytes", in->uss);
	print_json_number("swap_bytes", in->swap);
	print_json_number("limit_bytes", in->limit);
	print_json_number("threads", in->threads);
	print_json_number("fds", in->fds);
	print_json_malloc(in);
	print_json_memory(in);
	print_json_python(&in->python);
	fputs(",\"verdict\":", stdout);
	inspection_write_verdict(in);
	fputs(",\"census\":", stdout);
	if (!in->census.len || census_print_json(stdout, &in->census, INSPECT_CENSUS_TOP, NULL) < 0)
		fputs("null", stdout);
	fputs(",\"notes\":[", stdout);
	for (size_t i = 0; i < in->n_notes; i++) {
		if (i)
			putchar(',');
		print_json_text(in->notes[i]);
	}
	puts("]}");
}

static void print_bytes(const char *label, int64_t v)
{
	char text[STR_UNIT_SIZE];

	printf("%-10s %s\n", label, v == METRIC_ABSENT ? "unknown" : str_bytes(text, v));
}

static void print_count(const char *label, int64_t v)
{
	if (v == METRIC_ABSENT)
		printf("%-10s unknown\n", label);
	else
		printf("%-10s %" PRId64 "\n", label, v);
}

static void print_text(const char *label, const char *v)
{
	if (*v)
		printf("%-10s %s\n", label, v);
}

static void print_container(const struct description *who)
{
	if (!who->contained)
		return;
	printf("%-10s %s (%s)", "container", who->container, who->in_container.runtime);
	if (who->in_container.pod[0])
		printf(", pod %s", who->in_container.pod);
	putchar('\n');
}

static void print_python_gc(const struct inspection_interpreter *one)
{
	printf("%-10s interpreter %" PRId64 ": collector %s%s", "", one->gc.interpreter,
	       one->gc.enabled ? "on" : "off", one->gc.collecting ? ", collecting now" : "");
	if (one->frozen > 0)
		printf(", %" PRId64 " objects frozen", one->frozen);
	printf("\n%-10s %-10s %10s %10s %12s %12s %13s\n", "", "generation", "count", "threshold",
	       "collections", "collected", "uncollectable");
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		const struct gcstat_generation *g = &one->gc.generations[i];

		printf("%-10s %-10u %10" PRId32 " %10" PRId32 " %12" PRIu64 " %12" PRIu64
		       " %13" PRIu64,
		       "", i, g->count, g->threshold, g->collections, g->collected,
		       g->uncollectable);
		if (g->duration_us >= 0)
			printf("  %.3f s", (double)g->duration_us / USEC_PER_SEC);
		putchar('\n');
	}
}

static void print_python(const struct inspection_python *p)
{
	char version[PYTHON_VERSION_SIZE];

	if (p->state == PYTHON_NOT_PYTHON)
		return;
	if (p->state != PYTHON_READABLE) {
		printf("%-10s %s\n", "python", python_state_text(p->state));
		return;
	}
	printf("%-10s CPython %s (%s)\n", "python",
	       python_version_text(version, p->runtime.version), p->runtime.file);
	for (unsigned i = 0; i < p->n; i++)
		print_python_gc(&p->interpreters[i]);
}

static void print_malloc(const struct inspection *in)
{
	const int64_t *parts = in->parts;
	char total[STR_UNIT_SIZE];
	char unused[STR_UNIT_SIZE];
	char gain[STR_UNIT_SIZE];

	if (parts[HEAP_PART_TRIM_GAIN] == HEAP_ABSENT) {
		print_text("malloc", in->libc);
		return;
	}
	printf("%-10s %s, %" PRId64 " arena%s, %s, of it %s free; a trim would give back %s\n",
	       "malloc", in->libc, parts[HEAP_PART_ARENAS], parts[HEAP_PART_ARENAS] == 1 ? "" : "s",
	       str_bytes(total, parts[HEAP_PART_MALLOC]),
	       str_bytes(unused, parts[HEAP_PART_MALLOC_FREE]),
	       str_bytes(gain, parts[HEAP_PART_TRIM_GAIN]));
}

static void print_memory(const struct inspection *in)
{
	const char *label = "memory";
	char text[STR_UNIT_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(memory_parts); i++) {
		int64_t v = in->parts[memory_parts[i]];

		/* the RSS stands further up */
		if (v == HEAP_ABSENT || v == 0 || memory_parts[i] == HEAP_PART_RSS)
			continue;
		printf("%-10s %-14s %10s  %s\n", label, heap_part_name(memory_parts[i]),
		       str_bytes(text, v), heap_part_help(memory_parts[i]));
		label = "";
	}
}

void inspection_print_human(const struct inspection *in)
{
	char started[STR_TIME_SIZE];
	char age[STR_UNIT_SIZE];

	printf("%-10s %u (%s), user %u, parent %u\n", "process", in->pid, in->who.comm, in->who.uid,
	       in->who.ppid);
	print_text("service", in->who.service);
	print_text("role", wire_role_word(in->who.role));
	print_container(&in->who);
	print_text("command", in->who.cmdline);
	print_text("program", in->who.exe);
	print_text("cgroup", in->who.cgroup);
	printf("%-10s %s (%s ago)\n", "started", str_time(started, in->start_us),
	       str_duration(age, clock_wall_us() - in->start_us));
	print_bytes("RSS", in->rss);
	print_bytes("PSS", in->pss);
	print_bytes("USS", in->uss);
	print_bytes("swap", in->swap);
	print_bytes("limit", in->limit);
	print_count("threads", in->threads);
	print_count("fds", in->fds);
	print_malloc(in);
	print_memory(in);
	print_python(&in->python);
	inspection_print_verdict(in);
	for (size_t i = 0; i < in->n_notes; i++)
		printf("%-10s %s\n", i ? "" : "notes", in->notes[i]);
	if (in->census.len) {
		fputs("census     ", stdout);
		if (census_print_table(stdout, &in->census, INSPECT_CENSUS_TOP, NULL) < 0)
			puts("unreadable");
	}
}
