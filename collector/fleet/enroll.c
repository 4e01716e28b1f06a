/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/enroll.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "common/log.h"
#include "common/sign.h"
#include "common/str.h"
#include "common/tls.h"
#include "common/tls_ca.h"
#include "proto/conn.h"
#include "proto/wire.h"

#define VISITOR_MAGIC 0xe27011edu
/* A certificate is valid from a little before now: the host's clock may be behind. */
#define BACKDATE_SEC 3600
#define OUT_MAX      (32 * 1024)
#define CERT_MAX     (8 * 1024)

/* One connection on the enrolment port. It outlives its socket while a transaction is under way. */
struct visitor {
	unsigned magic;
	struct enroller *e;
	struct conn *conn; /* NULL once closed */
	struct admission admission;
	struct event *deadline;
	bool asked;
	bool waiting; /* for the database */
	uint8_t uuid[16];
	int32_t host_id;
	char name[WIRE_NAME_MAX + 1];
	struct buf cert; /* PEM; given away once the host is in the database */
	TAILQ_ENTRY(visitor) link;
};

struct enroller {
	struct event_base *base;
	struct enroll_config config;
	TAILQ_HEAD(, visitor) visitors;
};

int enroller_new(struct event_base *base, const struct enroll_config *config, struct enroller **ret)
{
	struct enroller *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->base = base;
	e->config = *config;
	TAILQ_INIT(&e->visitors);
	*ret = e;
	return 0;
}

static void visitor_free(struct visitor *v)
{
	TAILQ_REMOVE(&v->e->visitors, v, link);
	if (v->conn)
		conn_free(&v->conn);
	event_free(v->deadline);
	buf_fini(&v->cert);
	free(v);
}

void enroller_free(struct enroller **e)
{
	struct visitor *v;

	if (!*e)
		return;
	while ((v = TAILQ_FIRST(&(*e)->visitors)))
		visitor_free(v);
	free(*e);
	*e = NULL;
}

static void reply(struct visitor *v, const struct wire_enroll_reply *m, const char *why)
{
	auto_buf struct buf b = BUF_INIT(OUT_MAX);

	if (!v->conn)
		return;
	wire_pack_enroll_reply(&b, m);
	if (buf_status(&b) < 0 || conn_send(v->conn, FRAME_ENROLL_REPLY, b.data, b.len) < 0)
		log_warn("enrol peer=%s could not be answered", conn_peer_name(v->conn));
	conn_close(v->conn, why);
}

static void refuse(struct visitor *v, const char *text)
{
	const struct wire_enroll_reply m = {.error = text};

	log_warn("enrol peer=%s name=\"%s\" refused reason=\"%s\"",
		 v->conn ? conn_peer_name(v->conn) : "-", v->name, text);
	reply(v, &m, "refused");
}

static void accept_host(struct visitor *v)
{
	const struct enroll_config *c = &v->e->config;
	auto_buf struct buf ca = BUF_INIT(CERT_MAX);
	struct error err = {""};
	char uuid[UUID_TEXT_SIZE];

	if (tls_ca_pem(c->ca, &ca, &err) < 0) {
		refuse(v, err.msg);
		return;
	}
	if (!registry_host(c->registry, v->host_id, v->uuid, v->name)) {
		refuse(v, "the collector is out of memory");
		return;
	}
	uuid_text(uuid, v->uuid);
	log_info("host=%d enrolled name=\"%s\" uuid=%s", v->host_id, v->name, uuid);
	reply(v,
	      &(struct wire_enroll_reply){
		      .error = "",
		      .host_uuid = {v->uuid, sizeof(v->uuid)},
		      .certificate = {v->cert.data, v->cert.len},
		      .ca = {ca.data, ca.len},
		      .command_key = {c->command_key, SIGN_KEY_SIZE},
		      .stream_port = c->stream_port,
	      },
	      "enrolled");
}

static int on_token(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct visitor *v = arg;

	MAGIC_CHECK(v, VISITOR_MAGIC);
	return db_rows(r) == 1 ? 0 : -ENOENT;
}

static int on_added(void *arg, struct db_tx *tx unused_arg, const struct db_result *r)
{
	struct visitor *v = arg;

	MAGIC_CHECK(v, VISITOR_MAGIC);
	if (db_rows(r) != 1)
		return -EIO;
	v->host_id = (int32_t)db_int(r, 0, 0);
	return 0;
}

static void on_committed(void *arg, int rc, const struct db_result *r unused_arg,
			 const struct error *err)
{
	struct visitor *v = arg;

	MAGIC_CHECK(v, VISITOR_MAGIC);
	v->waiting = false;
	if (rc == -ENOENT) {
		refuse(v, "this token is unknown, used up or expired");
	} else if (rc < 0) {
		log_error("enrol name=\"%s\" failed error=\"%s\"", v->name, err ? err->msg : "");
		refuse(v, "the collector's database is not available, try again later");
	} else {
		accept_host(v);
	}
	if (!v->conn)
		visitor_free(v);
}

