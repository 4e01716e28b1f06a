/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup
#include "agent/sense/cgroup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/support/alloc.h"
#include "tests/support/folder.h"

#define MIB ((int64_t)1024)

static const char v2_stat[] = "anon 104857600\nfile 20971520\nkernel 3145728\nshmem 1048576\n"
			      "slab 4096\ninactive_anon 99\ninactive_file 10485760\n";
static void put_v2(const char *cg, int64_t current_mib, const char *max, unsigned kills)
{
	char path[128];
	char text[128];

#define PUT(name, ...)                                        \
	do {                                                  \
		snprintf(path, sizeof(path), "%s/" name, cg); \
		snprintf(text, sizeof(text), __VA_ARGS__);    \
		folder_put(path, text);                       \
	} while (0)
	PUT("memory.current", "%lld\n", (long long)current_mib << 20);
	PUT("memory.max", "%s\n", max);
	PUT("memory.high", "max\n");
	PUT("memory.swap.current", "1048576\n");
	PUT("memory.swap.max", "2097152\n");
	PUT("memory.events", "low 0\nhigh 3\nmax 4\noom %u\noom_kill %u\noom_group_kill 0\n", kills,
	    kills);
	PUT("memory.events.local", "low 0\nhigh 3\nmax 4\noom 0\noom_kill %u\n", kills);
	PUT("memory.pressure", "some avg10=1.50 avg60=0 avg300=0 total=9\n");
#undef PUT
	snprintf(path, sizeof(path), "%s/memory.stat", cg);
	folder_put(path, v2_stat);
}

static void open_tree(struct cgroup_tree *t, enum cgroup_version version)
{
	struct cgroup_mount m = {.version = version, .root = "/"};
	struct error err;

	snprintf(m.path, sizeof(m.path), "%s", folder);
	if (cgroup_tree_init(t, &m, &err) < 0)
		fail_msg("%s", err.msg);
}

static uint16_t join(struct cgroup_tree *t, const char *path)
{
	struct procfs_cgroup cg = {0};

	snprintf(cg.unified, sizeof(cg.unified), "%s", path);
	snprintf(cg.memory, sizeof(cg.memory), "%s", path);
	return cgroup_tree_join(t, &cg);
}

static struct cgroup *get(struct cgroup_tree *t, uint16_t id)
{
	static struct cgroup nothing;
	struct cgroup *c = cgroup_tree_get(t, id);

	if (!c)
		fail_msg("no cgroup %u", id);
	return c ? c : &nothing;
}

static void version_2_gives_all_figures(void **state unused_arg)
{
	struct cgroup_tree t;
	struct cgroup *c;
	uint16_t id;

	put_v2("a.slice", 300, "max", 0);
	put_v2("a.slice/web", 150, "209715200", 2);
	open_tree(&t, CGROUP_V2);
	id = join(&t, "/a.slice/web");
	assert_int_equal(id, 1);
	cgroup_tree_read(&t, 4096 * MIB);
	c = get(&t, id);
	assert_int_equal(c->state, CGROUP_LIVE);
	assert_string_equal(c->path, "/a.slice/web");
	assert_int_equal(c->v[CGROUP_USAGE], 150 * MIB);
	assert_int_equal(c->v[CGROUP_INACTIVE_FILE], 10 * MIB);
	assert_int_equal(c->v[CGROUP_WORKING_SET], 140 * MIB);
	assert_int_equal(c->v[CGROUP_ANON], 100 * MIB);
	assert_int_equal(c->v[CGROUP_FILE], 20 * MIB);
	assert_int_equal(c->v[CGROUP_SHMEM], MIB);
	assert_int_equal(c->v[CGROUP_KERNEL], 3 * MIB);
	assert_int_equal(c->v[CGROUP_SWAP], MIB);
	assert_int_equal(c->v[CGROUP_LIMIT], 200 * MIB);
	assert_int_equal(c->v[CGROUP_HIGH], METRIC_ABSENT);
	assert_int_equal(c->v[CGROUP_SWAP_LIMIT], 2 * MIB);
	assert_int_equal(c->v[CGROUP_EV_HIGH], 3);
	assert_int_equal(c->v[CGROUP_EV_MAX], 4);
	assert_int_equal(c->v[CGROUP_EV_OOM_KILL], 2);
	assert_int_equal(c->v[CGROUP_OWN_OOM_KILL], 2);
	assert_int_equal(c->v[CGROUP_PSI_SOME], 150);
	assert_int_equal(c->v[CGROUP_PSI_FULL], METRIC_ABSENT);
	assert_int_equal(c->effective, 200 * MIB);
	assert_int_equal(c->owner, id);
	assert_false(c->unlimited);
	/* what was there before us is not new */
	assert_int_equal(c->new_kills, 0);
	c = get(&t, 0);
	assert_true(c->unlimited);
	assert_int_equal(c->effective, 4096 * MIB);
	assert_int_equal(c->owner, CGROUP_OWNER_HOST);
	cgroup_tree_fini(&t);
}

