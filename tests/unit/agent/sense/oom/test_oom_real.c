/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real kernel kills real processes in a memory cgroup that this test makes (root; cgroup v1 or
 * v2), and the dossiers must name them right. Says why and is skipped where that cannot be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/inherit.h"
#include "agent/sense/procfs.h"
#include "common/fs.h"
#include "tests/unit/agent/sense/oom/owner.h"

#define LIMIT_MIB 40
#define BURST     14

static struct cgroup_mount cgroups;
static char cgroup[320];     /* the folder */
static char cgroup_name[64]; /* below the mount */
static char position[64];
static char why[512]; /* the tests cannot run; "" = they can */
static int exits_fd = -1;
static int trace_fd = -1;
static char tracing[64] = INHERIT_TRACE_PATH;
static bool mounted; /* by this test */

static bool put(const char *name, const char *text)
{
	char path[400];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

static bool make_cgroup(void)
{
	char limit[32];

	snprintf(cgroup_name, sizeof(cgroup_name), "/memherd-oom-test-%d", (int)getpid());
	snprintf(cgroup, sizeof(cgroup), "%s", cgroups.path);
	if (cgroups.version == CGROUP_V2)
		(void)put("cgroup.subtree_control", "+memory");
	snprintf(cgroup, sizeof(cgroup), "%s%s", cgroups.path, cgroup_name);
	if (mkdir(cgroup, 0755) < 0)
		return false;
	snprintf(limit, sizeof(limit), "%d", LIMIT_MIB << 20);
	if (cgroups.version == CGROUP_V2) {
		(void)put("memory.swap.max", "0");
		return put("memory.max", limit);
	}
	if (!put("memory.limit_in_bytes", limit))
		return false;
	(void)put("memory.memsw.limit_in_bytes", limit);
	return true;
}

/* Where no tracefs is mounted, one of our own. */
static void open_trace(void)
{
	trace_fd = inherit_trace(tracing);
	if (trace_fd != -ENOENT)
		return;
	strcpy(tracing, "/tmp/memherd-tracing.XXXXXX");
	if (!mkdtemp(tracing))
		return;
	mounted = mount("tracefs", tracing, "tracefs", 0, NULL) == 0;
	if (mounted)
		trace_fd = inherit_trace(tracing);
}

static void close_trace(void)
{
	if (trace_fd >= 0) {
		close(trace_fd);
		inherit_trace_end(tracing);
	}
	if (mounted)
		umount(tracing);
	if (strcmp(tracing, INHERIT_TRACE_PATH) != 0)
		rmdir(tracing);
}

static int begin(unused_arg void **state)
{
	int fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	strcpy(position, "/tmp/memherd-oom-position.XXXXXX");
	close(mkstemp(position));
	cgroup_mount_find("/proc/self/mountinfo", &cgroups);
	if (fd < 0)
		snprintf(why, sizeof(why), "/dev/kmsg: %s", strerror(errno));
	else if (cgroups.version == CGROUP_NO_VERSION)
		snprintf(why, sizeof(why), "no memory cgroups are mounted");
	else if (!make_cgroup())
		snprintf(why, sizeof(why), "'%s': %s", cgroup, strerror(errno));
	if (fd >= 0)
		close(fd);
	exits_fd = inherit_exits();
	open_trace();
	if (*why)
		print_message("skipped: %s\n", why);
	if (exits_fd < 0)
		print_message("without proc connector: %s\n", strerror(-exits_fd));
	if (trace_fd < 0)
		print_message("without tracepoint: %s\n", strerror(-trace_fd));
	return 0;
}

static int end(unused_arg void **state)
{
	if (exits_fd >= 0)
		close(exits_fd);
	close_trace();
	unlink(position);
	if (*why)
		return 0;
	/* The last of its processes may still be on its way out. */
	for (int i = 0; i < 100 && rmdir(cgroup) < 0; i++)
		usleep(20000);
	return access(cgroup, F_OK) == 0 ? -1 : 0;
}

/* ---- hogs ---- */

struct hog {
	pid_t pid;
	int go;
};

static void eat(size_t mib)
{
	char *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; p != MAP_FAILED && i < mib << 20; i += 4096)
		p[i] = 'x';
}

