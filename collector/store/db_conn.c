/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/store/db_conn.h"

#include <errno.h>
#include <event2/event.h>
#include <libpq-fe.h>
#include <string.h>

#include "common/sign.h"

#define MAGIC 0x6462636eu

#define CONNECT_TIMEOUT_MS 10000
#define JOB_TIMEOUT_MS     60000 /* above the server's statement_timeout */
#define BACKOFF_MIN_MS     100
#define BACKOFF_MAX_MS     5000
#define COPY_SLICE         65536

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_SETUP, CONN_IDLE, CONN_BUSY };

/* What was sent and is waited for while busy. */
enum conn_phase {
	PHASE_BEGIN,
	PHASE_PREPARE,
	PHASE_STEP,
	PHASE_COPY, /* rows are being sent */
	PHASE_COMMIT,
	PHASE_ROLLBACK
};

/* The types a statement was prepared with; a call with other types goes unprepared. */
struct prepared {
	bool made;
	int n;
	uint8_t types[DB_MAX_PARAMS];
};

struct db_conn {
	unsigned magic;
	struct event_base *base;
	char *conninfo;
	struct db_conn_owner owner;
	PGconn *pg;
	enum conn_state state;
	enum conn_phase phase;
	struct event *reading;
	struct event *writing;
	struct event *timer;
	unsigned failures; /* to connect, in a row */
	struct db_tx *tx;
	struct db_step *step;
	PGresult *result; /* of the phase; of the step that failed while rolling back */
	PGresult *answer; /* of the last step */
	size_t copied;
	int rc; /* why it is rolled back */
	struct error err;
	struct error trouble;
	struct prepared prepared[QUERY_COUNT + 1];
};

static void tx_free(struct db_tx *tx)
{
	db_tx_free(&tx);
}

static void conn_deadline(struct db_conn *c, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_add(c->timer, &tv);
}

static void clear_result(PGresult **r)
{
	PQclear(*r);
	*r = NULL;
}

static void conn_close(struct db_conn *c)
{
	if (c->reading)
		event_free(c->reading);
	if (c->writing)
		event_free(c->writing);
	c->reading = c->writing = NULL;
	clear_result(&c->result);
	clear_result(&c->answer);
	PQfinish(c->pg);
	c->pg = NULL;
	memset(c->prepared, 0, sizeof(c->prepared));
}

/* Hands the job's end to its owner, after the connection is in its next state. */
static void finish_job(struct db_tx *tx, int rc, PGresult *pg, const struct error *err)
{
	struct db_result r = {.pg = pg};

	if (rc < 0 && db_fall_back(tx, rc))
		return;
	if (tx->done)
		tx->done(tx->arg, rc, pg ? &r : NULL, err);
	tx_free(tx);
}

/* The connection is gone: its job fails, a new one is tried after a while. */
static void conn_lost(struct db_conn *c, const char *why)
{
	struct db_tx *tx = take_ptr(c->tx);
	int rc = tx && c->phase == PHASE_COMMIT ? -EINPROGRESS : -EPIPE;
	struct error err;
	int64_t ms = MIN_OF((int64_t)BACKOFF_MIN_MS << MIN_OF(c->failures, 10u), BACKOFF_MAX_MS);

	error_set(&c->trouble, 0, "%.*s", (int)strcspn(why, "\n"), why);
	err = c->trouble;
	conn_close(c);
	c->state = CONN_DOWN;
	c->failures++;
	conn_deadline(c, ms / 2 + (int64_t)random_below((uint64_t)ms / 2 + 1));
	if (tx)
		finish_job(tx, rc, NULL, &err);
	c->owner.on_lost(c->owner.arg);
}

static void conn_broken(struct db_conn *c)
{
	const char *why = PQerrorMessage(c->pg);

	conn_lost(c, *why ? why : "connection closed");
}

/* Sends what libpq holds back; waits for the socket where it must. */
static void conn_flush(struct db_conn *c)
{
	int rc = PQflush(c->pg);

	if (rc > 0)
		event_add(c->writing, NULL);
	else if (rc < 0)
		event_active(c->reading, EV_READ, 0); /* the reader finds out why */
}

/* ---- a job ---- */

static void send_text(struct db_conn *c, enum conn_phase phase, const char *sql)
{
	c->phase = phase;
	if (!PQsendQuery(c->pg, sql))
		event_active(c->reading, EV_READ, 0);
	conn_flush(c);
}

