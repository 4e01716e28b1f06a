/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figures.h - the tables of numbers in a kernel OOM report: memory of the cgroup, of the host, and
 * the task table, whose columns are found by the header that the kernel prints. Pure.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_FIGURES_H
#define MEMHERD_AGENT_SENSE_OOM_FIGURES_H

#include "agent/sense/oom/kill.h"
#include "agent/sense/oom/text.h"

/*
 * 'Memory cgroup stats for /A:'. Before 5.3 ' cache:1KB rss:2KB ..' follows on the line, which
 * comes once for each cgroup below the limit: the values are added up.
 */
bool figures_cgroup_head(struct text t, struct text *ret_cgroup, int64_t stat[OOM_STAT_COUNT]);
/* The lines behind it, 'key bytes': one a record, or many in one record, that may have been cut. */
void figures_cgroup(struct text t, int64_t stat[OOM_STAT_COUNT]);

/* Below 'Mem-Info:' 'active_anon:1 inactive_anon:2 ..' in pages, in one record or in several; and
 * 'Free swap  = 1kB', 'Total swap = 1kB', '1 pages RAM'. What is there already stays. */
void figures_host(struct text t, int64_t page_kib, int64_t host[OOM_HOST_COUNT]);
bool figures_host_line(struct text t, int64_t page_kib, int64_t host[OOM_HOST_COUNT]);

#define FIGURES_MAX_COLUMNS 24
/* A header that was read: what each column between the pid and the name is. */
struct figures_header {
	size_t n;                           /* 0 = no table yet */
	int8_t column[FIGURES_MAX_COLUMNS]; /* enum oom_task_figure; -1 = one we do not know */
};
/* '[  pid  ]   uid  tgid total_vm      rss .. name' */
bool figures_header(struct text t, struct figures_header *ret);
/* '[  812]  1000   812    13025    11607 .. python3'; sizes in KiB. */
bool figures_row(struct text t, const struct figures_header *h, int64_t page_kib,
		 struct oom_task *ret);

#endif
