/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest.h - one collector's REST API, asked synchronously: the one user of libcurl in the CLI.
 */
#ifndef MEMHERD_CLI_REST_H
#define MEMHERD_CLI_REST_H

#include <jansson.h>

#include "common/error.h"

struct rest;

/* url without a path; token may be empty. */
int rest_new(const char *url, const char *token, struct rest **ret, struct error *err) must_use;
void rest_free(struct rest **r);

struct rest_request {
	const char *method;
	const char *path;            /* from /api/v1 on, query included */
	const json_t *body;          /* may be NULL */
	const char *idempotency_key; /* may be NULL */
};

/*
 * 0 with the answer's JSON (NULL when it had no body). What REST refuses comes back as the exit
 * code it means: -EACCES (401, 403), -ENOENT (404), -EINVAL (other 4xx), -EIO (5xx); -ENOTCONN: no
 * answer at all. err holds the problem's title and detail.
 */
int rest_call(struct rest *r, const struct rest_request *q, json_t **ret,
	      struct error *err) must_use;
/* Appends text to path as one percent-encoded component. */
int rest_escape(struct rest *r, const char *text, char *out, size_t size) must_use;

#endif
