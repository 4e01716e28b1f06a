/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector.h - the composition root: makes every part, in order, hands each what it needs, and
 * takes them down in the reverse order. The parts don't know each other; what joins them is here.
 */
#ifndef MEMHERD_COLLECTOR_COLLECTOR_H
#define MEMHERD_COLLECTOR_COLLECTOR_H

#include "collector/options.h"
#include "common/error.h"

/* Runs until SIGTERM or SIGINT. 0; -EINVAL for a configuration that cannot work, else -errno. */
int collector_run(const struct collector_options *o, struct error *err) must_use;
/* Brings the database's schema up and ends. */
int collector_migrate(const struct collector_options *o, struct error *err) must_use;
/* 'db export FILE', 'db import FILE'; -EINVAL for another verb. */
int collector_db(const struct collector_options *o, const char *verb, const char *file,
		 struct error *err) must_use;
/* Reads every file that the configuration names, starts nothing. */
int collector_check(const struct collector_options *o, struct error *err) must_use;

#endif
