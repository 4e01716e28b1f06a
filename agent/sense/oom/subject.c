/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/subject.h"

#include <signal.h>
#include <string.h>

#include "common/clock.h"
#include "common/str.h"

/* The counter of kills in its cgroup now against that of the last round. */
static void read_counter(const struct cgroup_tree *tree, const struct cgroup *c, int64_t round_us,
			 struct death *x)
{
	int64_t v[CGROUP_FIGURE_COUNT];
	enum cgroup_figure f = c->v[CGROUP_OWN_OOM_KILL] != METRIC_ABSENT ? CGROUP_OWN_OOM_KILL
									  : CGROUP_EV_OOM_KILL;

	memcpy(v, c->v, sizeof(v));
	if (c->state != CGROUP_LIVE || c->v[f] == METRIC_ABSENT ||
	    cgroup_stat_read(tree->fd, c->path + 1, tree->mount.version, CGROUP_LIGHT, v) < 0 ||
	    v[f] == METRIC_ABSENT)
		return;
	x->oom_kill_rise = v[f] - c->v[f];
	x->rise_from_us = round_us;
}

static void take_names(const struct ring *ring, struct death *x)
{
	const struct ring_who *who;
	const char *text;

	if (x->slot == RING_NO_SLOT)
		return;
	who = &ring->who[x->slot];
	x->uid = who->uid;
	str_safe(x->comm, sizeof(x->comm), who->comm, strnlen(who->comm, sizeof(who->comm)));
	text = names_text(&ring->names, who->service);
	str_safe(x->service, sizeof(x->service), text, strlen(text));
	text = names_text(&ring->names, who->container);
	str_safe(x->container, sizeof(x->container), text, strlen(text));
}

void subject_describe(const struct oom_config *cfg, uint32_t pid, const struct oom_process *p,
		      struct verdict_exit exit, int64_t round_us, struct death *x)
{
	const struct cgroup *c = cgroup_tree_get(cfg->cgroups, p->cgroup);

	*x = (struct death){
		.pid = pid,
		.start_ticks = p->start_ticks,
		.parent = p->parent,
		.slot = ring_slot(cfg->ring, p->id),
		.seen_us = clock_boot_us(),
		.wall_us = clock_wall_us(),
		.exit = exit,
		.uid = -1,
		.oom_kill_rise = METRIC_ABSENT,
	};
	take_names(cfg->ring, x);
	if (!c)
		return;
	(void)str_copy(x->cgroup, sizeof(x->cgroup), c->path);
	if (!exit.known || exit.signal == SIGKILL)
		read_counter(cfg->cgroups, c, round_us, x);
}
