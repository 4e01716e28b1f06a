/* SPDX-License-Identifier: Apache-2.0 */
/*
 * effect.h - what an action gave back, measured again later: at which times, as which JSON, and
 * what follows from it. Pure.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_EFFECT_H
#define MEMHERD_COLLECTOR_COMMAND_EFFECT_H

#include <stdint.h>

#include "common/error.h"

#define EFFECT_STAGES    3
#define EFFECT_TEXT_SIZE 512
/* After at least this share of before, an action has gained nothing. */
#define EFFECT_NONE_PERCENT 95

/* X(NAME, word): what the last measurement says. */
#define EFFECT_VERDICT_LIST(X)                                                               \
	X(GAINED, gained)           /* less than 95 % of before is there, and it stays so */ \
	X(INEFFECTIVE, ineffective) /* at no time was there less than 95 % */                \
	X(REGREW, regrew) /* it gained, and more than half of that has been taken back */    \
	X(GONE, gone) /* nothing could be measured: the process ended, or its host fell silent */

enum effect_verdict {
#define X(NAME, word) EFFECT_##NAME,
	EFFECT_VERDICT_LIST(X)
#undef X
};

const char *effect_verdict_word(enum effect_verdict v);

struct effect {
	int64_t after_s; /* the stage: seconds after the action's end */
	int64_t t_us;    /* of the sample */
	int64_t proc_id; /* the process, or its successor */
	int64_t pid;
	int64_t rss; /* bytes */
	int64_t pss; /* bytes; -1 = not known */
};

struct effects {
	unsigned n;
	struct effect at[EFFECT_STAGES];
};

/* The stages of a program: 5, 60 and 600 s; tests have shorter ones. */
extern const int64_t effect_stages_s[EFFECT_STAGES];

/* The last stage that elapsed_s has reached, -1 before the first. */
int effect_stage(const int64_t stages_s[EFFECT_STAGES], int64_t elapsed_s);

/* As stored in command.effects; '' is none. -EBADMSG: it is not what effects_format made. */
int effects_parse(const char *text, struct effects *ret) must_use;
/* -ENOBUFS: EFFECT_TEXT_SIZE bytes do not hold it. */
int effects_format(const struct effects *e, char out[EFFECT_TEXT_SIZE]) must_use;

/* before and after: of the action itself, in bytes; after may be -1. */
enum effect_verdict effects_judge(int64_t before, int64_t after, const struct effects *e);

#endif