/* Before the token is used up, so that a CSR that will not do costs nobody theirs. */
static int issue(struct visitor *v, const struct wire_enroll *m, struct error *err)
{
	random_bytes(v->uuid, sizeof(v->uuid));
	v->uuid[6] = (uint8_t)((v->uuid[6] & 0x0f) | 0x40); /* version 4 */
	v->uuid[8] = (uint8_t)((v->uuid[8] & 0x3f) | 0x80);
	return tls_ca_issue(v->e->config.ca, m->csr.data, m->csr.len, v->uuid,
			    (int64_t)time(NULL) - BACKDATE_SEC, ENROLL_CERT_DAYS * 86400LL,
			    &v->cert, err);
}

/* The use of the token and the new host are one transaction: neither is there without the other. */
static int begin(struct visitor *v, const struct wire_enroll *m)
{
	struct db_tx *tx = NULL;
	uint8_t hash[SHA256_SIZE];
	int rc;

	sha256(hash, m->secret.data, m->secret.len);
	rc = db_tx_new(v->e->config.db, &tx);
	if (!rc)
		rc = db_tx_query(tx, Q_FLEET_ENROLL_TAKE,
				 (struct db_param[]){DB_P_BYTES(hash, sizeof(hash))}, 1, on_token);
	if (!rc)
		rc = db_tx_query(tx, Q_FLEET_HOST_ADD,
				 (struct db_param[]){DB_P_UUID(v->uuid), DB_P_TEXT(v->name)}, 2,
				 on_added);
	if (!rc)
		rc = db_tx_commit(&tx, on_committed, v);
	db_tx_free(&tx);
	return rc;
}

static void on_frame(void *arg, struct conn *c unused_arg, const struct frame *f)
{
	struct visitor *v = arg;
	auto_arena struct arena arena;
	struct wire_enroll m;
	struct error err = {""};

	MAGIC_CHECK(v, VISITOR_MAGIC);
	arena_init(&arena, WIRE_BUDGET(f->len));
	if (v->asked || f->type != FRAME_ENROLL) {
		refuse(v, "expected one enrolment request");
		return;
	}
	v->asked = true;
	listener_greeted(&v->admission);
	if (wire_unpack_enroll(&arena, f->payload, f->len, &m, &err) < 0 ||
	    issue(v, &m, &err) < 0) {
		refuse(v, err.msg);
		return;
	}
	str_copy(v->name, sizeof(v->name), *m.host_name ? m.host_name : "unnamed");
	if (begin(v, &m) < 0) {
		refuse(v, "the collector's database is not available, try again later");
		return;
	}
	v->waiting = true;
}

static void on_close(void *arg, struct conn *c unused_arg, const char *why)
{
	struct visitor *v = arg;

	MAGIC_CHECK(v, VISITOR_MAGIC);
	log_debug("enrol peer=%s closed why=\"%s\"", conn_peer_name(v->conn), why);
	listener_closed(&v->admission);
	v->conn = NULL;
	if (!v->waiting)
		visitor_free(v);
}

static void on_open(void *arg unused_arg, struct conn *c unused_arg)
{
}

static void on_deadline(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct visitor *v = arg;

	MAGIC_CHECK(v, VISITOR_MAGIC);
	if (v->conn)
		conn_close(v->conn, "took too long");
}

static const struct conn_ops visitor_ops = {.on_open = on_open,
					    .on_frame = on_frame,
					    .on_close = on_close};

void enroller_accept(void *arg, int fd, const struct admission *a)
{
	struct enroller *e = arg;
	struct visitor *v = calloc(1, sizeof(*v));
	struct admission admission = *a;
	const struct timeval tv = {.tv_sec = ENROLL_DEADLINE_SEC};
	struct error err = {""};

	if (v)
		v->deadline = evtimer_new(e->base, on_deadline, v);
	if (!v || !v->deadline) {
		free(v);
		close(fd);
		listener_closed(&admission);
		return;
	}
	v->magic = VISITOR_MAGIC;
	v->e = e;
	v->admission = admission;
	buf_init(&v->cert, CERT_MAX);
	TAILQ_INSERT_TAIL(&e->visitors, v, link);
	if (conn_accept(e->base, e->config.tls, fd, OUT_MAX, &visitor_ops, v, &v->conn, &err) < 0) {
		log_warn("enrol connection failed error=\"%s\"", err.msg);
		listener_closed(&v->admission);
		visitor_free(v);
		return;
	}
	conn_max_payload(v->conn, FRAME_MAX_GREETING);
	event_add(v->deadline, &tv);
}
