/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocab.h - the words of the rule language, each list once: subjects, levels, labels, variables,
 * functions. The parser, the evaluator, the errors and docs/RULES.md follow these tables. Pure.
 */
#ifndef MEMHERD_COLLECTOR_RULE_VOCAB_H
#define MEMHERD_COLLECTOR_RULE_VOCAB_H

#include <stdint.h>

#include "collector/rule/type.h"
#include "proto/metric.h"

enum rule_kind { RULE_PROCESS, RULE_SERVICE, RULE_HOST, RULE_KIND_COUNT };

/* In order: a level is reached only through those below it. */
enum rule_level { RULE_LOG, RULE_MAIL, RULE_TRIM, RULE_LEVEL_COUNT };

extern const char *const rule_kind_names[RULE_KIND_COUNT];
extern const char *const rule_level_names[RULE_LEVEL_COUNT];
/* The value of that name, or -1. */
int rule_kind_find(const char *name);
int rule_level_find(const char *name);

#define RULE_FOR_PROCESS  (1u << RULE_PROCESS)
#define RULE_FOR_SERVICE  (1u << RULE_SERVICE)
#define RULE_FOR_HOST     (1u << RULE_HOST)
#define RULE_FOR_ANY      (RULE_FOR_PROCESS | RULE_FOR_SERVICE | RULE_FOR_HOST)
#define RULE_FOR_PROGRAMS (RULE_FOR_PROCESS | RULE_FOR_SERVICE)

/* X(NAME, name, type, subjects): fixed while a subject lives; 'where' may use them. */
#define RULE_LABEL_LIST(X)                                 \
	X(HOSTNAME, host, STRING, RULE_FOR_ANY)            \
	X(SERVICENAME, service, STRING, RULE_FOR_PROGRAMS) \
	X(COMM, comm, STRING, RULE_FOR_PROCESS)            \
	X(EXE, exe, STRING, RULE_FOR_PROCESS)              \
	X(CMDLINE, cmdline, STRING, RULE_FOR_PROCESS)      \
	X(CGROUP, cgroup, STRING, RULE_FOR_PROCESS)        \
	X(UID, uid, COUNT, RULE_FOR_PROCESS)               \
	X(PYTHON, python, BOOL, RULE_FOR_PROGRAMS)

enum rule_label {
#define X(NAME, name, type, subjects) RULE_LABEL_##NAME,
	RULE_LABEL_LIST(X)
#undef X
		RULE_LABEL_COUNT
};

/* Where a variable's value comes from. */
enum rule_source {
	RULE_SRC_OWN,       /* the subject's metric 'index' */
	RULE_SRC_HOST,      /* the host's metric 'index' */
	RULE_SRC_AGE,       /* now - first seen */
	RULE_SRC_PROCESSES, /* of a service: how many live */
	RULE_SRC_USED,      /* of the host: total - available */
	RULE_SRC_SWAP_USED, /* of the host: swap_total - swap_free */
	RULE_SRC_LIMIT,     /* the smallest limit that holds for it, or for one of a service */
};

struct rule_var {
	enum rule_source source;
	int index;
	enum rule_type type;
	double scale; /* from the stored unit to the base unit */
};

/* What name means for such a subject: 0, or -ENOENT. 'host.NAME' is the host's NAME. */
int rule_var_find(enum rule_kind kind, const char *name, struct rule_var *ret) must_use;
/* The label, or -1; *ret_subjects says which subjects have it. */
int rule_label_find(const char *name, enum rule_type *ret_type, unsigned *ret_subjects);

/* X(NAME, name, shares the half-window rule) */
#define RULE_FN_LIST(X)          \
	X(AVG, avg, true)        \
	X(MIN, min, true)        \
	X(MAX, max, false)       \
	X(LAST, last, false)     \
	X(FIRST, first, false)   \
	X(DELTA, delta, false)   \
	X(RATE, rate, true)      \
	X(SLOPE, slope, true)    \
	X(R2, r2, true)          \
	X(STDDEV, stddev, true)  \
	X(COUNTED, count, false) \
	X(TTO, tto, false)

enum rule_fn {
#define X(NAME, name, half) RULE_FN_##NAME,
	RULE_FN_LIST(X)
#undef X
		RULE_FN_COUNT
};

int rule_fn_find(const char *name);
const char *rule_fn_name(enum rule_fn fn);
/* True where less than half a window of data makes the answer unknown. */
bool rule_fn_needs_half(enum rule_fn fn);
/* The type of fn over an expression of type t, or -1. */
int rule_fn_type(enum rule_fn fn, enum rule_type t);

/* True for a word of the planned language that this version does not have. */
bool rule_word_is_planned(const char *word);

#endif
