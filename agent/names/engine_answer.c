/* SPDX-License-Identifier: Apache-2.0 */
/* The pure half of engine.h: bytes of an HTTP answer with a ContainerInspect in it. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/names/engine.h"
#include "common/str.h"
#include "common/unix_http.h"

static int find_body(const char *s, size_t len, const char **ret, struct error *err)
{
	size_t at = 0;
	int status = unix_http_parse(s, len, &at, err);

	if (status < 0)
		return status;
	if (status == 404)
		return error_set(err, -ENOENT, "the engine does not know the container");
	if (status != 200)
		return error_set(err, -EBADMSG, "the engine answered with status %d", status);
	*ret = s + at;
	return 0;
}

/* A text member of o made safe; "" when it is none. */
static void take_text(const json_t *o, const char *key, char out[NAMES_TEXT_SIZE])
{
	const json_t *v = json_object_get(o, key);

	out[0] = '\0';
	if (json_is_string(v))
		str_safe(out, NAMES_TEXT_SIZE, json_string_value(v), json_string_length(v));
}

/* 'project_service' of compose, 'k8s:namespace/container' of a kubelet. */
static bool service_of_labels(const json_t *labels, char out[NAMES_TEXT_SIZE])
{
	static const struct {
		const char *group;
		const char *member;
		const char *prefix;
		char between;
	} pairs[] = {
		{"com.docker.compose.project", "com.docker.compose.service", "", '_'},
		{"io.podman.compose.project", "io.podman.compose.service", "", '_'},
		{"io.podman.compose.project", "com.docker.compose.service", "", '_'},
		{"io.kubernetes.pod.namespace", "io.kubernetes.container.name", "k8s:", '/'},
	};
	char group[NAMES_TEXT_SIZE];
	char member[NAMES_TEXT_SIZE];
	char both[2 * NAMES_TEXT_SIZE + 8];
	int n;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		take_text(labels, pairs[i].group, group);
		take_text(labels, pairs[i].member, member);
		if (!*group || !*member)
			continue;
		n = snprintf(both, sizeof(both), "%s%s%c%s", pairs[i].prefix, group,
			     pairs[i].between, member);
		str_safe(out, NAMES_TEXT_SIZE, both, (size_t)n);
		return true;
	}
	return false;
}

static int take_container(const json_t *root, const char id[NAMES_ID_LEN], struct names_answer *a)
{
	const json_t *config = json_object_get(root, "Config");
	char its_id[NAMES_TEXT_SIZE];
	char name[NAMES_TEXT_SIZE];

	take_text(root, "Id", its_id);
	if (strlen(its_id) != NAMES_ID_LEN || memcmp(its_id, id, NAMES_ID_LEN) != 0)
		return -EBADMSG;
	take_text(root, "Name", name);
	/* Docker's names begin with the path of a parent that is always '/' */
	str_copy(a->name, sizeof(a->name), *name == '/' ? name + 1 : name);
	take_text(config, "Image", a->image);
	if (!service_of_labels(json_object_get(config, "Labels"), a->service))
		str_copy(a->service, sizeof(a->service), a->name);
	return *a->name ? 0 : -EBADMSG;
}

int engine_parse(const void *answer, size_t len, const char id[NAMES_ID_LEN],
		 struct names_answer *ret, struct error *err)
{
	struct names_answer a = {.status = NAMES_KNOWN};
	const char *body = NULL;
	json_error_t why;
	json_t *root;
	int r = find_body(answer, len, &body, err);

	if (r < 0)
		return r;
	root = json_loadb(body, len - (size_t)(body - (const char *)answer), 0, &why);
	if (!root)
		return error_set(err, -EBADMSG, "the engine's answer is not JSON: %s", why.text);
	r = take_container(root, id, &a);
	json_decref(root);
	if (r < 0)
		return error_set(err, r, "the engine's answer is not about that container");
	memcpy(a.id, id, sizeof(a.id));
	*ret = a;
	return 0;
}
