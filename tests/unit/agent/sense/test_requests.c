/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/requests.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/command.h"
#include "tests/support/test.h"

static int fds[2]; /* link's end and sense's */
static struct requests r;
static unsigned keyframes;
static unsigned actions;
static struct record_action last;
static struct error err;

static void on_keyframe(void *arg unused_arg)
{
	keyframes++;
}

static void on_action(void *arg unused_arg, const struct record_action *a)
{
	actions++;
	last = *a;
}

static const struct requests_ops ops = {.keyframe = on_keyframe, .action = on_action};

static int begin(void **state unused_arg)
{
	r = (struct requests){.have = 0};
	keyframes = actions = 0;
	memset(&last, 0, sizeof(last));
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static int finish(void **state unused_arg)
{
	close(fds[1]);
	return fds[0] < 0 ? 0 : close(fds[0]);
}

static void say(const void *data, size_t len)
{
	assert_int_equal(write(fds[0], data, len), (ssize_t)len);
}

static int hear(void)
{
	return requests_read(&r, fds[1], &ops, NULL, &err);
}

struct said {
	struct record_head head;
	struct record_action action;
};

static struct said restart_of(uint32_t pid, uint64_t start_ticks)
{
	return (struct said){
		.head = {.kind = RECORD_ACTION, .len = sizeof(struct record_action)},
		.action = {.id = {7},
			   .pid = pid,
			   .start_ticks = start_ticks,
			   .action = COMMAND_RESTART},
	};
}

static void requests_of_both_kinds_are_heard_in_pieces_too(void **state unused_arg)
{
	const struct record_head want = {.kind = RECORD_WANT_KEYFRAME};
	struct said a = restart_of(42, 4200);

	assert_int_equal(hear(), 0);
	say(&want, sizeof(want));
	say(&a, sizeof(a));
	say(&want, sizeof(want));
	assert_int_equal(hear(), 0);
	assert_int_equal(keyframes, 2);
	assert_int_equal(actions, 1);
	assert_memory_equal(&last, &a.action, sizeof(last));
	a.action.pid = 43;
	for (size_t i = 0; i < sizeof(a); i++) {
		assert_int_equal(actions, 1);
		say((const char *)&a + i, 1);
		assert_int_equal(hear(), 0);
	}
	assert_int_equal(actions, 2);
	assert_int_equal(last.pid, 43);
}

static void a_turn_takes_only_so_many(void **state unused_arg)
{
	const struct said a = restart_of(42, 4200);

	for (int i = 0; i < 3 * REQUESTS_PER_TURN; i++)
		say(&a, sizeof(a));
	assert_int_equal(hear(), 0);
	assert_int_equal(actions, REQUESTS_PER_TURN);
	assert_int_equal(hear(), 0);
	assert_int_equal(hear(), 0);
	assert_int_equal(actions, 3 * REQUESTS_PER_TURN);
}

static void lengths_and_kinds_are_judged_before_anything_is_read(void **state unused_arg)
{
	struct record_head h = {0};
	unsigned taken = 0;

	for (unsigned kind = 0; kind <= UINT16_MAX; kind++)
		for (uint32_t len = 0; len <= 64; len++) {
			h.kind = (uint16_t)kind;
			h.len = len;
			taken += requests_judge(&h, &err) == 0;
		}
	assert_int_equal(taken, 2);
	h = (struct record_head){.kind = RECORD_ACTION, .len = UINT32_MAX};
	say(&h, sizeof(h));
	assert_int_equal(hear(), -EBADMSG);
}

static void an_action_names_a_process_and_is_known(void **state)
{
	const struct said wrong[] = {
		restart_of(0, 4200),
		restart_of(42, 0),
		{.head = restart_of(1, 1).head,
		 .action = {.pid = 42, .start_ticks = 1, .action = 99}},
		{.head = restart_of(1, 1).head,
		 .action = {.pid = 42, .start_ticks = 1, .action = COMMAND_TRIM, .state = 2}},
	};
	struct said off = {.head = restart_of(1, 1).head,
			   .action = {.id = {9}, .state = RECORD_ACTION_OFF}};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (i) {
			finish(state);
			begin(state);
		}
		say(&wrong[i], sizeof(wrong[i]));
		assert_int_equal(hear(), -EBADMSG);
		assert_int_equal(actions, 0);
	}
	finish(state);
	begin(state);
	say(&off, sizeof(off));
	assert_int_equal(hear(), 0);
	assert_int_equal(last.state, RECORD_ACTION_OFF);
}

static void a_link_that_ends_is_told(void **state unused_arg)
{
	close(fds[0]);
	fds[0] = -1;
	assert_int_equal(hear(), -EPIPE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(requests_of_both_kinds_are_heard_in_pieces_too),
		T(a_turn_takes_only_so_many),
		T(lengths_and_kinds_are_judged_before_anything_is_read),
		T(an_action_names_a_process_and_is_known),
		T(a_link_that_ends_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
