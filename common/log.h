/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one event, one line on stderr, as key=value with the object's id first.
 *
 * Only owners log (session, link, action, main); libraries and parsers return errors. Under
 * systemd (JOURNAL_STREAM set) a line begins with '<N>', the syslog level. Control characters
 * and invalid UTF-8 are shown as \xNN, so nothing a process is called can forge a line.
 */
#ifndef MEMHERD_COMMON_LOG_H
#define MEMHERD_COMMON_LOG_H

#include "common/check.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* ident names the process in each line ('collector', 'sense', ...); it is not copied. */
void log_init(const char *ident, enum log_level max, enum log_format format);
/* The words of options 'log_level' and 'log_format': the enum's value, or -EINVAL. */
int log_find_level(const char *word) must_use;
int log_find_format(const char *word) must_use;
void log_line(enum log_level level, const char *fmt, ...) printf_like(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
