/* SPDX-License-Identifier: Apache-2.0 */
/* heapread PID: the parts of a process's memory as JSON, and its Python version's minor number. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/python/heap.h"
#include "agent/python/runtime.h"

int main(int argc, char **argv)
{
	int64_t parts[HEAP_PART_COUNT];
	struct runtime runtime;
	struct error err;
	pid_t pid = argc == 2 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	int minor = -1;

	if (pid <= 0)
		return 2;
	if (runtime_find(pid, NULL, &runtime, &err) == PYTHON_READABLE)
		minor = (int)(runtime.version >> 16 & 0xff);
	if (heap_read(pid, minor, parts, &err) < 0) {
		fprintf(stderr, "heapread: %s\n", err.msg);
		return 1;
	}
	printf("{\"minor\":%d", minor);
	for (unsigned i = 0; i < HEAP_PART_COUNT; i++) {
		if (parts[i] == HEAP_ABSENT)
			printf(",\"%s\":null", heap_part_name(i));
		else
			printf(",\"%s\":%" PRId64, heap_part_name(i), parts[i]);
	}
	puts("}");
	return 0;
}
