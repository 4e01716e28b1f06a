/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - bytes <-> validated plain structs. The one user of the generated protobuf code.
 *
 * Unpacking happens in the caller's arena, whose budget is WIRE_BUDGET(len): a frame of empty
 * sub-messages would otherwise grow 128 times. What an unpack function returns points
 * into that arena and is validated: counts agree, ids and metrics are in range, every string is
 * NUL-terminated, printable UTF-8 within its limit. A message that breaks a rule is
 * refused whole with -EBADMSG and err saying which field.
 *
 * Packing appends to a buf and fails only as the buf does (buf_status).
 */
#ifndef MEMHERD_PROTO_WIRE_H
#define MEMHERD_PROTO_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/error.h"
#include "proto/census.h"
#include "proto/kill.h"
#include "proto/metric.h"
#include "proto/snapshot.h"

#define WIRE_PROTO 1u
/* A bit of Hello.features: says in a heartbeat when it leaves, until then acks of ticks may wait.
 */
#define WIRE_PATIENT     1u
#define WIRE_BUDGET(len) ((len)*8 + (size_t)64 * 1024)

/* Bytes, without the NUL; longer ones are cut by the sender and refused by the receiver. */
#define WIRE_COMM_MAX         64 /* 15 bytes, each may be escaped to 4 */
#define WIRE_CMDLINE_MAX      512
#define WIRE_PATH_MAX         512 /* exe, cgroup */
#define WIRE_NAME_MAX         255 /* host, service */
#define WIRE_TEXT_MAX         1024
#define WIRE_MAX_PROCESSES    65536 /* ids are below this */
#define WIRE_MAX_EPOCHS       64
#define WIRE_MAX_RECORDS      4096 /* in one batch */
#define WIRE_MAX_DETAILS      32   /* pairs in an event */
#define WIRE_MAX_CGROUPS      1024 /* ids are below this */
#define WIRE_MAX_INTERPRETERS 512  /* ids are below this */
#define WIRE_MAX_PARTIES      128  /* of a kill: tasks or growers */
#define WIRE_MAX_LINES        32   /* of a kill: evidence or advice */
#define WIRE_MAX_FINDINGS     64   /* of a posture */
#define WIRE_MAX_TYPES        512  /* of a census */
#define WIRE_MAX_ROWS         256  /* of a snapshot */
#define WIRE_TYPE_MAX         192  /* a type's name with its module */
#define WIRE_CODE_MAX         32   /* a finding's word, a cgroup's runtime */
#define WIRE_SEQ_MAX          INT64_MAX

enum wire_record {
	WIRE_TICK = 1,
	WIRE_EVENT = 2,
	WIRE_GAP = 3,
	WIRE_KILL = 4,
	WIRE_POSTURE = 5,
	WIRE_CENSUS = 6,
	WIRE_SNAPSHOT = 7
};

/* What a process is to its service. */
enum wire_role { WIRE_ROLE_NONE = 0, WIRE_ROLE_MASTER = 1, WIRE_ROLE_WORKER = 2 };
/* 'master', 'worker', or '' for none; NULL for a number that is no role. */
const char *wire_role_word(unsigned role);

/* How bad a finding of the posture is: told for the record, makes a kill likelier or a verdict less
 * sure, or is dangerous now. */
enum wire_severity { WIRE_INFO = 0, WIRE_WARN = 1, WIRE_BAD = 2 };
/* 'info', 'warn', 'bad'; NULL. */
const char *wire_severity_word(unsigned severity);

