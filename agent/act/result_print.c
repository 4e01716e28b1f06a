/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/result_print.h"

#include <stdio.h>
#include <string.h>

#include "agent/act/census_print.h"
#include "agent/act/snapshot.h"
#include "agent/act/snapshot_print.h"
#include "common/str.h"

static void print_json_text(const char *text)
{
	char safe[COMMAND_DETAIL_SIZE];

	str_safe(safe, sizeof(safe), text, strlen(text));
	putchar('"');
	for (const char *p = safe; *p; p++) {
		if (*p == '"' || *p == '\\')
			putchar('\\');
		putchar(*p);
	}
	putchar('"');
}

static void print_json_number(const char *name, int64_t v)
{
	if (v < 0)
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %lld", name, (long long)v);
}

/* What an action made beside its sentence: a census or a snapshot. */
static int print_body(const struct action *a, const struct buf *body, const struct arguments *args,
		      struct error *err)
{
	if (!body->len)
		return 0;
	if (snapshot_layout_of(a->number))
		return snapshot_print(stdout, body, args->json, err);
	if (!args->json)
		return census_print_table(stdout, body, (size_t)args->top, err);
	fputs(", \"census\": ", stdout);
	return census_print_json(stdout, body, (size_t)args->top, err);
}

int result_print(const struct action *a, pid_t pid, const struct command_result *r,
		 const struct buf *body, const struct arguments *args, struct error *err)
{
	int rc;

	if (!args->json) {
		char of[16] = "";

		if (pid)
			snprintf(of, sizeof(of), " %d", (int)pid);
		fprintf(r->status == COMMAND_DONE || r->status == COMMAND_DRY_RUN ? stdout : stderr,
			"%s%s: %s: %s\n", a->name, of, command_status_word(r->status), r->detail);
		return print_body(a, body, args, err);
	}
	printf("{\"action\": \"%s\"", a->name);
	print_json_number("pid", pid ? pid : -1);
	printf(", \"status\": \"%s\", \"detail\": ", command_status_word(r->status));
	print_json_text(r->detail);
	print_json_number("rss_before_bytes", r->rss_before);
	print_json_number("rss_after_bytes", r->rss_after);
	print_json_number("swap_before_bytes", r->swap_before);
	print_json_number("swap_after_bytes", r->swap_after);
	print_json_number("held_us", r->held_us);
	print_json_number("total_us", r->total_us);
	rc = print_body(a, body, args, err);
	puts("}");
	return rc;
}
