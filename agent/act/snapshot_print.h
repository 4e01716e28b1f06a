/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_print.h - an encoded snapshot for people, and as a JSON member ', "sites": [...]'.
 */
#ifndef MEMHERD_AGENT_ACT_SNAPSHOT_PRINT_H
#define MEMHERD_AGENT_ACT_SNAPSHOT_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/error.h"

/* -EBADMSG, -ENOMEM; then nothing was printed. */
int snapshot_print(FILE *out, const struct buf *body, bool json, struct error *err) must_use;

#endif
