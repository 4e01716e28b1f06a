/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/python.h"

#include <stdio.h>

static const struct {
	const char *word;
	const char *text;
} states[] = {
#define X(NAME, word, text) {#word, text},
	PYTHON_STATE_LIST(X)
#undef X
};

const char *python_state_word(unsigned state)
{
	return state < PYTHON_STATES ? states[state].word : NULL;
}

const char *python_state_text(unsigned state)
{
	return state < PYTHON_STATES ? states[state].text : NULL;
}

/* PY_VERSION_HEX: major, minor, micro in a byte each, then the release level (a, b, c, f) and its
 * serial in four bits each. */
const char *python_version_text(char out[PYTHON_VERSION_SIZE], uint32_t version)
{
	unsigned major = version >> 24;
	unsigned minor = version >> 16 & 0xff;
	unsigned micro = version >> 8 & 0xff;
	unsigned level = version >> 4 & 0xf;
	unsigned serial = version & 0xf;

	if (!(version & 0xffff))
		snprintf(out, PYTHON_VERSION_SIZE, "%u.%u", major, minor);
	else if (level == 0xa || level == 0xb)
		snprintf(out, PYTHON_VERSION_SIZE, "%u.%u.%u%c%u", major, minor, micro,
			 level == 0xa ? 'a' : 'b', serial);
	else if (level == 0xc)
		snprintf(out, PYTHON_VERSION_SIZE, "%u.%u.%urc%u", major, minor, micro, serial);
	else
		snprintf(out, PYTHON_VERSION_SIZE, "%u.%u.%u", major, minor, micro);
	return out;
}
