/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site.h - a CA, a collector's certificate and a host's in a folder of their own, and a client that
 * remembers what it was told: what tests of sessions and enrolment talk to.
 */
#ifndef MEMHERD_TESTS_SITE_H
#define MEMHERD_TESTS_SITE_H

#include <event2/event.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/tls.h"
#include "common/tls_ca.h"
#include "proto/conn.h"
#include "proto/wire.h"
#include "tests/support/test.h"

static struct site {
	char dir[64];
	struct tls_ca *ca;
	uint8_t pin[TLS_PIN_SIZE];
} site;

static const uint8_t known_uuid[16] = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t unknown_uuid[16] = {0xcd, 1};

static inline const char *in_site(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned n;
	char *p = paths[n++ % 4];

	snprintf(p, PATH_MAX, "%s/%s", site.dir, name);
	return p;
}

static inline void make_host(const char *key, const char *cert, const uint8_t uuid[16])
{
	auto_buf struct buf csr = BUF_INIT(4096), pem = BUF_INIT(16384);
	struct error err = {""};

	assert_int_equal(tls_make_csr(in_site(key), "vps", &csr, &err), 0);
	assert_int_equal(tls_ca_issue(site.ca, csr.data, csr.len, uuid, time(NULL) - 60, 3600, &pem,
				      &err),
			 0);
	assert_int_equal(fs_write(in_site(cert), 0644, pem.data, pem.len, &err), 0);
}

static inline int make_site(void **state unused_arg)
{
	struct error err = {""};

	strcpy(site.dir, "/tmp/memherd-test-fleet-XXXXXX");
	assert_non_null(mkdtemp(site.dir));
	assert_int_equal(tls_ca_open(site.dir, &site.ca, &err), 0);
	assert_int_equal(tls_ca_server(site.ca, site.dir, &err), 0);
	tls_ca_pin(site.ca, site.pin);
	make_host("known.key", "known.pem", known_uuid);
	make_host("unknown.key", "unknown.pem", unknown_uuid);
	return 0;
}

static inline int on_remove(const char *path, const struct stat *st unused_arg, int flag unused_arg,
			    struct FTW *ftw unused_arg)
{
	return remove(path);
}

static inline int remove_site(void **state unused_arg)
{
	tls_ca_free(&site.ca);
	nftw(site.dir, on_remove, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static inline struct tls_ctx *make_ctx(enum tls_role role, const char *who)
{
	char cert[PATH_MAX], key[PATH_MAX], ca[PATH_MAX];
	const struct tls_files files = {.ca = ca, .cert = cert, .key = key, .pin = site.pin};
	struct tls_ctx *ctx = NULL;
	struct error err = {""};

	snprintf(cert, sizeof(cert), "%s/%s.pem", site.dir, who);
	snprintf(key, sizeof(key), "%s/%s.key", site.dir, who);
	snprintf(ca, sizeof(ca), "%s/ca.pem", site.dir);
	if (tls_ctx_new(role, &files, &ctx, &err) < 0)
		fail_msg("%s", err.msg);
	return ctx;
}

/* The other end of a connection. */
struct client {
	struct event_base *base;
	struct conn *c; /* NULL after its end */
	bool opened;
	unsigned frames;
	enum frame_type type; /* of the last frame */
	struct buf last;
	unsigned acks, heartbeats;
};

static inline void on_client_open(void *arg, struct conn *c unused_arg)
{
	((struct client *)arg)->opened = true;
}

static inline void on_client_frame(void *arg, struct conn *c unused_arg, const struct frame *f)
{
	struct client *k = arg;

	k->frames++;
	k->type = f->type;
	k->acks += f->type == FRAME_ACK;
	k->heartbeats += f->type == FRAME_HEARTBEAT;
	buf_reset(&k->last);
	buf_put(&k->last, f->payload, f->len);
}

static inline void on_client_close(void *arg, struct conn *c unused_arg, const char *why unused_arg)
{
	((struct client *)arg)->c = NULL;
}

static const struct conn_ops client_ops = {.on_open = on_client_open,
					   .on_frame = on_client_frame,
					   .on_close = on_client_close};

static inline void client_connect(struct client *k, struct event_base *base, struct tls_ctx *tls,
				  uint16_t port)
{
	struct error err = {""};

	buf_fini(&k->last);
	*k = (struct client){.base = base, .last = BUF_INIT(65536)};
	if (conn_connect(base, tls, "127.0.0.1", port, 1 << 20, &client_ops, k, &k->c, &err) < 0)
		fail_msg("%s", err.msg);
	conn_max_payload(k->c, FRAME_MAX_PAYLOAD);
}

static inline void client_fini(struct client *k)
{
	if (k->c)
		conn_free(&k->c);
	buf_fini(&k->last);
}

static inline void client_send(struct client *k, enum frame_type type, const struct buf *b)
{
	assert_int_equal(buf_status(b), 0);
	assert_non_null(k->c);
	assert_int_equal(conn_send(k->c, type, b->data, b->len), 0);
}

/* Runs the loop until it holds, for five seconds at most. */
#define RUN_UNTIL(base, holds)                                                  \
	do {                                                                    \
		int64_t end_ = clock_boot_us() + 5 * USEC_PER_SEC;              \
		while (!(holds) && clock_boot_us() < end_) {                    \
			event_base_loop((base), EVLOOP_ONCE | EVLOOP_NONBLOCK); \
			usleep(500);                                            \
		}                                                               \
		if (!(holds))                                                   \
			fail_msg("never came: %s", #holds);                     \
	} while (0)

static inline void run_for(struct event_base *base, int ms)
{
	int64_t end = clock_boot_us() + ms * 1000LL;

	while (clock_boot_us() < end) {
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(500);
	}
}

#endif
