/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_bin.h - finds the PostgreSQL programs of the right major version. */
#ifndef MEMHERD_COLLECTOR_STORE_EMBEDDED_BIN_H
#define MEMHERD_COLLECTOR_STORE_EMBEDDED_BIN_H

#include <limits.h>

#include "common/error.h"

/* The folder with initdb and postgres into out: of that major version, or the newest from 14 on
 * when major is 0. Looks where the distributions put them, then along PATH. */
int embedded_bin_find(int major, const char *only, char out[PATH_MAX], struct error *err) must_use;

#endif
