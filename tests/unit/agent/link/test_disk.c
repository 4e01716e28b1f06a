/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=pwrite -Wl,--wrap=fdatasync
/* The disk spool as the link uses it: lanes, their spools, a real folder, and a disk that fails. */
#include "agent/link/disk.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/link/spooldir.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#define EPOCH UINT64_C(0x0123456789abcdef)

/* ---- the disk's faults ---- */

static int fail_write; /* errno; 0 = works */
static int fail_sync;
static unsigned syncs;

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

/* A full disk takes a part first. */
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	if (!fail_write)
		return __real_pwrite(fd, data, len, at);
	if (fail_write == ENOSPC && len > 8)
		return __real_pwrite(fd, data, len / 2, at);
	errno = fail_write;
	return -1;
}

int __wrap_fdatasync(int fd)
{
	syncs++;
	if (!fail_sync)
		return __real_fdatasync(fd);
	errno = fail_sync;
	return -1;
}

/* ---- an agent's start ---- */

struct start {
	struct event_base *base;
	struct agent_options o;
	struct lanes lanes;
	struct disk *disk;
	unsigned troubles;
	unsigned recoveries;
	unsigned found;
	char why[256];
};

static void on_trouble(void *arg, const char *why)
{
	struct start *a = arg;

	if (why) {
		a->troubles++;
		snprintf(a->why, sizeof(a->why), "%s", why);
	} else {
		a->recoveries++;
	}
}

static void on_found(void *arg)
{
	((struct start *)arg)->found++;
}

static const struct disk_ops ops = {.on_trouble = on_trouble, .on_found = on_found};

static void set(struct start *a, const char *key, const char *value)
{
	struct error err = {""};

	if (conf_set(&agent_options_table, &a->o, key, value, "test", &err) < 0)
		fail_msg("%s", err.msg);
}

/* The n-th agent on the folder; its epochs are EPOCH + 2n and one more. */
static struct start *begin(unsigned n, const char *disk, size_t memory)
{
	const uint64_t epochs[LANE_COUNT] = {EPOCH + 2 * n, EPOCH + 2 * n + 1};
	struct start *a = calloc(1, sizeof(*a));
	char path[96];

	log_init("test", getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	a->base = event_base_new();
	assert_int_equal(conf_defaults(&agent_options_table, &a->o, NULL), 0);
	snprintf(path, sizeof(path), "%s/spool", folder);
	set(a, "spool_dir", path);
	set(a, "spool_disk", disk);
	assert_int_equal(lanes_init(&a->lanes, epochs, memory), 0);
	assert_int_equal(disk_new(a->base, &a->o, &a->lanes, &ops, a, &a->disk), 0);
	return a;
}

/* clean: as at SIGTERM; else as after kill -9: what is in memory goes without a word. */
static void end(struct start *a, bool clean)
{
	if (clean)
		disk_free(&a->disk);
	else
		for (enum lane_id id = 0; id < LANE_COUNT; id++)
			a->lanes.of[id].disk = NULL;
	disk_free(&a->disk);
	lanes_fini(&a->lanes);
	conf_fini(&agent_options_table, &a->o);
	event_base_free(a->base);
	free(a);
}

static bool put(struct start *a, enum wire_record kind, bool keyframe, size_t len)
{
	static uint8_t body[256 * 1024];
	enum lane_id id = lane_of_kind(kind);
	uint64_t n = spool_seq_max(a->lanes.of[id].spool) + 1;
	bool wanted;

	memcpy(body, &n, sizeof(n));
	wanted = spool_add(a->lanes.of[id].spool, kind, keyframe, (int64_t)n * 1000, body,
			   MAX_OF(len, sizeof(n))) == SPOOL_WANTS_KEYFRAME;
	return disk_keep(a->disk, kind) || wanted;
}

static void turns(struct start *a, int ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(a->base, &tv);
	event_base_dispatch(a->base);
}

/* It is tried again after 1 s, 2 s, ... */
static void turns_until_it_works(struct start *a)
{
	for (int i = 0; i < 500 && !a->recoveries; i++)
		turns(a, 10);
	assert_int_equal(a->recoveries, 1);
}

struct sum {
	uint64_t first, last;
	uint64_t held, gapped;
	unsigned reasons; /* a bit each */
};

/* All that a lane would send, in order and without a hole; samples must decode. */
static struct sum drain(struct lane *l)
{
	struct sum s = {.first = spool_seq_min(l->spool), .last = spool_seq_max(l->spool)};
	uint64_t next = s.first;
	struct spool_view v;

