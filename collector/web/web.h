/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web.h - the files of the dashboard, inside the program: tools/embed packs each with gzip and
 * makes build/gen/web.c. Constant for the life of the process.
 */
#ifndef MEMHERD_COLLECTOR_WEB_WEB_H
#define MEMHERD_COLLECTOR_WEB_WEB_H

#include <stddef.h>
#include <stdint.h>

struct web_asset {
	const char *path; /* '/app.js'; the page itself is '/index.html' */
	const char *mime;
	const char *etag; /* with its quotes */
	const uint8_t *gz;
	size_t gz_len;
	size_t len; /* unpacked */
};

extern const struct web_asset web_assets[];
extern const size_t web_asset_count;

/* '/' is the page. NULL when there is none of that path. */
const struct web_asset *web_asset_find(const char *path);

#endif
