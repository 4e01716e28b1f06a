/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.h - one table of options per program: it drives the parser, --check-config,
 * dump-config, the example file and the manual.
 *
 * Files are INI as inih reads them: 'key = value' lines under one [section], '#' or ';'
 * comments. The files named *.conf in the folder conf.d beside it are read after it, in name
 * order. A mistake names file, line, option and what was expected.
 */
#ifndef MEMHERD_COMMON_CONF_H
#define MEMHERD_COMMON_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"

enum conf_type {
	CONF_STRING,   /* char *, owned by the settings struct, never NULL after conf_defaults */
	CONF_INT,      /* int64_t within min..max */
	CONF_BOOL,     /* bool */
	CONF_BYTES,    /* int64_t bytes, min..max in bytes */
	CONF_DURATION, /* int64_t microseconds, min..max in microseconds */
};

#define CONF_SECRET 1u /* the value is shown as '(set)' by dump-config */
#define CONF_REPEAT 2u /* CONF_STRING that may stand several times; values joined by '\n' */

struct conf_option {
	const char *key;
	enum conf_type type;
	size_t offset;      /* of the field in the program's settings struct */
	const char *preset; /* default, as one would write it */
	int64_t min;
	int64_t max;
	unsigned flags;
	const char *help; /* one line: what it is, its unit */
	/* Optional, of a CONF_STRING: NULL when the value will do, else what was expected, so that
	 * a word or an address that is wrong is refused with its line too. */
	const char *(*refuse)(const char *value);
};

/* Ends with a row whose key is NULL. section is the one allowed section name. */
struct conf_table {
	const char *section;
	const struct conf_option *options;
};

/* Fills the settings with the presets; a preset that its own row refuses is a programming
 * error and comes back as -EINVAL, so a test can walk every table. */
int conf_defaults(const struct conf_table *t, void *settings, struct error *err) must_use;
/* Reads path, then conf.d beside it. */
int conf_load(const struct conf_table *t, void *settings, const char *path,
	      struct error *err) must_use;
/* Sets one option, for command lines ('-o key=value') and tests; where names the source. */
int conf_set(const struct conf_table *t, void *settings, const char *key, const char *value,
	     const char *where, struct error *err) must_use;
/* Prints every option as it is now, with help, default, unit and range as comments. */
void conf_dump(const struct conf_table *t, const void *settings, FILE *out);
/* Frees the strings. */
void conf_fini(const struct conf_table *t, void *settings);

#endif
