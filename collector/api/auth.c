/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/auth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#define SECRET_SIZE     32
#define SESSION_IDLE_US (30 * 60 * USEC_PER_SEC)
#define SESSION_END_US  (12 * 3600 * USEC_PER_SEC)
#define LOGIN_US        (10 * 60 * USEC_PER_SEC)
#define FAILURES_KEPT   256
#define FAILURES_BURST  10
#define FAILURE_US      (6 * USEC_PER_SEC)

struct api_token {
	uint8_t hash[SHA256_SIZE];
	int64_t token_id;
	int64_t expires_us;
	unsigned scopes;
	char name[AUTH_NAME_SIZE];
	UT_hash_handle hh;
};

/* A session, or a login that may become one. */
struct session {
	uint8_t hash[SHA256_SIZE];
	bool used;
	unsigned scopes;
	int64_t token_id; /* whose holder asked for it; 0 = none of the database */
	int64_t begun_us;
	int64_t seen_us;
	char name[AUTH_NAME_SIZE];
};

struct failures {
	char address[64];
	int64_t debt_us; /* boot time at which all of it is paid off */
};

struct auth {
	struct api_token *tokens;
	struct session sessions[AUTH_SESSIONS_MAX];
	struct session logins[AUTH_LOGINS_MAX];
	struct failures failures[FAILURES_KEPT];
};

static const struct {
	unsigned bit;
	const char *word;
} scope_words[] = {
#define X(NAME, bit, word) {SCOPE_##NAME, word},
	SCOPE_LIST(X)
#undef X
};

/* ---- scopes ---- */

static unsigned scope_find(const char *s, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(scope_words); i++)
		if (strlen(scope_words[i].word) == len && memcmp(scope_words[i].word, s, len) == 0)
			return scope_words[i].bit;
	return 0;
}

int scopes_parse(const char *text, unsigned *ret, struct error *err)
{
	unsigned scopes = 0;

	for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
		size_t n = strcspn(text, " \n");
		unsigned bit = scope_find(text, n);

		if (!bit)
			return error_set(err, -EINVAL, "scope '%.*s' does not exist",
					 (int)MIN_OF(n, (size_t)40), text);
		scopes |= bit;
		text += n;
	}
	if (!scopes)
		return error_set(err, -EINVAL, "no scope is given");
	*ret = scopes;
	return 0;
}

void scopes_format(unsigned scopes, char sep, char out[SCOPES_TEXT_SIZE])
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(scope_words); i++) {
		if (!(scopes & scope_words[i].bit))
			continue;
		if (at)
			out[at++] = sep;
		str_copy(out + at, SCOPES_TEXT_SIZE - at, scope_words[i].word);
		at += strlen(out + at);
	}
}

bool scopes_allow(unsigned scopes, unsigned wanted)
{
	return (scopes & wanted) || (scopes & SCOPE_ADMIN);
}

/* ---- secrets ---- */

