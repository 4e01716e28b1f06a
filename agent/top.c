/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/top.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "agent/sense/describe.h"
#include "agent/sense/sampler.h"
#include "common/clock.h"
#include "common/str.h"
#include "proto/wire.h"

#define DEFAULT_ROWS 20
#define COMMAND_SIZE 60

enum top_order { TOP_BY_RSS, TOP_BY_GROWTH, TOP_BY_SWAP, TOP_ORDERS };
static const char *const order_names[TOP_ORDERS] = {"rss", "growth", "swap"};

static const char usage[] =
	"usage: memherd-agent top [-d SECONDS] [-n COUNT] [-l ROWS] [-s rss|growth|swap] "
	"[--proc DIR]\n"
	"\n"
	"  -d SECONDS  between two tables (2)\n"
	"  -n COUNT    tables, then end (until Ctrl-C)\n"
	"  -l ROWS     processes shown (what fits; 20 into a pipe)\n"
	"  -s ORDER    sort by memory, by growth since the start, or by swap\n"
	"  --proc DIR  read this folder instead of /proc\n";

struct top_options {
	int64_t delay_us;
	int64_t count; /* 0 = no end */
	int64_t rows;  /* 0 = what fits */
	enum top_order order;
	const char *proc_path;
};

/* What a process had when it was first seen: growth is told from there. */
struct first_sight {
	uint32_t pid;
	uint64_t start_ticks;
	uint32_t rss;
	int64_t t_us;
};

struct top_row {
	uint32_t id;
	double growth; /* KiB per hour */
	bool known;    /* long enough to tell growth */
};

struct top {
	struct sampler sampler;
	struct first_sight *first; /* by id */
	struct top_row *rows;
	size_t cap; /* of both */
	size_t n_rows;
	enum top_order order;
	bool tty;
};

