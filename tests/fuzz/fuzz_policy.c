/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a policy file: refused with a message, or it judges. A process that is never to be
 * touched stays so whatever the file says. */
#include "agent/act/policy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct process p = {.pid = 4321, .uid = 1000, .comm = "python3", .exe = "/usr/bin/python3"};
	struct policy *policy = NULL;
	struct policy_verdict v;
	struct error err = {""};
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	if (policy_parse("policy", text, &policy, &err) == 0) {
		policy_judge(policy, "trim", &p, &v);
		policy_judge(policy, "restart", &p, &v);
		supervisor_of_cgroup("/system.slice/ssh.service", &p.supervisor);
		policy_judge(policy, "restart", &p, &v);
		if (v.allowed)
			abort();
		p.pid = 1;
		policy_judge(policy, "trim", &p, &v);
		if (v.allowed)
			abort();
		policy_free(&policy);
	} else if (!err.msg[0]) {
		abort();
	}
	free(text);
	return 0;
}
