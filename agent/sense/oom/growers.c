/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/growers.h"

#include <string.h>

static bool is_size(int64_t v)
{
	return v >= 0 && v <= DOSSIER_MAX_KIB;
}

static int64_t ring_had(uint32_t v)
{
	return v == RING_ABSENT ? 0 : v;
}

static const struct ring_grown *grown_of(const struct dossier_facts *f, uint32_t slot)
{
	size_t low = 0;
	size_t high = f->n_grown;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->grown[mid].slot < slot)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->n_grown && f->grown[low].slot == slot ? &f->grown[low] : NULL;
}

static int64_t row_size(const struct oom_task *row)
{
	int64_t rss = row->v[OOM_TASK_RSS];
	int64_t swap = row->v[OOM_TASK_SWAP];

	return is_size(rss) ? rss + (is_size(swap) ? swap : 0) : METRIC_ABSENT;
}

/* What it has now, as exactly as it is known. */
static int64_t size_now(const struct dossier_facts *f, const struct grower *g)
{
	int64_t size = METRIC_ABSENT;

	if (g->row)
		size = row_size(g->row);
	if (size == METRIC_ABSENT && g->pid == f->kill->pid)
		size = oom_kill_rss(f->kill);
	if (!is_size(size))
		size = METRIC_ABSENT;
	if (size == METRIC_ABSENT && g->grown && g->grown->rss != RING_ABSENT)
		size = (int64_t)g->grown->rss + ring_had(g->grown->swap);
	return size;
}

static int64_t gain_over(const struct dossier_facts *f, const struct grower *g, unsigned i)
{
	const struct ring_grown *r = g->grown;

	if (g->size == METRIC_ABSENT)
		return METRIC_ABSENT;
	if (!r)
		return g->unheard ? g->size : METRIC_ABSENT;
	if (r->rss_then[i] != RING_ABSENT)
		return g->size - r->rss_then[i] - ring_had(r->swap_then[i]);
	/* Born within the span, before our eyes: it had nothing. */
	if (r->who->fresh && r->who->birth_us > f->now_us - f->spans_us[i])
		return g->size;
	return METRIC_ABSENT;
}

static void weigh(const struct dossier_facts *f, struct grower *g)
{
	int64_t last = 0;

	g->size = size_now(f, g);
	g->score = 0;
	for (unsigned i = 0; i < RING_SPANS; i++) {
		g->gain[i] = gain_over(f, g, i);
		/* A ring that does not reach back so far must not make the young look larger. */
		last = g->gain[i] != METRIC_ABSENT ? g->gain[i] : last;
		g->score += last;
	}
}

void grower_of(const struct dossier_facts *f, int64_t pid, const struct oom_task *row,
	       struct grower *ret)
{
	uint32_t slot = RING_NO_SLOT;
	enum dossier_known known =
		f->replayed || pid <= 0 ? DOSSIER_UNKNOWN : f->find(f->arg, pid, &slot);

	*ret = (struct grower){.pid = pid, .row = row, .unheard = known == DOSSIER_NEW};
	if (known == DOSSIER_KNOWN)
		ret->grown = grown_of(f, slot);
	weigh(f, ret);
}

/* ---- who counts ---- */

bool grower_path_holds(const char *outer, const char *inner)
{
	size_t n = strlen(outer);

	while (n && outer[n - 1] == '/')
		n--;
	return strncmp(outer, inner, n) == 0 && (!n || !inner[n] || inner[n] == '/');
}

static bool inside(const struct dossier_facts *f, const struct ring_who *who)
{
	const char *path;

	if (!*f->kill->limit_cgroup || who->pid == f->kill->pid)
		return true;
	path = f->cgroup(f->arg, who);
	return path && grower_path_holds(f->kill->limit_cgroup, path);
}

static int64_t row_pid(const struct oom_task *row)
{
	return row->v[OOM_TASK_TGID] != METRIC_ABSENT ? row->v[OOM_TASK_TGID]
						      : row->v[OOM_TASK_PID];
}

static bool is_listed(const struct oom_kill *k, int64_t pid)
{
	for (size_t i = 0; i < k->n_tasks; i++)
		if (row_pid(&k->tasks[i]) == pid)
			return true;
	return false;
}

static void insert(struct grower *out, size_t *n, const struct grower *g)
{
	size_t at;

	if (g->score <= 0)
		return;
	if (*n < DOSSIER_MAX_GROWERS)
		(*n)++;
	else if (out[*n - 1].score >= g->score)
		return;
	for (at = *n - 1; at > 0 && out[at - 1].score < g->score; at--)
		out[at] = out[at - 1];
	out[at] = *g;
}

static void rank_rows(const struct dossier_facts *f, struct grower *out, size_t *n)
{
	struct grower g;

	for (size_t i = 0; i < f->kill->n_tasks; i++) {
		grower_of(f, row_pid(&f->kill->tasks[i]), &f->kill->tasks[i], &g);
		insert(out, n, &g);
	}
}

static void rank_ring(const struct dossier_facts *f, struct grower *out, size_t *n)
{
	for (size_t i = 0; i < f->n_grown; i++) {
		struct grower g = {.pid = f->grown[i].who->pid, .grown = &f->grown[i]};

		weigh(f, &g);
		/* The cheap test first: this goes over all processes of the host. */
		if (g.score <= 0 || (*n == DOSSIER_MAX_GROWERS && out[*n - 1].score >= g.score) ||
		    is_listed(f->kill, g.pid) || !inside(f, g.grown->who))
			continue;
		insert(out, n, &g);
	}
}

size_t growers_rank(const struct dossier_facts *f, struct grower out[DOSSIER_MAX_GROWERS])
{
	bool memcg = f->kill->scope == OOM_SCOPE_MEMCG;
	struct grower victim;
	size_t n = 0;

	if (f->replayed)
		return 0;
	rank_rows(f, out, &n);
	/* The table of a cgroup's kill lists who is inside, all of them. */
	if (!memcg || !f->kill->n_tasks)
		rank_ring(f, out, &n);
	if (!is_listed(f->kill, f->kill->pid)) {
		grower_of(f, f->kill->pid, NULL, &victim);
		if (!victim.grown)
			insert(out, &n, &victim);
	}
	return n;
}

unsigned grower_span(const struct grower *g)
{
	int64_t most = 0;
	unsigned i;

	for (i = 0; i < RING_SPANS; i++)
		most = MAX_OF(most, g->gain[i]);
	for (i = 0; i + 1 < RING_SPANS; i++)
		if (g->gain[i] != METRIC_ABSENT && g->gain[i] >= most / 4 * 3)
			break;
	return i;
}
