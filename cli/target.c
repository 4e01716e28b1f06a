/* SPDX-License-Identifier: Apache-2.0 */
/* TARGET: which process is meant. */
#include <string.h>

#include "cli/cli.h"
#include "common/str.h"

#define TARGET_MAX 512

static int no_process(const char *target)
{
	char safe[4 * TARGET_MAX];

	str_safe(safe, sizeof(safe), target, MIN_OF(strlen(target), (size_t)TARGET_MAX));
	fprintf(stderr, "memherd: there is no process '%s' (HOST:PID or HOST/SERVICE)\n", safe);
	return CLI_NOT_FOUND;
}

/* text[0 .. len) for a path. */
static bool escape(struct cli *c, const char *text, size_t len, char *out, size_t size)
{
	char part[TARGET_MAX];

	if (len == 0 || len >= sizeof(part))
		return false;
	memcpy(part, text, len);
	part[len] = '\0';
	return rest_escape(c->rest, part, out, size) == 0;
}

bool cli_target_service(struct cli *c, const char *target, char *host, char *service, size_t size)
{
	const char *mark = strchr(target, '/');

	return mark && escape(c, target, (size_t)(mark - target), host, size) &&
	       escape(c, mark + 1, strlen(mark + 1), service, size);
}

static bool path_of(struct cli *c, const char *target, char *path, size_t size)
{
	const char *mark = strrchr(target, ':');
	char host[3 * TARGET_MAX];
	char service[3 * TARGET_MAX];
	int64_t pid;

	if (cli_target_service(c, target, host, service, sizeof(host))) {
		snprintf(path, size, "/hosts/%s/processes?limit=1&service=%s", host, service);
		return true;
	}
	if (!mark || str_parse_int(mark + 1, &pid) < 0 || pid < 1 || pid > INT32_MAX ||
	    !escape(c, target, (size_t)(mark - target), host, sizeof(host)))
		return false;
	snprintf(path, size, "/hosts/%s/processes?limit=1&pid=%lld", host, (long long)pid);
	return true;
}

int cli_target(struct cli *c, const char *target, json_t **ret)
{
	char path[8 * TARGET_MAX];
	json_t *answer = NULL;
	const json_t *first;
	int code;

	if (!path_of(c, target, path, sizeof(path)))
		return no_process(target);
	code = cli_get(c, path, &answer);
	if (code)
		return code;
	first = json_array_get(json_object_get(answer, "items"), 0);
	if (field_text(first, "id"))
		*ret = json_incref((json_t *)(void *)first);
	else
		code = no_process(target);
	json_decref(answer);
	return code;
}
