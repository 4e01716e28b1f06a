/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=trim_run -Wl,--wrap=drop_caches_run
/* Every way a command can be wrong, against a real process: only the valid cell acts. */
#include "agent/act/gate.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/act/authority.h"
#include "agent/act/process.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"
#include "tests/support/test.h"

static unsigned acted;
static unsigned dry;

void __wrap_trim_run(const struct process *p, const struct action_order *o,
		     struct command_result *r);
void __wrap_trim_run(const struct process *p, const struct action_order *o,
		     struct command_result *r)
{
	assert_true(p->pid > 0);
	acted += !o->dry_run;
	dry += o->dry_run;
	action_say(r, o->dry_run ? COMMAND_DRY_RUN : COMMAND_DONE, "gave back 1 MiB of 2 MiB");
}

void __wrap_drop_caches_run(const struct process *p, const struct action_order *o,
			    struct command_result *r);
void __wrap_drop_caches_run(const struct process *p, const struct action_order *o,
			    struct command_result *r)
{
	assert_null(p);
	acted += !o->dry_run;
	dry += o->dry_run;
	action_say(r, o->dry_run ? COMMAND_DRY_RUN : COMMAND_DONE, "threw away the page cache");
}

struct place {
	char dir[32];
	char names[7][64];
	struct act_options options;
	struct gate gate;
	struct sign_key *key;
	struct sign_key *other_key;
	uint8_t host[16];
	pid_t child;
	struct process process;
	uint64_t counter;
};

static char *name_in(struct place *p, unsigned i, const char *name)
{
	snprintf(p->names[i], sizeof(p->names[i]), "%s/%s", p->dir, name);
	return p->names[i];
}

static void write_text(const char *path, const char *text)
{
	struct error err;

	assert_int_equal(fs_write(path, 0600, text, strlen(text), &err), 0);
}

static void write_keys(struct place *p)
{
	uint8_t pub[SIGN_KEY_SIZE];
	char hex[2 * SIGN_KEY_SIZE + 1];
	char uuid[UUID_TEXT_SIZE];
	char path[64];
	struct error err;

	snprintf(path, sizeof(path), "%s/a.pem", p->dir);
	assert_int_equal(sign_key_open(path, &p->key, &err), 0);
	snprintf(path, sizeof(path), "%s/b.pem", p->dir);
	assert_int_equal(sign_key_open(path, &p->other_key, &err), 0);
	assert_int_equal(sign_key_public(p->key, pub), 0);
	str_hex(hex, pub, sizeof(pub));
	write_text(p->options.command_key, hex);
	random_bytes(p->host, sizeof(p->host));
	uuid_text(uuid, p->host);
	write_text(p->options.host_uuid_file, uuid);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct error err = {""};

	if (geteuid() != 0)
		skip();
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	strcpy(p->dir, "/tmp/test_gate.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->options.policy = name_in(p, 0, "policy");
	p->options.command_key = name_in(p, 1, "key");
	p->options.host_uuid_file = name_in(p, 2, "uuid");
	p->options.journal = name_in(p, 3, "journal");
	p->options.stop_file = name_in(p, 4, "stop");
	p->options.maintenance_file = name_in(p, 5, "maintenance");
	write_keys(p);
	p->options.operators = name_in(p, 6, "operators");
	write_text(p->options.policy, "allow trim uid>=0\nallow trim uid>=0 container=yes\n");
	assert_int_equal(journal_open(p->options.journal, &p->gate.journal, &err), 0);
	p->gate.options = &p->options;
	p->child = fork();
	if (p->child == 0) {
		pause();
		_exit(0);
	}
	if (process_open(p->child, &p->process, &err) < 0)
		fail_msg("%s", err.msg);
	acted = dry = 0;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = {"policy",
					    "key",
					    "uuid",
					    "journal",
					    "journal.lock",
					    "operators/ann.pub",
					    "operators/bob.pub",
					    "operators/notes.txt",
					    "a.pem",
					    "b.pem",
					    "stop",
					    "maintenance"};
	struct place *p = *state;
	char path[64];

	kill(p->child, SIGKILL);
	waitpid(p->child, NULL, 0);
	process_fini(&p->process);
	journal_free(&p->gate.journal);
	sign_key_free(&p->key);
	sign_key_free(&p->other_key);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", p->dir, files[i]);
		unlink(path);
	}
	rmdir(p->options.operators);
	rmdir(p->dir);
	free(p);
	return 0;
}

