/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a script of ours answers in a process, whose every byte is the process's to choose: of it
 * memherd-actd must make a body that the collector takes. The first byte picks the kind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/act/snapshot.h"
#include "agent/act/snapshot_print.h"
#include "agent/act/tracemalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(const struct buf *body)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct error err;

	if (!out || snapshot_print(out, body, false, &err) < 0 ||
	    snapshot_print(out, body, true, &err) < 0)
		abort();
	(void)fclose(out);
	free(text);
}

static void answer(unsigned kind, const uint8_t *data, size_t size)
{
	const struct snapshot_layout *layout = snapshot_layout(SNAPSHOT_TRACEMALLOC + kind % 3);
	static const uint8_t id[16] = {7};
	auto_buf struct buf text = BUF_INIT(128u << 10);
	auto_buf struct buf body = BUF_INIT(SNAPSHOT_BODY_MAX);
	const struct process p = {.pid = 42, .start_ticks = 99};
	const struct action_order o = {.command_id = id,
				       .actor = "token:t",
				       .text = "app.Entry",
				       .body = &body};
	struct command_result r = {.detail = "found"};
	int64_t totals[SNAPSHOT_VALUES_MAX] = {0};
	auto_arena struct arena a = {0};
	struct wire_snapshot s;
	struct error err;

	/* as the page that it came by holds it: ended by NUL */
	buf_put(&text, data, size);
	buf_put(&text, "", 1);
	text.len--;
	if (layout->kind == SNAPSHOT_TRACEMALLOC)
		(void)trace_total(&text, totals);
	else
		totals[0] = snapshot_number(&text, "heap");
	if (snapshot_refused(&text, &r))
		return;
	snapshot_keep(&p, &o, layout, &text, totals, &r);
	arena_init(&a, WIRE_BUDGET(body.len));
	if (!body.len || wire_unpack_snapshot(&a, body.data, body.len, &s, &err) < 0)
		abort();
	show(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size)
		answer(data[0], data + 1, size - 1);
	return 0;
}
