/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cell/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "common/tls.h"

#define FETCHER_MAGIC 0x66746368u
#define FETCH_MAGIC   0x67657420u
#define CONNECT_MS    3000L
#define TOKEN_MAX     512

struct fetch {
	unsigned magic;
	struct fetch *prev, *next; /* utlist */
	struct fetcher *f;
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	struct buf body;
	char trouble[CURL_ERROR_SIZE];
	fetch_done *done;
	void *arg;
};

struct fetcher {
	unsigned magic;
	struct event_base *base;
	struct event *timer;
	CURLM *multi;
	struct fetch *fetches;
	unsigned n;
};

static void fetch_free(struct fetch *t)
{
	struct fetcher *f = t->f;

	DL_DELETE(f->fetches, t);
	f->n--;
	if (t->easy) {
		curl_multi_remove_handle(f->multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	for (struct curl_slist *h = t->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data)); /* the token is in one */
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->connect_to);
	buf_fini(&t->body);
	t->magic = 0;
	free(t);
}

static void fetch_end(struct fetch *t, CURLcode rc)
{
	char why[CURL_ERROR_SIZE] = "";
	long status = 0;

	if (rc == CURLE_OK)
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	else if (rc == CURLE_WRITE_ERROR && buf_status(&t->body) < 0)
		(void)snprintf(why, sizeof(why), "its answer is larger than %zu bytes",
			       t->body.max);
	else
		str_safe(why, sizeof(why), *t->trouble ? t->trouble : curl_easy_strerror(rc),
			 strlen(*t->trouble ? t->trouble : curl_easy_strerror(rc)));
	t->done(t->arg, status, &t->body, why);
	fetch_free(t);
}

static void reap(struct fetcher *f)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(f->multi, &left))) {
		struct fetch *t = NULL;
		CURLcode rc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		MAGIC_CHECK(t, FETCH_MAGIC);
		fetch_end(t, rc);
	}
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *t = arg;

	MAGIC_CHECK(t, FETCH_MAGIC);
	buf_put(&t->body, data, size * n);
	return buf_status(&t->body) < 0 ? 0 : size * n;
}

/* ---- libcurl on the loop ---- */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = arg;
	int flags =
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	MAGIC_CHECK(f, FETCHER_MAGIC);
	curl_multi_socket_action(f->multi, fd, flags, &running);
	reap(f);
}

static void on_timer(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct fetcher *f = arg;
	int running;

	MAGIC_CHECK(f, FETCHER_MAGIC);
	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(f);
}

static int on_curl_timer(CURLM *multi unused_arg, long ms, void *arg)
{
	struct fetcher *f = arg;
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	MAGIC_CHECK(f, FETCHER_MAGIC);
	if (ms < 0)
		evtimer_del(f->timer);
	else
		evtimer_add(f->timer, &tv);
	return 0;
}

static int on_curl_socket(CURL *easy unused_arg, curl_socket_t fd, int what, void *arg,
			  void *socket_arg)
{
	struct fetcher *f = arg;
	struct event *ev = socket_arg;
	short flags = EV_PERSIST;

	MAGIC_CHECK(f, FETCHER_MAGIC);
	if (ev) {
		event_free(ev);
		curl_multi_assign(f->multi, fd, NULL);
	}
	if (what == CURL_POLL_REMOVE)
		return 0;
	flags |= (what & CURL_POLL_IN) ? EV_READ : 0;
	flags |= (what & CURL_POLL_OUT) ? EV_WRITE : 0;
	ev = event_new(f->base, fd, flags, on_ready, f);
	if (!ev || event_add(ev, NULL) < 0) {
		if (ev)
			event_free(ev);
		return -1;
	}
	curl_multi_assign(f->multi, fd, ev);
	return 0;
}

/* ---- one request ---- */

