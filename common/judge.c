/* SPDX-License-Identifier: Apache-2.0 */
#include "common/judge.h"

#include "common/address.h"
#include "common/log.h"

const char *judge_path(const char *value)
{
	return *value == '/' ? NULL : "an absolute path";
}

const char *judge_path_or_none(const char *value)
{
	return !*value || *value == '/' ? NULL : "an absolute path, or nothing";
}

const char *judge_address(const char *value)
{
	char host[ADDRESS_HOST_SIZE];
	uint16_t port;

	return address_parse(value, host, &port) == 0 ? NULL : "address:port";
}

const char *judge_log_level(const char *value)
{
	return log_find_level(value) >= 0 ? NULL : "error, warn, info or debug";
}

const char *judge_log_format(const char *value)
{
	return log_find_format(value) >= 0 ? NULL : "text or json";
}
