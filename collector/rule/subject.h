/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject.h - what rules are about: processes, services and hosts with their latest values, their
 * windows and their alerts, and the table that finds them. The engine's own; nobody else includes
 * it. A service is the sum of its processes: gauges are summed (unknown while one process's is
 * unknown), counters gather what its processes added, so that they never fall.
 */
#ifndef MEMHERD_COLLECTOR_RULE_SUBJECT_H
#define MEMHERD_COLLECTOR_RULE_SUBJECT_H

#include "collector/rule/state.h"

#define SUBJECT_NAME_MAX 256

struct subject {
	enum rule_kind kind;
	int32_t host_id;
	int64_t id; /* proc_id; of a service subject_service_id(); 0 of a host */
	uint32_t rev;
	bool labelled; /* 'where' was asked with this rev */
	bool python;   /* of a service: of any process so far */
	bool late;     /* the last sample was, so nothing was evaluated */
	bool dead;     /* dropped at the end of the present walk */
	int64_t first_seen_us;
	int64_t last_us;              /* of the newest sample, the host's clock */
	int64_t interval_us;          /* between the newest two */
	int64_t seen_us;              /* when something came, the collector's clock */
	int64_t born_us;              /* when the engine first heard of it, the collector's clock */
	struct subject *host;         /* of processes and services */
	struct subject *service;      /* of processes */
	struct subject *services;     /* of a host: list */
	struct subject *next_service; /* in that list */
	char *name;                   /* of a service: its name; of a host: its name */
	unsigned users;               /* of a service: processes that point to it */
	int64_t processes;            /* of a service: of those, the ones with a sample */
	int64_t limit_kib;  /* of a process; of a service the smallest of its processes; 0 = unknown
			     */
	int64_t limit_us;   /* of a service: sample time that limit_kib is of */
	int64_t emptied_us; /* of a service: when it last had one, the collector's clock */
	uint32_t *absent;   /* of a service: processes without that metric, METRIC_COUNT */
	int64_t *sums;      /* of a service: of the processes that have it */
	uint16_t *rules;    /* that chose it, by index in the set */
	unsigned n_rules;
	uint64_t metrics;        /* that any of them uses outside windows */
	int64_t warmup_us;       /* the longest of theirs */
	bool restless;           /* one of them must always be asked */
	bool heeds_silence;      /* one of them has 'missing fire' or 'missing clear' */
	struct window **windows; /* by index in the set; NULL when no rule wants any */
	struct rule_state *states;
	int64_t v[]; /* METRIC_COUNT or HOST_METRIC_COUNT */
};

struct subject_table {
	struct subject **slots; /* open addressing, linear probing */
	size_t capacity;        /* power of two */
	size_t n;
};

int64_t subject_service_id(const char *name);
unsigned subject_metrics(enum rule_kind kind);

struct subject *subject_new(enum rule_kind kind, int32_t host_id, int64_t id, const char *name);
void subject_free(struct subject **s, unsigned n_windows);

struct subject *subject_find(const struct subject_table *t, enum rule_kind kind, int32_t host_id,
			     int64_t id);
/* Takes s into the table. */
int subject_insert(struct subject_table *t, struct subject *s) must_use;
void subject_remove(struct subject_table *t, struct subject *s);
void subject_table_fini(struct subject_table *t, unsigned n_windows);

/* A process enters, changes from old to v, or leaves its service. */
void service_join(struct subject *service, const int64_t v[METRIC_COUNT]);
void service_change(struct subject *service, const int64_t old[METRIC_COUNT],
		    const int64_t v[METRIC_COUNT]);
void service_leave(struct subject *service, const int64_t old[METRIC_COUNT]);
/* The limit of one of its processes, sampled at t_us. */
void service_limit(struct subject *service, int64_t limit_kib, int64_t t_us);
/* Writes the service's values as they are now. */
void service_sum(const struct subject *service, int64_t v[METRIC_COUNT]);

/* The state of that rule, or NULL; made when make is set, NULL then means no memory. */
struct rule_state *subject_state(struct subject *s, const struct rule *rule, bool make);
/* Frees the states that no longer matter. */
void subject_drop_idle(struct subject *s, int64_t t_us);

#endif