/* X(NAME, number, word): kinds of event; the word is what REST and the database say. */
#define WIRE_EVENT_LIST(X)                 \
	X(AGENT_START, 1, agent_start)     \
	X(AGENT_STOP, 2, agent_stop)       \
	X(SENSE_TROUBLE, 3, sense_trouble) \
	X(PROCESS_START, 4, start)         \
	X(PROCESS_EXIT, 5, exit)           \
	X(ACTION, 6, action)               \
	X(GAP, 7, gap)                     \
	X(ALERT, 8, alert)                 \
	X(DEATH, 9, death)                 \
	X(OOM_KILL, 10, oom_kill)          \
	X(ABSENT, 11, absent)              \
	X(BACK, 12, back)                  \
	X(PRESSURE, 13, pressure)          \
	X(MISMATCH, 14, mismatch)          \
	X(HOST_END, 15, host_end)          \
	X(MEMORY, 16, memory)              \
	X(SELF_LIMIT, 17, self_limit)      \
	X(GC, 18, gc)                      \
	X(CENSUS, 19, census)

enum wire_event_kind {
#define X(NAME, number, word) WIRE_EVENT_##NAME = (number),
	WIRE_EVENT_LIST(X)
#undef X
};
/* 'agent_start', or NULL. */
const char *wire_event_word(unsigned kind);

enum wire_gap_reason {
	WIRE_GAP_SPOOL_FULL = 1,
	WIRE_GAP_UNCLEAN_END = 2,
	WIRE_GAP_UNDECODABLE = 3,
	WIRE_GAP_CORRUPT = 4 /* of an agent's disk */
};
enum wire_goaway_reason {
	WIRE_GOAWAY_SHUTDOWN = 1,
	WIRE_GOAWAY_BUSY = 2,
	WIRE_GOAWAY_UNKNOWN_HOST = 3,
	WIRE_GOAWAY_VERSION = 4,
	WIRE_GOAWAY_PROTOCOL = 5,
	WIRE_GOAWAY_DUPLICATE = 6,
};

struct wire_epoch {
	uint64_t epoch;
	uint64_t seq_min; /* in HelloAck: unused */
	uint64_t seq_max; /* in HelloAck: last committed */
};

struct wire_hello {
	uint32_t proto_min;
	uint32_t proto_max;
	uint64_t features;
	const char *version;
	const char *host_name;
	const char *kernel;
	uint8_t boot_id[16];
	uint32_t page_size;
	uint32_t clock_ticks;
	uint32_t interval_ms;
	uint32_t cpus;
	bool act;
	int64_t t_wall_us;
	uint64_t t_boot_us;
	struct wire_epoch *epochs; /* at least one; all are live */
	size_t n_epochs;
	uint64_t prev_epoch; /* of samples; 0 = none known */
	uint64_t prev_urgent_epoch;
	bool prev_clean;
};

struct wire_hello_ack {
	uint32_t proto;
	int64_t t_wall_us;
	uint32_t heartbeat_ms;
	uint32_t max_frame;
	uint32_t max_unacked_bytes;
	uint32_t max_unacked_batches;
	struct wire_epoch *epochs;
	size_t n_epochs;
};

struct wire_rec {
	uint64_t seq;
	enum wire_record kind;
	const uint8_t *body;
	size_t len;
};

struct wire_batch {
	uint64_t epoch;
	struct wire_rec *records; /* seq ascending; only a gap may cover more than one number */
	size_t n;
};

struct wire_process {
	uint32_t id;
	uint32_t pid;
	uint64_t start_ticks;
	uint32_t ppid;
	uint32_t uid;
	bool fresh;
	bool known; /* strings are empty: announced before in this stream */
	enum wire_role role;
	uint32_t slot;      /* of a worker, from 1; 0 = none */
	uint32_t cgroup_id; /* id + 1 of its memory cgroup; 0 = none told */
	const char *comm;
	const char *cmdline;
	const char *exe;
	const char *cgroup;
	const char *service;
	const char *container; /* name or short id; '' = none */
};

struct wire_cgroup {
	uint32_t id;
	uint32_t version; /* 1 or 2 */
	const char *path;
	const char *name;       /* of the container or unit; '' = none known */
	const char *runtime;    /* 'docker', 'systemd', ...; '' = none known */
	const char *image;      /* '' = not told */
	const char *limited_by; /* path of the cgroup whose limit holds; '' = the host's memory */
};

