/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip.h - whole bodies to and from gzip (RFC 1952), by zlib. Pure.
 */
#ifndef MEMHERD_COLLECTOR_API_GZIP_H
#define MEMHERD_COLLECTOR_API_GZIP_H

#include <stdint.h>

#include "common/buf.h"

/* Appends; fast rather than small: it runs on the loop. -ENOBUFS when out may not hold it. */
int gzip_pack(struct buf *out, const void *data, size_t len) must_use;
/* Appends exactly what was packed. -EBADMSG, or -ENOBUFS beyond out's maximum. */
int gzip_unpack(struct buf *out, const void *data, size_t len) must_use;

#endif
