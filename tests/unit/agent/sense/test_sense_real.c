/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole gathering process over this machine's own /proc: twenty frozen children of different
 * sizes and thread counts are reported exactly as /proc has them, and a short life is seen.
 */
#include "agent/sense/sense.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/record.h"
#include "agent/sense/procdir.h"
#include "agent/sense/procfs.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/delta.h"
#include "tests/support/test.h"

#define CHILDREN    20
#define DEADLINE_US (20 * USEC_PER_SEC)

static void *wait_for_ever(unused_arg void *arg)
{
	for (;;)
		pause();
	return NULL;
}

/* Touches mib MiB, starts threads, tells that it is ready and sleeps. */
static pid_t spawn(size_t mib, unsigned threads)
{
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *p;
		pthread_t t;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		p = mmap(NULL, (mib + 1) << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
		memset(p, 'x', mib << 20);
		for (unsigned i = 1; i < threads; i++)
			pthread_create(&t, NULL, wait_for_ever, NULL);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		wait_for_ever(NULL);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The other end of the socket pair. */
struct reader {
	pid_t pid;
	int fd;
	struct delta_state state;
	struct arena arena;
	struct wire_tick tick;
	struct buf body;
	unsigned starts; /* events AGENT_START */
	unsigned selves; /* records that tell its own cost */
};

static void begin(struct reader *r)
{
	const struct sense_config cfg = {.interval_us = USEC_PER_SEC};
	int fd[2];

	memset(r, 0, sizeof(*r));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fd[0]);
		log_init("sense", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
		exit(sense_run(&cfg, &(struct sense_fds){fd[1], -1, -1, -1}));
	}
	close(fd[1]);
	r->fd = fd[0];
	delta_init(&r->state);
	arena_init(&r->arena, (size_t)64 << 20);
	buf_init(&r->body, RECORD_MAX_BODY);
}

/* Closing the link ends it, with exit code 0. */
static void end(struct reader *r)
{
	int status;

	close(r->fd);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	delta_fini(&r->state);
	arena_fini(&r->arena);
	buf_fini(&r->body);
}

static void read_exactly(struct reader *r, void *out, size_t len, int64_t deadline)
{
	size_t have = 0;

	while (have < len) {
		struct pollfd p = {.fd = r->fd, .events = POLLIN};
		int64_t left = deadline - clock_boot_us();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)(left / 1000) + 1) <= 0)
			fail_msg("nothing came from sense in time");
		n = read(r->fd, (char *)out + have, len - have);
		assert_true(n > 0);
		have += (size_t)n;
	}
}

static enum record_kind next_record(struct reader *r, struct record_head *head)
{
	int64_t deadline = clock_boot_us() + DEADLINE_US;
	uint8_t *to;

	read_exactly(r, head, sizeof(*head), deadline);
	assert_true(head->len <= RECORD_MAX_BODY);
	buf_reset(&r->body);
	to = buf_reserve(&r->body, head->len);
	assert_non_null(to);
	read_exactly(r, to, head->len, deadline);
	r->body.len = head->len;
	return head->kind;
}

/* Applies records up to and with the next tick. */
static void next_tick(struct reader *r)
{
	struct record_head head;
	struct wire_event event;
	struct error err = {""};

	for (;;) {
		enum record_kind kind = next_record(r, &head);

		arena_reset(&r->arena);
		if (kind == RECORD_SELF)
			r->selves++;
		if (kind == RECORD_EVENT) {
			assert_int_equal(wire_unpack_event(&r->arena, r->body.data, r->body.len,
							   &event, &err),
					 0);
			r->starts += event.kind == WIRE_EVENT_AGENT_START;
		}
		if (kind == RECORD_TICK)
			break;
	}
	if (wire_unpack_tick(&r->arena, r->body.data, r->body.len, &r->tick, &err) < 0 ||
	    delta_apply(&r->state, &r->tick, &err) < 0)
		fail_msg("tick: %s", err.msg);
	assert_int_equal(!!(head.flags & RECORD_KEYFRAME), r->tick.keyframe);
}

