/* SPDX-License-Identifier: Apache-2.0 */
#include "common/failpoint.h"

#ifdef MEMHERD_FAILPOINTS

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/sign.h"

#define POINTS_MAX  32
#define NAME_SIZE   64
#define EXIT_STATUS 70

enum action { ACTION_SLEEP, ACTION_KILL, ACTION_EXIT, ACTION_ABORT, ACTION_ERROR };

struct point {
	char name[NAME_SIZE];
	enum action action;
	unsigned value;   /* milliseconds, errno */
	unsigned nth;     /* 0 = not only then */
	unsigned percent; /* 0 = always */
	unsigned hits;
};

static struct {
	bool read;
	size_t n;
	struct point points[POINTS_MAX];
} table;

static const struct {
	const char *word;
	enum action action;
	bool has_value;
} actions[] = {
	{"sleep", ACTION_SLEEP, true},  {"kill", ACTION_KILL, false},  {"exit", ACTION_EXIT, false},
	{"abort", ACTION_ABORT, false}, {"error", ACTION_ERROR, true},
};

static _Noreturn void refuse(const char *item, const char *why)
{
	fprintf(stderr, "MEMHERD_FAILPOINTS: '%s': %s\n", item, why);
	_exit(EXIT_STATUS);
}

static bool take_action(struct point *p, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		size_t len = strlen(actions[i].word);
		char end;

		if (strncmp(text, actions[i].word, len) != 0)
			continue;
		p->action = actions[i].action;
		if (!actions[i].has_value)
			return text[len] == '\0';
		return sscanf(text + len, "(%u%c", &p->value, &end) == 2 && end == ')' &&
		       text[strlen(text) - 1] == ')';
	}
	return false;
}

static bool take_when(struct point *p, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || n == 0 || n > 1000000)
		return false;
	if (*end == '\0')
		p->nth = (unsigned)n;
	else if (strcmp(end, "%") == 0 && n <= 100)
		p->percent = (unsigned)n;
	else
		return false;
	return true;
}

/* 'name=action' or 'name=action@when'. */
static void take_item(char *item)
{
	struct point *p = &table.points[table.n];
	char *action = strchr(item, '=');
	char *when;

	if (table.n == POINTS_MAX)
		refuse(item, "too many");
	if (!action || action - item >= NAME_SIZE)
		refuse(item, "expected NAME=ACTION[@WHEN]");
	*action++ = '\0';
	when = strchr(action, '@');
	if (when)
		*when++ = '\0';
	memset(p, 0, sizeof(*p));
	memcpy(p->name, item, strlen(item) + 1);
	if (!take_action(p, action))
		refuse(action, "expected sleep(MS), kill, exit, abort or error(ERRNO)");
	if (when && !take_when(p, when))
		refuse(when, "expected N or P%");
	table.n++;
}

static void read_table(void)
{
	const char *env = getenv("MEMHERD_FAILPOINTS");
	auto_free char *text = strdup(env ? env : "");
	char *rest = text;
	char *item;

	table.read = true;
	while (rest && (item = strsep(&rest, ";")))
		if (*item)
			take_item(item);
}

static struct point *find(const char *name)
{
	for (size_t i = 0; i < table.n; i++)
		if (strcmp(table.points[i].name, name) == 0)
			return &table.points[i];
	return NULL;
}

static bool due(struct point *p)
{
	p->hits++;
	if (p->nth)
		return p->hits == p->nth;
	return !p->percent || random_below(100) < p->percent;
}

static void sleep_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) < 0)
		;
}

int failpoint_hit(const char *name)
{
	struct point *p;

	if (!table.read)
		read_table();
	p = find(name);
	if (!p || !due(p))
		return 0;
	switch (p->action) {
	case ACTION_SLEEP:
		sleep_ms(p->value);
		break;
	case ACTION_KILL:
		dprintf(STDERR_FILENO, "failpoint=%s kill\n", name);
		raise(SIGKILL);
		break;
	case ACTION_EXIT:
		_exit(EXIT_STATUS);
	case ACTION_ABORT:
		abort();
	case ACTION_ERROR:
		return -(int)p->value;
	}
	return 0;
}

bool failpoint_mutant(const char *name)
{
	const char *env = getenv("MEMHERD_MUTANT");

	return env && strcmp(env, name) == 0;
}

#else

/* ISO C wants a declaration in each unit. */
extern int failpoint_none;

#endif
