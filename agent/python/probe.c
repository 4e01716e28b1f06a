/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/probe.h"

#include <asm/perf_regs.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/python/elf_notes.h"
#include "agent/python/elf_section.h"
#include "agent/python/elf_symtab.h"
#include "agent/python/maps.h"
#include "common/fs.h"
#include "common/str.h"

#define FILE_MAX_BYTES    ((size_t)256 << 20) /* a debug build of libpython has 30 MiB */
#define PLACES_MAX        8u                  /* of one probe point or function */
#define GENERATION_OLDEST 2
#define SP                PERF_REG_X86_SP
/* A call's first byte with a 32-bit displacement, and how long it is. */
#define CALL_CODE 0xe8
#define CALL_SIZE 5

/* ---- the file ---- */

static int read_exe(pid_t pid, char *path, size_t size, struct error *err)
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, path, size - 1);
	if (n < 0 && errno == ENOENT)
		return error_set(err, -ESRCH, "no process %d, or a kernel thread", (int)pid);
	if (n < 0)
		return error_sys(err, -errno, "cannot read '%s'", link);
	path[n] = '\0';
	return 0;
}

/* libpython first: with a shared build the program itself is a stub. */
static const struct map *find_image(const struct maps *m, const char *exe)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].offset == 0 && map_named(&m->rows[i], "libpython3.*") &&
		    !map_named(&m->rows[i], "libpython3.so"))
			return &m->rows[i];
	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].offset == 0 && strcmp(m->rows[i].path, exe) == 0)
			return &m->rows[i];
	return NULL;
}

/* Where map_files is denied: by name below the process's root, if that still is the same inode. */
static int open_by_name(pid_t pid, const struct map *m)
{
	auto_close int fd = -1;
	char path[4096];
	struct stat st;

	if (str_ends(m->path, " (deleted)") ||
	    (size_t)snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, m->path) >=
		    sizeof(path))
		return -ENOENT;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return st.st_ino == m->inode ? take_fd(fd) : -ENOENT;
}

/* Looked at before it is opened for reading: opening a device has side effects. Read, not mapped:
 * its owner may cut it while we look. */
static int open_image(pid_t pid, const struct map *m, struct probe_points *p, struct error *err)
{
	char path[96];
	struct stat st;
	int rc;

	str_safe(p->name, sizeof(p->name), strrchr(m->path, '/') ? strrchr(m->path, '/') + 1 : "",
		 strrchr(m->path, '/') ? strlen(strrchr(m->path, '/') + 1) : 0);
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, m->start,
		 m->end);
	p->file = open(path, O_PATH | O_CLOEXEC);
	if (p->file < 0)
		p->file = open_by_name(pid, m);
	if (p->file < 0)
		return error_sys(err, p->file, "cannot open the process's '%s'", p->name);
	if (fstat(p->file, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, -ENOTSUP, "'%s' is not a plain file", p->name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->file);
	rc = fs_read(path, &p->image, err);
	if (rc == 0)
		rc = elf_open(p->image.data, p->image.len, &p->elf, err);
	if (rc == 0 && elf_bias(&p->elf, m->start, m->offset, &p->bias) < 0)
		rc = error_set(err, -ENOTSUP, "'%s' is not mapped as its headers say", p->name);
	return rc;
}

/* ---- its points ---- */

static int add_point(struct probe_points *p, struct probe_point point, uint64_t vaddr,
		     struct error *err)
{
	if (p->n == PROBE_POINTS_MAX)
		return error_set(err, -ENOSPC, "'%s' has too many places to probe", p->name);
	if (elf_file_offset(&p->elf, vaddr, 1, PF_X, &point.offset) < 0)
		return error_set(err, -ENOTSUP, "'%s' has a probe point outside its code", p->name);
	point.address = vaddr + p->bias;
	p->points[p->n++] = point;
	p->registers |= argument_registers(&point.argument);
	p->stack = MAX_OF(p->stack, (argument_stack(&point.argument) + 7) & ~7u);
	return 0;
}

static int add_note(struct probe_points *p, const struct elf_probe *note, enum probe_role role,
		    struct error *err)
{
	struct probe_point point = {.role = role, .how = PROBE_ARGUMENT};

	/* an operand that is not understood costs the figure, not the pause */
	if (argument_parse(note->arguments, 0, &point.argument) < 0)
		point.argument = (struct argument){.kind = ARGUMENT_UNKNOWN};
	if (note->semaphore &&
	    elf_file_offset(&p->elf, note->semaphore, 2, PF_W, &point.counter) < 0)
		return error_set(err, -ENOTSUP, "'%s' has a semaphore outside its data", p->name);
	if (point.counter > UINT32_MAX || point.counter % 2)
		return error_set(err, -ENOTSUP, "'%s' has a semaphore that no kernel can count",
				 p->name);
	return add_point(p, point, note->location, err);
}

/* 1 = found, 0 = declares none. */
static int add_notes(struct probe_points *p, struct error *err)
{
	static const char *const names[] = {[PROBE_START] = "gc__start", [PROBE_DONE] = "gc__done"};

	p->kind = PROBE_USDT;
	for (unsigned role = 0; role < ARRAY_SIZE(names); role++) {
		struct elf_probe notes[PLACES_MAX];
		int n = elf_probes(&p->elf, "python", names[role], notes, PLACES_MAX);

		if (n < 0 && n != -ENOENT)
			return error_set(err, -ENOTSUP,
					 "'%s' has probe notes that are not well "
					 "formed",
					 p->name);
		if (n < 0)
			return 0;
		for (int i = 0; i < n; i++) {
			int rc = add_note(p, &notes[i], (enum probe_role)role, err);

			if (rc < 0)
				return rc;
		}
	}
	return 1;
}

