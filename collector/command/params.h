/* SPDX-License-Identifier: Apache-2.0 */
/*
 * params.h - an action's parameters as the JSON object of REST and of the table 'command'. Pure.
 */
#ifndef MEMHERD_COLLECTOR_COMMAND_PARAMS_H
#define MEMHERD_COLLECTOR_COMMAND_PARAMS_H

#include <jansson.h>

#include "proto/command_param.h"

/* Fills all of them; json may be NULL or null. *ret_text: the one that is a text, of json, or NULL.
 * -EINVAL names the member and what was expected. */
int params_from_json(enum command_action action, const json_t *json, int64_t ret[COMMAND_PARAMS],
		     const char **ret_text, struct error *err) must_use;
/* An object with every parameter of the action, {} when it takes none; text: of the one that is.
 * NULL without memory. */
char *params_to_json(enum command_action action, const int64_t params[COMMAND_PARAMS],
		     const char *text) must_use;

#endif