static int add(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int add_token(struct fetch *t, const struct cell *cell, struct error *err)
{
	auto_buf struct buf token = BUF_INIT(TOKEN_MAX);
	char line[TOKEN_MAX + 32];
	int rc = fs_check_private(cell->token_file, err);

	if (rc == 0)
		rc = fs_read(cell->token_file, &token, err);
	if (rc < 0)
		return rc;
	token.len = MIN_OF(token.len, strcspn((const char *)token.data, "\r\n"));
	if (!token.len || !str_is_safe((const char *)token.data, token.len))
		return error_set(err, -EINVAL, "'%s' holds no token", cell->token_file);
	(void)snprintf(line, sizeof(line), "Authorization: Bearer %.*s", (int)token.len,
		       (const char *)token.data);
	rc = add(&t->headers, line);
	explicit_bzero(line, sizeof(line));
	explicit_bzero(token.data, token.cap);
	return rc < 0 ? error_sys(err, rc, "token") : 0;
}

/*
 * A collector's own certificate names TLS_COLLECTOR_NAME: that is asked for, at the address that
 * the URL says, and the Host field stays the URL's.
 */
static int address(struct fetch *t, const struct cell *cell, const char *path, char *url,
		   size_t size)
{
	const char *host = strstr(cell->url, "://") + 3;
	const char *port = strrchr(host, ':');
	char line[2 * CELL_URL_SIZE];
	int n;

	if (port && strchr(port, ']'))
		port = NULL;
	if (!*cell->ca_file || str_starts(cell->url, "http:")) {
		n = snprintf(url, size, "%s%s", cell->url, path);
		return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
	}
	n = snprintf(url, size, "https://" TLS_COLLECTOR_NAME "%s%s", port ? port : "", path);
	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	(void)snprintf(line, sizeof(line), "::%s%s", host, port ? "" : ":443");
	if (add(&t->connect_to, line) < 0)
		return -ENOMEM;
	(void)snprintf(line, sizeof(line), "Host: %s", host);
	return add(&t->headers, line);
}

static void limit_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static void set_options(struct fetch *t, const struct cell *cell, const char *url, int64_t ms)
{
	CURL *easy = t->easy;

	limit_protocols(easy);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	if (t->connect_to)
		curl_easy_setopt(easy, CURLOPT_CONNECT_TO, t->connect_to);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (*cell->ca_file) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, cell->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* nobody else */
	}
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not from the environment either */
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, MIN_OF(CONNECT_MS, (long)ms));
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->trouble);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
}

static int fill(struct fetch *t, const struct cell *cell, const char *path, int64_t ms,
		struct error *err)
{
	char url[8192];
	int rc = add_token(t, cell, err);

	if (rc < 0)
		return rc;
	rc = address(t, cell, path, url, sizeof(url));
	t->easy = curl_easy_init();
	if (rc == 0 && !t->easy)
		rc = -ENOMEM;
	if (rc < 0)
		return error_sys(err, rc, "request");
	set_options(t, cell, url, ms);
	if (curl_multi_add_handle(t->f->multi, t->easy) != CURLM_OK)
		return error_set(err, -ENOMEM, "cannot hand a request to libcurl");
	return 0;
}

int fetch_get(struct fetcher *f, const struct cell *cell, const char *path,
	      const struct fetch_limits *limits, fetch_done *done, void *arg, struct error *err)
{
	struct fetch *t;
	int rc;

	MAGIC_CHECK(f, FETCHER_MAGIC);
	if (f->n >= FETCHES_MAX)
		return error_set(err, -EBUSY, "%u requests to cells are under way", f->n);
	t = calloc(1, sizeof(*t));
	if (!t)
		return error_sys(err, -ENOMEM, "request");
	t->magic = FETCH_MAGIC;
	t->f = f;
	t->done = done;
	t->arg = arg;
	buf_init(&t->body, limits->max_bytes);
	DL_APPEND(f->fetches, t);
	f->n++;
	rc = fill(t, cell, path, limits->deadline_us / 1000, err);
	if (rc < 0)
		fetch_free(t);
	return rc;
}

int fetch_query(struct buf *query, const char *name, const char *value)
{
	char *escaped = curl_easy_escape(NULL, value, 0);

	if (!escaped)
		return -ENOMEM;
	buf_printf(query, "%s%s=%s", query->len ? "&" : "", name, escaped);
	curl_free(escaped);
	return buf_status(query);
}

/* ---- its life ---- */

int fetcher_new(struct event_base *base, struct fetcher **ret, struct error *err)
{
	struct fetcher *f;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, -ENOMEM, "cannot start libcurl");
	f = calloc(1, sizeof(*f));
	if (!f) {
		curl_global_cleanup();
		return error_sys(err, -ENOMEM, "cells");
	}
	f->magic = FETCHER_MAGIC;
	f->base = base;
	f->timer = evtimer_new(base, on_timer, f);
	f->multi = curl_multi_init();
	if (!f->timer || !f->multi) {
		fetcher_free(&f);
		return error_sys(err, -ENOMEM, "cells");
	}
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	*ret = f;
	return 0;
}

void fetcher_free(struct fetcher **slot)
{
	struct fetcher *f = take_ptr(*slot);
	struct fetch *t;
	struct fetch *next;

	if (!f)
		return;
	DL_FOREACH_SAFE (f->fetches, t, next)
		fetch_free(t);
	if (f->multi)
		curl_multi_cleanup(f->multi);
	if (f->timer)
		event_free(f->timer);
	f->magic = 0;
	free(f);
	curl_global_cleanup();
}
