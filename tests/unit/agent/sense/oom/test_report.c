/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/oom/report.h"

#include "tests/support/alloc.h"
#include "tests/support/kmsg.h"
#include "tests/support/test.h"

#define NO METRIC_ABSENT

/* What the first kill of each file must be; 'kills' and 'notes' count all of the file. */
struct expectation {
	const char *file;
	size_t kills;
	size_t notes;
	int64_t pid;
	const char *comm;
	int64_t uid;
	enum oom_scope scope;
	int64_t total_vm;
	int64_t anon;
	int64_t file_rss;
	int64_t shmem;
	int64_t pgtables;
	const char *limit_cgroup;
	const char *victim_cgroup;
	int64_t limit;
	const char *trigger;
	int64_t trigger_pid;
	int64_t order;
	const char *gfp;
	uint32_t rows;
	int64_t chosen;
	bool complete;
	bool mixed;
};

/* clang-format off */
static const struct expectation files[] = {
	{"2.6.32-global.txt", 1, 0, 11726, "mysqld", 498, OOM_SCOPE_GLOBAL, 7823732, 1600000,
	 400, NO, NO, "", "", NO, "sshd", 1743, 0, "0x201da", 3, NO, true, false},
	{"2.6.32-memcg.txt", 1, 0, 215701, "java", 679, OOM_SCOPE_MEMCG, 11017300, 7152432,
	 1968, NO, NO, "/lxc", "/lxc/shop", 8388608, "java", 215733, 0, "0xd0", 1, NO, true,
	 false},
	{"3.10-memcg.txt", 1, 0, 9811, "java", 1000, OOM_SCOPE_MEMCG, 20255636, 523800, 160, NO,
	 NO, "/docker/3f1cd2a40b7e", "/docker/3f1cd2a40b7e", 524288, "java", 9949, 0, "0xd0", 2,
	 24572, true, false},
	{"3.10-global-uid.txt", 1, 0, 799153, "node", 1000, OOM_SCOPE_GLOBAL, 606096, 68308,
	 13648, 0, NO, "", "", NO, "worker", 799100, 0, "0x201da", 2, NO, true, false},
	{"3.10-burst.txt", 12, 0, 42452, "job", NO, OOM_SCOPE_MEMCG, 7296, 96, 164, NO, NO, "",
	 "", NO, "", NO, NO, "", 0, NO, false, false},
	{"3.16-global.txt", 1, 0, 1999, "python (x)] 1", 33, OOM_SCOPE_GLOBAL, 3844168, 864000,
	 400, NO, NO, "", "", NO, "apache2", 2101, 0, "0x201da", 3, NO, true, false},
	{"4.4-memcg-pieces.txt", 1, 0, 812, "python", 1000, OOM_SCOPE_MEMCG, 1056000, 200400,
	 1200, NO, NO, "/docker/3f1cd2a40b7e", "/docker/3f1cd2a40b7e/worker", 204800, "python",
	 812, 0, "0x24000c0", 2, 800, true, false},
	{"4.9-global.txt", 1, 1, 3055, "node", 1001, OOM_SCOPE_GLOBAL, 2802000, 1440000, 400, 0,
	 NO, "", "", NO, "node", 3001, 0, "0x24201ca(GFP_HIGHUSER_MOVABLE|__GFP_COLD)", 3, NO,
	 true, false},
	{"4.15-memcg.txt", 1, 0, 28440, "gunicorn", 1000, OOM_SCOPE_MEMCG, 960000, 500188, 3812,
	 0, NO, "/kubepods/burstable/pod95387fa4-da9c-11e7-9d36-5254b24cbf5e",
	 "/kubepods/burstable/pod95387fa4-da9c-11e7-9d36-5254b24cbf5e/6895a3e13439", 524288,
	 "gunicorn", 28440, 0, "0x14000c0(GFP_KERNEL)", 2, NO, true, false},
	/* group line, the leader once more, reaped */
	{"4.19-group.txt", 3, 3, 601, "stress", 33, OOM_SCOPE_MEMCG, 120000, 96000, 0, 0, NO,
	 "/system.slice/shop.service", "/system.slice/shop.service", 102400, "stress", 601, 0,
	 "0x6000c0(GFP_KERNEL)", 3, NO, true, false},
	{"5.0-child.txt", 1, 0, 712, "ruby", 1001, OOM_SCOPE_MEMCG, 160000, 70000, 2000, 0, NO,
	 "/docker/3f1cd2a40b7e", "/docker/3f1cd2a40b7e/web", 131072, "ruby", 712, 0,
	 "0x6000c0(GFP_KERNEL)", 2, 700, true, false},
	{"5.4-global.txt", 1, 1, 4500, "mysqld", 112, OOM_SCOPE_GLOBAL, 3200000, 1519000, 1000,
	 0, 3400, "", "/system.slice/mysql.service", NO, "php-fpm7.4", 4411, 0,
	 "0x100cca(GFP_HIGHUSER_MOVABLE)", 3, NO, true, false},
	{"5.4-memcg.txt", 1, 0, 920, "celery", 0, OOM_SCOPE_MEMCG, 120000, 62100, 2300, 0, 180,
	 "/docker/3f1cd2a40b7e", "/docker/3f1cd2a40b7e", 65536, "celery", 920, 0,
	 "0xcc0(GFP_KERNEL)", 2, NO, true, false},
	{"5.10-allocating.txt", 1, 0, 77, "tar", 0, OOM_SCOPE_ALLOCATING, 20000, 6000, 1200, 0,
	 60, "", "/user.slice/user-0.slice/session-3.scope", NO, "tar", 77, 0,
	 "0x1100cca(GFP_HIGHUSER_MOVABLE)", 2, NO, true, false},
	{"5.10-cpuset-notable.txt", 1, 0, 90, "mc", 1000, OOM_SCOPE_CPUSET, 40000, 26000, 1200,
	 0, 90, "", "/batch", NO, "mc", 90, 0, "0xcc0(GFP_KERNEL)", 0, NO, true, false},
	{"6.1-group.txt", 3, 2, 2345, "python3", 1000, OOM_SCOPE_MEMCG, 360000, 250400, 4800, 0,
	 612, "/system.slice/shop.service", "/system.slice/shop.service", 262144, "python3",
	 2345, 0, "0xcc0(GFP_KERNEL)", 3, NO, true, false},
	{"6.8-global-noswap.txt", 1, 0, 9001, "python3", 1000, OOM_SCOPE_GLOBAL, 4800000,
	 1758800, 1200, 0, 9400, "", "/system.slice/docker-3f1cd2a40b7e.scope", NO,
	 "kworker/u8:3-events_unbound", 4001, 0, "0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP)", 4,
	 NO, true, false},
	{"6.12-interleaved-caller.txt", 2, 0, 777, "beta", 0, OOM_SCOPE_MEMCG, 104000, 79000,
	 100, 0, 140, "/docker/bbbb2222", "/docker/bbbb2222", 81920, "beta", 777, 0,
	 "0xcc0(GFP_KERNEL)", 1, NO, true, false},
	{"6.12-interleaved.txt", 2, 0, 777, "beta", 0, OOM_SCOPE_MEMCG, 104000, 79000, 100, 0,
	 140, "/docker/bbbb2222", "/docker/bbbb2222", 81920, "beta", 777, 0, "0xcc0(GFP_KERNEL)",
	 1, NO, true, true},
	{"6.12-hostile-path.txt", 1, 0, 778, "beta", 0, OOM_SCOPE_MEMCG, 104000, 79000, 100, 0,
	 140, "/system.slice/a,oom_memcg=/x,task=y",
	 "/system.slice/a,oom_memcg=/x,task=y/w,task_memcg=/z", 81920, "beta", 778, 0,
	 "0xcc0(GFP_KERNEL)", 1, NO, true, false},
	{"6.12-abandoned.txt", 1, 0, 778, "beta", 0, OOM_SCOPE_MEMCG, 104000, 79000, 100, 0,
	 140, "/docker/bbbb2222", "/docker/bbbb2222", 81920, "beta", 778, 0, "0xcc0(GFP_KERNEL)",
	 1, NO, true, false},
	{"6.12-no-victim.txt", 1, 1, 5, "later", 0, OOM_SCOPE_MEMCG, 1000, 100, 100, 0, 10, "",
	 "", NO, "", NO, NO, "", 0, NO, false, false},
	{"6.18-memcg.txt", 1, 0, 17623, "python3", 0, OOM_SCOPE_MEMCG, 52100, 40648, 5780, 0,
	 140, "/docker/shop", "/docker/shop", 40960, "python3", 17623, 0, "0xcc0(GFP_KERNEL)", 1,
	 NO, true, false},
	{"6.18-memcg-nested.txt", 1, 0, 17960, "python3", 0, OOM_SCOPE_MEMCG, 52100, 40528,
	 5692, 0, 144, "/docker/limit-a", "/docker/limit-a/leaf,uid=0", 40960, "python3", 17960,
	 0, "0xcc0(GFP_KERNEL)", 1, NO, true, false},
	{"6.18-memcg-hostile.txt", 3, 0, 17964, "evil) x,pid=1", 0, OOM_SCOPE_MEMCG, 52100,
	 40628, 5656, 0, 140, "/docker/shop", "/docker/shop", 40960, "evil) x,pid=1", 17964, 0,
	 "0xcc0(GFP_KERNEL)", 1, NO, true, false},
	{"6.18-memcg-burst.txt", 14, 0, 24517, "burst0", 0, OOM_SCOPE_MEMCG, 52100, 40780, 5784,
	 0, 140, "/docker/shop", "/docker/shop", 40960, "burst0", 24517, 0, "0xcc0(GFP_KERNEL)",
	 1, NO, true, false},
	/* no kill at all: the forged line is nobody's */
	{.file = "6.18-crash-and-forged.txt", .kills = 0, .notes = 2},
	{"7.2-sysrq.txt", 1, 0, 310, "firefox", 1000, OOM_SCOPE_SYSRQ, 3600000, 600000, 1200, 0,
	 2400, "", "/user.slice/user-1000.slice", NO, "kworker/0:1", 61, -1, "0xcc0(GFP_KERNEL)",
	 1, NO, true, false},
	{"7.2-memcg-pieces.txt", 1, 0, 5120, "uvicorn", 1000, OOM_SCOPE_MEMCG, 264000, 126000,
	 2400, 0, 300, "/docker/77aa", "/docker/77aa", 131072, "uvicorn", 5120, 0,
	 "0xcc0(GFP_KERNEL)", 1, NO, true, false},
};
/* clang-format on */

