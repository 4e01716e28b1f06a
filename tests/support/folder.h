/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.h - a folder of fixtures that a test fills and that is removed with all that is in it.
 */
#ifndef MEMHERD_TESTS_SUPPORT_FOLDER_H
#define MEMHERD_TESTS_SUPPORT_FOLDER_H

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "tests/support/test.h"

static char folder[64];

static inline int folder_begin(unused_arg void **state)
{
	strcpy(folder, "/tmp/memherd-test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static inline int folder_take_away(const char *path, unused_arg const struct stat *st,
				   unused_arg int kind, unused_arg struct FTW *at)
{
	return remove(path);
}

static inline int folder_end(unused_arg void **state)
{
	return nftw(folder, folder_take_away, 8, FTW_DEPTH | FTW_PHYS);
}

/* Removes one entry and all below it. */
static inline void folder_remove(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", folder, path);
	assert_int_equal(nftw(full, folder_take_away, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Writes folder/path, its folders too. */
static inline void folder_put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", folder, path);
	for (char *p = full + strlen(folder) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		fail_msg("cannot write '%s'", full);
}

#endif
