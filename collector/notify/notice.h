/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notice.h - a message of the collector about itself: plain text, about no incident. Pure.
 */
#ifndef MEMHERD_COLLECTOR_NOTIFY_NOTICE_H
#define MEMHERD_COLLECTOR_NOTIFY_NOTICE_H

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

#define NOTICE_MAX 16384 /* bytes as sent */

struct mail_notice {
	const char *subject; /* the same for all notices of one thread */
	const char *text;
	const char *state;  /* X-Memherd-State */
	const char *thread; /* local part of a Message-ID that was never sent: letters, digits, dots
			     */
	unsigned sequence;  /* within the thread */
	int64_t now_us;
};

/* recipients one a line. -EINVAL names the address that is none. */
int notice_build(struct buf *out, const struct mail_notice *n, const char *from,
		 const char *recipients, struct error *err) must_use;

#endif
