/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/disk.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>

#include "agent/link/greeting.h"
#include "agent/link/spooldir.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sign.h"

#define MAGIC        0x6469736bU
#define OLD_BYTES    ((size_t)64 * 1024) /* of a spool that is all on the disk: unused */
#define RETRY_MIN_US (1 * USEC_PER_SEC)

struct disk {
	uint32_t magic;
	const struct agent_options *options;
	struct lanes *lanes;
	const struct disk_ops *ops;
	void *arg;
	char *path;
	uint8_t boot_id[16];
	struct spooldir *dir; /* NULL until it could be opened */
	bool works;           /* what is added is appended */
	bool told;            /* that it does not */
	bool streaming;
	uint64_t written[LANE_COUNT]; /* the last number appended */
	bool sync_now;                /* there is what does not wait for an ack */
	uint64_t sync_seq;            /* up to here events wait for one */
	struct event *sync;
	struct event *retry;
	int64_t retry_us;
};

static void arm(struct event *e, int64_t us)
{
	const struct timeval tv = {.tv_sec = us / USEC_PER_SEC, .tv_usec = us % USEC_PER_SEC};

	event_add(e, &tv);
}

/* ---- trouble ---- */

static void arm_retry(struct disk *d)
{
	uint64_t random;

	random_bytes(&random, sizeof(random));
	arm(d->retry, d->retry_us / 2 + (int64_t)(random % (uint64_t)(d->retry_us / 2 + 1)));
	d->retry_us = MIN_OF(d->retry_us * 2, DISK_RETRY_MAX_SEC * USEC_PER_SEC);
}

static void fail(struct disk *d, const char *why)
{
	bool told = d->told;

	d->works = false;
	d->told = true;
	for (enum lane_id id = 0; id < LANE_COUNT; id++)
		if (d->lanes->of[id].disk)
			spool_stream_close(d->lanes->of[id].disk);
	arm_retry(d);
	if (told)
		return;
	log_warn("spool=%s on the disk fails, goes on in memory error='%s'", d->path, why);
	d->ops->on_trouble(d->arg, why);
}

static void fail_sys(struct disk *d, int rc, const char *what)
{
	struct error err = {""};

	(void)!error_sys(&err, rc, "cannot %s '%s'", what, d->path);
	fail(d, err.msg);
}

static void recover(struct disk *d)
{
	d->retry_us = RETRY_MIN_US;
	if (!d->told)
		return;
	d->told = false;
	log_info("spool=%s on the disk works again", d->path);
	d->ops->on_trouble(d->arg, NULL);
}

/* ---- writing ---- */

/* At once: after this turn of the loop, so that a burst is synced once. */
static bool cannot_wait(const struct disk *d)
{
	const struct lane *of = d->lanes->of;

	if (spool_stream_unsynced(of[LANE_SAMPLES].disk) >= DISK_SYNC_BYTES && !d->streaming)
		return true;
	return spool_stream_unsynced(of[LANE_URGENT].disk) && (d->sync_now || !d->streaming);
}

static void arm_sync(struct disk *d)
{
	const struct lane *of = d->lanes->of;

	if (!d->works)
		return;
	if (cannot_wait(d)) {
		arm(d->sync, 0);
	} else if (event_pending(d->sync, EV_TIMEOUT, NULL)) {
		return;
	} else if (spool_stream_unsynced(of[LANE_URGENT].disk)) {
		d->sync_seq = d->written[LANE_URGENT];
		arm(d->sync, DISK_ACK_SEC * USEC_PER_SEC);
	} else if (spool_stream_unsynced(of[LANE_SAMPLES].disk) && !d->streaming) {
		arm(d->sync, DISK_SYNC_SEC * USEC_PER_SEC);
	}
}

/* After a failed sync nobody knows what the file holds: what memory still has is written anew. */
static void forget_written(struct disk *d, enum lane_id id)
{
	struct spool *s = d->lanes->of[id].spool;

	d->written[id] = MAX_OF(spool_disk_end(s), spool_seq_min(s) - 1);
	spool_on_disk(s, 0);
}

static bool sync_lane(struct disk *d, enum lane_id id)
{
	int rc = spool_stream_sync(d->lanes->of[id].disk);

	if (rc == 0)
		return true;
	forget_written(d, id);
	fail_sys(d, rc, "sync the spool in");
	return false;
}

