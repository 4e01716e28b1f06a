/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test.h - cmocka with the four headers it wants first, and what many tests share.
 */
#ifndef MEMHERD_TESTS_SUPPORT_TEST_H
#define MEMHERD_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* assert that an error text contains s */
#define assert_says(err, s)                                                       \
	do {                                                                      \
		if (!strstr((err).msg, (s)))                                      \
			fail_msg("error '%s' does not say '%s'", (err).msg, (s)); \
	} while (0)

#endif
