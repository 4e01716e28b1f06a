/* SPDX-License-Identifier: Apache-2.0 */
#include "common/address.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common/str.h"

int address_parse(const char *text, char host[ADDRESS_HOST_SIZE], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	int64_t n;

	if (!colon || !isdigit((unsigned char)colon[1]) || str_parse_int(colon + 1, &n) < 0 ||
	    n > UINT16_MAX)
		return -EINVAL;
	if (*text == '[') { /* an IPv6 address has colons of its own */
		if (len < 3 || text[len - 1] != ']')
			return -EINVAL;
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return -EINVAL;
	}
	if (len >= ADDRESS_HOST_SIZE || strcspn(text, " \t/@") < len)
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = (uint16_t)n;
	return 0;
}
