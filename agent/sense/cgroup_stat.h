/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_stat.h - what the files of one memory cgroup say, v1 or v2, in one set of figures. Parsers
 * are pure; cgroup_stat_read() reads a cgroup's folder. Formats: cgroup-v2.rst,
 * cgroup-v1/memory.rst.
 *
 * v2 has no figure for the root cgroup and v1 has no memory.high, no hierarchical events and no
 * pressure: what a version or a kernel does not tell is METRIC_ABSENT.
 */
#ifndef MEMHERD_AGENT_SENSE_CGROUP_STAT_H
#define MEMHERD_AGENT_SENSE_CGROUP_STAT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/sense/cgroup_mount.h"
#include "agent/sense/keyed.h"
#include "common/check.h"

/* X(NAME, name): KiB, unless it counts. Source v2 | v1. */
#define CGROUP_FIGURE_LIST(X)                                                                      \
	X(USAGE, usage)                 /* memory.current | memory.usage_in_bytes */               \
	X(WORKING_SET, working_set)     /* usage - inactive_file, as 'docker stats' computes it */ \
	X(INACTIVE_FILE, inactive_file) /* inactive_file | total_inactive_file: goes first */      \
	X(ANON, anon)                   /* anon | total_rss */                                     \
	X(FILE, file)                   /* file | total_cache; tmpfs and shmem included */         \
	X(SHMEM, shmem)                 /* shmem | total_shmem */                                  \
	X(KERNEL, kernel)               /* kernel, before 5.18 its parts | memory.kmem.usage */    \
	X(SWAP, swap)                   /* memory.swap.current | total_swap, or memsw - usage */   \
	X(LIMIT, limit)                 /* own: memory.max | memory.limit_in_bytes */              \
	X(HIGH, high)                   /* memory.high | - */                                      \
	X(SWAP_LIMIT, swap_limit)       /* memory.swap.max | memsw limit - limit */                \
	X(HIER_LIMIT, hier_limit)       /* - | hierarchical_memory_limit */                        \
	X(EV_LOW, ev_low)               /* memory.events, this cgroup and all below | - */         \
	X(EV_HIGH, ev_high)                                                                        \
	X(EV_MAX, ev_max)        /* max: times the limit was hit | failcnt, own */                 \
	X(EV_OOM, ev_oom)        /* oom: the limit could not be kept | - */                        \
	X(EV_OOM_KILL, oom_kill) /* kills in it and below | oom_control: kills in it alone */      \
	X(EV_GROUP_KILL, group_kill)                                                               \
	X(OWN_OOM, own_oom)       /* memory.events.local | - */                                    \
	X(OWN_OOM_KILL, own_kill) /* memory.events.local | oom_control */                          \
	X(UNDER_OOM, under_oom)   /* - | oom_control: 1 while tasks wait */                        \
	X(PSI_SOME, psi_some)     /* avg10, 1/100 % */                                             \
	X(PSI_FULL, psi_full)                                                                      \
	X(PSI_SOME_TOTAL, psi_some_total) /* us */                                                 \
	X(PSI_FULL_TOTAL, psi_full_total)

enum cgroup_figure {
#define X(NAME, name) CGROUP_##NAME,
	CGROUP_FIGURE_LIST(X)
#undef X
		CGROUP_FIGURE_COUNT
};

/* 'usage', for logs and tests. */
const char *cgroup_figure_name(enum cgroup_figure f);

/* What is read: usage always. */
enum cgroup_depth {
	CGROUP_LIGHT, /* events, memory.stat and pressure only when usage changed */
	CGROUP_FULL,  /* also these, and the limits */
};

/* dirfd: the hierarchy's mount; path: below it, relative ("a/b"). v holds the last reading's
 * figures (all METRIC_ABSENT before the first) and gets the new ones. -ENOENT or -ENODEV: the
 * cgroup is gone, v is as it was; -errno of the usage file else. */
int cgroup_stat_read(int dirfd, const char *path, enum cgroup_version version,
		     enum cgroup_depth depth, int64_t v[CGROUP_FIGURE_COUNT]) must_use;

/* Its own limit alone, in KiB; METRIC_ABSENT when it has none. */
int64_t cgroup_stat_limit(int dirfd, const char *path, enum cgroup_version version);

/* ---- pure ---- */
void cgroup_stat_parse_stat(enum cgroup_version version, const char *s, size_t len, int64_t *v);
void cgroup_stat_parse_events(const char *s, size_t len, int64_t *v);       /* memory.events */
void cgroup_stat_parse_events_local(const char *s, size_t len, int64_t *v); /* .local */
void cgroup_stat_parse_oom_control(const char *s, size_t len, int64_t *v);
/* usage less inactive_file, never below 0. */
int64_t cgroup_stat_working_set(int64_t usage, int64_t inactive_file);

#endif
