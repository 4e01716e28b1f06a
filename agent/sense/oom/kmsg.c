/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/kmsg.h"

#include <errno.h>
#include <string.h>

#include "agent/sense/oom/text.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* What is no \xNN stays as it is: no kernel escapes in another way. */
static size_t unescape(char *dst, struct text t)
{
	size_t n = 0;

	for (size_t i = 0; i < t.len; i++) {
		int hi = i + 3 < t.len && t.p[i] == '\\' && t.p[i + 1] == 'x'
				 ? hex_digit(t.p[i + 2])
				 : -1;
		int lo = hi >= 0 ? hex_digit(t.p[i + 3]) : -1;

		if (lo >= 0) {
			dst[n++] = (char)(hi << 4 | lo);
			i += 3;
		} else {
			dst[n++] = t.p[i];
		}
	}
	dst[n] = '\0';
	return n;
}

/* 'number,' off the front. */
static bool head_number(struct text *head, uint64_t *ret)
{
	int64_t v;

	if (!text_number(head, &v) || v < 0 || !text_skip(head, ","))
		return false;
	*ret = (uint64_t)v;
	return true;
}

int kmsg_parse(const void *data, size_t len, struct kmsg_record *ret)
{
	struct text body = text_of(data, len);
	struct text head;
	struct text line = text_of("", 0);
	struct text caller;
	uint64_t prefix;
	uint64_t seq;
	uint64_t usec;

	if (!text_cut(body, ";", &head, &body) || !head_number(&head, &prefix) ||
	    !head_number(&head, &seq) || !head_number(&head, &usec) || !head.len ||
	    prefix > UINT32_MAX || (head.len > 1 && head.p[1] != ','))
		return -EBADMSG;
	(void)text_line(&body, &line);
	if (line.len >= sizeof(ret->text))
		return -EBADMSG;
	ret->facility = (uint32_t)prefix >> 3;
	ret->level = prefix & 7;
	ret->seq = seq;
	ret->usec = usec;
	ret->flag = head.p[0];
	ret->caller[0] = '\0';
	if (text_cut(head, ",caller=", NULL, &caller)) {
		(void)text_cut(caller, ",", &caller, NULL);
		text_copy(ret->caller, sizeof(ret->caller), caller);
	}
	ret->len = unescape(ret->text, line);
	return 0;
}

uint64_t kmsg_lost(uint64_t last, uint64_t got)
{
	return got > last ? got - last - 1 : 0;
}
