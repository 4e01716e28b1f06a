/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "collector/fleet/dossier.h"

#include <jansson.h>

#include "collector/fleet/python.h"
#include "proto/identity.h"
#include "tests/support/alloc.h"
#include "tests/support/test.h"

#define NOW (1700000000LL * 1000000)

static const uint8_t boot_id[16] = "the boot that is";
static const uint8_t other_boot[16] = "one before that";

struct site {
	struct registry r;
	struct host *h;
	struct wire_kill k;
};

static struct wire_party party(uint32_t pid, uint64_t start, const char *comm)
{
	struct wire_party p = {.pid = pid,
			       .start_ticks = start,
			       .uid = -1,
			       .comm = comm,
			       .service = "",
			       .container = ""};

	for (int i = 0; i < KILL_FIGURE_COUNT; i++)
		p.v[i] = KILL_ABSENT;
	return p;
}

/* A host with a Python worker of pid 12 since NOW. */
static int set_up(void **state)
{
	static const uint8_t uuid[16] = {1};
	const struct wire_process info = {.pid = 12,
					  .start_ticks = 120,
					  .role = WIRE_ROLE_WORKER,
					  .slot = 2,
					  .comm = "gunicorn",
					  .cmdline = "gunicorn: worker \"x\"",
					  .exe = "",
					  .cgroup = "",
					  .service = "shop",
					  .container = "shop-1"};
	struct site *s = calloc(1, sizeof(*s));
	int64_t v[METRIC_COUNT];
	struct process *p;

	registry_init(&s->r);
	s->h = registry_host(&s->r, 7, uuid, "web");
	memcpy(s->h->boot_id, boot_id, 16);
	p = registry_process(s->h, identity_process(boot_id, 12, 120), &info, NOW);
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = METRIC_ABSENT;
	v[METRIC_RSS] = 5000;
	v[METRIC_GC2] = 9;
	registry_sample(p, v, NOW);
	s->k = (struct wire_kill){.seq = 1,
				  .cause = KILL_CAUSE_KERNEL_MEMCG,
				  .confidence = KILL_CONFIDENCE_CERTAIN,
				  .victim = party(12, 0, "gunicorn"),
				  .trigger = party(0, 0, ""),
				  .victim_cgroup = "",
				  .limit_cgroup = "/shop",
				  .limit_owner = "shop",
				  .verdict = "a sentence"};
	memcpy(s->k.boot_id, boot_id, 16);
	for (int i = 0; i < KILL_TOTAL_COUNT; i++)
		s->k.v[i] = KILL_ABSENT;
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct site *s = *state;

	registry_fini(&s->r);
	free(s);
	return 0;
}

/* The document of the kill, NULL when it is none; the caller's. */
static json_t *doc_of(struct site *s, int64_t t_us)
{
	auto_dossier struct dossier d = {0};
	json_error_t bad;

	assert_int_equal(dossier_init(&d, s->h, &s->k, t_us), 0);
	assert_int_equal(d.kill_id, identity_kill(boot_id, 1));
	return json_loads(d.doc, 0, &bad);
}

static const char *text_at(const json_t *doc, const char *object, const char *key)
{
	const char *text = json_string_value(
		json_object_get(object ? json_object_get(doc, object) : doc, key));

	return text ? text : "(none)";
}

static void who_has_the_pid_is_meant(void **state)
{
	struct site *s = *state;
	char id[24];
	json_t *doc = doc_of(s, NOW), *victim = json_object_get(doc, "victim");

	snprintf(id, sizeof(id), "%lld", (long long)identity_process(boot_id, 12, 120));
	assert_string_equal(text_at(doc, "victim", "process_id"), id);
	assert_string_equal(text_at(doc, "victim", "service"), "shop");
	assert_string_equal(text_at(doc, "victim", "container"), "shop-1");
	assert_string_equal(text_at(doc, "victim", "cmdline"), "gunicorn: worker \"x\"");
	assert_string_equal(text_at(doc, "victim", "role"), "worker");
	assert_int_equal(json_integer_value(json_object_get(victim, "slot")), 2);
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(victim, "python"), "gc2")),
			 9);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(victim, "last_sample"),
							    "rss_bytes")),
			 5000 * 1024);
	assert_true(json_is_null(json_object_get(doc, "trigger")));
	assert_string_equal(text_at(doc, NULL, "cause"), "kernel_memcg");
	json_decref(doc);
}

static void another_with_that_pid_is_not(void **state)
{
	struct site *s = *state;
	json_t *doc;

	/* of the boot before */
	memcpy(s->h->boot_id, other_boot, 16);
	doc = doc_of(s, NOW);
	assert_string_equal(text_at(doc, "victim", "process_id"), "(none)");
	json_decref(doc);
	memcpy(s->h->boot_id, boot_id, 16);
	/* who got the pid hours after the kill */
	doc = doc_of(s, NOW - 7200LL * 1000000);
	assert_string_equal(text_at(doc, "victim", "service"), "(none)");
	json_decref(doc);
	/* by its start it is another process: its id is told all the same */
	s->k.victim = party(12, 777, "gunicorn");
	doc = doc_of(s, NOW);
	assert_string_equal(text_at(doc, "victim", "service"), "(none)");
	assert_string_not_equal(text_at(doc, "victim", "process_id"), "(none)");
	json_decref(doc);
}