	while (spool_peek(l->spool, &v)) {
		uint64_t n;

		assert_int_equal(v.seq, next);
		if (v.kind == WIRE_GAP) {
			s.gapped += v.gap.to_seq - v.seq + 1;
			s.reasons |= 1u << v.gap.reason;
			next = v.gap.to_seq + 1;
		} else {
			assert_true(v.len >= sizeof(n));
			memcpy(&n, v.body, sizeof(n));
			assert_int_equal(n, v.seq);
			s.held++;
			next = v.seq + 1;
		}
		spool_sent(l->spool);
	}
	assert_int_equal(next, s.last + 1);
	assert_int_equal(s.held + s.gapped, s.last - s.first + 1);
	return s;
}

static void ack(struct start *a, struct lane *l, uint64_t seq)
{
	assert_int_equal(spool_ack(l->spool, seq), 0);
	disk_acked(a->disk, l);
}

static struct lane *lane(struct start *a, uint64_t epoch)
{
	struct lane *l = lanes_find(&a->lanes, epoch);

	assert_non_null(l);
	return l;
}

static unsigned files(const char *suffix)
{
	char command[160];
	unsigned n = 0;
	FILE *p;

	snprintf(command, sizeof(command), "ls %s/spool | grep -c '\\%s$'", folder, suffix);
	p = popen(command, "r");
	assert_int_equal(fscanf(p, "%u", &n), 1);
	pclose(p);
	return n;
}

static char *nth_file(unsigned n, char out[160])
{
	char command[160];
	FILE *p;

	snprintf(command, sizeof(command), "ls %s/spool/*.seg | sed -n %up", folder, n);
	p = popen(command, "r");
	assert_int_equal(fscanf(p, "%159s", out), 1);
	pclose(p);
	return out;
}

/* ---- what must hold ---- */

static void what_a_killed_agent_left_is_drained_by_the_next(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);
	struct sum s;

	for (int i = 0; i < 500; i++) /* 8 times what memory holds */
		put(a, WIRE_TICK, i % 50 == 0, 1000);
	for (int i = 0; i < 20; i++)
		put(a, WIRE_KILL, false, 3000);
	assert_true(spool_disk_end(a->lanes.of[LANE_SAMPLES].spool) > 400);
	s = drain(&a->lanes.of[LANE_SAMPLES]);
	assert_int_equal(s.held, 500);
	ack(a, &a->lanes.of[LANE_SAMPLES], 123);
	end(a, false);

	a = begin(2, "64MiB", 64 * 1024);
	assert_int_equal(a->found, 1);
	assert_true(disk_knows(a->disk, EPOCH + 2) && disk_knows(a->disk, EPOCH + 3));
	assert_false(disk_knows(a->disk, EPOCH + 99));
	disk_adopt(a->disk);
	assert_int_equal(a->lanes.n, 4);
	put(a, WIRE_TICK, true, 10);
	put(a, WIRE_EVENT, false, 10);
	/* urgent before old, old before the samples of now */
	assert_int_equal(lanes_next(&a->lanes), LANE_URGENT);
	drain(&a->lanes.of[LANE_URGENT]);
	assert_int_equal(a->lanes.of[lanes_next(&a->lanes)].epoch, EPOCH + 2);
	s = drain(lane(a, EPOCH + 2));
	assert_int_equal(s.held, 20);
	assert_int_equal(s.gapped, 0);
	assert_int_equal(a->lanes.of[lanes_next(&a->lanes)].epoch, EPOCH + 3);
	/* the collector had more than was acked, as it always may */
	assert_int_equal(spool_rewind(lane(a, EPOCH + 3)->spool, 200), 0);
	s = drain(lane(a, EPOCH + 3));
	assert_int_equal(s.first, 201);
	assert_int_equal(s.held, 300);
	assert_int_equal(s.gapped, 0);
	/* a connection that breaks: once more */
	assert_int_equal(spool_rewind(lane(a, EPOCH + 3)->spool, 350), 0);
	assert_int_equal(drain(lane(a, EPOCH + 3)).held, 150);
	ack(a, lane(a, EPOCH + 3), 500);
	ack(a, lane(a, EPOCH + 2), 20);
	assert_int_equal(files(".seg"), 2);
	disk_adopt(a->disk);
	assert_int_equal(a->lanes.n, 2);
	drain(&a->lanes.of[LANE_SAMPLES]);
	ack(a, &a->lanes.of[LANE_SAMPLES], 1);
	ack(a, &a->lanes.of[LANE_URGENT], 1);
	end(a, true);
	assert_int_equal(files(".seg"), 0); /* a clean end leaves nothing */
	assert_int_equal(files(".bad"), 0);
}

