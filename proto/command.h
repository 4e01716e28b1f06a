/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - a remediation command and its result as fixed-layout bytes.
 *
 * The collector packs and signs the body; everything between carries it unread;
 * memherd-actd checks the signature over the exact bytes before it looks at any field, and needs
 * neither protobuf nor the heap to do so. Little endian; the layout is in command.c's tables.
 */
#ifndef MEMHERD_PROTO_COMMAND_H
#define MEMHERD_PROTO_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define COMMAND_DOMAIN      "memherd-cmd-v1"
#define COMMAND_SIZE        256
#define COMMAND_RESULT_SIZE 512
#define COMMAND_ACTOR_SIZE  48
#define COMMAND_REASON_SIZE 64
#define COMMAND_DETAIL_SIZE 384
#define COMMAND_LINK_SIZE   16 /* the first bytes of a record's hash */

#define COMMAND_SPAN_SIZE 44

#define COMMAND_PARAMS 3

/* What an operator signs with a key that no collector has: command_statement. */
#define COMMAND_WARRANT_DOMAIN    "memherd-warrant-v1"
#define COMMAND_STATEMENT_SIZE    128
#define COMMAND_STATEMENT_LIFE_US (24 * 3600 * 1000000LL) /* the longest */
#define COMMAND_WARRANT_HASH_SIZE 8

/* X(NAME, number, word): what may be asked. Parameters: command_param.c. */
#define COMMAND_ACTION_LIST(X)             \
	X(TRIM, 1, "trim")                 \
	X(RESTART, 2, "restart")           \
	X(CENSUS, 3, "census")             \
	X(GC, 4, "gc")                     \
	X(GC_THRESHOLD, 5, "gc-threshold") \
	X(GC_FREEZE, 6, "gc-freeze")       \
	X(GC_UNFREEZE, 7, "gc-unfreeze")   \
	X(TRACEMALLOC, 8, "tracemalloc")   \
	X(REFERRERS, 9, "referrers")       \
	X(SIZES, 10, "sizes")              \
	X(LIMIT, 16, "limit")              \
	X(RECLAIM, 17, "reclaim")          \
	X(DROP_CACHES, 18, "drop-caches")  \
	X(OOM_SCORE, 19, "oom-score")      \
	X(SHED, 20, "shed")

/* No action takes longer: memherd-actd gives up on it then, and who waits for its answer waits that
 * long for each of two (one may be asked by hand just before). */
#define COMMAND_LIMIT_SEC 25

enum command_action {
#define X(NAME, number, word) COMMAND_##NAME = (number),
	COMMAND_ACTION_LIST(X)
#undef X
};

/* X(NAME, number, word): how it ended. */
#define COMMAND_STATUS_LIST(X)                                                              \
	X(DONE, 1, done)               /* acted; before and after are measured */           \
	X(DRY_RUN, 2, dry_run)         /* would have acted; before is measured */           \
	X(REFUSED, 3, refused)         /* policy, precondition or signature; detail says */ \
	X(FAILED, 4, failed)           /* tried and did not get there */                    \
	X(UNKNOWN, 5, unknown)         /* interrupted between start and end; not retried */ \
	X(UNREACHABLE, 6, unreachable) /* no memherd-actd on this host */

enum command_status {
#define X(NAME, number, word) COMMAND_##NAME = (number),
	COMMAND_STATUS_LIST(X)
#undef X
};

struct command {
	uint8_t id[16];
	uint8_t host_uuid[16];
	enum command_action action;
	bool dry_run;
	uint8_t boot_id[16]; /* with pid and start_ticks: the process, never its successor */
	uint32_t pid;
	uint64_t start_ticks;           /* both zero: the whole host */
	int64_t issued_us;              /* wall clock */
	int64_t expires_us;             /* wall clock; at most 10 min after issued */
	uint64_t counter;               /* rises with each command of a key */
	uint64_t fence;                 /* of the collector that leads */
	char actor[COMMAND_ACTOR_SIZE]; /* 'rule:frag', 'token:ops' */
	/* For the host's log; of an action that takes a text (command_param.h) that text: the
	 * reason then stays with the collector. */
	char reason[COMMAND_REASON_SIZE];
	int64_t params[COMMAND_PARAMS]; /* what command_param.h says of the action; else zero */
	/* command_warrant_hash() of what comes along; zero = nothing does. An older memherd-actd
	 * knows no such bytes and refuses the command. */
	uint8_t warrant_hash[COMMAND_WARRANT_HASH_SIZE];
};

