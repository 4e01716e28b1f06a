/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real Python master with forked workers and one that multiprocessing spawned, read from this
 * machine's own /proc: roles, slots, and a replaced worker's slot.
 */
#include "agent/sense/tick.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "agent/record.h"
#include "common/clock.h"
#include "tests/support/test.h"

/* Two forked workers and a spawned one, each printing its pid once it is ready to end with its
 * parent; a worker that ends is replaced. */
static const char script[] =
	"import ctypes, multiprocessing, os, time\n"
	"def work():\n"
	"    ctypes.CDLL(None).prctl(1, 9)\n"
	"    os.write(1, b'%d\\n' % os.getpid())\n"
	"    while True: time.sleep(60)\n"
	"def fork():\n"
	"    if os.fork() == 0: work()\n"
	"if __name__ == '__main__':\n"
	"    multiprocessing.get_context('spawn').Process(target=work).start()\n"
	"    fork(); fork()\n"
	"    while True:\n"
	"        os.wait()\n"
	"        fork()\n";

struct master {
	char path[40];
	pid_t pid;
	FILE *out;
};

static struct ticker ticker;

static void start(struct master *m)
{
	int pipes[2];
	int fd;

	strcpy(m->path, "/tmp/memherd-prefork.XXXXXX");
	fd = mkstemp(m->path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	m->pid = fork();
	if (m->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pipes[1], STDOUT_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		execl("/usr/bin/python3", "python3", m->path, NULL);
		_exit(127);
	}
	close(pipes[1]);
	m->out = fdopen(pipes[0], "r");
}

static void stop(struct master *m)
{
	kill(m->pid, SIGKILL);
	waitpid(m->pid, NULL, 0);
	fclose(m->out);
	unlink(m->path);
}

static void turn(void)
{
	struct buf body = BUF_INIT(RECORD_MAX_BODY);
	struct error err = {""};
	bool keyframe;

	if (ticker_round(&ticker, clock_wall_us(), clock_boot_us(), &body, &keyframe, &err) < 0)
		fail_msg("round: %s", err.msg);
	buf_fini(&body);
}

static const struct proc *find(int pid)
{
	uint32_t id = proctab_find(&ticker.sampler.tab, (uint32_t)pid);

	assert_true(id != PROC_NO_ID);
	return &ticker.sampler.tab.procs[id];
}

static void a_real_family_is_filed(void **state unused_arg)
{
	const struct ticker_config cfg = {.sampling = {.proc_path = "/proc",
						       .max_processes = 65536,
						       .stat_every = 12,
						       .full_every = 30},
					  .interval_us = 1000000,
					  .keyframe_us = INT64_MAX / 2,
					  .window_us = INT64_MAX / 2};
	struct master m;
	struct error err;
	int pid[4];
	uint16_t service;
	uint16_t slot;

	start(&m);
	assert_int_equal(fscanf(m.out, "%d %d %d", &pid[0], &pid[1], &pid[2]), 3);
	assert_int_equal(ticker_init(&ticker, &cfg, &err), 0);
	/* a full machine is told in several ticks; who was born in between settles */
	for (int i = 0; i < 8; i++)
		turn();
	service = find(m.pid)->service;
	assert_int_not_equal(service, SERVICES_NONE);
	assert_int_equal(find(m.pid)->role, WIRE_ROLE_MASTER);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(find(pid[i])->service, service);
		assert_int_equal(find(pid[i])->role, WIRE_ROLE_WORKER);
		assert_int_not_equal(find(pid[i])->slot, 0);
	}
	assert_int_not_equal(find(pid[0])->slot, find(pid[1])->slot);
	slot = find(pid[0])->slot;
	kill(pid[0], SIGKILL);
	assert_int_equal(fscanf(m.out, "%d", &pid[3]), 1);
	turn();
	assert_int_equal(find(pid[3])->slot, slot);
	ticker_fini(&ticker);
	stop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_family_is_filed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
