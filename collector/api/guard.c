/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/guard.h"

#include <string.h>
#include <strings.h>

/* One line of a head, without its CR LF. */
struct line {
	const char *s;
	size_t len;
};

/* What the fields of one head said. */
struct head {
	unsigned fields;
	unsigned seen; /* bit per row of singles */
	bool has_length;
	uint64_t length;
	bool has_encoding;
};

/* Fields that mean nothing, or two things, when they stand twice. */
static const char *const singles[] = {
	"host",   "content-length", "transfer-encoding", "authorization", "content-type",
	"cookie", "origin",         "idempotency-key",   "expect",
};
enum { SINGLE_HOST, SINGLE_LENGTH, SINGLE_ENCODING };

void guard_init(struct guard *g)
{
	*g = (struct guard){.reason = ""};
}

bool guard_is_idle(const struct guard *g)
{
	return !g->in_head && !g->body_left;
}

static int64_t refuse(struct guard *g, int status, const char *reason)
{
	g->reason = reason;
	return -status;
}

/* tchar of RFC 9110 5.6.2 */
static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool line_is(struct line l, const char *word)
{
	return strlen(word) == l.len && strncasecmp(l.s, word, l.len) == 0;
}

static bool is_method(const char *s, size_t len)
{
	static const char *const known[] = {"GET",    "HEAD",  "POST",   "PUT",
					    "DELETE", "PATCH", "OPTIONS"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i]) == len && memcmp(known[i], s, len) == 0)
			return true;
	return false;
}

static int64_t check_request_line(struct guard *g, struct line l)
{
	const char *end = l.s + l.len;
	const char *p = l.s;
	const char *target;

	while (p < end && *p >= 'A' && *p <= 'Z')
		p++;
	if (p == l.s || p == end || *p != ' ' || p - l.s > 16)
		return refuse(g, 400, "the request line does not begin with a method");
	if (!is_method(l.s, (size_t)(p - l.s)))
		return refuse(g, 501, "the method is not known here");
	target = ++p;
	while (p<end && * p> 0x20 && *p < 0x7f)
		p++;
	if (p - target > GUARD_TARGET_MAX)
		return refuse(g, 414, "the path and query are longer than 4096 bytes");
	if (p == target || *target != '/')
		return refuse(g, 400, "the target must begin with '/'");
	if (p == end || *p != ' ')
		return refuse(g, 400, "the request line does not end with a version");
	p++;
	if (end - p != 8 || memcmp(p, "HTTP/", 5) != 0)
		return refuse(g, 400, "the request line does not end with a version");
	if (memcmp(p, "HTTP/1.1", 8) != 0 && memcmp(p, "HTTP/1.0", 8) != 0)
		return refuse(g, 505, "only versions 1.0 and 1.1 are spoken here");
	return 0;
}

/* Digits and nothing else: no sign, no list, no blank (RFC 9110 8.6). */
static int64_t check_length(struct guard *g, struct head *h, struct line value)
{
	if (value.len == 0 || value.len > 18)
		return refuse(g, 400, "Content-Length is not a number");
	for (size_t i = 0; i < value.len; i++) {
		if (value.s[i] < '0' || value.s[i] > '9')
			return refuse(g, 400, "Content-Length is not a number");
		h->length = h->length * 10 + (uint64_t)(value.s[i] - '0');
	}
	h->has_length = true;
	return 0;
}

static struct line trim(const char *s, const char *end)
{
	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct line){.s = s, .len = (size_t)(end - s)};
}

static int64_t check_known_field(struct guard *g, struct head *h, struct line name,
				 struct line value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(singles); i++) {
		if (!line_is(name, singles[i]))
			continue;
		if (h->seen & (1u << i))
			return refuse(g, 400, "a header field that may stand once stands twice");
		h->seen |= 1u << i;
		if (i == SINGLE_LENGTH)
			return check_length(g, h, value);
		if (i == SINGLE_HOST && value.len == 0)
			return refuse(g, 400, "Host is empty");
		h->has_encoding |= i == SINGLE_ENCODING;
	}
	if (line_is(name, "expect") && !line_is(value, "100-continue"))
		return refuse(g, 417, "the only expectation that can be met is 100-continue");
	return 0;
}

