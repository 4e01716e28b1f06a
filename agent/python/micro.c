/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/micro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/python/memory.h"

#define CHUNK    (64u << 10)
#define TEXT_MAX 16u /* '3.10.13rc12' and the NULs */
#define DIGITS   2u

static unsigned take_number(const char **s)
{
	unsigned v = 0;

	for (unsigned i = 0; i < DIGITS && isdigit((unsigned char)**s); i++)
		v = v * 10 + (unsigned)(*(*s)++ - '0');
	return v;
}

/* What follows '3.9.': a number, perhaps 'a1', 'b2', 'rc1', perhaps '+', and the end. */
static bool parse_rest(const char *s, unsigned *ret_micro, unsigned *ret_level)
{
	*ret_level = 0xf0;
	if (!isdigit((unsigned char)*s))
		return false;
	*ret_micro = take_number(&s);
	if (*s == 'a' || *s == 'b' || *s == 'r') {
		*ret_level = *s == 'a' ? 0xa0 : *s == 'b' ? 0xb0 : 0xc0;
		s += *s == 'r' && s[1] == 'c' ? 2 : 1;
		*ret_level |= take_number(&s) & 0xf;
	}
	s += *s == '+';
	return *s == '\0';
}

/* Behind the end of another text; or of a folder's name, into whose text a linker merged it. */
static bool begins(const uint8_t *bytes, const uint8_t *hit)
{
	return hit > bytes && (hit[-1] == '\0' || hit[-1] == '/');
}

int micro_parse(const uint8_t *bytes, size_t n, unsigned minor, uint32_t *ret_version)
{
	char want[TEXT_MAX];
	size_t len = (size_t)snprintf(want, sizeof(want), "3.%u.", minor);
	const uint8_t *end = bytes + n;
	const uint8_t *hit = bytes;

	for (; (hit = memmem(hit, (size_t)(end - hit), want, len)); hit += len) {
		const uint8_t *rest_at = hit + len;
		char rest[TEXT_MAX] = "";
		unsigned micro;
		unsigned level;

		memcpy(rest, rest_at, MIN_OF((size_t)(end - rest_at), sizeof(rest) - 1));
		if (begins(bytes, hit) && (size_t)(end - rest_at) > strlen(rest) &&
		    parse_rest(rest, &micro, &level)) {
			*ret_version = 0x03000000u | minor << 16 | micro << 8 | level;
			return 0;
		}
	}
	return -ENOENT;
}

/* Pieces overlap, so that no text is cut in two. */
static int search(pid_t pid, const struct map *map, unsigned minor, size_t *budget, uint8_t *chunk,
		  uint32_t *ret_version)
{
	for (uint64_t at = map->start; at < map->end && *budget >= CHUNK; at += CHUNK - TEXT_MAX) {
		size_t n = (size_t)MIN_OF(map->end - at, CHUNK);
		ssize_t got = memory_read_some(pid, at, chunk, n);

		*budget -= CHUNK;
		if (got < 0)
			return got == -EFAULT ? -ENOENT : (int)got;
		if (micro_parse(chunk, (size_t)got, minor, ret_version) == 0)
			return 0;
	}
	return -ENOENT;
}

int micro_find(pid_t pid, const struct maps *maps, const struct map *map, unsigned minor,
	       uint32_t *ret_version)
{
	auto_free uint8_t *chunk = malloc(CHUNK);
	size_t budget = MICRO_MAX_BYTES;
	int rc = -ENOENT;

	if (!chunk)
		return -ENOMEM;
	for (size_t i = 0; i < maps->n && rc == -ENOENT; i++) {
		const struct map *m = &maps->rows[i];

		if (m->inode == map->inode && !m->writable && !m->executable &&
		    strcmp(m->path, map->path) == 0)
			rc = search(pid, m, minor, &budget, chunk, ret_version);
	}
	return rc;
}
