/* SPDX-License-Identifier: Apache-2.0 */
/*
 * halt.h - what keeps this host from acting at all, whoever asks: the stop file, which is there or
 * not, and the maintenance file, which may say until when.
 */
#ifndef MEMHERD_AGENT_ACT_HALT_H
#define MEMHERD_AGENT_ACT_HALT_H

#include <stdbool.h>

#include "agent/act/options.h"

/* -EPERM: nothing is done now, and err says by which file. One that cannot be looked at, or whose
 * time cannot be read, holds. Maintenance lets dry runs pass, a stop does not. now_us: wall clock.
 */
int halt_check(const struct act_options *o, bool dry_run, int64_t now_us,
	       struct error *err) must_use;

/* One time of a maintenance: RFC 3339, the seconds may be left out. -EINVAL. */
int halt_parse_time(const char *text, int64_t *ret_us) must_use;

#endif