static bool fits(const struct prepared *p, const struct db_values *v)
{
	if (!p->made || p->n != v->n)
		return false;
	for (int i = 0; i < v->n; i++)
		if (v->types[i] != DB_NULL && v->types[i] != p->types[i])
			return false;
	return true;
}

static bool has_null(const struct db_values *v)
{
	for (int i = 0; i < v->n; i++)
		if (v->types[i] == DB_NULL)
			return true;
	return false;
}

static int send_prepare(struct db_conn *c)
{
	struct db_values *v = &c->step->values;
	struct prepared *p = &c->prepared[c->step->q];

	c->phase = PHASE_PREPARE;
	p->n = v->n;
	memcpy(p->types, v->types, sizeof(p->types));
	return PQsendPrepare(c->pg, query_texts[c->step->q].name, query_texts[c->step->q].sql, v->n,
			     v->oids);
}

static int send_values(struct db_conn *c)
{
	static const int binary[DB_MAX_PARAMS] = {
		[0 ... DB_MAX_PARAMS - 1] = 1,
	};
	const struct query_text *text = &query_texts[c->step->q];
	struct db_values *v = &c->step->values;
	const char *pointers[DB_MAX_PARAMS];

	db_values_pointers(v, pointers);
	c->phase = PHASE_STEP;
	if (fits(&c->prepared[c->step->q], v))
		return PQsendQueryPrepared(c->pg, text->name, v->n, pointers, v->lengths, binary,
					   1);
	return PQsendQueryParams(c->pg, text->sql, v->n, v->oids, pointers, v->lengths, binary, 1);
}

static int send_expanded(struct db_conn *c)
{
	auto_buf struct buf sql = BUF_INIT(65536);

	c->phase = PHASE_STEP;
	if (db_expand(c->pg, query_texts[c->step->q].sql, &c->step->values, &sql) < 0)
		return 0;
	return PQsendQueryParams(c->pg, (const char *)sql.data, 0, NULL, NULL, NULL, NULL, 1);
}

static void send_step(struct db_conn *c)
{
	struct db_step *s = c->step;
	int ok;

	if (s->is_copy) {
		c->copied = 0;
		send_text(c, PHASE_STEP, query_texts[s->q].sql);
		return;
	}
	if (db_has_ident(&s->values))
		ok = send_expanded(c);
	else if (!c->prepared[s->q].made && !has_null(&s->values))
		ok = send_prepare(c);
	else
		ok = send_values(c);
	if (!ok)
		event_active(c->reading, EV_READ, 0);
	conn_flush(c);
}

/* Sends COPY rows until the socket is full. */
static void send_rows(struct db_conn *c)
{
	struct buf *rows = &c->step->copy;
	int rc;

	while (c->copied < rows->len) {
		int n = (int)MIN_OF(rows->len - c->copied, (size_t)COPY_SLICE);

		rc = PQputCopyData(c->pg, (const char *)rows->data + c->copied, n);
		if (rc > 0)
			c->copied += (size_t)n;
		if (rc >= 0 && PQflush(c->pg) > 0) {
			event_add(c->writing, NULL);
			return;
		}
		if (rc < 0) {
			conn_broken(c);
			return;
		}
	}
	c->phase = PHASE_STEP;
	if (PQputCopyEnd(c->pg, NULL) < 0) {
		conn_broken(c);
		return;
	}
	conn_flush(c);
}

static void end_job(struct db_conn *c, int rc, PGresult *pg)
{
	struct db_tx *tx = take_ptr(c->tx);
	PGresult *answer = take_ptr(c->answer), *result = take_ptr(c->result);
	struct error err = c->err;

	c->step = NULL;
	c->state = CONN_IDLE;
	event_del(c->timer);
	finish_job(tx, rc, pg, &err);
	PQclear(answer);
	PQclear(result);
	c->owner.on_idle(c->owner.arg);
}

/* A step failed, or its owner refused its result. */
static void job_failed(struct db_conn *c, int rc)
{
	c->rc = rc;
	if (c->tx->bare) {
		end_job(c, rc, c->result);
		return;
	}
	clear_result(&c->answer);
	c->answer = take_ptr(c->result);
	send_text(c, PHASE_ROLLBACK, "ROLLBACK");
}

static void next_step(struct db_conn *c)
{
	c->step = c->step ? TAILQ_NEXT(c->step, link) : TAILQ_FIRST(&c->tx->steps);
	if (c->step)
		send_step(c);
	else if (c->tx->bare)
		end_job(c, 0, c->answer);
	else
		send_text(c, PHASE_COMMIT, "COMMIT");
}

