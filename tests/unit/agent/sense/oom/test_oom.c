/* SPDX-License-Identifier: Apache-2.0 */
// link: -Wl,--wrap=recvfrom -Wl,--wrap=clock_gettime -Wl,--wrap=malloc -Wl,--wrap=calloc
// link: -Wl,--wrap=realloc -Wl,--wrap=strdup
/*
 * The whole of it over recorded sources: a pipe whose packets are the records of a kernel's log, a
 * pipe with lines of the tracepoint, datagrams of the proc connector, and a clock that is set.
 */
#include "agent/sense/oom/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "tests/support/alloc.h"
#include "tests/support/folder.h"
#include "tests/support/kmsg.h"
#include "tests/unit/agent/sense/oom/owner.h"

/* ---- the clock ---- */

static int64_t later_us;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = __real_clock_gettime(id, ts);

	ts->tv_sec += later_us / USEC_PER_SEC;
	return rc;
}

/* ---- the proc connector ---- */

struct datagram {
	struct nlmsghdr nl;
	struct cn_msg cn;
	struct proc_event event;
} __attribute__((packed));

static struct {
	int fd;
	struct {
		uint32_t pid;
		uint32_t status;
		int fails; /* errno instead of a datagram */
	} queue[512];
	size_t n;
	size_t at;
} connector;

ssize_t __wrap_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from,
			socklen_t *from_len);
ssize_t __wrap_recvfrom(int fd, void *buf, size_t len, int flags unused_arg, struct sockaddr *from,
			socklen_t *from_len)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct datagram m = {.nl = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_DONE},
			     .cn = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof(m.event)}};

	assert_int_equal(fd, connector.fd);
	assert_true(len >= sizeof(m));
	if (connector.at == connector.n) {
		errno = EAGAIN;
		return -1;
	}
	if (connector.queue[connector.at].fails) {
		errno = connector.queue[connector.at++].fails;
		return -1;
	}
	m.event.what = PROC_EVENT_EXIT;
	m.event.event_data.exit.process_pid = (pid_t)connector.queue[connector.at].pid;
	m.event.event_data.exit.process_tgid = (pid_t)connector.queue[connector.at].pid;
	m.event.event_data.exit.exit_code = connector.queue[connector.at++].status;
	memcpy(buf, &m, sizeof(m));
	memcpy(from, &kernel, sizeof(kernel));
	*from_len = sizeof(kernel);
	return sizeof(m);
}

static void exits(uint32_t pid, uint32_t status)
{
	assert_true(connector.n < ARRAY_SIZE(connector.queue));
	connector.queue[connector.n].pid = pid;
	connector.queue[connector.n].fails = 0;
	connector.queue[connector.n++].status = status;
}

static void connector_fails(int error)
{
	exits(0, 0);
	connector.queue[connector.n - 1].fails = error;
}

/* ---- the world ---- */

static struct owner w;
static struct oom *o;
static struct oom_config cfg;
static char kmsg_path[96];
static char position_path[96];
static char proc_path[96];
static int kmsg_fd;
static int trace_fds[2];

