/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - one message for a person, carried outward beside a negative errno.
 *
 * A function that can fail returns 0 or a positive value for success and -errno for failure.
 * Where a person will read the cause its last parameter is a struct error: the innermost
 * function sets it, each caller may put a prefix before it. Messages are lower case, without
 * a full stop, the subject in quotes, the cause last. err may be NULL everywhere.
 */
#ifndef MEMHERD_COMMON_ERROR_H
#define MEMHERD_COMMON_ERROR_H

#include "common/check.h"

struct error {
	char msg[512];
};

/* Sets the message and returns code, so that 'return error_set(err, -EINVAL, ...)' works. */
int error_set(struct error *err, int code, const char *fmt, ...) printf_like(3, 4);
/* As error_set, with ': ' and the text of errno value -code after the message. */
int error_sys(struct error *err, int code, const char *fmt, ...) printf_like(3, 4);
/* Puts a prefix and ': ' before the message that is there. */
void error_wrap(struct error *err, const char *fmt, ...) printf_like(2, 3);

#endif