static void step_done(struct db_conn *c)
{
	struct db_result r;
	int rc = 0;

	clear_result(&c->answer);
	c->answer = take_ptr(c->result);
	r.pg = c->answer;
	error_set(&c->err, 0, "%s", "");
	if (c->step->check)
		rc = c->step->check(c->tx->arg, c->tx, &r);
	if (rc < 0) {
		error_set(&c->err, 0, "'%s': result refused", query_texts[c->step->q].name);
		job_failed(c, rc);
		return;
	}
	next_step(c);
}

/* A phase's results have all come. */
static void conn_advance(struct db_conn *c)
{
	int rc = c->result ? db_result_errno(c->result) : -EIO;

	if (rc < 0 && c->phase != PHASE_ROLLBACK) {
		db_result_error(c->result, c->step ? query_texts[c->step->q].name : "transaction",
				&c->err);
		if (c->phase == PHASE_COMMIT)
			end_job(c, rc, c->result);
		else
			job_failed(c, rc);
		return;
	}
	switch (c->phase) {
	case PHASE_BEGIN:
		next_step(c);
		break;
	case PHASE_PREPARE:
		c->prepared[c->step->q].made = true;
		clear_result(&c->result);
		if (!send_values(c))
			event_active(c->reading, EV_READ, 0);
		conn_flush(c);
		break;
	case PHASE_STEP:
	case PHASE_COPY:
		step_done(c);
		break;
	case PHASE_COMMIT:
		rc = strcmp(PQcmdStatus(c->result), "COMMIT") == 0 ? 0 : -EIO;
		if (rc < 0)
			error_set(&c->err, 0, "transaction: COMMIT was answered with %s",
				  PQcmdStatus(c->result));
		end_job(c, rc, c->answer);
		break;
	case PHASE_ROLLBACK:
		end_job(c, c->rc, c->answer);
		break;
	}
}

/* ---- set-up ---- */

static void setup_done(struct db_conn *c)
{
	struct db_result r = {.pg = c->result};

	if (!c->result || db_result_errno(c->result) < 0 || db_rows(&r) != 1) {
		conn_lost(c, c->result ? PQresultErrorMessage(c->result) : "no answer");
		return;
	}
	clear_result(&c->result);
	c->state = CONN_IDLE;
	c->failures = 0;
	event_del(c->timer);
	error_set(&c->trouble, 0, "%s", "");
	c->owner.on_idle(c->owner.arg);
}

/* ---- events ---- */

