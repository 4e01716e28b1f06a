/* SPDX-License-Identifier: Apache-2.0 */
/* kmsg_feed.h - what a fuzzer gives, record by record, as /dev/kmsg gives it: a line with the lines
 * behind it that begin with a space. */
#ifndef MEMHERD_TESTS_FUZZ_KMSG_FEED_H
#define MEMHERD_TESTS_FUZZ_KMSG_FEED_H

#include <stdint.h>
#include <string.h>

#include "agent/sense/oom/report.h"

static inline void kmsg_feed(const uint8_t *data, size_t size,
			     void (*feed)(struct oom_watch *w, const uint8_t *p, size_t len))
{
	struct oom_watch *w;

	if (oom_watch_new(&w, 4096) < 0)
		return;
	while (size) {
		size_t n = 0;

		do {
			const uint8_t *eol = memchr(data + n, '\n', size - n);

			n = eol ? (size_t)(eol + 1 - data) : size;
		} while (n < size && data[n] == ' ');
		feed(w, data, n);
		data += n;
		size -= n;
	}
	oom_watch_free(&w);
}

#endif
