/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/smtp.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "collector/notify/encode.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define SMTP_MAGIC     0x736d7470u /* 'smtp' */
#define TRANSFER_MAGIC 0x7866722eu
#define TIMEOUT_US     (60 * USEC_PER_SEC)
#define CONNECT_MS     20000L
#define PASSWORD_MAX   512
#define RECIPIENTS_MAX 64

struct transfer {
	unsigned magic;
	struct transfer *prev, *next; /* utlist */
	CURL *easy;
	struct curl_slist *recipients;
	uint8_t *data;
	size_t len;
	size_t at;
	char sender[260];
	char reply[256]; /* the relay's last line before its goodbye */
	char trouble[CURL_ERROR_SIZE];
	smtp_done *done;
	void *arg;
};

struct smtp {
	unsigned magic;
	struct event_base *base;
	struct event *timer;
	CURLM *multi;
	struct transfer *transfers;
	char *url;
	long use_ssl;
	char *user;
	char *password_file;
	char *ca_file;
	long timeout_ms;
};

const char *smtp_verdict_word(enum smtp_verdict v)
{
	static const char *const words[] = {
		[SMTP_SENT] = "sent", [SMTP_RETRY] = "retry", [SMTP_REFUSED] = "refused"};

	return words[v];
}

/* ---- one message ---- */

static void transfer_free(struct smtp *s, struct transfer *t)
{
	DL_DELETE(s->transfers, t);
	if (t->easy) {
		curl_multi_remove_handle(s->multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	curl_slist_free_all(t->recipients);
	free(t->data);
	free(t);
}

/* The reply code decides; only where it cannot (the relay accepted all it was asked, then the
 * connection broke) does libcurl's own verdict. A refused login is the operator's to mend, and the
 * mail should go out then. */
static enum smtp_verdict judge(CURLcode rc, long code)
{
	if (rc == CURLE_OK)
		return SMTP_SENT;
	if (rc == CURLE_LOGIN_DENIED || rc == CURLE_USE_SSL_FAILED)
		return SMTP_RETRY;
	return code >= 500 && code < 600 ? SMTP_REFUSED : SMTP_RETRY;
}

static void transfer_end(struct smtp *s, struct transfer *t, CURLcode rc)
{
	struct smtp_result r = {.code = 0};
	smtp_done *done = t->done;
	void *arg = t->arg;
	const char *text;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &r.code);
	if (r.code == 221)
		r.code = strtol(t->reply, NULL, 10);
	r.verdict = judge(rc, r.code);
	if (r.verdict == SMTP_SENT || (r.code >= 400 && *t->reply))
		text = t->reply;
	else
		text = *t->trouble ? t->trouble : curl_easy_strerror(rc);
	str_safe(r.reply, sizeof(r.reply), text, strlen(text));
	transfer_free(s, t);
	done(arg, &r);
}

static void reap(struct smtp *s)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(s->multi, &left))) {
		struct transfer *t = NULL;
		CURLcode rc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		MAGIC_CHECK(t, TRANSFER_MAGIC);
		transfer_end(s, t, rc);
	}
}

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len;

	MAGIC_CHECK(t, TRANSFER_MAGIC);
	len = MIN_OF(size * n, t->len - t->at);
	memcpy(to, t->data + t->at, len);
	t->at += len;
	return len;
}

/* libcurl rewinds when a connection it had kept open turns out to be dead. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	MAGIC_CHECK(t, TRANSFER_MAGIC);
	if (origin != SEEK_SET || offset < 0 || (size_t)offset > t->len)
		return CURL_SEEKFUNC_FAIL;
	t->at = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* Each line of the relay's comes here. After a refusal libcurl says QUIT: the answer to that tells
 * nothing. */
