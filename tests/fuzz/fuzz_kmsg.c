/* SPDX-License-Identifier: Apache-2.0 */
/* Records of /dev/kmsg, one behind the other, through the watch and into words: a record ends as in
 * the fixtures, at a newline that no space follows. */
#include <string.h>

#include "agent/sense/oom/explain.h"
#include "agent/sense/oom/report.h"
#include "common/str.h"
#include "tests/fuzz/kmsg_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t limit)
{
	if (strnlen(s, limit) >= limit || !str_is_safe(s, strlen(s)))
		abort();
}

static void check_kill(struct oom_kill *k)
{
	const struct explain_facts facts = {.grower = "x (pid 1)", .grower_pid = 1};
	char out[EXPLAIN_SENTENCE_SIZE];
	char advice[EXPLAIN_MAX_ADVICE][EXPLAIN_ADVICE_SIZE];
	size_t n;

	if (k->n_tasks > OOM_MAX_TASKS || k->n_tasks > k->tasks_seen || (k->n_tasks && !k->tasks) ||
	    strnlen(k->comm, sizeof(k->comm)) == sizeof(k->comm) ||
	    strnlen(k->limit_cgroup, OOM_PATH_SIZE) == OOM_PATH_SIZE ||
	    strnlen(k->victim_cgroup, OOM_PATH_SIZE) == OOM_PATH_SIZE)
		abort();
	(void)oom_kill_rss(k);
	if (explain_kill(out, sizeof(out), k, &facts) != strlen(out))
		abort();
	check_text(out, sizeof(out));
	n = explain_advice(advice, k, &facts);
	for (size_t i = 0; i < n; i++)
		check_text(advice[i], EXPLAIN_ADVICE_SIZE);
	oom_kill_fini(k);
}

static void feed(struct oom_watch *w, const uint8_t *p, size_t len)
{
	static struct kmsg_record rec;
	static struct oom_event e;

	if (kmsg_parse(p, len, &rec) < 0)
		return;
	if (rec.len >= sizeof(rec.text) || rec.text[rec.len])
		abort();
	if (oom_watch_feed(w, &rec, 1, &e)) {
		if (e.kind == OOM_EVENT_KILL)
			check_kill(&e.kill);
		if (rec.facility && e.kind != OOM_EVENT_KILLER)
			abort();
	}
	if (oom_watch_size(w) > 65536)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	kmsg_feed(data, size, feed);
	return 0;
}
