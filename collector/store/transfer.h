/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.h - a whole database into a file and back: 'db export' and 'db import', from a private
 * server to one's own and between versions of PostgreSQL.
 *
 * The content is pg_dump's custom format, read back by pg_restore in one transaction: both know
 * every kind of object and keep a consistent snapshot, which COPY of our own would have to learn.
 * Around it is a frame of ours, all integers big-endian:
 *
 *   line    "memherd-db 1 schema N\n"
 *   blocks  u32 length, 1 .. TRANSFER_BLOCK, and that many bytes
 *   end     u32 0
 *
 * so that a foreign or cut off file is known as such, and a schema that is newer than the program.
 * A block is handed to pg_restore only when the head of the next one has been read: a file that
 * was cut off anywhere leaves nothing behind. Synchronous; the programs' own messages go to stderr.
 */
#ifndef MEMHERD_COLLECTOR_STORE_TRANSFER_H
#define MEMHERD_COLLECTOR_STORE_TRANSFER_H

#include <stdbool.h>

#include "common/error.h"

#define TRANSFER_BLOCK 65536

struct transfer {
	const char *conninfo;
	const char *bin_dir; /* of pg_dump and pg_restore; NULL = the newest there is */
	bool relaxed;        /* as db_sync_open() */
};

/* '-' is standard output. A new file, 0600: it holds hashes of tokens and all that was sampled.
 * -EPROTO for a database that is not ours, -EEXIST for a file that is there. */
int transfer_export(const struct transfer *t, const char *file, struct error *err) must_use;
/* '-' is standard input. Into an empty database that no collector uses, then migrated.
 * -EBADMSG for a file that is foreign or cut off, -EPROTO for a newer schema, -EBUSY, -ENOTEMPTY.
 */
int transfer_import(const struct transfer *t, const char *file, struct error *err) must_use;

#endif