static void on_sync(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct disk *d = arg;
	bool stored;

	MAGIC_CHECK(d, MAGIC);
	if (!d->works)
		return;
	stored = d->streaming && !d->sync_now &&
		 spool_seq_min(d->lanes->of[LANE_URGENT].spool) > d->sync_seq;
	d->sync_now = false;
	if (!stored && !sync_lane(d, LANE_URGENT))
		return;
	if (!d->streaming && !sync_lane(d, LANE_SAMPLES))
		return;
	arm_sync(d); /* for what came after what was stored */
}

struct writing {
	struct disk *d;
	enum lane_id id;
};

static int write_one(void *arg, const struct spool_view *v, bool keyframe, int64_t t_us)
{
	const struct writing *w = arg;
	struct segment_record r = {.seq = v->seq,
				   .to_seq = v->kind == WIRE_GAP ? v->gap.to_seq : v->seq,
				   .kind = v->kind,
				   .keyframe = keyframe,
				   .t_us = t_us,
				   .body = v->body,
				   .len = v->len,
				   .gap = v->gap};
	int rc = spool_stream_append(w->d->lanes->of[w->id].disk, &r, clock_wall_us(),
				     (uint64_t)clock_boot_us());

	if (rc == 0)
		w->d->written[w->id] = r.to_seq;
	return rc;
}

/* Appends what the spool has and the disk has not. */
static void catch_up(struct disk *d, enum lane_id id)
{
	struct writing w = {d, id};
	struct spool *s = d->lanes->of[id].spool;
	int rc;

	d->written[id] = MAX_OF(d->written[id], spool_seq_min(s) - 1);
	rc = spool_walk(s, d->written[id], write_one, &w);
	spool_on_disk(s, d->written[id]);
	if (rc == -ENOMEM)
		return; /* with the next record */
	if (rc < 0)
		fail_sys(d, rc, "write the spool in");
	else
		arm_sync(d);
}

bool disk_keep(struct disk *d, enum wire_record kind)
{
	enum lane_id id = lane_of_kind(kind);

	if (!d || !d->works)
		return false;
	d->sync_now = d->sync_now || (id == LANE_URGENT && kind != WIRE_EVENT);
	catch_up(d, id);
	return d->works && spool_stream_wants_keyframe(d->lanes->of[id].disk);
}

/* ---- opening, and again ---- */

static int begin_streams(struct disk *d)
{
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		struct lane *l = &d->lanes->of[id];
		struct segment_head stamp = {.lane = (uint16_t)id,
					     .epoch = l->epoch,
					     .first_seq = 1,
					     .t_wall_us = clock_wall_us(),
					     .t_boot_us = (uint64_t)clock_boot_us()};
		int rc = 0;

		memcpy(stamp.boot_id, d->boot_id, sizeof(stamp.boot_id));
		if (!l->disk)
			rc = spooldir_begin(d->dir, &stamp, &l->disk);
		if (rc < 0)
			return rc;
		spool_stream_attach(l->disk, l->spool);
	}
	return 0;
}

static int open_dir(struct disk *d, struct error *err)
{
	int rc = spooldir_open(d->path, (size_t)d->options->spool_disk, &d->dir, err);

	if (rc < 0)
		return rc;
	rc = begin_streams(d);
	if (rc < 0)
		return error_set(err, rc, "no memory for the disk spool");
	if (spooldir_oldest(d->dir)) {
		log_info("spool=%s holds streams of former starts bytes=%zu", d->path,
			 spooldir_bytes(d->dir, LANE_URGENT) +
				 spooldir_bytes(d->dir, LANE_SAMPLES));
		d->ops->on_found(d->arg);
	}
	return 0;
}

static void try(struct disk *d)
{
	struct error err = {""};
	int rc = d->dir ? 0 : open_dir(d, &err);

	if (rc == 0)
		rc = spooldir_check(d->dir, &err);
	if (rc < 0) {
		fail(d, err.msg);
		return;
	}
	for (enum lane_id id = 0; rc > 0 && id < LANE_COUNT; id++)
		forget_written(d, id); /* another folder: nothing is in it */
	d->works = true;
	for (enum lane_id id = 0; d->works && id < LANE_COUNT; id++)
		catch_up(d, id);
	if (d->works)
		recover(d);
}

static void on_retry(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct disk *d = arg;

	MAGIC_CHECK(d, MAGIC);
	try(d);
}

/* ---- streams of former starts ---- */

