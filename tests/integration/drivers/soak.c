/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soak ROUNDS [WARM_UP] - the gathering process's rounds as fast as they go over the real /proc, by
 * a clock on which each takes 10 s (8640 = a day): everything that sense keeps from round to round,
 * beside real processes that start, exec, grow, end and are killed, in cgroups that come and go.
 *
 * Prints 'name value' lines. After WARM_UP rounds (720: the flight ring has its hour) resident
 * memory is sampled: slope_kib_per_hour is the least squares line through it, in hours of that
 * clock.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/inherit.h"
#include "agent/sense/killwatch.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define ROUND_US       (10 * USEC_PER_SEC)
#define ROUNDS_AN_HOUR 360
#define WARM_UP_ROUNDS 720
#define SAMPLE_EVERY   20

static int fail(const char *what)
{
	fprintf(stderr, "soak: %s: %s\n", what, strerror(errno));
	return 1;
}

/* ---- the churn: a process of its own, told by each byte to go one step on ---- */

#define CHURN_SLOTS 16
/* Steps in which children go to the same cgroup; all of them have ended one generation later. */
#define GENERATION (2 * CHURN_SLOTS)

struct churn {
	int folder; /* the cgroup below which all others are made; -1 = none can be made */
	pid_t slots[CHURN_SLOTS];
};

static void enter_cgroup(int folder, int64_t generation)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%" PRId64 "/cgroup.procs", generation);
	fd = openat(folder, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(1);
	close(fd);
}

/* What a child does: a third become other programs, a third take memory, a third end soon. */
static void live(int64_t step)
{
	size_t bytes = (size_t)(step % 8 + 1) << 18;
	char *memory;

	switch (step % 3) {
	case 0:
		execl("/bin/sleep", "sleep", "3600", NULL);
		_exit(127);
	case 1:
		memory = malloc(bytes);
		if (memory)
			memset(memory, 1, bytes);
		break;
	default:
		usleep(10000);
		_exit((int)(step % 5));
	}
	for (;;)
		pause();
}