static int64_t check_field(struct guard *g, struct head *h, struct line l)
{
	const char *end = l.s + l.len;
	const char *p = l.s;
	struct line name;

	if (++h->fields > GUARD_FIELDS_MAX)
		return refuse(g, 431, "there are more than 64 header fields");
	while (p < end && is_token(*p))
		p++;
	if (p == l.s || p == end || *p != ':')
		return refuse(g, 400, "a header field's name is not a word followed by ':'");
	name = (struct line){.s = l.s, .len = (size_t)(p - l.s)};
	for (const char *c = ++p; c < end; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return refuse(g, 400, "a header field holds a control character");
	return check_known_field(g, h, name, trim(p, end));
}

static int64_t check_framing(struct guard *g, const struct head *h)
{
	if (!(h->seen & (1u << SINGLE_HOST)))
		return refuse(g, 400, "there is no Host field");
	if (h->has_encoding && h->has_length)
		return refuse(g, 400, "both Content-Length and Transfer-Encoding are given");
	if (h->has_encoding)
		return refuse(g, 411, "send the body with a Content-Length, not in chunks");
	if (h->length > GUARD_BODY_MAX)
		return refuse(g, 413, "the body is larger than 1 MiB");
	return 0;
}

/* The head is data[0, len), its last four bytes CR LF CR LF. */
static int64_t check_head(struct guard *g, const char *data, size_t len, uint64_t *ret_body)
{
	const char *end = data + len - 2;
	struct head h = {0};
	bool first = true;

	for (const char *p = data; p < end;) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));
		struct line l = {.s = p, .len = (size_t)((cr ? cr : end) - p)};
		int64_t rc = first ? check_request_line(g, l) : check_field(g, &h, l);

		if (rc < 0)
			return rc;
		first = false;
		p = l.s + l.len + 2;
	}
	*ret_body = h.length;
	return check_framing(g, &h);
}

/* Length of the head with its empty line, 0 when it has not all come, or minus a status. A CR and
 * an LF only stand together, everywhere. */
static int64_t find_head_end(struct guard *g, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = g->scanned; i < len && i < GUARD_HEAD_MAX; i++) {
		if (data[i] == '\0')
			return refuse(g, 400, "the head holds a NUL");
		if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
			return refuse(g, 400, "a line ends without a carriage return");
		if (i > 0 && data[i - 1] == '\r' && data[i] != '\n')
			return refuse(g, 400, "a carriage return does not end a line");
		if (data[i] == '\n' && i == 1)
			return refuse(g, 400, "the request begins with an empty line");
		if (data[i] == '\n' && i >= 3 && data[i - 2] == '\n')
			return (int64_t)i + 1;
	}
	g->scanned = i;
	if (len >= GUARD_HEAD_MAX)
		return refuse(g, 431, "the header is larger than 16 KiB");
	return 0;
}

static int64_t feed_head(struct guard *g, const uint8_t *data, size_t len)
{
	uint64_t body = 0;
	int64_t head = find_head_end(g, data, len);
	int64_t rc;

	g->in_head = true;
	if (head <= 0)
		return head;
	rc = check_head(g, (const char *)data, (size_t)head, &body);
	if (rc < 0)
		return rc;
	g->in_head = false;
	g->scanned = 0;
	g->body_left = body;
	if (!body)
		g->requests++;
	return head;
}

int64_t guard_feed(struct guard *g, const uint8_t *data, size_t len)
{
	uint64_t n;

	if (len == 0)
		return 0;
	if (!g->body_left)
		return feed_head(g, data, len);
	n = MIN_OF(g->body_left, (uint64_t)len);
	g->body_left -= n;
	if (!g->body_left)
		g->requests++;
	return (int64_t)n;
}
