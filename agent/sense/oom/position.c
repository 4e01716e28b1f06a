/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/position.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/fs.h"
#include "common/str.h"

bool position_parse(const char *text, size_t len, const uint8_t boot_id[16], uint64_t *ret_seq)
{
	char copy[POSITION_TEXT_SIZE];
	uint8_t boot[16];
	int64_t seq;

	/* The end of the line must have been seen: a number that was cut is another number. */
	if (len < UUID_TEXT_SIZE + 1 || len >= sizeof(copy) || text[len - 1] != '\n' ||
	    text[UUID_TEXT_SIZE - 1] != ' ')
		return false;
	memcpy(copy, text, len - 1);
	copy[len - 1] = '\0';
	copy[UUID_TEXT_SIZE - 1] = '\0';
	if (uuid_parse(boot, copy) < 0 || memcmp(boot, boot_id, sizeof(boot)) != 0 ||
	    str_parse_int(copy + UUID_TEXT_SIZE, &seq) < 0 || seq < 0)
		return false;
	*ret_seq = (uint64_t)seq;
	return true;
}

size_t position_format(char out[POSITION_TEXT_SIZE], const uint8_t boot_id[16], uint64_t seq)
{
	char boot[UUID_TEXT_SIZE];

	uuid_text(boot, boot_id);
	return (size_t)snprintf(out, POSITION_TEXT_SIZE, "%s %" PRIu64 "\n", boot, seq);
}

bool position_load(const char *path, const uint8_t boot_id[16], uint64_t *ret_seq)
{
	char text[POSITION_TEXT_SIZE];
	int n = fs_read_small(AT_FDCWD, path, text, sizeof(text));

	return n > 0 && position_parse(text, (size_t)n, boot_id, ret_seq);
}

int position_save(const char *path, const uint8_t boot_id[16], uint64_t seq, struct error *err)
{
	char text[POSITION_TEXT_SIZE];

	return fs_write(path, 0600, text, position_format(text, boot_id, seq), err);
}
