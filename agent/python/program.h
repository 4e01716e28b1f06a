/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - what a process runs, from its executable and its arguments: a name that all workers
 * of one application share, and what the process is to them.
 *
 * 'python:app.py', 'python:-m http.server', 'gunicorn:shop.wsgi', 'celery:proj', else the program's
 * file name. Titles that a program gives itself count ('gunicorn: worker [shop]'). Pure; all of it
 * is hostile text.
 */
#ifndef MEMHERD_AGENT_PYTHON_PROGRAM_H
#define MEMHERD_AGENT_PYTHON_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/wire.h"

struct program {
	const char *exe;     /* path, "" = not readable (then argv[0] is used) */
	const char *cmdline; /* as /proc gives it: arguments that end with NUL */
	size_t cmdline_len;
};

/* False when it tells nothing (no arguments, no exe). out is printable (str_safe). */
bool program_name(char *out, size_t size, const struct program *p);
/* What its title says it is; WIRE_ROLE_NONE = nothing: then its parent tells. */
enum wire_role program_role(const struct program *p);
/* What multiprocessing starts has a command line of its own ('-c from multiprocessing.spawn ...')
 * and belongs to its parent's service. */
enum program_kin {
	PROGRAM_OWN,
	PROGRAM_HELPER,  /* its resource tracker */
	PROGRAM_SPAWNED, /* runs what its parent runs */
};
enum program_kin program_kin(const struct program *p);

/* The servers whose processes can be replaced one by one, and who starts programs again. */
enum program_server {
	PROGRAM_NO_SERVER,
	PROGRAM_GUNICORN,
	PROGRAM_UWSGI,
	PROGRAM_CELERY, /* 'celery worker': not its scheduler, not its monitor */
	PROGRAM_SUPERVISORD,
};
/* Which of them the process runs, as its title or its arguments say: a claim, no proof. */
enum program_server program_server(const struct program *p);

#endif
