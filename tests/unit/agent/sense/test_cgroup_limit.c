/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/cgroup_limit.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

#include "tests/support/test.h"

static char root[64];

/* Writes root/path, its folders too. */
static void put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		fail_msg("cannot write '%s'", full);
}

static int take_away(const char *path, unused_arg const struct stat *st, unused_arg int kind,
		     unused_arg struct FTW *at)
{
	return remove(path);
}

static int begin(unused_arg void **state)
{
	strcpy(root, "/tmp/memherd-cgroup.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int end(unused_arg void **state)
{
	return nftw(root, take_away, 8, FTW_DEPTH | FTW_PHYS);
}

static int limit_of(const char *text, int64_t *ret)
{
	struct procfs_cgroup cg;

	procfs_parse_cgroup(text, strlen(text), &cg);
	return cgroup_limit(root, &cg, ret);
}

static void the_smallest_of_the_ancestors_holds(void **state unused_arg)
{
	int64_t v;

	put("system.slice/web.service/memory.max", "max\n");
	put("system.slice/memory.max", "1000000\n");
	put("system.slice/db.service/memory.max", "500000\n");
	put("system.slice/big.service/memory.max", "9000000\n");
	assert_int_equal(limit_of("0::/system.slice/web.service\n", &v), 0);
	assert_int_equal(v, 1000000);
	assert_int_equal(limit_of("0::/system.slice/db.service\n", &v), 0);
	assert_int_equal(v, 500000);
	assert_int_equal(limit_of("0::/system.slice/big.service\n", &v), 0);
	assert_int_equal(v, 1000000);
}

static void without_a_limit_it_says_so(void **state unused_arg)
{
	int64_t v;

	put("user.slice/memory.max", "max\n");
	assert_int_equal(limit_of("0::/user.slice\n", &v), -ENODATA);
	assert_int_equal(limit_of("0::/elsewhere\n", &v), -ENOENT);
	assert_int_equal(limit_of("", &v), -ENOENT);
	put("broken.slice/memory.max", "lots\n");
	assert_int_equal(limit_of("0::/broken.slice\n", &v), -ENOENT);
}

static void version_1_has_its_own_file(void **state unused_arg)
{
	int64_t v;

	put("memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("memory/docker/a/memory.limit_in_bytes", "536870912\n");
	assert_int_equal(limit_of("4:memory:/docker/a\n0::/\n", &v), 0);
	assert_int_equal(v, 536870912);
	assert_int_equal(limit_of("4:memory:/\n0::/\n", &v), -ENODATA);
	/* seen from another namespace: what is mounted here is asked */
	put("memory/memory.limit_in_bytes", "4096\n");
	assert_int_equal(limit_of("4:memory:/../../other\n", &v), 0);
	assert_int_equal(v, 4096);
}

static void a_path_cannot_lead_out(void **state unused_arg)
{
	char path[80];
	char text[256];
	int64_t v;

	put("inside/x", "");
	put("memory.max", "max\n");
	snprintf(path, sizeof(path), "%s.outside", root);
	mkdir(path, 0755);
	snprintf(text, sizeof(text), "0::/../%s.outside\n", strrchr(root, '/') + 1);
	assert_int_equal(limit_of(text, &v), -ENODATA);
	rmdir(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_smallest_of_the_ancestors_holds, begin, end),
		cmocka_unit_test_setup_teardown(without_a_limit_it_says_so, begin, end),
		cmocka_unit_test_setup_teardown(version_1_has_its_own_file, begin, end),
		cmocka_unit_test_setup_teardown(a_path_cannot_lead_out, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
