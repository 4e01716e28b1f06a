/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of other killers' logs, and a verdict on every note that comes of them. */
#include <string.h>

#include "agent/sense/oom/verdict.h"
#include "common/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t limit)
{
	if (strnlen(s, limit) >= limit || !str_is_safe(s, strlen(s)))
		abort();
}

static void judge(const struct killer_note *n, uint32_t wait_status)
{
	struct verdict_facts f = {.pid = n->pid ? n->pid : 1,
				  .name = "x",
				  .cgroup = n->target,
				  .exit = verdict_exit_of(wait_status),
				  .notes = n,
				  .n_notes = 1};
	struct verdict v;

	verdict_decide(&f, &v);
	check_text(v.sentence, sizeof(v.sentence));
	for (size_t i = 0; i < v.n_evidence; i++)
		check_text(v.evidence[i], sizeof(v.evidence[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct killer_state state = {.pid = 0};

	while (size) {
		const uint8_t *eol = memchr(data, '\n', size);
		size_t len = eol ? (size_t)(eol + 1 - data) : size;
		struct killer_note n;

		if (killer_parse(&state, (const char *)data, len, &n)) {
			if (n.pid < 0 || n.signal < 0 ||
			    strnlen(n.comm, sizeof(n.comm)) == sizeof(n.comm) ||
			    strnlen(n.target, sizeof(n.target)) == sizeof(n.target))
				abort();
			check_text(n.reason, sizeof(n.reason));
			for (uint32_t status = 0; status < 16; status++)
				judge(&n, status);
		}
		data += len;
		size -= len;
	}
	return 0;
}
