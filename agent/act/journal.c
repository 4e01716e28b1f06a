/* SPDX-License-Identifier: Apache-2.0 */
/* What a journal is asked. */
#include "agent/act/journal.h"

#include <errno.h>
#include <string.h>

#include "agent/act/journal_file.h"

struct journal_entry *journal_entry_of(const struct journal *j, const uint8_t id[16])
{
	/* The newest are asked for most. */
	for (size_t i = j->n; i-- > 0;)
		if (memcmp(j->entries[i].id, id, 16) == 0)
			return &j->entries[i];
	return NULL;
}

void journal_span(struct command_span *s, const struct journal_record *r,
		  const struct journal_entry *started)
{
	*s = (struct command_span){.last = r->number, .records = 1};
	memcpy(s->before, r->before, sizeof(s->before));
	memcpy(s->head, r->hash, sizeof(s->head));
	if (!started || started->done || started->result.journal.last + 1 != r->number)
		return;
	s->records = 2;
	memcpy(s->before, started->result.journal.before, sizeof(s->before));
}

int journal_find(const struct journal *j, const uint8_t id[16], struct command_result *ret)
{
	const struct journal_entry *e = journal_entry_of(j, id);

	if (!e)
		return -ENOENT;
	if (e->done) {
		*ret = e->result;
		return 0;
	}
	*ret = (struct command_result){
		.status = COMMAND_UNKNOWN,
		.rss_before = -1,
		.rss_after = -1,
		.swap_before = -1,
		.swap_after = -1,
		.detail = "interrupted between its start and its end; not tried again",
		.journal = e->result.journal,
	};
	memcpy(ret->id, id, sizeof(ret->id));
	return 0;
}

void journal_highest(const struct journal *j, uint64_t *ret_counter, uint64_t *ret_fence)
{
	*ret_counter = j->counter;
	*ret_fence = j->fence;
}

/* What touched the process, or may have. */
static bool acted(const struct journal_entry *e)
{
	if (e->dry_run || !e->done)
		return !e->dry_run;
	/* A trim that found no safe point may be tried again; a restart that failed on its way may
	 * have been an outage. */
	return e->action == COMMAND_TRIM ? e->result.status == COMMAND_DONE
					 : command_result_acted(&e->result);
}

static bool is_alike(const struct journal_entry *e, const struct journal_entry *like)
{
	if (e->action != like->action || e->subject != like->subject)
		return false;
	return e->subject || (e->pid == like->pid && e->start_ticks == like->start_ticks);
}

int64_t journal_reach(const struct journal *j)
{
	return j->n == JOURNAL_KEEP ? j->entries[0].t_wall_us : 0;
}

unsigned journal_count(const struct journal *j, const struct journal_entry *like, int64_t since_us,
		       int64_t *ret_last_us)
{
	unsigned count = 0;

	*ret_last_us = 0;
	for (size_t i = 0; i < j->n; i++) {
		const struct journal_entry *e = &j->entries[i];

		if (!is_alike(e, like) || !acted(e))
			continue;
		*ret_last_us = MAX_OF(*ret_last_us, e->t_wall_us);
		count += e->t_wall_us >= since_us;
	}
	return count;
}

void journal_head(const struct journal *j, struct command_span *ret)
{
	*ret = (struct command_span){.last = j->at.number};
	memcpy(ret->before, j->at.hash, sizeof(ret->before));
	memcpy(ret->head, j->at.hash, sizeof(ret->head));
}

/* ---- what no result tells ---- */

/* A start whose end is not the next record was cut short. */
static bool is_news(const struct journal_record *r, const struct journal_record *next)
{
	if (r->kind == JOURNAL_STARTED)
		return !next || next->kind != JOURNAL_DONE ||
		       memcmp(r->entry.id, next->entry.id, sizeof(r->entry.id)) != 0;
	return r->kind == JOURNAL_NOTE || (r->kind == JOURNAL_DONE && !r->entry.counter);
}

static void fill_news(const struct journal *j, struct journal_news *n,
		      const struct journal_record *r, const struct journal_record *before)
{
	bool started = r->kind == JOURNAL_DONE && before && before->kind == JOURNAL_STARTED &&
		       memcmp(before->entry.id, r->entry.id, sizeof(r->entry.id)) == 0;
	struct journal_entry start = {.done = false};

	n->any = true;
	n->by_hand = !r->entry.counter;
	n->entry = r->entry;
	n->entry.note = r->kind == JOURNAL_NOTE;
	if (r->kind == JOURNAL_STARTED && journal_find(j, r->entry.id, &n->entry.result) < 0)
		n->entry.result = (struct command_result){.status = COMMAND_UNKNOWN};
	if (started)
		journal_span(&start.result.journal, before, NULL);
	journal_span(&n->entry.result.journal, r, started ? &start : NULL);
}

int journal_next(const struct journal *j, uint64_t after, struct journal_news *ret,
		 struct error *err)
{
	struct journal_record r[3] = {{.number = 0}}; /* the one before, this one, the next */
	int rc = 0;

	*ret = (struct journal_news){.through = MAX_OF(after, j->base)};
	/* One that goes back is not waited for. */
	if (after > j->at.number)
		ret->through = j->at.number;
	for (uint64_t n = ret->through + 1; rc == 0 && n <= j->at.number; n++) {
		bool first = n == j->base + 1;

		if (!first)
			rc = journal_read_at(j, n - 1, &r[0], err);
		if (rc == 0)
			rc = journal_read_at(j, n, &r[1], err);
		if (rc == 0 && n < j->at.number)
			rc = journal_read_at(j, n + 1, &r[2], err);
		if (rc < 0)
			break;
		ret->through = n;
		if (is_news(&r[1], n < j->at.number ? &r[2] : NULL)) {
			fill_news(j, ret, &r[1], first ? NULL : &r[0]);
			break;
		}
	}
	return rc;
}
