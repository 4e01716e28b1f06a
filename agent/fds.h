/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fds.h - the descriptors that sense is born with: what it may use and could not open itself. The
 * supervisor fills it in (inherit.h has how), sense reads it.
 */
#ifndef MEMHERD_AGENT_FDS_H
#define MEMHERD_AGENT_FDS_H

/* -1 = not there. */
struct sense_fds {
	int link;  /* socket pair to link, record.h */
	int exits; /* netlink datagrams, struct cn_msg with PROC_EVENT_EXIT of whole processes */
	int trace; /* trace_pipe of an instance in which only oom:mark_victim is on */
	int names; /* socket pair to memherd-names */
};
#define SENSE_FDS_NONE ((struct sense_fds){-1, -1, -1, -1})

#endif
