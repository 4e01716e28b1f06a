/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc.h - fails the n-th allocation. A test that includes it links with
 * '// link: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=strdup' and runs its
 * subject with alloc_fail_at(1), (2), ... until alloc_failed() stays false: each failure must come
 * back as an error, with nothing leaked (AddressSanitizer's run sees to that).
 */
#ifndef MEMHERD_TESTS_SUPPORT_ALLOC_H
#define MEMHERD_TESTS_SUPPORT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);

static unsigned alloc_countdown;
static bool alloc_hit;

static inline void alloc_fail_at(unsigned n)
{
	alloc_countdown = n;
	alloc_hit = false;
}
static inline void alloc_fail_off(void)
{
	alloc_countdown = 0;
}
static inline bool alloc_failed(void)
{
	return alloc_hit;
}
static inline bool alloc_now(void)
{
	if (!alloc_countdown || --alloc_countdown)
		return false;
	alloc_hit = true;
	return true;
}
void *__wrap_malloc(size_t size)
{
	return alloc_now() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size)
{
	return alloc_now() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t size)
{
	return alloc_now() ? NULL : __real_realloc(p, size);
}
char *__wrap_strdup(const char *s)
{
	return alloc_now() ? NULL : __real_strdup(s);
}

#endif
