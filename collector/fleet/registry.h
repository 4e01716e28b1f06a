/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h - the fleet as it is now, in memory: hosts, their processes and memory cgroups, the
 * latest values and a short history that growth is told from. Ingest writes it, rules and REST read
 * it; nothing here does I/O or knows a connection. Long-lived references are ids (host_id,
 * proc_id), not pointers: a pointer is good until control returns to the loop.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_REGISTRY_H
#define MEMHERD_COLLECTOR_FLEET_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>
/* Without memory uthash would end the program; so an element it could not add has hh.tbl == NULL.
 */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "collector/fleet/gctotals.h"
#include "collector/fleet/python.h"
#include "common/error.h"
#include "proto/metric.h"
#include "proto/wire.h"

/*
 * A short history that sparklines and growth are told from. It begins at a point a second, so that
 * a young process has a shape within a minute, and halves its resolution whenever it is full until
 * it is at about a point a minute and covers an hour; then the oldest go.
 */
#define TREND_POINTS      60
#define TREND_STEP_MIN_US 1000000LL
#define TREND_STEP_MAX_US (64 * TREND_STEP_MIN_US)

struct trend {
	int64_t step_us;
	unsigned n;
	int64_t t_us[TREND_POINTS]; /* oldest first, at least step_us apart */
	int64_t v[TREND_POINTS];    /* last value of that step */
};

/* One of several interpreters of a process. */
struct interpreter {
	uint64_t number; /* Python's own; 0 = the main one */
	int64_t t_us;    /* of the tick that told it last */
	int64_t v[INTERPRETER_METRIC_COUNT];
};

struct process {
	int64_t proc_id;
	UT_hash_handle hh;                /* in host->processes by proc_id */
	struct python *python;            /* NULL: no interpreter was told of */
	struct interpreter *interpreters; /* by number; none where there is one */
	size_t n_interpreters;
	int32_t host_id;
	uint32_t pid;
	uint64_t start_ticks;
	uint32_t ppid;
	uint32_t uid;
	char *comm;
	char *cmdline;
	char *exe;
	char *cgroup;
	char *service;
	char *container; /* '' = none */
	enum wire_role role;
	uint32_t slot;     /* of a worker within its service, from 1; 0 = none */
	int64_t cgroup_id; /* of its struct cgroup; 0 = none told */
	uint32_t rev;      /* rises when one of the strings changed */
	int64_t first_seen_us;
	int64_t last_seen_us;
	int64_t announced_us;    /* time of the tick that last announced it */
	int64_t v[METRIC_COUNT]; /* KiB, counts, ms; METRIC_ABSENT */
	struct trend rss;        /* KiB */
};

/* A memory cgroup. What its agent says of it is kept while it is there. */
struct cgroup {
	int64_t cgroup_id; /* identity_cgroup() of path */
	char *path;
	char *name;       /* of the container or unit; '' = none known */
	char *runtime;    /* 'docker', 'systemd'; '' */
	char *image;      /* '' */
	char *limited_by; /* path of the cgroup whose limit holds; '' = the host's memory */
	uint32_t version; /* 1 or 2 */
	uint32_t rev;     /* rises when one of the above changed; 1 = as first told */
	int64_t first_seen_us;
	int64_t last_seen_us;
	int64_t announced_us;
	int64_t v[CGROUP_METRIC_COUNT]; /* KiB, counts, ms; METRIC_ABSENT */
	struct trend working_set;       /* KiB */
	UT_hash_handle hh;              /* in host->cgroups by cgroup_id */
};

/* Kills of a host that were told last, so that none is told twice; older ones are forgotten. */
#define REGISTRY_KILLS 256

#define REGISTRY_HOLDER 128

/* Who killed, as /metrics counts it. */
enum kill_scope { KILL_SCOPE_HOST, KILL_SCOPE_CGROUP, KILL_SCOPE_DAEMON, KILL_SCOPES };

struct host_kills {
	int64_t *ids;                 /* REGISTRY_KILLS of them, from the first kill on */
	size_t n;                     /* ever added */
	uint64_t scopes[KILL_SCOPES]; /* taken in since start */
};

/* A host's clock that nobody sets, by its last greeting. */
struct host_clock {
	uint8_t boot_id[16]; /* of which boot */
	int64_t apart_us;    /* our wall clock minus that clock of the host */
};

