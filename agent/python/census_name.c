/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "agent/python/census_types.h"
#include "common/str.h"

#define TEXT_MAX         (CENSUS_NAME_SIZE - 1)
#define ENTRIES_MAX      4096 /* of a class's dict that are looked at */
#define HEAP_QUALNAME    16u  /* after ht_name */
#define OBJECT_TYPE      8u
#define UNICODE_LENGTH   16u
#define UNICODE_STATE    32u
#define ASCII_DATA       40u /* 3.12+ */
#define ASCII_DATA_OLD   48u /* with the wstr pointer */
#define DICT_KEYS_OFFSET 32u

/* A C string of another process, cut at the buffer; its length or -EAGAIN. */
static int read_text(struct chunks *c, uint64_t address, char *out, size_t size)
{
	size_t n = 0;

	/* In pieces: the string may end before the mapping does. */
	while (n + 1 < size) {
		size_t piece = MIN_OF((size_t)16 - ((address + n) & 15), size - 1 - n);
		const char *end;

		if (chunks_read(c, address + n, out + n, piece) < 0)
			return -EAGAIN;
		end = memchr(out + n, '\0', piece);
		if (end)
			return (int)(end - out);
		n += piece;
	}
	out[n] = '\0';
	return (int)n;
}

/* {interned:2, kind:3, compact, ascii, ...} in every version with the GIL. */
static bool is_ascii(uint32_t state)
{
	return state >> 5 & 1 && state >> 6 & 1;
}

/* A compact ASCII str of at most TEXT_MAX bytes; its length or -EAGAIN. */
static int read_str(struct chunks *c, const struct layout *l, uint64_t object,
		    char out[CENSUS_NAME_SIZE])
{
	uint64_t data = object + (l->minor >= 12 ? ASCII_DATA : ASCII_DATA_OLD);
	uint64_t length;
	uint32_t state;

	if (object % 8 || chunks_read(c, object + UNICODE_LENGTH, &length, sizeof(length)) < 0 ||
	    chunks_read(c, object + UNICODE_STATE, &state, sizeof(state)) < 0 || !is_ascii(state) ||
	    length == 0 || length > TEXT_MAX || chunks_read(c, data, out, (size_t)length) < 0)
		return -EAGAIN;
	out[length] = '\0';
	return (int)length;
}

static bool is_key(struct chunks *c, const struct layout *l, uint64_t key, const char *name)
{
	char text[CENSUS_NAME_SIZE];
	uint64_t length;

	if (!key || key % 8 || chunks_read(c, key + UNICODE_LENGTH, &length, sizeof(length)) < 0 ||
	    length != strlen(name))
		return false;
	return read_str(c, l, key, text) > 0 && strcmp(text, name) == 0;
}

/* The value of a str key in a dict with a table of its own, 0 = not found. */
static uint64_t dict_find(struct chunks *c, const struct layout *l, uint64_t dict, const char *name)
{
	uint64_t words[2];
	struct census_keys k;

	if (chunks_read(c, dict + DICT_KEYS_OFFSET, words, sizeof(words)) < 0 || words[1] ||
	    census_keys_read(c, l, words[0], &k) < 0)
		return 0;
	for (uint64_t i = 0; i < MIN_OF(k.entries, (uint64_t)ENTRIES_MAX); i++) {
		uint64_t at = k.first + i * k.entry_size;
		uint64_t entry[2]; /* key, value: the last two words of both kinds */

		if (chunks_read(c, at + k.entry_size - sizeof(entry), entry, sizeof(entry)) < 0)
			return 0;
		if (is_key(c, l, entry[0], name))
			return entry[1];
	}
	return 0;
}

static bool heap_module(struct chunks *c, const struct layout *l, uint64_t type,
			char out[CENSUS_NAME_SIZE])
{
	uint64_t dict;
	uint64_t value;

	if (chunks_read(c, type + TYPE_DICT, &dict, sizeof(dict)) < 0 || !dict)
		return false;
	value = dict_find(c, l, dict, "__module__");
	return value && read_str(c, l, value, out) > 0;
}

static bool heap_qualname(struct chunks *c, const struct layout *l, uint64_t type,
			  char out[CENSUS_NAME_SIZE])
{
	uint64_t at = type + l->object.heap_type_name + HEAP_QUALNAME;
	uint64_t object;

	return chunks_read(c, at, &object, sizeof(object)) == 0 && object &&
	       read_str(c, l, object, out) > 0;
}

/*
 * tp_name has the module where a type was written in C ('collections.deque'), and not where it is a
 * class statement's: then it is in the class's dict.
 */
void census_type_name(struct chunks *c, const struct layout *l, uint64_t type, uint64_t flags,
		      char ret[CENSUS_NAME_SIZE])
{
	char name[CENSUS_NAME_SIZE];
	char module[CENSUS_NAME_SIZE];
	char full[2 * CENSUS_NAME_SIZE];
	uint64_t at;
	int n;

	if (chunks_read(c, type + TYPE_NAME, &at, sizeof(at)) < 0 ||
	    (n = read_text(c, at, name, sizeof(name))) <= 0) {
		str_copy(ret, CENSUS_NAME_SIZE, "?");
		return;
	}
	if (!(flags & TYPE_FLAG_HEAP) || strchr(name, '.') || !heap_module(c, l, type, module) ||
	    strcmp(module, "builtins") == 0) {
		str_safe(ret, CENSUS_NAME_SIZE, name, (size_t)n);
		return;
	}
	str_copy(full, sizeof(full), module);
	n = (int)strlen(full);
	full[n++] = '.';
	if (!heap_qualname(c, l, type, full + n))
		str_copy(full + n, sizeof(full) - (size_t)n, name);
	str_safe(ret, CENSUS_NAME_SIZE, full, strlen(full));
}
