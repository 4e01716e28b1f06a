/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_rules.h - from untrusted bytes to protobuf-c's structs inside an arena's budget, and the
 * rules that more than one message has. Between the files of wire only: nobody else may see the
 * generated structs.
 *
 * The first rule that is broken is the one that is told: it sets code to -EBADMSG, and what is
 * asked later changes nothing.
 */
#ifndef MEMHERD_PROTO_WIRE_RULES_H
#define MEMHERD_PROTO_WIRE_RULES_H

#include <stdbool.h>

#include "common/arena.h"
#include "common/error.h"
#include "gen/memherd.pb-c.h"
#include "proto/wire.h"

#define UUID_SIZE 16

struct rules {
	const char *what; /* the message's name */
	struct error *err;
	int code;
};

/* *ret (a pointer to a struct of that type) lives in a; -EBADMSG, -ENOMEM. */
int rules_unpack(const ProtobufCMessageDescriptor *type, const char *what, struct arena *a,
		 const uint8_t *data, size_t len, void *ret, struct error *err) must_use;

void rules_demand(struct rules *r, bool holds, const char *fmt, ...) printf_like(3, 4);
/* -ENOMEM when p is NULL. */
void rules_memory(struct rules *r, const void *p);

/* Each gives what it was given. */
const char *rules_text(struct rules *r, const char *s, size_t max, const char *field);
/* A list of them in the arena. */
const char **rules_texts(struct rules *r, struct arena *a, char **from, size_t n, size_t max,
			 const char *field);
struct wire_blob rules_blob(struct rules *r, ProtobufCBinaryData d, size_t min, size_t max,
			    const char *field);
int64_t rules_wall(struct rules *r, int64_t us, const char *field);
/* Counters end up in signed 64 bit columns. */
uint64_t rules_counter(struct rules *r, uint64_t v, const char *field);

#endif