/* A child in the cgroup that has mib MiB and eats without end when it is told to. */
static struct hog hog_new(const char *comm, size_t mib)
{
	struct hog h;
	int ready[2];
	int go[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (h.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, comm);
		close(go[1]);
		if (!put("cgroup.procs", "0"))
			_exit(1);
		eat(mib);
		if (write(ready[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(1);
		for (;;)
			eat(1);
	}
	close(ready[1]);
	close(go[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	h.go = go[1];
	return h;
}

static void hog_go(const struct hog *h)
{
	assert_int_equal(write(h->go, "x", 1), 1);
}

static void hog_reap(struct hog *h)
{
	int status;

	close(h->go);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- the owner ---- */

static uint64_t start_of(pid_t pid)
{
	char path[64];
	char buf[1024];
	struct procfs_stat st;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = fs_read_small(AT_FDCWD, path, buf, sizeof(buf));
	assert_true(n > 0);
	assert_int_equal(procfs_parse_stat(buf, (size_t)n, &st), 0);
	return st.start_ticks;
}

static const char *log_path = "/dev/kmsg";

static struct oom *watch(struct owner *w)
{
	struct oom_config cfg = owner_config(w);
	struct error err;
	struct oom *o;

	cfg.kmsg_path = log_path;
	cfg.position_path = position;
	cfg.exits_fd = exits_fd;
	cfg.trace_fd = trace_fd;
	assert_int_equal(oom_new(&cfg, &o, &err), 0);
	return o;
}

static void know(struct owner *w, const struct hog *h, const char *comm)
{
	struct procfs_cgroup paths = {.unified = ""};

	memcpy(cgroups.version == CGROUP_V2 ? paths.unified : paths.memory, cgroup_name,
	       sizeof(cgroup_name));
	owner_birth(w, (uint32_t)h->pid, start_of(h->pid), comm, "hogs", "",
		    cgroup_tree_join(&w->tree, &paths));
}

static void owner_begin(struct owner *w, const pid_t *wanted, size_t n)
{
	struct error err;

	owner_init(w);
	w->wanted = wanted;
	w->n_wanted = n;
	w->host[HOST_METRIC_TOTAL] = 1 << 20;
	assert_int_equal(cgroup_tree_init(&w->tree, &cgroups, &err), 0);
}

static void catch_up(struct owner *w)
{
	for (int i = 0; i < 50; i++)
		event_base_loop(w->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static size_t expected;
static bool kills_are_there(const struct owner *w)
{
	return w->n_kills >= expected;
}

static bool verdicts_are_there(const struct owner *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_events; i++)
		n += w->events[i].kind == WIRE_EVENT_DEATH && owner_wants(w, w->events[i].pid);
	return n >= expected;
}

/* ---- the tests ---- */

/* The kernel writes ten reports in 5 s, whoever is killed on this machine. */
static bool has_report(const struct wire_kill *k)
{
	if (!k->complete)
		print_message("others were killed: the kernel wrote no report of this one\n");
	return k->complete;
}

static void a_kill_in_a_cgroup_is_told_with_victim_trigger_limit_and_grower(void **state unused_arg)
{
	static struct owner w;
	const char *hostile = "evil) x,pid=1";
	const struct wire_event *death;
	const struct wire_kill *k;
	struct hog quiet;
	struct hog hog;
	pid_t pids[2];
	struct oom *o;
	int64_t now;

	if (*why)
		skip();
	owner_begin(&w, pids, ARRAY_SIZE(pids));
	quiet = hog_new("quiet", 8);
	hog = hog_new(hostile, 6);
	pids[0] = quiet.pid;
	pids[1] = hog.pid;
	o = watch(&w);
	catch_up(&w);
	now = clock_boot_us();
	owner_round_begin(&w, now - 30 * USEC_PER_SEC);
	know(&w, &quiet, "quiet");
	know(&w, &hog, hostile);
	owner_value(&w, (uint32_t)quiet.pid, 8 << 10);
	owner_value(&w, (uint32_t)hog.pid, 6 << 10);
	ring_round_end(&w.ring);
	cgroup_tree_read(&w.tree, 1 << 20);
	oom_round(o, METRIC_ABSENT);
	expected = 1;
	hog_go(&hog);
	owner_turn(&w, kills_are_there, 10000);
	if (exits_fd >= 0)
		owner_turn(&w, verdicts_are_there, 10000);
	hog_reap(&hog);
	assert_int_equal(w.n_kills, 1);
	k = owner_kill_of(&w, (uint32_t)hog.pid);
	print_message("%s\n", k->verdict);
	for (size_t i = 0; i < k->n_evidence; i++)
		print_message("  %s\n", k->evidence[i]);
	assert_int_equal(k->cause, KILL_CAUSE_KERNEL_MEMCG);
	assert_int_equal(k->confidence, KILL_CONFIDENCE_CERTAIN);
	assert_false(k->replayed);
	assert_string_equal(k->victim.comm, hostile);
	assert_string_equal(k->victim.service, "hogs");
	assert_true(k->victim.start_ticks > 0);
	assert_string_equal(k->limit_cgroup, cgroup_name);
	assert_string_equal(k->victim_cgroup, cgroup_name);
	assert_string_equal(k->limit_owner, "hogs");
	assert_int_equal(k->v[KILL_TOTAL_LIMIT], LIMIT_MIB << 10);
	if (has_report(k)) {
		assert_int_equal(k->trigger.pid, hog.pid);
		assert_string_equal(k->trigger.comm, hostile);
		assert_int_equal(k->n_tasks, 2);
		assert_true(k->n_evidence >= 3);
	}
	assert_int_equal(k->growers[0].pid, hog.pid);
	assert_true(k->growers[0].v[KILL_FIGURE_GROWN_1M] > 20 << 10);
	assert_true(k->ring_seconds >= 30);
	assert_true(k->victim.v[KILL_FIGURE_RSS] > 20 << 10);
	assert_true(w.pressure > 0);
	if (exits_fd >= 0) {
		death = owner_event_of(&w, WIRE_EVENT_DEATH, (uint32_t)hog.pid);
		assert_string_equal(event_detail(death, "cause"), "kernel_memcg");
		assert_string_equal(event_detail(death, "confidence"), "certain");
		assert_string_equal(event_detail(death, "signal"), "9");
	}
	kill(quiet.pid, SIGKILL);
	hog_reap(&quiet);
	oom_free(&o);
	owner_fini(&w);
}

static void a_burst_of_kills_is_told_kill_by_kill(void **state unused_arg)
{
	static struct owner w;
	struct hog hogs[BURST];
	pid_t pids[BURST];
	struct oom *o;
	int64_t begun;

	if (*why)
		skip();
	owner_begin(&w, pids, BURST);
	for (int i = 0; i < BURST; i++) {
		hogs[i] = hog_new("burst", 1);
		pids[i] = hogs[i].pid;
	}
	o = watch(&w);
	catch_up(&w);
	expected = BURST;
	begun = clock_boot_us();
	for (int i = 0; i < BURST; i++)
		hog_go(&hogs[i]);
	owner_turn(&w, kills_are_there, 20000);
	print_message("%d kills told in %lld ms\n", BURST,
		      (long long)(clock_boot_us() - begun) / 1000);
	for (int i = 0; i < BURST; i++) {
		const struct wire_kill *k = owner_kill_of(&w, (uint32_t)pids[i]);

		assert_int_equal(k->cause, KILL_CAUSE_KERNEL_MEMCG);
		hog_reap(&hogs[i]);
	}
	oom_free(&o);
	owner_fini(&w);
}

static void a_kill_while_nobody_watched_is_told_once(void **state unused_arg)
{
	static struct owner w;
	struct hog hog;
	pid_t pid;
	struct oom *o;

	if (*why)
		skip();
	owner_begin(&w, &pid, 1);
	hog = hog_new("unwatched", 1);
	pid = hog.pid;
	o = watch(&w);
	catch_up(&w);
	oom_free(&o);
	hog_go(&hog);
	hog_reap(&hog);
	expected = 1;
	o = watch(&w);
	owner_turn(&w, kills_are_there, 10000);
	assert_int_equal(w.n_kills, 1);
	assert_true(w.kills[0].replayed);
	assert_int_equal(w.kills[0].n_growers, 0);
	assert_int_equal(w.kills[0].ring_seconds, 0);
	if (has_report(&w.kills[0]))
		assert_string_equal(w.kills[0].limit_cgroup, cgroup_name);
	assert_true(llabs((long long)(w.kills[0].t_wall_us - clock_wall_us())) < 60 * USEC_PER_SEC);
	oom_free(&o);
	o = watch(&w);
	catch_up(&w);
	assert_int_equal(w.n_kills, 1);
	oom_free(&o);
	owner_fini(&w);
}

static void a_forged_line_is_no_kill(void **state unused_arg)
{
	static const char line[] =
		"<3>Out of memory: Killed process 1 (init) total-vm:1kB, anon-rss:1kB, "
		"file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0\n";
	static struct owner w;
	static const pid_t init = 1;
	struct hog hog;
	pid_t pids[2] = {init};
	struct oom *o;
	int fd;

	if (*why)
		skip();
	owner_begin(&w, pids, 2);
	hog = hog_new("witness", 1);
	pids[1] = hog.pid;
	o = watch(&w);
	catch_up(&w);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	close(fd);
	/* What comes behind it in the log was read: so was the forged line. */
	expected = 1;
	hog_go(&hog);
	owner_turn(&w, kills_are_there, 10000);
	hog_reap(&hog);
	assert_int_equal(w.n_kills, 1);
	assert_int_equal(w.kills[0].victim.pid, pids[1]);
	oom_free(&o);
	owner_fini(&w);
}

/* A child that ends in this way when it is told to. */
static struct hog ender_new(int how)
{
	struct hog h;
	int go[2];
	char c;

	assert_int_equal(pipe(go), 0);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (h.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "ender");
		close(go[1]);
		if (read(go[0], &c, 1) != 1 || how <= 0)
			_exit(-how);
		signal(how, SIG_DFL);
		kill(getpid(), how);
		pause();
	}
	close(go[0]);
	h.go = go[1];
	return h;
}

static void announce_restart(struct oom *o, pid_t pid)
{
	char path[64];
	char text[1024];
	struct procfs_stat st;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	assert_true(n > 0 && procfs_parse_stat(text, (size_t)n, &st) == 0);
	oom_own_action(o, (uint32_t)pid, st.start_ticks, VERDICT_ACTION_RESTART,
		       (const uint8_t[16]){47, 11});
}

static void ends_of_real_processes_get_their_verdicts(void **state unused_arg)
{
	static const struct {
		int how; /* a signal, or an exit code as a negative */
		const char *cause;
		bool ours; /* by an action that was announced */
	} ends[] = {
		{0, "clean_exit", false},   {-3, "exit_code", false},
		{SIGKILL, "killed", false}, {SIGTERM, "terminated", false},
		{SIGSEGV, "crash", false},  {SIGTERM, "own_action", true},
	};
	static struct owner w;
	struct hog h[ARRAY_SIZE(ends)];
	pid_t pids[ARRAY_SIZE(ends)];
	struct oom *o;
	int status;

	if (*why || exits_fd < 0)
		skip();
	owner_begin(&w, pids, ARRAY_SIZE(ends));
	owner_round_begin(&w, clock_boot_us());
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		h[i] = ender_new(ends[i].how);
		pids[i] = h[i].pid;
		know(&w, &h[i], "ender");
	}
	ring_round_end(&w.ring);
	o = watch(&w);
	catch_up(&w);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		if (ends[i].ours)
			announce_restart(o, pids[i]);
		hog_go(&h[i]);
		close(h[i].go);
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
	}
	expected = ARRAY_SIZE(ends);
	owner_turn(&w, verdicts_are_there, 10000);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const struct wire_event *e =
			owner_event_of(&w, WIRE_EVENT_DEATH, (uint32_t)pids[i]);

		assert_string_equal(event_detail(e, "cause"), ends[i].cause);
		assert_string_equal(event_detail(e, "service"), "hogs");
	}
	assert_int_equal(w.n_kills, 0);
	oom_free(&o);
	owner_fini(&w);
}

static void where_the_log_is_shut_a_kill_is_told_all_the_same(void **state unused_arg)
{
	static struct owner w;
	const struct wire_kill *k;
	struct hog hog;
	pid_t pid;
	struct oom *o;

	if (*why || exits_fd < 0)
		skip();
	owner_begin(&w, &pid, 1);
	hog = hog_new("unheard", 6);
	pid = hog.pid;
	log_path = "/nowhere/kmsg";
	o = watch(&w);
	log_path = "/dev/kmsg";
	owner_round_begin(&w, clock_boot_us());
	know(&w, &hog, "unheard");
	owner_value(&w, (uint32_t)pid, 6 << 10);
	ring_round_end(&w.ring);
	cgroup_tree_read(&w.tree, 1 << 20);
	oom_round(o, METRIC_ABSENT);
	expected = 1;
	hog_go(&hog);
	owner_turn(&w, verdicts_are_there, 10000);
	hog_reap(&hog);
	k = owner_kill_of(&w, (uint32_t)pid);
	assert_int_equal(k->cause, KILL_CAUSE_KERNEL_OOM);
	assert_int_equal(k->confidence,
			 trace_fd >= 0 ? KILL_CONFIDENCE_CERTAIN : KILL_CONFIDENCE_LIKELY);
	assert_false(k->complete);
	assert_string_equal(k->victim_cgroup, cgroup_name);
	assert_true(k->seq >= WIRE_KILL_SEQ_OWN);
	oom_free(&o);
	owner_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_in_a_cgroup_is_told_with_victim_trigger_limit_and_grower),
		cmocka_unit_test(a_kill_while_nobody_watched_is_told_once),
		cmocka_unit_test(a_forged_line_is_no_kill),
		cmocka_unit_test(ends_of_real_processes_get_their_verdicts),
		cmocka_unit_test(where_the_log_is_shut_a_kill_is_told_all_the_same),
		/* The last: after ten reports in 5 s the kernel writes kill lines alone. */
		cmocka_unit_test(a_burst_of_kills_is_told_kill_by_kill),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