struct wire_interpreter {
	uint32_t id;
	uint32_t process; /* id of its process in this stream */
	uint64_t number;  /* Python's own; 0 = the main one */
};

struct wire_column {
	unsigned metric; /* enum metric, enum cgroup_metric or enum interpreter_metric */
	size_t n;
	uint32_t *ids; /* strictly ascending; on the wire as gaps */
	int64_t *deltas;
	size_t n_lost;
	uint32_t *lost;
};

struct wire_tick {
	int64_t t_wall_us;
	uint64_t t_boot_us;
	uint32_t interval_ms;
	bool keyframe;
	uint8_t boot_id[16]; /* of a keyframe */
	uint32_t skipped;
	struct wire_process *born;
	size_t n_born;
	uint32_t *exited;
	size_t n_exited;
	struct wire_column *columns;
	size_t n_columns;
	struct wire_cgroup *cgroups; /* announced */
	size_t n_cgroups;
	uint32_t *cgroups_gone;
	size_t n_cgroups_gone;
	struct wire_column *cgroup_columns;
	size_t n_cgroup_columns;
	struct wire_interpreter *interpreters; /* announced */
	size_t n_interpreters;
	uint32_t *interpreters_gone;
	size_t n_interpreters_gone;
	struct wire_column *interpreter_columns;
	size_t n_interpreter_columns;
	uint32_t *host_metrics; /* enum host_metric */
	int64_t *host_deltas;
	size_t n_host;
};

struct wire_event {
	int64_t t_wall_us;
	enum wire_event_kind kind;
	uint32_t pid; /* 0 = none */
	uint64_t start_ticks;
	const char *text;
	const char **keys;
	const char **values;
	size_t n_details;
	bool has_boot_id;
	uint8_t boot_id[16]; /* of the boot in which pid and start_ticks are meant */
};

/* A process in a kill's record: KILL_ABSENT where a figure was not had. */
struct wire_party {
	uint32_t pid;         /* 0 = not known */
	uint64_t start_ticks; /* 0 = not known */
	int64_t uid;          /* -1 = not known */
	const char *comm;
	const char *service;
	const char *container;
	int64_t v[KILL_FIGURE_COUNT];
};

struct wire_kill {
	int64_t t_wall_us;
	uint8_t boot_id[16];
	uint64_t seq; /* in the kernel's log; from WIRE_KILL_SEQ_OWN: made up by the agent */
	enum kill_cause cause;
	enum kill_confidence confidence;
	bool complete;
	bool replayed;
	struct wire_party victim;
	struct wire_party trigger;
	const char *victim_cgroup;
	const char *limit_cgroup; /* '' = the host */
	const char *limit_owner;
	struct wire_party *tasks;
	size_t n_tasks;
	uint32_t tasks_total;
	struct wire_party *growers;
	size_t n_growers;
	int64_t v[KILL_TOTAL_COUNT];
	const char *verdict;
	const char **advice;
	size_t n_advice;
	const char **evidence;
	size_t n_evidence;
	uint32_t ring_seconds;
};
#define WIRE_KILL_SEQ_OWN (UINT64_C(1) << 62)

struct wire_finding {
	const char *code;
	enum wire_severity severity;
	const char *text;
	const char *fix;
};

struct wire_posture {
	int64_t t_wall_us;
	struct wire_finding *findings;
	size_t n;
};

struct wire_census_type {
	const char *name;
	uint64_t count;
	uint64_t bytes;
};

struct wire_census {
	int64_t t_wall_us;
	uint8_t boot_id[16];
	uint32_t pid;
	uint64_t start_ticks;
	enum census_method method;
	enum census_reason reason;
	bool has_command;
	uint8_t command_id[16];
	uint32_t version; /* PY_VERSION_HEX */
	uint32_t interpreters;
	uint64_t pause_us;
	uint64_t walk_us;
	uint64_t objects;
	uint64_t bytes;
	uint32_t types_total;
	uint32_t error_per_10000;
	struct wire_census_type *types; /* the largest first */
	size_t n_types;
	int64_t parts[HEAP_PART_COUNT]; /* HEAP_ABSENT = not had */
	const char *note;
};