struct collected {
	struct oom_event event[24];
	size_t n;
	size_t kills;
};

static struct oom_watch *new_watch(void)
{
	struct oom_watch *w = NULL;

	assert_int_equal(oom_watch_new(&w, 4096), 0);
	return w;
}

static void feed_file(struct oom_watch *w, const char *name, struct collected *c)
{
	static struct kmsg_file f;
	static struct kmsg_record rec;
	const char *bytes;
	size_t len;

	if (!kmsg_file_load(&f, name))
		fail_msg("no fixture %s", name);
	while ((bytes = kmsg_file_next(&f, &len))) {
		assert_int_equal(kmsg_parse(bytes, len, &rec), 0);
		assert_true(c->n < ARRAY_SIZE(c->event));
		if (oom_watch_feed(w, &rec, 1234, &c->event[c->n])) {
			c->kills += c->event[c->n].kind == OOM_EVENT_KILL;
			c->n++;
		}
		assert_true(oom_watch_size(w) < 65536);
	}
}

static void forget(struct collected *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->event[i].kind == OOM_EVENT_KILL)
			oom_kill_fini(&c->event[i].kill);
	memset(c, 0, sizeof(*c));
}

static const struct oom_kill *kill_at(const struct collected *c, size_t n)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->event[i].kind == OOM_EVENT_KILL && n-- == 0)
			return &c->event[i].kill;
	fail_msg("no such kill");
	abort();
}