static struct command valid(struct place *p)
{
	struct command c = {
		.action = COMMAND_TRIM,
		.pid = (uint32_t)p->child,
		.start_ticks = p->process.start_ticks,
		.issued_us = clock_wall_us(),
		.expires_us = clock_wall_us() + 60 * USEC_PER_SEC,
		.counter = ++p->counter,
		.fence = 5,
		.actor = "test",
	};
	struct error err;

	random_bytes(c.id, sizeof(c.id));
	memcpy(c.host_uuid, p->host, sizeof(c.host_uuid));
	assert_int_equal(process_boot_id(c.boot_id, &err), 0);
	return c;
}

static struct command_request sign(const struct sign_key *key, const char *domain,
				   const struct command *c)
{
	struct command_request r = {.has_warrant = false};

	command_pack(r.body, c);
	assert_int_equal(sign_make(key, domain, r.body, sizeof(r.body), r.signature), 0);
	return r;
}

static struct command_result submit(struct place *p, const struct command *c)
{
	struct command_request request = sign(p->key, COMMAND_DOMAIN, c);
	struct command_result r;

	gate_submit(&p->gate, &request, clock_wall_us(), &r);
	return r;
}

static void expect_refusal(const struct command_result *r, const char *says)
{
	if (r->status != COMMAND_REFUSED || !strstr(r->detail, says))
		fail_msg("status %d '%s', expected a refusal with '%s'", (int)r->status, r->detail,
			 says);
	assert_int_equal(acted, 0);
	assert_int_equal(dry, 0);
}

static void the_valid_one_acts_once(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r = submit(p, &c);

	assert_int_equal(r.status, COMMAND_DONE);
	assert_memory_equal(r.id, c.id, sizeof(c.id));
	assert_int_equal(acted, 1);
	r = submit(p, &c);
	assert_int_equal(r.status, COMMAND_DONE);
	assert_int_equal(acted, 1);
}

static void a_dry_run_only_tells(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r;

	c.dry_run = true;
	r = submit(p, &c);
	assert_int_equal(r.status, COMMAND_DRY_RUN);
	assert_int_equal(acted, 0);
	assert_int_equal(dry, 1);
}

static void a_wrong_signature_is_refused(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_request r = sign(p->other_key, COMMAND_DOMAIN, &c);
	struct command_result result;

	gate_submit(&p->gate, &r, clock_wall_us(), &result);
	expect_refusal(&result, "signature");
	r = sign(p->key, "memherd-other-v1", &c);
	gate_submit(&p->gate, &r, clock_wall_us(), &result);
	expect_refusal(&result, "signature");
	r = sign(p->key, COMMAND_DOMAIN, &c);
	memset(r.signature, 0, sizeof(r.signature));
	gate_submit(&p->gate, &r, clock_wall_us(), &result);
	expect_refusal(&result, "signature");
	/* Each single byte of the body is covered. */
	for (size_t i = 0; i < sizeof(r.body); i += 5) {
		r = sign(p->key, COMMAND_DOMAIN, &c);
		r.body[i] ^= 0x40;
		gate_submit(&p->gate, &r, clock_wall_us(), &result);
		expect_refusal(&result, "signature");
	}
}

/* ---- what an operator signs ---- */

#define SIGNED "allow trim uid>=0 signed=yes\nallow trim uid>=0 container=yes signed=yes\n"

static void write_operator(struct place *p, const char *name, const struct sign_key *key)
{
	uint8_t pub[SIGN_KEY_SIZE];
	char hex[2 * SIGN_KEY_SIZE + 1];
	char path[96];

	mkdir(p->options.operators, 0755);
	snprintf(path, sizeof(path), "%s/%s", p->options.operators, name);
	assert_int_equal(sign_key_public(key, pub), 0);
	str_hex(hex, pub, sizeof(pub));
	write_text(path, hex);
}

static struct command_statement statement_of(const struct command *c)
{
	struct command_statement s = {.action = c->action,
				      .pid = c->pid,
				      .start_ticks = c->start_ticks,
				      .issued_us = c->issued_us,
				      .expires_us = c->issued_us + 3600 * USEC_PER_SEC};

	memcpy(s.id, c->id, sizeof(s.id));
	memcpy(s.host_uuid, c->host_uuid, sizeof(s.host_uuid));
	memcpy(s.boot_id, c->boot_id, sizeof(s.boot_id));
	memcpy(s.params, c->params, sizeof(s.params));
	return s;
}