/* A pipe in packet mode: one write is one record. */
static void make_kmsg(void)
{
	assert_int_equal(mkfifo(kmsg_path, 0600), 0);
	kmsg_fd = open(kmsg_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(kmsg_fd >= 0);
	assert_int_equal(fcntl(kmsg_fd, F_SETFL, O_NONBLOCK | O_DIRECT), 0);
	assert_true(fcntl(kmsg_fd, F_SETPIPE_SZ, 1 << 20) >= 1 << 20);
}

static int begin(void **state)
{
	if (folder_begin(state) < 0)
		return -1;
	later_us = 0;
	snprintf(kmsg_path, sizeof(kmsg_path), "%s/kmsg", folder);
	snprintf(position_path, sizeof(position_path), "%s/position", folder);
	snprintf(proc_path, sizeof(proc_path), "%s/proc", folder);
	mkdir(proc_path, 0755);
	make_kmsg();
	assert_int_equal(pipe2(trace_fds, O_NONBLOCK | O_CLOEXEC), 0);
	memset(&connector, 0, sizeof(connector));
	connector.fd = eventfd(1, EFD_CLOEXEC);
	owner_init(&w);
	cfg = owner_config(&w);
	cfg.kmsg_path = kmsg_path;
	cfg.position_path = position_path;
	cfg.proc_path = proc_path;
	cfg.trace_fd = trace_fds[0];
	cfg.exits_fd = connector.fd;
	o = NULL;
	return 0;
}

static int finish(void **state)
{
	oom_free(&o);
	owner_fini(&w);
	close(connector.fd);
	close(trace_fds[0]);
	close(trace_fds[1]);
	close(kmsg_fd);
	return folder_end(state);
}

static void say(const char *record)
{
	if (write(kmsg_fd, record, strlen(record)) != (ssize_t)strlen(record))
		fail_msg("no room for '%s'", record);
}

static void trace(const char *line)
{
	assert_int_equal(write(trace_fds[1], line, strlen(line)), strlen(line));
}

/* Ends of processes are listened for anew after a while only. */
static void turns(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(w.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	oom_before_round(o);
}

/* All records of a fixture, with turns in between: a pipe holds some 250. */
static void say_fixture(const char *name)
{
	static struct kmsg_file f;
	const char *record;
	size_t len;
	size_t n = 0;

	assert_true(kmsg_file_load(&f, name));
	while ((record = kmsg_file_next(&f, &len))) {
		assert_int_equal(write(kmsg_fd, record, len), len);
		if (++n % 200 == 0 && o)
			turns();
	}
	if (o)
		turns();
}

/* Up to the end of what the log holds. */
static void watch(void)
{
	struct error err;

	assert_int_equal(oom_new(&cfg, &o, &err), 0);
	turns();
}

/* Another run over what the log still holds. */
static void again(void)
{
	oom_free(&o);
	w.n_kills = 0;
	w.n_events = 0;
}

static void know(uint32_t pid, const char *comm, const char *service)
{
	owner_round_begin(&w, clock_boot_us());
	owner_birth(&w, pid, pid * 10, comm, service, "", CGROUP_NONE);
	owner_value(&w, pid, 10 << 10);
	ring_round_end(&w.ring);
}

static void wait_seconds(int64_t s)
{
	later_us += s * USEC_PER_SEC;
	oom_round(o, METRIC_ABSENT);
}

static const char *cause_of(uint32_t pid)
{
	return event_detail(owner_event_of(&w, WIRE_EVENT_DEATH, pid), "cause");
}

/* ---- the kernel's log ---- */

static void kills_of_before_are_told_once_over_restarts(void **state unused_arg)
{
	char text[64] = "";
	FILE *f;

	say_fixture("6.18-memcg-nested.txt");
	watch();
	assert_int_equal(w.n_kills, 1);
	assert_true(w.kills[0].replayed);
	assert_int_equal(w.kills[0].seq, 501);
	assert_string_equal(w.kills[0].limit_cgroup, "/docker/limit-a");
	assert_int_equal(w.n_events, 0);
	f = fopen(position_path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "07070707-0707-0707-0707-070707070707 501\n");
	again();
	/* The log is the same, and one kill came while nobody watched. */
	say_fixture("6.18-memcg-nested.txt");
	say("3,502,600000000,-;Out of memory: Killed process 9 (late) total-vm:1kB, anon-rss:2kB, "
	    "file-rss:0kB, shmem-rss:0kB, UID:5 pgtables:4kB oom_score_adj:0\n");
	watch();
	assert_int_equal(w.n_kills, 1);
	assert_int_equal(w.kills[0].victim.pid, 9);
	again();
	/* Another boot. */
	cfg.boot_id[3]++;
	say_fixture("6.18-memcg-nested.txt");
	watch();
	assert_int_equal(w.n_kills, 1);
	again();
	/* A file that is none. */
	folder_put("position", "07070708 500\n");
	say_fixture("6.18-memcg-nested.txt");
	watch();
	assert_int_equal(w.n_kills, 1);
}

static void a_live_kill_has_dossier_and_verdict(void **state unused_arg)
{
	const struct wire_kill *k;
	const struct wire_event *e;

	watch();
	know(17960, "python3", "shop");
	say_fixture("6.18-memcg-nested.txt");
	k = owner_kill_of(&w, 17960);
	assert_false(k->replayed);
	assert_true(k->complete);
	assert_string_equal(k->victim.service, "shop");
	assert_int_equal(k->victim.start_ticks, 179600);
	assert_string_equal(k->victim_cgroup, "/docker/limit-a/leaf,uid=0");
	assert_int_equal(k->growers[0].pid, 17960);
	assert_int_equal(k->n_evidence, 4);
	assert_true(w.pressure >= 1);
	assert_int_equal(w.n_events, 0);
	exits(17960, SIGKILL);
	turns();
	e = owner_event_of(&w, WIRE_EVENT_DEATH, 17960);
	assert_int_equal(e->start_ticks, 179600);
	assert_true(e->has_boot_id);
	assert_string_equal(event_detail(e, "cause"), "kernel_memcg");
	assert_string_equal(event_detail(e, "confidence"), "certain");
	assert_string_equal(event_detail(e, "signal"), "9");
	assert_string_equal(event_detail(e, "service"), "shop");
	assert_non_null(strstr(event_detail(e, "evidence2"), "record 501"));
	assert_int_equal(w.n_kills, 1);
}

/* A round came between the kill and its line: a zombie stays in the table, of the ring's living it
 * is none. */
static void a_victim_that_is_a_zombie_already_is_known(void **state unused_arg)
{
	const struct wire_kill *k;

	watch();
	know(17960, "python3", "shop");
	owner_round_begin(&w, clock_boot_us());
	ring_exit(&w.ring, w.procs[0].p.id);
	ring_round_end(&w.ring);
	say_fixture("6.18-memcg-nested.txt");
	k = owner_kill_of(&w, 17960);
	assert_string_equal(k->victim.service, "shop");
	assert_int_equal(k->growers[0].pid, 17960);
}

static void a_burst_is_told_kill_by_kill(void **state unused_arg)
{
	watch();
	say_fixture("6.18-memcg-burst.txt");
	assert_int_equal(w.n_kills, 14);
	for (size_t i = 1; i < w.n_kills; i++)
		assert_true(w.kills[i].seq > w.kills[i - 1].seq);
	assert_int_equal(oom_state(o).kills, 14);
	assert_true(w.packed_max < 48 << 10);
}

static void what_was_not_taken_is_told_again_after_a_restart(void **state unused_arg)
{
	w.refuse = -ENOBUFS;
	watch();
	say_fixture("6.18-memcg-nested.txt");
	assert_int_equal(w.n_kills, 1);
	again();
	w.refuse = 0;
	say_fixture("6.18-memcg-nested.txt");
	watch();
	assert_int_equal(w.n_kills, 1);
}

static void a_hole_in_the_log_is_told_with_its_size(void **state unused_arg)
{
	const struct wire_event *e;

	watch();
	say("6,100,1,-;hello\n");
	say("6,131,2,-;after the hole\n");
	turns();
	e = owner_event_of(&w, WIRE_EVENT_SENSE_TROUBLE, 0);
	assert_string_equal(event_detail(e, "source"), "kmsg");
	assert_string_equal(event_detail(e, "count"), "30");
	/* More of it within a minute is one more event, later. */
	say("6,140,3,-;x\n");
	say("6,150,4,-;y\n");
	turns();
	assert_int_equal(w.n_events, 1);
	wait_seconds(61);
	assert_int_equal(w.n_events, 2);
	assert_string_equal(event_detail(&w.events[1], "count"), "17");
	assert_int_equal(oom_state(o).lost_records, 47);
	again();
	/* What was written over while nobody watched. */
	say("6,175,5,-;z\n");
	watch();
	assert_string_equal(event_detail(owner_event_of(&w, WIRE_EVENT_SENSE_TROUBLE, 0), "count"),
			    "24");
}

static void lines_that_others_wrote_are_no_kills(void **state unused_arg)
{
	watch();
	say("11,100,1,-;Out of memory: Killed process 1 (init) total-vm:1kB, anon-rss:1kB, "
	    "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0\n");
	say("no record at all");
	turns();
	assert_int_equal(w.n_kills, 0);
	assert_int_equal(w.n_events, 0);
}

/* ---- verdicts ---- */

static void ends_get_their_verdicts(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_EARLYOOM,
				   .act = KILLER_ACT_SIGNAL,
				   .pid = 104,
				   .signal = SIGTERM};

	watch();
	for (uint32_t pid = 100; pid < 107; pid++)
		know(pid, "python3", "shop");
	exits(100, 0);
	exits(101, SIGKILL);
	exits(102, SIGTERM);
	exits(103, 3 << 8);
	exits(104, SIGTERM);
	exits(105, SIGSEGV | 0x80);
	exits(106, SIGTERM);
	exits(999, SIGKILL); /* was never tracked */
	oom_note(o, &note);
	oom_own_action(o, 106, 1060, VERDICT_ACTION_RESTART, (const uint8_t[16]){47, 11});
	say("6,100,1,-;python3[105]: segfault at 8 ip 0 sp 0 error 4 in x\n");
	turns();
	assert_string_equal(cause_of(100), "clean_exit");
	assert_string_equal(cause_of(105), "crash");
	assert_int_equal(w.n_events, 2);
	wait_seconds(3);
	assert_string_equal(cause_of(101), "killed");
	assert_string_equal(cause_of(102), "terminated");
	assert_string_equal(cause_of(103), "exit_code");
	assert_string_equal(event_detail(owner_event_of(&w, WIRE_EVENT_DEATH, 103), "exit_code"),
			    "3");
	assert_string_equal(cause_of(104), "earlyoom");
	assert_string_equal(cause_of(106), "own_action");
	assert_int_equal(w.n_events, 7);
	assert_int_equal(oom_state(o).deaths, 7);
	/* A killer in user space leaves a dossier too. */
	assert_int_equal(w.n_kills, 1);
	assert_int_equal(w.kills[0].victim.pid, 104);
	assert_int_equal(w.kills[0].cause, KILL_CAUSE_EARLYOOM);
	assert_true(w.kills[0].seq >= WIRE_KILL_SEQ_OWN);
	assert_false(w.kills[0].complete);
}

static struct killer_note sent_to(int64_t pid)
{
	return (struct killer_note){.killer = KILLER_EARLYOOM,
				    .act = KILLER_ACT_SIGNAL,
				    .pid = pid,
				    .signal = SIGTERM,
				    .wall_us = clock_wall_us(),
				    .comm = "gree\ndy",
				    .reason = "badness 1733, VmRSS 223 MiB"};
}

/* It came and went between two rounds. */
static void whom_only_its_killer_saw_has_a_dossier(void **state unused_arg)
{
	struct killer_note note;
	const struct wire_kill *k;

	watch();
	note = sent_to(200);
	oom_note(o, &note);
	exits(200, SIGTERM);
	turns();
	assert_int_equal(w.n_kills, 0);
	wait_seconds(3);
	assert_int_equal(w.n_kills, 1);
	k = &w.kills[0];
	assert_int_equal(k->victim.pid, 200);
	assert_string_equal(k->victim.comm, "gree\\x0ady");
	assert_int_equal(k->cause, KILL_CAUSE_EARLYOOM);
	assert_true(k->seq >= WIRE_KILL_SEQ_OWN);
	assert_non_null(strstr(k->verdict, "pid 200"));
	/* More lines of the same one. */
	note.signal = SIGKILL;
	oom_note(o, &note);
	wait_seconds(3);
	assert_int_equal(w.n_kills, 1);
}

static void who_is_still_there_was_not_killed(void **state unused_arg)
{
	static const struct {
		uint32_t pid;
		const char *stat;
	} rows[] = {{201, "201 (x) S 1 201 201 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0\n"},
		    {202, "202 (x) Z 1 202 202 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 78 0 0\n"}};
	struct killer_note note;
	char path[32];

	watch();
	know(203, "python3", "shop");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(path, sizeof(path), "proc/%u/stat", rows[i].pid);
		folder_put(path, rows[i].stat);
		note = sent_to(rows[i].pid);
		oom_note(o, &note);
	}
	/* One that is sampled will have its own end. */
	note = sent_to(203);
	oom_note(o, &note);
	/* Of before our time: an earlier run may have told it. */
	note = sent_to(204);
	note.wall_us -= 60 * USEC_PER_SEC;
	oom_note(o, &note);
	/* It says that the signal was survived. */
	note = sent_to(205);
	note.act = KILLER_ACT_SURVIVED;
	oom_note(o, &note);
	turns();
	wait_seconds(3);
	assert_int_equal(w.n_kills, 1);
	assert_int_equal(w.kills[0].victim.pid, 202); /* nobody has collected its exit code */
}

