/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/service.h"

#include "common/span.h"

/* The innermost unit of a path. */
static bool find_unit(const char *path, struct span *ret)
{
	bool found = false;
	struct span c;

	while (span_component(&path, &c)) {
		struct span name = span_without(c, ".service");

		/* The manager of a user's session: what runs below has its own unit, or none. */
		if (name.len == c.len || span_starts(c, "user@"))
			continue;
		*ret = name;
		found = true;
	}
	return found;
}

static bool unit_of_cgroup(const struct procfs_cgroup *cg, struct span *ret)
{
	return find_unit(cg->unified, ret) || find_unit(cg->systemd, ret) ||
	       find_unit(cg->memory, ret);
}

/* Units whose one purpose is to run others' programs. */
static bool is_launcher(struct span unit)
{
	static const char *const launchers[] = {
		"supervisor", "supervisord", "circus", "circusd",
		"runit",      "runsvdir",    "s6",     "monit",
	};

	for (size_t i = 0; i < ARRAY_SIZE(launchers); i++)
		if (span_is(unit, launchers[i]))
			return true;
	return false;
}

/* Is it the launcher itself, by the name of its program? */
static bool is_itself(const char *program, struct span unit)
{
	const char *colon = strrchr(program, ':');
	const char *plain = colon ? colon + 1 : program;
	char name[32];

	str_safe(name, sizeof(name), unit.s, unit.len);
	return str_starts(plain, name);
}

static void name_container(char *out, size_t size, const struct service_hint *hint)
{
	struct span unit;
	size_t n;

	if (hint->container_name)
		str_safe(out, size, hint->container_name, strlen(hint->container_name));
	else
		container_label(out, size, hint->container);
	if (!find_unit(hint->container->inside, &unit))
		return;
	n = strlen(out);
	if (n + 1 < size)
		span_write(out + n, size - n, "/", unit);
}

void service_name(char *out, size_t size, const struct service_hint *hint)
{
	char program[WIRE_NAME_MAX + 1];
	bool named = program_name(program, sizeof(program), &hint->program);
	struct span unit;

	if (hint->container && !hint->container->of_unit)
		name_container(out, size, hint);
	else if (unit_of_cgroup(hint->cgroup, &unit) &&
		 !(named && is_launcher(unit) && !is_itself(program, unit)))
		span_write(out, size, "", unit);
	else if (hint->container)
		name_container(out, size, hint);
	else if (named)
		str_safe(out, size, program, strlen(program));
	else
		str_copy(out, size, *hint->comm ? hint->comm : "unknown");
}

void service_of_cgroup(char *out, size_t size, const char *path, const char **ret_runtime)
{
	const char *last = strrchr(path, '/');
	struct span c = {last ? last + 1 : path, strlen(last ? last + 1 : path)};
	struct procfs_cgroup cg = {.unified = ""};
	struct container container;
	struct span unit;

	out[0] = '\0';
	*ret_runtime = "";
	str_copy(cg.unified, sizeof(cg.unified), path);
	if (container_of_cgroup(&cg, &container)) {
		container_label(out, size, &container);
		*ret_runtime = container.runtime;
		return;
	}
	if (find_unit(path, &unit))
		span_write(out, size, "", unit);
	if (*out || span_ends(c, ".slice") || span_ends(c, ".scope"))
		*ret_runtime = "systemd";
}