static int adopt(struct disk *d, struct spool_stream *st)
{
	static const uint8_t unknown[16];
	const struct segment_head *stamp = spool_stream_stamp(st);
	struct spool *s = NULL;
	int rc = spool_new(OLD_BYTES, &s);

	if (rc == 0)
		rc = spool_restore(s, spool_stream_first(st), spool_stream_last(st));
	/* What had not reached the disk when the host went down is missing, and nobody knows it. */
	if (rc == 0 && stamp->lane == LANE_SAMPLES &&
	    memcmp(stamp->boot_id, unknown, sizeof(unknown)) != 0 &&
	    memcmp(stamp->boot_id, d->boot_id, sizeof(d->boot_id)) != 0)
		rc = spool_end_unclean(s, stamp->t_wall_us, clock_wall_us());
	if (rc == 0)
		rc = lanes_add_old(d->lanes, spool_stream_epoch(st), spool_stream_lane(st), s, st);
	if (rc < 0) {
		spool_free(&s);
		return rc;
	}
	spool_stream_attach(st, s);
	log_info("stream=%016" PRIx64 " left behind lane=%s first=%" PRIu64 " last=%" PRIu64,
		 spool_stream_epoch(st), lane_name(spool_stream_lane(st)), spool_stream_first(st),
		 spool_stream_last(st));
	return 0;
}

static void end_drained(struct disk *d)
{
	for (size_t i = d->lanes->n; i-- > LANE_COUNT;) {
		struct spool_stream *st = d->lanes->of[i].disk;

		if (!lane_drained(&d->lanes->of[i]))
			continue;
		lanes_remove_old(d->lanes, i);
		spooldir_end(d->dir, &st);
	}
}

void disk_adopt(struct disk *d)
{
	struct spool_stream *st;

	if (!d || !d->dir)
		return;
	end_drained(d);
	while (d->lanes->n < LANES_MAX && (st = spooldir_oldest(d->dir))) {
		if (spool_stream_first(st) > spool_stream_last(st))
			spooldir_end(d->dir, &st);
		else if (adopt(d, st) < 0)
			return; /* without memory: the next Hello */
	}
}

bool disk_knows(const struct disk *d, uint64_t epoch)
{
	return d && d->dir && epoch && spooldir_find(d->dir, epoch);
}

static bool old_are_drained(const struct lanes *ls)
{
	for (size_t i = LANE_COUNT; i < ls->n; i++)
		if (!lane_drained(&ls->of[i]))
			return false;
	return true;
}

void disk_acked(struct disk *d, struct lane *l)
{
	if (!d || !l->disk)
		return;
	spool_stream_acked(l->disk, spool_seq_min(l->spool) - 1);
	if (l >= d->lanes->of + LANE_COUNT && lane_drained(l)) {
		log_info("stream=%016" PRIx64 " is stored to its end", l->epoch);
		if (spooldir_oldest(d->dir) && old_are_drained(d->lanes))
			d->ops->on_found(d->arg);
	}
}

void disk_streaming(struct disk *d, bool yes)
{
	if (!d)
		return;
	d->streaming = yes;
	arm_sync(d);
}

uint64_t disk_bytes(const struct disk *d)
{
	return d && d->dir
		       ? spooldir_bytes(d->dir, LANE_URGENT) + spooldir_bytes(d->dir, LANE_SAMPLES)
		       : 0;
}

/* ---- life ---- */

int disk_new(struct event_base *base, const struct agent_options *o, struct lanes *lanes,
	     const struct disk_ops *ops, void *arg, struct disk **ret)
{
	struct disk *d;

	*ret = NULL;
	if (o->spool_disk == 0)
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	*d = (struct disk){.magic = MAGIC,
			   .options = o,
			   .lanes = lanes,
			   .ops = ops,
			   .arg = arg,
			   .retry_us = RETRY_MIN_US};
	greeting_boot_id(o, d->boot_id);
	d->path = options_spool_path(o);
	d->sync = evtimer_new(base, on_sync, d);
	d->retry = evtimer_new(base, on_retry, d);
	if (!d->path || !d->sync || !d->retry) {
		disk_free(&d);
		return -ENOMEM;
	}
	*ret = d;
	try(d);
	return 0;
}

static void end_streams(struct disk *d)
{
	if (!d->dir)
		return;
	end_drained(d);
	for (enum lane_id id = 0; id < LANE_COUNT; id++) {
		struct lane *l = &d->lanes->of[id];

		if (!l->disk)
			continue;
		if (lane_drained(l))
			spooldir_end(d->dir, &l->disk);
		else if (d->works && spool_stream_sync(l->disk) < 0)
			log_warn("spool=%s last records may not be on the disk", d->path);
	}
}

void disk_free(struct disk **d)
{
	struct disk *p = *d;

	if (!p)
		return;
	end_streams(p);
	spooldir_free(&p->dir);
	if (p->sync)
		event_free(p->sync);
	if (p->retry)
		event_free(p->retry);
	free(p->path);
	free(p);
	*d = NULL;
}
