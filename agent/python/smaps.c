/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/smaps.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/str.h"

int smaps_open(pid_t pid, struct smaps *ret, struct error *err)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	ret->ahead = false;
	ret->file = fopen(path, "re");
	return ret->file ? 0 : error_sys(err, -errno, "cannot read '%s'", path);
}

void smaps_close(struct smaps *s)
{
	if (s->file)
		fclose(s->file);
	s->file = NULL;
}

static bool read_line(struct smaps *s)
{
	size_t len;
	int c;

	if (!fgets(s->line, sizeof(s->line), s->file))
		return false;
	len = strlen(s->line);
	if (len && s->line[len - 1] == '\n')
		s->line[len - 1] = '\0';
	else
		while ((c = getc(s->file)) != EOF && c != '\n')
			;
	return true;
}

/* '7f00-7f10 rw-p 00000000 00:00 0   [heap]' */
static bool parse_head(const char *line, struct smap *ret)
{
	char flags[5];
	int name = 0;

	*ret = (struct smap){0};
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*x:%*x %" SCNu64 " %n", &ret->start,
		   &ret->end, flags, &ret->inode, &name) < 4 ||
	    !name || ret->start >= ret->end || strlen(flags) != 4)
		return false;
	ret->readable = flags[0] == 'r';
	ret->writable = flags[1] == 'w';
	ret->shared = flags[3] == 's';
	snprintf(ret->name, sizeof(ret->name), "%s", line + name);
	return true;
}

static void parse_figure(const char *line, struct smap *ret)
{
	static const struct {
		const char *key;
		size_t at;
	} rows[] = {
		{"Rss:", offsetof(struct smap, rss)},
		{"Anonymous:", offsetof(struct smap, anonymous)},
		{"Swap:", offsetof(struct smap, swap)},
	};
	int64_t kib;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_starts(line, rows[i].key) &&
		    sscanf(line + strlen(rows[i].key), "%" SCNd64 " kB", &kib) == 1)
			*(int64_t *)(void *)((char *)ret + rows[i].at) = kib * 1024;
}

/* Figures begin with a capital letter, heads with a digit in hexadecimal. */
static bool is_head(const char *line)
{
	return (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f');
}

int smaps_next(struct smaps *s, struct smap *ret)
{
	if (!s->ahead && !read_line(s))
		return 0;
	s->ahead = false;
	if (!parse_head(s->line, ret))
		return -EBADMSG;
	while (read_line(s)) {
		if (is_head(s->line)) {
			s->ahead = true;
			break;
		}
		parse_figure(s->line, ret);
	}
	return 1;
}