int auth_new(struct auth **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void auth_free(struct auth **slot)
{
	struct auth *a = take_ptr(*slot);

	if (!a)
		return;
	auth_clear_tokens(a);
	auth_remove_token(a, 0);
	explicit_bzero(a, sizeof(*a));
	free(a);
}

/* Looks at every byte whatever it finds, so that time tells nothing. */
static bool same_hash(const uint8_t a[SHA256_SIZE], const uint8_t b[SHA256_SIZE])
{
	uint8_t differ = 0;

	for (size_t i = 0; i < SHA256_SIZE; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

void auth_make_token(char text[AUTH_TOKEN_SIZE], uint8_t hash[SHA256_SIZE])
{
	uint8_t secret[SECRET_SIZE];
	size_t at = strlen(AUTH_TOKEN_PREFIX);

	random_bytes(secret, sizeof(secret));
	str_copy(text, AUTH_TOKEN_SIZE, AUTH_TOKEN_PREFIX);
	if (str_b64url(text + at, AUTH_TOKEN_SIZE - at, secret, sizeof(secret)) < 0)
		abort(); /* the sizes are fixed */
	sha256(hash, text, strlen(text));
	explicit_bzero(secret, sizeof(secret));
}

/* The hash of a text that has a token's shape; false saves hashing what cannot be one. */
static bool hash_of(const char *text, size_t len, uint8_t hash[SHA256_SIZE])
{
	if (len != AUTH_TOKEN_SIZE - 1 || !str_starts(text, AUTH_TOKEN_PREFIX))
		return false;
	sha256(hash, text, len);
	return true;
}

/* ---- tokens ---- */

int auth_load_admin(struct auth *a, const char *path, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(256);
	char text[AUTH_TOKEN_SIZE + 1];
	uint8_t hash[SHA256_SIZE];
	int rc;

	if (access(path, F_OK) < 0 && errno == ENOENT) {
		auth_make_token(text, hash);
		text[AUTH_TOKEN_SIZE - 1] = '\n';
		rc = fs_write(path, 0600, text, AUTH_TOKEN_SIZE, err);
		explicit_bzero(text, sizeof(text));
		if (rc < 0)
			return rc;
	}
	rc = fs_check_private(path, err);
	if (rc < 0)
		return rc;
	rc = fs_read(path, &b, err);
	if (rc < 0)
		return rc;
	str_trim((char *)b.data);
	if (!b.data || !hash_of((char *)b.data, strlen((char *)b.data), hash))
		return error_set(err, -EBADMSG,
				 "'%s' does not hold a token; delete it for a new one", path);
	return auth_add_token(a, 0, "admin", hash, SCOPE_ADMIN, 0);
}

void auth_clear_tokens(struct auth *a)
{
	struct api_token *t;
	struct api_token *next;

	HASH_ITER (hh, a->tokens, t, next) {
		if (!t->token_id)
			continue;
		HASH_DEL(a->tokens, t);
		free(t);
	}
}

int auth_add_token(struct auth *a, int64_t token_id, const char *name,
		   const uint8_t hash[SHA256_SIZE], unsigned scopes, int64_t expires_us)
{
	struct api_token *t;

	HASH_FIND(hh, a->tokens, hash, SHA256_SIZE, t);
	if (!t) {
		if (HASH_COUNT(a->tokens) >= AUTH_TOKENS_MAX)
			return -ENOBUFS;
		t = calloc(1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		memcpy(t->hash, hash, SHA256_SIZE);
		HASH_ADD(hh, a->tokens, hash, SHA256_SIZE, t);
	}
	t->token_id = token_id;
	t->expires_us = expires_us;
	t->scopes = scopes;
	if (token_id)
		snprintf(t->name, sizeof(t->name), "token:%.50s", name);
	else
		str_copy(t->name, sizeof(t->name), name);
	return 0;
}

void auth_remove_token(struct auth *a, int64_t token_id)
{
	struct api_token *t;
	struct api_token *next;

	HASH_ITER (hh, a->tokens, t, next) {
		if (t->token_id != token_id)
			continue;
		HASH_DEL(a->tokens, t);
		free(t);
	}
}

int auth_bearer(struct auth *a, const char *value, int64_t wall_us, struct principal *ret)
{
	uint8_t hash[SHA256_SIZE];
	struct api_token *t;

	if (strncasecmp(value, "Bearer ", 7) != 0)
		return -EACCES;
	value += 7 + strspn(value + 7, " ");
	if (!hash_of(value, strlen(value), hash))
		return -EACCES;
	/* The bucket that is found depends on a hash of a hash, which nobody can steer. */
	HASH_FIND(hh, a->tokens, hash, SHA256_SIZE, t);
	if (!t || !same_hash(t->hash, hash) || (t->expires_us && t->expires_us <= wall_us))
		return -EACCES;
	*ret = (struct principal){.scopes = t->scopes, .token_id = t->token_id};
	str_copy(ret->name, sizeof(ret->name), t->name);
	return 0;
}

/* ---- sessions ---- */

static struct session *session_find(struct session *list, size_t n, const uint8_t hash[SHA256_SIZE])
{
	for (size_t i = 0; i < n; i++)
		if (list[i].used && same_hash(list[i].hash, hash))
			return &list[i];
	return NULL;
}

/* A free place, else that of the one that was seen longest ago. */
static struct session *session_place(struct session *list, size_t n)
{
	struct session *best = &list[0];

	for (size_t i = 0; i < n; i++) {
		if (!list[i].used)
			return &list[i];
		if (list[i].seen_us < best->seen_us)
			best = &list[i];
	}
	return best;
}

static void session_put(struct session *s, const struct principal *who, int64_t boot_us,
			char text[AUTH_TOKEN_SIZE])
{
	*s = (struct session){.used = true,
			      .scopes = who->scopes,
			      .token_id = who->token_id,
			      .begun_us = boot_us,
			      .seen_us = boot_us};
	str_copy(s->name, sizeof(s->name), who->name);
	auth_make_token(text, s->hash);
}

/* What a token opened ends with it. */
static bool is_revoked(const struct auth *a, const struct session *s)
{
	if (!s->token_id)
		return false;
	for (const struct api_token *t = a->tokens; t; t = t->hh.next)
		if (t->token_id == s->token_id)
			return false;
	return true;
}

static struct principal holder_of(const struct session *s)
{
	struct principal who = {.scopes = s->scopes, .session = true, .token_id = s->token_id};

	str_copy(who.name, sizeof(who.name), s->name);
	return who;
}

void auth_login_new(struct auth *a, const struct principal *who, int64_t boot_us,
		    char text[AUTH_TOKEN_SIZE])
{
	session_put(session_place(a->logins, AUTH_LOGINS_MAX), who, boot_us, text);
}

int auth_login(struct auth *a, const char *text, int64_t boot_us, char session[AUTH_TOKEN_SIZE])
{
	uint8_t hash[SHA256_SIZE];
	struct session *login;
	struct principal who;

	if (!hash_of(text, strlen(text), hash))
		return -EACCES;
	login = session_find(a->logins, AUTH_LOGINS_MAX, hash);
	if (!login)
		return -EACCES;
	login->used = false;
	if (boot_us - login->begun_us > LOGIN_US || is_revoked(a, login))
		return -EACCES;
	who = holder_of(login);
	session_put(session_place(a->sessions, AUTH_SESSIONS_MAX), &who, boot_us, session);
	return 0;
}

/* The hash of the cookie of that name in 'a=b; name=VALUE; ...'. */
static bool cookie_hash(const char *cookies, const char *name, uint8_t hash[SHA256_SIZE])
{
	size_t n = strlen(name);

	for (const char *p = cookies; *p; p += strspn(p, "; ")) {
		size_t len = strcspn(p, ";");

		if (len > n && memcmp(p, name, n) == 0 && p[n] == '=')
			return hash_of(p + n + 1, len - n - 1, hash);
		p += len;
	}
	return false;
}

int auth_session(struct auth *a, const char *cookies, const char *cookie_name, int64_t boot_us,
		 struct principal *ret)
{
	uint8_t hash[SHA256_SIZE];
	struct session *s;

	if (!cookie_hash(cookies, cookie_name, hash))
		return -EACCES;
	s = session_find(a->sessions, AUTH_SESSIONS_MAX, hash);
	if (!s)
		return -EACCES;
	if (boot_us - s->seen_us > SESSION_IDLE_US || boot_us - s->begun_us > SESSION_END_US ||
	    is_revoked(a, s)) {
		s->used = false;
		return -EACCES;
	}
	s->seen_us = boot_us;
	*ret = holder_of(s);
	return 0;
}

void auth_logout(struct auth *a, const char *cookies, const char *cookie_name)
{
	uint8_t hash[SHA256_SIZE];
	struct session *s = cookie_hash(cookies, cookie_name, hash)
				    ? session_find(a->sessions, AUTH_SESSIONS_MAX, hash)
				    : NULL;

	if (s)
		s->used = false;
}

int auth_check_origin(const char *origin, const char *host, bool tls, const char *field,
		      struct error *err)
{
	const char *scheme = tls ? "https://" : "http://";

	if (!origin || !host || !str_starts(origin, scheme) ||
	    strcasecmp(origin + strlen(scheme), host) != 0)
		return error_set(err, -EACCES, "Origin '%.100s' is not this server",
				 origin ? origin : "");
	if (!field)
		return error_set(err, -EACCES, "the field X-Memherd-Request is missing");
	return 0;
}

/* ---- failures ---- */

unsigned auth_failed(struct auth *a, const char *address, int64_t boot_us)
{
	struct failures *f = &a->failures[0];

	for (size_t i = 0; i < FAILURES_KEPT; i++) {
		if (strcmp(a->failures[i].address, address) == 0) {
			f = &a->failures[i];
			break;
		}
		if (a->failures[i].debt_us < f->debt_us)
			f = &a->failures[i];
	}
	if (strcmp(f->address, address) != 0) {
		str_copy(f->address, sizeof(f->address), address);
		f->debt_us = 0;
	}
	f->debt_us = MAX_OF(f->debt_us, boot_us) + FAILURE_US;
	if (f->debt_us - boot_us <= FAILURES_BURST * FAILURE_US)
		return 0;
	f->debt_us = boot_us + FAILURES_BURST * FAILURE_US;
	return FAILURE_US / USEC_PER_SEC;
}
