/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - the few macros every file may use: attributes, ownership of locals, and the
 * magic number that is checked where a void pointer comes back from a callback.
 * Anyone may include it; it owns nothing.
 */
#ifndef MEMHERD_COMMON_CHECK_H
#define MEMHERD_COMMON_CHECK_H

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define must_use               __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define unused_arg             __attribute__((unused))

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b)                    ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b)                    ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* How an array that lasts grows, by a quarter: doubling leaves up to half of it empty for good. Of
 * at least 4. */
#define MORE_THAN(cap) ((cap) + (cap) / 4)

/* A local that owns memory or a descriptor; it is released when the scope ends. */
static inline void auto_free_(void *slot)
{
	void **p = slot;

	free(*p);
}
static inline void auto_close_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define auto_free  __attribute__((cleanup(auto_free_)))
#define auto_close __attribute__((cleanup(auto_close_)))

/* Hands an owned pointer or descriptor over: the local no longer releases it. */
#define take_ptr(p)                         \
	(__extension__({                    \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	}))
#define take_fd(fd)                \
	(__extension__({           \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	}))

/* An object that is handed to a callback as void * starts with this and is checked there. */
#define MAGIC_CHECK(obj, value) assert((obj) && (obj)->magic == (value))

#endif
