/* SPDX-License-Identifier: Apache-2.0 */
/* Process trees as folders, through the sampler and the ticks: what is announced of whom. */
#include "agent/sense/tick.h"

#include <errno.h>
#include <sys/socket.h>

#include "agent/record.h"
#include "agent/sense/identify.h"
#include "agent/sense/naming.h"
#include "tests/unit/agent/sense/fakeproc.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct ticker ticker;
static struct arena arena;
static struct wire_tick tick;
static int64_t now_us;

static void begin(void)
{
	const struct ticker_config cfg = {.sampling = {.proc_path = fakeproc,
						       .max_processes = 1000,
						       .stat_every = 12,
						       .full_every = 30},
					  .interval_us = 1000000,
					  .keyframe_us = INT64_MAX / 2,
					  .window_us = INT64_MAX / 2};
	struct error err;

	fake_begin();
	assert_int_equal(ticker_init(&ticker, &cfg, &err), 0);
	arena_init(&arena, (size_t)64 << 20);
	now_us = 1000000;
}

static void end(void)
{
	ticker_fini(&ticker);
	arena_fini(&arena);
	fake_end();
}

static void turn(void)
{
	struct buf body = BUF_INIT(RECORD_MAX_BODY);
	struct error err = {""};
	bool keyframe;

	now_us += 1000000;
	arena_reset(&arena);
	if (ticker_round(&ticker, now_us, now_us, &body, &keyframe, &err) < 0)
		fail_msg("round: %s", err.msg);
	if (wire_unpack_tick(&arena, body.data, body.len, &tick, &err) < 0)
		fail_msg("unpack: %s", err.msg);
	buf_fini(&body);
}

static const struct wire_process *born(unsigned pid)
{
	static const struct wire_process nobody = {.service = "nobody's", .cmdline = ""};

	for (size_t i = 0; i < tick.n_born; i++)
		if (tick.born[i].pid == pid)
			return &tick.born[i];
	fail_msg("%u was not announced", pid);
	return &nobody;
}

static const struct proc *known(unsigned pid)
{
	uint32_t id = proctab_find(&ticker.sampler.tab, pid);

	assert_true(id != PROC_NO_ID);
	return &ticker.sampler.tab.procs[id];
}

static void put(unsigned pid, unsigned ppid, const char *exe, const char *cmdline,
		const char *cgroup)
{
	const struct fake f = {.pid = pid,
			       .ppid = ppid,
			       .comm = "c",
			       .exe = exe,
			       .cmdline = cmdline,
			       .cgroup = cgroup,
			       .size = 50,
			       .resident = 10,
			       .start = pid};

	fake_put(&f);
}

static void expect(unsigned pid, const char *service, enum wire_role role)
{
	const struct wire_process *w = born(pid);

	assert_string_equal(w->service, service);
	if (w->role != role)
		fail_msg("%u is a '%s'", pid, wire_role_word(w->role));
	assert_int_equal(!w->slot, role != WIRE_ROLE_WORKER);
}

/* The slots of those announced, as bits: a folder is listed in any order. */
static unsigned slots(void)
{
	unsigned bits = 0;

	for (size_t i = 0; i < tick.n_born; i++)
		if (tick.born[i].slot)
			bits |= 1u << tick.born[i].slot;
	return bits;
}

/* Until that one is announced, once more. */
static void wait_for(unsigned pid)
{
	for (int rounds = 0; rounds < 40; rounds++) {
		turn();
		for (size_t i = 0; i < tick.n_born; i++)
			if (tick.born[i].pid == pid)
				return;
	}
	fail_msg("%u is not told again", pid);
}

#define PYTHON "/usr/bin/python3.11"

static void titles_give_roles_and_slots(void **state unused_arg)
{
	static const char unit[] = "0::/system.slice/shop.service";
	uint32_t slot;

	begin();
	put(10, 1, PYTHON, "gunicorn: master [shop]", unit);
	put(11, 10, PYTHON, "gunicorn: worker [shop]", unit);
	put(12, 10, PYTHON, "gunicorn: worker [shop]", unit);
	turn();
	expect(10, "shop", WIRE_ROLE_MASTER);
	expect(11, "shop", WIRE_ROLE_WORKER);
	expect(12, "shop", WIRE_ROLE_WORKER);
	assert_int_equal(slots(), 1u << 1 | 1u << 2);
	slot = born(11)->slot;
	/* replaced within a round: the slot is the same */
	fake_remove(11);
	put(13, 10, PYTHON, "gunicorn: worker [shop]", unit);
	turn();
	expect(13, "shop", WIRE_ROLE_WORKER);
	assert_int_equal(born(13)->slot, slot);
	assert_int_equal(services_get(&ticker.sampler.services, known(10)->service)->starts, 4);
	end();
}

