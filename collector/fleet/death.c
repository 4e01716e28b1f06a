/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/death.h"

#include <signal.h>
#include <string.h>

#include "common/str.h"
#include "proto/identity.h"

#define SIGNAL_MAX    64
#define EXIT_CODE_MAX 255

static const char *detail(const struct wire_event *e, const char *key)
{
	for (size_t i = 0; i < e->n_details; i++)
		if (strcmp(e->keys[i], key) == 0)
			return e->values[i];
	return "";
}

static int number(const char *text, int max, int otherwise)
{
	int64_t v;

	return str_parse_int(text, &v) == 0 && v >= 0 && v <= max ? (int)v : otherwise;
}

static int signal_of(const char *text)
{
	if (!str_starts(text, "SIG"))
		return number(text, SIGNAL_MAX, 0);
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);

		if (name && strcmp(name, text + 3) == 0)
			return i;
	}
	return 0;
}

static int confidence_of(const char *word)
{
	for (int i = 0; i < KILL_CONFIDENCE_COUNT; i++)
		if (strcmp(kill_confidence_word((unsigned)i), word) == 0)
			return i;
	return -1;
}

bool death_of(const struct wire_event *e, const uint8_t boot_id[16], struct death *ret)
{
	int cause = kill_cause_find(detail(e, "cause"));

	if (e->kind != WIRE_EVENT_DEATH || !e->pid)
		return false;
	*ret = (struct death){
		.proc_id = identity_process(boot_id, e->pid, e->start_ticks),
		.cause = cause < 0 ? KILL_CAUSE_UNKNOWN : (enum kill_cause)cause,
		.confidence = confidence_of(detail(e, "confidence")),
		.signal = signal_of(detail(e, "signal")),
		.exit_code = number(detail(e, "exit_code"), EXIT_CODE_MAX, -1),
		.verdict = e->text,
		.comm = detail(e, "comm"),
		.service = detail(e, "service"),
		.container = detail(e, "container"),
	};
	return true;
}
