/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/pulse.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "collector/store/db.h"
#include "common/clock.h"

#define PULSE_MAGIC 0x70756c73u /* 'puls' */

struct pulse {
	unsigned magic;
	struct db *db;
	struct event *timer;
	int64_t asked_us; /* boot clock; 0 = nothing is asked */
};

static void on_answer(void *arg, int rc unused_arg, const struct db_result *r unused_arg,
		      const struct error *err unused_arg)
{
	struct pulse *p = arg;

	MAGIC_CHECK(p, PULSE_MAGIC);
	p->asked_us = 0;
}

static void on_second(evutil_socket_t fd unused_arg, short what unused_arg, void *arg)
{
	struct pulse *p = arg;

	MAGIC_CHECK(p, PULSE_MAGIC);
	if (p->asked_us || !db_ready(p->db))
		return;
	if (db_query(p->db, Q_PING, NULL, 0, on_answer, p) == 0)
		p->asked_us = clock_boot_us();
}

int pulse_new(struct event_base *base, struct db *db, struct pulse **ret)
{
	const struct timeval second = {.tv_sec = 1};
	struct pulse *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->magic = PULSE_MAGIC;
	p->db = db;
	if (db) {
		p->timer = event_new(base, -1, EV_PERSIST, on_second, p);
		if (!p->timer || event_add(p->timer, &second) < 0) {
			pulse_free(&p);
			return -ENOMEM;
		}
	}
	*ret = p;
	return 0;
}

void pulse_free(struct pulse **slot)
{
	struct pulse *p = take_ptr(*slot);

	if (!p)
		return;
	if (p->timer)
		event_free(p->timer);
	p->magic = 0;
	free(p);
}

static bool is_late(const struct pulse *p)
{
	return p->asked_us && clock_boot_us() - p->asked_us > PULSE_LATE_US;
}

bool pulse_alive(const struct pulse *p)
{
	return p->db && db_ready(p->db) && !is_late(p);
}

const char *pulse_trouble(const struct pulse *p)
{
	if (!p->db)
		return "no database is configured";
	if (!db_ready(p->db))
		return db_trouble(p->db);
	return is_late(p) ? "the database does not answer" : "";
}
