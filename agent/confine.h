/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.h - system calls that a process of the agent will never need again (seccomp(2)).
 *
 * A second fence behind the capabilities: who takes over sense gets no network, who takes over
 * link gets no other process's memory, neither gets a new program. What is denied fails with
 * EPERM. Called once, in the child, after daemon_become() (which sets no_new_privs).
 */
#ifndef MEMHERD_AGENT_CONFINE_H
#define MEMHERD_AGENT_CONFINE_H

#include "common/error.h"

enum confine_role {
	CONFINE_SENSE, /* no socket but the one it has */
	CONFINE_LINK,  /* no process_vm_readv */
	CONFINE_NAMES, /* no socket but local ones, and none to listen on */
};

/* -ENOSYS on a machine whose system call numbers we do not know, or a kernel without seccomp. */
int confine(enum confine_role role, struct error *err) must_use;

#endif
