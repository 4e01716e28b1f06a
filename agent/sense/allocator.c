/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/allocator.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Those that replace malloc before the C libraries that they replace it in. */
static const struct {
	const char *prefix; /* of the file's name */
	const char *name;
} allocators[] = {
	{"libjemalloc.so", "jemalloc"}, {"libtcmalloc", "tcmalloc"}, {"libmimalloc", "mimalloc"},
	{"ld-musl-", "musl"},           {"libc.musl-", "musl"},      {"libc.so.6", "glibc"},
	{"libc-2.", "glibc"},
};

/* The name of the file that a line maps: behind the last '/', up to the end of the line. */
static const char *file_of_line(const char *line, size_t len, size_t *ret_len)
{
	const char *slash = len ? memrchr(line, '/', len) : NULL;

	if (!slash)
		return NULL;
	*ret_len = len - (size_t)(slash + 1 - line);
	return slash + 1;
}

/* 'libc-2.31.so' gives '2.31'. */
static int version_of(const char *file, size_t len)
{
	int n = 0;

	while ((size_t)n < len && (isdigit((unsigned char)file[n]) || file[n] == '.'))
		n++;
	while (n && file[n - 1] == '.')
		n--;
	return n;
}

bool allocator_name(char *out, size_t size, const char *maps, size_t len)
{
	size_t best = ARRAY_SIZE(allocators);
	const char *end = maps + len;
	const char *eol;

	for (; maps < end && (eol = memchr(maps, '\n', (size_t)(end - maps))); maps = eol + 1) {
		size_t n;
		const char *file = file_of_line(maps, (size_t)(eol - maps), &n);

		for (size_t i = 0; file && i < best; i++) {
			size_t p = strlen(allocators[i].prefix);

			if (n < p || memcmp(file, allocators[i].prefix, p) != 0)
				continue;
			best = i;
			snprintf(out, size, "%s", allocators[i].name);
			if (strcmp(allocators[i].prefix, "libc-2.") == 0)
				snprintf(out, size, "glibc %.*s", version_of(file + 5, n - 5),
					 file + 5);
			break;
		}
	}
	return best < ARRAY_SIZE(allocators);
}
