/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that lies: 'hostile FILE DAMAGE' writes a made-up CPython 3.13 with that damage into
 * FILE, maps it where its own pointers lead, says 'ready' and waits; or goes on changing it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/fakepython.h"

#define CROWD 2000u

static void endless_chain(void)
{
	for (uint32_t at = FAKE_GNU_HASH + 28; at + 4 <= FAKE_SIZE; at += 4)
		fake_i32(at, (int32_t)(fake_hash("_PyRuntime") & ~1u));
	fake_put(FAKE_STRINGS, "\0other", 7);
}

static void ring_of_symbols(void)
{
	fake_u64(FAKE_DYNAMIC + 2 * sizeof(Elf64_Dyn), DT_DEBUG); /* leaves the old table */
	fake_put(FAKE_STRINGS, "\0_QyRuntime", 12);
	fake_i32(FAKE_SYSV_HASH + 16, 1);
}

static void ring_of_interpreters(void)
{
	fake_u64(FAKE_INTERPRETER + fake.row->interpreter.next, fake_at(FAKE_SECOND));
}

static void ring_of_frozen(void)
{
	fake_freeze(FAKE_INTERPRETER);
	fake_u64(FAKE_FROZEN + 64, fake_at(FAKE_FROZEN));
}

static void huge_offsets(void)
{
	for (uint32_t word = 4; word <= 72; word++)
		fake_u64(FAKE_RUNTIME + word * 8, UINT64_C(1) << 63);
}

static void huge_dynamic(void)
{
	uint32_t segment = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);

	for (uint32_t i = 4; i < 14; i++) /* over the end mark */
		fake_u64(FAKE_DYNAMIC + i * (uint32_t)sizeof(Elf64_Dyn), DT_NEEDED);
	fake_u64(segment + offsetof(Elf64_Phdr, p_memsz), UINT64_C(1) << 63);
	fake_u64(segment + offsetof(Elf64_Phdr, p_vaddr), UINT64_C(1) << 63);
}

static void huge_table(void)
{
	fake_i32(FAKE_GNU_HASH, -1);
	fake_i32(FAKE_GNU_HASH + 8, 1 << 22);
}

static void many_headers(void)
{
	fake.mem[offsetof(Elf64_Ehdr, e_phnum)] = 0xff;
	fake.mem[offsetof(Elf64_Ehdr, e_phnum) + 1] = 0xff;
}

static void none(void)
{
}

static const struct damage {
	const char *name;
	void (*make)(void);
} damages[] = {
	{"none", none},
	{"truncated", none},
	{"crowd", endless_chain},
	{"changing", none},
	{"endless_chain", endless_chain},
	{"ring_of_symbols", ring_of_symbols},
	{"ring_of_interpreters", ring_of_interpreters},
	{"ring_of_frozen", ring_of_frozen},
	{"huge_offsets", huge_offsets},
	{"huge_dynamic", huge_dynamic},
	{"huge_table", huge_table},
	{"many_headers", many_headers},
};

static void *to_base(void)
{
	return (void *)(uintptr_t)FAKE_BASE; /* NOLINT(performance-no-int-to-ptr) */
}

static void map_it(int fd, void *at)
{
	if (mmap(at, FAKE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | (at ? MAP_FIXED : 0), fd,
		 0) == MAP_FAILED)
		exit(3);
}

/* There, not there, and full of something else, as fast as it goes. */
static void change(int fd)
{
	for (unsigned i = 0;; i++) {
		uint32_t *words = to_base();

		map_it(fd, to_base());
		for (uint32_t k = 0; i % 3 == 1 && k < FAKE_SIZE / 4; k += 1 + i % 61)
			words[k] = i;
		if (i % 3 == 2)
			munmap(to_base(), FAKE_SIZE);
	}
}

int main(int argc, char **argv)
{
	const struct damage *d = NULL;
	int fd;

	for (size_t i = 0; argc == 3 && i < ARRAY_SIZE(damages); i++)
		if (strcmp(argv[2], damages[i].name) == 0)
			d = &damages[i];
	if (!d)
		return 2;
	fake_build(layout_find(13), 0x030d00f0);
	d->make();
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, fake.mem, FAKE_SIZE) != FAKE_SIZE)
		return 3;
	if (strcmp(d->name, "truncated") == 0 && ftruncate(fd, 0x300) < 0)
		return 3;
	for (unsigned i = 0; strcmp(d->name, "crowd") == 0 && i < CROWD; i++)
		map_it(fd, NULL);
	map_it(fd, to_base());
	puts("ready");
	fflush(stdout);
	if (strcmp(d->name, "changing") == 0)
		change(fd);
	pause();
	return 0;
}