static size_t on_reply(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;

	MAGIC_CHECK(t, TRANSFER_MAGIC);
	if (len >= 3 && memcmp(line, "221", 3) == 0)
		return len;
	while (len && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	str_safe(t->reply, sizeof(t->reply), line, len);
	return size * n;
}

/* What a relay answers to the commands after DATA is not ours to keep. */
static size_t on_body(char *data unused_arg, size_t size, size_t n, void *arg unused_arg)
{
	return size * n;
}

/* ---- libcurl on the loop ---- */

static void on_socket_ready(evutil_socket_t fd, short what, void *arg)
{
	struct smtp *s = arg;
	int flags =
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	MAGIC_CHECK(s, SMTP_MAGIC);
	curl_multi_socket_action(s->multi, fd, flags, &running);
	reap(s);
}

static void on_timer(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct smtp *s = arg;
	int running;

	MAGIC_CHECK(s, SMTP_MAGIC);
	curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(s);
}

static int on_curl_timer(CURLM *multi unused_arg, long ms, void *arg)
{
	struct smtp *s = arg;
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	MAGIC_CHECK(s, SMTP_MAGIC);
	if (ms < 0)
		evtimer_del(s->timer);
	else
		evtimer_add(s->timer, &tv);
	return 0;
}

static int on_curl_socket(CURL *easy unused_arg, curl_socket_t fd, int what, void *arg,
			  void *socket_arg)
{
	struct smtp *s = arg;
	struct event *ev = socket_arg;
	short flags = EV_PERSIST;

	MAGIC_CHECK(s, SMTP_MAGIC);
	if (ev) {
		event_free(ev);
		curl_multi_assign(s->multi, fd, NULL);
	}
	if (what == CURL_POLL_REMOVE)
		return 0;
	flags |= (what & CURL_POLL_IN) ? EV_READ : 0;
	flags |= (what & CURL_POLL_OUT) ? EV_WRITE : 0;
	ev = event_new(s->base, fd, flags, on_socket_ready, s);
	if (!ev || event_add(ev, NULL) < 0) {
		if (ev)
			event_free(ev);
		return -1;
	}
	curl_multi_assign(s->multi, fd, ev);
	return 0;
}

/* ---- set-up ---- */

static int check_protocol(const char *scheme, struct error *err)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	for (size_t i = 0; v->protocols[i]; i++) {
		if (strcmp(v->protocols[i], scheme) == 0)
			return 0;
	}
	return error_set(err, -ENOTSUP, "this libcurl (%s) was built without '%s'", v->version,
			 scheme);
}

static int check_config(const struct smtp_config *c, long *ret_ssl, struct error *err)
{
	bool implicit = str_starts(c->url, "smtps://");

	if (!implicit && !str_starts(c->url, "smtp://"))
		return error_set(err, -EINVAL,
				 "mail url '%s' is neither smtp://HOST:PORT nor smtps://HOST:PORT",
				 c->url);
	if (!str_is_safe(c->url, strlen(c->url)) || strpbrk(c->url, " @"))
		return error_set(err, -EINVAL,
				 "mail url '%s' has a space, an '@' or a control character",
				 c->url);
	if (strcmp(c->tls, "implicit") == 0 && implicit) {
		*ret_ssl = CURLUSESSL_ALL;
	} else if (strcmp(c->tls, "starttls") == 0 && !implicit) {
		*ret_ssl = CURLUSESSL_ALL;
	} else if (strcmp(c->tls, "none") == 0 && !implicit) {
		*ret_ssl = CURLUSESSL_NONE;
	} else {
		return error_set(err, -EINVAL,
				 "mail tls '%s' does not go with mail url '%s': starttls or none "
				 "with smtp://, implicit with smtps://",
				 c->tls, c->url);
	}
	if (c->user && *c->user && *ret_ssl == CURLUSESSL_NONE)
		return error_set(err, -EINVAL,
				 "mail user '%s' would send its password in the clear: set mail "
				 "tls to starttls or implicit",
				 c->user);
	if (c->password_file && *c->password_file) {
		int rc = fs_check_private(c->password_file, err);

		if (rc < 0)
			return rc;
	}
	return check_protocol(implicit ? "smtps" : "smtp", err);
}

static int copy_config(struct smtp *s, const struct smtp_config *c)
{
	int64_t timeout = c->timeout_us > 0 ? c->timeout_us : TIMEOUT_US;

	s->timeout_ms = (long)(timeout / 1000);
	s->url = strdup(c->url);
	s->user = strdup(c->user ? c->user : "");
	s->password_file = strdup(c->password_file ? c->password_file : "");
	s->ca_file = strdup(c->ca_file ? c->ca_file : "");
	return s->url && s->user && s->password_file && s->ca_file ? 0 : -ENOMEM;
}

static int attach(struct smtp *s)
{
	s->timer = evtimer_new(s->base, on_timer, s);
	s->multi = curl_multi_init();
	if (!s->timer || !s->multi)
		return -ENOMEM;
	curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
	curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
	curl_multi_setopt(s->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 1L);
	curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, 1L);
	return 0;
}

int smtp_new(struct event_base *base, const struct smtp_config *c, struct smtp **ret,
	     struct error *err)
{
	long use_ssl = 0;
	struct smtp *s;
	int rc = check_config(c, &use_ssl, err);

	if (rc < 0)
		return rc;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, -ENOMEM, "cannot start libcurl");
	s = calloc(1, sizeof(*s));
	if (!s) {
		curl_global_cleanup();
		return error_sys(err, -ENOMEM, "cannot set up mail");
	}
	s->magic = SMTP_MAGIC;
	s->base = base;
	s->use_ssl = use_ssl;
	rc = copy_config(s, c);
	if (!rc)
		rc = attach(s);
	if (rc < 0) {
		smtp_free(&s);
		return error_sys(err, rc, "cannot set up mail");
	}
	*ret = s;
	return 0;
}

