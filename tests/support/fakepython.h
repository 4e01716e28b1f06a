/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakepython.h - a CPython of any version that is only bytes: an ELF object with its dynamic
 * symbols, a runtime, interpreters and their collectors, in one region that stands in for a
 * target's memory. process_vm_readv() is this file's own and reads from it.
 *
 * For unit tests and fuzzers, which damage it where they like.
 */
#ifndef MEMHERD_TESTS_SUPPORT_FAKEPYTHON_H
#define MEMHERD_TESTS_SUPPORT_FAKEPYTHON_H

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "agent/python/layout.h"
#include "agent/python/maps.h"

#define FAKE_SIZE 0x10000u
#define FAKE_BASE UINT64_C(0x7f0010000000)
#define FAKE_PID  1234567890 /* beyond any pid: nothing under /proc */

/* Where things are, from the base. */
#define FAKE_DYNAMIC     0x200u
#define FAKE_SYMBOLS     0x300u
#define FAKE_STRINGS     0x400u
#define FAKE_GNU_HASH    0x480u
#define FAKE_SYSV_HASH   0x500u
#define FAKE_VERSION     0x600u
#define FAKE_RUNTIME     0x1000u
#define FAKE_INTERPRETER 0x3000u
#define FAKE_SECOND      0x6000u
#define FAKE_RINGS       0xc000u
#define FAKE_FROZEN      0xe000u /* two objects */

static struct fake {
	uint8_t mem[FAKE_SIZE];
	const struct layout *row;
	unsigned calls;
	void (*on_call)(unsigned n); /* the target goes on while it is read */
} fake;

static inline uint64_t fake_at(uint32_t offset)
{
	return FAKE_BASE + offset;
}

static inline void fake_put(uint32_t offset, const void *bytes, size_t n)
{
	memcpy(fake.mem + offset, bytes, n);
}

static inline void fake_u64(uint32_t offset, uint64_t v)
{
	fake_put(offset, &v, sizeof(v));
}

static inline void fake_i32(uint32_t offset, int32_t v)
{
	fake_put(offset, &v, sizeof(v));
}

static ssize_t fake_copy(void *to, uint64_t from, size_t n)
{
	size_t have;

	if (from < FAKE_BASE || from >= FAKE_BASE + FAKE_SIZE)
		return 0;
	have = MIN_OF(n, (size_t)(FAKE_BASE + FAKE_SIZE - from));
	memcpy(to, fake.mem + (from - FAKE_BASE), have);
	return (ssize_t)have;
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *here, unsigned long n_here,
			 const struct iovec *there, unsigned long n_there, unsigned long flags)
{
	ssize_t total = 0;

	(void)n_there;
	(void)flags;
	fake.calls++;
	if (fake.on_call)
		fake.on_call(fake.calls);
	if (pid != FAKE_PID) {
		errno = ESRCH;
		return -1;
	}
	for (unsigned long i = 0; i < n_here; i++) {
		ssize_t got = fake_copy(here[i].iov_base, (uint64_t)(uintptr_t)there[i].iov_base,
					there[i].iov_len);

		total += got;
		if ((size_t)got < there[i].iov_len)
			break;
	}
	if (total == 0) {
		errno = EFAULT;
		return -1;
	}
	return total;
}

/* ---- the object ---- */

static inline uint32_t fake_hash(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (uint8_t)*name;
	return h;
}

static inline void fake_symbol(unsigned i, uint32_t name, uint32_t value, uint64_t size)
{
	Elf64_Sym s = {.st_name = name,
		       .st_info = STT_OBJECT,
		       .st_shndx = 5,
		       .st_value = value,
		       .st_size = size};

	fake_put(FAKE_SYMBOLS + i * sizeof(s), &s, sizeof(s));
}