static void conn_read(struct db_conn *c)
{
	if (!PQconsumeInput(c->pg) || PQstatus(c->pg) == CONNECTION_BAD) {
		conn_broken(c);
		return;
	}
	while ((c->state == CONN_BUSY || c->state == CONN_SETUP) && !PQisBusy(c->pg)) {
		PGresult *r = PQgetResult(c->pg);

		if (PQstatus(c->pg) == CONNECTION_BAD) {
			PQclear(r);
			conn_broken(c);
			return;
		}
		if (r && PQresultStatus(r) == PGRES_COPY_IN && c->state == CONN_BUSY) {
			PQclear(r);
			if (c->phase == PHASE_COPY)
				return; /* still sending */
			c->phase = PHASE_COPY;
			send_rows(c);
			if (!c->pg || c->phase == PHASE_COPY)
				return;
			continue;
		}
		if (r) { /* keep the first error, else the last result */
			if (c->result && db_result_errno(c->result) < 0) {
				PQclear(r);
				continue;
			}
			PQclear(c->result);
			c->result = r;
			continue;
		}
		if (c->state == CONN_SETUP)
			setup_done(c);
		else
			conn_advance(c);
		if (!c->pg)
			return;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct db_conn *c = arg;

	(void)fd, (void)what;
	MAGIC_CHECK(c, MAGIC);
	conn_read(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct db_conn *c = arg;

	(void)fd, (void)what;
	MAGIC_CHECK(c, MAGIC);
	if (c->state == CONN_BUSY && c->phase == PHASE_COPY) {
		send_rows(c);
		/* what the server said of the first rows was read while the others waited */
		if (c->pg && c->phase != PHASE_COPY)
			conn_read(c);
	} else {
		conn_flush(c);
	}
}

static int conn_watch(struct db_conn *c)
{
	c->reading = event_new(c->base, PQsocket(c->pg), EV_READ | EV_PERSIST, on_readable, c);
	c->writing = event_new(c->base, PQsocket(c->pg), EV_WRITE, on_writable, c);
	if (!c->reading || !c->writing)
		return -ENOMEM;
	return event_add(c->reading, NULL);
}

static void conn_setup(struct db_conn *c)
{
	if (PQserverVersion(c->pg) < DB_MIN_SERVER) {
		conn_lost(c, "the server is older than PostgreSQL 14");
		return;
	}
	if (conn_watch(c) < 0) {
		conn_lost(c, "cannot allocate memory");
		return;
	}
	c->state = CONN_SETUP;
	if (!PQsendQueryParams(c->pg, query_texts[Q_SESSION_SETUP].sql, 0, NULL, NULL, NULL, NULL,
			       1)) {
		conn_broken(c);
		return;
	}
	conn_flush(c);
}

static void on_connecting(evutil_socket_t fd, short what, void *arg)
{
	struct db_conn *c = arg;
	PostgresPollingStatusType poll;

	(void)fd, (void)what;
	MAGIC_CHECK(c, MAGIC);
	poll = PQconnectPoll(c->pg);
	/* libpq may have moved on to another address: another socket */
	event_free(c->reading);
	c->reading = NULL;
	if (poll == PGRES_POLLING_FAILED) {
		conn_broken(c);
	} else if (poll == PGRES_POLLING_OK) {
		conn_setup(c);
	} else {
		c->reading = event_new(c->base, PQsocket(c->pg),
				       poll == PGRES_POLLING_READING ? EV_READ : EV_WRITE,
				       on_connecting, c);
		if (!c->reading || event_add(c->reading, NULL) < 0)
			conn_lost(c, "cannot allocate memory");
	}
}

static void conn_connect(struct db_conn *c)
{
	static const char *const keys[] = {"dbname",          "application_name", "client_encoding",
					   "keepalives_idle", "tcp_user_timeout", NULL};
	const char *values[] = {c->conninfo, "memherd-collector", "UTF8", "15", "30000", NULL};

	c->state = CONN_CONNECTING;
	conn_deadline(c, CONNECT_TIMEOUT_MS);
	c->pg = PQconnectStartParams(keys, values, 1);
	if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD || PQsetnonblocking(c->pg, 1) < 0) {
		conn_lost(c, c->pg ? PQerrorMessage(c->pg) : "cannot allocate memory");
		return;
	}
	c->reading = event_new(c->base, PQsocket(c->pg), EV_WRITE, on_connecting, c);
	if (!c->reading || event_add(c->reading, NULL) < 0)
		conn_lost(c, "cannot allocate memory");
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct db_conn *c = arg;

	(void)fd, (void)what;
	MAGIC_CHECK(c, MAGIC);
	if (c->state == CONN_DOWN)
		conn_connect(c);
	else
		conn_lost(c, c->state == CONN_BUSY ? "no answer to a statement"
						   : "no answer to a connection attempt");
}

/* ---- for the pool ---- */

void db_conn_drop(struct db_conn *c)
{
	if (c->pg)
		conn_lost(c, "it does not answer");
}

void db_conn_run(struct db_conn *c, struct db_tx *tx)
{
	c->tx = tx;
	c->step = NULL;
	c->rc = 0;
	c->state = CONN_BUSY;
	error_set(&c->err, 0, "%s", "");
	conn_deadline(c, JOB_TIMEOUT_MS);
	if (tx->bare)
		next_step(c);
	else
		send_text(c, PHASE_BEGIN, "BEGIN");
}

bool db_conn_up(const struct db_conn *c)
{
	return c->state == CONN_IDLE || c->state == CONN_BUSY;
}

bool db_conn_idle(const struct db_conn *c)
{
	return c->state == CONN_IDLE;
}

const char *db_conn_trouble(const struct db_conn *c)
{
	return c->trouble.msg;
}

int db_conn_new(struct event_base *base, const char *conninfo, const struct db_conn_owner *owner,
		struct db_conn **ret)
{
	struct db_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->magic = MAGIC;
	c->base = base;
	c->owner = *owner;
	c->conninfo = strdup(conninfo);
	c->timer = evtimer_new(base, on_deadline, c);
	if (!c->conninfo || !c->timer) {
		db_conn_free(&c);
		return -ENOMEM;
	}
	error_set(&c->trouble, 0, "connecting");
	conn_deadline(c, 0);
	*ret = c;
	return 0;
}

void db_conn_free(struct db_conn **slot)
{
	struct db_conn *c = take_ptr(*slot);

	if (!c)
		return;
	conn_close(c);
	if (c->tx)
		tx_free(c->tx);
	if (c->timer)
		event_free(c->timer);
	free(c->conninfo);
	free(c);
}
