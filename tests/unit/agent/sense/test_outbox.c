/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/outbox.h"

#include <errno.h>
#include <sys/socket.h>

#include "tests/support/test.h"

static void records_arrive_whole_and_in_order(void **state unused_arg)
{
	struct record_head head;
	struct outbox o;
	char body[8];
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	outbox_init(&o, fd[0]);
	assert_int_equal(outbox_push(&o, RECORD_TICK, RECORD_KEYFRAME, 42, "abc", 3), 0);
	assert_int_equal(outbox_push(&o, RECORD_EVENT, 0, 43, "", 0), 0);
	assert_int_equal(outbox_flush(&o), 0);
	assert_int_equal(read(fd[1], &head, sizeof(head)), sizeof(head));
	assert_int_equal(head.len, 3);
	assert_int_equal(head.kind, RECORD_TICK);
	assert_int_equal(head.flags, RECORD_KEYFRAME);
	assert_int_equal(head.t_wall_us, 42);
	assert_int_equal(read(fd[1], body, 3), 3);
	assert_memory_equal(body, "abc", 3);
	assert_int_equal(read(fd[1], &head, sizeof(head)), sizeof(head));
	assert_int_equal(head.kind, RECORD_EVENT);
	close(fd[0]);
	close(fd[1]);
	outbox_fini(&o);
}

static void a_slow_reader_costs_ticks_and_nothing_else(void **state unused_arg)
{
	static char big[RECORD_MAX_BODY];
	static char sink[RECORD_MAX_BODY];
	struct outbox o;
	size_t got = 0;
	int fd[2];
	int r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	outbox_init(&o, fd[0]);
	for (unsigned i = 0; i < OUTBOX_TICKS; i++)
		assert_int_equal(outbox_push(&o, RECORD_TICK, 0, 0, big, sizeof(big)), 0);
	assert_int_equal(outbox_push(&o, RECORD_TICK, 0, 0, "x", 1), -ENOBUFS);
	/* an event still finds room */
	assert_int_equal(outbox_push(&o, RECORD_EVENT, 0, 0, "x", 1), 0);
	assert_int_equal(outbox_flush(&o), 1);
	assert_int_equal(outbox_push(&o, RECORD_TICK, 0, 0, "x", 1), -ENOBUFS);
	do {
		ssize_t n;

		r = outbox_flush(&o);
		while ((n = read(fd[1], sink, sizeof(sink))) > 0)
			got += (size_t)n;
	} while (r == 1);
	assert_int_equal(r, 0);
	assert_int_equal(got, OUTBOX_TICKS * (sizeof(big) + sizeof(struct record_head)) +
				      sizeof(struct record_head) + 1);
	assert_int_equal(outbox_push(&o, RECORD_TICK, 0, 0, "x", 1), 0);
	close(fd[0]);
	close(fd[1]);
	outbox_fini(&o);
}

static void a_full_queue_never_holds_half_a_record(void **state unused_arg)
{
	static char big[RECORD_MAX_BODY + 1];
	struct outbox o;
	size_t before;
	int n = 0;

	outbox_init(&o, -1);
	assert_int_equal(outbox_push(&o, RECORD_EVENT, 0, 0, big, sizeof(big)), -EMSGSIZE);
	while (outbox_push(&o, RECORD_EVENT, 0, 0, big, 100000) == 0)
		n++;
	assert_true(n >= 4);
	before = o.bytes.len;
	assert_int_equal(outbox_push(&o, RECORD_EVENT, 0, 0, big, RECORD_MAX_BODY), -ENOBUFS);
	assert_int_equal(o.bytes.len, before);
	assert_true(o.bytes.len <= OUTBOX_MAX);
	outbox_fini(&o);
}

static void a_closed_link_is_an_error(void **state unused_arg)
{
	struct outbox o;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	close(fd[1]);
	outbox_init(&o, fd[0]);
	assert_int_equal(outbox_push(&o, RECORD_TICK, 0, 0, "x", 1), 0);
	assert_int_equal(outbox_flush(&o), -EPIPE);
	close(fd[0]);
	outbox_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_arrive_whole_and_in_order),
		cmocka_unit_test(a_slow_reader_costs_ticks_and_nothing_else),
		cmocka_unit_test(a_full_queue_never_holds_half_a_record),
		cmocka_unit_test(a_closed_link_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
