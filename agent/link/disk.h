/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - when what the lanes hold goes to the disk spool (spooldir.h), and what happens when the
 * disk does not take it.
 *
 * Each record is appended to its stream's file before it is sent: to the page cache, so that the
 * end of the process loses nothing. Synced are: kills, postures and censuses at once; events at
 * once while the collector is not there, and while it is when it has not stored them in
 * DISK_ACK_SEC; samples every DISK_SYNC_SEC while it is not there, and never while it is. A disk
 * that fails, is full, or is another agent's costs nothing but its help: the spools go on in
 * memory, their owner is told once, and it is tried again after 1 s to DISK_RETRY_MAX_SEC; then
 * what memory held meanwhile is written. One owner (link.c); callbacks come from the loop and from
 * calls.
 */
#ifndef MEMHERD_AGENT_LINK_DISK_H
#define MEMHERD_AGENT_LINK_DISK_H

#include "agent/link/lane.h"
#include "agent/options.h"
#include "common/error.h"

#define DISK_SYNC_SEC      5
#define DISK_ACK_SEC       3
#define DISK_SYNC_BYTES    ((size_t)256 * 1024)
#define DISK_RETRY_MAX_SEC 30

struct disk;
struct event_base;

struct disk_ops {
	/* The disk does not help, and why; NULL: it does again. */
	void (*on_trouble)(void *arg, const char *why);
	/* There are streams of former starts that no Hello has named. */
	void (*on_found)(void *arg);
};

/* lanes: whose live streams to keep; outlives the disk. *ret is NULL when the options say so. */
int disk_new(struct event_base *base, const struct agent_options *o, struct lanes *lanes,
	     const struct disk_ops *ops, void *arg, struct disk **ret) must_use;
/* Syncs what is left, removes what is stored. */
void disk_free(struct disk **d);

/* All below take NULL, too: then there is no disk spool. */

/* Before a Hello, while no batch is under way: old lanes that are drained go, others come. */
void disk_adopt(struct disk *d);
/* Did a stream of that epoch lie there at start? Then its end is known. */
bool disk_knows(const struct disk *d, uint64_t epoch);
/* A record was added to its lane's spool; true: a keyframe is wished for. */
bool disk_keep(struct disk *d, enum wire_record kind);
/* The lane's spool was told what is stored. */
void disk_acked(struct disk *d, struct lane *l);
/* The collector takes what is sent, or no longer. */
void disk_streaming(struct disk *d, bool yes);
/* Bytes of all files. */
uint64_t disk_bytes(const struct disk *d);

#endif