/*
 * That an operator wants this done: what a command says that does not depend on the collector. The
 * id is the command's, so that a host's journal, which runs an id once, refuses it twice.
 */
struct command_statement {
	uint8_t id[16];
	uint8_t host_uuid[16];
	enum command_action action;
	uint8_t boot_id[16];
	uint32_t pid;
	uint64_t start_ticks;
	int64_t issued_us;
	int64_t expires_us; /* at most COMMAND_STATEMENT_LIFE_US after issued */
	int64_t params[COMMAND_PARAMS];
};

/* As it travels beside a command, and is stored. */
struct command_warrant {
	uint8_t statement[COMMAND_STATEMENT_SIZE];
	uint8_t signature[64];
};

/*
 * Where the host's journal tells of a command: a run of its records, which are numbered and chained
 * by their hashes (agent/act/journal_record.h). All zero: not told, by an older memherd-actd.
 */
struct command_span {
	uint64_t last;                     /* number of its last record */
	uint32_t records;                  /* so many up to there; 0 = none, that is the head */
	uint8_t before[COMMAND_LINK_SIZE]; /* of the record before its first; 0 = of none */
	uint8_t head[COMMAND_LINK_SIZE];   /* of its last */
};

struct command_result {
	uint8_t id[16];
	enum command_status status;
	int64_t rss_before; /* bytes; -1 = not measured */
	int64_t rss_after;  /* measured whenever something may have been done, -1 otherwise */
	int64_t swap_before;
	int64_t swap_after;
	int64_t held_us;                  /* how long a thread of the target was held */
	int64_t total_us;                 /* from start to the second measurement */
	char detail[COMMAND_DETAIL_SIZE]; /* one sentence */
	struct command_span journal;
};

/* False when the process was left as it was: refused, or failed before anything was done to it. */
bool command_result_acted(const struct command_result *r);

const char *command_action_word(unsigned action); /* NULL for none */
int command_action_find(const char *word);        /* -1 for none */
const char *command_status_word(unsigned status);
/* Is it done to the whole host? Then pid and start_ticks are zero. */
bool command_action_of_host(unsigned action);

void command_pack(uint8_t out[COMMAND_SIZE], const struct command *c);
/* -EBADMSG: wrong size or magic, unknown action, a flag or string that is not well formed, a
 * parameter out of its bounds. */
int command_unpack(const void *data, size_t len, struct command *ret, struct error *err) must_use;
void command_result_pack(uint8_t out[COMMAND_RESULT_SIZE], const struct command_result *r);
int command_result_unpack(const void *data, size_t len, struct command_result *ret,
			  struct error *err) must_use;

/*
 * Between agent and collector the place in the journal goes beside the result, in a field that an
 * older collector skips: taken out, and put back. journal: COMMAND_SPAN_SIZE bytes; false when the
 * result tells none.
 */
bool command_result_split(uint8_t result[COMMAND_RESULT_SIZE], uint8_t journal[COMMAND_SPAN_SIZE]);
void command_result_join(uint8_t result[COMMAND_RESULT_SIZE],
			 const uint8_t journal[COMMAND_SPAN_SIZE]);

void command_statement_pack(uint8_t out[COMMAND_STATEMENT_SIZE], const struct command_statement *s);
/* -EBADMSG as command_unpack, and for a life that ends before it begins or is too long. */
int command_statement_unpack(const uint8_t data[COMMAND_STATEMENT_SIZE],
			     struct command_statement *ret, struct error *err) must_use;
/* Is it of this command? -EACCES names what differs. Times are not looked at. */
int command_statement_fits(const struct command_statement *s, const struct command *c,
			   struct error *err) must_use;
void command_warrant_hash(uint8_t out[COMMAND_WARRANT_HASH_SIZE], const struct command_warrant *o);

/* What link sends to memherd-actd over its SOCK_SEQPACKET socket: one datagram, with or without the
 * operator's part, and one answer of COMMAND_RESULT_SIZE bytes. */
struct command_request {
	uint8_t body[COMMAND_SIZE];
	uint8_t signature[64];
	struct command_warrant warrant;
	bool has_warrant; /* not sent */
};
#define COMMAND_REQUEST_SIZE        offsetof(struct command_request, warrant)
#define COMMAND_REQUEST_SIGNED_SIZE offsetof(struct command_request, has_warrant)

#endif