static void what_is_stored_leaves_no_bytes(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);

	disk_streaming(a->disk, true);
	syncs = 0;
	for (uint64_t i = 1; i <= 50; i++) {
		put(a, WIRE_TICK, i == 1, 1000);
		drain(&a->lanes.of[LANE_SAMPLES]);
		ack(a, &a->lanes.of[LANE_SAMPLES], i);
		assert_true(disk_bytes(a->disk) <= 16 * 1024); /* one file, the smallest */
	}
	turns(a, 20);
	assert_int_equal(syncs, 0);
	assert_int_equal(files(".seg"), 1);
	end(a, false);
	a = begin(2, "64MiB", 64 * 1024); /* and nothing is left to be told */
	disk_adopt(a->disk);
	assert_int_equal(a->lanes.n, 2);
	assert_true(disk_knows(a->disk, 0) == false);
	end(a, true);
}

static void a_file_goes_when_all_of_it_is_stored_not_before(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);
	struct lane *l = &a->lanes.of[LANE_SAMPLES];
	uint64_t epoch, first;
	char path[160];

	for (int i = 0; i < 1500; i++)
		put(a, WIRE_TICK, i % 10 == 0, 1000);
	assert_true(files(".seg") >= 5);
	drain(l);
	for (uint64_t seq = 9; seq < 1500; seq += 10) {
		ack(a, l, seq);
		assert_int_equal(sscanf(strrchr(nth_file(1, path), '/'), "/s-%" SCNx64 "-%" SCNx64,
					&epoch, &first),
				 2);
		assert_true(first <= seq + 1);
		assert_true(first + 300 > seq); /* and not much later */
		assert_int_equal(spool_rewind(l->spool, seq), 0);
		assert_int_equal(drain(l).held, 1500 - seq);
	}
	end(a, false);
	a = begin(2, "64MiB", 64 * 1024);
	disk_adopt(a->disk);
	assert_int_equal(spool_rewind(lane(a, EPOCH + 3)->spool, 1499), 0);
	assert_int_equal(drain(lane(a, EPOCH + 3)).held, 1);
	end(a, true);
}

static void urgent_is_synced_at_once_samples_when_alone(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);

	syncs = 0;
	for (int i = 0; i < 10; i++)
		put(a, WIRE_KILL, false, 100);
	assert_int_equal(syncs, 0);
	turns(a, 20);
	assert_int_equal(syncs, 1); /* a burst is one */
	put(a, WIRE_TICK, true, 100);
	turns(a, 20);
	assert_int_equal(syncs, 1); /* in 5 s */
	for (int i = 0; i < 30; i++)
		put(a, WIRE_TICK, false, 10000);
	turns(a, 20);
	assert_int_equal(syncs, 2); /* or when there are many */
	/* while the collector is there an event waits for its ack, a kill does not */
	disk_streaming(a->disk, true);
	put(a, WIRE_EVENT, false, 100);
	turns(a, 20);
	assert_int_equal(syncs, 2);
	put(a, WIRE_KILL, false, 100);
	turns(a, 20);
	assert_int_equal(syncs, 3);
	put(a, WIRE_EVENT, false, 100);
	drain(&a->lanes.of[LANE_URGENT]);
	ack(a, &a->lanes.of[LANE_URGENT], 13);
	turns(a, 3100);
	assert_int_equal(syncs, 3); /* stored in time */
	put(a, WIRE_EVENT, false, 100);
	turns(a, 3100);
	assert_int_equal(syncs, 4); /* not stored in time */
	end(a, true);
}

