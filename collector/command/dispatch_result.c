/* SPDX-License-Identifier: Apache-2.0 */
/* What came of it: results, and what hosts tell that no result does. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <utlist.h>

#include "collector/command/dispatch_inner.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define HELD_MAX 64

void dispatch_tell_end(struct dispatch *d, const struct action_row *row)
{
	const struct dispatch_ops *ops = &d->config.ops;
	char id[UUID_TEXT_SIZE];

	uuid_text(id, row->cmd_id);
	log_info("command=%s host=%d event=end state=%s rss_before=%" PRId64 " rss_after=%" PRId64
		 " detail=\"%s\"",
		 id, row->host_id, row->state, row->rss_before, row->rss_after, row->detail);
	if (ops->finished)
		ops->finished(ops->arg, row);
}

/* Gains nothing: at least 95 % of what was there is there still. */
static bool is_ineffective(const struct command_result *r)
{
	if (r->rss_before <= 0 || r->rss_after < 0)
		return false;
	return (double)r->rss_after * 100 >= (double)r->rss_before * EFFECT_NONE_PERCENT;
}

const char *dispatch_state_of(const struct command_result *r)
{
	switch (r->status) {
	case COMMAND_DONE:
		return is_ineffective(r) ? "ineffective" : "done";
	case COMMAND_DRY_RUN:
		return "done";
	case COMMAND_REFUSED:
		return "refused";
	case COMMAND_FAILED:
	case COMMAND_UNREACHABLE:
		return "failed";
	case COMMAND_UNKNOWN:
		break;
	}
	return "unknown";
}

static bool is_passing(int rc)
{
	return rc == -ENOTCONN || rc == -EPIPE || rc == -EINPROGRESS || rc == -ENOBUFS;
}

static int hold(struct dispatch *d, const struct action_row *row)
{
	struct held *h;

	if (d->held_count >= HELD_MAX)
		return -ENOBUFS;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->row = *row;
	DL_APPEND(d->held, h);
	d->held_count++;
	return 0;
}

static void tell_journal(struct dispatch *d, const struct action_row *row)
{
	struct told_item item = {.host_id = row->host_id, .run = row->journal};

	memcpy(item.cmd_id, row->cmd_id, sizeof(item.cmd_id));
	told_add(d->told, &item);
}

static void on_finished(void *arg, int rc, const struct action_row *row,
			const struct command_request *body unused_arg, const struct error *err)
{
	struct dispatch *d = arg;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (rc == 0 || rc == -ENOENT)
		tell_journal(d, row);
	if (rc == 0) {
		dispatch_tell_end(d, row);
		return;
	}
	if (rc == -ENOENT) {
		log_debug("command event=result_ignored why=\"no open command of that host\"");
		return;
	}
	if (!is_passing(rc) || hold(d, row) < 0)
		log_warn("command event=result_not_stored error=\"%s\"", err ? err->msg : "");
}

int dispatch_result(struct dispatch *d, int32_t host_id, const void *data, size_t len,
		    struct error *err)
{
	struct command_result r;
	struct action_row row;
	int rc;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	rc = command_result_unpack(data, len, &r, err);
	if (rc < 0)
		return rc;
	row = (struct action_row){
		.host_id = host_id,
		.done_us = clock_wall_us(),
		.rss_before = r.rss_before,
		.rss_after = r.rss_after,
		.swap_before = r.swap_before,
		.swap_after = r.swap_after,
		.held_us = r.held_us,
		.journal = r.journal,
	};
	row.verify_next_us = row.done_us + d->config.stages_s[0] * USEC_PER_SEC;
	memcpy(row.cmd_id, r.id, sizeof(row.cmd_id));
	(void)str_copy(row.state, sizeof(row.state), dispatch_state_of(&r));
	(void)str_copy(row.detail, sizeof(row.detail), r.detail);
	rc = ledger_finish(&d->ledger, &row, on_finished, d);
	if (is_passing(rc))
		rc = hold(d, &row);
	return rc < 0 ? error_sys(err, rc, "cannot store a result") : 0;
}

void dispatch_told(struct dispatch *d, int32_t host_id, const struct wire_event *e)
{
	struct told_item item;

	MAGIC_CHECK(d, DISPATCH_MAGIC);
	if (told_of_event(host_id, e, &item))
		told_add(d->told, &item);
	else
		log_warn("host=%d event=ignored why=\"it tells of an action what makes no sense\"",
			 host_id);
}

void dispatch_store_held(struct dispatch *d)
{
	struct held *h, *next;

	DL_FOREACH_SAFE (d->held, h, next) {
		if (ledger_finish(&d->ledger, &h->row, on_finished, d) < 0)
			return;
		DL_DELETE(d->held, h);
		d->held_count--;
		free(h);
	}
}
