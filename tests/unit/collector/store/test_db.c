/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=PQsendQuery,--wrap=PQputCopyData
/* Transactions against a real PostgreSQL, with statements of this test's own: what comes of them
 * where one of their messages fails or is lost half-way. */
#include <errno.h>
#include <event2/event.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/store/db_sync.h"
#include "common/clock.h"
#include "tests/support/loop.h"
#include "tests/support/pg.h"

/* The first numbers are ours; those of a session's two statements stay. */
enum {
	ADD,       /* $1 into t */
	ADD_CHECK, /* .. and tells it */
	ADD_LATE,  /* into the table whose key is checked at COMMIT */
	COPY_T,
	COPY_LATE,
	SLEEP,
	WRONG, /* no such table */
	TWO,   /* with NULL too */
};

const struct query_text query_texts[QUERY_COUNT + 1] = {
	[ADD] = {"add", "INSERT INTO t VALUES ($1::int8)"},
	[ADD_CHECK] = {"add_check", "INSERT INTO t VALUES ($1::int8) RETURNING v::int8"},
	[ADD_LATE] = {"add_late", "INSERT INTO late VALUES ($1::int8)"},
	[COPY_T] = {"copy_t", "-- a comment\nCOPY t (v) FROM STDIN (FORMAT binary)\n"},
	[COPY_LATE] = {"copy_late", "COPY late (v) FROM STDIN (FORMAT binary)\n"},
	[SLEEP] = {"sleep", "SELECT pg_sleep(30)::text"},
	[WRONG] = {"wrong", "INSERT INTO nowhere VALUES ($1::int8)"},
	[TWO] = {"two", "INSERT INTO t SELECT coalesce($1::int8, -(SELECT count(*) FROM t) - 1)"},
	[Q_SESSION_SETUP] = {"session_setup",
			     "SELECT set_config('statement_timeout', '1s', false)::text"},
	[Q_SESSION_SAFETY] = {"session_safety", "SELECT 150000::int4, ''::text, true, true"},
};

static struct pg pg;
static struct event_base *base;
static struct db *db;
static struct db_sync *other; /* somebody else's connection */

/* ---- what stands between us and libpq ---- */

static bool commit_is_rollback;
static void (*before_rows)(PGconn *c);
static void (*before_commit)(PGconn *c);
static void (*after_commit)(PGconn *c);

int __real_PQsendQuery(PGconn *c, const char *sql);
int __real_PQputCopyData(PGconn *c, const char *data, int n);

int __wrap_PQsendQuery(PGconn *c, const char *sql)
{
	bool commits = strcmp(sql, "COMMIT") == 0;
	int rc;

	if (commits && before_commit)
		before_commit(c);
	rc = __real_PQsendQuery(c, commits && commit_is_rollback ? "ROLLBACK" : sql);
	if (commits && after_commit)
		after_commit(c);
	return rc;
}

int __wrap_PQputCopyData(PGconn *c, const char *data, int n)
{
	if (before_rows)
		before_rows(c);
	return __real_PQputCopyData(c, data, n);
}

/* ---- */

static void script(const char *sql)
{
	struct error err;

	if (db_sync_script(other, sql, &err) < 0)
		fail_msg("%s", err.msg);
}

static void other_up(void)
{
	struct error err = {""};
	int64_t end = clock_boot_us() + 60 * USEC_PER_SEC;

	db_sync_free(&other); /* a server whose backend was killed ended it */
	while (db_sync_open(embedded_conninfo(pg.server), false, &other, &err) < 0) {
		if (clock_boot_us() > end)
			fail_msg("%s", err.msg);
		loop_turn(base);
	}
}

/* Of table t: it is asked for as what a statement that fails says. */
static void assert_rows(int64_t n, const char *table)
{
	char sql[300];

	snprintf(sql, sizeof(sql),
		 "DO $$DECLARE n int8; BEGIN SELECT count(*) INTO n FROM %s; IF n <> %lld THEN "
		 "RAISE '%s has %% rows, not %lld', n; END IF; END$$",
		 table, (long long)n, table, (long long)n);
	script(sql);
}

static bool has_row(int64_t v)
{
	char sql[200];
	struct error err;

	snprintf(sql, sizeof(sql),
		 "DO $$BEGIN IF NOT EXISTS (SELECT FROM t WHERE v = %lld) THEN RAISE 'no'; END IF; "
		 "END$$",
		 (long long)v);
	return db_sync_script(other, sql, &err) == 0;
}

struct end {
	bool done;
	int rc;
	char state[8];
	int64_t affected;
	struct error err;
};

