/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass of SUBJECTS processes against RULES rules, measured after the windows have filled: every
 * process sampled once, its hosts too. What share of them moved since the pass before decides the
 * cost, so three shares are measured; the first is what a fleet at rest looks like.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "collector/rule/engine.h"
#include "collector/rule/parse.h"
#include "common/clock.h"

#define PER_HOST 40
#define T0       1700000000000000LL

static const char *const shapes[] = {
	"when rss > %uMiB for 5min",
	"when rss > %uMiB and swap > 64MiB for 5min",
	"when delta(rss, 10min) > %uMiB",
	"when slope(rss, 10min) > %uMiB/h and r2(rss, 10min) > 0.8 for 10min",
	"when tto(rss, %uMiB, 10min) < 1h",
};

struct bench {
	struct rule_set *set;
	struct rule_engine *engine;
	unsigned subjects;
	unsigned transitions;
	int64_t t_us;
	int64_t *rss;
};

static void on_transition(void *arg, const struct rule_transition *t unused_arg)
{
	((struct bench *)arg)->transitions++;
}

static const struct rule_engine_ops ops = {on_transition};

static void die(const char *what)
{
	fprintf(stderr, "rules_bench: %s\n", what);
	exit(1);
}

static void make_rules(struct bench *b, unsigned rules)
{
	struct error err;

	if (rule_set_new(&b->set) < 0)
		die("no memory");
	for (unsigned i = 0; i < rules; i++) {
		char when[128];
		char text[256];

		/* shapes[] is ours */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(when, sizeof(when), shapes[i % ARRAY_SIZE(shapes)], 100000 + i);
#pragma GCC diagnostic pop
		snprintf(text, sizeof(text), "rule r%u on process { %s; level log }", i, when);
		if (rule_set_parse(b->set, "bench", text, strlen(text), &err) < 0)
			die(err.msg);
	}
}

static void pass(struct bench *b, unsigned moving_percent)
{
	int64_t v[METRIC_COUNT] = {0};
	int64_t h[HOST_METRIC_COUNT] = {0};

	b->t_us += 10 * USEC_PER_SEC;
	engine_sweep(b->engine, b->t_us);
	for (unsigned i = 0; i < b->subjects; i++) {
		struct rule_subject who = {
			.kind = RULE_PROCESS,
			.host_id = (int32_t)(i / PER_HOST),
			.id = i,
			.service = "web",
			.comm = "python3",
			.first_seen_us = T0 - 3600 * USEC_PER_SEC,
		};

		if (i % 100 < moving_percent)
			b->rss[i] += 4;
		v[METRIC_RSS] = b->rss[i];
		/* CPU time moves in all of them; no rule asks for it. */
		v[METRIC_CPU] = b->t_us / 1000;
		if (engine_sample(b->engine, &who, b->t_us, v) < 0)
			die("sample refused");
		if (i % PER_HOST < PER_HOST - 1 && i + 1 < b->subjects)
			continue;
		who.kind = RULE_HOST;
		who.id = 0;
		if (engine_sample(b->engine, &who, b->t_us, h) < 0)
			die("sample refused");
	}
}

static void measure(struct bench *b, unsigned moving_percent)
{
	struct rule_engine_stats before;
	struct rule_engine_stats after;
	const int passes = 5;
	int64_t us;

	/* a window and its rest, so that each share starts in its own steady state */
	for (int i = 0; i < 70; i++)
		pass(b, moving_percent);
	before = engine_stats(b->engine);
	us = clock_cpu_us();
	for (int i = 0; i < passes; i++)
		pass(b, moving_percent);
	us = (clock_cpu_us() - us) / passes;
	after = engine_stats(b->engine);
	printf("rules_pass_moving_%u_percent %.1f ms\n", moving_percent, (double)us / 1000);
	printf("rules_evaluated_moving_%u_percent %.0f pairs\n", moving_percent,
	       (double)(after.evaluated - before.evaluated) / passes);
	printf("rules_per_sample_moving_%u_percent %.0f ns\n", moving_percent,
	       (double)us * 1000 / b->subjects);
	/* the goal: 400,000 series and 50 rules within 100 ms */
	printf("ratio rules_pass_moving_%u_percent_vs_goal %.2f\n", moving_percent,
	       (double)us / 1000 / (100.0 * b->subjects / 400000));
}

int main(int argc, char **argv)
{
	struct bench b = {.t_us = T0};
	struct rusage usage;
	unsigned rules = argc > 2 ? (unsigned)atoi(argv[2]) : 50;

	b.subjects = argc > 1 ? (unsigned)atoi(argv[1]) : 100000;
	b.rss = malloc(b.subjects * sizeof(*b.rss));
	if (!b.rss)
		die("no memory");
	for (unsigned i = 0; i < b.subjects; i++)
		b.rss[i] = 50000 + i % 1000;
	make_rules(&b, rules);
	if (engine_new(b.set, b.t_us, &ops, &b, &b.engine) < 0)
		die("no memory");
	printf("rules_subjects %u processes\nrules_rules %u rules\n", b.subjects, rules);
	measure(&b, 0);
	measure(&b, 5);
	measure(&b, 20);
	getrusage(RUSAGE_SELF, &usage);
	printf("rules_peak_memory %ld KiB\n", usage.ru_maxrss);
	if (b.transitions)
		die("an alert fired: the figures are not of a quiet fleet");
	engine_free(&b.engine);
	rule_set_free(&b.set);
	free(b.rss);
	return 0;
}