struct host {
	int32_t host_id;
	uint8_t uuid[16];
	uint8_t boot_id[16];
	char *name;
	uint32_t rev; /* rises when the name changed */
	char *kernel;
	char *version; /* of the agent */
	uint32_t cpus;
	uint32_t interval_ms;
	bool act;                     /* memherd-actd answers there */
	bool patient;                 /* acks of its ticks may wait */
	bool connected;               /* to us */
	bool elsewhere;               /* its agent is connected to another collector */
	char holder[REGISTRY_HOLDER]; /* the name of the collector that it is connected to */
	int64_t last_seen_us;         /* collector's clock */
	int64_t skew_us;              /* host's wall clock minus ours, by its greeting or a tick */
	struct host_clock clock;
	uint64_t agent_rss_bytes;
	uint64_t agent_cpu_us;
	int64_t v[HOST_METRIC_COUNT];
	struct trend available;    /* KiB */
	struct process *processes; /* uthash by proc_id */
	struct cgroup *cgroups;    /* uthash by cgroup_id */
	struct host_kills kills;
	struct gctotal *gc; /* of its services */
	char *posture;      /* JSON array of findings; NULL = never told */
	int64_t posture_us; /* when it was told */
	UT_hash_handle hh;  /* in registry->hosts by host_id */
};

struct registry {
	struct host *hosts; /* uthash by host_id */
};

void registry_init(struct registry *r);
void registry_fini(struct registry *r);

/* The host, made when it is new; NULL without memory. name is kept in step. */
struct host *registry_host(struct registry *r, int32_t host_id, const uint8_t uuid[16],
			   const char *name);
/* What the agent says of its host and itself in its greeting. */
void registry_describe_host(struct host *h, const struct wire_hello *m);
struct host *registry_find_host(struct registry *r, int32_t host_id);
struct host *registry_find_host_uuid(struct registry *r, const uint8_t uuid[16]);
/* By name; the first of several. */
struct host *registry_find_host_name(struct registry *r, const char *name);
/* Its agent is connected to a collector that lives. */
bool registry_host_is_up(const struct host *h);
void registry_remove_host(struct registry *r, int32_t host_id);

/* The process, made when new from what the agent announced (strings may be empty at a keyframe). */
struct process *registry_process(struct host *h, int64_t proc_id, const struct wire_process *info,
				 int64_t t_us);
struct process *registry_find_process(struct host *h, int64_t proc_id);
struct process *registry_find_pid(struct host *h, uint32_t pid);
void registry_remove_process(struct host *h, struct process *p);
/* registry_sample() of it comes soon: its memory is asked for ahead. */
void registry_expect(const struct process *p);
/* Takes new values and moves the trend on. */
void registry_sample(struct process *p, const int64_t v[METRIC_COUNT], int64_t t_us);
void registry_host_sample(struct host *h, const int64_t v[HOST_METRIC_COUNT], int64_t t_us);

/* A census of the process; one of a process that is not known changes nothing here. */
void registry_census(struct process *p, const struct wire_census *c, int64_t census_id,
		     int64_t t_us);

/* One of its interpreters told its figures; kept in the order of numbers. -ENOMEM. */
int registry_interpreter_sample(struct process *p, uint64_t number,
				const int64_t v[INTERPRETER_METRIC_COUNT], int64_t t_us) must_use;
/* Those that the tick of that time did not tell have gone. */
void registry_drop_interpreters(struct process *p, int64_t t_us);

/* The cgroup, made when new; NULL without memory. What is told of it is kept in step. */
struct cgroup *registry_cgroup(struct host *h, int64_t cgroup_id, const struct wire_cgroup *info,
			       int64_t t_us);
struct cgroup *registry_find_cgroup(const struct host *h, int64_t cgroup_id);
void registry_remove_cgroup(struct host *h, struct cgroup *g);
void registry_cgroup_sample(struct cgroup *g, const int64_t v[CGROUP_METRIC_COUNT], int64_t t_us);
/* The cgroup that holds the process, NULL when its agent told none. */
struct cgroup *registry_cgroup_of(const struct host *h, const struct process *p);
/* The smallest limit that holds for the process, KiB: of its cgroup, else the host's memory;
 * METRIC_ABSENT when neither is known. */
int64_t registry_limit_of(const struct host *h, const struct process *p);

/* True when this kill had not been told; then it is remembered. Without memory, true. */
bool registry_kill_is_new(struct host *h, int64_t kill_id);
/* findings: a JSON array. What is older than what is known is not taken. */
void registry_posture(struct host *h, const char *findings, int64_t t_us);

void trend_add(struct trend *t, int64_t t_us, int64_t v);
/* Least-squares slope in units per hour over the last span, and r squared; false with fewer than
 * five points or less than a minute. */
bool trend_slope(const struct trend *t, int64_t now_us, int64_t span_us, double *ret_per_hour,
		 double *ret_r2);
/* Microseconds until the host has no available memory at the present rate, or -1 when it is not
 * shrinking or too little is known. */
int64_t host_time_to_oom_us(const struct host *h, int64_t now_us);
/* The process that grows most (bytes per hour), or NULL; ret_growth may be NULL. */
struct process *host_culprit(struct host *h, int64_t now_us, double *ret_growth);

#endif
