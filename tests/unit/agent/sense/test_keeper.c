/* SPDX-License-Identifier: Apache-2.0 */
/* The black box from one life of the agent to the next, and what the next one says of it. */
#include "agent/sense/keeper.h"

#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/support/folder.h"

#define MIB INT64_C(1024)
#define T0  (INT64_C(1790000000) * USEC_PER_SEC)

static const uint8_t first_boot[16] = {1}, second_boot[16] = {2};

/* One life: a sender whose records come out of fd. */
struct life {
	struct keeper keeper;
	struct outbox outbox;
	struct sender sender;
	struct arena arena;
	int fd[2];
};

static void live(struct life *l, const uint8_t boot_id[16], const char *path)
{
	memset(l, 0, sizeof(*l));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, l->fd),
			 0);
	outbox_init(&l->outbox, l->fd[0]);
	sender_init(&l->sender, &l->outbox, boot_id);
	arena_init(&l->arena, 1 << 20);
	keeper_open(&l->keeper, path, boot_id);
	keeper_recall(&l->keeper, &l->sender, T0 + 100 * USEC_PER_SEC);
}

/* Ends without a word, as by SIGKILL or power. */
static void die(struct life *l)
{
	blackbox_close(&l->keeper.box);
	sender_fini(&l->sender);
	outbox_fini(&l->outbox);
	arena_fini(&l->arena);
	close(l->fd[0]);
	close(l->fd[1]);
}

/* The next record that was told; its kind, 0 when there is none. */
static unsigned next_record(struct life *l, uint8_t *body, struct record_head *head)
{
	assert_int_equal(outbox_flush(&l->outbox), 0);
	if (recv(l->fd[1], head, sizeof(*head), MSG_DONTWAIT) != sizeof(*head))
		return 0;
	assert_int_equal(recv(l->fd[1], body, head->len, MSG_WAITALL), head->len);
	return head->kind;
}

static struct survey *survey(void)
{
	static struct survey v;
	const struct survey_config cfg = {.interval_us = 10 * USEC_PER_SEC};
	const struct ring_birth b = {
		.pid = 77, .start_ticks = 5, .comm = "python3", .service = "shop", .container = ""};
	struct error err;

	assert_int_equal(survey_init(&v, &cfg, &err), 0);
	v.figures[HOST_METRIC_TOTAL] = 1000 * MIB;
	v.figures[HOST_METRIC_AVAILABLE] = 10 * MIB;
	v.figures[HOST_METRIC_SWAP_FREE] = METRIC_ABSENT;
	ring_round_begin(&v.ring, USEC_PER_SEC, 3);
	assert_int_equal(ring_birth(&v.ring, 0, &b), 0);
	ring_value(&v.ring, 0, 900 * 1024, 0);
	ring_round_end(&v.ring);
	return &v;
}

static struct wire_kill a_kill(void)
{
	struct wire_kill k = {.t_wall_us = T0, .seq = 4711, .cause = KILL_CAUSE_KERNEL_MEMCG};

	k.victim.uid = k.trigger.uid = -1;
	return k;
}

static void an_unclean_end_is_told_once(void **state unused_arg)
{
	static uint8_t body[RECORD_MAX_BODY];
	struct record_head head;
	struct error err = {""};
	struct wire_event e;
	struct life l;
	char path[128];
	struct survey *v = survey();

	snprintf(path, sizeof(path), "%s/box", folder);
	live(&l, first_boot, path);
	assert_int_equal(next_record(&l, body, &head), 0); /* nothing was before */
	keeper_beat(&l.keeper, v, T0, 2 * USEC_PER_SEC);
	die(&l);
	live(&l, second_boot, path);
	assert_int_equal(next_record(&l, body, &head), RECORD_EVENT);
	assert_int_equal(wire_unpack_event(&l.arena, body, head.len, &e, &err), 0);
	assert_int_equal(e.kind, WIRE_EVENT_HOST_END);
	assert_non_null(strstr(e.text, "1 % of its memory available"));
	assert_string_equal(e.keys[5], "largest");
	assert_string_equal(e.values[5], "shop");
	assert_string_equal(e.values[4], "unknown");
	keeper_beat(&l.keeper, v, T0 + USEC_PER_SEC, 3 * USEC_PER_SEC);
	die(&l);
	live(&l, second_boot, path); /* the agent alone started again */
	assert_int_equal(next_record(&l, body, &head), 0);
	die(&l);
	survey_fini(v);
}

static void an_orderly_end_is_no_news(void **state unused_arg)
{
	static uint8_t body[RECORD_MAX_BODY];
	struct record_head head;
	struct life l;
	char path[128];
	struct survey *v = survey();

	snprintf(path, sizeof(path), "%s/clean", folder);
	live(&l, first_boot, path);
	keeper_beat(&l.keeper, v, T0, 2 * USEC_PER_SEC);
	keeper_close(&l.keeper, T0 + USEC_PER_SEC);
	l.keeper.box.fd = -1;
	die(&l);
	live(&l, second_boot, path);
	assert_int_equal(next_record(&l, body, &head), 0);
	die(&l);
	survey_fini(v);
}

static void recent_kills_are_told_again(void **state unused_arg)
{
	static uint8_t body[RECORD_MAX_BODY];
	struct record_head head;
	struct error err = {""};
	struct wire_kill k = a_kill(), r;
	const struct buf *packed;
	struct life l;
	char path[128];

	snprintf(path, sizeof(path), "%s/kills", folder);
	live(&l, first_boot, path);
	memcpy(k.boot_id, first_boot, sizeof(k.boot_id));
	packed = sender_kill(&l.sender, &k);
	assert_non_null(packed);
	assert_int_equal(next_record(&l, body, &head), RECORD_KILL);
	keeper_kill(&l.keeper, T0, packed);
	k.seq = 1;
	packed = sender_kill(&l.sender, &k);
	keeper_kill(&l.keeper, T0 - KEEPER_AGAIN_US, packed); /* too old by now */
	die(&l);
	live(&l, first_boot, path);
	assert_int_equal(next_record(&l, body, &head), RECORD_KILL);
	assert_int_equal(wire_unpack_kill(&l.arena, body, head.len, &r, &err), 0);
	assert_int_equal(r.seq, 4711);
	assert_int_equal(next_record(&l, body, &head), 0);
	die(&l);
}

static void without_a_place_to_keep_it_all_goes_on(void **state unused_arg)
{
	struct survey *v = survey();
	struct wire_kill k = a_kill();
	struct life l;

	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	live(&l, first_boot, "/nonexistent/folder/box");
	keeper_beat(&l.keeper, v, T0, USEC_PER_SEC);
	keeper_kill(&l.keeper, T0, sender_kill(&l.sender, &k));
	keeper_close(&l.keeper, T0);
	l.keeper.box.fd = -1;
	die(&l);
	live(&l, first_boot, NULL);
	keeper_beat(&l.keeper, v, T0, USEC_PER_SEC);
	die(&l);
	survey_fini(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unclean_end_is_told_once),
		cmocka_unit_test(an_orderly_end_is_no_news),
		cmocka_unit_test(recent_kills_are_told_again),
		cmocka_unit_test(without_a_place_to_keep_it_all_goes_on),
	};

	return cmocka_run_group_tests(tests, folder_begin, folder_end);
}
