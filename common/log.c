/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/str.h"

#define LINE_MAX_BYTES 2048

static struct {
	const char *ident;
	enum log_level max;
	enum log_format format;
	bool journal;
} log_state = {.ident = "memherd", .max = LOG_LEVEL_INFO};

static const struct {
	const char *name;
	int syslog;
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARN] = {"warn", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

static const char *const formats[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
};

int log_find_level(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i].name, word) == 0)
			return (int)i;
	return -EINVAL;
}

int log_find_format(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (strcmp(formats[i], word) == 0)
			return (int)i;
	return -EINVAL;
}

void log_init(const char *ident, enum log_level max, enum log_format format)
{
	log_state.ident = ident;
	log_state.max = max;
	log_state.format = format;
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

/* Prints safe text as the inside of a JSON string. */
static void print_quoted(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void print_json(FILE *out, enum log_level level, const char *when, long ms, const char *text)
{
	fprintf(out, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"ident\":\"%s\",\"msg\":\"", when,
		ms, levels[level].name, log_state.ident);
	print_quoted(out, text);
	fputs("\"}\n", out);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char raw[LINE_MAX_BYTES];
	char text[LINE_MAX_BYTES * 4];
	char when[32];
	struct timespec ts;
	struct tm tm;
	va_list ap;

	if (level > log_state.max)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	str_safe(text, sizeof(text), raw, strlen(raw));

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	if (log_state.format == LOG_FORMAT_JSON)
		print_json(stderr, level, when, ts.tv_nsec / 1000000, text);
	else if (log_state.journal)
		fprintf(stderr, "<%d>%s %s\n", levels[level].syslog, log_state.ident, text);
	else
		fprintf(stderr, "%s.%03ldZ %-5s %s %s\n", when, ts.tv_nsec / 1000000,
			levels[level].name, log_state.ident, text);
}
