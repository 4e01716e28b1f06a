/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survey.h - what is read of a host in each round beside its processes: the cgroups they are in,
 * PSS within its budget, the host's own figures; and the flight ring, which remembers all of it.
 *
 * Owned by the ticker, which says who was born and who ended; reads through the sampler's /proc.
 * Knows no socket and no wire; the clock comes in, but for the CPU time that a PSS reading costs.
 */
#ifndef MEMHERD_AGENT_SENSE_SURVEY_H
#define MEMHERD_AGENT_SENSE_SURVEY_H

#include "agent/sense/cgroup_tree.h"
#include "agent/sense/describe.h"
#include "agent/sense/hoststat.h"
#include "agent/sense/pss.h"
#include "agent/sense/ring.h"
#include "agent/sense/sampler.h"

/* 0 and NULL: the usual. */
struct survey_config {
	const char *sys_block; /* "/sys/block"; must outlive the survey */
	struct cgroup_mount mount;
	uint32_t pss_share;      /* of one core, 1/10000 */
	int64_t ring_span_us;    /* how far the slow lane reaches: an hour */
	int64_t interval_us;     /* between two of its rounds */
	uint32_t ring_max_bytes; /* of the slow lane: 1 MiB; the fast one has a quarter */
};

struct survey {
	struct survey_config cfg;
	struct cgroup_tree cgroups;
	struct pss pss;
	struct ring ring;
	struct hoststat host;
	int64_t figures[HOST_METRIC_COUNT];
	uint32_t members[CGROUP_MAX]; /* processes in it and below, by id */
	int64_t mem_total;            /* KiB, of the round before; METRIC_ABSENT */
	uint32_t rounds;
	uint32_t killers; /* processes that end others for want of memory: earlyoom and its like */
};

/* From now on PSS may take so much (1/10000 of a core); 0 = it is not read. */
void survey_allow_pss(struct survey *v, uint32_t share);

int survey_init(struct survey *v, const struct survey_config *cfg, struct error *err) must_use;
void survey_fini(struct survey *v);

/* A round begins, before its births; lanes as ring_round_begin() takes them. */
void survey_begin(struct survey *v, int64_t boot_us, unsigned lanes);
/* A process was described: it joins its cgroup and the ring. One that became another program, or is
 * told again under another id, keeps its past there. */
void survey_birth(struct survey *v, uint32_t id, struct proc *p, const struct description *d);
/* It ended, or became another program and gets a new id. */
void survey_exit(struct survey *v, uint32_t id, struct proc *p);

/* The host's figures of this round; before births, which want MemTotal. cpu_ms, rss_kib: our own.
 */
void survey_host(struct survey *v, const struct sampler *s);
/* After births: cgroups and PSS are read, the ring is told. */
void survey_round(struct survey *v, const struct sampler *s, int64_t boot_us);

/* The figures of a process, PSS and USS included. */
void survey_process(const struct survey *v, const struct sampler *s, uint32_t id,
		    int64_t out[METRIC_COUNT]);
/* The figures of a cgroup that is there. */
void survey_cgroup(const struct survey *v, uint16_t id, int64_t out[CGROUP_METRIC_COUNT]);
/* The path of the cgroup whose limit holds for this one: '' = the host's memory, '..' = one that
 * cannot be seen from here. */
const char *survey_limited_by(const struct survey *v, const struct cgroup *c);

#endif
