/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str.h - text: bounded copies, units people write, and making hostile bytes safe to show.
 */
#ifndef MEMHERD_COMMON_STR_H
#define MEMHERD_COMMON_STR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/check.h"

/* Copies at most size-1 bytes and always ends with NUL; false when it had to cut. */
bool str_copy(char *dst, size_t size, const char *src);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Cuts spaces, tabs and line ends on both sides, in place; returns the first kept byte. */
char *str_trim(char *s);

/*
 * Makes any bytes valid, printable UTF-8: a control character, a NUL, a backslash-breaking or
 * an invalid byte becomes \xNN. PostgreSQL's text refuses NUL and invalid UTF-8, and a process
 * may call itself anything. Output is cut at a whole character; returns its length.
 */
size_t str_safe(char *dst, size_t size, const void *src, size_t len);
/* True when the bytes are valid UTF-8 without NUL or other C0 controls. */
bool str_is_safe(const void *src, size_t len);

/* Does the whole text match? '*' stands for any bytes, '?' for one; time is bounded by the product
 * of the lengths, whatever the pattern. */
bool str_glob(const char *pattern, const char *text);

/* Whole-string parses, 0 or -EINVAL / -ERANGE. */
int str_parse_int(const char *s, int64_t *ret) must_use;
int str_parse_bool(const char *s, bool *ret) must_use;     /* yes no true false on off 1 0 */
int str_parse_bytes(const char *s, int64_t *ret) must_use; /* 512MiB 4K 1.5GiB 100 */
/* 10s 5min 1.5h 90 (seconds) 250ms 7d, into microseconds. */
int str_parse_duration(const char *s, int64_t *ret_us) must_use;

#define STR_UNIT_SIZE 24
/* '512 MiB', '1.5 GiB', '17 B'; negative values too. Returns buf. */
char *str_bytes(char buf[STR_UNIT_SIZE], int64_t bytes);
/* '41 min', '3.2 h', '12 s', '5 d'. Returns buf. */
char *str_duration(char buf[STR_UNIT_SIZE], int64_t us);

#define STR_TIME_SIZE 32
/* RFC 3339 in UTC with milliseconds: '2026-11-23T01:02:03.004Z'. */
char *str_time(char buf[STR_TIME_SIZE], int64_t wall_us);
/* RFC 3339 (any offset) or '-6h' / 'now' relative to now_us. */
int str_parse_time(const char *s, int64_t now_us, int64_t *ret_us) must_use;

/* Lower-case hex; out has 2 * len + 1 bytes. */
void str_hex(char *out, const void *src, size_t len);
/* Exactly len bytes from 2 * len hex digits; -EINVAL else. */
int str_unhex(void *out, size_t len, const char *hex) must_use;
/* RFC 4648 base64url without padding; returns the length, or -ENOSPC. */
int str_b64url(char *out, size_t size, const void *src, size_t len) must_use;
/* The decoded length, or -EINVAL / -ENOSPC. */
int str_unb64url(void *out, size_t size, const char *text) must_use;

#define UUID_TEXT_SIZE 37
void uuid_text(char out[UUID_TEXT_SIZE], const uint8_t uuid[16]);
int uuid_parse(uint8_t uuid[16], const char *text) must_use;

#endif