/* The command with the operator's part; the collector's signature is good. */
static struct command_result submit_signed(struct place *p, const struct command *command,
					   const struct command_statement *s,
					   const struct sign_key *key, const char *domain)
{
	struct command c = *command;
	struct command_request q;
	struct command_warrant w;
	struct command_result r;

	command_statement_pack(w.statement, s);
	assert_int_equal(sign_make(key, domain, w.statement, sizeof(w.statement), w.signature), 0);
	command_warrant_hash(c.warrant_hash, &w);
	q = sign(p->key, COMMAND_DOMAIN, &c);
	q.warrant = w;
	q.has_warrant = true;
	gate_submit(&p->gate, &q, clock_wall_us(), &r);
	return r;
}

static struct command_result submit_good(struct place *p, const struct command *c)
{
	struct command_statement s = statement_of(c);

	return submit_signed(p, c, &s, p->other_key, COMMAND_WARRANT_DOMAIN);
}

static void what_the_policy_wants_signed_needs_an_operator(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r;

	write_text(p->options.policy, SIGNED);
	r = submit(p, &c);
	expect_refusal(&r, "policy line 1 wants an operator's signature");
	c = valid(p);
	r = submit_good(p, &c);
	expect_refusal(&r, "no operator's key lies in");
	write_operator(p, "ann.pub", p->key);
	write_operator(p, "bob.pub", p->other_key);
	write_operator(p, "notes.txt", p->key);
	c = valid(p);
	c.dry_run = true;
	r = submit(p, &c);
	assert_int_equal(r.status, COMMAND_DRY_RUN);
	c = valid(p);
	r = submit_good(p, &c);
	assert_int_equal(r.status, COMMAND_DONE);
	assert_int_equal(acted, 1);
	assert_string_equal(p->gate.signer, "bob");
	r = submit_good(p, &c);
	assert_int_equal(r.status, COMMAND_DONE);
	assert_int_equal(acted, 1);
	/* The same statement under a new number: the id tells. */
	c.counter = ++p->counter;
	r = submit_good(p, &c);
	assert_int_equal(acted, 1);
	c = valid(p);
	acted = dry = 0;
	r = submit(p, &c);
	expect_refusal(&r, "wants an operator's signature");
}

static void an_operators_signature_is_of_one_act(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_statement s = statement_of(&c);
	struct command_result r;

	write_text(p->options.policy, SIGNED);
	write_operator(p, "bob.pub", p->other_key);
	r = submit_signed(p, &c, &s, p->key, COMMAND_WARRANT_DOMAIN);
	expect_refusal(&r, "is not of a key in");
	r = submit_signed(p, &c, &s, p->other_key, COMMAND_DOMAIN);
	expect_refusal(&r, "is not of a key in");
	s.host_uuid[0] ^= 1;
	r = submit_signed(p, &c, &s, p->other_key, COMMAND_WARRANT_DOMAIN);
	expect_refusal(&r, "for another host");
	s = statement_of(&c);
	s.start_ticks++;
	r = submit_signed(p, &c, &s, p->other_key, COMMAND_WARRANT_DOMAIN);
	expect_refusal(&r, "for another process");
	s = statement_of(&c);
	s.action = COMMAND_GC_FREEZE;
	r = submit_signed(p, &c, &s, p->other_key, COMMAND_WARRANT_DOMAIN);
	expect_refusal(&r, "for another action");
	s = statement_of(&c);
	s.id[5] ^= 1;
	r = submit_signed(p, &c, &s, p->other_key, COMMAND_WARRANT_DOMAIN);
	expect_refusal(&r, "for another command");
	s = statement_of(&c);
	s.issued_us -= 7200 * USEC_PER_SEC;
	s.expires_us = clock_wall_us() - 1;
	r = submit_signed(p, &c, &s, p->other_key, COMMAND_WARRANT_DOMAIN);
	expect_refusal(&r, "operator's signature has expired");
	s = statement_of(&c);
	s.issued_us += 120 * USEC_PER_SEC;
	r = submit_signed(p, &c, &s, p->other_key, COMMAND_WARRANT_DOMAIN);
	expect_refusal(&r, "signed in the future");
	r = submit_good(p, &c);
	assert_int_equal(r.status, COMMAND_DONE);
}

