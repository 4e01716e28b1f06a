/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xmlrpc.h - what supervisord is asked in and what it answers: XML-RPC as Python's xmlrpc.client
 * writes it, and nothing beyond. Elements have no attributes; a document type, a comment, CDATA or
 * an entity that is not XML's own is refused, so nothing expands. Pure; answers are hostile.
 * Source: xmlrpc.com/spec.md.
 */
#ifndef MEMHERD_AGENT_ACT_XMLRPC_H
#define MEMHERD_AGENT_ACT_XMLRPC_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/error.h"

#define XMLRPC_NAME_SIZE  64
#define XMLRPC_VALUE_SIZE 1024 /* longer ones are cut */

struct xmlrpc_member {
	size_t item;      /* in which element of the outermost array; 0 where there is none */
	const char *name; /* of the struct's member; "" = a value of its own */
	const char *text; /* decoded */
	bool cut;         /* it was longer */
};

/* Other than 0 ends the reading and is returned. */
typedef int xmlrpc_on(void *arg, const struct xmlrpc_member *m);

/* A call of method with one string or none (NULL), and a flag where it has one (-1 = none). */
void xmlrpc_call(struct buf *b, const char *method, const char *text, int flag);
/*
 * Calls on for each scalar in the answer, in order; an array inside of a struct gives one for each
 * of its values. -EREMOTEIO: a fault, with its text in err; -EBADMSG: no answer that we know.
 */
int xmlrpc_read(const char *answer, size_t len, xmlrpc_on *on, void *arg,
		struct error *err) must_use;

#endif
