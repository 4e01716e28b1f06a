/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smaps.h - /proc/PID/smaps, one mapping after the other (proc_pid_smaps(5)). Pure but for opening
 * the file; the text is the kernel's, the names in it the process's.
 */
#ifndef MEMHERD_AGENT_PYTHON_SMAPS_H
#define MEMHERD_AGENT_PYTHON_SMAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/error.h"

#define SMAPS_NAME_SIZE 128

struct smap {
	uint64_t start;
	uint64_t end;
	bool readable;
	bool writable;
	bool shared;
	uint64_t inode;
	char name[SMAPS_NAME_SIZE]; /* "" = anonymous; cut where longer */
	int64_t rss;                /* bytes, as all below */
	int64_t anonymous;
	int64_t swap;
};

struct smaps {
	FILE *file;
	char line[4096 + 256];
	bool ahead; /* line is the head of the next mapping */
};

int smaps_open(pid_t pid, struct smaps *ret, struct error *err) must_use;
void smaps_close(struct smaps *s);
/* 1 with the next mapping, 0 at the end, -EBADMSG for a line that the kernel does not write. */
int smaps_next(struct smaps *s, struct smap *ret) must_use;

#endif
