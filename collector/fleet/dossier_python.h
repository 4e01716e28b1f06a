/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMHERD_COLLECTOR_FLEET_DOSSIER_PYTHON_H
#define MEMHERD_COLLECTOR_FLEET_DOSSIER_PYTHON_H

#include <jansson.h>

#include "collector/fleet/registry.h"

/* The member 'python' of a dossier's process; NULL when it is none, or without memory. */
json_t *dossier_python(const struct host *h, const struct process *p);

#endif
