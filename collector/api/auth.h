/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.h - who is asking, and what may they: bearer tokens, browser sessions, one-time logins.
 *
 * Everything is looked up in memory by SHA-256; nothing here waits for the database, which only
 * fills the table. Secrets are 32 random bytes, so one fast hash is enough. Times are passed in:
 * wall for tokens (they may live for years), boot time for sessions (they must not step).
 */
#ifndef MEMHERD_COLLECTOR_API_AUTH_H
#define MEMHERD_COLLECTOR_API_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/sign.h"

/* X(NAME, bit, word): words as REST and the database say them. admin may everything. */
#define SCOPE_LIST(X)                      \
	X(READ, 0, "read")                 \
	X(ACT_TRIM, 1, "act:trim")         \
	X(ACT_RESTART, 2, "act:restart")   \
	X(ACT_LIMIT, 3, "act:limit")       \
	X(ACT_SNAPSHOT, 4, "act:snapshot") \
	X(RULES_WRITE, 5, "rules:write")   \
	X(ENROLL, 6, "enroll")             \
	X(ADMIN, 7, "admin")

enum scope {
#define X(NAME, bit, word) SCOPE_##NAME = 1u << (bit),
	SCOPE_LIST(X)
#undef X
	/* a route that asks nobody who he is; 0 is none at all and refused at start-up */
	SCOPE_PUBLIC = 1u << 30,
};
#define SCOPE_ACT (SCOPE_ACT_TRIM | SCOPE_ACT_RESTART | SCOPE_ACT_LIMIT | SCOPE_ACT_SNAPSHOT)

/* Words separated by blanks or line ends, at least one. -EINVAL names the one that is none. */
int scopes_parse(const char *text, unsigned *ret, struct error *err) must_use;
/* Joined by sep; out takes all words. */
#define SCOPES_TEXT_SIZE 128
void scopes_format(unsigned scopes, char sep, char out[SCOPES_TEXT_SIZE]);
/* Does someone with these scopes pass where any of 'wanted' is asked for? */
bool scopes_allow(unsigned scopes, unsigned wanted);

#define AUTH_TOKEN_PREFIX "mht_"
#define AUTH_TOKEN_SIZE   48 /* prefix, 43 characters, NUL */
#define AUTH_NAME_SIZE    64
#define AUTH_TOKENS_MAX   4096
#define AUTH_SESSIONS_MAX 256
#define AUTH_LOGINS_MAX   16

struct auth;

struct principal {
	char name[AUTH_NAME_SIZE]; /* 'token:ops', 'admin' */
	unsigned scopes;
	bool session;     /* came by cookie: unsafe methods need more (auth_check_origin) */
	int64_t token_id; /* 0 = none of the database */
};

int auth_new(struct auth **ret) must_use;
void auth_free(struct auth **a);

/* A new secret as text, and the hash that is kept. */
void auth_make_token(char text[AUTH_TOKEN_SIZE], uint8_t hash[SHA256_SIZE]);
/* Reads path (which must be private), or makes it with a new token; it has scope admin and the
 * name 'admin', and works without the database. */
int auth_load_admin(struct auth *a, const char *path, struct error *err) must_use;
/* Forgets the database's tokens, before they are added anew. */
void auth_clear_tokens(struct auth *a);
int auth_add_token(struct auth *a, int64_t token_id, const char *name,
		   const uint8_t hash[SHA256_SIZE], unsigned scopes,
		   int64_t expires_us) must_use; /* wall; 0 = never */
void auth_remove_token(struct auth *a, int64_t token_id);

/* value is the Authorization field. 0, -EACCES. */
int auth_bearer(struct auth *a, const char *value, int64_t wall_us, struct principal *ret) must_use;

/* A secret for /login?token=, good once, for ten minutes and while who's token is in force, as is
 * the session that comes of it. The oldest gives way to it. */
void auth_login_new(struct auth *a, const struct principal *who, int64_t boot_us,
		    char text[AUTH_TOKEN_SIZE]);
/* Trades it for a session, whose secret goes into a cookie. -EACCES. */
int auth_login(struct auth *a, const char *text, int64_t boot_us,
	       char session[AUTH_TOKEN_SIZE]) must_use;
/* cookies is the Cookie field; the session idles out after 30 min and ends after 12 h. -EACCES. */
int auth_session(struct auth *a, const char *cookies, const char *cookie_name, int64_t boot_us,
		 struct principal *ret) must_use;
void auth_logout(struct auth *a, const char *cookies, const char *cookie_name);

/* A browser's unsafe request must come from our own page: the Origin it sends is scheme://Host, and
 * it carries the field that no form can send. -EACCES. */
int auth_check_origin(const char *origin, const char *host, bool tls, const char *field,
		      struct error *err) must_use;

/* One more failure from address; seconds to wait when that was one too many (ten, then one each
 * six seconds), else 0. Only failures are slowed down, so nobody can lock a good token out. */
unsigned auth_failed(struct auth *a, const char *address, int64_t boot_us);

#endif