/* 3.10 and later, 3.8 and 3.9, 3.14.0 to 3.14.4; all take (thread state, generation, ...), 3.8
 * (collector, generation, ...). */
static const char *const functions[] = {"gc_collect_main", "collect", "_PyGC_Collect"};

static int add_function(struct probe_points *p, struct error *err)
{
	struct elf_function found[PLACES_MAX];
	int n = -ENOENT;

	if (!elf_defines(&p->elf, "_PyRuntime"))
		return error_set(err, -ENOTSUP, "'%s' is no CPython", p->name);
	for (size_t i = 0; n == -ENOENT && i < ARRAY_SIZE(functions); i++)
		n = elf_symtab_find(&p->elf, functions[i], found, PLACES_MAX);
	if (n < 0)
		return error_set(err, -ENOTSUP,
				 "'%s' offers no place to probe: it has neither USDT probes "
				 "(--with-dtrace) nor a symbol table (it is stripped)",
				 p->name);
	p->kind = PROBE_FUNCTION;
	p->registers = 1ull << PERF_REG_X86_AX | 1ull << PERF_REG_X86_DI | 1ull << PERF_REG_X86_SI;
	p->stack = 8; /* the return address */
	for (int i = 0; i < n; i++) {
		struct probe_point point = {.role = PROBE_START,
					    .how = found[i].changed ? PROBE_FIRST_OR_SECOND
								    : PROBE_SECOND};
		int rc = add_point(p, point, found[i].address, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int find_points(pid_t pid, uint64_t start, struct probe_points *p, struct error *err)
{
	auto_maps struct maps m = {0};
	const struct map *image;
	char exe[4096];
	int rc = read_exe(pid, exe, sizeof(exe), err);

	if (rc == 0)
		rc = maps_load(pid, &m, err);
	if (rc < 0)
		return rc;
	image = start ? maps_at(&m, start) : find_image(&m, exe);
	if (!image)
		return error_set(err, -ENOTSUP, "the program of process %d is not mapped",
				 (int)pid);
	rc = open_image(pid, image, p, err);
	if (rc == 0)
		rc = add_notes(p, err);
	if (rc == 0) {
		p->n = 0;
		rc = add_function(p, err);
	}
	p->registers |= 1ull << SP;
	return rc < 0 ? rc : 0;
}

int probe_find(pid_t pid, uint64_t image, struct probe_points *ret, struct error *err)
{
	struct probe_points p = {.file = -1, .image = BUF_INIT(FILE_MAX_BYTES)};
	int rc = find_points(pid, image, &p, err);

	if (rc < 0) {
		probe_fini(&p);
		return rc;
	}
	*ret = p;
	return 0;
}

void probe_fini(struct probe_points *p)
{
	if (p->file >= 0)
		close(p->file);
	buf_fini(&p->image);
	*p = (struct probe_points){.file = -1};
}

/* ---- what a hit says ---- */

const struct probe_point *probe_at(const struct probe_points *p, uint64_t address)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->points[i].address == address)
			return &p->points[i];
	return NULL;
}

int probe_learn_return(struct probe_points *p, const struct hit_state *start)
{
	uint64_t address;
	uint64_t vaddr;
	const uint8_t *call;

	if (p->kind != PROBE_FUNCTION || start->stack_size < sizeof(address))
		return -ENOTSUP;
	memcpy(&address, start->stack, sizeof(address));
	if (probe_at(p, address))
		return 0;
	if (p->n == PROBE_POINTS_MAX)
		return -ENOSPC;
	vaddr = address - p->bias;
	call = elf_code(&p->elf, vaddr - CALL_SIZE, CALL_SIZE + 1);
	if (!call || *call != CALL_CODE)
		return -ENOTSUP;
	return add_point(p, (struct probe_point){.role = PROBE_DONE}, vaddr, NULL) < 0 ? -ENOTSUP
										       : 1;
}

static int judged_generation(int64_t v)
{
	return v >= 0 && v <= GENERATION_OLDEST ? (int)v : -1;
}

/*
 * A clone has lost arguments that were the same in all calls. First the collector or thread state,
 * always one pointer: what is left begins with the generation. Or the generation itself: the only
 * constant that CPython passes is the oldest. Two zeros are two NULLs of such a call.
 */
static int guessed_generation(uint64_t first, uint64_t second)
{
	if (first <= GENERATION_OLDEST && second > GENERATION_OLDEST)
		return (int)first;
	if (second <= GENERATION_OLDEST && first > GENERATION_OLDEST)
		return (int)second;
	return GENERATION_OLDEST;
}

int probe_generation(const struct probe_point *p, const struct hit_state *h)
{
	int64_t v;

	switch (p->how) {
	case PROBE_ARGUMENT:
		return argument_value(&p->argument, h, &v) < 0 ? -1 : judged_generation(v);
	case PROBE_SECOND:
		return judged_generation((int32_t)h->registers[PERF_REG_X86_SI]);
	case PROBE_FIRST_OR_SECOND:
		return guessed_generation(h->registers[PERF_REG_X86_DI],
					  h->registers[PERF_REG_X86_SI]);
	}
	return -1;
}

int64_t probe_collected(const struct probe_points *all, const struct probe_point *p,
			const struct hit_state *h)
{
	int64_t v = -1;

	if (all->kind == PROBE_FUNCTION)
		v = (int64_t)h->registers[PERF_REG_X86_AX];
	else if (argument_value(&p->argument, h, &v) < 0)
		v = -1;
	return v < 0 ? -1 : v;
}