/* Processes 100 and 101 in the cgroup of a unit. */
static void know_two_of_a_unit(void)
{
	struct cgroup_mount mount = {.version = CGROUP_V2, .root = "/"};
	struct error err;
	uint16_t id;

	folder_put("cgroup/system.slice/shop.service/memory.current", "4096\n");
	folder_put("cgroup/system.slice/shop.service/memory.events", "oom_kill 3\n");
	snprintf(mount.path, sizeof(mount.path), "%s/cgroup", folder);
	assert_int_equal(cgroup_tree_init(&w.tree, &mount, &err), 0);
	id = cgroup_tree_join(&w.tree,
			      &(struct procfs_cgroup){.unified = "/system.slice/shop.service"});
	assert_true(id != CGROUP_NONE);
	watch();
	owner_round_begin(&w, clock_boot_us());
	owner_birth(&w, 100, 1000, "a", "shop", "", id);
	owner_birth(&w, 101, 1010, "a", "shop", "", id);
	ring_round_end(&w.ring);
	cgroup_tree_read(&w.tree, 1 << 20);
	oom_round(o, METRIC_ABSENT);
}

static void a_note_on_a_unit_alone_makes_no_dossier_of_the_kernel(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_PID1_OOM,
				   .act = KILLER_ACT_UNIT,
				   .target = "shop.service"};

	know_two_of_a_unit();
	exits(100, SIGKILL);
	oom_note(o, &note);
	turns();
	wait_seconds(3);
	assert_string_equal(cause_of(100), "kernel_oom");
	assert_int_equal(w.n_kills, 0);
	/* The counter of its cgroup rose, too. */
	folder_put("cgroup/system.slice/shop.service/memory.events", "oom_kill 4\n");
	exits(101, SIGKILL);
	turns();
	wait_seconds(3);
	assert_string_equal(cause_of(101), "kernel_oom");
	assert_int_equal(w.n_kills, 1);
	assert_string_equal(w.kills[0].victim_cgroup, "/system.slice/shop.service");
}