void smtp_free(struct smtp **slot)
{
	struct smtp *s = take_ptr(*slot);
	struct transfer *t, *next;

	if (!s)
		return;
	MAGIC_CHECK(s, SMTP_MAGIC);
	DL_FOREACH_SAFE (s->transfers, t, next)
		transfer_free(s, t);
	if (s->multi)
		curl_multi_cleanup(s->multi);
	if (s->timer)
		event_free(s->timer);
	free(s->url);
	free(s->user);
	free(s->password_file);
	free(s->ca_file);
	s->magic = 0;
	free(s);
	curl_global_cleanup();
}

/* ---- sending ---- */

static int add_recipients(struct transfer *t, const char *recipients, struct error *err)
{
	unsigned n = 0;

	for (const char *s = recipients; *s;) {
		char address[256];
		size_t len = strcspn(s, "\r\n");
		struct curl_slist *longer;

		if (len && len < sizeof(address) && n < RECIPIENTS_MAX) {
			memcpy(address, s, len);
			address[len] = '\0';
			if (!encode_is_address(address))
				return error_set(err, -EINVAL, "recipient '%s' is no mail address",
						 address);
			longer = curl_slist_append(t->recipients, address);
			if (!longer)
				return error_sys(err, -ENOMEM, "cannot queue a mail");
			t->recipients = longer;
			n++;
		}
		s += len + strspn(s + len, "\r\n");
	}
	return n ? 0 : error_set(err, -EINVAL, "no recipient");
}

static int set_login(struct smtp *s, CURL *easy, struct error *err)
{
	auto_buf struct buf password = BUF_INIT(PASSWORD_MAX);
	int rc;

	if (!*s->user)
		return 0;
	if (*s->password_file) {
		rc = fs_check_private(s->password_file, err);
		if (!rc)
			rc = fs_read(s->password_file, &password, err);
		if (rc < 0)
			return rc;
	}
	while (password.len && strchr("\r\n", password.data[password.len - 1]))
		password.data[--password.len] = '\0';
	curl_easy_setopt(easy, CURLOPT_USERNAME, s->user);
	curl_easy_setopt(easy, CURLOPT_PASSWORD, password.len ? (char *)password.data : "");
	if (password.data)
		explicit_bzero(password.data, password.cap);
	return 0;
}

/* The string forms of these two came after the oldest libcurl that we build with. */
static void limit_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_SMTP | CURLPROTO_SMTPS));
#endif
}

/* One bad address must not keep the alert from the others. */
static void allow_some_refused(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x080200
	curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLOWFAILS, 1L);
#else
	curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
#endif
}

static void set_options(struct smtp *s, struct transfer *t)
{
	CURL *easy = t->easy;

	limit_protocols(easy);
	allow_some_refused(easy);
	curl_easy_setopt(easy, CURLOPT_URL, s->url);
	curl_easy_setopt(easy, CURLOPT_USE_SSL, s->use_ssl);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (*s->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, s->ca_file);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not from the environment either */
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, s->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, MIN_OF(CONNECT_MS, s->timeout_ms));
	curl_easy_setopt(easy, CURLOPT_MAIL_FROM, t->sender);
	curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, t->recipients);
	curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, t);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, t);
	curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->len);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->trouble);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
}

static int fill(struct smtp *s, struct transfer *t, const char *from, const char *recipients,
		const void *data, size_t len, struct error *err)
{
	int rc;

	if (!encode_is_address(from))
		return error_set(err, -EINVAL, "sender '%s' is no mail address", from);
	snprintf(t->sender, sizeof(t->sender), "<%s>", from);
	rc = add_recipients(t, recipients, err);
	if (rc < 0)
		return rc;
	t->data = malloc(len ? len : 1);
	t->easy = curl_easy_init();
	if (!t->data || !t->easy)
		return error_sys(err, -ENOMEM, "cannot queue a mail");
	memcpy(t->data, data, len);
	t->len = len;
	set_options(s, t);
	rc = set_login(s, t->easy, err);
	if (rc < 0)
		return rc;
	if (curl_multi_add_handle(s->multi, t->easy) != CURLM_OK)
		return error_set(err, -ENOMEM, "cannot hand a mail to libcurl");
	return 0;
}

int smtp_send(struct smtp *s, const char *from, const char *recipients, const void *data,
	      size_t len, smtp_done *done, void *arg, struct error *err)
{
	struct transfer *t;
	int rc;

	MAGIC_CHECK(s, SMTP_MAGIC);
	t = calloc(1, sizeof(*t));
	if (!t)
		return error_sys(err, -ENOMEM, "cannot queue a mail");
	t->magic = TRANSFER_MAGIC;
	t->done = done;
	t->arg = arg;
	DL_APPEND(s->transfers, t);
	rc = fill(s, t, from, recipients, data, len, err);
	if (rc < 0)
		transfer_free(s, t);
	return rc;
}
