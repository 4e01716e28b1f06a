/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/authority.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "common/fs.h"
#include "common/str.h"

static int read_line(const char *path, char *out, size_t size, struct error *err)
{
	int rc = fs_read_small(AT_FDCWD, path, out, size);

	return rc < 0 ? error_sys(err, rc, "cannot read '%s'", path) : 0;
}

int authority_load(const char *key_path, const char *uuid_path, struct authority *ret,
		   struct error *err)
{
	struct authority a;
	char key[2 * SIGN_KEY_SIZE + 16];
	char uuid[UUID_TEXT_SIZE + 16];
	int rc = fs_check_root_owned(key_path, err);

	if (rc == 0)
		rc = fs_check_root_owned(uuid_path, err);
	if (rc == 0)
		rc = read_line(key_path, key, sizeof(key), err);
	if (rc == 0)
		rc = read_line(uuid_path, uuid, sizeof(uuid), err);
	if (rc < 0)
		return rc;
	if (str_unhex(a.key, sizeof(a.key), str_trim(key)) < 0)
		return error_set(err, -EINVAL, "'%s' does not hold %d hex digits", key_path,
				 2 * SIGN_KEY_SIZE);
	if (uuid_parse(a.host_uuid, str_trim(uuid)) < 0)
		return error_set(err, -EINVAL, "'%s' does not hold a uuid", uuid_path);
	*ret = a;
	return 0;
}

int authority_check(const struct authority *a, const struct command_request *r, struct error *err)
{
	int rc = sign_check(a->key, COMMAND_DOMAIN, r->body, sizeof(r->body), r->signature);

	if (rc == -EBADMSG)
		return error_set(err, -EACCES, "the signature is not of this host's command key");
	return rc < 0 ? error_sys(err, rc, "cannot check the signature") : 0;
}

int authority_verify(const struct authority *a, const struct command_request *r,
		     struct command *ret, struct error *err)
{
	struct command c;
	int rc = authority_check(a, r, err);

	if (rc < 0)
		return rc;
	rc = command_unpack(r->body, sizeof(r->body), &c, err);
	if (rc < 0)
		return rc;
	if (memcmp(c.host_uuid, a->host_uuid, sizeof(c.host_uuid)) != 0)
		return error_set(err, -EACCES, "the command is for another host");
	*ret = c;
	return 0;
}

int authority_fresh(const struct command *c, int64_t now_us, uint64_t highest_counter,
		    uint64_t highest_fence, struct error *err)
{
	if (c->expires_us <= now_us)
		return error_set(err, -ESTALE, "the command has expired");
	if (c->expires_us > now_us + AUTHORITY_AHEAD_US)
		return error_set(err, -ESTALE,
				 "the command expires more than 10 min ahead: is a clock wrong?");
	if (c->counter <= highest_counter)
		return error_set(err, -ESTALE,
				 "counter %" PRIu64 " is not above the last one, %" PRIu64,
				 c->counter, highest_counter);
	if (c->fence < highest_fence)
		return error_set(err, -ESTALE,
				 "fence %" PRIu64
				 " is of a collector that lost the lead to %" PRIu64,
				 c->fence, highest_fence);
	return 0;
}