static void the_oldest_samples_go_whole_groups_and_events_stay(void **state unused_arg)
{
	struct start *a = begin(1, "1MiB", 64 * 1024);
	struct lane *samples = &a->lanes.of[LANE_SAMPLES];
	struct spool_stats st;
	struct sum s;

	for (int i = 0; i < 20; i++)
		put(a, WIRE_KILL, false, 3000);
	for (int i = 0; i < 5000; i++)
		put(a, WIRE_TICK, i % 20 == 0, 1000);
	assert_true(disk_bytes(a->disk) <= 1024 * 1024);
	assert_int_equal(a->troubles, 0);
	spool_stats(samples->spool, &st);
	assert_int_equal(st.produced, st.acked + st.held_records + st.held_gapped);
	assert_true(st.held_gapped > 3000 && st.held_records > 500);
	end(a, false);

	a = begin(2, "1MiB", 64 * 1024);
	disk_adopt(a->disk);
	assert_int_equal(drain(lane(a, EPOCH + 2)).held, 20); /* of kills nothing went */
	samples = lane(a, EPOCH + 3);
	/* what went is told once the collector says what it has */
	assert_int_equal(spool_rewind(samples->spool, 0), 0);
	s = drain(samples);
	assert_int_equal(s.first, 1);
	assert_int_equal(s.last, 5000);
	assert_int_equal(s.reasons, 1u << WIRE_GAP_SPOOL_FULL);
	assert_int_equal(s.gapped % 20, 0); /* whole groups */
	end(a, true);
}

static void a_disk_that_fails_costs_nothing(void **state)
{
	int error = *(int *)*state;
	struct start *a = begin(1, "64MiB", 4 << 20);
	struct sum s;

	for (int i = 0; i < 10; i++)
		put(a, WIRE_TICK, i == 0, 1000);
	fail_write = error;
	for (int i = 0; i < 10; i++)
		put(a, WIRE_TICK, false, 1000);
	assert_int_equal(a->troubles, 1); /* told once */
	assert_non_null(strstr(a->why, strerror(error)));
	assert_non_null(strstr(a->why, folder));
	if (error == EIO) { /* a try that fails is not told again */
		turns(a, 1200);
		assert_int_equal(a->troubles, 1);
		assert_int_equal(a->recoveries, 0);
	}
	fail_write = 0;
	turns_until_it_works(a);
	for (int i = 0; i < 10; i++)
		put(a, WIRE_TICK, false, 1000);
	end(a, false);

	a = begin(2, "64MiB", 4 << 20);
	disk_adopt(a->disk);
	s = drain(lane(a, EPOCH + 3));
	assert_int_equal(s.held, 30); /* also what came while it failed */
	assert_int_equal(s.gapped, 0);
	end(a, true);
}

static int enospc = ENOSPC, eio = EIO, erofs = EROFS, edquot = EDQUOT;

/* Nor may it leave memory for a file that may not have it. */
static void what_a_failed_sync_left_in_doubt_stays_in_memory(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);
	struct spool_stats st;

	for (int i = 0; i < 100; i++)
		put(a, WIRE_KILL, false, 1000);
	fail_sync = EIO;
	turns(a, 20);
	assert_int_equal(a->troubles, 1);
	for (int i = 0; i < 300; i++) /* urgent memory has 256 KiB */
		put(a, WIRE_KILL, false, 1000);
	spool_stats(a->lanes.of[LANE_URGENT].spool, &st);
	assert_int_equal(st.held_on_disk, 0);
	assert_true(st.held_gapped > 100);
	end(a, true);
}

static void what_a_failed_sync_leaves_in_doubt_is_written_again(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 4 << 20);
	struct spool_stats st;

	for (int i = 0; i < 10; i++)
		put(a, WIRE_KILL, false, 1000);
	fail_sync = EIO;
	turns(a, 20);
	assert_int_equal(a->troubles, 1);
	fail_sync = 0;
	spool_stats(a->lanes.of[LANE_URGENT].spool, &st);
	assert_int_equal(st.held_on_disk, 0);
	turns_until_it_works(a);
	assert_int_equal(files(".seg"), 1); /* not the file whose sync failed, and another */
	end(a, false);
	a = begin(2, "64MiB", 4 << 20);
	disk_adopt(a->disk);
	assert_int_equal(drain(lane(a, EPOCH + 2)).held, 10);
	end(a, true);
}