static void check_kill(const struct expectation *e, const struct oom_kill *k)
{
	assert_int_equal(k->pid, e->pid);
	assert_string_equal(k->comm, e->comm);
	assert_int_equal(k->victim[OOM_VICTIM_UID], e->uid);
	assert_int_equal(k->scope, e->scope);
	assert_int_equal(k->victim[OOM_VICTIM_TOTAL_VM], e->total_vm);
	assert_int_equal(k->victim[OOM_VICTIM_ANON], e->anon);
	assert_int_equal(k->victim[OOM_VICTIM_FILE], e->file_rss);
	assert_int_equal(k->victim[OOM_VICTIM_SHMEM], e->shmem);
	assert_int_equal(k->victim[OOM_VICTIM_PGTABLES], e->pgtables);
	assert_string_equal(k->limit_cgroup, e->limit_cgroup);
	assert_string_equal(k->victim_cgroup, e->victim_cgroup);
	assert_int_equal(k->limit, e->limit);
	assert_string_equal(k->trigger.comm, e->trigger);
	assert_int_equal(k->trigger.pid, e->trigger_pid);
	assert_int_equal(k->trigger.order, e->order);
	assert_string_equal(k->trigger.gfp, e->gfp);
	assert_int_equal(k->tasks_seen, e->rows);
	assert_int_equal(k->n_tasks, e->rows);
	assert_int_equal(k->chosen_pid, e->chosen);
	assert_int_equal(k->complete, e->complete);
	assert_int_equal(k->mixed, e->mixed);
	assert_false(k->group_member);
	assert_int_equal(k->wall_us, 1234);
}