/* OOMPolicy=kill: of a cgroup that dies as a whole the service manager may end the rest before the
 * kernel comes to it, and the kernel then writes nothing of them. */
static void who_goes_with_a_cgroup_has_a_dossier(void **state unused_arg)
{
	struct killer_note note = {.killer = KILLER_PID1_OOM,
				   .act = KILLER_ACT_UNIT,
				   .target = "shop.service"};
	const struct wire_kill *k;

	know_two_of_a_unit();
	say("6,100,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/"
	    ",mems_allowed=0,"
	    "oom_memcg=/system.slice,task_memcg=/system.slice/shop.service,task=a,pid=100,uid=0\n");
	say("6,101,2,-;Memory cgroup out of memory: Killed process 100 (a) total-vm:1kB, "
	    "anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0\n");
	say("6,102,3,-;Tasks in /system.slice/shop.service are going to be killed due to "
	    "memory.oom.group set\n");
	say("6,103,4,-;Memory cgroup out of memory: OOM victim 101 (a) is already exiting. Skip "
	    "killing the task\n");
	exits(100, SIGKILL);
	exits(101, SIGKILL);
	oom_note(o, &note);
	turns();
	wait_seconds(3);
	assert_string_equal(cause_of(100), "kernel_memcg");
	assert_string_equal(cause_of(101), "kernel_group");
	assert_int_equal(w.n_kills, 2);
	k = &w.kills[1];
	assert_int_equal(k->victim.pid, 101);
	assert_int_equal(k->cause, KILL_CAUSE_KERNEL_GROUP);
	assert_int_equal(k->confidence, KILL_CONFIDENCE_LIKELY);
	assert_string_equal(k->victim.service, "shop");
	assert_string_equal(k->limit_cgroup, "/system.slice");
	assert_string_equal(k->victim_cgroup, "/system.slice/shop.service");
	assert_true(k->seq >= WIRE_KILL_SEQ_OWN);
}

