/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_files.h - which files of the journal may hold what was written since a given time.
 * Opening all, as sd_journal_open() does, maps some 0.6 MiB for each of what may be a hundred; the
 * current one and those that were archived lately are enough, and few.
 *
 * Names are journald's: the folder of a machine id has system.journal, which becomes
 * system@<...>.journal when it is full, or ...journal~ when journald did not end well. Users' own
 * (user-1000.journal) hold nothing that may be believed.
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_JOURNAL_FILES_H
#define MEMHERD_AGENT_SENSE_OOM_JOURNAL_FILES_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

#define JOURNAL_FOLDERS   2 /* of the running system and of the disk */
#define JOURNAL_MAX_FILES 4
#define JOURNAL_PATH_SIZE 512

struct journal_folders {
	char path[JOURNAL_FOLDERS][JOURNAL_PATH_SIZE];
	size_t n;
};

struct journal_files {
	char path[JOURNAL_MAX_FILES][JOURNAL_PATH_SIZE];
	int64_t written_us[JOURNAL_MAX_FILES]; /* the latest first */
	size_t n;
	size_t left_out; /* older ones, for which there was no room */
};

/* Which file each folder's system.journal is: another one after a rotation. */
struct journal_current {
	dev_t dev[JOURNAL_FOLDERS];
	ino_t ino[JOURNAL_FOLDERS];
};

/* The system's: -ENOENT without a machine id. */
int journal_folders_of_system(struct journal_folders *ret, struct error *err) must_use;
/* 0 when there is a current file that can be read; else -EACCES, -ENOENT, ... */
int journal_folders_check(const struct journal_folders *f, struct error *err) must_use;
void journal_folders_current(const struct journal_folders *f, struct journal_current *ret);
/* The files that were written at or after since_us (wall clock), at most JOURNAL_MAX_FILES. */
void journal_folders_list(const struct journal_folders *f, int64_t since_us,
			  struct journal_files *ret);

#endif