static void figures_are_in_bytes(void **state)
{
	struct site *s = *state;
	struct wire_party grower = party(12, 120, "gunicorn");
	const char *lines[] = {"[1.0] Memory cgroup out of memory"};
	json_t *doc, *first;

	s->k.v[KILL_TOTAL_LIMIT] = 100;
	s->k.v[KILL_TOTAL_FAILCNT] = 3;
	grower.v[KILL_FIGURE_GROWN_10M] = -5;
	grower.v[KILL_FIGURE_OOM_SCORE_ADJ] = -900;
	s->k.growers = &grower;
	s->k.n_growers = 1;
	s->k.evidence = lines;
	s->k.n_evidence = 1;
	doc = doc_of(s, NOW);
	assert_int_equal(json_integer_value(json_object_get(doc, "limit_bytes")), 102400);
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(doc, "figures"), "failcnt")),
			 3);
	first = json_array_get(json_object_get(doc, "growers"), 0);
	assert_int_equal(json_integer_value(json_object_get(first, "grown_10m_bytes")), -5120);
	assert_int_equal(json_integer_value(json_object_get(first, "oom_score_adj")), -900);
	assert_null(json_object_get(first, "grown_1m_bytes"));
	assert_int_equal(json_array_size(json_object_get(doc, "evidence")), 1);
	json_decref(doc);
}

static void what_no_machine_has_is_no_overflow(void **state)
{
	struct site *s = *state;
	json_t *doc;

	s->k.v[KILL_TOTAL_LIMIT] = INT64_C(1) << 53;
	s->k.victim.v[KILL_FIGURE_RSS] = -(INT64_C(1) << 53);
	doc = doc_of(s, NOW);
	assert_true(json_integer_value(json_object_get(doc, "limit_bytes")) == INT64_MAX);
	json_decref(doc);
}

static void each_cause_has_its_scope(void **state unused_arg)
{
	assert_int_equal(dossier_scope(KILL_CAUSE_KERNEL_GLOBAL), KILL_SCOPE_HOST);
	assert_int_equal(dossier_scope(KILL_CAUSE_KERNEL_MEMCG), KILL_SCOPE_CGROUP);
	assert_int_equal(dossier_scope(KILL_CAUSE_EARLYOOM), KILL_SCOPE_DAEMON);
}

/* What its last census and its figures told is in the dossier: that is what is left of it. */
static void what_was_known_of_its_interpreter_is_told(void **state)
{
	struct site *s = *state;
	struct process *p = registry_find_process(s->h, identity_process(boot_id, 12, 120));
	struct wire_census_type types[] = {{"app.Row", 70, 9000}, {"list", 9, 700}};
	struct wire_census c = {.method = CENSUS_METHOD_SNAPSHOT,
				.version = 0x030b02f0,
				.objects = 79,
				.bytes = 9700,
				.types = types,
				.n_types = 2,
				.types_total = 2,
				.note = ""};
	json_t *doc;
	const json_t *python;
	const json_t *census;

	for (int i = 0; i < HEAP_PART_COUNT; i++)
		c.parts[i] = HEAP_ABSENT;
	c.parts[HEAP_PART_MALLOC] = 4096;
	c.parts[HEAP_PART_ARENAS] = 3;
	p->v[METRIC_PYTHON_VERSION] = 0x030b02f0;
	p->v[METRIC_GC_ENABLED] = 0;
	if (!p->python)
		p->python = python_new();
	python_census(p->python, &c, 5, NOW);
	doc = doc_of(s, NOW);
	python = json_object_get(json_object_get(doc, "victim"), "python");
	census = json_object_get(python, "census");
	assert_string_equal(json_string_value(json_object_get(python, "version")), "3.11.2");
	assert_int_equal(json_integer_value(json_object_get(python, "gc_enabled")), 0);
	assert_int_equal(json_integer_value(json_object_get(census, "objects")), 79);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(census, "memory"),
							    "malloc_bytes")),
			 4096);
	assert_int_equal(json_object_size(json_object_get(census, "memory")), 2);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(census, "types"), 0), "name")),
			    "app.Row");
	json_decref(doc);
}

/* The list of processes by pid is what is allocated here; without it the kill is told all the
 * same. */
static void without_memory_it_is_told_unjoined(void **state)
{
	struct site *s = *state;
	json_t *doc;

	alloc_fail_at(1);
	doc = doc_of(s, NOW);
	alloc_fail_off();
	assert_non_null(doc);
	assert_string_equal(text_at(doc, "victim", "comm"), "gunicorn");
	json_decref(doc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_has_the_pid_is_meant),
		TEST(another_with_that_pid_is_not),
		TEST(figures_are_in_bytes),
		TEST(what_no_machine_has_is_no_overflow),
		TEST(what_was_known_of_its_interpreter_is_told),
		TEST(without_memory_it_is_told_unjoined),
		cmocka_unit_test(each_cause_has_its_scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
