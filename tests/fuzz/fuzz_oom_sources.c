/* SPDX-License-Identifier: Apache-2.0 */
/* What tells of kills and ends beside the log, on the same bytes: a datagram of the proc connector,
 * lines of the tracepoint, the file with the position. */
#include <string.h>

#include "agent/sense/oom/exits.h"
#include "agent/sense/oom/marks.h"
#include "agent/sense/oom/position.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(const char *s, size_t size)
{
	while (size) {
		const char *eol = memchr(s, '\n', size);
		size_t len = eol ? (size_t)(eol - s) : size;
		struct mark m;

		if (mark_parse(s, len, &m) && (m.pid <= 0 || m.pid > INT32_MAX ||
					       strnlen(m.comm, sizeof(m.comm)) == sizeof(m.comm)))
			abort();
		if (mark_parse_lost(s, len) < 0)
			abort();
		len += eol != NULL;
		s += len;
		size -= len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t boot[16] = {0x0b};
	struct exit_news news;
	uint64_t seq;

	if (exits_parse(data, size, &news) == 0 && (!news.pid || news.pid > INT32_MAX))
		abort();
	check_lines((const char *)data, size);
	if (position_parse((const char *)data, size, boot, &seq) && seq > INT64_MAX)
		abort();
	return 0;
}
