/* SPDX-License-Identifier: Apache-2.0 */
#include "common/heap.h"

#include <malloc.h>

#define MAPPED_FROM (64 * 1024)
#define SPARE       (64 * 1024)

void heap_tune(void)
{
	/* Where it does nothing (another libc, a sanitizer) memory is only kept longer. */
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	(void)mallopt(M_TRIM_THRESHOLD, SPARE);
	(void)mallopt(M_TOP_PAD, SPARE / 4);
}

void heap_trim(void)
{
	(void)malloc_trim(0);
}
