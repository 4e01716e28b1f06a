/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/command/effect.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

const int64_t effect_stages_s[EFFECT_STAGES] = {5, 60, 600};

const char *effect_verdict_word(enum effect_verdict v)
{
	static const char *const words[] = {
#define X(NAME, word) [EFFECT_##NAME] = #word,
		EFFECT_VERDICT_LIST(X)
#undef X
	};

	return words[v];
}

int effect_stage(const int64_t stages_s[EFFECT_STAGES], int64_t elapsed_s)
{
	int stage = -1;

	while (stage + 1 < EFFECT_STAGES && stages_s[stage + 1] <= elapsed_s)
		stage++;
	return stage;
}

/* ---- JSON ---- */

static bool take_id(const json_t *o, const char *key, int64_t *ret)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text && str_parse_int(text, ret) == 0;
}

static bool take_int(const json_t *o, const char *key, int64_t *ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = json_is_null(v) ? -1 : json_integer_value(v);
	return json_is_integer(v) || json_is_null(v);
}

static bool take(const json_t *o, struct effect *e)
{
	const char *time = json_string_value(json_object_get(o, "time"));

	return time && str_parse_time(time, 0, &e->t_us) == 0 &&
	       take_id(o, "process_id", &e->proc_id) && take_int(o, "after_seconds", &e->after_s) &&
	       take_int(o, "pid", &e->pid) && take_int(o, "rss_bytes", &e->rss) &&
	       take_int(o, "pss_bytes", &e->pss);
}

int effects_parse(const char *text, struct effects *ret)
{
	json_t *list;
	int rc = 0;

	*ret = (struct effects){.n = 0};
	if (!*text)
		return 0;
	list = json_loads(text, 0, NULL);
	if (!json_is_array(list) || json_array_size(list) > EFFECT_STAGES)
		rc = -EBADMSG;
	for (size_t i = 0; !rc && i < json_array_size(list); i++)
		if (!take(json_array_get(list, i), &ret->at[ret->n++]))
			rc = -EBADMSG;
	if (rc)
		ret->n = 0;
	json_decref(list);
	return rc;
}

int effects_format(const struct effects *e, char out[EFFECT_TEXT_SIZE])
{
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < e->n; i++) {
		const struct effect *one = &e->at[i];
		char time[STR_TIME_SIZE], pss[24] = "null";

		if (one->pss >= 0)
			snprintf(pss, sizeof(pss), "%" PRId64, one->pss);
		len += (size_t)snprintf(out + len, EFFECT_TEXT_SIZE - len,
					"%s{\"after_seconds\":%" PRId64
					",\"time\":\"%s\",\"process_id\":\"%" PRId64
					"\",\"pid\":%" PRId64 ",\"rss_bytes\":%" PRId64
					",\"pss_bytes\":%s}%s",
					i ? "," : "[", one->after_s, str_time(time, one->t_us),
					one->proc_id, one->pid, one->rss, pss,
					i + 1 == e->n ? "]" : "");
		if (len >= EFFECT_TEXT_SIZE)
			return -ENOBUFS;
	}
	return 0;
}

/* ---- the verdict ---- */

static bool is_less(int64_t before, int64_t rss)
{
	return rss >= 0 && (double)rss * 100 < (double)before * EFFECT_NONE_PERCENT;
}

enum effect_verdict effects_judge(int64_t before, int64_t after, const struct effects *e)
{
	int64_t least = after >= 0 ? after : before;
	int64_t last;

	if (!e->n)
		return EFFECT_GONE;
	last = e->at[e->n - 1].rss;
	for (unsigned i = 0; i < e->n; i++)
		least = MIN_OF(least, e->at[i].rss);
	if (!is_less(before, least))
		return EFFECT_INEFFECTIVE;
	if (!is_less(before, last) || last - least > (before - least) / 2)
		return EFFECT_REGREW;
	return EFFECT_GAINED;
}
