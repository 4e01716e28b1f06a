/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/gc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/probe/probe.h"
#include "agent/act/script_action.h"
#include "common/str.h"

/* A value that our own script wrote as a number; the target may have put anything there. */
static int64_t number_of(const struct buf *answer, const char *name)
{
	char text[64];
	int64_t v;

	if (!script_value(answer, name, text, sizeof(text)) || str_parse_int(text, &v) < 0 || v < 0)
		return -1;
	return v;
}

static const char *text_of(const struct buf *answer, const char *name, char *buf, size_t size)
{
	const char *text = script_value(answer, name, buf, size);

	return text ? text : "?";
}

static void say_memory(const struct command_result *r, char *out, size_t size)
{
	char from[STR_UNIT_SIZE];
	char to[STR_UNIT_SIZE];

	snprintf(out, size, "RSS %s before, %s after", str_bytes(from, r->rss_before),
		 r->rss_after < 0 ? "unknown" : str_bytes(to, r->rss_after));
}

void gc_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	auto_buf struct buf answer = BUF_INIT(SCRIPT_ANSWER + 1);
	char args[32];
	char would[48];
	char memory[96];
	char seconds[32];
	const struct script_action a = {
		.source = probe_gc,
		.args = args,
		.would = would,
		.cost = "all its Python stands still while it collects, some 10 ms to 1 s per "
			"million "
			"objects",
	};

	snprintf(args, sizeof(args), "(%" PRId64 ",)", o->params[0]);
	snprintf(would, sizeof(would), "call gc.collect(%" PRId64 ")", o->params[0]);
	if (!script_act(p, o, &a, &answer, r))
		return;
	say_memory(r, memory, sizeof(memory));
	if (number_of(&answer, "collections") == 0)
		action_say(r, COMMAND_FAILED,
			   "gc.collect() found a collection under way and did nothing");
	else
		action_say(r, COMMAND_DONE,
			   "gc.collect(%" PRId64 ") found %" PRId64 " unreachable objects, %" PRId64
			   " of them uncollectable, in %s s; %s",
			   o->params[0], number_of(&answer, "found"),
			   number_of(&answer, "uncollectable"),
			   text_of(&answer, "seconds", seconds, sizeof(seconds)), memory);
}

/* What gives nothing back is not measured after: it would be told as ineffective. */
#define say_settled(r, ...) \
	((r)->rss_after = (r)->swap_after = -1, action_say(r, COMMAND_DONE, __VA_ARGS__))

void gc_threshold_run(const struct process *p, const struct action_order *o,
		      struct command_result *r)
{
	auto_buf struct buf answer = BUF_INIT(SCRIPT_ANSWER + 1);
	char args[64];
	char would[96];
	char was[48];
	char is[48];
	const struct script_action a = {
		.source = probe_gc_threshold,
		.args = args,
		.would = would,
		.cost = o->params[0]
				? "it collects as often as that says, until it ends or sets its "
				  "own"
				: "it collects no more by itself",
	};

	snprintf(args, sizeof(args), "(%" PRId64 ", %" PRId64 ", %" PRId64 ")", o->params[0],
		 o->params[1], o->params[2]);
	snprintf(would, sizeof(would), "call gc.set_threshold%s", args);
	if (script_act(p, o, &a, &answer, r))
		say_settled(r, "thresholds were %s and are %s",
			    text_of(&answer, "old", was, sizeof(was)),
			    text_of(&answer, "new", is, sizeof(is)));
}

static void freeze(const struct process *p, const struct action_order *o,
		   const struct script_action *a, struct command_result *r)
{
	auto_buf struct buf answer = BUF_INIT(SCRIPT_ANSWER + 1);

	if (script_act(p, o, a, &answer, r))
		say_settled(r, "%" PRId64 " objects were frozen, %" PRId64 " are",
			    number_of(&answer, "old"), number_of(&answer, "new"));
}

void gc_freeze_run(const struct process *p, const struct action_order *o, struct command_result *r)
{
	freeze(p, o,
	       &(struct script_action){
		       .source = probe_gc_freeze,
		       .args = "(1,)",
		       .would = "call gc.freeze()",
		       .cost = "cycles among the objects that are there now are freed no more"},
	       r);
}

void gc_unfreeze_run(const struct process *p, const struct action_order *o,
		     struct command_result *r)
{
	freeze(p, o,
	       &(struct script_action){
		       .source = probe_gc_freeze,
		       .args = "(0,)",
		       .would = "call gc.unfreeze()",
		       .cost = "what was frozen is collected again, which takes longer"},
	       r);
}
