/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a process's name, command line and host: the message keeps its shape. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/notify/encode.h"
#include "collector/notify/message.h"

/* Lines end with CRLF only, none is over-long, nothing but ASCII; tabs only where they may stand.
 */
static void check_lines(const char *s, int tabs)
{
	size_t column = 0;

	for (; *s; s++) {
		if (*s == '\r') {
			if (s[1] != '\n')
				abort();
			s++;
			column = 0;
			continue;
		}
		if (*s == '\t' && tabs)
			continue;
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e || ++column > 998)
			abort();
	}
	if (column)
		abort();
}

static void check_message(const char *s)
{
	const char *end = strstr(s, "\r\n\r\n");

	const char *html =
		end ? strstr(end, "\r\n--=_memherd_alternative\r\nContent-Type: text/html") : NULL;

	if (!html || strstr(html, "<script") || !strstr(html, "--=_memherd_alternative--"))
		abort();
	for (const char *at = strstr(s, "\r\n"); at && at < end; at = strstr(at + 2, "\r\n")) {
		if (strncmp(at + 2, "Bcc", 3) == 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = malloc(size + 1);
	auto_buf struct buf line = BUF_INIT(65536), qp = BUF_INIT((size_t)1 << 20),
			    message = BUF_INIT(MESSAGE_MAX);
	const struct mail_process p = {.pid = 1, .name = text, .cmdline = text};
	const char *const texts[] = {text, text};
	const struct mail_section section = {.title = text,
					     .lines = texts,
					     .line_count = 2,
					     .cells = texts,
					     .cell_count = 2,
					     .columns = 2};
	const struct incident_mail m = {.host = text,
					.service = text,
					.culprit = p,
					.rule = text,
					.headline = text,
					.rule_text = text,
					.why = text,
					.top_rss = &p,
					.top_rss_count = 1,
					.summary = text,
					.sections = &section,
					.section_count = 1,
					.base_url = text};

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	encode_header(&line, "Subject", text);
	check_lines((char *)line.data, 0);
	encode_quoted_printable(&qp, (const char *)data, size);
	if (qp.data)
		check_lines((char *)qp.data, 1);
	if (message_build(&message, &m, "a@b", "c@d", NULL) < 0)
		abort();
	check_message((char *)message.data);
	(void)encode_is_address(text);
	return 0;
}
