/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakeproc.h - a folder that looks like /proc and that a test changes as it likes.
 */
#ifndef MEMHERD_TESTS_UNIT_AGENT_SENSE_FAKEPROC_H
#define MEMHERD_TESTS_UNIT_AGENT_SENSE_FAKEPROC_H

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/test.h"

struct fake {
	unsigned pid;
	const char *comm;
	const char *cmdline; /* one argument */
	char state;
	unsigned flags;
	unsigned size; /* pages */
	unsigned resident;
	unsigned swap_kib;
	unsigned threads;
	unsigned cpu_ticks;
	unsigned start;
	unsigned ppid;      /* 0 = 1 */
	const char *exe;    /* NULL = not to be read */
	const char *cgroup; /* NULL = the root's */
};

static char fakeproc[64];

static void fake_file(const char *name, const char *text, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fakeproc, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static void fake_text(unsigned pid, const char *name, const char *text, size_t len)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%u", fakeproc, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%u/%s", pid, name);
	fake_file(path, text, len);
}

static void fake_put(const struct fake *f)
{
	char text[1024];
	unsigned kib = f->resident * (unsigned)sysconf(_SC_PAGESIZE) / 1024;
	int n;

	n = snprintf(text, sizeof(text),
		     "%u (%s) %c %u 1 1 0 -1 %u 10 0 2 0 %u 0 0 0 20 0 %u 0 %u 0 0 0\n", f->pid,
		     f->comm, f->state ? f->state : 'S', f->ppid ? f->ppid : 1, f->flags,
		     f->cpu_ticks, f->threads, f->start);
	fake_text(f->pid, "stat", text, (size_t)n);
	n = snprintf(text, sizeof(text), "%u %u 1 1 0 1 0\n", f->size, f->resident);
	fake_text(f->pid, "statm", text, (size_t)n);
	n = snprintf(text, sizeof(text),
		     "Name:\tx\nUid:\t33\t33\t33\t33\nVmRSS:\t%u kB\nRssAnon:\t%u kB\nRssFile:\t8 "
		     "kB\nRssShmem:\t0 kB\nVmSwap:\t%u kB\nThreads:\t%u\n",
		     kib, kib - 8, f->swap_kib, f->threads);
	fake_text(f->pid, "status", text, (size_t)n);
	fake_text(f->pid, "cmdline", f->cmdline ? f->cmdline : "",
		  f->cmdline ? strlen(f->cmdline) + 1 : 0);
	n = snprintf(text, sizeof(text), "%s\n", f->cgroup ? f->cgroup : "0::/");
	fake_text(f->pid, "cgroup", text, (size_t)n);
	snprintf(text, sizeof(text), "%s/%u/exe", fakeproc, f->pid);
	unlink(text);
	if (f->exe)
		assert_int_equal(symlink(f->exe, text), 0);
}

static int fake_unlink(const char *path, unused_arg const struct stat *st, unused_arg int kind,
		       unused_arg struct FTW *at)
{
	return remove(path);
}

static inline void fake_remove(unsigned pid)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%u", fakeproc, pid);
	assert_int_equal(nftw(path, fake_unlink, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Another process under the same pid: made first, so that it cannot get the old one's inode. */
static inline void fake_replace(unsigned pid, struct fake f)
{
	char from[128];
	char to[128];

	f.pid = 4000000;
	fake_put(&f);
	fake_remove(pid);
	snprintf(from, sizeof(from), "%s/%u", fakeproc, f.pid);
	snprintf(to, sizeof(to), "%s/%u", fakeproc, pid);
	assert_int_equal(rename(from, to), 0);
}

static void fake_begin(void)
{
	static const char boot_id[] = "00112233-4455-6677-8899-aabbccddeeff\n";
	static const char meminfo[] = "MemTotal: 1000 kB\nMemAvailable: 400 kB\n";
	char path[128];

	strcpy(fakeproc, "/tmp/memherd-fakeproc.XXXXXX");
	assert_non_null(mkdtemp(fakeproc));
	fake_file("meminfo", meminfo, sizeof(meminfo) - 1);
	snprintf(path, sizeof(path), "%s/sys", fakeproc);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/sys/kernel", fakeproc);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/sys/kernel/random", fakeproc);
	mkdir(path, 0755);
	fake_file("sys/kernel/random/boot_id", boot_id, sizeof(boot_id) - 1);
}

static void fake_end(void)
{
	nftw(fakeproc, fake_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
