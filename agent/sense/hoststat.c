/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/hoststat.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/fs.h"
#include "common/str.h"

#define VMSTAT_SIZE ((size_t)16 * 1024)
#define SWAPS_SIZE  ((size_t)8 * 1024)

void hoststat_clear(struct hoststat *h)
{
	*h = (struct hoststat){
#define X(name) .name = METRIC_ABSENT,
		HOSTSTAT_VMSTAT_LIST(X) HOSTSTAT_OTHER_LIST(X)
#undef X
	};
}

/* ---- vmstat ---- */

enum vmstat_line {
#define X(name) VMSTAT_##name,
	HOSTSTAT_VMSTAT_LIST(X)
#undef X
		VMSTAT_COUNT
};

/* The zones by name: 'pgscan_direct_throttle' is no zone's. */
#define BY_ZONE(name)                                                            \
	KEYED_ROW(#name, VMSTAT_##name), KEYED_ROW(#name "_dma", VMSTAT_##name), \
		KEYED_ROW(#name "_dma32", VMSTAT_##name),                        \
		KEYED_ROW(#name "_normal", VMSTAT_##name),                       \
		KEYED_ROW(#name "_high", VMSTAT_##name),                         \
		KEYED_ROW(#name "_movable", VMSTAT_##name),                      \
		KEYED_ROW(#name "_device", VMSTAT_##name)

static const struct keyed_row vmstat_rows[] = {
	BY_ZONE(pgscan_kswapd),
	BY_ZONE(pgscan_direct),
	BY_ZONE(pgsteal_kswapd),
	BY_ZONE(pgsteal_direct),
	BY_ZONE(allocstall),
	KEYED_ROW("pswpin", VMSTAT_pswpin),
	KEYED_ROW("pswpout", VMSTAT_pswpout),
	KEYED_ROW("oom_kill", VMSTAT_oom_kill),
	KEYED_ROW("pgmajfault", VMSTAT_pgmajfault),
	KEYED_ROW("workingset_refault_anon", VMSTAT_refault_anon),
	KEYED_ROW("workingset_refault_file", VMSTAT_refault_file),
	KEYED_ROW("workingset_refault", VMSTAT_refault_file),
};

void hoststat_parse_vmstat(const char *s, size_t len, struct hoststat *h)
{
	int64_t v[VMSTAT_COUNT];

	for (unsigned i = 0; i < VMSTAT_COUNT; i++)
		v[i] = METRIC_ABSENT;
	keyed_parse(s, len, vmstat_rows, ARRAY_SIZE(vmstat_rows), v);
#define X(name) h->name = v[VMSTAT_##name];
	HOSTSTAT_VMSTAT_LIST(X)
#undef X
}

void hoststat_parse_pressure(const char *s, size_t len, struct hoststat *h)
{
	struct pressure p;

	pressure_parse(s, len, &p);
	h->psi_some_avg10 = p.some_avg10;
	h->psi_some_total = p.some_total;
	h->psi_full_avg10 = p.full_avg10;
	h->psi_full_total = p.full_total;
}

/* ---- swap ---- */

static void add(int64_t *to, int64_t v)
{
	*to = *to == METRIC_ABSENT ? v : *to + v;
}

/* '/dev/zram0 partition 1048572 0 100' with tabs or blanks between; blanks in a name are '\040'. */
static void take_swap(const char *line, struct hoststat *h)
{
	char name[256];
	long long size;
	long long used;

	if (sscanf(line, "%255s %*15s %13lld %13lld", name, &size, &used) != 3 || size < 0 ||
	    used < 0)
		return;
	h->swap_devices++;
	h->swap_total += size;
	h->swap_used += used;
	if (strncmp(name, "/dev/zram", 9) == 0 || strncmp(name, "/zram", 5) == 0)
		h->swap_zram += size;
}

void hoststat_parse_swaps(const char *s, size_t len, struct hoststat *h)
{
	const char *end = s + len;
	const char *eol = len ? memchr(s, '\n', len) : NULL;

	if (!eol || strncmp(s, "Filename", 8) != 0)
		return;
	h->swap_devices = 0;
	h->swap_total = 0;
	h->swap_used = 0;
	h->swap_zram = 0;
	for (s = eol + 1; s < end && (eol = memchr(s, '\n', (size_t)(end - s))); s = eol + 1) {
		char line[512];
		size_t n = MIN_OF((size_t)(eol - s), sizeof(line) - 1);

		memcpy(line, s, n);
		line[n] = '\0';
		take_swap(line, h);
	}
}

void hoststat_parse_zram(const char *s, size_t len, struct hoststat *h)
{
	char line[256];
	long long orig;
	long long used;
	size_t n = MIN_OF(len, sizeof(line) - 1);

	memcpy(line, s, n);
	line[n] = '\0';
	if (sscanf(line, "%18lld %*18s %18lld", &orig, &used) != 2 || orig < 0 || used < 0)
		return;
	add(&h->zram_orig, orig / 1024);
	add(&h->zram_used, used / 1024);
	add(&h->zram_devices, orig > 0 || used > 0);
}

void hoststat_parse_meminfo(const char *s, size_t len, struct hoststat *h)
{
	static const struct keyed_row row = KEYED_ROW("CommitLimit", 0);

	h->commit_limit = METRIC_ABSENT;
	keyed_parse(s, len, &row, 1, &h->commit_limit);
}

/* ---- reading ---- */

static int64_t read_number(const struct procdir *d, const char *file)
{
	char text[32];
	int64_t v;
	int n = procdir_read(d, PROCDIR_NO_PID, file, text, sizeof(text));

	return n > 0 && str_parse_int(str_trim(text), &v) == 0 ? v : METRIC_ABSENT;
}

static void read_zram(const char *sys_block, struct hoststat *h)
{
	DIR *dir = opendir(sys_block);
	const struct dirent *e;
	unsigned n = 0;

	if (!dir)
		return;
	while (n < HOSTSTAT_ZRAM_MAX && (e = readdir(dir))) {
		char path[sizeof(e->d_name) + 16];
		char text[256];
		int len;

		if (!str_starts(e->d_name, "zram"))
			continue;
		n++;
		snprintf(path, sizeof(path), "%s/mm_stat", e->d_name);
		len = fs_read_small(dirfd(dir), path, text, sizeof(text));
		if (len > 0)
			hoststat_parse_zram(text, (size_t)len, h);
	}
	closedir(dir);
}

/* What is read each round; the rest are settings. */
#define MOVING_LIST(X)          \
	HOSTSTAT_VMSTAT_LIST(X) \
	X(psi_some_avg10)       \
	X(psi_some_total)       \
	X(psi_full_avg10)       \
	X(psi_full_total)

void hoststat_read(const struct procdir *proc, struct hoststat *ret)
{
	char buf[VMSTAT_SIZE];
	int n;

#define X(name) ret->name = METRIC_ABSENT;
	MOVING_LIST(X)
#undef X
	n = procdir_read_all(proc, PROCDIR_NO_PID, "vmstat", buf, sizeof(buf));
	hoststat_parse_vmstat(buf, n < 0 ? 0 : (size_t)n, ret);
	n = procdir_read_all(proc, PROCDIR_NO_PID, "pressure/memory", buf, sizeof(buf));
	hoststat_parse_pressure(buf, n < 0 ? 0 : (size_t)n, ret);
}

void hoststat_read_settings(const struct procdir *proc, const char *sys_block, struct hoststat *ret)
{
	struct hoststat now;
	char buf[SWAPS_SIZE];
	int n;

	hoststat_clear(&now);
#define X(name) now.name = ret->name;
	MOVING_LIST(X)
#undef X
	n = procdir_read_all(proc, PROCDIR_NO_PID, "swaps", buf, sizeof(buf));
	hoststat_parse_swaps(buf, n < 0 ? 0 : (size_t)n, &now);
	n = procdir_read_all(proc, PROCDIR_NO_PID, "meminfo", buf, sizeof(buf));
	hoststat_parse_meminfo(buf, n < 0 ? 0 : (size_t)n, &now);
	now.overcommit = read_number(proc, "sys/vm/overcommit_memory");
	now.swappiness = read_number(proc, "sys/vm/swappiness");
	read_zram(sys_block, &now);
	*ret = now;
}