static void without_the_log_the_tracepoint_tells(void **state unused_arg)
{
	const struct wire_event *e;
	const struct wire_kill *k;

	cfg.kmsg_path = "/nowhere/kmsg";
	watch();
	e = owner_event_of(&w, WIRE_EVENT_SENSE_TROUBLE, 0);
	assert_string_equal(event_detail(e, "source"), "kmsg");
	assert_non_null(strstr(e->text, "No such file"));
	assert_false(oom_state(o).kmsg);
	know(100, "python3", "shop");
	trace("  python3-100  [000] d..1. 17.1: mark_victim: pid=100 comm=python3 total-vm=90kB "
	      "anon-rss=70kB file-rss:8kB shmem-rss:0kB uid=5 pgtables=3kB oom_score_adj=7\n");
	trace("  sh-555  [000] d..1. 17.2: mark_victim: pid=555 comm=stranger total-vm=90kB "
	      "anon-rss=80kB file-rss:0kB shmem-rss:0kB uid=6 pgtables=3kB oom_score_adj=7\n");
	exits(100, SIGKILL);
	turns();
	wait_seconds(3);
	assert_string_equal(cause_of(100), "kernel_oom");
	k = owner_kill_of(&w, 100);
	assert_false(k->complete);
	assert_int_equal(k->cause, KILL_CAUSE_KERNEL_OOM);
	assert_int_equal(k->victim.v[KILL_FIGURE_ANON], 70);
	assert_int_equal(k->victim.v[KILL_FIGURE_OOM_SCORE_ADJ], 7);
	assert_string_equal(k->victim.service, "shop");
	/* One that nobody knows is a kill as well, without an end. */
	wait_seconds(10);
	k = owner_kill_of(&w, 555);
	assert_string_equal(k->victim.comm, "stranger");
	assert_int_equal(k->victim.start_ticks, 0);
	assert_int_equal(owner_events(&w, WIRE_EVENT_DEATH), 1);
	assert_int_equal(owner_events(&w, WIRE_EVENT_SENSE_TROUBLE), 1);
}