static void memory_stays_bounded_while_the_disk_fails(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);
	struct spool_stats st;

	for (int i = 0; i < 100; i++)
		put(a, WIRE_TICK, i % 10 == 0, 1000);
	fail_write = ENOSPC;
	for (int i = 0; i < 500; i++)
		put(a, WIRE_TICK, i % 10 == 0, 1000);
	spool_stats(a->lanes.of[LANE_SAMPLES].spool, &st);
	assert_true(st.bytes <= 64 * 1024);
	assert_true(st.held_gapped > 300);
	assert_int_equal(st.produced, st.held_records + st.held_gapped);
	fail_write = 0;
	turns_until_it_works(a);
	assert_true(drain(&a->lanes.of[LANE_SAMPLES]).gapped > 300);
	end(a, false);
	a = begin(2, "64MiB", 64 * 1024); /* the gap has come to the disk with what followed it */
	disk_adopt(a->disk);
	assert_int_equal(drain(lane(a, EPOCH + 3)).reasons, 1u << WIRE_GAP_SPOOL_FULL);
	end(a, true);
}

static void a_damaged_middle_is_an_exact_gap(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);
	char path[160];
	struct sum s;
	int fd;

	for (int i = 0; i < 1000; i++)
		put(a, WIRE_TICK, i % 10 == 0, 1000);
	for (int i = 0; i < 10; i++)
		put(a, WIRE_KILL, false, 1000);
	end(a, false);
	/* one record of the urgent file, and one delta in a file of samples */
	for (unsigned n = 1; n <= 2; n++) {
		nth_file(n == 1 ? files(".seg") : 1, path);
		fd = open(path, O_WRONLY);
		assert_int_equal(__real_pwrite(fd, "damage", 6, 64 + 3 * 1040 + 500), 6);
		close(fd);
	}
	a = begin(2, "64MiB", 64 * 1024);
	disk_adopt(a->disk);
	s = drain(lane(a, EPOCH + 2));
	assert_int_equal(s.held, 9);
	assert_int_equal(s.gapped, 1);
	assert_int_equal(s.reasons, 1u << WIRE_GAP_CORRUPT);
	s = drain(lane(a, EPOCH + 3));
	/* the fourth is damaged, those behind it need it: up to the next keyframe */
	assert_int_equal(s.gapped, 7);
	assert_int_equal(s.held, 993);
	ack(a, lane(a, EPOCH + 3), 1000);
	ack(a, lane(a, EPOCH + 2), 10);
	assert_int_equal(files(".seg"), 0);
	assert_int_equal(files(".bad"), 2); /* kept to be looked at */
	end(a, true);
}

static void a_missing_file_is_an_exact_gap(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);
	char path[160];
	struct sum s;

	for (int i = 0; i < 1000; i++)
		put(a, WIRE_TICK, i % 10 == 0, 1000);
	end(a, false);
	assert_true(files(".seg") >= 3);
	assert_int_equal(unlink(nth_file(2, path)), 0);
	a = begin(2, "64MiB", 64 * 1024);
	disk_adopt(a->disk);
	s = drain(lane(a, EPOCH + 3));
	assert_int_equal(s.last, 1000);
	assert_true(s.gapped >= 240 && s.gapped % 10 == 0);
	end(a, true);
}

static void what_is_none_of_ours_is_set_aside(void **state unused_arg)
{
	static const struct segment_head made = {.lane = 0, .epoch = 77, .first_seq = 1};
	uint8_t head[SEGMENT_HEAD];
	char path[160];
	struct start *a;
	int fd;

	folder_put("spool/lost+found.seg", "what is this");
	folder_put("spool/notes.txt", "not ours to touch");
	folder_put("spool/u-0000000000000005-0000000000000001.seg", "too short");
	folder_put("spool/u-0000000000000006-0000000000000001.seg", "");
	folder_put("spool/s-0000000000000007-8000000000000001.seg", "a number of the future");
	mkdir(strcat(strcpy(path, folder), "/spool/u-0000000000000008-0000000000000001.seg"), 0700);
	/* of another version, with a sum that holds */
	segment_pack_head(head, &made);
	head[8] = 9;
	snprintf(path, sizeof(path), "%s/spool/u-000000000000004d-0000000000000001.seg", folder);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	close(fd);
	a = begin(2, "64MiB", 64 * 1024);
	assert_int_equal(a->troubles, 0);
	disk_adopt(a->disk);
	assert_int_equal(a->lanes.n, 2);
	assert_int_equal(files(".seg"), 0);
	assert_true(files(".bad") <= 3); /* two files, and a folder that stays */
	assert_int_equal(files(".txt"), 1);
	put(a, WIRE_TICK, true, 10);
	assert_int_equal(files(".seg"), 1);
	end(a, true);
}

