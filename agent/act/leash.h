/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leash.h - limits (and oom_score_adj) that memherd has set and has to take back: when their time
 * is over, when they throttle what they were set on, and after its own end. Each stands in a file
 * of root's before it is set; cgroups forget theirs with the boot, so those of another boot are
 * only dropped.
 *
 * A limit that freezes is told by the kernel within seconds, not by an OOM kill, which never comes:
 * tasks sleep in reclaim (memory.pressure 'full') and are held up at the limit again and again
 * (memory.events 'high', v1 memory.failcnt).
 */
#ifndef MEMHERD_AGENT_ACT_LEASH_H
#define MEMHERD_AGENT_ACT_LEASH_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/act/cgroup.h"
#include "common/error.h"

#define LEASHES_MAX     64
#define LEASH_FILE_SIZE 32
#define LEASH_PATH_SIZE 1024
#define LEASH_WINDOW    5 /* seconds that are judged */

/* One turn's sight of a cgroup; -1 = not to be had. */
struct leash_sight {
	int64_t t_us;   /* boot clock */
	int64_t full;   /* memory.pressure: microseconds in which all waited */
	int64_t events; /* held up at the limit so often */
};

struct leash {
	char folder[CGROUP_PATH_SIZE]; /* of a process oom_score_place()'s */
	char file[LEASH_FILE_SIZE];    /* 'memory.high', OOM_SCORE_FILE */
	int64_t before;                /* what stood there; INT64_MAX = no limit */
	int64_t set;
	int64_t until_us; /* boot clock */
	int64_t since_us; /* boot clock; 0 = not known, set by memherd before 0.2 */
	uint8_t id[16];   /* of the command that set it */
	uint32_t pid;     /* which it was set for */
	unsigned n;       /* sights, the newest last */
	struct leash_sight sights[LEASH_WINDOW + 1];
};

/* What became of a limit, as a clause: 'taken back after 12 s: its time is over'. */
typedef void leash_end(void *arg, const struct leash *one, const char *what);

struct leashes {
	leash_end *on_end; /* NULL = nobody wants to know */
	void *arg;
	char path[LEASH_PATH_SIZE]; /* of the file */
	uint8_t boot_id[16];
	unsigned n;
	struct leash at[LEASHES_MAX];
};

/* Why a limit is to be taken back now by what was seen over LEASH_WINDOW seconds; NULL. Pure. */
const char *leash_judge(const struct leash_sight *oldest, const struct leash_sight *newest);

/* Where the limits of a journal stand. */
void leashes_path(char out[LEASH_PATH_SIZE], const char *journal);
/* The file is one's own from lock to unlock; the descriptor, or -errno. */
int leashes_lock(const char *path, struct error *err) must_use;
void leashes_unlock(int *lock);
/* Reads the file, under its lock; none is no leash. -EBADMSG: it is damaged, what could be read is
 * kept. */
int leashes_load(struct leashes *l, const char *path, struct error *err) must_use;
/* Sets the limit and remembers what was there; the file is written first. One that is on a leash
 * already keeps what it began with. Under the lock. -ENOSPC: too many. */
int leashes_add(struct leashes *l, const struct leash *one, struct error *err) must_use;
/* Reads the file anew, looks at each, takes back what has to be; once a second. Logs each. */
void leashes_turn(struct leashes *l, int64_t boot_us);
/* Locks, reads and adds: what an action calls. */
int leashes_put(const char *journal, const struct leash *one, struct error *err) must_use;
/* Takes back all of them. */
void leashes_drop(struct leashes *l, const char *why);

#endif