static void connector_and_round_tell_of_the_same_end(void **state unused_arg)
{
	watch();
	know(100, "a", "x");
	know(101, "b", "x");
	know(102, "c", "x");
	exits(100, 0);
	turns();
	oom_before_round(o);
	owner_round_begin(&w, clock_boot_us());
	owner_gone(&w, o, 100);
	owner_gone(&w, o, 101);
	owner_gone(&w, o, 102);
	ring_round_end(&w.ring);
	oom_round(o, METRIC_ABSENT);
	/* The table does not know it any more, but its end waits for a verdict. */
	exits(101, 7 << 8);
	turns();
	wait_seconds(3);
	assert_string_equal(cause_of(100), "clean_exit");
	assert_string_equal(cause_of(101), "exit_code");
	assert_string_equal(cause_of(102), "unknown");
	assert_string_equal(event_detail(owner_event_of(&w, WIRE_EVENT_DEATH, 102), "comm"), "c");
	assert_int_equal(w.n_events, 3);
}

static void what_still_waits_at_the_end_is_told(void **state unused_arg)
{
	watch();
	know(100, "a", "x");
	exits(100, SIGKILL);
	turns();
	assert_int_equal(w.n_events, 0);
	oom_flush(o);
	assert_string_equal(cause_of(100), "killed");
}

static void a_flood_of_ends_is_counted_and_kills_still_come_through(void **state unused_arg)
{
	const struct wire_event *e;

	watch();
	for (uint32_t i = 0; i < OWNER_MAX; i++)
		know(1000 + i, "sh", "cron");
	for (uint32_t i = 0; i < OWNER_MAX; i++)
		exits(1000 + i, i == OWNER_MAX - 1 ? SIGKILL : 0);
	say("3,100,600000000,-;Out of memory: Killed process 1063 (sh) total-vm:1kB, anon-rss:2kB, "
	    "file-rss:0kB, shmem-rss:0kB, UID:5 pgtables:4kB oom_score_adj:0\n");
	turns();
	assert_string_equal(cause_of(1063), "kernel_global");
	assert_int_equal(w.n_events, 51);
	oom_round(o, METRIC_ABSENT);
	assert_int_equal(w.n_events, 52);
	e = owner_event_of(&w, WIRE_EVENT_DEATH, 0);
	assert_string_equal(event_detail(e, "count"), "13");
	assert_int_equal(oom_state(o).held_back, 13);
	assert_int_equal(oom_state(o).deaths, 64);
}

/* ---- what else is told ---- */

static void counters_that_disagree_are_an_event(void **state unused_arg)
{
	watch();
	oom_round(o, 10);
	oom_round(o, 10);
	say_fixture("6.18-memcg-nested.txt");
	oom_round(o, 11);
	later_us += 10 * USEC_PER_SEC;
	oom_round(o, 11);
	assert_int_equal(w.n_events, 0);
	oom_round(o, 13);
	later_us += 10 * USEC_PER_SEC;
	oom_round(o, 13);
	assert_string_equal(event_detail(owner_event_of(&w, WIRE_EVENT_MISMATCH, 0), "count"), "2");
	later_us += 10 * USEC_PER_SEC;
	oom_round(o, 13);
	assert_int_equal(w.n_events, 1);
}

