/* SPDX-License-Identifier: Apache-2.0 */
/* Each file of proto/golden is a message as a released version wrote it: it must still be
 * understood, and the same struct must still give the same bytes. */
#include "proto/wire.h"

#include "common/fs.h"
#include "tests/support/test.h"

#define GOLDEN(version, name) GOLDEN_OF(version, name, name)
/* Of the message 'kind', in a file of another name. */
#define GOLDEN_OF(version, name, kind)                                                \
	static void name##_##version(void **state unused_arg)                         \
	{                                                                             \
		auto_buf struct buf file = BUF_INIT(65536), packed = BUF_INIT(65536); \
		auto_arena struct arena a;                                            \
		struct wire_##kind m;                                                 \
		struct error err = {""};                                              \
                                                                                      \
		arena_init(&a, WIRE_BUDGET(65536));                                   \
		if (fs_read("proto/golden/" #version "/" #name, &file, &err) < 0 ||   \
		    wire_unpack_##kind(&a, file.data, file.len, &m, &err) < 0)        \
			fail_msg("%s", err.msg);                                      \
		wire_pack_##kind(&packed, &m);                                        \
		assert_int_equal(packed.len, file.len);                               \
		assert_memory_equal(packed.data, file.data, file.len);                \
	}
#define X(name) GOLDEN(v1, name)
WIRE_MESSAGE_LIST(X)
#undef X
GOLDEN_OF(v1, command_warrant, command)

int main(void)
{
	const struct CMUnitTest tests[] = {
#define X(name) cmocka_unit_test(name##_v1),
		WIRE_MESSAGE_LIST(X)
#undef X
			cmocka_unit_test(command_warrant_v1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
