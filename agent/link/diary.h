/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diary.h - asks memherd-actd every few seconds what it did that no result of a command tells
 * (proto/host_news.h), and hands it over as events. Each is asked for again until it was kept here:
 * it may be told twice, never not at all.
 */
#ifndef MEMHERD_AGENT_LINK_DIARY_H
#define MEMHERD_AGENT_LINK_DIARY_H

#include "proto/host_news.h"

#define DIARY_EVERY_SEC 5

struct diary;
struct event_base;
struct wire_event;

/* Keeps the event, an action's; its strings are good during the call. */
typedef void diary_keep(void *arg, const struct wire_event *e);

int diary_new(struct event_base *base, const char *socket_path, diary_keep *keep, void *arg,
	      struct diary **ret) must_use;
void diary_free(struct diary **d);

#endif
