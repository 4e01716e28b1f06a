/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/elf_notes.h"

#include <errno.h>

#include "agent/python/elf_section.h"
#include "agent/python/elf_symtab.h"
#include "tests/support/test.h"

/* What 'readelf -n' says of Debian 12's python3.11, and a second place of gc__start. */
#define BASE      0x8cc5a0
#define MOVED     0x1000
#define NOTE_SIZE 128

struct note {
	Elf64_Nhdr head;
	char owner[8];
	uint64_t words[3];
	char text[NOTE_SIZE - 12 - 8 - 24];
} __attribute__((packed));

/* A file of ours, small enough to damage at every byte. */
struct noted {
	Elf64_Ehdr head;
	Elf64_Phdr segments[2];
	Elf64_Shdr sections[6];
	struct note notes[4];
	Elf64_Sym symbols[7];
	char names[64];
	char strings[160];
};

static struct note note(uint64_t location, uint64_t semaphore, const char *text, size_t n)
{
	struct note r = {.head = {.n_namesz = 8, .n_descsz = sizeof(r.words) + sizeof(r.text)},
			 .owner = "stapsdt",
			 .words = {location, BASE, semaphore}};

	r.head.n_type = 3;
	memcpy(r.text, text, n);
	return r;
}
#define NOTE(location, semaphore, text) note(location, semaphore, text, sizeof(text))

static void put_sections(struct noted *t)
{
	t->sections[1] = (Elf64_Shdr){.sh_name = 1,
				      .sh_type = SHT_NOTE,
				      .sh_offset = offsetof(struct noted, notes),
				      .sh_size = sizeof(t->notes)};
	t->sections[2] = (Elf64_Shdr){.sh_name = 15, .sh_type = SHT_PROGBITS, .sh_addr = BASE};
	t->sections[3] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
				      .sh_offset = offsetof(struct noted, names),
				      .sh_size = sizeof(t->names)};
	t->sections[4] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
				      .sh_link = 5,
				      .sh_offset = offsetof(struct noted, symbols),
				      .sh_size = sizeof(t->symbols)};
	t->sections[5] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
				      .sh_offset = offsetof(struct noted, strings),
				      .sh_size = sizeof(t->strings)};
	memcpy(t->names, "\0.note.stapsdt\0.stapsdt.base", 29);
}

static void put_symbols(struct noted *t)
{
	static const char names[] = "\0collect\0collect.constprop.0\0collect.constprop.0.cold\0"
				    "collect.lto_priv.12\0_PyRuntime\0collections";
	static const struct {
		uint32_t name;
		uint8_t type;
	} all[] = {{1, STT_FUNC},  {9, STT_FUNC},    {29, STT_FUNC},
		   {54, STT_FUNC}, {74, STT_OBJECT}, {85, STT_FUNC}};

	memcpy(t->strings, names, sizeof(names));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		t->symbols[i + 1] = (Elf64_Sym){.st_name = all[i].name,
						.st_info = all[i].type,
						.st_shndx = 1,
						.st_value = 0x1000 * (i + 1)};
}

static struct noted noted(void)
{
	struct noted t = {
		.head = {.e_machine = EM_X86_64,
			 .e_phoff = offsetof(struct noted, segments),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 2,
			 .e_shoff = offsetof(struct noted, sections),
			 .e_shentsize = sizeof(Elf64_Shdr),
			 .e_shnum = 6,
			 .e_shstrndx = 3},
		.segments = {{.p_type = PT_LOAD,
			      .p_flags = PF_R | PF_X,
			      .p_vaddr = 0x41f000,
			      .p_offset = 0x10,
			      .p_filesz = 0x100},
			     {.p_type = PT_LOAD,
			      .p_flags = PF_R | PF_W,
			      .p_vaddr = 0x945dc8,
			      .p_offset = 0x20,
			      .p_filesz = 0x80,
			      .p_memsz = 0x4000}},
		.notes = {NOTE(0x42512a, 0xa84276, "python\0audit\0008@%rbx 8@%r15"),
			  NOTE(0x42873b, 0xa84270, "python\0gc__done\0-8@%r12"),
			  NOTE(0x4287f3, 0xa8426e, "python\0gc__start\0-4@112(%rsp)"),
			  NOTE(0x4299f3, 0, "python\0gc__start\0-4@$2")},
	};

	memcpy(t.head.e_ident, ELFMAG, SELFMAG);
	t.head.e_ident[EI_CLASS] = ELFCLASS64;
	t.head.e_ident[EI_DATA] = ELFDATA2LSB;
	put_sections(&t);
	put_symbols(&t);
	return t;
}

static struct elf opened(const struct noted *t)
{
	struct elf e;
	struct error err;

	assert_int_equal(elf_open(t, sizeof(*t), &e, &err), 0);
	return e;
}

