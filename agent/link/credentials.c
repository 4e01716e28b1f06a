/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link/credentials.h"

#include <errno.h>
#include <fcntl.h>

#include "common/fs.h"
#include "common/str.h"
#include "common/tls.h"

int credentials_check(const struct agent_options *o, struct error *err)
{
	auto_free char *cert = options_state_path(o, CREDENTIALS_CERT);

	if (!cert)
		return error_set(err, -ENOMEM, "no memory");
	if (access(cert, F_OK) < 0)
		return error_sys(err, -errno,
				 "this host is not enrolled (memherd-agent enroll does that): '%s'",
				 cert);
	return 0;
}

int credentials_address(const struct agent_options *o, unsigned which, char host[OPTIONS_HOST_SIZE],
			uint16_t *port, struct error *err)
{
	auto_free char *path = options_state_path(o, CREDENTIALS_COLLECTOR);
	char text[OPTIONS_HOST_SIZE + 16];
	int n;

	if (*o->collector)
		return options_collector(o->collector, which, host, port);
	if (!path)
		return error_set(err, -ENOMEM, "no memory");
	n = fs_read_small(AT_FDCWD, path, text, sizeof(text));
	if (n < 0)
		return error_sys(err, n, "no option 'collector', and cannot read '%s'", path);
	if (options_parse_address(str_trim(text), host, port) < 0)
		return error_set(err, -EINVAL, "'%s' holds no host:port", path);
	return 0;
}

int credentials_load(const struct agent_options *o, struct tls_ctx **ret, struct error *err)
{
	auto_free char *ca = options_state_path(o, CREDENTIALS_CA);
	auto_free char *cert = options_state_path(o, CREDENTIALS_CERT);
	auto_free char *key = options_state_path(o, CREDENTIALS_KEY);
	const struct tls_files files = {.ca = ca, .cert = cert, .key = key};
	int rc = credentials_check(o, err);

	if (rc < 0)
		return rc;
	if (!ca || !cert || !key)
		return error_set(err, -ENOMEM, "no memory");
	return tls_ctx_new(TLS_STREAM_CLIENT, &files, ret, err);
}
