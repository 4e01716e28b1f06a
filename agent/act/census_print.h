/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census_print.h - an encoded census for a person or a program. Used by memherd-actd by hand and by
 * memherd-agent inspect.
 */
#ifndef MEMHERD_AGENT_ACT_CENSUS_PRINT_H
#define MEMHERD_AGENT_ACT_CENSUS_PRINT_H

#include <stdio.h>

#include "common/buf.h"
#include "common/error.h"

/* The top rows as a table. -EBADMSG for a body that is no census. */
int census_print_table(FILE *out, const struct buf *body, size_t top, struct error *err) must_use;
/* One object without a line end, of the top rows. */
int census_print_json(FILE *out, const struct buf *body, size_t top, struct error *err) must_use;

#endif