static void every_place_of_a_probe_is_found(void **state unused_arg)
{
	struct noted t = noted();
	struct elf e = opened(&t);
	struct elf_probe p[4];

	assert_int_equal(elf_probes(&e, "python", "gc__start", p, 4), 2);
	assert_int_equal(p[0].location, 0x4287f3);
	assert_int_equal(p[0].semaphore, 0xa8426e);
	assert_string_equal(p[0].arguments, "-4@112(%rsp)");
	assert_int_equal(p[1].location, 0x4299f3);
	assert_int_equal(p[1].semaphore, 0);
	assert_string_equal(p[1].arguments, "-4@$2");
	assert_int_equal(elf_probes(&e, "python", "gc__done", p, 4), 1);
	assert_string_equal(p[0].arguments, "-8@%r12");
	assert_int_equal(elf_probes(&e, "python", "gc__start", p, 1), -E2BIG);
	assert_int_equal(elf_probes(&e, "python", "gc__", p, 4), -ENOENT);
	assert_int_equal(elf_probes(&e, "ruby", "gc__done", p, 4), -ENOENT);
}

static void a_moved_file_moves_its_probes(void **state unused_arg)
{
	struct noted t = noted();
	struct elf e;
	struct elf_probe p[4];

	t.sections[2].sh_addr = BASE + MOVED;
	e = opened(&t);
	assert_int_equal(elf_probes(&e, "python", "gc__start", p, 4), 2);
	assert_int_equal(p[0].location, 0x4287f3 + MOVED);
	assert_int_equal(p[0].semaphore, 0xa8426e + MOVED);
	assert_int_equal(p[1].semaphore, 0); /* none stays none */
}

static void notes_of_others_and_broken_ones_are_told_apart(void **state unused_arg)
{
	struct noted t = noted();
	struct elf e;
	struct elf_probe p[4];

	t.notes[2].head.n_type = 4;
	e = opened(&t);
	assert_int_equal(elf_probes(&e, "python", "gc__start", p, 4), 1);
	memcpy(t.notes[3].owner, "strapsd", 8);
	e = opened(&t);
	assert_int_equal(elf_probes(&e, "python", "gc__start", p, 4), -ENOENT);
	/* arguments without an end, and ones that are too long to be true */
	memset(t.notes[1].text + 16, '8', sizeof(t.notes[1].text) - 16);
	e = opened(&t);
	assert_int_equal(elf_probes(&e, "python", "gc__done", p, 4), -EBADMSG);
}

static void addresses_become_places_in_the_file(void **state unused_arg)
{
	struct noted t = noted();
	struct elf e = opened(&t);
	uint64_t at;

	assert_int_equal(elf_file_offset(&e, 0x41f004, 1, PF_X, &at), 0);
	assert_int_equal(at, 0x14);
	assert_int_equal(elf_file_offset(&e, 0x41f004, 1, PF_W, &at), -ENOENT);
	assert_int_equal(elf_file_offset(&e, 0x945dc8, 2, PF_W, &at), 0);
	assert_int_equal(at, 0x20);
	assert_int_equal(elf_file_offset(&e, 0x945dc8 + 0x7f, 2, PF_W, &at), -ENOENT); /* .bss */
	assert_int_equal(elf_file_offset(&e, 0x41efff, 1, PF_X, &at), -ENOENT);
	assert_int_equal(elf_file_offset(&e, UINT64_MAX, 8, PF_X, &at), -ENOENT);
}

static void functions_are_found_with_their_clones(void **state unused_arg)
{
	struct noted t = noted();
	struct elf e = opened(&t);
	struct elf_function f[4];

	assert_int_equal(elf_symtab_find(&e, "collect", f, 4), 3);
	assert_int_equal(f[0].address, 0x1000);
	assert_false(f[0].changed);
	assert_int_equal(f[1].address, 0x2000);
	assert_true(f[1].changed); /* .constprop.0; its .cold part is none */
	assert_int_equal(f[2].address, 0x4000);
	assert_false(f[2].changed); /* .lto_priv.12 */
	assert_int_equal(elf_symtab_find(&e, "collect", f, 2), -E2BIG);
	assert_int_equal(elf_symtab_find(&e, "collec", f, 4), -ENOENT);
	assert_int_equal(elf_symtab_find(&e, "_PyRuntime", f, 4), -ENOENT); /* no function */
	assert_true(elf_defines(&e, "_PyRuntime"));
	assert_false(elf_defines(&e, "_PyRun"));
}

/* On the heap and of exactly that size, so that a sanitizer sees each byte too far. */
static void ask_all(const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct elf_probe p[2];
	struct elf_function f[2];
	struct elf e;
	struct error err;
	uint64_t v;

	memcpy(copy, data, len);
	if (elf_open(copy, len, &e, &err) == 0) {
		(void)!elf_probes(&e, "python", "gc__start", p, 2);
		(void)!elf_symtab_find(&e, "collect", f, 2);
		(void)!elf_defines(&e, "_PyRuntime");
		(void)!elf_file_offset(&e, 0x41f004, 8, PF_X, &v);
	}
	free(copy);
}

static void no_damage_leads_outside(void **state unused_arg)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	struct noted t;
	uint8_t *bytes = (uint8_t *)&t;

	for (size_t at = 0; at < sizeof(t); at++) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			t = noted();
			bytes[at] = values[i];
			ask_all(&t, sizeof(t));
		}
	}
	t = noted();
	for (size_t len = 0; len < sizeof(t); len++)
		ask_all(&t, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_place_of_a_probe_is_found),
		cmocka_unit_test(a_moved_file_moves_its_probes),
		cmocka_unit_test(notes_of_others_and_broken_ones_are_told_apart),
		cmocka_unit_test(addresses_become_places_in_the_file),
		cmocka_unit_test(functions_are_found_with_their_clones),
		cmocka_unit_test(no_damage_leads_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
