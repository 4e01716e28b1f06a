/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outlook.h - the posture of this host as sense knows it: what posture_gather() finds in files, and
 * what only the running agent knows (who has no limit, what it may listen to).
 */
#ifndef MEMHERD_AGENT_SENSE_OUTLOOK_H
#define MEMHERD_AGENT_SENSE_OUTLOOK_H

#include "agent/fds.h"
#include "agent/sense/posture.h"
#include "agent/sense/tick.h"

struct outlook {
	int64_t looked_us; /* boot time; 0 = not yet */
	bool sshd_unprotected;
};

/* The findings, the worst first, at most POSTURE_MAX; how many. fds: what sense was born with. */
size_t outlook_look(struct outlook *o, const struct ticker *t, const struct sense_fds *fds,
		    int64_t boot_us, struct posture_finding *out);

#endif