static void every_kernel_tells_victim_trigger_and_limit(void **state unused_arg)
{
	static struct collected c;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct oom_watch *w = new_watch();
		size_t empty = oom_watch_size(w);

		print_message("  %s\n", files[i].file);
		feed_file(w, files[i].file, &c);
		assert_int_equal(c.kills, files[i].kills);
		assert_int_equal(c.n - c.kills, files[i].notes);
		if (c.kills)
			check_kill(&files[i], kill_at(&c, 0));
		/* A report that was told is not held. */
		assert_int_equal(oom_watch_size(w), empty);
		forget(&c);
		oom_watch_free(&w);
	}
}

static void rows_are_read_by_their_header(void **state unused_arg)
{
	static const struct {
		const char *file;
		size_t row;
		int64_t pid, uid, tgid, vm, rss, anon, file_rss, pgtables, ptes, swap, adj;
		const char *comm;
	} rows[] = {
		{"2.6.32-global.txt", 1, 11726, 498, 11726, 7823732, 1600400, NO, NO, NO, NO, NO, 0,
		 "mysqld"},
		{"3.16-global.txt", 2, 1999, 33, 1999, 3844168, 864400, NO, NO, NO, 2160, 28, 0,
		 "python (x)] 1"},
		{"4.4-memcg-pieces.txt", 1, 812, 1000, 812, 1056000, 201600, NO, NO, NO, 504, 28, 0,
		 "python"},
		{"4.15-memcg.txt", 0, 28402, 1000, 28402, 160000, 20000, NO, NO, 60, NO, 28, 937,
		 "gunicorn"},
		{"6.1-group.txt", 2, 2346, 1000, 2346, 36000, 4400, NO, NO, 16, NO, 28, 0,
		 "a b  c"},
		{"6.18-memcg.txt", 0, 17623, 0, 17623, 52100, 46428, 40648, 5780, 140, NO, 0, 0,
		 "python3"},
	};
	static struct collected c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oom_watch *w = new_watch();
		const struct oom_task *t;

		feed_file(w, rows[i].file, &c);
		t = &kill_at(&c, 0)->tasks[rows[i].row];
		assert_int_equal(t->v[OOM_TASK_PID], rows[i].pid);
		assert_int_equal(t->v[OOM_TASK_UID], rows[i].uid);
		assert_int_equal(t->v[OOM_TASK_TGID], rows[i].tgid);
		assert_int_equal(t->v[OOM_TASK_TOTAL_VM], rows[i].vm);
		assert_int_equal(t->v[OOM_TASK_RSS], rows[i].rss);
		assert_int_equal(t->v[OOM_TASK_ANON], rows[i].anon);
		assert_int_equal(t->v[OOM_TASK_FILE], rows[i].file_rss);
		assert_int_equal(t->v[OOM_TASK_PGTABLES], rows[i].pgtables);
		assert_int_equal(t->v[OOM_TASK_PTES], rows[i].ptes);
		assert_int_equal(t->v[OOM_TASK_SWAP], rows[i].swap);
		assert_int_equal(t->v[OOM_TASK_SCORE_ADJ], rows[i].adj);
		assert_string_equal(t->comm, rows[i].comm);
		forget(&c);
		oom_watch_free(&w);
	}
}

