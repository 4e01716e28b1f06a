/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/asker.h"

#include <stdlib.h>
#include <utlist.h>

#define ASKER_MAGIC 0x61736b65u

struct asker *asker_new(struct dispatch *d, struct asker **list, dispatch_done *done, void *arg)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	*a = (struct asker){
		.magic = ASKER_MAGIC, .dispatch = d, .list = list, .done = done, .arg = arg};
	DL_APPEND(*list, a);
	return a;
}

void asker_free(struct asker **slot)
{
	struct asker *a = take_ptr(*slot);

	if (!a)
		return;
	DL_DELETE(*a->list, a);
	a->magic = 0;
	free(a);
}

void asker_free_all(struct asker **list)
{
	while (*list) {
		struct asker *a = *list;

		asker_free(&a);
	}
}

struct asker *asker_of(void *arg)
{
	struct asker *a = arg;

	MAGIC_CHECK(a, ASKER_MAGIC);
	return a;
}

void asker_tell(struct asker *a, int rc, const struct action_row *row, const struct error *err)
{
	dispatch_done *done = a->done;
	void *arg = a->arg;

	asker_free(&a);
	if (done)
		done(arg, rc, rc >= 0 ? row : NULL, err);
}
