/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the inbox that are read back: one that is damaged is set aside, and told once. */
#include <errno.h>
#include <inttypes.h>

#include "collector/store/store_inner.h"
#include "common/log.h"

static void on_set_aside(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	(void)arg, (void)r;
	if (rc < 0)
		log_error("store=inbox a damaged batch could not be set aside error=\"%s\"",
			  err ? err->msg : strerror(-rc));
}

static void set_aside(struct store *s, const struct store_replayed *key, const char *why)
{
	const struct db_param params[] = {
		DB_P_TIME(key->rcv_us), DB_P_INT4(key->host_id),
		DB_P_INT8(key->epoch),  DB_P_INT8(key->first_seq),
		DB_P_TEXT(why),         DB_P_INT4(STORE_DEAD_LETTER_MAX),
	};

	log_error("host=%d stream=%016" PRIx64 " records=%" PRId64 "..%" PRId64
		  " stored batch is damaged and becomes a dead letter error=\"%s\"",
		  key->host_id, (uint64_t)key->epoch, key->first_seq, key->last_seq, why);
	s->stats.dead_letters++;
	if (db_query(s->db, Q_INBOX_SET_ASIDE, params, ARRAY_SIZE(params), on_set_aside, s) < 0)
		log_error("store=inbox a damaged batch could not be set aside");
}

bool store_inbox_open(struct store *s, struct store_replayed *r)
{
	const struct inbox_row row = {r->codec, r->payload, r->payload_len};
	struct error err = {""};
	int rc = inbox_unpack(s->inbox, &row, &r->payload, &r->payload_len, &err);

	if (rc == 0)
		return true;
	/* Not the row's fault: it stays for whoever can read it. */
	if (rc == -ENOMEM || rc == -EPROTONOSUPPORT)
		log_error("host=%d stream=%016" PRIx64 " error=\"%s\"", r->host_id,
			  (uint64_t)r->epoch, err.msg);
	else
		set_aside(s, r, err.msg);
	return false;
}