static void memory_of_the_cgroup_is_read_in_every_form(void **state unused_arg)
{
	static const struct {
		const char *file;
		int64_t anon, file_cache, shmem, slab, kernel, usage, failcnt, swap_usage;
		bool memsw;
	} rows[] = {
		/* Two cgroups below the limit, added up. */
		{"3.10-memcg.txt", 524000, 400, NO, NO, NO, 524288, 4563, 524288, true},
		{"4.15-memcg.txt", 520188, 32, 16, NO, NO, 524288, 77, 524288, true},
		{"5.4-memcg.txt", 64550, 264, 132, 216, NO, 65536, 210, 65536, true},
		{"6.1-group.txt", 256347, 1171, 132, 216, 192, 262144, 5120, 0, false},
		{"6.18-memcg.txt", 40796, 0, 0, NO, NO, 40960, 36, 40960, true},
		{"7.2-memcg-pieces.txt", 125976, 88, 132, 216, 192, 131072, 48, 0, false},
	};
	static struct collected c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oom_watch *w = new_watch();
		const struct oom_kill *k;

		feed_file(w, rows[i].file, &c);
		k = kill_at(&c, 0);
		assert_int_equal(k->stat[OOM_STAT_ANON], rows[i].anon);
		assert_int_equal(k->stat[OOM_STAT_FILE], rows[i].file_cache);
		assert_int_equal(k->stat[OOM_STAT_SHMEM], rows[i].shmem);
		assert_int_equal(k->stat[OOM_STAT_SLAB], rows[i].slab);
		assert_int_equal(k->stat[OOM_STAT_KERNEL], rows[i].kernel);
		assert_int_equal(k->usage, rows[i].usage);
		assert_int_equal(k->failcnt, rows[i].failcnt);
		assert_int_equal(k->swap_usage, rows[i].swap_usage);
		assert_int_equal(k->swap_is_memsw, rows[i].memsw);
		forget(&c);
		oom_watch_free(&w);
	}
}

static void memory_of_the_host_is_read(void **state unused_arg)
{
	static const char *const names[] = {"2.6.32-global.txt", "3.16-global.txt",
					    "5.4-global.txt", "6.8-global-noswap.txt"};
	static const int64_t free_kib[] = {44000, 22400, 52000, 51200};
	static const int64_t anon[] = {1920000, 960000, 1820000, 1864000};
	static const int64_t swap[] = {2097144, 1046524, 969964, 0};
	static struct collected c;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct oom_watch *w = new_watch();
		const struct oom_kill *k;

		feed_file(w, names[i], &c);
		k = kill_at(&c, 0);
		assert_int_equal(k->host[OOM_HOST_FREE], free_kib[i]);
		assert_int_equal(k->host[OOM_HOST_ACTIVE_ANON], anon[i]);
		assert_int_equal(k->host[OOM_HOST_INACTIVE_ANON], 8496);
		assert_int_equal(k->host[OOM_HOST_SLAB_UNRECLAIMABLE], 25600);
		assert_int_equal(k->host[OOM_HOST_PAGETABLES], 7600);
		assert_int_equal(k->host[OOM_HOST_TOTAL_SWAP], swap[i]);
		assert_true(k->host[OOM_HOST_TOTAL] >= 2096632);
		forget(&c);
		oom_watch_free(&w);
	}
}

static void members_of_a_group_are_told_as_such(void **state unused_arg)
{
	static const char *const names[] = {"4.19-group.txt", "6.1-group.txt"};
	static const int64_t pids[][2] = {{600, 602}, {2300, 2346}};
	static struct collected c;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct oom_watch *w = new_watch();
		uint64_t leader;

		feed_file(w, names[i], &c);
		leader = kill_at(&c, 0)->seq;
		assert_int_equal(c.event[1].kind, OOM_EVENT_GROUP);
		assert_string_equal(c.event[1].group.cgroup, "/system.slice/shop.service");
		assert_string_equal(c.event[1].group.limit_cgroup, "/system.slice/shop.service");
		assert_int_equal(c.event[1].group.leader_seq, leader);
		assert_int_equal(c.event[1].group.scope, OOM_SCOPE_MEMCG);
		for (size_t m = 0; m < 2; m++) {
			const struct oom_kill *k = kill_at(&c, m + 1);

			assert_int_equal(k->pid, pids[i][m]);
			assert_true(k->group_member);
			assert_int_equal(k->leader_seq, leader);
			assert_int_equal(k->scope, OOM_SCOPE_MEMCG);
			assert_string_equal(k->limit_cgroup, "/system.slice/shop.service");
		}
		forget(&c);
		oom_watch_free(&w);
	}
}

static void the_leader_named_again_is_no_second_kill(void **state unused_arg)
{
	static struct collected c;
	struct oom_watch *w = new_watch();

	feed_file(w, "4.19-group.txt", &c);
	assert_int_equal(c.event[3].kind, OOM_EVENT_AGAIN);
	assert_int_equal(c.event[3].note.pid, 601);
	assert_int_equal(c.event[5].kind, OOM_EVENT_REAPED);
	assert_int_equal(c.event[5].note.pid, 601);
	forget(&c);
	feed_file(w, "6.1-group.txt", &c);
	assert_int_equal(c.event[3].kind, OOM_EVENT_EXITING);
	assert_int_equal(c.event[3].note.pid, 2345);
	forget(&c);
	oom_watch_free(&w);
}

