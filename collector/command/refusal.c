/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/refusal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/str.h"

bool refusal_is(int rc)
{
	switch (rc) {
	case -EPERM:
	case -EACCES:
	case -EINVAL:
	case -ENOENT:
	case -ESRCH:
	case -EOPNOTSUPP:
	case -EEXIST:
	case -EALREADY:
	case -ESTALE:
	case -EBUSY:
	case -EAGAIN:
	case -EDQUOT:
		return true;
	default:
		return false;
	}
}

static int64_t span_of(const struct refused *e)
{
	return str_starts(e->actor, "rule:") ? REFUSAL_RULES_US : REFUSAL_PEOPLE_US;
}

static void put(char *out, size_t size, const char *text)
{
	str_safe(out, size, text ? text : "", text ? strlen(text) : 0);
}

static void fill(struct refused *e, const struct refusal *r)
{
	*e = (struct refused){.code = r->code};
	put(e->actor, sizeof(e->actor), r->actor);
	put(e->what, sizeof(e->what), r->what);
	put(e->action, sizeof(e->action), r->action);
	put(e->target, sizeof(e->target), r->target);
	put(e->why, sizeof(e->why), r->why);
}

static bool is_same(const struct refused *a, const struct refused *b)
{
	return !a->rest && a->code == b->code && strcmp(a->actor, b->actor) == 0 &&
	       strcmp(a->what, b->what) == 0 && strcmp(a->action, b->action) == 0 &&
	       strcmp(a->target, b->target) == 0 && (a->code || strcmp(a->why, b->why) == 0);
}

static void count(struct refused *e, int64_t wall_us)
{
	if (!e->times++)
		e->since_us = wall_us;
}

/* One more of an actor, in words that fit any; told when its time is over. */
static void as_rest(struct refused *e, const char *actor, int64_t now_us)
{
	fill(e,
	     &(struct refusal){.actor = actor, .why = "more was refused than is told by itself"});
	e->rest = true;
	e->due_us = now_us + span_of(e);
}

static struct refused *add(struct refusal_book *b, const struct refused *like)
{
	struct refused *e = b->n < REFUSALS_MAX ? malloc(sizeof(*e)) : NULL;

	if (!e)
		return NULL;
	*e = *like;
	DL_APPEND(b->entries, e);
	b->n++;
	return e;
}

bool refusal_note(struct refusal_book *b, const struct refusal *r, int64_t now_us, int64_t wall_us)
{
	struct refused wanted, others, *e, *rest = NULL;
	unsigned his = 0;

	fill(&wanted, r);
	wanted.due_us = now_us;
	DL_FOREACH (b->entries, e) {
		if (is_same(e, &wanted)) {
			count(e, wall_us);
			return false;
		}
		if (strcmp(e->actor, wanted.actor) != 0)
			continue;
		his++;
		if (e->rest)
			rest = e;
	}
	e = his + 1 < REFUSAL_EACH ? add(b, &wanted) : rest;
	if (!e) {
		as_rest(&others, wanted.actor, now_us);
		e = add(b, &others);
	}
	if (!e) {
		e = &b->several;
		if (!e->times)
			as_rest(e, "several", now_us);
	}
	count(e, wall_us);
	return e->times == 1;
}

struct refused *refusal_due(struct refusal_book *b, int64_t now_us)
{
	struct refused *e, *next;

	DL_FOREACH_SAFE (b->entries, e, next) {
		if (e->due_us > now_us)
			continue;
		if (e->times)
			return e;
		DL_DELETE(b->entries, e);
		b->n--;
		free(e);
	}
	return b->several.times && b->several.due_us <= now_us ? &b->several : NULL;
}

void refusal_told(struct refused *e, uint64_t times, int64_t now_us, int64_t wall_us)
{
	e->times -= times;
	e->since_us = wall_us;
	e->due_us = now_us + span_of(e);
}

void refusal_book_fini(struct refusal_book *b)
{
	struct refused *e, *next;

	DL_FOREACH_SAFE (b->entries, e, next)
		free(e);
	*b = (struct refusal_book){.n = 0};
}