static void a_family_without_titles_has_roles_too(void **state unused_arg)
{
	begin();
	/* pids wrapped around: the children come first */
	put(11, 500, PYTHON, "python3 /srv/app.py", NULL);
	put(12, 500, PYTHON, "python3 /srv/app.py", NULL);
	put(500, 1, PYTHON, "python3 /srv/app.py", NULL);
	put(600, 11, PYTHON, "python3 /srv/app.py", NULL);
	put(601, 500, "/bin/true", "true", NULL);
	turn();
	expect(11, "python3.11", WIRE_ROLE_WORKER);
	expect(12, "python3.11", WIRE_ROLE_WORKER);
	/* a worker's child is no worker */
	expect(600, "python3.11", WIRE_ROLE_NONE);
	expect(601, "true", WIRE_ROLE_NONE);
	assert_int_equal(slots(), 1u << 1 | 1u << 2);
	/* announced after its children it was the master at once, else it is told again */
	if (born(500)->role == WIRE_ROLE_NONE)
		wait_for(500);
	expect(500, "python3.11", WIRE_ROLE_MASTER);
	end();
}

static void other_programs_of_the_unit_are_no_workers(void **state unused_arg)
{
	static const char pod[] = "0::/docker/" ID;

	begin();
	put(10, 1, PYTHON, "supervisord: x", pod);
	put(11, 10, PYTHON, "gunicorn: master [shop]", pod);
	put(12, 11, PYTHON, "gunicorn: worker [shop]", pod);
	put(13, 10, "/usr/sbin/nginx", "nginx: master process nginx", pod);
	put(14, 13, "/usr/sbin/nginx", "nginx: worker process", pod);
	put(15, 13, "/usr/sbin/nginx", "nginx: cache manager process", pod);
	turn();
	expect(10, "docker:0123456789ab", WIRE_ROLE_NONE);
	expect(11, "docker:0123456789ab", WIRE_ROLE_MASTER);
	expect(12, "docker:0123456789ab", WIRE_ROLE_WORKER);
	expect(13, "docker:0123456789ab", WIRE_ROLE_MASTER);
	expect(14, "docker:0123456789ab", WIRE_ROLE_WORKER);
	expect(15, "docker:0123456789ab", WIRE_ROLE_WORKER);
	assert_int_equal(slots(), 1u << 1 | 1u << 2 | 1u << 3);
	assert_string_equal(born(10)->container, "0123456789ab");
	end();
}

/* The parent becomes the master once the child has stayed; then it is told again, as it was. */
static void a_fork_makes_a_master_only_when_it_stays(void **state unused_arg)
{
	static const char unit[] = "0::/system.slice/shop.service";

	begin();
	put(10, 1, PYTHON, "prefork", unit);
	turn();
	expect(10, "shop", WIRE_ROLE_NONE);
	put(11, 10, PYTHON, "prefork", unit);
	turn();
	expect(11, "shop", WIRE_ROLE_WORKER);
	assert_int_equal(slots(), 1u << 1);
	wait_for(10);
	expect(10, "shop", WIRE_ROLE_MASTER);
	assert_false(born(10)->fresh);
	assert_int_equal(tick.n_exited, 1);
	/* nothing of it counts as a start or another life */
	assert_int_equal(services_get(&ticker.sampler.services, known(10)->service)->starts, 2);
	assert_int_equal(services_get(&ticker.sampler.services, known(10)->service)->incarnation,
			 1);
	/* a fork that becomes another program */
	put(12, 10, PYTHON, "prefork", unit);
	turn();
	expect(12, "shop", WIRE_ROLE_WORKER);
	assert_int_equal(slots(), 1u << 2);
	put(12, 10, "/usr/bin/convert", "convert a b", unit);
	turn();
	expect(12, "shop", WIRE_ROLE_NONE);
	put(13, 10, PYTHON, "prefork", unit);
	turn();
	expect(13, "shop", WIRE_ROLE_WORKER);
	assert_int_equal(slots(), 1u << 2);
	end();
}