static inline void fake_object(bool has_version)
{
	Elf64_Ehdr head = {.e_machine = EM_X86_64,
			   .e_phoff = sizeof(head),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 2};
	Elf64_Phdr segments[2] = {{.p_type = PT_LOAD, .p_memsz = FAKE_SIZE},
				  {.p_type = PT_DYNAMIC,
				   .p_vaddr = FAKE_DYNAMIC,
				   .p_memsz = 5 * sizeof(Elf64_Dyn)}};
	Elf64_Dyn dynamic[5] = {{.d_tag = DT_SYMTAB, .d_un.d_ptr = fake_at(FAKE_SYMBOLS)},
				{.d_tag = DT_STRTAB, .d_un.d_ptr = fake_at(FAKE_STRINGS)},
				{.d_tag = DT_GNU_HASH, .d_un.d_ptr = fake_at(FAKE_GNU_HASH)},
				{.d_tag = DT_HASH, .d_un.d_ptr = fake_at(FAKE_SYSV_HASH)}};
	/* one bucket from symbol 1, a filter that lets all pass, two in the chain */
	const uint32_t gnu[] = {1,
				1,
				1,
				6,
				~0u,
				~0u,
				1,
				fake_hash("_PyRuntime") & ~1u,
				fake_hash(has_version ? "Py_Version" : "Py_Nothing") | 1u};
	const uint32_t sysv[] = {1, 3, 1, 0, 2, 0};
	static const char strings[] = "\0_PyRuntime\0Py_Version\0Py_Nothing";

	memcpy(head.e_ident, ELFMAG, SELFMAG);
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	fake_put(0, &head, sizeof(head));
	fake_put(sizeof(head), segments, sizeof(segments));
	fake_put(FAKE_DYNAMIC, dynamic, sizeof(dynamic));
	fake_put(FAKE_STRINGS, strings, sizeof(strings));
	fake_put(FAKE_GNU_HASH, gnu, sizeof(gnu));
	fake_put(FAKE_SYSV_HASH, sysv, sizeof(sysv));
	fake_symbol(1, 1, FAKE_RUNTIME, 7);
	fake_symbol(2, has_version ? 12 : 23, FAKE_VERSION, 8);
}

/* ---- the structures ---- */

/* As 3.13, 3.14 and 3.15 order the words of _Py_DebugOffsets. */
static inline void fake_debug_offsets(const struct layout *l, uint32_t version)
{
	static const uint8_t orders[][8] = {
		{10, 21, 24, 25, 71, 72, 0, 0},
		{11, 24, 27, 28, 81, 82, 0, 0},
		{11, 24, 30, 31, 94, 95, 97, 98},
	};
	const uint8_t *order = orders[l->minor - 13];
	const uint64_t last[8] = {l->interpreter.gc,          l->thread.next, l->thread.thread_id,
				  l->thread.native_thread_id, l->gc.size,     l->gc.collecting,
				  l->gc.stats_size,           l->gc.stats};

	fake_put(FAKE_RUNTIME, "xdebugpy", 8);
	fake_u64(FAKE_RUNTIME + 8, version);
	fake_u64(FAKE_RUNTIME + 4 * 8, l->runtime.finalizing);
	fake_u64(FAKE_RUNTIME + 5 * 8, l->runtime.interpreters_head);
	fake_u64(FAKE_RUNTIME + 7 * 8, l->interpreter.id);
	fake_u64(FAKE_RUNTIME + 8 * 8, l->interpreter.next);
	fake_u64(FAKE_RUNTIME + 9 * 8, l->interpreter.threads_head);
	for (unsigned i = 0; i < 8; i++)
		if (order[i])
			fake_u64(FAKE_RUNTIME + order[i] * 8u, last[i]);
}

static inline uint32_t fake_gc(uint32_t interpreter)
{
	const struct layout *l = fake.row;

	return l->runtime.gc != LAYOUT_NONE ? FAKE_RUNTIME + l->runtime.gc
					    : interpreter + l->interpreter.gc;
}

static inline void fake_empty_list(uint32_t head)
{
	fake_u64(head, fake_at(head));
	fake_u64(head + 8, fake_at(head));
}

static inline void fake_record(uint32_t at, unsigned n, uint64_t base)
{
	double seconds = 0.25 * n;

	fake_u64(at, 1000000u * n);             /* starts at the n-th ms */
	fake_u64(at + 8, 1000000u * n + 5000u); /* and takes 5 us */
	fake_u64(at + 16, n);
	fake_u64(at + 24, base);
	fake_u64(at + 32, base + 1);
	fake_put(at + 48, &seconds, sizeof(seconds));
}

