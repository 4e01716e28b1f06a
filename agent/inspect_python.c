/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inspection.h"

#include <errno.h>
#include <string.h>

#define FROZEN_MAX (4u << 20) /* objects to count, about 2 s */

/* Only numbers that hold together are kept: an interpreter may end while it is looked at. */
static void read_interpreter(struct inspection *in, uint64_t address)
{
	struct inspection_python *p = &in->python;
	struct inspection_interpreter *one = &p->interpreters[p->n];
	uint64_t frozen;
	int rc = gcstat_read(&p->runtime, address, &one->gc);

	if (rc < 0) {
		inspection_note(in, "python: an interpreter ended while it was read: %s",
				strerror(-rc));
		return;
	}
	p->n++;
	rc = gcstat_frozen(&p->runtime, address, FROZEN_MAX, &frozen);
	one->frozen = rc < 0 ? METRIC_ABSENT : (int64_t)frozen;
	if (rc < 0)
		inspection_note(in, "python: frozen: the list was not whole: %s", strerror(-rc));
}

void inspection_read_python(struct inspection *in)
{
	struct inspection_python *p = &in->python;
	uint64_t list[RUNTIME_MAX_INTERPRETERS];
	struct error err = {{0}};
	int n;

	p->n = 0;
	p->state = runtime_find((pid_t)in->pid, NULL, &p->runtime, &err);
	if (p->state != PYTHON_READABLE) {
		inspection_note(in, "python: %s", err.msg);
		return;
	}
	n = runtime_interpreters(&p->runtime, list, RUNTIME_MAX_INTERPRETERS);
	for (int i = 0; i < n; i++)
		read_interpreter(in, list[i]);
	if (p->n == 0) {
		p->state = PYTHON_GONE;
		inspection_note(in, "python: it ended while it was read");
	}
}
