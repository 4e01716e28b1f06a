/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/fleet/adopter.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/fleet/ingest.h"
#include "collector/fleet/registry.h"
#include "collector/store/store.h"

#define ADOPTER_MAGIC 0x61646f70u

struct adopter {
	unsigned magic;
	struct store *store;
	struct registry registry;
	struct ingest *ingest; /* NULL between two */
	bool lost;             /* there was no memory for something */
};

/* Nobody looks at these samples. */
static const struct ingest_ops no_ops;

static void on_row(void *arg, const struct store_replayed *row)
{
	static const uint8_t no_uuid[16];
	struct adopter *a = arg;
	struct host *h;

	MAGIC_CHECK(a, ADOPTER_MAGIC);
	if (!a->ingest && ingest_new(&a->registry, a->store, &no_ops, NULL, &a->ingest) < 0) {
		a->lost = true;
		return;
	}
	h = registry_find_host(&a->registry, row->host_id);
	if (!h)
		h = registry_host(&a->registry, row->host_id, no_uuid, "");
	if (h)
		ingest_replay(a->ingest, h, row);
	else
		a->lost = true;
}

static bool is_whole(void *arg)
{
	const struct adopter *a = arg;

	MAGIC_CHECK(a, ADOPTER_MAGIC);
	return !a->lost && (!a->ingest || !ingest_stats(a->ingest)->unwindowed);
}

static void on_end(void *arg)
{
	struct adopter *a = arg;

	MAGIC_CHECK(a, ADOPTER_MAGIC);
	ingest_free(&a->ingest);
	registry_fini(&a->registry);
	registry_init(&a->registry);
	a->lost = false;
}

int adopter_new(struct store *store, int64_t silent_us, struct adopter **ret)
{
	struct store_adopt_ops ops = {.row = on_row, .whole = is_whole, .end = on_end};
	struct adopter *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->magic = ADOPTER_MAGIC;
	a->store = store;
	registry_init(&a->registry);
	ops.arg = a;
	store_adopt(store, silent_us, &ops);
	*ret = a;
	return 0;
}

void adopter_free(struct adopter **slot)
{
	struct adopter *a = take_ptr(*slot);

	if (!a)
		return;
	ingest_free(&a->ingest);
	registry_fini(&a->registry);
	a->magic = 0;
	free(a);
}
