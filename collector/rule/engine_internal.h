/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_internal.h - the engine's insides, shared by engine.c (samples in), engine_alert.c
 * (transitions out) and engine_sweep.c (time, ends, restarts). Nobody else includes it.
 */
#ifndef MEMHERD_COLLECTOR_RULE_ENGINE_INTERNAL_H
#define MEMHERD_COLLECTOR_RULE_ENGINE_INTERNAL_H

#include "collector/rule/engine.h"
#include "collector/rule/subject.h"

#define ENGINE_DEAD_BAND   0.1
#define ENGINE_EXPLAIN_MAX 8192

struct rule_engine {
	const struct rule_set *set;
	const struct rule_engine_ops *ops;
	void *arg;
	int64_t now_us;
	struct subject_table table;
	struct buf explain; /* scratch of one transition */
	struct buf expression;
	struct rule_engine_stats stats;
};

struct rule_scope engine_scope(const struct subject *s);
/* Found or made; NULL without memory. */
struct subject *engine_subject(struct rule_engine *e, enum rule_kind kind, int32_t host_id,
			       int64_t id, const char *name);
struct subject *engine_host(struct rule_engine *e, int32_t host_id, const char *name);
struct subject *engine_service(struct rule_engine *e, struct subject *host, const char *name);

void engine_step(struct rule_engine *e, struct subject *s, struct rule_state *st,
		 const struct rule_evidence *ev, int64_t t_us);
void engine_fire(struct rule_engine *e, struct subject *s, struct rule_state *st, int64_t t_us);
void engine_resolve(struct rule_engine *e, struct subject *s, struct rule_state *st, int64_t t_us,
		    const char *reason);

#endif
