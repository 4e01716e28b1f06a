/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/marks.h"

#include <errno.h>
#include <string.h>

#include "agent/sense/oom/text.h"

/* The trace says some of them with '=', the kernel's log with ':'. */
static const struct {
	const char *key;
	enum oom_victim_figure figure;
} figures[] = {
	{" total-vm=", OOM_VICTIM_TOTAL_VM},
	{" anon-rss=", OOM_VICTIM_ANON},
	{" file-rss:", OOM_VICTIM_FILE},
	{" shmem-rss:", OOM_VICTIM_SHMEM},
	{" uid=", OOM_VICTIM_UID},
	{" pgtables=", OOM_VICTIM_PGTABLES},
	{" oom_score_adj=", OOM_VICTIM_SCORE_ADJ},
};

bool mark_parse(const char *line, size_t len, struct mark *ret)
{
	struct text t = text_of(line, len);
	struct text tail;
	struct mark m = {.pid = 0};

	if (!text_cut(t, ": mark_victim: pid=", NULL, &t) || !text_number(&t, &m.pid) ||
	    m.pid <= 0 || m.pid > INT32_MAX)
		return false;
	for (size_t i = 0; i < OOM_VICTIM_COUNT; i++)
		m.victim[i] = METRIC_ABSENT;
	if (text_skip(&t, " comm=") && text_cut_last(t, " total-vm=", &t, &tail)) {
		text_copy(m.comm, sizeof(m.comm), t);
		/* With the key that was cut off. */
		tail = text_of(tail.p - strlen(" total-vm="), tail.len + strlen(" total-vm="));
		for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
			m.victim[figures[i].figure] = text_value(tail, figures[i].key);
	}
	*ret = m;
	return true;
}

int64_t mark_parse_lost(const char *line, size_t len)
{
	struct text t = text_of(line, len);
	int64_t n;

	if (!text_starts(t, "CPU:") || !text_cut(t, " [LOST ", NULL, &t) || !text_number(&t, &n))
		return 0;
	return text_is(t, " EVENTS]") && n > 0 ? n : 0;
}

void marks_init(struct marks_reader *r, int fd)
{
	*r = (struct marks_reader){.fd = fd};
}

/* More of the pipe behind what there is of a line. 1, 0 when there is none now, -errno. */
static int fill(struct marks_reader *r)
{
	ssize_t n;

	memmove(r->data, r->data + r->pos, r->len - r->pos);
	r->len -= r->pos;
	r->pos = 0;
	if (r->len == sizeof(r->data)) {
		r->cut = true;
		r->len = 0;
	}
	n = read(r->fd, r->data + r->len, sizeof(r->data) - r->len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return -errno;
	r->len += (size_t)n;
	return n > 0 ? 1 : -EPIPE;
}

int marks_next(struct marks_reader *r, struct mark *ret, int64_t *ret_lost)
{
	struct text t = text_of(r->data + r->pos, r->len - r->pos);
	struct text line;
	bool cut = r->cut;

	*ret_lost = 0;
	if (!t.len || !memchr(t.p, '\n', t.len)) {
		int rc = fill(r);

		return rc > 0 ? MARKS_OTHER : rc;
	}
	(void)text_line(&t, &line);
	r->pos = r->len - t.len;
	r->cut = false;
	if (cut)
		return MARKS_OTHER;
	*ret_lost = mark_parse_lost(line.p, line.len);
	return mark_parse(line.p, line.len, ret) ? MARKS_MARK : MARKS_OTHER;
}
