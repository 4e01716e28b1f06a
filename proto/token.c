/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/token.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "common/str.h"

#define PREFIX  "mh1."
#define VERSION 1
#define RAW_MAX (2 + TOKEN_HOST_MAX + 2 + TOKEN_PIN_SIZE + TOKEN_SECRET_SIZE)

/* Names, IPv4 and IPv6 addresses (with a zone) and nothing that a shell or a log would mind. */
static bool host_ok(const char *host, size_t len)
{
	if (len == 0 || len > TOKEN_HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)host[i];

		if (!(c < 0x80 && isalnum(c)) && !strchr(".-_:%", c))
			return false;
		if (c == '\0')
			return false;
	}
	return true;
}

int token_format(const struct token *t, char out[TOKEN_TEXT_SIZE])
{
	auto_buf struct buf raw = BUF_INIT(RAW_MAX);
	size_t len = strnlen(t->host, sizeof(t->host));
	int n;

	if (!host_ok(t->host, len) || t->port == 0)
		return -EINVAL;
	buf_u8(&raw, VERSION);
	buf_u8(&raw, (uint8_t)len);
	buf_put(&raw, t->host, len);
	buf_be16(&raw, t->port);
	buf_put(&raw, t->pin, sizeof(t->pin));
	buf_put(&raw, t->secret, sizeof(t->secret));
	if (buf_status(&raw) < 0)
		return -ENOMEM;
	memcpy(out, PREFIX, strlen(PREFIX));
	n = str_b64url(out + strlen(PREFIX), TOKEN_TEXT_SIZE - strlen(PREFIX), raw.data, raw.len);
	return n < 0 ? n : n + (int)strlen(PREFIX);
}

static int parse_raw(const uint8_t *raw, size_t len, struct token *ret, struct error *err)
{
	struct cursor c = cursor_of(raw, len);
	uint8_t version = cursor_u8(&c);
	size_t host_len = cursor_u8(&c);
	const uint8_t *host = cursor_bytes(&c, host_len);
	const uint8_t *port = cursor_bytes(&c, 2);
	const uint8_t *pin = cursor_bytes(&c, TOKEN_PIN_SIZE);
	const uint8_t *secret = cursor_bytes(&c, TOKEN_SECRET_SIZE);

	if (version != VERSION)
		return error_set(err, -EINVAL, "token of version %u, expected %d",
				 (unsigned)version, VERSION);
	if (c.bad || !host || !port || !pin || !secret)
		return error_set(err, -EINVAL, "token is cut short");
	if (cursor_left(&c))
		return error_set(err, -EINVAL, "token has %zu bytes too many", cursor_left(&c));
	if (!host_ok((const char *)host, host_len))
		return error_set(err, -EINVAL, "token names no valid host");
	*ret = (struct token){.port = (uint16_t)(port[0] << 8 | port[1])};
	if (ret->port == 0)
		return error_set(err, -EINVAL, "token names port 0");
	memcpy(ret->host, host, host_len);
	memcpy(ret->pin, pin, sizeof(ret->pin));
	memcpy(ret->secret, secret, sizeof(ret->secret));
	return 0;
}

int token_parse(const char *text, struct token *ret, struct error *err)
{
	char copy[TOKEN_TEXT_SIZE];
	uint8_t raw[RAW_MAX];
	const char *t;
	int len;
	int rc;

	while (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n')
		text++;
	if (!str_copy(copy, sizeof(copy), text)) {
		explicit_bzero(copy, sizeof(copy));
		return error_set(err, -EINVAL, "token is too long");
	}
	t = str_trim(copy);
	if (!*t)
		rc = error_set(err, -EINVAL, "token is empty");
	else if (!str_starts(t, PREFIX))
		rc = error_set(err, -EINVAL,
			       "not an enrolment token: expected it to begin with '%s'", PREFIX);
	else if ((len = str_unb64url(raw, sizeof(raw), t + strlen(PREFIX))) < 0)
		rc = error_set(err, -EINVAL, "token is damaged: not base64url of the right length");
	else
		rc = parse_raw(raw, (size_t)len, ret, err);
	explicit_bzero(copy, sizeof(copy));
	explicit_bzero(raw, sizeof(raw));
	return rc;
}
