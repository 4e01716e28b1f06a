/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/api/top.h"

#include "tests/support/test.h"

struct row {
	int key;
	int id;
};

static int by_key(const void *a, const void *b)
{
	const struct row *x = a;
	const struct row *y = b;

	return x->key != y->key ? y->key - x->key : x->id - y->id;
}

/* Small enough for ties, the same at each run. */
static int next_key(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return (int)(*seed >> 16) % 50;
}

/* Of every size, whatever the order they come in: as a sort of all would have it. */
static void the_first_of_many_are_those_of_a_sort_of_all(void **state unused_arg)
{
	for (size_t n = 0; n < 200; n += 7) {
		for (size_t max = 1; max < 40; max++) {
			unsigned seed = (unsigned)(n * 41 + max);
			struct row all[200];
			struct top t;

			assert_int_equal(top_init(&t, max, sizeof(struct row), by_key), 0);
			for (size_t i = 0; i < n; i++) {
				all[i] = (struct row){next_key(&seed), (int)i};
				top_add(&t, &all[i]);
			}
			qsort(all, n, sizeof(all[0]), by_key);
			top_sort(&t);
			assert_int_equal(t.n, n < max ? n : max);
			for (size_t i = 0; i < t.n; i++)
				assert_memory_equal(top_get(&t, i), &all[i], sizeof(all[i]));
			top_fini(&t);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_of_many_are_those_of_a_sort_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
