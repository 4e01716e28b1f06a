/* SPDX-License-Identifier: Apache-2.0 */
#include "common/crc32c.h"

#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* with its bits reversed */

/* By half bytes: a table that fits two cache lines, for machines without the instruction. */
static uint32_t half_byte(uint32_t crc)
{
	for (int bit = 0; bit < 4; bit++)
		crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
	return crc;
}

static const uint32_t *table(void)
{
	static uint32_t of[16];

	/* the same words whoever writes them */
	if (!of[15])
		for (uint32_t i = 0; i < 16; i++)
			of[i] = half_byte(i);
	return of;
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len)
{
	const uint32_t *of = table();
	const uint8_t *p = data;

	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ of[crc & 15];
		crc = crc >> 4 ^ of[crc & 15];
	}
	return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *p,
								 size_t len)
{
	uint64_t sum = ~crc;
	uint32_t rest;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		sum = __builtin_ia32_crc32di(sum, word);
	}
	rest = (uint32_t)sum;
	for (; len; len--, p++)
		rest = __builtin_ia32_crc32qi(rest, *p);
	return ~rest;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	return __builtin_cpu_supports("sse4.2") ? by_instruction(crc, data, len)
						: crc32c_portable(crc, data, len);
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	return crc32c_portable(crc, data, len);
}
#endif