static void reports_of_two_processors_keep_their_victims(void **state unused_arg)
{
	static const char *const names[] = {"6.12-interleaved-caller.txt", "6.12-interleaved.txt"};
	static struct collected c;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct oom_watch *w = new_watch();
		const struct oom_kill *k;

		feed_file(w, names[i], &c);
		k = kill_at(&c, 1);
		assert_int_equal(k->pid, 501);
		assert_string_equal(k->trigger.comm, "alpha");
		assert_string_equal(k->limit_cgroup, "/docker/aaaa1111");
		assert_int_equal(k->mixed, i == 1);
		if (i == 0) {
			assert_int_equal(k->limit, 40960);
			assert_int_equal(k->stat[OOM_STAT_ANON], 39062);
			assert_int_equal(k->tasks[0].v[OOM_TASK_PID], 501);
		}
		forget(&c);
		oom_watch_free(&w);
	}
}

static void a_burst_is_told_whole_with_and_without_reports(void **state unused_arg)
{
	static struct collected c;
	struct oom_watch *w = new_watch();
	size_t complete = 0;

	feed_file(w, "6.18-memcg-burst.txt", &c);
	for (size_t i = 0; i < 14; i++) {
		char comm[16];

		snprintf(comm, sizeof(comm), "burst%zu", i);
		assert_string_equal(kill_at(&c, i)->comm, comm);
		assert_int_equal(kill_at(&c, i)->scope, OOM_SCOPE_MEMCG);
		complete += kill_at(&c, i)->complete;
	}
	assert_int_equal(complete, 10);
	forget(&c);
	oom_watch_free(&w);
}

static void hostile_names_stay_names(void **state unused_arg)
{
	static struct collected c;
	struct oom_watch *w = new_watch();

	feed_file(w, "6.18-memcg-hostile.txt", &c);
	assert_string_equal(kill_at(&c, 0)->comm, "evil) x,pid=1");
	assert_string_equal(kill_at(&c, 1)->comm, "a\nb\\c\xff\xe5"
						  "d");
	assert_int_equal(kill_at(&c, 1)->trigger.pid, 17965);
	assert_string_equal(kill_at(&c, 1)->tasks[0].comm, "a\nb\\c\xff\xe5"
							   "d");
	assert_string_equal(kill_at(&c, 2)->comm, "x,task=y,pid=7");
	assert_int_equal(kill_at(&c, 2)->pid, 17966);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(kill_at(&c, i)->victim_cgroup, "/docker/shop");
	forget(&c);
	oom_watch_free(&w);
}

static void only_the_kernel_is_believed(void **state unused_arg)
{
	static struct collected c;
	struct oom_watch *w = new_watch();

	feed_file(w, "6.18-crash-and-forged.txt", &c);
	assert_int_equal(c.event[0].kind, OOM_EVENT_CRASH);
	assert_int_equal(c.event[0].note.pid, 28585);
	assert_string_equal(c.event[0].note.comm, "a[1]: segf)");
	assert_int_equal(c.event[1].kind, OOM_EVENT_KILLER);
	assert_int_equal(c.event[1].killer.killer, KILLER_OOMD);
	assert_string_equal(c.event[1].killer.target, "/system.slice/shop.service");
	forget(&c);
	oom_watch_free(&w);
}

/* One line of the kernel's; a true return leaves the event in *e. */
static bool say(struct oom_watch *w, uint64_t usec, const char *text, struct oom_event *e)
{
	static uint64_t seq = 1;
	static struct kmsg_record rec;
	char line[600];

	snprintf(line, sizeof(line), "4,%llu,%llu,-;%s\n", (unsigned long long)seq++,
		 (unsigned long long)usec, text);
	assert_int_equal(kmsg_parse(line, strlen(line), &rec), 0);
	return oom_watch_feed(w, &rec, 1, e);
}

