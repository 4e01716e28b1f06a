/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/breaker.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/command/ledger.h"
#include "collector/store/store_breaker.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define BREAKER_MAGIC 0x6272656bu
#define EVERY_US      (5 * USEC_PER_SEC)

struct breaker {
	unsigned magic;
	struct breaker_config config;
	int64_t next_us; /* boot clock */
	bool asking;
	bool ending;
	unsigned writing;
};

static void on_tripped(void *arg, int rc, const struct action_row *row,
		       const struct command_request *body unused_arg, const struct error *err)
{
	struct breaker *b = arg;

	MAGIC_CHECK(b, BREAKER_MAGIC);
	b->writing--;
	if (rc == 0)
		b->config.tripped(b->config.arg, row);
	else if (rc != -ENOENT)
		log_warn("breaker error=\"cannot open it: %s\"", err ? err->msg : "");
}

static void on_due(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct breaker *b = arg;

	MAGIC_CHECK(b, BREAKER_MAGIC);
	b->asking = false;
	if (rc < 0)
		log_debug("breaker error=\"%s\"", err ? err->msg : "");
	for (size_t i = 0; rc >= 0 && i < db_rows(r); i++) {
		struct action_row row = {.host_id = 0};

		(void)str_copy(row.actor, sizeof(row.actor), db_text(r, i, 0));
		(void)str_copy(row.action, sizeof(row.action), db_text(r, i, 1));
		if (ledger_trip(b->config.ledger, &row, on_tripped, b) == 0)
			b->writing++;
	}
}

static void on_over(void *arg, int rc, const struct db_result *r, const struct error *err)
{
	struct breaker *b = arg;

	MAGIC_CHECK(b, BREAKER_MAGIC);
	b->ending = false;
	if (rc < 0)
		log_debug("breaker error=\"%s\"", err ? err->msg : "");
	for (size_t i = 0; rc >= 0 && i < db_rows(r); i++)
		log_info("breaker actor=\"%s\" action=%s event=closed", db_text(r, i, 0),
			 db_text(r, i, 1));
}

void breaker_turn(struct breaker *b)
{
	int64_t now_us = clock_wall_us();

	MAGIC_CHECK(b, BREAKER_MAGIC);
	if (clock_boot_us() < b->next_us)
		return;
	b->next_us = clock_boot_us() + EVERY_US;
	if (b->config.results && !b->asking && !b->writing &&
	    store_breaker_due(b->config.db, now_us, b->config.results, on_due, b) == 0)
		b->asking = true;
	if (!b->ending && store_breaker_over(b->config.db, now_us, on_over, b) == 0)
		b->ending = true;
}

int breaker_new(const struct breaker_config *c, struct breaker **ret)
{
	struct breaker *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->magic = BREAKER_MAGIC;
	b->config = *c;
	*ret = b;
	return 0;
}

void breaker_free(struct breaker **slot)
{
	struct breaker *b = take_ptr(*slot);

	if (!b)
		return;
	b->magic = 0;
	free(b);
}