static void the_least_limit_above_holds(void **state unused_arg)
{
	struct cgroup_tree t;
	uint16_t id;

	put_v2("a", 10, "104857600", 0);
	put_v2("a/b", 10, "max", 0);
	put_v2("a/b/c", 10, "209715200", 0);
	open_tree(&t, CGROUP_V2);
	id = join(&t, "/a/b/c");
	cgroup_tree_read(&t, 4096 * MIB);
	assert_int_equal(get(&t, id)->effective, 100 * MIB);
	assert_string_equal(get(&t, get(&t, id)->owner)->path, "/a");
	/* a limit above what the host has is none */
	cgroup_tree_read(&t, 50 * MIB);
	assert_int_equal(get(&t, id)->effective, 50 * MIB);
	assert_int_equal(get(&t, id)->owner, CGROUP_OWNER_HOST);
	assert_true(get(&t, id)->unlimited);
	cgroup_tree_fini(&t);
}

static void in_a_container_the_mounted_root_limits_all(void **state unused_arg)
{
	struct cgroup_tree t;
	uint16_t id;

	put_v2("a", 10, "104857600", 0);
	folder_put("memory.max", "52428800\n");
	open_tree(&t, CGROUP_V2);
	id = join(&t, "/a");
	cgroup_tree_read(&t, 4096 * MIB);
	assert_int_equal(t.root_limit, 50 * MIB);
	assert_int_equal(get(&t, id)->effective, 50 * MIB);
	assert_int_equal(get(&t, id)->owner, CGROUP_OWNER_OUTSIDE);
	cgroup_tree_fini(&t);
}

static void the_heavy_files_are_read_when_usage_moved(void **state unused_arg)
{
	struct cgroup_tree t;
	uint16_t id;
	unsigned stale = 0;

	put_v2("a", 150, "max", 0);
	open_tree(&t, CGROUP_V2);
	id = join(&t, "/a");
	cgroup_tree_read(&t, METRIC_ABSENT);
	assert_int_equal(get(&t, id)->effective, METRIC_ABSENT);
	folder_put("a/memory.stat", "anon 1048576\ninactive_file 0\n");
	for (unsigned i = 0; i < CGROUP_FULL_EVERY; i++) {
		cgroup_tree_read(&t, METRIC_ABSENT);
		stale += get(&t, id)->v[CGROUP_ANON] == 100 * MIB;
	}
	assert_int_equal(stale, 4);
	assert_int_equal(get(&t, id)->v[CGROUP_ANON], MIB);
	cgroup_tree_read(&t, METRIC_ABSENT);
	folder_put("a/memory.stat", "anon 2097152\ninactive_file 0\n");
	folder_put("a/memory.current", "999999488\n");
	cgroup_tree_read(&t, METRIC_ABSENT);
	assert_int_equal(get(&t, id)->v[CGROUP_ANON], 2 * MIB);
	cgroup_tree_fini(&t);
}