static void a_shell_that_runs_programs_is_no_master(void **state unused_arg)
{
	begin();
	put(10, 1, "/bin/bash", "bash", NULL);
	turn();
	put(11, 10, "/bin/bash", "bash", NULL);
	turn();
	put(11, 10, "/usr/bin/make", "make", NULL);
	turn();
	expect(11, "make", WIRE_ROLE_NONE);
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(known(10)->role, WIRE_ROLE_NONE);
	end();
}

static void spawned_children_are_their_parents_workers(void **state unused_arg)
{
	static const char master[] = "python3\0-m\0uvicorn\0main:app\0--workers\0"
				     "2";
	static const char child[] =
		"python3\0-c\0from multiprocessing.spawn import spawn_main; spawn_main()";

	begin();
	put(10, 1, PYTHON, "", NULL);
	fake_text(10, "cmdline", master, sizeof(master));
	turn();
	expect(10, "uvicorn:main", WIRE_ROLE_NONE);
	for (unsigned pid = 11; pid < 13; pid++) {
		put(pid, 10, PYTHON, "", NULL);
		fake_text(pid, "cmdline", child, sizeof(child));
	}
	turn();
	expect(11, "uvicorn:main", WIRE_ROLE_WORKER);
	expect(12, "uvicorn:main", WIRE_ROLE_WORKER);
	assert_int_equal(slots(), 1u << 1 | 1u << 2);
	wait_for(10);
	expect(10, "uvicorn:main", WIRE_ROLE_MASTER);
	end();
}

/* A title that comes long after the exec, without another name in stat. */
static void a_newborn_is_looked_at_until_it_is_grown(void **state unused_arg)
{
	begin();
	ticker.sampler.cfg.young_rounds = 30;
	turn();
	put(10, 1, PYTHON, "starting", NULL);
	turn();
	for (int i = 0; i < 20; i++) {
		turn();
		assert_int_equal(tick.n_born, 0);
	}
	put(10, 1, PYTHON, "celery", NULL);
	for (int i = 0; i < 10 && !tick.n_born; i++)
		turn();
	assert_string_equal(born(10)->cmdline, "celery");
	assert_int_equal(known(10)->young, 0);
	end();
}

static void a_move_to_another_cgroup_is_told(void **state unused_arg)
{
	begin();
	put(10, 1, "/bin/x", "x", "0::/system.slice/a.service");
	turn();
	expect(10, "a", WIRE_ROLE_NONE);
	put(10, 1, "/bin/x", "x", "0::/system.slice/b.service");
	for (int i = 0; i < 31 && !tick.n_exited; i++)
		turn();
	expect(10, "b", WIRE_ROLE_NONE);
	assert_string_equal(born(10)->cgroup, "/system.slice/b.service");
	assert_int_equal(services_get(&ticker.sampler.services,
				      services_find(&ticker.sampler.services, "a"))
				 ->live,
			 0);
	end();
}

static void a_restart_within_a_round_is_another_incarnation(void **state unused_arg)
{
	const struct service *e;

	begin();
	put(10, 1, "/bin/x", "x", "0::/system.slice/a.service");
	turn();
	fake_remove(10);
	put(20, 1, "/bin/x", "x", "0::/system.slice/a.service");
	turn();
	e = services_get(&ticker.sampler.services, known(20)->service);
	assert_int_equal(e->incarnation, 2);
	assert_int_equal(e->live, 1);
	assert_int_equal(e->last_pid, 10);
	/* as is a reused pid */
	fake_replace(20, (struct fake){.comm = "c",
				       .cmdline = "x",
				       .exe = "/bin/x",
				       .cgroup = "0::/system.slice/a.service",
				       .size = 5,
				       .resident = 4,
				       .start = 99});
	turn();
	e = services_get(&ticker.sampler.services, known(20)->service);
	assert_int_equal(e->incarnation, 3);
	assert_int_equal(e->live, 1);
	end();
}