static void a_folder_belongs_to_one_agent(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);
	struct start *b;
	struct stat st;
	char path[96];

	snprintf(path, sizeof(path), "%s/spool", folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	put(a, WIRE_KILL, false, 10);
	b = begin(2, "64MiB", 64 * 1024);
	assert_int_equal(b->troubles, 1);
	assert_non_null(strstr(b->why, "another agent uses"));
	put(b, WIRE_KILL, false, 10);
	assert_int_equal(files(".seg"), 1);
	end(a, false);
	turns_until_it_works(b); /* the other one is gone: its streams come to us */
	assert_int_equal(b->found, 1);
	disk_adopt(b->disk);
	assert_int_equal(drain(lane(b, EPOCH + 2)).held, 1);
	assert_int_equal(files(".seg"), 2);
	end(b, true);
}

static void a_folder_that_is_removed_is_made_anew(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 4 << 20);

	put(a, WIRE_KILL, false, 10);
	turns(a, 20);
	folder_remove("spool");
	put(a, WIRE_KILL, false, 10);
	turns(a, 20);
	assert_int_equal(a->troubles, 1);
	turns_until_it_works(a);
	end(a, false);
	a = begin(2, "64MiB", 4 << 20);
	disk_adopt(a->disk);
	assert_int_equal(drain(lane(a, EPOCH + 2)).held, 2);
	end(a, true);
}

static void after_a_crash_of_the_host_the_end_is_in_doubt(void **state unused_arg)
{
	struct start *a = begin(1, "64MiB", 64 * 1024);
	struct sum s;

	put(a, WIRE_TICK, true, 10);
	put(a, WIRE_KILL, false, 10);
	end(a, false);
	folder_put("proc/sys/kernel/random/boot_id", "6f7bd1a4-11aa-4bbb-8ccc-0123456789ab\n");
	a = calloc(1, sizeof(*a));
	a->base = event_base_new();
	assert_int_equal(conf_defaults(&agent_options_table, &a->o, NULL), 0);
	{
		char path[96];
		const uint64_t epochs[LANE_COUNT] = {1, 2};

		snprintf(path, sizeof(path), "%s/spool", folder);
		set(a, "spool_dir", path);
		snprintf(path, sizeof(path), "%s/proc", folder);
		set(a, "proc_path", path);
		assert_int_equal(lanes_init(&a->lanes, epochs, 64 * 1024), 0);
	}
	assert_int_equal(disk_new(a->base, &a->o, &a->lanes, &ops, a, &a->disk), 0);
	disk_adopt(a->disk);
	s = drain(lane(a, EPOCH + 3)); /* up to 5 s of samples may be missing */
	assert_int_equal(s.held, 1);
	assert_int_equal(s.reasons, 1u << WIRE_GAP_UNCLEAN_END);
	s = drain(lane(a, EPOCH + 2)); /* what is urgent was synced */
	assert_int_equal(s.held, 1);
	assert_int_equal(s.gapped, 0);
	end(a, true);
}

static void many_short_lives_are_told_in_turns(void **state unused_arg)
{
	struct start *a;
	unsigned seen = 0;

	for (unsigned n = 1; n <= 40; n++) {
		a = begin(n, "64MiB", 64 * 1024);
		put(a, WIRE_EVENT, false, 10);
		end(a, false);
	}
	a = begin(41, "64MiB", 64 * 1024);
	for (unsigned turn = 0; turn < 2; turn++) {
		disk_adopt(a->disk);
		assert_int_equal(a->lanes.n - LANE_COUNT, turn ? 10 : LANES_OLD_MAX);
		for (size_t i = LANE_COUNT; i < a->lanes.n; i++) {
			seen += (unsigned)drain(&a->lanes.of[i]).held;
			ack(a, &a->lanes.of[i], 1);
		}
		assert_int_equal(a->found, 2); /* at start, and when the first were drained */
	}
	assert_int_equal(seen, 40);
	end(a, true);
}

/* ---- at random: everything that may happen, in any order ---- */

#define MOST_EPOCHS 256

/* What the collector of the random test has stored of each stream. */
static struct {
	uint64_t epoch;
	uint64_t committed, gapped, produced;
	bool broken; /* the next sample must be a keyframe */
} stored[MOST_EPOCHS];
static size_t n_stored;
static uint64_t dice = 1;