static void on_end(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct end *e = arg;

	assert_false(e->done);
	e->done = true;
	e->rc = rc;
	if (r)
		snprintf(e->state, sizeof(e->state), "%s", db_sqlstate(r));
	if (r && rc == 0)
		e->affected = db_affected(r);
	if (err)
		e->err = *err;
}

static struct db_tx *begin(void)
{
	struct db_tx *tx;

	LOOP_UNTIL(base, db_ready(db));
	assert_int_equal(db_tx_new(db, &tx), 0);
	return tx;
}

static void add(struct db_tx *tx, int q, int64_t v, db_check *check)
{
	assert_int_equal(db_tx_query(tx, (enum query)q, &DB_P_INT8(v), 1, check), 0);
}

static void copy(struct db_tx *tx, int q, int64_t from, int64_t to)
{
	struct buf rows = BUF_INIT(256 << 20);

	db_copy_begin(&rows);
	for (int64_t v = from; v <= to; v++) {
		db_copy_row(&rows, 1);
		db_copy_field(&rows, &DB_P_INT8(v));
	}
	db_copy_end(&rows);
	assert_int_equal(db_tx_copy(tx, (enum query)q, &rows), 0);
}

static struct end commit(struct db_tx *tx)
{
	struct end e = {.done = false};

	assert_int_equal(db_tx_commit(&tx, on_end, &e), 0);
	LOOP_UNTIL(base, e.done);
	return e;
}

/* The only connection takes the next job, and nothing of the one before is in its transaction. */
static void assert_usable(int64_t v)
{
	struct db_tx *tx = begin();
	struct end e;

	add(tx, ADD, v, NULL);
	e = commit(tx);
	if (e.rc < 0)
		fail_msg("the next transaction: %s", e.err.msg);
	assert_true(has_row(v));
}

static int looks;

static int on_look(void *arg unused_arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	looks++;
	return db_int(r, 0, 0) < 0 ? -ESTALE : 0;
}

static int on_look_and_copy(void *arg unused_arg, struct db_tx *tx, const struct db_result *r)
{
	looks++;
	copy(tx, COPY_T, db_int(r, 0, 0) + 1, db_int(r, 0, 0) + 5);
	return 0;
}

static int set_up(void **state unused_arg)
{
	looks = 0;
	commit_is_rollback = false;
	before_rows = before_commit = after_commit = NULL;
	script("TRUNCATE t, late");
	return 0;
}

/* ---- what goes well ---- */

static void steps_run_in_their_order(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	add(tx, ADD, 11, NULL);
	add(tx, ADD_CHECK, 12, on_look);
	copy(tx, COPY_T, 14, 15);
	add(tx, ADD, 16, NULL);
	add(tx, ADD_CHECK, 17, on_look_and_copy);
	e = commit(tx);
	assert_int_equal(e.rc, 0);
	assert_int_equal(looks, 2);
	assert_int_equal(e.affected, 5); /* of the last step, not of the COMMIT */
	assert_rows(11, "t");

	tx = begin(); /* none at all */
	assert_int_equal(commit(tx).rc, 0);
}

static void the_same_statement_twice_is_prepared_once(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	/* with NULL it cannot be prepared with the right types; then it is, for both that follow */
	assert_int_equal(db_tx_query(tx, (enum query)TWO, &DB_P_NULL, 1, NULL), 0);
	for (int64_t v = 1; v <= 2; v++)
		add(tx, TWO, v, NULL);
	assert_int_equal(db_tx_query(tx, (enum query)TWO, &DB_P_NULL, 1, NULL), 0);
	assert_int_equal(db_tx_query(tx, (enum query)TWO, &DB_P_INT4(7), 1, NULL), 0);
	e = commit(tx);
	assert_int_equal(e.rc, 0);
	assert_rows(5, "t");
}

/* ---- what fails ---- */

static void the_step_that_failed_is_named(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	add(tx, ADD, 1, NULL);
	add(tx, ADD, 1, NULL); /* there is such a key */
	add(tx, ADD_LATE, 3, NULL);
	e = commit(tx);
	assert_int_equal(e.rc, -EEXIST);
	assert_string_equal(e.state, "23505");
	assert_says(e.err, "add: duplicate key");
	assert_rows(0, "t");
	assert_rows(0, "late");
	assert_usable(4);

	for (int i = 0; i < 2; i++) { /* at its PREPARE, and the next of it again */
		tx = begin();
		add(tx, ADD, 5, NULL);
		add(tx, WRONG, 6, NULL);
		add(tx, WRONG, 7, NULL);
		add(tx, ADD_LATE, 8, NULL);
		e = commit(tx);
		assert_int_equal(e.rc, -EIO);
		assert_string_equal(e.state, "42P01");
		assert_says(e.err, "wrong: relation \"nowhere\"");
	}
	assert_rows(1, "t");
	tx = begin(); /* what was skipped with it was not prepared */
	add(tx, ADD_LATE, 9, NULL);
	assert_int_equal(commit(tx).rc, 0);
	assert_rows(1, "late");
}