static void faults_of_all_kinds_are_noted(void **state unused_arg)
{
	static const struct {
		const char *line;
		int64_t pid;
		const char *comm;
	} rows[] = {
		{"python3[123]: segfault at 7f ip 00 sp 00 error 4 in libc.so.6[7f+1]", 123,
		 "python3"},
		{"traps: x y[77] general protection fault ip:40 sp:7f error:0 in x[40+1]", 77,
		 "x y"},
		{"traps: a.out[9] trap invalid opcode ip:40 sp:7f error:0 in a.out[40+1]", 9,
		 "a.out"},
		{"worker[5]: unhandled exception: DABT (lower EL), ESR 0x92000005", 5, "worker"},
	};
	static const char *const none[] = {
		"python3[12a]: segfault at 7f",
		"python3: segfault at 7f",
		"[]: segfault at 7f",
		"a name that is too long for a comm[1]: segfault at 7f",
		"traps: x[1]",
	};
	struct oom_watch *w = new_watch();
	struct oom_event e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(say(w, 1, rows[i].line, &e));
		assert_int_equal(e.kind, OOM_EVENT_CRASH);
		assert_int_equal(e.note.pid, rows[i].pid);
		assert_string_equal(e.note.comm, rows[i].comm);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(say(w, 1, none[i], &e));
	oom_watch_free(&w);
}

static void what_looks_like_a_kill_line_is_none(void **state unused_arg)
{
	static const char *const none[] = {
		"Killed process  cpuset=/ mems_allowed=0",
		"Out of memory:  cpuset=/ mems_allowed=0",
		"Killed process x (y) total-vm:1kB",
		"Killed process 12",
		"Killed process 12 (y total-vm:1kB",
		"Out of memory: Kill process 12 (y) total-vm:1kB",
		"x Out of memory: Killed process 1 (y) total-vm:1kB, anon-rss:1kB, file-rss:1kB",
		"Killed process 99999999999999999999 (y) total-vm:1kB",
		"oom-kill:",
		"oom-kill:constraint=CONSTRAINT_MEMCG",
		"oom-kill:constraint=CONSTRAINT_MEMCG,task=x,pid=,uid=",
		"[  pid  ] name",
		"Task in / killed",
		"",
	};
	struct oom_watch *w = new_watch();
	struct oom_event e;

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(say(w, 1, none[i], &e));
	oom_watch_free(&w);
}

static void a_kill_of_2_6_without_figures_is_told(void **state unused_arg)
{
	struct oom_watch *w = new_watch();
	struct oom_event e;

	assert_false(say(w, 1, "Out of memory: kill process 9 (a) score 45 or a child", &e));
	assert_true(say(w, 2, "Killed process 10 (b)", &e));
	assert_int_equal(e.kind, OOM_EVENT_KILL);
	assert_int_equal(e.kill.pid, 10);
	assert_string_equal(e.kill.comm, "b");
	assert_int_equal(e.kill.chosen_pid, 9);
	assert_int_equal(e.kill.scope, OOM_SCOPE_GLOBAL);
	assert_int_equal(oom_kill_rss(&e.kill), NO);
	assert_false(say(w, 3,
			 "No available memory in cpuset: kill process 9 (a) score 45 or a child",
			 &e));
	assert_true(say(w, 4, "Killed process 9 (a)", &e));
	assert_int_equal(e.kill.chosen_pid, NO);
	assert_int_equal(e.kill.scope, OOM_SCOPE_CPUSET);
	oom_watch_free(&w);
}

static void a_report_that_never_ends_is_given_up(void **state unused_arg)
{
	static const char invoked[] =
		"x invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0";
	struct oom_watch *w = new_watch();
	size_t empty = oom_watch_size(w);
	struct oom_event e;
	uint64_t at;

	assert_false(say(w, 1, invoked, &e));
	assert_true(oom_watch_size(w) > empty);
	assert_false(say(w, 5000002, "eth0: link up", &e));
	assert_int_equal(oom_watch_size(w), empty);
	/* Nor do other lines keep it for ever. */
	assert_false(say(w, 1, invoked, &e));
	for (at = 1; at < 300000000; at += 4000000)
		assert_false(say(w, at, "eth0: link up", &e));
	assert_true(oom_watch_size(w) > empty);
	assert_false(say(w, at + 4000000, "eth0: link up", &e));
	assert_int_equal(oom_watch_size(w), empty);
	oom_watch_free(&w);
}

