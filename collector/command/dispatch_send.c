/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on their way to their hosts. */
#include <errno.h>
#include <string.h>

#include "collector/command/dispatch_inner.h"
#include "collector/fleet/registry.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define PENDING_LIMIT 64

static void on_noted(void *arg, int rc, const struct db_result *r unused_arg,
		     const struct error *err)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	/* the row stays 'queued' and goes out again: the host runs it once all the same */
	if (rc < 0)
		log_warn("command error=\"sent, but not noted: %s\"", err ? err->msg : "");
}

int dispatch_send(struct dispatch *d, int32_t host_id, const uint8_t cmd_id[16],
		  const struct command_request *request)
{
	const struct dispatch_ops *ops = &d->config.ops;
	char id[UUID_TEXT_SIZE];
	int rc = ops->send(ops->arg, host_id, request);

	uuid_text(id, cmd_id);
	if (rc < 0) {
		log_debug("command=%s host=%d event=not_sent error=\"%s\"", id, host_id,
			  strerror(-rc));
		return rc;
	}
	log_info("command=%s host=%d event=sent", id, host_id);
	(void)!store_command_sent(d->config.db, host_id, cmd_id, clock_wall_us(), d->config.writer,
				  on_noted, d);
	return 0;
}

static bool is_connected(const struct dispatch *d, int32_t host_id)
{
	const struct host *h = registry_find_host(d->config.registry, host_id);

	return h && h->connected;
}

static void send_pending(struct dispatch *d, int rc, const struct db_result *r,
			 const struct error *err)
{
	if (rc < 0) {
		log_warn("command error=\"cannot read what is to be sent: %s\"",
			 err ? err->msg : "");
		return;
	}
	if (!d->config.remediation)
		return;
	for (size_t i = 0; i < db_rows(r); i++) {
		struct command_body b;

		if (store_command_body(r, i, &b) < 0 || !is_connected(d, b.host_id))
			continue;
		(void)!dispatch_send(d, b.host_id, b.cmd_id, &b.request);
	}
}

static void on_pending(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	send_pending(d, rc, r, err);
}

void dispatch_host_up(struct dispatch *d, int32_t host_id)
{
	int64_t now_us = clock_wall_us();
	int rc;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (!d->config.remediation)
		return;
	rc = store_command_pending(d->config.db, host_id, now_us, PENDING_LIMIT, d->config.writer,
				   on_pending, d);
	/* what was never sent is found by the timer; the rest expires and is asked for anew */
	if (rc < 0)
		log_warn("host=%d error=\"cannot look for its commands: %s\"", host_id,
			 strerror(-rc));
}

void dispatch_send_stored(struct dispatch *d, struct action_row *row,
			  const struct command_request *body)
{
	if (!is_connected(d, row->host_id) || dispatch_send(d, row->host_id, row->cmd_id, body) < 0)
		return;
	(void)str_copy(row->state, sizeof(row->state), "sent");
	row->sent_us = clock_wall_us();
}