static void a_veto_rolls_back(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	add(tx, ADD, 1, NULL);
	add(tx, ADD_CHECK, -2, on_look);
	copy(tx, COPY_T, 3, 4);
	e = commit(tx);
	assert_int_equal(e.rc, -ESTALE);
	assert_says(e.err, "'add_check': result refused");
	assert_string_equal(e.state, "");
	assert_rows(0, "t");
	assert_usable(5);
}

static void a_copy_that_is_refused_commits_nothing(void **state unused_arg)
{
	static const struct {
		int64_t from, to;
		int rc;
		const char *state;
	} cases[] = {
		{1, 1, -EEXIST, "23505"},             /* it is there already */
		{1000000, 1000001, -EINVAL, "23514"}, /* the table's CHECK */
		{999990, 1200000, -EINVAL, "23514"},  /* while most of it is still being sent */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct db_tx *tx = begin();
		struct end e;

		script("TRUNCATE t");
		add(tx, ADD, 1, NULL);
		copy(tx, COPY_T, cases[i].from, cases[i].to);
		e = commit(tx);
		assert_int_equal(e.rc, cases[i].rc);
		assert_string_equal(e.state, cases[i].state);
		assert_says(e.err, "copy_t: ");
		assert_rows(0, "t");
		assert_usable(2);
	}
}

static void bad_bytes_in_a_copy_commit_nothing(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct buf rows = BUF_INIT(1 << 20);
	struct end e;

	add(tx, ADD, 1, NULL);
	db_copy_begin(&rows);
	db_copy_row(&rows, 2); /* it has one */
	db_copy_field(&rows, &DB_P_INT8(7));
	db_copy_field(&rows, &DB_P_INT8(8));
	db_copy_end(&rows);
	assert_int_equal(db_tx_copy(tx, (enum query)COPY_T, &rows), 0);
	e = commit(tx);
	assert_int_equal(e.rc, -EINVAL);
	assert_string_equal(e.state, "22P04");
	assert_rows(0, "t");
	assert_usable(2);
}

/* What is checked at COMMIT fails there, after a COPY or INSERT that went well. */
static void a_commit_that_fails_is_no_commit(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	copy(tx, COPY_LATE, 1, 2);
	copy(tx, COPY_LATE, 2, 3);
	e = commit(tx);
	assert_int_equal(e.rc, -EEXIST);
	assert_says(e.err, "transaction: duplicate key");
	assert_rows(0, "late");
	assert_usable(1);

	tx = begin();
	add(tx, ADD_LATE, 2, NULL);
	add(tx, ADD_LATE, 2, NULL);
	e = commit(tx);
	assert_int_equal(e.rc, -EEXIST);
	assert_says(e.err, "transaction: duplicate key");
	assert_rows(0, "late");
	assert_usable(2);
}

/* A statement by itself is committed after its answer. */
static void a_lone_statement_may_fail_after_its_answer(void **state unused_arg)
{
	struct end e;

	for (int i = 0; i < 2; i++) {
		e = (struct end){.done = false};
		assert_int_equal(db_query(db, (enum query)ADD_LATE, &DB_P_INT8(1), 1, on_end, &e),
				 0);
		LOOP_UNTIL(base, e.done);
		assert_int_equal(e.rc, i ? -EEXIST : 0);
	}
	assert_says(e.err, "add_late: duplicate key");
	assert_rows(1, "late");
	assert_usable(1);
}

static void a_commit_answered_with_rollback_is_none(void **state unused_arg)
{
	for (int with_copy = 0; with_copy < 2; with_copy++) {
		struct db_tx *tx = begin();
		struct end e;

		add(tx, ADD, 1, NULL);
		if (with_copy)
			copy(tx, COPY_T, 2, 3);
		commit_is_rollback = true;
		e = commit(tx);
		commit_is_rollback = false;
		assert_int_equal(e.rc, -EIO);
		assert_says(e.err, "COMMIT was answered with ROLLBACK");
		assert_rows(0, "t");
		assert_usable(1 + with_copy);
		script("TRUNCATE t");
	}
}

static void a_statement_that_takes_too_long_rolls_back(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	add(tx, ADD, 1, NULL);
	assert_int_equal(db_tx_query(tx, (enum query)SLEEP, NULL, 0, NULL), 0);
	add(tx, ADD, 2, NULL);
	e = commit(tx);
	assert_int_equal(e.rc, -ETIMEDOUT);
	assert_says(e.err, "sleep: ");
	assert_rows(0, "t");
	assert_usable(3);
}

/* ---- what is lost half-way ---- */

