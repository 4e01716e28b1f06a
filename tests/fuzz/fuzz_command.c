/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a command, an operator's statement or a result: refused, or packing it again gives
 * the same bytes. */
#include "proto/command.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct command c;
	struct command_statement s;
	struct command_result r;
	uint8_t again[COMMAND_RESULT_SIZE];
	struct error err;

	if (command_unpack(data, size, &c, &err) == 0) {
		command_pack(again, &c);
		if (memcmp(again, data, COMMAND_SIZE) != 0)
			abort();
	}
	if (size == COMMAND_STATEMENT_SIZE && command_statement_unpack(data, &s, &err) == 0) {
		command_statement_pack(again, &s);
		if (memcmp(again, data, COMMAND_STATEMENT_SIZE) != 0)
			abort();
	}
	if (command_result_unpack(data, size, &r, &err) == 0) {
		command_result_pack(again, &r);
		if (memcmp(again, data, COMMAND_RESULT_SIZE) != 0)
			abort();
	}
	return 0;
}