/* The name arrives later; the container's processes are then told again, and nobody else. */
static void a_container_that_gets_a_name_is_told_again(void **state unused_arg)
{
	static const char docker[] = "0::/docker/" ID;
	struct names_answer a = {.status = NAMES_KNOWN,
				 .name = "shop_web_1",
				 .service = "shop_web"};
	struct names_question q;
	struct naming n;
	int pair[2];

	memcpy(a.id, ID, sizeof(a.id));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	begin();
	naming_init(&n, &ticker.sampler, pair[0]);
	put(10, 1, PYTHON, "gunicorn: master [shop]", docker);
	put(11, 10, PYTHON, "gunicorn: worker [shop]", docker);
	put(12, 1, "/bin/x", "x", NULL);
	turn();
	expect(10, "docker:0123456789ab", WIRE_ROLE_MASTER);
	assert_int_equal(naming_turn(&n, now_us), 0);
	assert_int_equal(recv(pair[1], &q, sizeof(q), MSG_DONTWAIT), sizeof(q));
	assert_memory_equal(q.id, ID, sizeof(q.id));
	/* one question, however many processes and rounds */
	turn();
	assert_int_equal(naming_turn(&n, now_us), 0);
	assert_int_equal(recv(pair[1], &q, sizeof(q), MSG_DONTWAIT), -1);
	assert_int_equal(send(pair[1], &a, sizeof(a), 0), sizeof(a));
	assert_int_equal(naming_turn(&n, now_us), 1);
	turn();
	assert_int_equal(tick.n_born, 2);
	expect(10, "shop_web", WIRE_ROLE_MASTER);
	expect(11, "shop_web", WIRE_ROLE_WORKER);
	assert_string_equal(born(11)->container, "shop_web_1");
	turn();
	assert_int_equal(tick.n_born, 0);
	/* who comes later has it at once */
	put(13, 10, PYTHON, "gunicorn: worker [shop]", docker);
	turn();
	expect(13, "shop_web", WIRE_ROLE_WORKER);
	close(pair[1]);
	assert_int_equal(naming_turn(&n, now_us), -EPIPE);
	assert_int_equal(naming_turn(&n, now_us), 0);
	close(pair[0]);
	end();
}

/* After random births, deaths and execs the table counts what the folder has. */
static void counts_agree_through_churn(void **state unused_arg)
{
	enum { PIDS = 30 };
	static const char *const units[] = {"0::/system.slice/a.service",
					    "0::/system.slice/b.service", "0::/docker/" ID};
	bool there[PIDS] = {false};
	uint32_t seed = 3;

	begin();
	for (int round = 0; round < 120; round++) {
		uint32_t live = 0;
		uint32_t n = 0;

		for (unsigned i = 0; i < PIDS; i++) {
			seed = seed * 1664525u + 1013904223u;
			if ((seed >> 10) % 4)
				continue;
			if (there[i] && seed & 0x100) {
				fake_remove(100 + i);
				there[i] = false;
				continue;
			}
			put(100 + i, 100 + (seed >> 14) % PIDS, PYTHON,
			    seed & 0x200 ? "gunicorn: worker [x]" : "prefork",
			    units[(seed >> 20) % 3]);
			there[i] = true;
		}
		if (round % 40 == 39)
			ticker_restart(&ticker);
		turn();
		for (unsigned i = 0; i < PIDS; i++)
			n += there[i];
		for (uint32_t i = 1; i <= ticker.sampler.services.count; i++)
			live += services_get(&ticker.sampler.services, (uint16_t)i)->live;
		assert_int_equal(live, n);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(titles_give_roles_and_slots),
		cmocka_unit_test(a_family_without_titles_has_roles_too),
		cmocka_unit_test(other_programs_of_the_unit_are_no_workers),
		cmocka_unit_test(a_fork_makes_a_master_only_when_it_stays),
		cmocka_unit_test(a_shell_that_runs_programs_is_no_master),
		cmocka_unit_test(spawned_children_are_their_parents_workers),
		cmocka_unit_test(a_newborn_is_looked_at_until_it_is_grown),
		cmocka_unit_test(a_move_to_another_cgroup_is_told),
		cmocka_unit_test(a_restart_within_a_round_is_another_incarnation),
		cmocka_unit_test(a_container_that_gets_a_name_is_told_again),
		cmocka_unit_test(counts_agree_through_churn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
