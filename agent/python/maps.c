/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/maps.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/fs.h"
#include "common/str.h"

#define MAPS_MAX_TEXT (16u << 20)
#define MAPS_MAX_ROWS 65536 /* of the kernel: vm.max_map_count is 65530 */

/* 'start-end perms offset dev inode      path', proc(5). */
static int parse_line(const char *line, struct map *m)
{
	char perms[5];
	int used = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*x:%*x %" SCNu64 "%n", &m->start,
		   &m->end, perms, &m->offset, &m->inode, &used) != 5 ||
	    !used || strlen(perms) != 4 || m->start >= m->end)
		return -EBADMSG;
	m->writable = perms[1] == 'w';
	m->executable = perms[2] == 'x';
	line += used;
	m->path = line + strspn(line, " ");
	return 0;
}

static size_t count_lines(const struct buf *text)
{
	size_t n = 0;

	for (size_t i = 0; i < text->len; i++)
		n += text->data[i] == '\n';
	return n;
}

int maps_parse(struct buf *text, struct maps *ret, struct error *err)
{
	auto_buf struct buf own = *text;
	size_t lines = count_lines(&own);
	auto_free struct map *rows = NULL;
	char *save = NULL;
	size_t n = 0;

	*text = (struct buf){0};
	if (lines > MAPS_MAX_ROWS)
		return error_set(err, -EFBIG, "maps has more than %d lines", MAPS_MAX_ROWS);
	rows = calloc(lines + 1, sizeof(*rows));
	if (!rows)
		return error_set(err, -ENOMEM, "no memory for %zu mappings", lines);
	for (char *l = own.data ? strtok_r((char *)own.data, "\n", &save) : NULL; l;
	     l = strtok_r(NULL, "\n", &save)) {
		if (n > lines || parse_line(l, &rows[n]) < 0)
			return error_set(err, -EBADMSG, "maps: line %zu is not well formed", n + 1);
		n++;
	}
	*ret = (struct maps){.text = own, .rows = take_ptr(rows), .n = n};
	own = (struct buf){0};
	return 0;
}

int maps_load(pid_t pid, struct maps *ret, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(MAPS_MAX_TEXT);
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	rc = fs_read(path, &text, err);
	if (rc < 0)
		return rc;
	return maps_parse(&text, ret, err);
}

void maps_fini(struct maps *m)
{
	buf_fini(&m->text);
	free(m->rows);
	*m = (struct maps){0};
}

const struct map *maps_at(const struct maps *m, uint64_t address)
{
	for (size_t i = 0; i < m->n; i++)
		if (address >= m->rows[i].start && address < m->rows[i].end)
			return &m->rows[i];
	return NULL;
}

bool map_named(const struct map *m, const char *glob)
{
	const char *slash = strrchr(m->path, '/');
	char name[128];
	char *deleted;

	if (!slash || !str_copy(name, sizeof(name), slash + 1))
		return false;
	deleted = strstr(name, " (deleted)");
	if (deleted)
		*deleted = '\0';
	return fnmatch(glob, name, 0) == 0;
}