/* The slot of that pid; without one, a slot that is not live. */
static const struct delta_slot *find(const struct reader *r, pid_t pid)
{
	static const struct delta_slot none;

	for (size_t i = 0; i < r->state.n_slots; i++)
		if (r->state.slots[i].live && r->state.slots[i].pid == (uint32_t)pid)
			return &r->state.slots[i];
	return &none;
}

static void compare_with_proc(const struct procdir *d, pid_t pid, const struct delta_slot *slot)
{
	char buf[4096];
	int64_t v[PROCFS_STATUS_COUNT];
	struct procfs_statm m;
	struct procfs_stat st;
	int64_t page_kib = sysconf(_SC_PAGESIZE) / 1024;
	int n = procdir_read(d, (uint32_t)pid, "status", buf, sizeof(buf));

	assert_true(n > 0);
	procfs_parse_status(buf, (size_t)n, v);
	assert_int_equal(slot->v[METRIC_RSS], v[PROCFS_VMRSS]);
	assert_int_equal(slot->v[METRIC_ANON], v[PROCFS_RSSANON]);
	assert_int_equal(slot->v[METRIC_FILE], v[PROCFS_RSSFILE]);
	assert_int_equal(slot->v[METRIC_SHMEM], v[PROCFS_RSSSHMEM]);
	assert_int_equal(slot->v[METRIC_SWAP], v[PROCFS_VMSWAP]);
	assert_int_equal(slot->v[METRIC_THREADS], v[PROCFS_THREADS]);
	n = procdir_read(d, (uint32_t)pid, "statm", buf, sizeof(buf));
	assert_int_equal(procfs_parse_statm(buf, (size_t)n, &m), 0);
	assert_int_equal(slot->v[METRIC_RSS], (int64_t)m.resident * page_kib);
	assert_int_equal(slot->v[METRIC_VSIZE], (int64_t)m.size * page_kib);
	n = procdir_read(d, (uint32_t)pid, "stat", buf, sizeof(buf));
	assert_int_equal(procfs_parse_stat(buf, (size_t)n, &st), 0);
	assert_int_equal(slot->start_ticks, st.start_ticks);
	assert_int_equal(slot->v[METRIC_MINFLT], st.minflt);
	assert_int_equal(slot->v[METRIC_FDS], procdir_count_fds(d, (uint32_t)pid));
}

static void twenty_frozen_processes_are_reported_exactly(void **state unused_arg)
{
	pid_t pids[CHILDREN];
	struct reader r;
	struct procdir d;
	struct error err;

	for (unsigned i = 0; i < CHILDREN; i++) {
		pids[i] = spawn(1 + 2 * i, 1 + i % 5);
		kill(pids[i], SIGSTOP);
		assert_int_equal(waitpid(pids[i], NULL, WUNTRACED), pids[i]);
	}
	assert_int_equal(procdir_open(&d, "/proc", &err), 0);
	begin(&r);
	next_tick(&r);
	assert_int_equal(r.starts, 1);
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < CHILDREN; i++) {
			const struct delta_slot *slot = find(&r, pids[i]);

			assert_true(slot->live);
			assert_true(slot->v[METRIC_RSS] >= (int64_t)(1 + 2 * i) * 1024);
#ifndef __SANITIZE_THREAD__ /* its runtime adds one or two: only /proc's number is known then */
			assert_int_equal(slot->v[METRIC_THREADS], 1 + i % 5);
#endif
			compare_with_proc(&d, pids[i], slot);
		}
		next_tick(&r);
	}
	assert_true(r.selves > 0);
	assert_true(r.state.host[HOST_METRIC_TOTAL] > 0);
	end(&r);
	procdir_close(&d);
	for (unsigned i = 0; i < CHILDREN; i++)
		end_child(pids[i]);
}