static unsigned roll(unsigned n)
{
	dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(dice >> 33) % n;
}

static size_t stored_at(uint64_t epoch)
{
	size_t i = 0;

	while (i < n_stored && stored[i].epoch != epoch)
		i++;
	assert_true(i < MOST_EPOCHS);
	if (i == n_stored) {
		memset(&stored[i], 0, sizeof(stored[i]));
		stored[i].epoch = epoch;
		n_stored++;
	}
	return i;
}

static void store_one(const struct lane *l, const struct spool_view *v)
{
	size_t i = stored_at(l->epoch);
	uint64_t n;

	assert_int_equal(v->seq, stored[i].committed + 1);
	if (v->kind == WIRE_GAP) {
		stored[i].committed = v->gap.to_seq;
		stored[i].gapped += v->gap.to_seq - v->seq + 1;
		stored[i].broken = true;
		return;
	}
	memcpy(&n, v->body, sizeof(n));
	assert_int_equal(n, v->seq);
	stored[i].committed = n;
	if (v->kind == WIRE_TICK && stored[i].broken)
		assert_true(v->body[8]); /* a keyframe */
	stored[i].broken = false;
}

static void say_hello(struct start *a)
{
	disk_adopt(a->disk);
	disk_streaming(a->disk, true);
	for (size_t i = 0; i < a->lanes.n; i++) {
		struct lane *l = &a->lanes.of[i];
		uint64_t last = stored[stored_at(l->epoch)].committed;

		assert_int_equal(spool_rewind(l->spool, MIN_OF(last, spool_seq_max(l->spool))), 0);
		disk_acked(a->disk, l);
	}
}

/* Sends at most n records; what the collector stored it may or may not say. */
static void send_some(struct start *a, unsigned n, bool acks)
{
	struct spool_view v;
	size_t i;

	for (; n && (i = lanes_next(&a->lanes)) < LANES_MAX; n--) {
		struct lane *l = &a->lanes.of[i];

		assert_true(spool_peek(l->spool, &v));
		store_one(l, &v);
		spool_sent(l->spool);
		if (acks && roll(3) == 0)
			ack(a, l, stored[stored_at(l->epoch)].committed);
	}
	for (i = 0; acks && n && i < a->lanes.n; i++)
		ack(a, &a->lanes.of[i], spool_seq_max(a->lanes.of[i].spool));
}

static void put_marked(struct start *a, bool tick, bool *keyframe)
{
	static uint8_t body[4096];
	enum lane_id id = tick ? LANE_SAMPLES : LANE_URGENT;
	struct spool *s = a->lanes.of[id].spool;
	uint64_t n = spool_seq_max(s) + 1;
	bool wanted;

	memcpy(body, &n, sizeof(n));
	body[8] = tick && *keyframe;
	wanted = spool_add(s, tick ? WIRE_TICK : WIRE_KILL, tick && *keyframe, 1, body,
			   9 + roll(4000)) == SPOOL_WANTS_KEYFRAME;
	wanted = disk_keep(a->disk, tick ? WIRE_TICK : WIRE_KILL) || wanted;
	if (tick)
		*keyframe = wanted || roll(40) == 0;
	stored[stored_at(a->lanes.of[id].epoch)].produced = n;
}

static void assert_sums(const struct start *a)
{
	for (size_t i = 0; i < a->lanes.n; i++) {
		struct spool_stats st;

		spool_stats(a->lanes.of[i].spool, &st);
		assert_int_equal(st.produced, st.acked + st.held_records + st.held_gapped);
	}
}

