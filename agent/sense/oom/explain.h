/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain.h - a kill in words: the sentence that heads its dossier, and what would have prevented
 * it. Pure. What comes in as raw bytes leaves printable (str_safe).
 */
#ifndef MEMHERD_AGENT_SENSE_OOM_EXPLAIN_H
#define MEMHERD_AGENT_SENSE_OOM_EXPLAIN_H

#include "agent/sense/oom/kill.h"

#define EXPLAIN_SENTENCE_SIZE 600
#define EXPLAIN_MAX_ADVICE    4
#define EXPLAIN_ADVICE_SIZE   320

/* What is known around the kill and not by the kernel's report. Zero it: everything is optional. */
struct explain_facts {
	const char *victim_service; /* printable; NULL = not known */
	const char *grower;         /* who grew most before it: 'python3 (pid 812)', printable */
	const char *grower_service; /* NULL = the same as the victim's, or not known */
	int64_t grower_pid;         /* 0 = not known */
	int64_t grown_kib;          /* how much; 0 = not known */
	int64_t grown_seconds;      /* within how long; 0 = not known */
	bool grower_unlimited;      /* no memory limit holds the grower */
	int64_t swap_total_kib;     /* of the host; asked only when host_total_kib is known */
	int64_t host_total_kib;     /* MemTotal; <= 0 = not known */
	bool sshd_unprotected;      /* oom_score_adj of sshd is not negative */
};

/* 'The kernel killed python3 (pid 812, shop) because /docker/ab12 reached its limit of 40 MiB
 * (39 MiB anonymous); python3 (pid 812) triggered it and had grown most.' Returns its length. */
size_t explain_kill(char *out, size_t size, const struct oom_kill *k,
		    const struct explain_facts *f);
/* At most EXPLAIN_MAX_ADVICE sentences, the most useful first; returns how many. */
size_t explain_advice(char out[EXPLAIN_MAX_ADVICE][EXPLAIN_ADVICE_SIZE], const struct oom_kill *k,
		      const struct explain_facts *f);

#endif