static void kills_are_told_once_and_those_of_the_unseen_too(void **state unused_arg)
{
	struct cgroup_tree t;
	uint16_t top;
	uint16_t leaf;

	put_v2("top", 10, "max", 5);
	put_v2("top/a", 10, "max", 3);
	open_tree(&t, CGROUP_V2);
	leaf = join(&t, "/top/a");
	top = 0;
	cgroup_tree_read(&t, 1);
	put_v2("top", 10, "max", 8);
	put_v2("top/a", 10, "max", 4);
	cgroup_tree_read(&t, 1);
	assert_int_equal(get(&t, leaf)->new_kills, 1);
	assert_int_equal(get(&t, leaf)->unseen_kills, 0);
	assert_int_equal(get(&t, top)->new_kills, 3);
	assert_int_equal(get(&t, top)->unseen_kills, 2);
	cgroup_tree_read(&t, 1);
	assert_int_equal(get(&t, top)->new_kills, 0);
	assert_int_equal(get(&t, top)->unseen_kills, 0);
	/* a new cgroup of the same name */
	put_v2("top/a", 10, "max", 1);
	cgroup_tree_read(&t, 1);
	assert_int_equal(get(&t, leaf)->new_kills, 1);
	cgroup_tree_fini(&t);
}

static void a_deleted_one_is_told_once_with_its_last_figures(void **state unused_arg)
{
	struct cgroup_tree t;
	uint16_t id;
	uint16_t again;

	put_v2("a", 10, "max", 0);
	put_v2("a/b", 77, "max", 6);
	open_tree(&t, CGROUP_V2);
	id = join(&t, "/a/b");
	cgroup_tree_read(&t, 1);
	cgroup_tree_sweep(&t);
	folder_remove("a/b");
	cgroup_tree_read(&t, 1);
	assert_int_equal(get(&t, id)->state, CGROUP_GONE);
	assert_true(get(&t, id)->gone_now);
	assert_int_equal(get(&t, id)->v[CGROUP_USAGE], 77 * MIB);
	assert_int_equal(get(&t, id)->v[CGROUP_EV_OOM_KILL], 6);
	/* one of the same name is another */
	put_v2("a/b", 5, "max", 0);
	again = join(&t, "/a/b");
	assert_int_not_equal(again, id);
	cgroup_tree_leave(&t, id);
	cgroup_tree_sweep(&t);
	assert_null(cgroup_tree_get(&t, id));
	cgroup_tree_read(&t, 1);
	assert_int_equal(get(&t, again)->v[CGROUP_USAGE], 5 * MIB);
	cgroup_tree_fini(&t);
}

static void ids_are_small_and_not_reused_at_once(void **state unused_arg)
{
	struct cgroup_tree t;

	put_v2("a", 1, "max", 0);
	put_v2("b", 1, "max", 0);
	put_v2("c", 1, "max", 0);
	open_tree(&t, CGROUP_V2);
	assert_int_equal(join(&t, "/a"), 0);
	assert_int_equal(join(&t, "/b"), 1);
	assert_int_equal(join(&t, "/b"), 1);
	cgroup_tree_read(&t, 1);
	cgroup_tree_leave(&t, 0);
	cgroup_tree_sweep(&t);
	assert_int_equal(t.count, 1);
	assert_int_equal(join(&t, "/c"), 2);
	cgroup_tree_read(&t, 1);
	assert_int_equal(join(&t, "/a"), 0);
	cgroup_tree_leave(&t, 1);
	cgroup_tree_sweep(&t);
	assert_int_equal(get(&t, 1)->members, 1);
	/* the host itself has no id */
	assert_int_equal(join(&t, "/"), CGROUP_NONE);
	assert_int_equal(join(&t, "/../x"), CGROUP_NONE);
	cgroup_tree_leave(&t, CGROUP_NONE);
	cgroup_tree_fini(&t);
}

static void without_the_controller_it_is_blind_but_there(void **state unused_arg)
{
	struct cgroup_tree t;
	uint16_t id;

	put_v2("a", 10, "104857600", 0);
	folder_put("a/b/cgroup.procs", "1\n");
	open_tree(&t, CGROUP_V2);
	id = join(&t, "/a/b");
	cgroup_tree_read(&t, 1000 * MIB);
	assert_int_equal(get(&t, id)->state, CGROUP_BLIND);
	assert_int_equal(join(&t, "/a/b"), id);
	assert_int_equal(get(&t, id)->v[CGROUP_USAGE], METRIC_ABSENT);
	assert_int_equal(get(&t, id)->effective, 100 * MIB);
	assert_int_equal(get(&t, id)->owner, 0);
	cgroup_tree_fini(&t);
}

