/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines.h - a driver that is told what to do by lines on stdin, in its event loop; the end of stdin
 * ends the loop. A longer line than LINES_MAX ends it, too.
 */
#ifndef MEMHERD_TESTS_SUPPORT_LINES_H
#define MEMHERD_TESTS_SUPPORT_LINES_H

#include <event2/event.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define LINES_MAX 1023

struct lines {
	struct event_base *base;
	struct event *in;
	void (*obey)(void *arg, char *line); /* without its newline; may be written to */
	void *arg;
	char line[LINES_MAX + 1];
	size_t len;
};

static inline void lines_read(evutil_socket_t fd, short what, void *arg)
{
	struct lines *l = arg;
	ssize_t n = read(fd, l->line + l->len, LINES_MAX - l->len);
	char *end;

	(void)what;
	if (n <= 0) {
		event_base_loopbreak(l->base);
		return;
	}
	l->len += (size_t)n;
	l->line[l->len] = '\0';
	while ((end = strchr(l->line, '\n'))) {
		*end = '\0';
		l->obey(l->arg, l->line);
		l->len -= (size_t)(end + 1 - l->line);
		memmove(l->line, end + 1, l->len + 1);
	}
}

/* base, obey and arg are set. -1: it cannot be listened for. */
static inline int lines_start(struct lines *l)
{
	l->in = event_new(l->base, STDIN_FILENO, EV_READ | EV_PERSIST, lines_read, l);
	return l->in && event_add(l->in, NULL) == 0 ? 0 : -1;
}

static inline void lines_stop(struct lines *l)
{
	if (l->in)
		event_free(l->in);
}

#endif