static void kills_of_before_do_not_count(void **state unused_arg)
{
	struct error err;

	say_fixture("6.18-memcg-nested.txt");
	assert_int_equal(oom_new(&cfg, &o, &err), 0);
	/* A round comes before the loop has read the log. */
	for (int i = 0; i < 5; i++) {
		oom_round(o, 10);
		later_us += 10 * USEC_PER_SEC;
	}
	assert_int_equal(w.n_kills, 1);
	assert_int_equal(owner_events(&w, WIRE_EVENT_MISMATCH), 0);
}

static void lost_ends_and_a_lost_source_are_told_once(void **state unused_arg)
{
	watch();
	connector_fails(ENOBUFS);
	connector_fails(ENOBUFS);
	turns();
	assert_string_equal(event_detail(owner_event_of(&w, WIRE_EVENT_SENSE_TROUBLE, 0), "source"),
			    "exits");
	assert_int_equal(oom_state(o).lost_exits, 2);
	connector_fails(ENOTCONN);
	connector_fails(ENOTCONN);
	turns();
	assert_int_equal(w.n_events, 2);
	assert_false(oom_state(o).exits);
	assert_true(oom_state(o).kmsg);
	trace("CPU:0 [LOST 23 EVENTS]\n");
	turns();
	assert_int_equal(oom_state(o).lost_marks, 23);
	close(trace_fds[1]);
	trace_fds[1] = eventfd(0, EFD_CLOEXEC);
	turns();
	assert_false(oom_state(o).trace);
}

static void a_cgroup_without_victim_is_told(void **state unused_arg)
{
	watch();
	say_fixture("6.12-no-victim.txt");
	assert_true(owner_events(&w, WIRE_EVENT_PRESSURE) >= 1);
}

static void without_memory_it_does_not_begin(void **state unused_arg)
{
	struct error err;
	unsigned n = 0;
	int rc;

	do {
		alloc_fail_at(++n);
		rc = oom_new(&cfg, &o, &err);
		alloc_fail_off();
		assert_true(rc == 0 || rc == -ENOMEM);
		if (rc == 0)
			oom_free(&o);
		assert_null(o);
	} while (alloc_failed());
	assert_true(n > 3);
}

static int kill_with_memory(void *arg, const struct wire_kill *k)
{
	alloc_fail_off();
	return owner_kill(arg, k);
}

static void without_memory_a_kill_keeps_its_place_in_the_log(void **state unused_arg)
{
	unsigned n = 0;

	cfg.ops.kill = kill_with_memory;
	do {
		watch();
		alloc_fail_at(++n);
		say_fixture("6.18-memcg-nested.txt");
		alloc_fail_off();
		oom_free(&o);
		if (!w.n_kills) {
			say_fixture("6.18-memcg-nested.txt");
			watch();
		}
		oom_free(&o);
		assert_int_equal(w.n_kills, 1);
		unlink(position_path);
		w.n_kills = 0;
	} while (alloc_failed());
	assert_true(n > 3);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)
	const struct CMUnitTest tests[] = {
		TEST(kills_of_before_are_told_once_over_restarts),
		TEST(a_live_kill_has_dossier_and_verdict),
		TEST(a_victim_that_is_a_zombie_already_is_known),
		TEST(a_burst_is_told_kill_by_kill),
		TEST(what_was_not_taken_is_told_again_after_a_restart),
		TEST(a_hole_in_the_log_is_told_with_its_size),
		TEST(lines_that_others_wrote_are_no_kills),
		TEST(ends_get_their_verdicts),
		TEST(whom_only_its_killer_saw_has_a_dossier),
		TEST(who_is_still_there_was_not_killed),
		TEST(a_note_on_a_unit_alone_makes_no_dossier_of_the_kernel),
		TEST(who_goes_with_a_cgroup_has_a_dossier),
		TEST(without_the_log_the_tracepoint_tells),
		TEST(connector_and_round_tell_of_the_same_end),
		TEST(what_still_waits_at_the_end_is_told),
		TEST(a_flood_of_ends_is_counted_and_kills_still_come_through),
		TEST(counters_that_disagree_are_an_event),
		TEST(kills_of_before_do_not_count),
		TEST(lost_ends_and_a_lost_source_are_told_once),
		TEST(a_cgroup_without_victim_is_told),
		TEST(without_memory_it_does_not_begin),
		TEST(without_memory_a_kill_keeps_its_place_in_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
