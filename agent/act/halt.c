/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/halt.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#define TEXT_MAX 4096

/* Anything but a clear no is a yes. */
static bool is_there(const char *path)
{
	struct stat st;

	return *path && (lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR));
}

int halt_parse_time(const char *text, int64_t *ret_us)
{
	const size_t minutes = strlen("2026-12-01T06:00");
	char full[2 * STR_TIME_SIZE];
	size_t n = strlen(text);

	/* Not 'now' or '-6h': what is written once must mean one moment. */
	if (!isdigit((unsigned char)*text) || n < minutes || n >= STR_TIME_SIZE)
		return -EINVAL;
	snprintf(full, sizeof(full), "%.*s%s%s", (int)minutes, text,
		 text[minutes] == ':' ? "" : ":00", text + minutes);
	return str_parse_time(full, 0, ret_us);
}

/* The file's first line: 'until=TIME', or nothing. */
static int check_maintenance(const char *path, int64_t now_us, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(TEXT_MAX);
	struct error why = {""};
	int64_t until;
	char *line;

	if (!is_there(path))
		return 0;
	if (fs_read(path, &b, &why) < 0)
		return error_set(err, -EPERM, "maintenance: %s", why.msg);
	buf_putc(&b, '\0');
	if (buf_status(&b) < 0)
		return error_set(err, -EPERM, "maintenance: '%s' is too long", path);
	line = (char *)b.data;
	line[strcspn(line, "\n")] = '\0';
	line = str_trim(line);
	if (!*line)
		return error_set(err, -EPERM, "maintenance: nothing is done while '%s' is there",
				 path);
	if (!str_starts(line, "until=") || halt_parse_time(line + strlen("until="), &until) < 0)
		return error_set(err, -EPERM,
				 "maintenance: '%s' says '%.60s', expected nothing or "
				 "'until=2026-12-01T06:00Z'; nothing is done while it is there",
				 path, line);
	if (now_us >= until)
		return 0;
	return error_set(err, -EPERM, "maintenance: '%s' says that nothing is done until %s", path,
			 line + strlen("until="));
}

int halt_check(const struct act_options *o, bool dry_run, int64_t now_us, struct error *err)
{
	if (is_there(o->stop_file))
		return error_set(err, -EPERM, "stopped: nothing is done while '%s' is there",
				 o->stop_file);
	return dry_run ? 0 : check_maintenance(o->maintenance_file, now_us, err);
}
