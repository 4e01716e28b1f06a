/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the life of one alert: one rule on one subject.
 *
 *	pending --for--> firing (log < mail < trim) --clear, for--> resolved
 *
 * A level switches on when its 'when' held for its 'for', and then switches on those below it
 * first; it switches off when its 'clear' held long enough and nothing above it is on. Time in
 * which the truth was unknown counts for neither. Pure: the truth and the clock come in.
 */
#ifndef MEMHERD_COLLECTOR_RULE_STATE_H
#define MEMHERD_COLLECTOR_RULE_STATE_H

#include "collector/rule/eval.h"

#define RULE_FLAP_US           (3600 * 1000000LL) /* firing again within this is flapping */
#define RULE_FLAP_MOST         3                  /* 'clear' takes 2, 4, at most 8 times longer */
#define RULE_STAND_DOWN        2 /* ineffective actions in a row that end the attempts */
#define RULE_ACTION_TIMEOUT_US (600 * 1000000LL) /* a result that never came */

/* X(NAME, name): what a step may bring about. */
#define RULE_CHANGE_LIST(X)   \
	X(RAISED, raised)     \
	X(LOWERED, lowered)   \
	X(RESOLVED, resolved) \
	X(ACT, act)           \
	X(STOOD_DOWN, stood_down)

enum rule_change {
#define X(NAME, name) RULE_##NAME,
	RULE_CHANGE_LIST(X)
#undef X
		RULE_CHANGE_COUNT
};

enum rule_phase { RULE_IDLE, RULE_PENDING, RULE_FIRING, RULE_CLEARING };

struct rule_changes {
	unsigned n;
	struct {
		enum rule_change what;
		unsigned level; /* index in rule->levels */
	} at[2 * RULE_LEVEL_COUNT + 2];
};

/* What is true now, by index in rule->levels. */
struct rule_evidence {
	enum rule_truth when[RULE_LEVEL_COUNT];
	enum rule_truth clear[RULE_LEVEL_COUNT];
	struct rule_result value; /* of rule->measure */
	bool hole;                /* no samples came for long before this one */
};

struct rule_state {
	const struct rule *rule;
	struct rule_state *next;            /* of the same subject */
	int64_t last_us;                    /* of the last step */
	int64_t true_us[RULE_LEVEL_COUNT];  /* since when 'when' holds; 0 = it does not */
	int64_t clear_us[RULE_LEVEL_COUNT]; /* the same of 'clear' */
	unsigned n_on;                      /* levels[0 .. n_on) are on */
	int64_t opened_us;
	int64_t resolved_us; /* of the last resolve, 0 = none */
	unsigned flaps;
	bool has_value;
	double first;
	double peak;
	double last;
	bool acting; /* an action was asked for and its result is not in */
	bool stood_down;
	unsigned ineffective;           /* in a row */
	int64_t acted_us[RULE_ACTIONS]; /* ring of the last actions; 0 = none */
	unsigned acted;
};

const char *rule_change_name(enum rule_change c);
const char *rule_phase_name(enum rule_phase p);
enum rule_phase rule_state_phase(const struct rule_state *s);

void rule_state_step(struct rule_state *s, const struct rule_evidence *e, int64_t t_us,
		     struct rule_changes *ret);
/* 'missing fire': every level on, no action. */
void rule_state_fire(struct rule_state *s, int64_t t_us, struct rule_changes *ret);
/* The subject is gone, or 'missing clear'. */
void rule_state_resolve(struct rule_state *s, int64_t t_us, struct rule_changes *ret);
void rule_state_action_done(struct rule_state *s, bool effective, struct rule_changes *ret);
/* An action without a result for RULE_ACTION_TIMEOUT_US is given up. */
void rule_state_expire(struct rule_state *s, int64_t t_us);
/* True when forgetting it changes nothing. */
bool rule_state_idle(const struct rule_state *s, int64_t t_us);

#endif
