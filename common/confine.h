/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.h - system calls that a process on a watched host will never need again (seccomp(2)).
 *
 * A second fence behind the capabilities: who takes over sense gets no network, who takes over
 * link gets no other process's memory, who takes over the root helper gets no network and no way to
 * load or mount anything, and none gets a new program. The asker of HTTP hooks has a list of the
 * few calls that it may make instead. What is denied fails with EPERM. Called once, with
 * no_new_privs set (as daemon_become() does).
 */
#ifndef MEMHERD_COMMON_CONFINE_H
#define MEMHERD_COMMON_CONFINE_H

#include "common/error.h"

enum confine_role {
	CONFINE_SENSE, /* no socket but the one it has */
	CONFINE_LINK,  /* no process_vm_readv */
	CONFINE_NAMES, /* no socket but local ones, and none to listen on */
	CONFINE_ACT, /* no socket but local ones; ptrace and other processes' memory are its work */
	CONFINE_POSTER, /* nothing but to connect, send and receive: no file, no process */
};

/* -ENOSYS on a machine whose system call numbers we do not know, or a kernel without seccomp. */
int confine(enum confine_role role, struct error *err) must_use;

#endif