static void a_short_life_is_seen_with_start_and_exit(void **state unused_arg)
{
	struct reader r;
	pid_t pid;
	uint32_t id = 0;
	bool started = false;
	bool exited = false;

	begin(&r);
	next_tick(&r);
	pid = spawn(4, 1);
	for (int i = 0; i < 3; i++) {
		next_tick(&r);
		for (size_t k = 0; k < r.tick.n_born; k++) {
			if (r.tick.born[k].pid != (uint32_t)pid)
				continue;
			assert_true(r.tick.born[k].fresh);
			id = r.tick.born[k].id;
			started = true;
		}
	}
	assert_true(started);
	assert_true(find(&r, pid)->live);
	end_child(pid);
	for (int i = 0; i < 2; i++) {
		next_tick(&r);
		for (size_t k = 0; k < r.tick.n_exited; k++)
			exited = exited || r.tick.exited[k] == id;
	}
	assert_true(exited);
	assert_false(find(&r, pid)->live);
	end(&r);
}

static void link_may_ask_for_a_keyframe(void **state unused_arg)
{
	const struct record_head want = {.kind = RECORD_WANT_KEYFRAME};
	struct reader r;
	bool keyframe = false;

	begin(&r);
	next_tick(&r);
	assert_true(r.tick.keyframe);
	/* in two pieces, as a stream may bring it */
	assert_int_equal(write(r.fd, &want, 3), 3);
	usleep(10000);
	assert_int_equal(write(r.fd, (const char *)&want + 3, sizeof(want) - 3), sizeof(want) - 3);
	for (int i = 0; i < 3 && !keyframe; i++) {
		next_tick(&r);
		keyframe = r.tick.keyframe;
	}
	assert_true(keyframe);
	assert_false(r.tick.born[0].known);
	end(&r);
}

static void a_link_that_stops_reading_gets_a_keyframe_later(void **state unused_arg)
{
	struct reader r;
	int small = 1;

	begin(&r);
	next_tick(&r);
	assert_int_equal(setsockopt(r.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	sleep(2);
	/* whatever was dropped meanwhile, each tick that comes applies */
	for (int i = 0; i < 3; i++)
		next_tick(&r);
	end(&r);
}

static void sigterm_ends_it_with_a_word(void **state unused_arg)
{
	struct record_head head;
	struct reader r;
	struct wire_event event = {0};
	struct error err;
	int status;

	begin(&r);
	next_tick(&r);
	kill(r.pid, SIGTERM);
	while (event.kind != WIRE_EVENT_AGENT_STOP) {
		if (next_record(&r, &head) != RECORD_EVENT)
			continue;
		arena_reset(&r.arena);
		assert_int_equal(wire_unpack_event(&r.arena, r.body.data, r.body.len, &event, &err),
				 0);
	}
	assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(r.fd);
	delta_fini(&r.state);
	arena_fini(&r.arena);
	buf_fini(&r.body);
}

static void nonsense_from_link_ends_it(void **state unused_arg)
{
	const struct record_head bad = {.kind = RECORD_WANT_KEYFRAME, .len = 0xffffffff};
	struct reader r;
	int status;

	begin(&r);
	next_tick(&r);
	assert_int_equal(write(r.fd, &bad, sizeof(bad)), sizeof(bad));
	assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(r.fd);
	delta_fini(&r.state);
	arena_fini(&r.arena);
	buf_fini(&r.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(twenty_frozen_processes_are_reported_exactly),
		cmocka_unit_test(a_short_life_is_seen_with_start_and_exit),
		cmocka_unit_test(link_may_ask_for_a_keyframe),
		cmocka_unit_test(a_link_that_stops_reading_gets_a_keyframe_later),
		cmocka_unit_test(sigterm_ends_it_with_a_word),
		cmocka_unit_test(nonsense_from_link_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
