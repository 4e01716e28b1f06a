/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell.h - the cells that a collector fronts, as option 'cells' names them, one a line:
 *
 *	NAME=URL,TOKEN-FILE[,CA-FILE]
 *
 * URL is https://HOST[:PORT], or http:// for a loopback address. TOKEN-FILE (0600) holds an API
 *token of that cell with scope 'read' in its first line. CA-FILE is ca.pem of that cell's
 *collector, whose certificate is for no host name but TLS_COLLECTOR_NAME; without it the system's
 *authorities and the host of the URL count. Pure.
 */
#ifndef MEMHERD_COLLECTOR_CELL_CELL_H
#define MEMHERD_COLLECTOR_CELL_CELL_H

#include <stddef.h>

#include "common/error.h"

#define CELL_NAME_SIZE 33 /* letters, digits, '-', '_' and '.' */
#define CELL_URL_SIZE  300
#define CELL_FILE_SIZE 1024
#define CELLS_MAX      64

struct cell {
	char name[CELL_NAME_SIZE];
	char url[CELL_URL_SIZE]; /* without a path */
	char token_file[CELL_FILE_SIZE];
	char ca_file[CELL_FILE_SIZE]; /* '' = none */
};

/* One line. -EINVAL says which part of it and what was expected. */
int cell_parse(const char *line, size_t len, struct cell *ret, struct error *err) must_use;
/* All lines of text into an array to be freed; the number of them, 0 for ''. A name twice, or more
 * than CELLS_MAX: -EINVAL. */
int cells_parse(const char *text, struct cell **ret, struct error *err) must_use;

#endif
