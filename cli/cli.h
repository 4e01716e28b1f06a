/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what every command gets, and the one table of commands. A command returns one of the exit
 * codes. Data goes to stdout, talk to stderr.
 */
#ifndef MEMHERD_CLI_CLI_H
#define MEMHERD_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/rest.h"
#include "cli/table.h"
#include "proto/command.h"
#include "proto/command_param.h"

/* Promised to scripts. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_ALLOWED = 3,
	CLI_NOT_FOUND = 4,
	CLI_UNREACHABLE = 5,
	CLI_PARTLY = 6, /* of several collectors one did not answer */
	CLI_TIMEOUT = 124,
};

#define CLI_PARAMS_MAX 32

struct cli {
	struct rest *rest;
	bool json; /* print what REST said */
	bool tty;  /* stdout is a terminal */
	bool yes;  /* don't ask */
	bool dry_run;
	bool wait;
	const char *ttl;
	const char *uses;
	const char *note;
	const char *state;
	const char *host;
	const char *reason;
	const char *from;
	const char *until;
	const char *limit;
	const char *top;
	const char *sort;
	const char *sign_key; /* a file: what is asked for is signed with it, too */
	bool diff;            /* with the census before, or with the one named */
	const char *base;     /* NULL: the one before */
	bool now;
	const char *kind;                   /* of a snapshot */
	const char *params[CLI_PARAMS_MAX]; /* by command_param_name()'s place; NULL = not said */
	char **args;                        /* behind the command's name */
	int n_args;
};

struct cli_command {
	const char *name;
	int min_args;
	int max_args;
	int (*run)(struct cli *c);
	const char *usage; /* arguments and options */
	const char *help;
};

extern const struct cli_command cli_commands[]; /* ends with a NULL name */

int command_status(struct cli *c);
int command_store(struct cli *c);
int command_hosts(struct cli *c);
int command_host(struct cli *c);
int command_oom(struct cli *c);
int command_ps(struct cli *c);
int command_top(struct cli *c);
int command_alerts(struct cli *c);
int command_ack(struct cli *c);
int command_trim(struct cli *c);
int command_restart(struct cli *c);
int command_snapshot(struct cli *c);
int command_snapshots(struct cli *c);
int command_gc(struct cli *c);
int command_gc_threshold(struct cli *c);
int command_gc_freeze(struct cli *c);
int command_gc_unfreeze(struct cli *c);
int command_reclaim(struct cli *c);
int command_oom_score(struct cli *c);
int command_shed(struct cli *c);
int command_drop_caches(struct cli *c);
int command_limit(struct cli *c);
int command_census(struct cli *c);
int command_explain(struct cli *c);
int command_actions(struct cli *c);
int command_approve(struct cli *c);
int command_cancel(struct cli *c);
int command_keygen(struct cli *c);
int command_audit(struct cli *c);
int command_breakers(struct cli *c);
int command_maintenance(struct cli *c);
int command_enroll_token(struct cli *c);
int command_login_link(struct cli *c);

/* Asks; on failure says why on stderr and returns the exit code, else CLI_OK and the JSON. */
int cli_ask(struct cli *c, const struct rest_request *q, json_t **ret) must_use;
int cli_get(struct cli *c, const char *path, json_t **ret) must_use;
/* GET path, then its items as a table, one by row; with --json as they came. Where the collector
 * fronts cells, each row's cell comes first; one that did not answer is told on stderr, CLI_PARTLY.
 */
int cli_list(struct cli *c, const char *path, const char *const *headings,
	     void (*row)(struct table *t, const json_t *item));
/* The items of an array as a table. */
int cli_print_items(const struct cli *c, const json_t *items, const char *const *headings,
		    void (*row)(struct table *t, const json_t *item)) must_use;
/* The same of one item. */
int cli_print_item(const struct cli *c, const json_t *item, const char *const *headings,
		   void (*row)(struct table *t, const json_t *item)) must_use;
/* Appends '?key=value' or '&key=value', the value percent-encoded; nothing without a value. */
int cli_add_query(struct cli *c, char *path, size_t size, const char *key,
		  const char *value) must_use;
/* Text on stdout, made safe as cells are: the format has no line end, cli_line adds it. */
void cli_say(const char *fmt, ...) printf_like(1, 2);
void cli_line(const char *fmt, ...) printf_like(1, 2);
void cli_break(void);
/* A blank line and the title of what follows. */
void cli_title(const char *title);
/* Prints JSON as it came, for --json. */
int cli_print_json(const json_t *json);
int cli_print_table(const struct cli *c, struct table *t);
/*
 * Asks for an action on TARGET (the first argument) once the user has agreed, told by question what
 * it does (one %s: the target), and waits for its end where that was said. *ret may be set on
 * failure too: what has come of it.
 */
int cli_act(struct cli *c, const char *type, const char *question, json_t **ret) must_use;
/* What an operator's own signature is asked for: an action with that id, of that process as REST
 * tells it, with these members of params (the rest preset). */
struct cli_wish {
	const char *type;
	const uint8_t *id; /* 16 bytes */
	const json_t *process;
	json_t *params; /* may be NULL */
};
#define CLI_WARRANT_SIZE 385 /* hex digits of command_warrant, NUL */
/* Signs it with --sign-key; says what on stderr. */
int cli_warrant(struct cli *c, const struct cli_wish *wish, char out[CLI_WARRANT_SIZE]) must_use;
/* The action as a table, or as it came. */
int cli_print_action(struct cli *c, const json_t *action);
/* The snapshot that the action of that id led to, once it has come, as a table or JSON. */
int cli_print_snapshot_of(struct cli *c, const char *action) must_use;
/* Did it end as done? */
bool cli_action_done(const json_t *action);

/* 'HOST:PID' or 'HOST/SERVICE' (then the process of it that has the largest RSS): the process, as
 * lists tell it. */
int cli_target(struct cli *c, const char *target, json_t **ret) must_use;
/* 'HOST/SERVICE' in two, percent-encoded for a path; false when it is none. */
bool cli_target_service(struct cli *c, const char *target, char *host, char *service, size_t size);
/* Lines of text under a title, each behind the mark; nothing when there are none. */
void cli_lines(const char *title, const json_t *lines, const char *mark);

/* 'usage: memherd NAME ...' on stderr; returns CLI_USAGE. */
int cli_usage(const char *name);

/* One field as text for a cell. */
const char *field_text(const json_t *o, const char *key); /* NULL when it is no string */
const char *field_or(const json_t *o, const char *key);   /* '-' then */
int64_t field_int(const json_t *o, const char *key);      /* 0 when it is no number */
void cell_text(struct table *t, const json_t *o, const char *key);
void cell_bytes(struct table *t, const json_t *o, const char *key);
void cell_growth(struct table *t, const json_t *o, const char *key); /* bytes per hour */
void cell_grown(struct table *t, const json_t *o, const char *key);  /* bytes, with their sign */
void cell_time(struct table *t, const json_t *o, const char *key);   /* RFC 3339, to the second */
void cell_number(struct table *t, const json_t *o, const char *key);
void cell_seconds(struct table *t, const json_t *o, const char *key);
void cell_age(struct table *t, const json_t *o, const char *key); /* RFC 3339, as time ago */

#endif