static void the_largest_tasks_are_kept_and_all_counted(void **state unused_arg)
{
	struct oom_watch *w = new_watch();
	struct oom_event e;
	char row[200];

	assert_false(
		say(w, 1, "x invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0", &e));
	assert_false(
		say(w, 1, "[  pid  ]   uid  tgid total_vm rss swapents oom_score_adj name", &e));
	for (int i = 0; i < 1000; i++) {
		snprintf(row, sizeof(row), "[%7d]     0 %5d 9999 %5d 0 0 t%d", i, i, i * 7 % 1000,
			 i);
		assert_false(say(w, 1, row, &e));
	}
	assert_true(oom_watch_size(w) < 65536);
	assert_true(say(w, 2,
			"Out of memory: Killed process 5 (t5) total-vm:1kB, anon-rss:1kB, "
			"file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
			&e));
	assert_int_equal(e.kill.tasks_seen, 1000);
	assert_int_equal(e.kill.n_tasks, OOM_MAX_TASKS);
	for (size_t i = 0; i < e.kill.n_tasks; i++) {
		assert_true(e.kill.tasks[i].v[OOM_TASK_RSS] >= (1000 - OOM_MAX_TASKS) * 4);
		assert_true(i == 0 ||
			    e.kill.tasks[i].v[OOM_TASK_PID] > e.kill.tasks[i - 1].v[OOM_TASK_PID]);
	}
	oom_kill_fini(&e.kill);
	oom_watch_free(&w);
}

static void a_report_is_dropped_at_a_gap_and_the_kill_still_told(void **state unused_arg)
{
	static const char kill[] =
		"Memory cgroup out of memory: Killed process 5 (t) total-vm:1kB, "
		"anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB "
		"oom_score_adj:0";
	static const char oom[] = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,"
				  "mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=t,pid=5,uid=0";
	struct oom_watch *w = new_watch();
	size_t empty = oom_watch_size(w);
	struct oom_event e;

	assert_false(
		say(w, 1, "x invoked oom-killer: gfp_mask=0xcc0, order=0, oom_score_adj=0", &e));
	assert_false(say(w, 1, "memory: usage 1kB, limit 1kB, failcnt 1", &e));
	oom_watch_gap(w);
	assert_int_equal(oom_watch_size(w), empty);
	/* The oom-kill: line speaks for itself. */
	assert_false(say(w, 2, oom, &e));
	assert_true(say(w, 3, kill, &e));
	assert_false(e.kill.complete);
	assert_string_equal(e.kill.trigger.comm, "");
	assert_string_equal(e.kill.limit_cgroup, "/a");
	assert_string_equal(e.kill.victim_cgroup, "/a/b");
	assert_int_equal(e.kill.limit, NO);
	oom_watch_free(&w);
}

static void without_memory_a_kill_is_told_bare(void **state unused_arg)
{
	static struct collected c;
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		struct oom_watch *w = NULL;

		alloc_fail_at(n);
		if (oom_watch_new(&w, 4096) == 0) {
			static struct kmsg_file f;
			static struct kmsg_record rec;
			const char *bytes;
			size_t len;

			alloc_fail_off();
			assert_true(kmsg_file_load(&f, "6.18-memcg.txt"));
			alloc_fail_at(n - 1);
			while ((bytes = kmsg_file_next(&f, &len))) {
				assert_int_equal(kmsg_parse(bytes, len, &rec), 0);
				if (oom_watch_feed(w, &rec, 1, &c.event[c.n]))
					c.n++;
			}
			assert_int_equal(c.n, 1);
			assert_int_equal(c.event[0].kill.pid, 17623);
			assert_string_equal(c.event[0].kill.comm, "python3");
			failed = alloc_failed() || n == 1;
			if (n > 1 && !alloc_failed())
				assert_int_equal(c.event[0].kill.n_tasks, 1);
		}
		alloc_fail_off();
		forget(&c);
		oom_watch_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kernel_tells_victim_trigger_and_limit),
		cmocka_unit_test(rows_are_read_by_their_header),
		cmocka_unit_test(memory_of_the_cgroup_is_read_in_every_form),
		cmocka_unit_test(memory_of_the_host_is_read),
		cmocka_unit_test(members_of_a_group_are_told_as_such),
		cmocka_unit_test(the_leader_named_again_is_no_second_kill),
		cmocka_unit_test(reports_of_two_processors_keep_their_victims),
		cmocka_unit_test(a_burst_is_told_whole_with_and_without_reports),
		cmocka_unit_test(hostile_names_stay_names),
		cmocka_unit_test(only_the_kernel_is_believed),
		cmocka_unit_test(faults_of_all_kinds_are_noted),
		cmocka_unit_test(what_looks_like_a_kill_line_is_none),
		cmocka_unit_test(a_kill_of_2_6_without_figures_is_told),
		cmocka_unit_test(a_report_that_never_ends_is_given_up),
		cmocka_unit_test(the_largest_tasks_are_kept_and_all_counted),
		cmocka_unit_test(a_report_is_dropped_at_a_gap_and_the_kill_still_told),
		cmocka_unit_test(without_memory_a_kill_is_told_bare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
