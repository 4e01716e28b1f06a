/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a container engine's answer: refused with a message, or texts that are safe. */
#include "agent/names/engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char s[NAMES_TEXT_SIZE])
{
	size_t len = strnlen(s, NAMES_TEXT_SIZE);

	if (len == NAMES_TEXT_SIZE || !str_is_safe(s, len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct names_answer a;
	struct error err = {""};

	if (engine_parse(data, size, id, &a, &err) == 0) {
		check_text(a.name);
		check_text(a.service);
		check_text(a.image);
		if (!*a.name || !*a.service)
			abort();
	} else if (!*err.msg) {
		abort();
	}
	return 0;
}