static int churn_step(struct churn *c, int64_t step)
{
	pid_t *slot = &c->slots[step % CHURN_SLOTS];
	char name[24];

	if (*slot) {
		kill(*slot, step % 2 ? SIGKILL : SIGTERM);
		waitpid(*slot, NULL, 0);
	}
	if (c->folder >= 0 && step % GENERATION == 0) {
		snprintf(name, sizeof(name), "%" PRId64, step / GENERATION);
		if (mkdirat(c->folder, name, 0755) < 0)
			return fail("mkdirat");
		snprintf(name, sizeof(name), "%" PRId64, step / GENERATION - 2);
		if (unlinkat(c->folder, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return fail(name);
	}
	*slot = fork();
	if (*slot < 0)
		return fail("fork");
	if (*slot == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (c->folder >= 0)
			enter_cgroup(c->folder, step / GENERATION);
		live(step);
	}
	return 0;
}

static void churn_end(struct churn *c, const char *path, int64_t steps)
{
	char name[24];

	for (unsigned i = 0; i < CHURN_SLOTS; i++) {
		if (c->slots[i] <= 0)
			continue;
		kill(c->slots[i], SIGKILL);
		waitpid(c->slots[i], NULL, 0);
	}
	for (int64_t g = MAX_OF(steps / GENERATION - 2, INT64_C(0));
	     c->folder >= 0 && g <= steps / GENERATION; g++) {
		snprintf(name, sizeof(name), "%" PRId64, g);
		unlinkat(c->folder, name, AT_REMOVEDIR);
	}
	if (c->folder >= 0)
		rmdir(path);
}

/* Ends, and leaves nothing behind, when the other end of fd does. */
static int churn_run(int fd)
{
	struct churn c = {.folder = -1};
	struct cgroup_mount mount;
	char path[CGROUP_MOUNT_MAX + 32];
	char byte;
	int64_t step = 0;
	int rc = 0;

	cgroup_mount_find("/proc/self/mountinfo", &mount);
	snprintf(path, sizeof(path), "%s/memherd-soak-%d", mount.path, (int)getpid());
	if (mount.version != CGROUP_NO_VERSION && mkdir(path, 0755) == 0)
		c.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (rc == 0 && read(fd, &byte, 1) == 1) {
		rc = churn_step(&c, step++);
		if (rc == 0 && write(fd, &byte, 1) != 1)
			break;
	}
	churn_end(&c, path, step);
	return rc;
}

static int churn_start(pid_t *ret_pid)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	*ret_pid = fork();
	if (*ret_pid < 0)
		return -errno;
	if (*ret_pid == 0) {
		close(fd[0]);
		_exit(churn_run(fd[1]));
	}
	close(fd[1]);
	return fd[0];
}

/* ---- sense, without its loop ---- */

struct soak {
	struct event_base *base;
	struct sense_fds fds;
	struct ticker ticker;
	struct outbox outbox;
	struct sender sender;
	struct keeper keeper;
	struct killwatch killwatch;
	struct buf body;
	int drain; /* where link would read */
	int churn;
	int64_t wall_us;
	int64_t boot_us;
	int64_t ends;
	int64_t keyframes;
	int64_t bytes; /* that link would have got */
	uint32_t most_cgroups;
};

static void on_end(void *arg, uint32_t id, const struct proc *p)
{
	struct soak *s = arg;

	s->ends++;
	killwatch_gone(&s->killwatch, id, p);
}

static void ignore(unused_arg void *arg)
{
}

static int soak_begin(struct soak *s)
{
	struct ticker_config cfg = {
		.sampling = {.proc_path = "/proc",
			     .max_processes = 5000,
			     .stat_every = SAMPLER_STAT_EVERY,
			     .full_every = SAMPLER_FULL_EVERY},
		/* a tenth of the default: of ten seconds that last milliseconds */
		.survey = {.pss_share = 10},
		.interval_us = ROUND_US,
		.keyframe_us = 300 * USEC_PER_SEC,
		.window_us = 1800 * USEC_PER_SEC};
	struct killwatch_config watching = {.fds = &s->fds,
					    .ticker = &s->ticker,
					    .sender = &s->sender,
					    .keeper = &s->keeper,
					    .urgent = ignore,
					    .pressure = ignore,
					    .hear = ignore};
	struct error err = {""};
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
		return fail("socketpair");
	s->drain = fd[1];
	s->fds = (struct sense_fds){fd[0], inherit_exits(), -1, -1};
	s->base = watching.base = event_base_new();
	cgroup_mount_find("/proc/self/mountinfo", &cfg.survey.mount);
	outbox_init(&s->outbox, fd[0]);
	buf_init(&s->body, RECORD_MAX_BODY);
	if (!s->base || ticker_init(&s->ticker, &cfg, &err) < 0) {
		fprintf(stderr, "soak: %s\n", err.msg);
		return 1;
	}
	sender_init(&s->sender, &s->outbox, s->ticker.boot_id);
	keeper_open(&s->keeper, NULL, s->ticker.boot_id);
	if (killwatch_init(&s->killwatch, &watching, &err) < 0) {
		fprintf(stderr, "soak: %s\n", err.msg);
		return 1;
	}
	s->ticker.on_end = on_end;
	s->ticker.arg = s;
	s->wall_us = clock_wall_us();
	s->boot_us = clock_boot_us();
	return 0;
}

static void soak_end(struct soak *s)
{
	killwatch_fini(&s->killwatch);
	sender_fini(&s->sender);
	outbox_fini(&s->outbox);
	buf_fini(&s->body);
	ticker_fini(&s->ticker);
	event_base_free(s->base);
	close(s->fds.link);
	if (s->fds.exits >= 0)
		close(s->fds.exits);
	close(s->drain);
}

static int send_all(struct soak *s)
{
	static char sink[65536];
	ssize_t n;
	int r;

	do {
		r = outbox_flush(&s->outbox);
		while ((n = read(s->drain, sink, sizeof(sink))) > 0)
			s->bytes += n;
	} while (r == 1);
	return r;
}

static int soak_round(struct soak *s)
{
	struct error err = {""};
	bool keyframe = false;
	char byte = 0;
	int r;

	if (write(s->churn, &byte, 1) != 1 || read(s->churn, &byte, 1) != 1)
		return fail("the churn ended");
	s->wall_us += ROUND_US;
	s->boot_us += ROUND_US;
	buf_reset(&s->body);
	killwatch_before_round(&s->killwatch);
	r = ticker_round(&s->ticker, s->wall_us, s->boot_us, &s->body, &keyframe, &err);
	if (r == 0)
		r = outbox_push(&s->outbox, RECORD_TICK, keyframe, s->wall_us, s->body.data,
				s->body.len);
	killwatch_after_round(&s->killwatch);
	killwatch_beat(&s->killwatch, s->wall_us);
	event_base_loop(s->base, EVLOOP_NONBLOCK);
	if (r == 0)
		r = send_all(s);
	if (r < 0) {
		fprintf(stderr, "soak: a round failed: %s %s\n", err.msg, strerror(-r));
		return 1;
	}
	s->keyframes += keyframe;
	s->most_cgroups = MAX_OF(s->most_cgroups, s->ticker.survey.cgroups.count);
	return 0;
}

/* ---- what it costs ---- */

static double rss_kib(void)
{
	long size = 0;
	long resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -3; /* '.', '..' and the folder itself */

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Least squares. */
struct line {
	double n, x, y, xx, xy;
	double first, last, most;
	int fds_least, fds_most;
};

static void line_sample(struct line *l, double hours)
{
	double kib = rss_kib();
	int fds = count_fds();

	l->first = l->n > 0 ? l->first : kib;
	l->fds_least = l->n > 0 ? MIN_OF(l->fds_least, fds) : fds;
	l->fds_most = MAX_OF(l->fds_most, fds);
	l->last = kib;
	l->most = MAX_OF(l->most, kib);
	l->n++;
	l->x += hours;
	l->y += kib;
	l->xx += hours * hours;
	l->xy += hours * kib;
}

static double line_slope(const struct line *l)
{
	double d = l->n * l->xx - l->x * l->x;

	return d > 0 ? (l->n * l->xy - l->x * l->y) / d : 0;
}

static void report(const struct soak *s, const struct line *l, int64_t rounds, double seconds)
{
	printf("rounds %" PRId64 "\nhours %.1f\nseconds %.1f\n", rounds,
	       (double)rounds / ROUNDS_AN_HOUR, seconds);
	printf("cpu_us_per_round %" PRId64 "\n", clock_cpu_us() / rounds);
	printf("processes %u\nends %" PRId64 "\nkeyframes %" PRId64 "\nbytes %" PRId64 "\n",
	       s->ticker.sampler.live, s->ends, s->keyframes, s->bytes);
	printf("cgroups %u\nexits_heard %s\n", s->most_cgroups, s->fds.exits < 0 ? "no" : "yes");
	printf("ring_kib %zu\npss_reads %" PRIu64 "\n", ring_bytes(&s->ticker.survey.ring) / 1024,
	       s->ticker.survey.pss.sum.reads);
	printf("rss_first_kib %.0f\nrss_last_kib %.0f\nrss_most_kib %.0f\n", l->first, l->last,
	       l->most);
	printf("slope_kib_per_hour %.2f\n", line_slope(l));
	printf("descriptors_least %d\ndescriptors_most %d\n", l->fds_least, l->fds_most);
}

static int run(struct soak *s, int64_t rounds, int64_t warm_up)
{
	int64_t begin_us = clock_boot_us();
	struct line line = {0};

	for (int64_t i = 0; i < rounds; i++) {
		if (soak_round(s))
			return 1;
		if (i >= warm_up && i % SAMPLE_EVERY == 0)
			line_sample(&line, (double)i / ROUNDS_AN_HOUR);
	}
	report(s, &line, rounds, (double)(clock_boot_us() - begin_us) / USEC_PER_SEC);
	return 0;
}

int main(int argc, char **argv)
{
	static struct soak soak;
	pid_t churner = -1;
	int64_t rounds = 0;
	int64_t warm_up = WARM_UP_ROUNDS;
	bool clear = argc >= 2 && argc <= 3 && str_parse_int(argv[1], &rounds) == 0 &&
		     (argc < 3 || str_parse_int(argv[2], &warm_up) == 0);
	int rc;

	if (!clear || warm_up < 0 || rounds <= warm_up || rounds > 1000000) {
		fprintf(stderr, "usage: soak ROUNDS [WARM_UP]\n");
		return 2;
	}
	log_init("soak", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	signal(SIGPIPE, SIG_IGN);
	soak.churn = churn_start(&churner);
	if (soak.churn < 0)
		return fail("cannot start the churn");
	rc = soak_begin(&soak);
	if (rc == 0)
		rc = run(&soak, rounds, warm_up);
	close(soak.churn);
	waitpid(churner, NULL, 0);
	if (rc == 0)
		soak_end(&soak);
	return rc;
}