static void there_are_at_most_512(void **state unused_arg)
{
	struct cgroup_tree t;
	char path[64];

	open_tree(&t, CGROUP_V2);
	for (unsigned i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "/x%u", i);
		assert_int_equal(join(&t, path) == CGROUP_NONE, i >= CGROUP_MAX);
	}
	assert_int_equal(t.refused, 600 - CGROUP_MAX);
	/* a path whose end has no room leaves nothing behind */
	cgroup_tree_leave(&t, 9);
	cgroup_tree_sweep(&t);
	cgroup_tree_read(&t, 1);
	assert_int_equal(join(&t, "/deep/er"), CGROUP_NONE);
	assert_int_equal(t.count, CGROUP_MAX - 1);
	cgroup_tree_fini(&t);
}

static void a_host_without_cgroups_is_fine(void **state unused_arg)
{
	struct cgroup_mount m = {.version = CGROUP_NO_VERSION};
	struct cgroup_tree t;
	struct error err;

	assert_int_equal(cgroup_tree_init(&t, &m, &err), 0);
	assert_int_equal(join(&t, "/a"), CGROUP_NONE);
	cgroup_tree_read(&t, 1);
	cgroup_tree_sweep(&t);
	cgroup_tree_fini(&t);
	m = (struct cgroup_mount){.version = CGROUP_V2, .path = "/nowhere"};
	assert_int_equal(cgroup_tree_init(&t, &m, &err), -ENOENT);
	assert_says(err, "'/nowhere'");
}

static void version_1_gives_what_it_has(void **state unused_arg)
{
	struct cgroup_tree t;
	struct cgroup *c;
	uint16_t id;

	folder_put("d/memory.usage_in_bytes", "104857600\n");
	folder_put("d/memory.limit_in_bytes", "209715200\n");
	folder_put("d/x/memory.usage_in_bytes", "104857600\n");
	folder_put("d/x/memory.limit_in_bytes", "9223372036854771712\n");
	folder_put("d/x/memory.memsw.limit_in_bytes", "9223372036854771712\n");
	folder_put("d/x/memory.memsw.usage_in_bytes", "105906176\n");
	folder_put("d/x/memory.kmem.usage_in_bytes", "2097152\n");
	folder_put("d/x/memory.failcnt", "12\n");
	folder_put("d/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 3\n");
	folder_put("d/x/memory.stat", "cache 1\nrss 2\nhierarchical_memory_limit 209715200\n"
				      "total_cache 5242880\ntotal_rss 1048576\ntotal_shmem 4096\n"
				      "total_inactive_file 2097152\n");
	open_tree(&t, CGROUP_V1);
	id = join(&t, "/d/x");
	cgroup_tree_read(&t, 4096 * MIB);
	c = get(&t, id);
	assert_int_equal(c->v[CGROUP_WORKING_SET], 98 * MIB);
	assert_int_equal(c->v[CGROUP_FILE], 5 * MIB);
	assert_int_equal(c->v[CGROUP_ANON], MIB);
	assert_int_equal(c->v[CGROUP_KERNEL], 2 * MIB);
	assert_int_equal(c->v[CGROUP_SWAP], MIB);
	assert_int_equal(c->v[CGROUP_LIMIT], METRIC_ABSENT);
	assert_int_equal(c->v[CGROUP_SWAP_LIMIT], METRIC_ABSENT);
	assert_int_equal(c->v[CGROUP_EV_MAX], 12);
	assert_int_equal(c->v[CGROUP_UNDER_OOM], 1);
	assert_int_equal(c->v[CGROUP_OWN_OOM_KILL], 3);
	assert_int_equal(c->effective, 200 * MIB);
	assert_int_equal(c->owner, 0);
	/* a limit that no cgroup in sight has */
	folder_put("d/memory.limit_in_bytes", "9223372036854771712\n");
	for (unsigned i = 0; i < CGROUP_FULL_EVERY; i++)
		cgroup_tree_read(&t, 4096 * MIB);
	assert_int_equal(c->effective, 200 * MIB);
	assert_int_equal(c->owner, CGROUP_OWNER_OUTSIDE);
	cgroup_tree_fini(&t);
}

