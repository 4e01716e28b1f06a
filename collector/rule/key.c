/* SPDX-License-Identifier: Apache-2.0 */
/* The key of an alert, 'rule|host_id|kind|id': stored with it, so it must stay as it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/rule/engine.h"
#include "collector/rule/subject.h"
#include "common/str.h"

char *rule_key_format(char out[RULE_KEY_SIZE], const char *rule, int32_t host_id,
		      enum rule_kind kind, int64_t id, const char *service)
{
	int n = snprintf(out, RULE_KEY_SIZE, "%s|%" PRId32 "|%s|", rule, host_id,
			 rule_kind_names[kind]);

	if (kind == RULE_SERVICE)
		snprintf(out + n, RULE_KEY_SIZE - (size_t)n, "%s", service);
	else
		snprintf(out + n, RULE_KEY_SIZE - (size_t)n, "%" PRId64, id);
	return out;
}

/* The text up to the next '|' into out; what follows it, or NULL. */
static const char *field(const char *text, char *out, size_t size)
{
	const char *bar = strchr(text, '|');

	if (!bar || (size_t)(bar - text) >= size)
		return NULL;
	memcpy(out, text, (size_t)(bar - text));
	out[bar - text] = '\0';
	return bar + 1;
}

int rule_key_parse(const char *text, struct rule_key *ret)
{
	struct rule_key key = {.service = ""};
	char number[24];
	char kind[16];
	int64_t host_id;

	text = field(text, key.rule, sizeof(key.rule));
	if (text)
		text = field(text, number, sizeof(number));
	if (!text || str_parse_int(number, &host_id) < 0 || host_id != (int32_t)host_id)
		return -EINVAL;
	key.host_id = (int32_t)host_id;
	text = field(text, kind, sizeof(kind));
	if (!text || rule_kind_find(kind) < 0)
		return -EINVAL;
	key.kind = (enum rule_kind)rule_kind_find(kind);
	if (key.kind == RULE_SERVICE) {
		key.service = text;
		key.id = subject_service_id(text);
	} else if (str_parse_int(text, &key.id) < 0) {
		return -EINVAL;
	}
	*ret = key;
	return 0;
}
