/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/identity.h"

#include <string.h>
#include <xxhash.h>

/* PostgreSQL's bigint is signed and 0 means 'none': the top bit goes, 0 becomes 1. */
static int64_t positive(uint64_t hash)
{
	int64_t v = (int64_t)(hash >> 1);

	return v ? v : 1;
}

int64_t identity_process(const uint8_t boot_id[16], uint32_t pid, uint64_t start_ticks)
{
	uint8_t raw[16 + 4 + 8];

	/* Little endian by hand: the number must not depend on the machine. */
	memcpy(raw, boot_id, 16);
	for (unsigned i = 0; i < 4; i++)
		raw[16 + i] = (uint8_t)(pid >> (8 * i));
	for (unsigned i = 0; i < 8; i++)
		raw[20 + i] = (uint8_t)(start_ticks >> (8 * i));
	return positive(XXH3_64bits(raw, sizeof(raw)));
}

int64_t identity_service(const char *name)
{
	return positive(XXH3_64bits(name, strlen(name)));
}

int64_t identity_cgroup(const char *path)
{
	return positive(XXH3_64bits(path, strlen(path)));
}

int64_t identity_census(int64_t proc_id, int64_t t_wall_us)
{
	uint8_t raw[16];

	for (unsigned i = 0; i < 8; i++) {
		raw[i] = (uint8_t)((uint64_t)proc_id >> (8 * i));
		raw[8 + i] = (uint8_t)((uint64_t)t_wall_us >> (8 * i));
	}
	return positive(XXH3_64bits(raw, sizeof(raw)));
}

int64_t identity_interpreter(int64_t proc_id, uint64_t number)
{
	return proc_id ^ (int64_t)(number & INT64_MAX);
}

int64_t identity_kill(const uint8_t boot_id[16], uint64_t seq)
{
	return identity_process(boot_id, 0, seq);
}