static void without_memory_a_cgroup_is_refused(void **state unused_arg)
{
	struct cgroup_tree t;
	unsigned failures = 0;

	put_v2("a", 1, "max", 0);
	open_tree(&t, CGROUP_V2);
	for (unsigned at = 1;; at++, failures++) {
		uint16_t id;

		alloc_fail_at(at);
		id = join(&t, "/a/b");
		alloc_fail_off();
		if (!alloc_failed())
			break;
		assert_int_equal(id, CGROUP_NONE);
		assert_int_equal(t.count, 0);
		cgroup_tree_read(&t, 1);
	}
	assert_true(failures >= 2);
	cgroup_tree_fini(&t);
}

/* ---- a real cgroup of version 1 ---- */

#define REAL_NAME "/memherd-test-cgroup"

static void write_text(const char *dir, const char *name, const char *text)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int64_t read_key(const char *dir, const char *name, const char *key)
{
	char path[512];
	char word[128];
	long long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	if (!key)
		assert_int_equal(fscanf(f, "%lld", &v), 1);
	else
		while (fscanf(f, "%127s %lld", word, &v) == 2 && strcmp(word, key) != 0)
			;
	fclose(f);
	return v;
}

/* Joins the cgroup itself, so that its memory is charged there, then stands still. */
static pid_t start_in(const char *dir)
{
	pid_t pid = fork();

	if (pid == 0) {
		void *m;
		int fd;
		char path[512];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
		fd = open(path, O_WRONLY);
		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(1);
		m = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
		if (m != MAP_FAILED)
			memset(m, 1, 16 << 20);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	return pid;
}

static void the_figures_are_those_of_the_files(void **state unused_arg)
{
	struct cgroup_mount m;
	struct cgroup_tree t;
	struct cgroup *c;
	struct error err;
	char dir[CGROUP_MOUNT_MAX + 64];
	uint16_t id;
	pid_t pid;

	cgroup_mount_find("/proc/self/mountinfo", &m);
	snprintf(dir, sizeof(dir), "%s" REAL_NAME, m.path);
	rmdir(dir);
	if (m.version != CGROUP_V1 || mkdir(dir, 0755) < 0)
		skip();
	write_text(dir, "memory.limit_in_bytes", "67108864");
	pid = start_in(dir);
	assert_int_equal(cgroup_tree_init(&t, &m, &err), 0);
	id = join(&t, REAL_NAME);
	cgroup_tree_read(&t, (int64_t)1 << 40);
	c = get(&t, id);
	assert_int_equal(c->state, CGROUP_LIVE);
	assert_int_equal(c->v[CGROUP_USAGE], read_key(dir, "memory.usage_in_bytes", NULL) / 1024);
	assert_true(c->v[CGROUP_USAGE] >= 16 * MIB);
	assert_int_equal(c->v[CGROUP_ANON], read_key(dir, "memory.stat", "total_rss") / 1024);
	assert_int_equal(c->v[CGROUP_FILE], read_key(dir, "memory.stat", "total_cache") / 1024);
	assert_int_equal(c->v[CGROUP_WORKING_SET],
			 (read_key(dir, "memory.usage_in_bytes", NULL) -
			  read_key(dir, "memory.stat", "total_inactive_file")) /
				 1024);
	assert_int_equal(c->v[CGROUP_KERNEL],
			 read_key(dir, "memory.kmem.usage_in_bytes", NULL) / 1024);
	assert_int_equal(c->v[CGROUP_EV_OOM_KILL], read_key(dir, "memory.oom_control", "oom_kill"));
	assert_int_equal(c->effective, 64 * MIB);
	assert_int_equal(c->owner, id);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(rmdir(dir), 0);
	cgroup_tree_read(&t, (int64_t)1 << 40);
	assert_true(c->gone_now);
	assert_int_equal(c->effective, 64 * MIB);
	cgroup_tree_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, folder_begin, folder_end)
		T(version_2_gives_all_figures),
		T(the_least_limit_above_holds),
		T(in_a_container_the_mounted_root_limits_all),
		T(the_heavy_files_are_read_when_usage_moved),
		T(kills_are_told_once_and_those_of_the_unseen_too),
		T(a_deleted_one_is_told_once_with_its_last_figures),
		T(ids_are_small_and_not_reused_at_once),
		T(without_the_controller_it_is_blind_but_there),
		T(there_are_at_most_512),
		T(a_host_without_cgroups_is_fine),
		T(version_1_gives_what_it_has),
		T(without_memory_a_cgroup_is_refused),
		T(the_figures_are_those_of_the_files),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