static void what_comes_along_is_what_the_command_says(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_statement s = statement_of(&c);
	struct command_request q;
	struct command_result r;

	write_operator(p, "bob.pub", p->other_key);
	/* Taken off on the way. */
	memset(c.warrant_hash, 7, sizeof(c.warrant_hash));
	r = submit(p, &c);
	expect_refusal(&r, "did not come along");
	/* Put on on the way. */
	memset(c.warrant_hash, 0, sizeof(c.warrant_hash));
	q = sign(p->key, COMMAND_DOMAIN, &c);
	q.has_warrant = true;
	command_statement_pack(q.warrant.statement, &s);
	assert_int_equal(sign_make(p->other_key, COMMAND_WARRANT_DOMAIN, q.warrant.statement,
				   sizeof(q.warrant.statement), q.warrant.signature),
			 0);
	gate_submit(&p->gate, &q, clock_wall_us(), &r);
	expect_refusal(&r, "does not speak of");
	/* Nonsense that is signed well. */
	memset(q.warrant.statement, 'x', sizeof(q.warrant.statement));
	assert_int_equal(sign_make(p->other_key, COMMAND_WARRANT_DOMAIN, q.warrant.statement,
				   sizeof(q.warrant.statement), q.warrant.signature),
			 0);
	command_warrant_hash(c.warrant_hash, &q.warrant);
	command_pack(q.body, &c);
	assert_int_equal(sign_make(p->key, COMMAND_DOMAIN, q.body, sizeof(q.body), q.signature), 0);
	gate_submit(&p->gate, &q, clock_wall_us(), &r);
	expect_refusal(&r, "does not begin with 'MHO1'");
}

static void bad_keys_refuse_by_name(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r;
	char path[96];

	write_operator(p, "bob.pub", p->key);
	snprintf(path, sizeof(path), "%s/bob.pub", p->options.operators);
	write_text(path, "short");
	r = submit_good(p, &c);
	expect_refusal(&r, "bob.pub' does not hold 64 hex digits");
	assert_int_equal(chmod(path, 0666), 0);
	r = submit_good(p, &c);
	expect_refusal(&r, path);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(p->options.operators, 0777), 0);
	r = submit_good(p, &c);
	expect_refusal(&r, p->options.operators);
}

/* Who has the collector's key could push the one that was done out of the journal. */
static void what_the_journal_may_have_forgotten_is_refused(void **state)
{
	struct command c = {.warrant_hash = {0}};
	struct command_request q = {.has_warrant = true};
	struct command_statement s = {.action = COMMAND_TRIM,
				      .issued_us = 1000 * USEC_PER_SEC,
				      .expires_us = 2000 * USEC_PER_SEC};
	struct error err;

	assert_non_null(*state);
	c.action = s.action;
	command_statement_pack(q.warrant.statement, &s);
	command_warrant_hash(c.warrant_hash, &q.warrant);
	assert_int_equal(operators_agree(&q, &c, 1500 * USEC_PER_SEC, 0, &err), 0);
	assert_int_equal(operators_agree(&q, &c, 1500 * USEC_PER_SEC, 900 * USEC_PER_SEC, &err), 0);
	assert_int_equal(operators_agree(&q, &c, 1500 * USEC_PER_SEC, 940 * USEC_PER_SEC, &err),
			 -ESTALE);
	assert_says(err, "sign anew");
	assert_int_equal(operators_agree(&q, &c, 2000 * USEC_PER_SEC, 0, &err), -ESTALE);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r;

	c.host_uuid[3] ^= 1;
	r = submit(p, &c);
	expect_refusal(&r, "another host");
	c = valid(p);
	c.expires_us = clock_wall_us() - 1;
	r = submit(p, &c);
	expect_refusal(&r, "expired");
	c = valid(p);
	c.expires_us = clock_wall_us() + 601 * USEC_PER_SEC;
	r = submit(p, &c);
	expect_refusal(&r, "10 min ahead");
	c = valid(p);
	c.start_ticks++;
	r = submit(p, &c);
	expect_refusal(&r, "pid was reused");
	c = valid(p);
	c.boot_id[0] ^= 1;
	r = submit(p, &c);
	expect_refusal(&r, "before this boot");
	c = valid(p);
	c.pid = 1;
	r = submit(p, &c);
	expect_refusal(&r, "pid 1 is never touched");
	c = valid(p);
	c.pid = 0x7fffffff;
	r = submit(p, &c);
	expect_refusal(&r, "no process");
}