/* The figures of generation i: collections 10 + i, collected 100 + i, uncollectable 101 + i. */
static inline void fake_stats(uint32_t gc)
{
	const struct layout *l = fake.row;
	static const uint32_t places[][2] = {{0, 704}, {712, 904}, {912, 1104}};

	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		if (!l->gc.stats_is_pointer) {
			fake_u64(gc + l->gc.stats + i * 24, 10 + i);
			fake_u64(gc + l->gc.stats + i * 24 + 8, 100 + i);
			fake_u64(gc + l->gc.stats + i * 24 + 16, 101 + i);
			continue;
		}
		for (unsigned n = 1; n <= 10 + i; n++) {
			unsigned slot = n % (i ? 3 : 11);

			fake_record(FAKE_RINGS + places[i][0] + slot * 64, n,
				    n == 10 + i ? 100 + i : n);
			fake.mem[FAKE_RINGS + places[i][1]] = (uint8_t)slot;
		}
	}
	if (l->gc.stats_is_pointer)
		fake_u64(gc + l->gc.stats, fake_at(FAKE_RINGS));
}

static inline void fake_collector(uint32_t gc)
{
	const struct layout_gc *l = &fake.row->gc;

	fake_i32(gc + l->enabled, 1);
	for (unsigned i = 0; i < LAYOUT_GENERATIONS; i++) {
		uint32_t head = gc + l->generations + i * 24;

		fake_empty_list(head);
		fake_i32(head + 16, 700 + (int32_t)i);
		fake_i32(head + 20, 3 + (int32_t)i);
	}
	fake_empty_list(gc + l->permanent);
	if (l->generation0 != LAYOUT_NONE)
		fake_u64(gc + l->generation0, fake_at(gc + l->generations));
	if (l->long_lived_total != LAYOUT_NONE) {
		fake_u64(gc + l->long_lived_total, 5000);
		fake_u64(gc + l->long_lived_pending, 50);
	}
	fake_stats(gc);
}

/* Puts two objects into the frozen list. */
static inline void fake_freeze(uint32_t interpreter)
{
	uint32_t head = fake_gc(interpreter) + fake.row->gc.permanent;
	uint32_t chain[] = {head, FAKE_FROZEN, FAKE_FROZEN + 64, head};

	for (unsigned i = 0; i + 1 < 4; i++) {
		fake_u64(chain[i], fake_at(chain[i + 1]));
		fake_u64(chain[i + 1] + 8, fake_at(chain[i]));
	}
}

static inline void fake_interpreter(uint32_t at, int64_t id, uint64_t next)
{
	const struct layout_interpreter *l = &fake.row->interpreter;

	fake_u64(at + l->next, next);
	fake_u64(at + l->id, (uint64_t)id);
	if (l->runtime != LAYOUT_NONE)
		fake_u64(at + l->runtime, fake_at(FAKE_RUNTIME));
	fake_collector(fake_gc(at));
}

/* A main interpreter and a second one of id 7, all well. */
static inline void fake_build(const struct layout *row, uint32_t version)
{
	memset(&fake, 0, sizeof(fake));
	fake.row = row;
	fake_object(row->minor >= 11);
	fake_u64(FAKE_VERSION, version);
	if (row->minor >= 13)
		fake_debug_offsets(row, version);
	fake_i32(FAKE_RUNTIME + row->runtime.initialized, 1);
	fake_u64(FAKE_RUNTIME + row->runtime.interpreters_head, fake_at(FAKE_SECOND));
	fake_u64(FAKE_RUNTIME + row->runtime.interpreters_head + 8, fake_at(FAKE_INTERPRETER));
	fake_interpreter(FAKE_SECOND, 7, fake_at(FAKE_INTERPRETER));
	fake_interpreter(FAKE_INTERPRETER, 0, 0);
}

/* The maps of a process that has it mapped under that path. */
static inline int fake_maps(struct maps *ret, const char *path)
{
	struct buf text = BUF_INIT(4096);

	buf_printf(&text, "%lx-%lx r--p 00000000 08:01 42      %s\n", (unsigned long)FAKE_BASE,
		   (unsigned long)(FAKE_BASE + FAKE_SIZE), path);
	return maps_parse(&text, ret, NULL);
}

#endif
