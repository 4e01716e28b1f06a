/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/operators.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/fs.h"
#include "common/sign.h"
#include "common/str.h"

#define SUFFIX   ".pub"
#define AHEAD_US (60 * 1000000LL) /* that an operator's clock may be ahead of ours */

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define auto_dir __attribute__((cleanup(close_dir)))

/* The name without its end; false: not a key's. */
static bool name_of(const char *file, char out[OPERATOR_NAME_SIZE])
{
	size_t n = strlen(file);

	if (n <= strlen(SUFFIX) || *file == '.' || strcmp(file + n - strlen(SUFFIX), SUFFIX) != 0)
		return false;
	n -= strlen(SUFFIX);
	str_safe(out, OPERATOR_NAME_SIZE, file, n);
	return true;
}

static int load(const char *path, uint8_t key[SIGN_KEY_SIZE], struct error *err)
{
	char text[2 * SIGN_KEY_SIZE + 16];
	int rc = fs_check_root_owned(path, err);

	if (rc == 0)
		rc = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	else
		return rc;
	if (rc < 0)
		return error_sys(err, rc, "cannot read '%s'", path);
	if (str_unhex(key, SIGN_KEY_SIZE, str_trim(text)) < 0)
		return error_set(err, -EINVAL, "'%s' does not hold %d hex digits", path,
				 2 * SIGN_KEY_SIZE);
	return 0;
}

/* 1: signed by that key, 0: not. */
static int try_key(const char *path, const struct command_warrant *o, struct error *err)
{
	uint8_t key[SIGN_KEY_SIZE];
	int rc = load(path, key, err);

	if (rc < 0)
		return rc;
	rc = sign_check(key, COMMAND_WARRANT_DOMAIN, o->statement, sizeof(o->statement),
			o->signature);
	if (rc < 0 && rc != -EBADMSG)
		return error_sys(err, rc, "cannot check an operator's signature");
	return rc == 0;
}

static int try_all(DIR *d, const char *folder, const struct command_warrant *o,
		   char name[OPERATOR_NAME_SIZE], struct error *err)
{
	const struct dirent *entry;
	unsigned keys = 0;

	while ((entry = readdir(d))) {
		char path[PATH_MAX];
		int rc;

		if (!name_of(entry->d_name, name))
			continue;
		if (++keys > OPERATORS_MAX)
			return error_set(err, -E2BIG, "'%s' holds more than %d keys", folder,
					 OPERATORS_MAX);
		if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >=
		    (int)sizeof(path))
			return error_set(err, -ENAMETOOLONG, "'%s' is too long a name", folder);
		rc = try_key(path, o, err);
		if (rc != 0)
			return MIN_OF(rc, 0);
	}
	return error_set(err, -EACCES,
			 keys ? "the operator's signature is not of a key in '%s'"
			      : "no operator's key lies in '%s'",
			 folder);
}

int operators_check(const char *folder, const struct command_warrant *o,
		    char ret_name[OPERATOR_NAME_SIZE], struct error *err)
{
	char name[OPERATOR_NAME_SIZE] = "";
	auto_dir DIR *d = opendir(folder);
	int rc;

	if (!d && errno == ENOENT)
		return error_set(err, -EACCES, "no operator's key lies in '%s'", folder);
	if (!d)
		return error_sys(err, -errno, "cannot read '%s'", folder);
	rc = fs_check_root_owned(folder, err);
	if (rc == 0)
		rc = try_all(d, folder, o, name, err);
	if (rc == 0)
		memcpy(ret_name, name, sizeof(name));
	return rc;
}

int operators_agree(const struct command_request *r, const struct command *c, int64_t now_us,
		    int64_t reach_us, struct error *err)
{
	static const uint8_t none[COMMAND_WARRANT_HASH_SIZE];
	struct command_statement s;
	uint8_t hash[COMMAND_WARRANT_HASH_SIZE] = {0};
	int rc;

	if (r->has_warrant)
		command_warrant_hash(hash, &r->warrant);
	if (memcmp(hash, c->warrant_hash, sizeof(hash)) != 0)
		return error_set(err, -EACCES,
				 memcmp(c->warrant_hash, none, sizeof(none)) == 0
					 ? "an operator's signature came along that the command "
					   "does not speak of"
					 : "the operator's signature that the command speaks of "
					   "did not come along");
	if (!r->has_warrant)
		return 0;
	rc = command_statement_unpack(r->warrant.statement, &s, err);
	if (rc == 0)
		rc = command_statement_fits(&s, c, err);
	if (rc < 0)
		return rc;
	if (s.expires_us <= now_us)
		return error_set(err, -ESTALE, "the operator's signature has expired");
	if (s.issued_us > now_us + AHEAD_US)
		return error_set(err, -ESTALE,
				 "the operator signed in the future: is a clock wrong?");
	if (reach_us && reach_us >= s.issued_us - AHEAD_US)
		return error_set(err, -ESTALE,
				 "the operator signed before what the journal still knows: it may "
				 "have been done already, sign anew");
	return 0;
}