static void counters_and_fences_only_rise(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r;

	c.counter = 100;
	c.fence = 9;
	c.dry_run = true;
	r = submit(p, &c);
	assert_int_equal(r.status, COMMAND_DRY_RUN);
	dry = 0;
	c = valid(p);
	c.fence = 9;
	c.counter = 100;
	r = submit(p, &c);
	expect_refusal(&r, "counter 100 is not above");
	c = valid(p);
	c.counter = 101;
	c.fence = 8;
	r = submit(p, &c);
	expect_refusal(&r, "lost the lead");
	c = valid(p);
	c.counter = 101;
	c.fence = 9;
	r = submit(p, &c);
	assert_int_equal(r.status, COMMAND_DONE);
}

static void the_policy_and_its_rates_hold(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r;

	write_text(p->options.policy, "deny *\n");
	r = submit(p, &c);
	expect_refusal(&r, "policy line 1: deny *");
	write_text(p->options.policy, "nonsense\n");
	c = valid(p);
	r = submit(p, &c);
	expect_refusal(&r, "expected 'allow', 'deny', 'shed' or 'maintenance'");
	write_text(p->options.policy,
		   "allow trim uid>=0 max=2/h\nallow trim uid>=0 container=yes max=2/h\n");
	for (int i = 0; i < 2; i++) {
		c = valid(p);
		r = submit(p, &c);
		assert_int_equal(r.status, COMMAND_DONE);
	}
	acted = 0;
	c = valid(p);
	r = submit(p, &c);
	expect_refusal(&r, "done 2 times in the last");
}

static void a_stop_file_stops_all(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r;

	write_text(p->options.stop_file, "");
	c.dry_run = true;
	r = submit(p, &c);
	expect_refusal(&r, "stopped: nothing is done while");
	assert_int_equal(r.journal.records, 1); /* it is in the journal */
	c = valid(p);
	r = submit(p, &c);
	expect_refusal(&r, "stopped: nothing is done while");
	/* a link to nowhere is there, too */
	assert_int_equal(unlink(p->options.stop_file), 0);
	assert_int_equal(symlink("nowhere", p->options.stop_file), 0);
	c = valid(p);
	r = submit(p, &c);
	expect_refusal(&r, "stopped: nothing is done while");
	assert_int_equal(unlink(p->options.stop_file), 0);
	c = valid(p);
	r = submit(p, &c);
	assert_int_equal(r.status, COMMAND_DONE);
}

static void maintenance_lets_dry_runs_pass(void **state)
{
	static const struct {
		const char *text; /* of the file */
		const char *says; /* NULL = it acts */
	} rows[] = {
		{"", "maintenance: nothing is done while"},
		{"until=2999-12-01T06:00Z\n", "says that nothing is done until 2999-12-01T06:00Z"},
		{"until=tomorrow\n", "says 'until=tomorrow', expected nothing or"},
		{"until=2020-12-01T06:00Z\n", NULL},
	};
	struct place *p = *state;
	struct command_result r;
	struct command c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_text(p->options.maintenance_file, rows[i].text);
		c = valid(p);
		r = submit(p, &c);
		if (rows[i].says)
			expect_refusal(&r, rows[i].says);
		else
			assert_int_equal(r.status, COMMAND_DONE);
		acted = 0;
	}
	write_text(p->options.policy, "maintenance until=2999-01-01T00:00Z\nallow trim uid>=0\n"
				      "allow trim uid>=0 container=yes\n");
	c = valid(p);
	r = submit(p, &c);
	expect_refusal(&r, "policy line 1 says that nothing is done until 2999");
	c = valid(p);
	c.dry_run = true;
	r = submit(p, &c);
	assert_int_equal(r.status, COMMAND_DRY_RUN);
}

/* Whoever keeps what is told sees where the journal went back. */
static void each_answer_tells_where_the_journal_stands(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result first = submit(p, &c), again = submit(p, &c), r;

	assert_int_equal(first.journal.last, 2);
	assert_int_equal(first.journal.records, 2);
	assert_memory_equal(&first.journal, &again.journal, sizeof(first.journal));
	write_text(p->options.policy, "deny *\n");
	c = valid(p);
	r = submit(p, &c);
	assert_int_equal(r.journal.last, 3);
	assert_int_equal(r.journal.records, 1);
	assert_memory_equal(r.journal.before, first.journal.head, COMMAND_LINK_SIZE);
	/* what is not journalled tells the head alone */
	c = valid(p);
	c.counter = 1;
	again = submit(p, &c);
	assert_int_equal(again.status, COMMAND_REFUSED);
	assert_int_equal(again.journal.last, 3);
	assert_int_equal(again.journal.records, 0);
	assert_memory_equal(again.journal.head, r.journal.head, COMMAND_LINK_SIZE);
}

