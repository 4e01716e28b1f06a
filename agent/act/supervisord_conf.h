/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisord_conf.h - what memherd wants of a supervisord's configuration: the password of its
 * control socket, and whether a program is started again when it ends.
 *
 * Read as Python's configparser reads it, files in its [include] too, below the root of the
 * supervisord and never above. A file counts if it is root's or its user's, nobody else may write
 * it, and supervisord itself may read it: else a command line could have us carry a secret of
 * root's to a socket of somebody else's. Values with '%(...)' are not known here, environments are
 * not read. Sources: supervisord.org/configuration.html, supervisor/options.py of 4.2.5.
 */
#ifndef MEMHERD_AGENT_ACT_SUPERVISORD_CONF_H
#define MEMHERD_AGENT_ACT_SUPERVISORD_CONF_H

#include "agent/act/supervisord.h"

#define SUPERVISORD_WORD_SIZE    128
#define SUPERVISORD_COMMAND_SIZE 1024
#define SUPERVISORD_PROGRAMS_MAX 512
#define SUPERVISORD_SERVERS_MAX  8

/* Of a program that was not told to stop. */
enum supervisord_back {
	SUPERVISORD_UNEXPECTED, /* unless its exit code is one that was expected; the default */
	SUPERVISORD_ALWAYS,
	SUPERVISORD_NEVER,
	SUPERVISORD_UNKNOWN,
};

struct supervisord_program_conf {
	char name[SUPERVISORD_WORD_SIZE]; /* of the section, without 'program:' */
	char command[SUPERVISORD_COMMAND_SIZE];
	enum supervisord_back back;
	char exitcodes[SUPERVISORD_WORD_SIZE]; /* "" = none is expected */
	char stopsignal[SUPERVISORD_WORD_SIZE];
};

struct supervisord_server_conf {
	char section[SUPERVISORD_WORD_SIZE];
	char file[SUPERVISORD_COMMAND_SIZE];
	char user[SUPERVISORD_WORD_SIZE];
	char password[SUPERVISORD_WORD_SIZE];
};

struct supervisord_conf {
	char path[PROCESS_PATH_SIZE]; /* of the main file, as the supervisord sees it */
	char include[SUPERVISORD_COMMAND_SIZE];
	char missing[200]; /* why not all of it could be read, "" = it was */
	size_t n_servers;
	size_t n_programs;
	struct supervisord_server_conf servers[SUPERVISORD_SERVERS_MAX];
	struct supervisord_program_conf programs[SUPERVISORD_PROGRAMS_MAX];
};

/* NULL with err: the main file cannot be had. */
struct supervisord_conf *supervisord_conf_load(const struct supervisord *s, struct error *err);
void supervisord_conf_free(struct supervisord_conf **c);

/* Pure: adds what text, a file in the folder 'here', says; it is changed. Later values win. */
void supervisord_conf_add(struct supervisord_conf *c, const char *here, char *text);
/* Pure: which file a command line names: 'FILE' of '-c FILE' and its like, or NULL. A NUL stands
 * behind its len bytes. */
const char *supervisord_conf_named(const char *cmdline, size_t len);

/* The server that listens at that path; NULL: none, or more than one could. */
const struct supervisord_server_conf *supervisord_conf_server(const struct supervisord_conf *c,
							      const char *path);
/*
 * Pure. Is whoever has these arguments started again after a SIGTERM? All programs that it could
 * be must agree; catches: it has a handler for SIGTERM. 0, or -EPERM with the reason. *ret_name:
 * the program's name, "" when it could be more than one.
 */
int supervisord_conf_comes_back(const struct supervisord_conf *c, const char *cmdline, size_t len,
				bool catches, char ret_name[SUPERVISORD_WORD_SIZE],
				struct error *err) must_use;

static inline void auto_supervisord_conf_(struct supervisord_conf **c)
{
	supervisord_conf_free(c);
}
#define auto_supervisord_conf __attribute__((cleanup(auto_supervisord_conf_)))

#endif
