/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from sense and from actd: kept until the collector has it. */
#include <inttypes.h>
#include <string.h>

#include "agent/link/link_inner.h"
#include "agent/link/notice.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

static void keep(struct link *l, enum wire_record kind, bool keyframe, int64_t t_wall_us,
		 const uint8_t *body, size_t len)
{
	enum lane_id id = lane_of_kind(kind);
	bool wanted = spool_add(l->lanes.of[id].spool, kind, keyframe, t_wall_us, body, len) ==
		      SPOOL_WANTS_KEYFRAME;

	if (disk_keep(l->disk, kind))
		wanted = true;
	if (wanted && id == LANE_SAMPLES)
		link_want_keyframe(l);
	FAILPOINT("link.kept");
	link_pump(l);
}

static void on_record(void *arg, const struct record_head *h, const uint8_t *body)
{
	struct link *l = arg;
	enum wire_record kind = (enum wire_record)h->kind; /* record.h: the same numbers */

	MAGIC_CHECK(l, LINK_MAGIC);
	if (h->kind == RECORD_SELF) {
		memcpy(&l->sense_self, body, sizeof(l->sense_self));
		return;
	}
	keep(l, kind, h->flags & RECORD_KEYFRAME, h->t_wall_us, body, h->len);
}

static void on_intake_end(void *arg, const char *why)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	log_line(l->stopping ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
		 "link=%016" PRIx64 " sense is gone why='%s'", l->id, why);
	l->intake_ended = true;
	link_pump(l);
}

const struct intake_ops link_intake_ops = {.on_record = on_record, .on_end = on_intake_end};

/* Before it is done: sense must not be surprised by how the process ends. The command goes on in
 * any case: what is asked matters more than how its end is told. */
static void on_start(void *arg, const struct command_request *q)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	if (!notice_begin(l->intake, q))
		log_warn("link=%016" PRIx64 " sense was not told of an action", l->id);
}

static void on_result(void *arg, const uint8_t result[COMMAND_RESULT_SIZE])
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	if (!notice_result(l->intake, result))
		log_warn("link=%016" PRIx64 " sense was not told that nothing was done", l->id);
	if (l->n_results == RELAY_QUEUE) {
		log_warn("link=%016" PRIx64 " result dropped: %d wait already", l->id, RELAY_QUEUE);
		return;
	}
	memcpy(l->results[l->n_results++], result, COMMAND_RESULT_SIZE);
	link_pump(l);
}

/* What a command made goes the way of events and kills: spooled, and stored once. */
static void on_body(void *arg, enum wire_record kind, const uint8_t *body, size_t len,
		    int64_t t_wall_us, const char *why)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	if (!body) {
		log_warn("link=%016" PRIx64 " %s dropped why='%s'", l->id,
			 kind == WIRE_CENSUS ? "census" : "snapshot", why);
		return;
	}
	keep(l, kind, false, t_wall_us, body, len);
}

/* What the host did by itself goes the way of all events. */
void link_on_diary(void *arg, const struct wire_event *e)
{
	struct link *l = arg;
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);

	MAGIC_CHECK(l, LINK_MAGIC);
	wire_pack_event(&b, e);
	if (buf_status(&b) == 0)
		keep(l, WIRE_EVENT, false, e->t_wall_us, b.data, b.len);
}

const struct relay_ops link_relay_ops = {.start = on_start, .done = on_result, .body = on_body};

static void on_trouble(void *arg, const char *why)
{
	struct link *l = arg;
	auto_buf struct buf b = BUF_INIT(RECORD_MAX_BODY);
	struct wire_event e = {
		.t_wall_us = clock_wall_us(),
		.kind = WIRE_EVENT_SELF_LIMIT,
		.text = why ? "the disk spool fails: what is not stored is in memory alone"
			    : "the disk spool works again",
		.keys = (const char *[]){"spool", "error"},
		.values = (const char *[]){why ? "memory" : "disk", why ? why : ""},
		.n_details = why ? 2 : 1};

	MAGIC_CHECK(l, LINK_MAGIC);
	wire_pack_event(&b, &e);
	if (buf_status(&b) == 0)
		keep(l, WIRE_EVENT, false, e.t_wall_us, b.data, b.len);
}

/* They can only be told by a Hello. */
static void on_found(void *arg)
{
	struct link *l = arg;

	MAGIC_CHECK(l, LINK_MAGIC);
	if (l->state == &link_streaming)
		link_hang_up(l, "streams of former starts are to be told");
}

const struct disk_ops link_disk_ops = {.on_trouble = on_trouble, .on_found = on_found};
