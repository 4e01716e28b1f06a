/* SPDX-License-Identifier: Apache-2.0 */
/* Header lines that every message has; for message.c and notice.c. */
#ifndef MEMHERD_COLLECTOR_NOTIFY_MESSAGE_INNER_H
#define MEMHERD_COLLECTOR_NOTIFY_MESSAGE_INNER_H

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

/* Date, From and To; -EINVAL names the address that is none. */
int message_put_envelope(struct buf *out, int64_t now_us, const char *from, const char *recipients,
			 struct error *err) must_use;

#endif
