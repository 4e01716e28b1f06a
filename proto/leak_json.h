/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leak_json.h - a verdict as members of a JSON object, the same wherever it is told: kind, leak,
 * confidence, sentence, evidence, advice, types.
 */
#ifndef MEMHERD_PROTO_LEAK_JSON_H
#define MEMHERD_PROTO_LEAK_JSON_H

#include "common/json.h"
#include "proto/leak.h"

/* Into the object that w is in. */
void leak_json(struct json_writer *w, const struct leak_evidence *e, const struct leak_verdict *v);

#endif
