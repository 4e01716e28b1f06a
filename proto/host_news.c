/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/host_news.h"

#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/cursor.h"

#define QUESTION_MAGIC "MHQ1"
#define ANSWER_MAGIC   "MHN1"

const char *host_news_word(enum host_news_what what)
{
	static const char *const words[] = {
#define X(NAME, number, word) [number] = #word,
		HOST_NEWS_LIST(X)
#undef X
	};

	return (size_t)what < ARRAY_SIZE(words) ? words[what] : NULL;
}

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void host_news_ask(uint8_t out[HOST_NEWS_QUESTION], uint64_t kept)
{
	memcpy(out, QUESTION_MAGIC, 4);
	put_le(out + 4, kept, 8);
}

int host_news_asked(const void *data, size_t len, uint64_t *ret_kept)
{
	struct cursor c = cursor_of(data, len);

	if (len != HOST_NEWS_QUESTION || memcmp(cursor_bytes(&c, 4), QUESTION_MAGIC, 4) != 0)
		return -EBADMSG;
	*ret_kept = cursor_le64(&c);
	return 0;
}

void host_news_pack(uint8_t out[HOST_NEWS_SIZE], const struct host_news *n)
{
	memcpy(out, ANSWER_MAGIC, 4);
	put_le(out + 4, n->what, 4);
	put_le(out + 8, n->dry_run, 4);
	put_le(out + 12, n->action, 4);
	put_le(out + 16, n->pid, 4);
	put_le(out + 20, n->through, 8);
	put_le(out + 28, n->start_ticks, 8);
	put_le(out + 36, (uint64_t)n->t_wall_us, 8);
	command_result_pack(out + 44, &n->result);
}

int host_news_unpack(const void *data, size_t len, struct host_news *ret, struct error *err)
{
	struct cursor c = cursor_of(data, len);
	struct host_news n = {.what = HOST_NEWS_NONE};
	const uint8_t *result;

	if (len != HOST_NEWS_SIZE || memcmp(cursor_bytes(&c, 4), ANSWER_MAGIC, 4) != 0)
		return error_set(err, -EBADMSG, "news of %zu bytes are none", len);
	n.what = (enum host_news_what)cursor_le32(&c);
	n.dry_run = cursor_le32(&c) == 1;
	n.action = (enum command_action)cursor_le32(&c);
	n.pid = cursor_le32(&c);
	n.through = cursor_le64(&c);
	n.start_ticks = cursor_le64(&c);
	n.t_wall_us = (int64_t)cursor_le64(&c);
	if (!host_news_word(n.what))
		return error_set(err, -EBADMSG, "news of unknown kind %u", (unsigned)n.what);
	result = cursor_bytes(&c, COMMAND_RESULT_SIZE);
	if (!result)
		return error_set(err, -EBADMSG, "news without a result");
	if (n.what != HOST_NEWS_NONE) {
		int rc = command_result_unpack(result, COMMAND_RESULT_SIZE, &n.result, err);

		if (rc < 0)
			return rc;
	}
	*ret = n;
	return 0;
}
