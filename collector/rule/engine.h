/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - a rule_set at work: samples in, alert transitions out, as they arrive.
 *
 * Owned by the collector, one per rule_set, which must outlive it. No I/O, no clock: sample times
 * are the host's (corrected for skew), 'now' is the collector's and comes with engine_sweep().
 * Per host and tick: engine_sample() for each live process, changed or not, then for the host,
 * which closes the tick: services are built from their processes and evaluated then.
 *
 * A sample older than RULE_LATE_US fills windows but moves no alert (a backlog is not news); one
 * as far in the future is refused, as is one not younger than its subject's last.
 * ops->transition is called from within these functions; it may not call the engine back except
 * through engine_action_done() later.
 */
#ifndef MEMHERD_COLLECTOR_RULE_ENGINE_H
#define MEMHERD_COLLECTOR_RULE_ENGINE_H

#include "collector/rule/ast.h"
#include "collector/rule/state.h"

#define RULE_LATE_US  (300 * 1000000LL)
#define RULE_STALE_US (1800 * 1000000LL) /* a process not sampled while its host is, has gone */
#define RULE_KEY_SIZE 512

struct rule_engine;

struct rule_subject {
	enum rule_kind kind; /* RULE_PROCESS or RULE_HOST; services are made of processes */
	int32_t host_id;
	int64_t id; /* proc_id; 0 for a host */
	/* Labels, read when the subject is new or rev differs from the last time; NULL: unknown. */
	uint32_t rev;
	const char *host; /* name */
	const char *service;
	const char *comm;
	const char *exe;
	const char *cmdline;
	const char *cgroup;
	int64_t uid; /* -1: unknown */
	bool python; /* exe or comm looks like a Python interpreter */
	int64_t first_seen_us;
	int64_t limit_kib; /* of a process: the smallest limit that holds for it; 0: unknown */
};

struct rule_transition {
	enum rule_change what;
	const struct rule *rule;
	const char *key; /* 'rule|host_id|kind|id', of a service its name for id: the alert's key */
	enum rule_kind kind;
	int32_t host_id;
	int64_t id;            /* proc_id; of a service a hash of its name; 0 */
	const char *service;   /* of a service its name, of a process its service's; '' */
	enum rule_level level; /* RAISED, LOWERED: now; RESOLVED: the highest that was on */
	int64_t t_us;
	int64_t since_us; /* when the alert opened */
	/* Of rule->measure, in base units of value_type. On RESOLVED last is the resolved value. */
	bool has_value;
	enum rule_type value_type;
	double first;
	double peak;
	double last;
	unsigned max_actions; /* of the level: at most so many per max_us */
	int64_t max_us;
	unsigned ineffective; /* actions in a row that gave nothing */
	const char *reason;   /* RESOLVED: 'clear', 'gone', 'missing'; RAISED: 'when', 'missing' */
	const char *expression; /* canonical text of the level's 'when', '' without one */
	const char *explain;    /* lines 'sub-expression = value' */
};

struct rule_engine_ops {
	/* t and its strings live until it returns. */
	void (*transition)(void *arg, const struct rule_transition *t);
};

struct rule_engine_stats {
	uint64_t samples;
	uint64_t evaluated; /* (rule, subject) pairs */
	uint64_t skipped;   /* pairs nothing could have changed for */
	uint64_t late;
	uint64_t refused; /* not younger than the last, or from the future */
	uint64_t no_memory;
	uint64_t subjects;
	uint64_t firing;
};

/* now_us > 0. */
int engine_new(const struct rule_set *set, int64_t now_us, const struct rule_engine_ops *ops,
	       void *arg, struct rule_engine **ret) must_use;
void engine_free(struct rule_engine **e);

/* v has METRIC_COUNT values for a process, HOST_METRIC_COUNT for a host. 0 when taken or late,
 * -ERANGE for a time it refuses, -EINVAL for a service, -ENOMEM. */
int engine_sample(struct rule_engine *e, const struct rule_subject *who, int64_t t_us,
		  const int64_t *v) must_use;
/* A host that is known but has not been heard of since seen_us: for 'missing fire'. */
int engine_expect(struct rule_engine *e, const struct rule_subject *host, int64_t seen_us) must_use;
/* The process exited, or the host was removed with all that runs there: alerts resolve. */
void engine_gone(struct rule_engine *e, enum rule_kind kind, int32_t host_id, int64_t id,
		 int64_t t_us);
/* Every few seconds: the collector's clock, 'missing', what went without a word. */
void engine_sweep(struct rule_engine *e, int64_t now_us);
/* The result of an action asked for by RULE_ACT. -ENOENT when that alert is not open. */
int engine_action_done(struct rule_engine *e, const char *key, bool effective,
		       int64_t t_us) must_use;

/* The state of one open alert: what must survive a restart. */
struct rule_saved {
	const char *key;
	enum rule_level level;
	int64_t since_us;
	bool has_value;
	double first;
	double peak;
	double last;
	unsigned ineffective;
	bool stood_down;
	int64_t acted_us; /* of the last action, 0 = none */
};

/* Calls row for each open alert; the strings live until it returns. */
void engine_save(const struct rule_engine *e, void (*row)(void *arg, const struct rule_saved *s),
		 void *arg);
/* Takes an open alert up again without a transition. -ENOENT: the rule or its level is no more;
 * -EINVAL: not a key; the caller closes such alerts. */
int engine_restore(struct rule_engine *e, const struct rule_saved *s) must_use;

/* Current values of the sub-expressions of that alert's rule, for mails and REST. -ENOENT. */
int engine_explain(struct rule_engine *e, const char *key, struct buf *out) must_use;
enum rule_phase engine_phase(const struct rule_engine *e, const char *key);
struct rule_engine_stats engine_stats(const struct rule_engine *e);

struct rule_key {
	char rule[RULE_NAME_MAX + 1];
	int32_t host_id;
	enum rule_kind kind;
	int64_t id;          /* of a service the hash of its name */
	const char *service; /* within the parsed text; '' */
};

int rule_key_parse(const char *text, struct rule_key *ret) must_use;
char *rule_key_format(char out[RULE_KEY_SIZE], const char *rule, int32_t host_id,
		      enum rule_kind kind, int64_t id, const char *service);

#endif
