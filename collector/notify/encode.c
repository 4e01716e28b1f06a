/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notify/encode.h"

#include <string.h>

#include "common/str.h"

#define HEADER_LINE  76 /* RFC 2047 section 2: a line that holds an encoded word */
#define HEADER_VALUE 1024
#define WORD_OPEN    "=?UTF-8?B?"
#define WORD_CLOSE   "?="
#define QP_LINE      76
#define ADDRESS_MAX  254 /* RFC 5321 4.5.3.1.3, without the angle brackets */

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* The longest start of s, at most 'most' bytes, that ends with a whole character. */
static size_t whole_chars(const char *s, size_t len, size_t most)
{
	size_t n = MIN_OF(len, most);

	while (n > 0 && n < len && is_continuation(s[n]))
		n--;
	return n;
}

static void put_base64(struct buf *out, const char *s, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t v = (uint32_t)(unsigned char)s[i] << 16;

		if (left > 1)
			v |= (uint32_t)(unsigned char)s[i + 1] << 8;
		if (left > 2)
			v |= (unsigned char)s[i + 2];
		buf_putc(out, digits[v >> 18]);
		buf_putc(out, digits[v >> 12 & 63]);
		buf_putc(out, left > 1 ? digits[v >> 6 & 63] : '=');
		buf_putc(out, left > 2 ? digits[v & 63] : '=');
	}
}

static bool goes_plain(const char *s, size_t len, size_t room)
{
	if (len > room || strstr(s, "=?"))
		return false;
	if (len && (s[0] == ' ' || s[len - 1] == ' '))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	}
	return true;
}

void encode_header(struct buf *out, const char *name, const char *value)
{
	const size_t frame = strlen(WORD_OPEN) + strlen(WORD_CLOSE);
	char safe[HEADER_VALUE];
	size_t len = str_safe(safe, sizeof(safe), value, strlen(value));
	size_t used = strlen(name) + 2;

	buf_puts(out, name);
	buf_puts(out, ": ");
	if (goes_plain(safe, len, used < HEADER_LINE ? HEADER_LINE - used : 0)) {
		buf_puts(out, safe);
		buf_puts(out, "\r\n");
		return;
	}
	for (size_t at = 0; at < len;) {
		size_t room = used + frame + 8 < HEADER_LINE ? HEADER_LINE - used - frame : 0;
		/* a character has at most four bytes, so eight digits always fit one */
		size_t n = whole_chars(safe + at, len - at, room / 4 * 3);

		if (n) {
			buf_puts(out, WORD_OPEN);
			put_base64(out, safe + at, n);
			buf_puts(out, WORD_CLOSE);
			at += n;
		}
		if (at < len)
			buf_puts(out, "\r\n ");
		used = 1;
	}
	buf_puts(out, "\r\n");
}

static void put_escaped(struct buf *out, unsigned char c)
{
	buf_printf(out, "=%02X", c);
}

void encode_quoted_printable(struct buf *out, const char *text, size_t len)
{
	size_t column = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool last, escape;

		if (c == '\r' && i + 1 < len && text[i + 1] == '\n')
			continue;
		if (c == '\n') {
			buf_puts(out, "\r\n");
			column = 0;
			continue;
		}
		last = i + 1 == len || text[i + 1] == '\n' || text[i + 1] == '\r';
		escape = c == '=' || c < 0x20 || c > 0x7e || (c == ' ' && last) ||
			 (c == '.' && column == 0);
		if (c == '\t' && !last)
			escape = false;
		/* one column is kept for the soft line end's '=' */
		if (column + (escape ? 3 : 1) > QP_LINE - 1) {
			buf_puts(out, "=\r\n");
			column = 0;
			if (c == '.')
				escape = true;
		}
		if (escape)
			put_escaped(out, c);
		else
			buf_putc(out, (char)c);
		column += escape ? 3 : 1;
	}
	if (column)
		buf_puts(out, "\r\n");
}

static void encode_each(struct buf *out, const char *text, size_t most,
			void (*put)(struct buf *out, char c))
{
	char safe[4096];
	size_t len, n;

	if (!text)
		return;
	len = str_safe(safe, sizeof(safe), text, strlen(text));
	n = whole_chars(safe, len, most);
	for (size_t i = 0; i < n; i++)
		put(out, safe[i]);
	if (n < len)
		buf_puts(out, "...");
}

static void put_html(struct buf *out, char c)
{
	switch (c) {
	case '&':
		buf_puts(out, "&amp;");
		break;
	case '<':
		buf_puts(out, "&lt;");
		break;
	case '>':
		buf_puts(out, "&gt;");
		break;
	case '"':
		buf_puts(out, "&quot;");
		break;
	case '\'':
		buf_puts(out, "&#39;");
		break;
	default:
		buf_putc(out, c);
	}
}

void encode_html(struct buf *out, const char *text, size_t most)
{
	encode_each(out, text, most, put_html);
}

void encode_plain(struct buf *out, const char *text, size_t most)
{
	encode_each(out, text, most, buf_putc);
}

bool encode_is_address(const char *s)
{
	const char *at = strchr(s, '@');
	size_t len = strlen(s);

	if (!at || at == s || !at[1] || strchr(at + 1, '@') || len > ADDRESS_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] <= 0x20 || s[i] > 0x7e || strchr("<>()[]\\,;:\"", s[i]))
			return false;
	}
	return true;
}
