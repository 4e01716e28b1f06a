/* SPDX-License-Identifier: Apache-2.0 */
/* What was done here that no result tells: read from the journal, one at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/act/gate.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#define PATH_SIZE 1024

static void told_path(const struct gate *g, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%.1000s.told", g->options->journal);
}

/* None, or one that cannot be read: all is told again, which the collector notices. */
static uint64_t load_told(const char *path)
{
	auto_buf struct buf b = BUF_INIT(64);
	struct error err;
	uint64_t told;

	if (fs_read(path, &b, &err) < 0)
		return 0;
	buf_putc(&b, '\0');
	return buf_status(&b) == 0 && sscanf((const char *)b.data, "%" SCNu64, &told) == 1 ? told
											   : 0;
}

static void save_told(const char *path, uint64_t told)
{
	char text[32];
	struct error err;

	snprintf(text, sizeof(text), "%" PRIu64 "\n", told);
	if (fs_write(path, 0600, text, strlen(text), &err) < 0)
		log_warn("journal error='%s'", err.msg);
}

static void fill(struct host_news *ret, const struct journal_news *n)
{
	ret->what = n->entry.note ? HOST_NEWS_NOTE
		    : n->by_hand  ? HOST_NEWS_BY_HAND
				  : HOST_NEWS_CUT_SHORT;
	ret->dry_run = n->entry.dry_run;
	ret->action = n->entry.action;
	ret->pid = n->entry.pid;
	ret->start_ticks = n->entry.start_ticks;
	ret->t_wall_us = n->entry.t_wall_us;
	ret->result = n->entry.result;
	memcpy(ret->result.id, n->entry.id, sizeof(ret->result.id));
}

void gate_tell(struct gate *g, uint64_t kept, struct host_news *ret)
{
	struct journal_news news = {.any = false};
	struct command_span head;
	struct error err = {""};
	char path[PATH_SIZE];
	uint64_t told, from;

	told_path(g, path);
	told = load_told(path);
	from = kept == HOST_NEWS_UNKNOWN ? told : kept;
	*ret = (struct host_news){.through = from};
	if (journal_lock(g->journal, 0, &err) < 0)
		return;
	journal_head(g->journal, &head);
	/* A journal that begins anew is told from its start. */
	if (from > head.last)
		from = 0;
	if (journal_next(g->journal, from, &news, &err) < 0)
		log_warn("journal error='%s'", err.msg);
	else
		ret->through = news.through;
	journal_unlock(g->journal);
	if (from != told)
		save_told(path, from);
	if (news.any)
		fill(ret, &news);
}