/* May records be lost? Then they are gaps; else there is none. */
static void live_at_random(unsigned seed, const char *disk, bool faults)
{
	unsigned n = 1;
	struct start *a;
	bool keyframe = true, connected = false;

	dice = seed;
	n_stored = 0;
	a = begin(n, disk, 64 * 1024);
	for (unsigned i = 0; i < 3000; i++) {
		unsigned what = roll(1000);

		if (what < 700)
			put_marked(a, what < 600, &keyframe);
		else if (what < 950 && connected)
			send_some(a, roll(20), what < 900);
		else if (what < 975)
			say_hello(a), connected = true;
		else if (what < 985)
			disk_streaming(a->disk, connected = false);
		else if (what < 990 && faults)
			fail_write = roll(2) ? ENOSPC : EIO;
		else if (what < 996)
			turns(a, 0);
		else {
			end(a, roll(3) == 0);
			fail_write = 0;
			a = begin(++n, disk, 64 * 1024);
			keyframe = true;
			connected = false;
		}
		assert_sums(a);
	}
	fail_write = 0;
	for (unsigned i = 0; i < 10; i++) {
		say_hello(a);
		send_some(a, UINT32_MAX, true);
	}
	assert_true(lanes_drained(&a->lanes));
	end(a, true);
	assert_int_equal(files(".seg"), 0);
	for (size_t i = 0; i < n_stored; i++)
		if (!faults) /* with them a killed agent's last numbers may be nowhere */
			assert_int_equal(stored[i].committed, stored[i].produced);
		else
			assert_true(stored[i].committed <= stored[i].produced);
	for (size_t i = 0; i < n_stored && !faults && strcmp(disk, "64MiB") == 0; i++)
		assert_int_equal(stored[i].gapped, 0);
}

static void whatever_happens_every_number_is_stored_once(void **state unused_arg)
{
	for (unsigned seed = 1; seed <= 12; seed++)
		live_at_random(seed, "64MiB", false);
}

static void on_a_small_disk_what_went_is_told(void **state unused_arg)
{
	for (unsigned seed = 100; seed <= 106; seed++)
		live_at_random(seed, "1MiB", false);
}

static void on_a_bad_disk_nothing_is_told_twice(void **state unused_arg)
{
	for (unsigned seed = 200; seed <= 208; seed++)
		live_at_random(seed, "64MiB", true);
}

static void off_means_off(void **state unused_arg)
{
	struct start *a = begin(1, "0", 64 * 1024);
	struct stat st;
	char path[96];

	assert_null(a->disk);
	put(a, WIRE_TICK, true, 10);
	disk_adopt(a->disk);
	disk_acked(a->disk, &a->lanes.of[0]);
	disk_streaming(a->disk, true);
	assert_int_equal(disk_bytes(a->disk), 0);
	snprintf(path, sizeof(path), "%s/spool", folder);
	assert_int_equal(stat(path, &st), -1);
	end(a, true);
}

static int after(void **state)
{
	fail_write = fail_sync = 0;
	return folder_end(state);
}

#define ON_A_FOLDER(f) cmocka_unit_test_setup_teardown(f, folder_begin, after)
#define WITH(f, error)                                                               \
	{                                                                            \
		.name = #f "_" #error, .test_func = (f), .setup_func = folder_begin, \
		.teardown_func = after, .initial_state = &(error)                    \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_FOLDER(what_a_killed_agent_left_is_drained_by_the_next),
		ON_A_FOLDER(what_is_stored_leaves_no_bytes),
		ON_A_FOLDER(a_file_goes_when_all_of_it_is_stored_not_before),
		ON_A_FOLDER(what_a_failed_sync_left_in_doubt_stays_in_memory),
		ON_A_FOLDER(urgent_is_synced_at_once_samples_when_alone),
		ON_A_FOLDER(the_oldest_samples_go_whole_groups_and_events_stay),
		WITH(a_disk_that_fails_costs_nothing, enospc),
		WITH(a_disk_that_fails_costs_nothing, eio),
		WITH(a_disk_that_fails_costs_nothing, erofs),
		WITH(a_disk_that_fails_costs_nothing, edquot),
		ON_A_FOLDER(what_a_failed_sync_leaves_in_doubt_is_written_again),
		ON_A_FOLDER(memory_stays_bounded_while_the_disk_fails),
		ON_A_FOLDER(a_damaged_middle_is_an_exact_gap),
		ON_A_FOLDER(a_missing_file_is_an_exact_gap),
		ON_A_FOLDER(what_is_none_of_ours_is_set_aside),
		ON_A_FOLDER(a_folder_belongs_to_one_agent),
		ON_A_FOLDER(a_folder_that_is_removed_is_made_anew),
		ON_A_FOLDER(after_a_crash_of_the_host_the_end_is_in_doubt),
		ON_A_FOLDER(many_short_lives_are_told_in_turns),
		ON_A_FOLDER(whatever_happens_every_number_is_stored_once),
		ON_A_FOLDER(on_a_small_disk_what_went_is_told),
		ON_A_FOLDER(on_a_bad_disk_nothing_is_told_twice),
		ON_A_FOLDER(off_means_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
