/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "agent/act/engine.h"
#include "agent/act/restart.h"
#include "common/clock.h"

#define ID_SHOWN 12 /* as container tools print it */

int restart_container(struct restart *r, bool dry_run, struct error *err)
{
	const char *id = r->process->supervisor.name;
	char socket[ENGINE_SOCKET_SIZE];
	int rc = engine_of(r->options->engine_sockets, id, socket, err);

	if (rc < 0)
		return rc;
	snprintf(r->by, sizeof(r->by), "the engine at '%s', container %.*s", socket, ID_SHOWN, id);
	if (dry_run)
		return 0;
	/* Whatever the answer: from here on it may be done. */
	r->acted = true;
	rc = engine_restart(socket, id, RESTART_ASKED_US - (clock_boot_us() - r->began_us), err);
	return rc;
}
