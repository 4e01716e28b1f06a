/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/fs.h"
#include "common/str.h"

#define PATH_SIZE      4096
#define UUID_FILE_SIZE 64

int identity_path(char *out, size_t size, const char *state_dir, const char *name,
		  struct error *err)
{
	int n = snprintf(out, size, "%s/%s", state_dir, name);

	if (n < 0 || (size_t)n >= size)
		return error_set(err, -EINVAL, "state_dir = '%s': too long", state_dir);
	return 0;
}

static int open_tls(struct identity *id, const char *dir, struct error *err)
{
	char cert[PATH_SIZE];
	char key[PATH_SIZE];
	char ca[PATH_SIZE];
	const struct tls_files files = {.ca = ca, .cert = cert, .key = key};
	int rc = 0;

	if (identity_path(cert, sizeof(cert), dir, "server.pem", err) < 0 ||
	    identity_path(key, sizeof(key), dir, "server.key", err) < 0 ||
	    identity_path(ca, sizeof(ca), dir, "ca.pem", err) < 0)
		return -EINVAL;
	rc = tls_ca_server(id->ca, dir, err);
	if (!rc)
		rc = tls_ctx_new(TLS_STREAM_SERVER, &files, &id->stream, err);
	if (!rc)
		rc = tls_ctx_new(TLS_ENROL_SERVER, &files, &id->enroll, err);
	if (!rc)
		rc = tls_ctx_new(TLS_WEB_SERVER, &files, &id->web, err);
	return rc;
}

/* Agents believe one CA and one command key: collectors of one database share both. */
static void set_fleet(struct identity *id)
{
	uint8_t both[TLS_PIN_SIZE + SIGN_KEY_SIZE];

	tls_ca_pin(id->ca, id->pin);
	memcpy(both, id->pin, TLS_PIN_SIZE);
	memcpy(both + TLS_PIN_SIZE, id->command_public, SIGN_KEY_SIZE);
	sha256(id->fleet, both, sizeof(both));
}

/* Which collector this is, over restarts. */
static int open_uuid(struct identity *id, const char *dir, struct error *err)
{
	char path[PATH_SIZE];
	char text[UUID_FILE_SIZE];
	int rc = identity_path(path, sizeof(path), dir, "collector.uuid", err);

	if (rc < 0)
		return rc;
	rc = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	if (rc >= 0)
		return uuid_parse(id->uuid, str_trim(text)) < 0
			       ? error_set(err, -EINVAL, "'%s' holds no UUID", path)
			       : 0;
	if (rc != -ENOENT)
		return error_sys(err, rc, "'%s'", path);
	random_bytes(id->uuid, sizeof(id->uuid));
	id->uuid[6] = (uint8_t)((id->uuid[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
	id->uuid[8] = (uint8_t)((id->uuid[8] & 0x3f) | 0x80);
	uuid_text(text, id->uuid);
	return fs_write(path, 0600, text, strlen(text), err);
}

int identity_open(const char *dir, struct identity *id, struct error *err)
{
	char key[PATH_SIZE];
	int rc = fs_mkdir(dir, 0700, err);

	if (!rc)
		rc = identity_path(key, sizeof(key), dir, "command.key", err);
	if (!rc)
		rc = tls_ca_open(dir, &id->ca, err);
	if (!rc)
		rc = sign_key_open(key, &id->command_key, err);
	if (!rc && sign_key_public(id->command_key, id->command_public) < 0)
		rc = error_set(err, -EIO, "'%s' has no public key", key);
	if (rc)
		return rc;
	set_fleet(id);
	rc = open_uuid(id, dir, err);
	return rc < 0 ? rc : open_tls(id, dir, err);
}

void identity_fini(struct identity *id)
{
	sign_key_free(&id->command_key);
	tls_ctx_free(&id->web);
	tls_ctx_free(&id->enroll);
	tls_ctx_free(&id->stream);
	tls_ca_free(&id->ca);
}
