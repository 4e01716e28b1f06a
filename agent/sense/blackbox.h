/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blackbox.h - the little that must survive the host: when the watch was last alive, what memory
 * looked like then, and dossiers that nobody may have received yet.
 *
 * One file. Two slots of BLACKBOX_SLOT bytes, written in turn, each with a generation and an XXH3
 * sum over all of it; the newest good one counts, so a write that power cut short costs a minute.
 * Then a region of 1 MiB in which dossiers go round: a new one is written and synced before a slot
 * refers to it, and never over one that either slot refers to.
 *
 * Slot: 'MHBB' u32 version u32 generation u64 length u32 body, zeros; the last 8 bytes the XXH3 of
 * all before them. Numbers are little-endian. Whatever a file holds, it opens: what cannot be
 * believed is treated as not there. Every function that writes may fail (disk full, read-only):
 * what is in memory stays right, and the caller may go on without.
 */
#ifndef MEMHERD_AGENT_SENSE_BLACKBOX_H
#define MEMHERD_AGENT_SENSE_BLACKBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/error.h"

#define BLACKBOX_SLOT        16384u
#define BLACKBOX_TOP         10u
#define BLACKBOX_NAME_MAX    63u
#define BLACKBOX_DOSSIERS    32u
#define BLACKBOX_DOSSIER_MAX 65536u
#define BLACKBOX_TOTAL_MAX   (512u * 1024)
#define BLACKBOX_REGION      (1024u * 1024)

struct blackbox_top {
	uint32_t pid;
	uint32_t rss_kib;
	int64_t grown_kib;
	char name[BLACKBOX_NAME_MAX + 1]; /* service, or comm; printable */
};

/* One heartbeat. KiB and 1/100 %; METRIC_ABSENT = not had. */
struct blackbox_state {
	uint8_t boot_id[16];
	int64_t wall_us;
	bool clean; /* the watch was ended in order */
	int64_t mem_total;
	int64_t mem_available;
	int64_t swap_total;
	int64_t swap_free;
	int64_t psi_some;
	int64_t psi_full;
	uint8_t n_largest;
	uint8_t n_growing;
	struct blackbox_top largest[BLACKBOX_TOP]; /* by RSS */
	struct blackbox_top growing[BLACKBOX_TOP];
};

struct blackbox_dossier {
	uint64_t seq; /* counts up over restarts */
	int64_t wall_us;
	uint64_t sum;
	uint32_t offset; /* in the region */
	uint32_t len;
};

struct blackbox {
	int fd; /* -1 = not open: every write is -EBADF */
	uint64_t generation;
	uint64_t next_seq;
	uint32_t cursor; /* where the next dossier goes */
	bool have_last;
	bool have_previous;
	bool told;
	struct blackbox_state now;
	struct blackbox_state last;     /* of the run before this one, any boot */
	struct blackbox_state previous; /* the end of the watch in the boot before this one */
	struct blackbox_dossier dossiers[BLACKBOX_DOSSIERS]; /* the oldest first */
	uint32_t n_dossiers;
	uint64_t dropped; /* dossiers that went for newer ones, or were found broken */
};

/* Opens or makes the file (0600). A file that is no black box, or a broken one, is started anew. */
int blackbox_open(struct blackbox *b, const char *path, const uint8_t boot_id[16],
		  struct error *err) must_use;
void blackbox_close(struct blackbox *b);

/* Writes the state (its boot_id and clean are set here) and syncs it. Once a minute. */
int blackbox_heartbeat(struct blackbox *b, const struct blackbox_state *s,
		       struct error *err) must_use;
/* The watch ends in order: the last heartbeat again, marked. */
int blackbox_mark_clean(struct blackbox *b, int64_t wall_us, struct error *err) must_use;

/* Keeps data (1 to BLACKBOX_DOSSIER_MAX bytes; -EMSGSIZE else); the oldest go for it. ret_seq may
 * be NULL. On failure the ones that are there stay. */
int blackbox_add_dossier(struct blackbox *b, int64_t wall_us, const void *data, size_t len,
			 uint64_t *ret_seq, struct error *err) must_use;
/* Appends the bytes of dossiers[i] to out; -EBADMSG when they are not what was written. */
int blackbox_read_dossier(const struct blackbox *b, uint32_t i, struct buf *out,
			  struct error *err) must_use;
/* It has arrived where it should; 0 also when it is not there any more. */
int blackbox_forget_dossier(struct blackbox *b, uint64_t seq, struct error *err) must_use;

/* How the watch in the boot before this one ended, or NULL when that is not known (or there was
 * none). ret_told: blackbox_told() was called for it in an earlier run. */
const struct blackbox_state *blackbox_previous(const struct blackbox *b, bool *ret_told);
/* Its end has been reported; written with the next heartbeat. */
void blackbox_told(struct blackbox *b);

/* ---- pure: the slots ---- */

/* Writes b's state as one slot of BLACKBOX_SLOT bytes; -ENOBUFS when it does not fit (it does). */
int blackbox_pack(const struct blackbox *b, uint8_t out[BLACKBOX_SLOT]) must_use;
/* The reverse; -EBADMSG for anything but a whole good slot, ret is then as it was. Only what the
 * slot holds is set. */
int blackbox_unpack(const uint8_t *slot, size_t len, struct blackbox *ret) must_use;

#endif
