/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - a run of bytes inside somebody else's buffer, and how log lines are taken apart: from
 * the left by what must be there, from the right where names of strangers stand in the middle.
 * Pure; a text is valid as long as the buffer it points into. Bytes may be anything, NUL included.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_TEXT_H
#define MEMHERD_AGENT_SENSE_OOM_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/check.h"

struct text {
	const char *p;
	size_t len;
};

static inline struct text text_of(const void *p, size_t len)
{
	return (struct text){p, len};
}
static inline struct text text_str(const char *s)
{
	return text_of(s, strlen(s));
}

bool text_is(struct text t, const char *word);
bool text_starts(struct text t, const char *prefix);
/* Takes the prefix off; false, and nothing taken, when it is not there. */
bool text_skip(struct text *t, const char *prefix);
void text_skip_spaces(struct text *t);
/* Takes a decimal number off, with '-' where the kernel prints %d; false, and nothing taken, when
 * there is none or it passes 2^63. */
bool text_number(struct text *t, int64_t *ret);
/* Takes everything up to the next space off. */
struct text text_word(struct text *t);
/* Takes everything up to the next newline off, which is dropped; false at the end. */
bool text_line(struct text *t, struct text *ret);

/* Splits at the first or last place where sep stands. Any of the results may be t itself. */
bool text_cut(struct text t, const char *sep, struct text *ret_before, struct text *ret_after);
bool text_cut_last(struct text t, const char *sep, struct text *ret_before, struct text *ret_after);
/* The number behind the first '<key>', as 'order=' or 'anon-rss:'; METRIC_ABSENT when not there. */
int64_t text_value(struct text t, const char *key);

/* Raw bytes as a string, cut at size and at a NUL. */
void text_copy(char *dst, size_t size, struct text t);

#endif
