/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_news.h - what memherd-actd tells the agent of its journal beside results: what root did by
 * hand, what was cut short, what became of an action later. Fixed bytes over its SOCK_SEQPACKET
 * socket; a question, one answer. Nothing of it is secret or trusted.
 *
 *	question: 'MHQ1', number up to which all was kept u64 (HOST_NEWS_UNKNOWN: whoever asks has
 *just begun and goes on where the last one was) answer: 'MHN1', what u32 (0 = nothing more), dry
 *run u32, action u32, pid u32, through u64, start ticks u64, wall clock us i64, result [512] with
 *its place in the journal
 */
#ifndef MEMHERD_PROTO_HOST_NEWS_H
#define MEMHERD_PROTO_HOST_NEWS_H

#include "proto/command.h"

#define HOST_NEWS_QUESTION 12
#define HOST_NEWS_SIZE     (4 + 16 + 24 + COMMAND_RESULT_SIZE)
#define HOST_NEWS_UNKNOWN  UINT64_MAX

/* X(NAME, number, word): what of. */
#define HOST_NEWS_LIST(X)          \
	X(NONE, 0, none)           \
	X(BY_HAND, 1, by_hand)     \
	X(CUT_SHORT, 2, cut_short) \
	X(NOTE, 3, note)

enum host_news_what {
#define X(NAME, number, word) HOST_NEWS_##NAME = (number),
	HOST_NEWS_LIST(X)
#undef X
};
const char *host_news_word(enum host_news_what what);

struct host_news {
	enum host_news_what what;
	bool dry_run;
	enum command_action action;
	uint32_t pid;
	uint64_t through; /* to be said in the next question once this is kept */
	uint64_t start_ticks;
	int64_t t_wall_us;
	struct command_result result; /* id, status, detail, journal */
};

void host_news_ask(uint8_t out[HOST_NEWS_QUESTION], uint64_t kept);
/* -EBADMSG: no such question. */
int host_news_asked(const void *data, size_t len, uint64_t *ret_kept) must_use;
void host_news_pack(uint8_t out[HOST_NEWS_SIZE], const struct host_news *n);
int host_news_unpack(const void *data, size_t len, struct host_news *ret,
		     struct error *err) must_use;

#endif
