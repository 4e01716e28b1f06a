/* SPDX-License-Identifier: Apache-2.0 */
/* A slot of the black box whose sum is right: what is in it may still be anything. */
#include <string.h>
#include <xxhash.h>

#include "agent/sense/blackbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t slot[BLACKBOX_SLOT];
	static uint8_t again[BLACKBOX_SLOT];
	struct blackbox box = {.fd = -1};
	struct blackbox copy = {.fd = -1};
	uint64_t sum;

	if (size > BLACKBOX_SLOT - 8)
		size = BLACKBOX_SLOT - 8;
	memset(slot, 0, sizeof(slot));
	memcpy(slot, data, size);
	sum = XXH3_64bits(slot, BLACKBOX_SLOT - 8);
	for (unsigned i = 0; i < 8; i++)
		slot[BLACKBOX_SLOT - 8 + i] = (uint8_t)(sum >> 8 * i);
	if (blackbox_unpack(slot, sizeof(slot), &box) < 0)
		return 0;
	/* what was believed can be written and read again */
	if (blackbox_pack(&box, again) < 0 || blackbox_unpack(again, sizeof(again), &copy) < 0 ||
	    copy.n_dossiers != box.n_dossiers || copy.generation != box.generation)
		abort();
	return 0;
}