static int reserve(struct top *t, size_t n)
{
	struct first_sight *first;
	struct top_row *rows;

	if (n <= t->cap)
		return 0;
	n = MAX_OF(n, t->cap * 2);
	first = realloc(t->first, n * sizeof(*first));
	if (!first)
		return -ENOMEM;
	t->first = first;
	memset(first + t->cap, 0, (n - t->cap) * sizeof(*first));
	rows = realloc(t->rows, n * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	t->rows = rows;
	t->cap = n;
	return 0;
}

static struct top_row make_row(struct top *t, uint32_t id, int64_t now_us)
{
	const struct proc *p = &t->sampler.tab.procs[id];
	struct first_sight *f = &t->first[id];
	struct top_row row = {.id = id};

	if (f->pid != p->pid || f->start_ticks != p->start_ticks)
		*f = (struct first_sight){p->pid, p->start_ticks, p->rss, now_us};
	row.known = now_us - f->t_us >= USEC_PER_SEC / 2;
	if (row.known)
		row.growth =
			((double)p->rss - (double)f->rss) * 3600e6 / (double)(now_us - f->t_us);
	return row;
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct top *t = arg;
	const struct top_row *x = a;
	const struct top_row *y = b;
	const struct proc *p = &t->sampler.tab.procs[x->id];
	const struct proc *q = &t->sampler.tab.procs[y->id];

	if (t->order == TOP_BY_GROWTH && x->growth != y->growth)
		return x->growth < y->growth ? 1 : -1;
	if (t->order == TOP_BY_SWAP && p->swap != q->swap)
		return p->swap < q->swap ? 1 : -1;
	if (p->rss != q->rss)
		return p->rss < q->rss ? 1 : -1;
	return p->pid < q->pid ? -1 : 1;
}

static int take_round(struct top *t, struct error *err)
{
	int64_t now_us = clock_boot_us();
	int r = sampler_scan(&t->sampler, err);

	if (r < 0)
		return r;
	sampler_sweep(&t->sampler);
	if (reserve(t, t->sampler.tab.high) < 0)
		return error_sys(err, -ENOMEM, "cannot sort %u processes", t->sampler.live);
	t->n_rows = 0;
	for (uint32_t id = 0; id < t->sampler.tab.high; id++) {
		const struct proc *p = &t->sampler.tab.procs[id];

		if (p->kind == PROC_LIVE && p->rss != PROC_ABSENT)
			t->rows[t->n_rows++] = make_row(t, id, now_us);
	}
	if (t->n_rows)
		qsort_r(t->rows, t->n_rows, sizeof(*t->rows), compare_rows, t);
	return 0;
}

static void format_kib(char out[STR_UNIT_SIZE], uint32_t kib)
{
	if (kib == PROC_ABSENT)
		str_copy(out, STR_UNIT_SIZE, "-");
	else
		str_bytes(out, (int64_t)kib * 1024);
}

static void format_growth(char *out, size_t size, const struct top_row *row)
{
	char text[STR_UNIT_SIZE];

	if (!row->known)
		snprintf(out, size, "-");
	else
		snprintf(out, size, "%s%s/h", row->growth > 0 ? "+" : "",
			 str_bytes(text, (int64_t)row->growth * 1024));
}

static void print_row(struct top *t, const struct top_row *row)
{
	const struct proc *p = &t->sampler.tab.procs[row->id];
	struct description d;
	char rss[STR_UNIT_SIZE];
	char anon[STR_UNIT_SIZE];
	char swap[STR_UNIT_SIZE];
	char growth[STR_UNIT_SIZE + 4];
	char command[COMMAND_SIZE];

	/* gone since the scan: the next table is without it */
	if (describe_named(&t->sampler.dir, p->pid, &t->sampler.containers, 0, &d) < 0)
		return;
	format_kib(rss, p->rss);
	format_kib(anon, p->anon);
	format_kib(swap, p->swap);
	format_growth(growth, sizeof(growth), row);
	/* cuts at a whole character; what is safe stays as it is */
	str_safe(command, sizeof(command), *d.cmdline ? d.cmdline : d.comm,
		 strlen(*d.cmdline ? d.cmdline : d.comm));
	printf("%7u  %9s  %9s  %9s  %13s  %-20.20s  %s\n", p->pid, rss, anon, swap, growth,
	       d.service, command);
}

static size_t rows_that_fit(const struct top *t, const struct top_options *o)
{
	struct winsize w;

	if (o->rows)
		return (size_t)o->rows;
	if (t->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 5)
		return w.ws_row - 4u;
	return DEFAULT_ROWS;
}

static void print_table(struct top *t, const struct top_options *o)
{
	char now[STR_TIME_SIZE];
	size_t n = MIN_OF(t->n_rows, rows_that_fit(t, o));

	if (t->tty)
		fputs("\x1b[H\x1b[2J", stdout);
	printf("%s  %u processes, by %s\n", str_time(now, clock_wall_us()), t->sampler.live,
	       order_names[t->order]);
	printf("%7s  %9s  %9s  %9s  %13s  %-20s  %s\n", "PID", "RSS", "ANON", "SWAP", "GROWTH",
	       "SERVICE", "COMMAND");
	for (size_t i = 0; i < n; i++)
		print_row(t, &t->rows[i]);
	if (!t->tty)
		putchar('\n');
}

static void sleep_us(int64_t us)
{
	struct timespec ts = {.tv_sec = us / USEC_PER_SEC, .tv_nsec = us % USEC_PER_SEC * 1000};

	/* a signal ends the program or the pause: both are what it asks for */
	(void)!nanosleep(&ts, NULL);
}

static int run(struct top *t, const struct top_options *o, struct error *err)
{
	for (int64_t i = 0; !o->count || i < o->count; i++) {
		int r;

		if (i)
			sleep_us(o->delay_us);
		r = take_round(t, err);
		if (r < 0)
			return r;
		print_table(t, o);
		if (fflush(stdout))
			return error_sys(err, -errno, "cannot write the table");
	}
	return 0;
}

static int parse_number(const char *opt, const char *text, int64_t max, int64_t *ret,
			struct error *err)
{
	if (str_parse_int(text, ret) < 0 || *ret < 1 || *ret > max)
		return error_set(err, -EINVAL, "'%s' wants a number from 1 to %d, not '%s'", opt,
				 (int)max, text);
	return 0;
}

static int parse_order(const char *text, enum top_order *ret, struct error *err)
{
	for (unsigned i = 0; i < TOP_ORDERS; i++) {
		if (strcmp(text, order_names[i]) == 0) {
			*ret = (enum top_order)i;
			return 0;
		}
	}
	return error_set(err, -EINVAL, "'-s' wants rss, growth or swap, not '%s'", text);
}

static int parse_option(struct top_options *o, const char *opt, const char *value,
			struct error *err)
{
	int r;

	if (strcmp(opt, "-d") == 0) {
		r = parse_number(opt, value, 3600, &o->delay_us, err);
		o->delay_us *= USEC_PER_SEC;
		return r;
	}
	if (strcmp(opt, "-n") == 0)
		return parse_number(opt, value, 1000000, &o->count, err);
	if (strcmp(opt, "-l") == 0)
		return parse_number(opt, value, 100000, &o->rows, err);
	if (strcmp(opt, "-s") == 0)
		return parse_order(value, &o->order, err);
	if (strcmp(opt, "--proc") == 0) {
		o->proc_path = value;
		return 0;
	}
	return error_set(err, -EINVAL, "unexpected argument '%s'", opt);
}

static int parse_options(int argc, char **argv, struct top_options *o, struct error *err)
{
	*o = (struct top_options){.delay_us = 2 * USEC_PER_SEC, .proc_path = "/proc"};
	for (int i = 1; i < argc; i += 2) {
		int r = i + 1 < argc ? parse_option(o, argv[i], argv[i + 1], err)
				     : error_set(err, -EINVAL, "unexpected argument '%s'", argv[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int run_top(const struct top_options *o, struct error *err)
{
	struct top t = {.order = o->order, .tty = isatty(STDOUT_FILENO)};
	const struct sampler_config cfg = {.proc_path = o->proc_path,
					   .max_processes = WIRE_MAX_PROCESSES,
					   .stat_every = SAMPLER_STAT_EVERY,
					   .full_every = SAMPLER_FULL_EVERY};
	int r = sampler_init(&t.sampler, &cfg, err);

	if (r < 0)
		return r;
	r = run(&t, o, err);
	free(t.first);
	free(t.rows);
	sampler_fini(&t.sampler);
	return r;
}

int top_main(int argc, char **argv)
{
	struct top_options o;
	struct error err;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return 0;
	}
	if (parse_options(argc, argv, &o, &err) < 0) {
		fprintf(stderr, "memherd-agent top: %s\n%s", err.msg, usage);
		return 2;
	}
	if (run_top(&o, &err) < 0) {
		fprintf(stderr, "memherd-agent top: %s\n", err.msg);
		return 1;
	}
	return 0;
}
