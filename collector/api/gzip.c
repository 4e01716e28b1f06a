/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/gzip.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* zlib.h: plus 16 makes it gzip, not zlib */
#define GZIP_LEVEL  3
#define GZIP_CHUNK  (64 * 1024)

int gzip_pack(struct buf *out, const void *data, size_t len)
{
	z_stream z = {0};
	size_t bound;
	uint8_t *room;
	int rc;

	if (len > INT_MAX)
		return -EFBIG;
	if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	bound = deflateBound(&z, len);
	room = buf_reserve(out, bound);
	if (!room) {
		deflateEnd(&z);
		return -ENOBUFS;
	}
	z.next_in = (void *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = room;
	z.avail_out = (uInt)bound;
	rc = deflate(&z, Z_FINISH);
	out->len += bound - z.avail_out;
	deflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : -EIO;
}

int gzip_unpack(struct buf *out, const void *data, size_t len)
{
	z_stream z = {0};
	int rc = Z_OK;

	if (len > INT_MAX)
		return -EFBIG;
	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return -ENOMEM;
	z.next_in = (void *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	while (rc == Z_OK) {
		size_t n = MIN_OF((size_t)GZIP_CHUNK, out->max - out->len);
		uint8_t *room = n ? buf_reserve(out, n) : NULL;

		if (!room)
			break;
		z.next_out = room;
		z.avail_out = (uInt)n;
		rc = inflate(&z, Z_NO_FLUSH);
		out->len += n - z.avail_out;
	}
	inflateEnd(&z);
	if (rc == Z_STREAM_END)
		return 0;
	return rc == Z_OK ? -ENOBUFS : -EBADMSG;
}