static struct command of_host(struct place *p)
{
	struct command c = valid(p);

	c.action = COMMAND_DROP_CACHES;
	c.pid = 0;
	c.start_ticks = 0;
	return c;
}

static void the_whole_host_is_no_process(void **state)
{
	struct place *p = *state;
	struct command c = of_host(p);
	struct command_result r;

	write_text(p->options.policy, "allow drop-caches\n");
	c.pid = (uint32_t)p->child;
	r = submit(p, &c);
	expect_refusal(&r, "drop-caches is done to the whole host, not to process");
	c = of_host(p);
	c.start_ticks = 1;
	r = submit(p, &c);
	expect_refusal(&r, "done to the whole host");
	c = of_host(p);
	c.boot_id[0] ^= 1;
	r = submit(p, &c);
	expect_refusal(&r, "this host before this boot");
	c = of_host(p);
	c.action = COMMAND_TRIM;
	r = submit(p, &c);
	expect_refusal(&r, "no process 0");
	write_text(p->options.policy, "allow * uid>=0\n");
	c = of_host(p);
	r = submit(p, &c);
	expect_refusal(&r, "no line of the policy allows it");
}

static void the_caches_are_dropped_once_an_hour(void **state)
{
	struct place *p = *state;
	struct command c = of_host(p);
	struct gate_wish wish = {.action = action_find(COMMAND_DROP_CACHES), .no_policy = true};
	struct command_result r;
	struct error err;

	write_text(p->options.policy, "allow drop-caches\n");
	r = submit(p, &c);
	assert_int_equal(r.status, COMMAND_DONE);
	assert_int_equal(acted, 1);
	acted = 0;
	/* memherd-actd starts anew */
	journal_free(&p->gate.journal);
	assert_int_equal(journal_open(p->options.journal, &p->gate.journal, &err), 0);
	c = of_host(p);
	r = submit(p, &c);
	expect_refusal(&r, "and drop-caches wants a rest of 60 min");
	assert_int_equal(gate_by_hand(&p->gate, &wish, clock_wall_us(), &r), -EPERM);
	expect_refusal(&r, "wants a rest of 60 min");
	wish.dry_run = true;
	assert_int_equal(gate_by_hand(&p->gate, &wish, clock_wall_us(), &r), 0);
	assert_int_equal(dry, 1);
	wish.dry_run = false;
	assert_int_equal(gate_by_hand(&p->gate, &wish, clock_wall_us() + 3601 * USEC_PER_SEC, &r),
			 0);
	assert_int_equal(acted, 1);
}

static void without_a_key_nothing_is_done(void **state)
{
	struct place *p = *state;
	struct command c = valid(p);
	struct command_result r;

	assert_int_equal(chmod(p->options.command_key, 0666), 0);
	r = submit(p, &c);
	expect_refusal(&r, "writable by others");
	assert_int_equal(chmod(p->options.command_key, 0644), 0);
	assert_int_equal(chown(p->options.host_uuid_file, 65534, 65534), 0);
	r = submit(p, &c);
	expect_refusal(&r, "uuid' belongs to uid 65534");
	assert_int_equal(chown(p->options.host_uuid_file, 0, 0), 0);
	write_text(p->options.command_key, "abc\n");
	r = submit(p, &c);
	expect_refusal(&r, "hex digits");
	assert_int_equal(unlink(p->options.command_key), 0);
	r = submit(p, &c);
	expect_refusal(&r, "cannot look at");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_valid_one_acts_once),
		TEST(a_dry_run_only_tells),
		TEST(a_wrong_signature_is_refused),
		TEST(what_does_not_fit_is_refused),
		TEST(what_the_policy_wants_signed_needs_an_operator),
		TEST(an_operators_signature_is_of_one_act),
		TEST(what_comes_along_is_what_the_command_says),
		TEST(bad_keys_refuse_by_name),
		TEST(what_the_journal_may_have_forgotten_is_refused),
		TEST(counters_and_fences_only_rise),
		TEST(the_policy_and_its_rates_hold),
		TEST(a_stop_file_stops_all),
		TEST(maintenance_lets_dry_runs_pass),
		TEST(each_answer_tells_where_the_journal_stands),
		TEST(the_whole_host_is_no_process),
		TEST(the_caches_are_dropped_once_an_hour),
		TEST(without_a_key_nothing_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
