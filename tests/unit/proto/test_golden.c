/* SPDX-License-Identifier: Apache-2.0 */
/* Each file of proto/golden is a message as a released version wrote it: it must still be
 * understood, and the same struct must still give the same bytes. */
#include "proto/wire.h"

#include "common/fs.h"
#include "tests/support/test.h"

#define GOLDEN(version, name)                                                         \
	static void name##_##version(void **state unused_arg)                         \
	{                                                                             \
		auto_buf struct buf file = BUF_INIT(65536), packed = BUF_INIT(65536); \
		auto_arena struct arena a;                                            \
		struct wire_##name m;                                                 \
		struct error err = {""};                                              \
                                                                                      \
		arena_init(&a, WIRE_BUDGET(65536));                                   \
		if (fs_read("proto/golden/" #version "/" #name, &file, &err) < 0 ||   \
		    wire_unpack_##name(&a, file.data, file.len, &m, &err) < 0)        \
			fail_msg("%s", err.msg);                                      \
		wire_pack_##name(&packed, &m);                                        \
		assert_int_equal(packed.len, file.len);                               \
		assert_memory_equal(packed.data, file.data, file.len);                \
	}
#define X(name) GOLDEN(v1, name)
WIRE_MESSAGE_LIST(X)
#undef X

int main(void)
{
	const struct CMUnitTest tests[] = {
#define X(name) cmocka_unit_test(name##_v1),
		WIRE_MESSAGE_LIST(X)
#undef X
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
