/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inspect_census.h"

#include <errno.h>

#include "agent/act/census.h"
#include "agent/act/process.h"

int inspect_census(uint32_t pid, struct buf *body, struct error *err)
{
	auto_process struct process p = {.pidfd = -1};
	struct census_order_by order = {
		.method = geteuid() == 0 ? -1 : CENSUS_METHOD_LIVE,
		.reason = CENSUS_REASON_BY_HAND,
	};
	struct census_report report;
	int rc = process_open((pid_t)pid, &p, err);

	if (rc == 0)
		rc = census_take(&p, &order, body, &report, err);
	/* Root of a container may read more than it may trace. */
	if (rc == -EPERM && order.method < 0) {
		order.method = CENSUS_METHOD_LIVE;
		rc = census_take(&p, &order, body, &report, err);
	}
	return rc;
}
