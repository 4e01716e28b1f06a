/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rest.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/str.h"

#define ANSWER_MAX  ((size_t)64 * 1024 * 1024)
#define TIMEOUT_SEC 60L
#define CONNECT_SEC 10L

struct rest {
	CURL *curl;
	char *url;
	char *auth; /* whole header line, or NULL */
};

int rest_new(const char *url, const char *token, struct rest **ret, struct error *err)
{
	struct rest *r = calloc(1, sizeof(*r));

	if (!r)
		return error_set(err, -ENOMEM, "no memory");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	r->curl = curl_easy_init();
	r->url = strdup(url);
	if (*token && asprintf(&r->auth, "Authorization: Bearer %s", token) < 0)
		r->auth = NULL;
	if (!r->curl || !r->url || (*token && !r->auth)) {
		rest_free(&r);
		return error_set(err, -ENOMEM, "no memory");
	}
	while (str_ends(r->url, "/"))
		r->url[strlen(r->url) - 1] = '\0';
	*ret = r;
	return 0;
}

void rest_free(struct rest **r)
{
	if (!*r)
		return;
	if ((*r)->curl)
		curl_easy_cleanup((*r)->curl);
	curl_global_cleanup();
	free((*r)->url);
	free((*r)->auth);
	free(*r);
	*r = NULL;
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_put(b, data, size * n);
	return buf_status(b) < 0 ? 0 : size * n;
}

/* Adds a header; the list is freed and NULL when there is no memory. */
static struct curl_slist *add_header(struct curl_slist *list, const char *line)
{
	struct curl_slist *more = curl_slist_append(list, line);

	if (!more)
		curl_slist_free_all(list);
	return more;
}

static struct curl_slist *headers(const struct rest *r, const struct rest_request *q)
{
	struct curl_slist *list = add_header(NULL, "Accept: application/json");
	auto_free char *key = NULL;

	if (list && r->auth)
		list = add_header(list, r->auth);
	if (list && q->body)
		list = add_header(list, "Content-Type: application/json");
	if (list && q->idempotency_key) {
		if (asprintf(&key, "Idempotency-Key: %s", q->idempotency_key) < 0)
			key = NULL;
		list = add_header(list, key ? key : "Idempotency-Key:");
	}
	return list;
}

/* What the status means to a caller; the text is the problem document's. */
static int judge(long status, const json_t *body, struct error *err)
{
	const char *title = json_string_value(json_object_get(body, "title"));
	const char *detail = json_string_value(json_object_get(body, "detail"));
	int rc;

	if (status < 300)
		return 0;
	if (status == 401 || status == 403)
		rc = -EACCES;
	else if (status == 404)
		rc = -ENOENT;
	else
		rc = status < 500 ? -EINVAL : -EIO;
	if (detail)
		return error_set(err, rc, "%s: %s", title ? title : "refused", detail);
	return error_set(err, rc, "%s (HTTP %ld)", title ? title : "refused", status);
}

static int transfer(struct rest *r, const char *url, struct curl_slist *list,
		    const struct rest_request *q, const char *body, struct buf *answer,
		    long *ret_status, struct error *err)
{
	char text[CURL_ERROR_SIZE] = "";
	CURLcode code;

	curl_easy_reset(r->curl);
	curl_easy_setopt(r->curl, CURLOPT_URL, url);
	curl_easy_setopt(r->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(r->curl, CURLOPT_CUSTOMREQUEST, q->method);
	curl_easy_setopt(r->curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(r->curl, CURLOPT_ERRORBUFFER, text);
	curl_easy_setopt(r->curl, CURLOPT_TIMEOUT, TIMEOUT_SEC);
	curl_easy_setopt(r->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SEC);
	curl_easy_setopt(r->curl, CURLOPT_NOSIGNAL, 1L);
	/* A proxy of the environment has no business between an operator and a local port. */
	curl_easy_setopt(r->curl, CURLOPT_PROXY, "");
	if (body)
		curl_easy_setopt(r->curl, CURLOPT_POSTFIELDS, body);
	code = curl_easy_perform(r->curl);
	if (code != CURLE_OK)
		return error_set(err, -ENOTCONN, "cannot reach '%s': %s", r->url,
				 *text ? text : curl_easy_strerror(code));
	curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, ret_status);
	return 0;
}

int rest_call(struct rest *r, const struct rest_request *q, json_t **ret, struct error *err)
{
	auto_buf struct buf answer = BUF_INIT(ANSWER_MAX);
	auto_free char *url = NULL;
	auto_free char *body = q->body ? json_dumps(q->body, JSON_COMPACT) : NULL;
	struct curl_slist *list = headers(r, q);
	json_error_t why;
	json_t *json = NULL;
	long status = 0;
	int rc;

	if (asprintf(&url, "%s/api/v1%s", r->url, q->path) < 0)
		url = NULL;
	if (!url || !list || (q->body && !body)) {
		curl_slist_free_all(list);
		return error_set(err, -ENOMEM, "no memory");
	}
	rc = transfer(r, url, list, q, body, &answer, &status, err);
	curl_slist_free_all(list);
	if (rc < 0)
		return rc;
	if (answer.len)
		json = json_loadb((const char *)answer.data, answer.len, 0, &why);
	rc = judge(status, json, err);
	if (!rc && answer.len && !json)
		rc = error_set(err, -EIO, "the answer of '%s' is not JSON: %s", q->path, why.text);
	if (rc < 0) {
		json_decref(json);
		return rc;
	}
	*ret = json;
	return 0;
}

int rest_escape(struct rest *r, const char *text, char *out, size_t size)
{
	char *escaped = curl_easy_escape(r->curl, text, 0);
	bool fits = escaped && str_copy(out, size, escaped);

	curl_free(escaped);
	return fits ? 0 : -ENOSPC;
}