static void kill_backend(PGconn *c)
{
	kill(PQbackendPID(c), SIGKILL);
	before_rows = NULL;
}

static void stop_backend(PGconn *c)
{
	kill(PQbackendPID(c), SIGSTOP);
}

/* It commits, but nobody hears of it: what it says is read by somebody else than libpq. */
static void let_it_commit(PGconn *c)
{
	char answer[4096];
	int64_t end = clock_boot_us() + 60 * USEC_PER_SEC;

	while (PQflush(c) > 0)
		usleep(1000);
	while (!has_row(3)) {
		assert_true(clock_boot_us() < end);
		usleep(1000);
	}
	kill(PQbackendPID(c), SIGKILL);
	while (recv(PQsocket(c), answer, sizeof(answer), 0) != 0)
		usleep(1000); /* .. to its end */
}

static void lost_before_the_rows_were_sent_is_not_stored(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	add(tx, ADD, 1, NULL);
	copy(tx, COPY_T, 2, 500000); /* more than a socket takes */
	before_rows = kill_backend;
	e = commit(tx);
	assert_int_equal(e.rc, -EPIPE);
	other_up();
	assert_rows(0, "t");
	assert_usable(1);
}

static void lost_with_the_commit_is_not_known_to_be_stored(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	add(tx, ADD, 1, NULL);
	copy(tx, COPY_T, 2, 3);
	before_commit = stop_backend;
	after_commit = kill_backend;
	e = commit(tx);
	assert_int_equal(e.rc, -EINPROGRESS);
	before_commit = after_commit = NULL;
	other_up();
	assert_rows(0, "t");
	assert_usable(1);
}

static void lost_after_the_commit_is_not_known_to_be_stored(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e;

	add(tx, ADD, 1, NULL);
	copy(tx, COPY_T, 2, 3);
	after_commit = let_it_commit;
	e = commit(tx);
	assert_int_equal(e.rc, -EINPROGRESS);
	after_commit = NULL;
	other_up();
	assert_rows(3, "t");
	assert_usable(4);
}

static void lost_in_the_middle_is_not_stored(void **state unused_arg)
{
	struct db_tx *tx = begin();
	struct end e = {.done = false};

	add(tx, ADD, 1, NULL);
	assert_int_equal(db_tx_query(tx, (enum query)SLEEP, NULL, 0, NULL), 0);
	assert_int_equal(db_tx_commit(&tx, on_end, &e), 0);
	for (int i = 0; i < 20 && !e.done; i++)
		loop_turn(base);
	script("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
	       "pg_backend_pid() AND backend_type = 'client backend'");
	LOOP_UNTIL(base, e.done);
	assert_int_equal(e.rc, -EPIPE);
	assert_rows(0, "t");
	assert_usable(1);
}

/* ---- */

static int server_up(void **state unused_arg)
{
	struct error err;

	pg_start(&pg);
	base = event_base_new();
	other_up();
	script("CREATE TABLE t (v int8 PRIMARY KEY CHECK (v < 1000000));"
	       "CREATE TABLE late (v int8 PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)");
	if (db_new(base, embedded_conninfo(pg.server), 1, &db, &err) < 0)
		fail_msg("%s", err.msg);
	return 0;
}

static int server_down(void **state unused_arg)
{
	db_free(&db);
	db_sync_free(&other);
	event_base_free(base);
	pg_stop(&pg);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(steps_run_in_their_order, set_up),
		cmocka_unit_test_setup(the_same_statement_twice_is_prepared_once, set_up),
		cmocka_unit_test_setup(the_step_that_failed_is_named, set_up),
		cmocka_unit_test_setup(a_veto_rolls_back, set_up),
		cmocka_unit_test_setup(a_copy_that_is_refused_commits_nothing, set_up),
		cmocka_unit_test_setup(bad_bytes_in_a_copy_commit_nothing, set_up),
		cmocka_unit_test_setup(a_commit_that_fails_is_no_commit, set_up),
		cmocka_unit_test_setup(a_lone_statement_may_fail_after_its_answer, set_up),
		cmocka_unit_test_setup(a_commit_answered_with_rollback_is_none, set_up),
		cmocka_unit_test_setup(a_statement_that_takes_too_long_rolls_back, set_up),
		cmocka_unit_test_setup(lost_before_the_rows_were_sent_is_not_stored, set_up),
		cmocka_unit_test_setup(lost_with_the_commit_is_not_known_to_be_stored, set_up),
		cmocka_unit_test_setup(lost_after_the_commit_is_not_known_to_be_stored, set_up),
		cmocka_unit_test_setup(lost_in_the_middle_is_not_stored, set_up),
	};

	return cmocka_run_group_tests(tests, server_up, server_down);
}
