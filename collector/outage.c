/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/outage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/notify/encode.h"
#include "collector/notify/mail.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define OUTAGE_MAGIC 0x6f757467u
#define TEXT_MAX     4096
#define REASON_MAX   500

struct outage {
	unsigned magic;
	struct mailer *mailer;
	int64_t after_us;
	char name[256];
	bool away;
	bool logged;
	bool mailed;
	int64_t since_us; /* boot clock */
	int64_t since_wall_us;
	int64_t back_us;   /* boot clock; 0 = still away */
	int64_t mailed_us; /* boot clock, of the first mail of an outage; 0 = never */
	char reason[REASON_MAX];
};

int outage_new(struct mailer *mailer, int64_t after_us, const char *name, struct outage **ret)
{
	struct outage *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->magic = OUTAGE_MAGIC;
	o->mailer = mailer;
	o->after_us = after_us;
	(void)str_copy(o->name, sizeof(o->name), name);
	*ret = o;
	return 0;
}

void outage_free(struct outage **slot)
{
	free(take_ptr(*slot));
}

static int64_t seconds(int64_t us)
{
	return (int64_t)(us / USEC_PER_SEC);
}

/* ---- the mails ---- */

static void put_span(struct buf *b, int64_t us)
{
	int64_t sec = seconds(us);

	if (sec >= 120)
		buf_printf(b, "%" PRId64 " min", sec / 60);
	else
		buf_printf(b, "%" PRId64 " s", sec);
}

static void write_away(struct buf *b, const struct outage *o, const struct outage_view *v)
{
	buf_printf(b, "The database of the memherd collector on %s has been away for ", o->name);
	put_span(b, v->boot_us - o->since_us);
	buf_puts(b, ".\n\nWhy: ");
	encode_plain(b, o->reason, REASON_MAX);
	buf_printf(b,
		   "\n\nNothing is lost yet: %zu batches (%zu KiB of %" PRId64
		   " KiB) wait in the collector, what finds no room there waits in the agents.\n"
		   "Rules and mails go on for the %u agents that are connected; an agent that has "
		   "to connect anew must wait.\nHistory and the dashboard's past are not "
		   "available.\n\nOne more mail comes when the database is back.\n",
		   v->queued_batches, v->queued_bytes / 1024, v->queue_bytes / 1024, v->agents);
}

static void write_back(struct buf *b, const struct outage *o, const struct outage_view *v)
{
	buf_printf(b, "The database of the memherd collector on %s is back. It was away for ",
		   o->name);
	put_span(b, o->back_us - o->since_us);
	buf_puts(b, ".\n\nWhy it was away: ");
	encode_plain(b, o->reason, REASON_MAX);
	buf_printf(b, "\n\n%zu batches still wait to be stored.\n", v->queued_batches);
}

/* Both mails of an outage are one thread: its start names it. */
static void mail(struct outage *o, const struct outage_view *v, bool back)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	char subject[320];
	char thread[64];
	struct error err = {""};
	struct mail_notice n = {.subject = subject,
				.thread = thread,
				.state = back ? "resolved" : "firing",
				.sequence = back ? 2 : 1,
				.now_us = v->wall_us};
	int rc;

	snprintf(subject, sizeof(subject), "[memherd] %s: the collector's database is away",
		 o->name);
	snprintf(thread, sizeof(thread), "outage.%" PRIx64, o->since_wall_us);
	if (back)
		write_back(&text, o, v);
	else
		write_away(&text, o, v);
	buf_put(&text, "", 1);
	rc = buf_status(&text);
	if (rc == 0) {
		n.text = (const char *)text.data;
		rc = mail_notice(o->mailer, &n, &err);
	}
	if (rc < 0 && rc != -ENOTSUP)
		log_error("database mail not sent error=\"%s\"",
			  *err.msg ? err.msg : strerror(-rc));
}

/* ---- when ---- */

static void look_away(struct outage *o, const struct outage_view *v)
{
	if (!o->away) {
		o->away = true;
		o->since_us = v->boot_us;
		o->since_wall_us = v->wall_us;
	}
	o->back_us = 0;
	(void)str_copy(o->reason, sizeof(o->reason), v->trouble);
	if (v->boot_us - o->since_us < o->after_us)
		return;
	if (!o->logged)
		log_error("database=away seconds=%" PRId64 " batches=%zu bytes=%zu error=\"%s\"",
			  seconds(v->boot_us - o->since_us), v->queued_batches, v->queued_bytes,
			  o->reason);
	o->logged = true;
	if (!o->after_us || o->mailed ||
	    (o->mailed_us && v->boot_us - o->mailed_us < OUTAGE_QUIET_US))
		return;
	mail(o, v, false);
	o->mailed = true;
	o->mailed_us = v->boot_us;
}

/* Over only when it stays so: a database that comes and goes is one outage. */
static void look_back(struct outage *o, const struct outage_view *v)
{
	int64_t steady_us = MIN_OF(o->after_us, OUTAGE_STEADY_US);

	if (!o->away)
		return;
	if (!o->back_us)
		o->back_us = v->boot_us;
	if (v->boot_us - o->back_us < steady_us)
		return;
	if (o->logged)
		log_warn("database=back seconds=%" PRId64 " batches=%zu bytes=%zu",
			 seconds(o->back_us - o->since_us), v->queued_batches, v->queued_bytes);
	if (o->mailed)
		mail(o, v, true);
	o->away = o->logged = o->mailed = false;
}

void outage_look(struct outage *o, const struct outage_view *v)
{
	MAGIC_CHECK(o, OUTAGE_MAGIC);
	if (v->trouble)
		look_away(o, v);
	else
		look_back(o, v);
}

int64_t outage_lasts_us(const struct outage *o, int64_t boot_us)
{
	return o->away && !o->back_us ? boot_us - o->since_us : 0;
}