struct wire_snapshot_row {
	const char *name;
	const char *about;
	int64_t values[SNAPSHOT_VALUES_MAX]; /* as snapshot_layout() names them; the rest is 0 */
};

struct wire_snapshot {
	int64_t t_wall_us;
	uint8_t boot_id[16];
	uint32_t pid;
	uint64_t start_ticks;
	enum snapshot_kind kind;
	enum census_reason reason;
	bool has_command;
	uint8_t command_id[16];
	const char *subject; /* a type; '' = the whole process */
	int64_t totals[SNAPSHOT_VALUES_MAX];
	struct wire_snapshot_row *rows; /* the largest first */
	size_t n_rows;
	const char *note;
};

struct wire_gap {
	uint64_t to_seq;
	uint32_t records;
	uint64_t bytes;
	enum wire_gap_reason reason;
	int64_t t_first_us;
	int64_t t_last_us;
};

struct wire_ack {
	uint64_t epoch;
	uint64_t seq;
};

struct wire_heartbeat {
	int64_t t_wall_us;
	uint32_t spool_records;
	uint64_t spool_bytes;
	uint64_t rss_bytes;
	uint64_t cpu_us;
	bool act;
	bool leaving;
};

struct wire_blob {
	const uint8_t *data;
	size_t len;
};

struct wire_command {
	struct wire_blob body;
	struct wire_blob signature;
	struct wire_blob warrant; /* command_warrant; empty = none */
};

struct wire_command_result {
	struct wire_blob body;
	struct wire_blob journal; /* command_result_split(); empty = not told */
};

struct wire_goaway {
	enum wire_goaway_reason reason;
	uint32_t retry_min_ms;
	uint32_t retry_max_ms;
	const char *text;
};

struct wire_enroll {
	struct wire_blob secret;
	struct wire_blob csr;
	const char *host_name;
	const char *version;
};

struct wire_enroll_reply {
	const char *error; /* '' = accepted */
	struct wire_blob host_uuid;
	struct wire_blob certificate;
	struct wire_blob ca;
	struct wire_blob command_key;
	uint32_t stream_port;
};

/* X(name): messages that are a frame, and the bodies of records (tick, event, gap, kill, posture,
 * census, snapshot). */
#define WIRE_MESSAGE_LIST(X) \
	X(hello)             \
	X(hello_ack)         \
	X(batch)             \
	X(ack)               \
	X(heartbeat)         \
	X(command)           \
	X(goaway)            \
	X(enroll)            \
	X(enroll_reply)      \
	X(tick)              \
	X(event)             \
	X(gap)               \
	X(kill)              \
	X(posture)           \
	X(census)            \
	X(command_result)    \
	X(snapshot)

/*
 * For each: void wire_pack_<name>(struct buf *, const struct wire_<name> *) and
 * int wire_unpack_<name>(struct arena *, const uint8_t *, size_t, struct wire_<name> *ret,
 * struct error *).
 */
#define X(name)                                                                  \
	void wire_pack_##name(struct buf *b, const struct wire_##name *m);       \
	int wire_unpack_##name(struct arena *a, const uint8_t *data, size_t len, \
			       struct wire_##name *ret, struct error *err) must_use;
WIRE_MESSAGE_LIST(X)
#undef X

/* Appends one record to a Batch that wire_batch_begin() began in b, so that a spool's encoded
 * bodies go out without being decoded. */
void wire_batch_begin(struct buf *b, uint64_t epoch);
void wire_batch_add(struct buf *b, uint64_t seq, enum wire_record kind, const void *body,
		    size_t len);
/* Bytes that wire_batch_add would append. */
size_t wire_batch_cost(uint64_t seq, size_t len);

#endif
