/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - writes JSON (RFC 8259) straight into a buffer, without a tree: a series of 60,000 points
 * costs one pass. Names begin with jw_ because json_ is Jansson's, which parses.
 *
 * Commas are put by the writer. Text that is not valid UTF-8 is repaired with U+FFFD, so that the
 * output is valid whatever a process calls itself; '<' '>' '&' are escaped too, so it may stand in
 * a page. A number that JSON has no word for (NaN, infinity) becomes null. The buffer's own
 * 'failed' tells the owner at the end whether all fitted.
 */
#ifndef MEMHERD_COMMON_JSON_H
#define MEMHERD_COMMON_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define JW_DEPTH_MAX 32

struct json_writer {
	struct buf *out;
	uint32_t started; /* bit d: level d has an element already */
	unsigned depth;
	bool after_key;
};

void jw_init(struct json_writer *w, struct buf *out);

void jw_object(struct json_writer *w);
void jw_object_end(struct json_writer *w);
void jw_array(struct json_writer *w);
void jw_array_end(struct json_writer *w);
/* The name of the next value; key is written as it is, so it must be a plain literal. */
void jw_key(struct json_writer *w, const char *key);

void jw_null(struct json_writer *w);
void jw_bool(struct json_writer *w, bool v);
void jw_int(struct json_writer *w, int64_t v);
/* A 64-bit id as a string: JavaScript's numbers end at 53 bits. */
void jw_id(struct json_writer *w, int64_t v);
/* 15 significant digits. */
void jw_num(struct json_writer *w, double v);
/* NULL becomes null. */
void jw_str(struct json_writer *w, const char *s);
void jw_strn(struct json_writer *w, const void *s, size_t len);
/* RFC 3339 UTC with milliseconds; 0 becomes null. */
void jw_time(struct json_writer *w, int64_t wall_us);
/* Bytes that are JSON already, from Jansson or jsonb; '' and NULL become null. */
void jw_raw(struct json_writer *w, const char *json);

/* key and value at once */
void jw_k_bool(struct json_writer *w, const char *key, bool v);
void jw_k_int(struct json_writer *w, const char *key, int64_t v);
void jw_k_id(struct json_writer *w, const char *key, int64_t v);
void jw_k_num(struct json_writer *w, const char *key, double v);
void jw_k_str(struct json_writer *w, const char *key, const char *s);
void jw_k_time(struct json_writer *w, const char *key, int64_t wall_us);
void jw_k_raw(struct json_writer *w, const char *key, const char *json);
void jw_k_null(struct json_writer *w, const char *key);

#endif
