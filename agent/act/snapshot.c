/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/script.h"
#include "common/clock.h"
#include "common/str.h"

#define FROZEN_FEW 1000 /* 3.12 has some from the start */

static const char *skip_line(const char *at)
{
	at += strcspn(at, "\n");
	return *at ? at + 1 : at;
}

/* 'row<TAB>N<TAB>...NAME': where the name begins, NULL when it is none. */
static const char *take_numbers(const char *line, size_t n, int64_t *ret)
{
	if (!str_starts(line, "row\t"))
		return NULL;
	line += strlen("row\t");
	for (size_t i = 0; i < n; i++) {
		int used = 0;

		/* the tab must be there: a space of the pattern would do with less */
		if (sscanf(line, "%" SCNd64 "%n", &ret[i], &used) != 1 || line[used] != '\t')
			return NULL;
		line += used + 1;
	}
	return line;
}

bool snapshot_row_next(const struct buf *answer, const struct snapshot_layout *layout,
		       const char **at, struct snapshot_row *ret)
{
	const char *p = *at ? *at : answer->len ? (const char *)answer->data : "";

	for (; *p; p = skip_line(p)) {
		int64_t values[SNAPSHOT_VALUES_MAX] = {0};
		const char *name = take_numbers(p, snapshot_names(layout->values), values);

		if (!name || *name == '\n' || !*name)
			continue;
		*ret = (struct snapshot_row){.about = ""};
		memcpy(ret->values, values, sizeof(values));
		str_safe(ret->name, sizeof(ret->name), name, strcspn(name, "\n"));
		p = skip_line(p);
		if (str_starts(p, "about\t"))
			str_safe(ret->about, sizeof(ret->about), p + 6, strcspn(p + 6, "\n"));
		*at = p;
		return true;
	}
	*at = p;
	return false;
}

int64_t snapshot_number(const struct buf *answer, const char *name)
{
	char text[64];
	int64_t v;

	/* another value may stand behind it */
	if (!script_value(answer, name, text, sizeof(text)) || sscanf(text, "%" SCNd64, &v) != 1 ||
	    v < 0)
		return -1;
	return v;
}

char *snapshot_note(const struct buf *answer, char *buf, size_t size)
{
	int64_t frozen = snapshot_number(answer, "frozen");
	size_t n;

	if (!script_value(answer, "cut", buf, size))
		*buf = '\0';
	n = strlen(buf);
	if (frozen > FROZEN_FEW)
		snprintf(buf + n, size - n,
			 "%s%" PRId64 " frozen objects (gc.freeze()) were not looked at",
			 n ? "; " : "", frozen);
	return buf;
}

void snapshot_untouched(struct command_result *r)
{
	r->rss_after = r->swap_after = -1;
}

bool snapshot_refused(const struct buf *answer, struct command_result *r)
{
	char why[COMMAND_DETAIL_SIZE];

	if (!script_value(answer, "refused", why, sizeof(why)))
		return false;
	snapshot_untouched(r);
	action_say(r, COMMAND_REFUSED, "%s", why);
	return true;
}

static int take_rows(struct arena *a, const struct snapshot_layout *layout,
		     const struct buf *answer, struct wire_snapshot *s)
{
	struct snapshot_row row;
	const char *at = NULL;

	s->rows = arena_calloc(a, WIRE_MAX_ROWS, sizeof(*s->rows));
	if (!s->rows)
		return -ENOMEM;
	while (s->n_rows < WIRE_MAX_ROWS && snapshot_row_next(answer, layout, &at, &row)) {
		struct wire_snapshot_row *to = &s->rows[s->n_rows++];

		to->name = arena_strndup(a, row.name, strlen(row.name));
		to->about = arena_strndup(a, row.about, strlen(row.about));
		memcpy(to->values, row.values, sizeof(to->values));
		if (!to->name || !to->about)
			return -ENOMEM;
	}
	return 0;
}

/* With fewer and fewer rows, until it fits. */
static int pack(struct buf *body, struct wire_snapshot *s)
{
	int rc;

	do {
		buf_reset(body);
		wire_pack_snapshot(body, s);
		rc = buf_status(body);
		s->n_rows /= 2;
	} while (rc < 0 && s->n_rows);
	if (rc < 0)
		buf_reset(body);
	return rc;
}

void snapshot_keep(const struct process *p, const struct action_order *o,
		   const struct snapshot_layout *layout, const struct buf *answer,
		   const int64_t totals[SNAPSHOT_VALUES_MAX], struct command_result *r)
{
	char note[WIRE_TEXT_MAX + 1];
	auto_arena struct arena arena = {0};
	struct wire_snapshot s = {
		.t_wall_us = clock_wall_us(),
		.pid = (uint32_t)p->pid,
		.start_ticks = p->start_ticks,
		.kind = layout->kind,
		.reason = action_reason(o),
		.has_command = !o->by_hand,
		.subject = o->text,
		.note = snapshot_note(answer, note, sizeof(note)),
	};
	size_t n = strlen(r->detail);
	struct error err = {""};
	int rc;

	if (!o->body)
		return;
	arena_init(&arena, WIRE_BUDGET(4 * (size_t)SCRIPT_ANSWER));
	memcpy(s.command_id, o->command_id, sizeof(s.command_id));
	memcpy(s.totals, totals, sizeof(s.totals));
	rc = process_boot_id(s.boot_id, &err);
	if (rc == 0)
		rc = take_rows(&arena, layout, answer, &s);
	if (rc == 0)
		rc = pack(o->body, &s);
	if (rc < 0)
		snprintf(r->detail + n, sizeof(r->detail) - n, "; not kept: %s", strerror(-rc));
}
