/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/xmlrpc.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"

#define DEPTH_MAX 4 /* array, struct, array, value */

/* ---- asking ---- */

static void put_text(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '&')
			buf_puts(b, "&amp;");
		else if (*s == '<')
			buf_puts(b, "&lt;");
		else if (*s == '>')
			buf_puts(b, "&gt;");
		else
			buf_putc(b, *s);
	}
}

void xmlrpc_call(struct buf *b, const char *method, const char *text, int flag)
{
	buf_printf(b, "<?xml version='1.0'?><methodCall><methodName>%s</methodName><params>",
		   method);
	if (text) {
		buf_puts(b, "<param><value><string>");
		put_text(b, text);
		buf_puts(b, "</string></value></param>");
	}
	if (flag >= 0)
		buf_printf(b, "<param><value><boolean>%d</boolean></value></param>", flag != 0);
	buf_puts(b, "</params></methodCall>");
}

/* ---- reading ---- */

struct reader {
	const char *p;
	const char *end;
	xmlrpc_on *on;
	void *arg;
	size_t item;
	unsigned depth;
	unsigned arrays; /* that we are in */
	char name[XMLRPC_NAME_SIZE];
};

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
		r->p++;
}

/* '<tag>' or '</tag>', exactly; blanks before it do not count. */
static bool take(struct reader *r, const char *tag)
{
	size_t n = strlen(tag);

	skip_blanks(r);
	if ((size_t)(r->end - r->p) < n || memcmp(r->p, tag, n) != 0)
		return false;
	r->p += n;
	return true;
}

static bool put_char(char *out, size_t size, size_t *n, char c)
{
	if (*n + 1 >= size)
		return false;
	out[(*n)++] = c;
	return true;
}

/* '&lt;' and its like; what stands for a byte that XML cannot have is refused. */
static int take_entity(struct reader *r, char *ret)
{
	static const struct {
		const char *text;
		char c;
	} known[] = {
		{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i].text);

		if ((size_t)(r->end - r->p) >= n && memcmp(r->p, known[i].text, n) == 0) {
			r->p += n;
			*ret = known[i].c;
			return 0;
		}
	}
	return -EBADMSG;
}

/* Text up to the next tag; *ret_cut when there was more than out holds. */
static int take_text(struct reader *r, char *out, size_t size, bool *ret_cut)
{
	size_t n = 0;

	*ret_cut = false;
	while (r->p < r->end && *r->p != '<') {
		char c = *r->p;

		if (c == '\0')
			return -EBADMSG;
		if (c != '&')
			r->p++;
		else if (take_entity(r, &c) < 0)
			return -EBADMSG;
		if (!put_char(out, size, &n, c))
			*ret_cut = true;
	}
	out[n] = '\0';
	return r->p < r->end ? 0 : -EBADMSG;
}

static int take_scalar(struct reader *r, const char *close)
{
	char text[XMLRPC_VALUE_SIZE];
	struct xmlrpc_member m = {.item = r->item, .name = r->name, .text = text};

	if (take_text(r, text, sizeof(text), &m.cut) < 0 || !take(r, close))
		return -EBADMSG;
	return r->on(r->arg, &m);
}

static int take_value(struct reader *r);

static int take_array(struct reader *r)
{
	int rc = take(r, "<data>") ? 0 : -EBADMSG;

	r->arrays++;
	while (rc == 0 && !take(r, "</data>")) {
		rc = take_value(r);
		if (rc == 0 && r->arrays == 1)
			r->item++;
	}
	r->arrays--;
	return rc == 0 && !take(r, "</array>") ? -EBADMSG : rc;
}

static int take_struct(struct reader *r)
{
	int rc = *r->name ? -EBADMSG : 0; /* one in another has no name of one word */

	while (rc == 0 && take(r, "<member>")) {
		bool cut = false;

		if (!take(r, "<name>") || take_text(r, r->name, sizeof(r->name), &cut) < 0 || cut ||
		    !*r->name || !take(r, "</name>"))
			return -EBADMSG;
		rc = take_value(r);
		if (rc == 0 && !take(r, "</member>"))
			rc = -EBADMSG;
	}
	r->name[0] = '\0';
	return rc == 0 && !take(r, "</struct>") ? -EBADMSG : rc;
}

static int take_typed(struct reader *r)
{
	static const char *const scalars[][2] = {
		{"<string>", "</string>"}, {"<int>", "</int>"},       {"<boolean>", "</boolean>"},
		{"<i4>", "</i4>"},         {"<double>", "</double>"},
	};

	if (take(r, "<array>"))
		return take_array(r);
	if (take(r, "<struct>"))
		return take_struct(r);
	for (size_t i = 0; i < ARRAY_SIZE(scalars); i++)
		if (take(r, scalars[i][0]))
			return take_scalar(r, scalars[i][1]);
	return -EBADMSG;
}

static int take_value(struct reader *r)
{
	int rc;

	if (r->depth == DEPTH_MAX || !take(r, "<value>"))
		return -EBADMSG;
	r->depth++;
	rc = take_typed(r);
	r->depth--;
	return rc == 0 && !take(r, "</value>") ? -EBADMSG : rc;
}

struct fault {
	char text[128];
};

static int on_fault(void *arg, const struct xmlrpc_member *m)
{
	struct fault *f = arg;

	if (strcmp(m->name, "faultString") == 0)
		str_safe(f->text, sizeof(f->text), m->text, strlen(m->text));
	return 0;
}

static int take_fault(struct reader *r, struct error *err)
{
	struct fault f = {"unknown"};
	struct reader inner = *r;

	inner.on = on_fault;
	inner.arg = &f;
	if (take_value(&inner) == 0 && take(&inner, "</fault>") &&
	    take(&inner, "</methodResponse>"))
		return error_set(err, -EREMOTEIO, "%s", f.text);
	return -EBADMSG;
}

static int take_answer(struct reader *r, struct error *err)
{
	int rc;

	if (!take(r, "<?xml version='1.0'?>") || !take(r, "<methodResponse>"))
		return -EBADMSG;
	if (take(r, "<fault>"))
		return take_fault(r, err);
	if (!take(r, "<params>") || !take(r, "<param>"))
		return -EBADMSG;
	rc = take_value(r);
	if (rc == 0 &&
	    !(take(r, "</param>") && take(r, "</params>") && take(r, "</methodResponse>")))
		rc = -EBADMSG;
	skip_blanks(r);
	return rc == 0 && r->p != r->end ? -EBADMSG : rc;
}

int xmlrpc_read(const char *answer, size_t len, xmlrpc_on *on, void *arg, struct error *err)
{
	struct reader r = {.p = answer, .end = answer + len, .on = on, .arg = arg};
	int rc = take_answer(&r, err);

	if (rc == -EBADMSG)
		error_set(err, rc, "the answer is not XML-RPC as supervisord writes it");
	return rc;
}
