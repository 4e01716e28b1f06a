/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/outlook.h"

#include <string.h>
#include <unistd.h>

#include "agent/sense/service.h"
#include "proto/wire.h"

/* Services are cgroups with processes that a manager named; containers those of an engine. */
static void count_limits(const struct cgroup_tree *t, struct posture_facts *f)
{
	f->services = f->services_unlimited = 0;
	f->containers = f->containers_unlimited = 0;
	for (uint32_t id = 0; id < t->high; id++) {
		const struct cgroup *c = cgroup_tree_get(t, (uint16_t)id);
		char name[WIRE_NAME_MAX + 1];
		const char *runtime;

		if (!c || !c->members)
			continue;
		service_of_cgroup(name, sizeof(name), c->path, &runtime);
		if (!*name)
			continue;
		if (strcmp(runtime, "systemd") == 0) {
			f->services++;
			f->services_unlimited += c->unlimited;
		} else {
			f->containers++;
			f->containers_unlimited += c->unlimited;
		}
	}
}

/* Has PSS of another user's process been read? Our own may be read whatever is denied. */
static bool reads_others(const struct ticker *t)
{
	const struct proctab *tab = &t->sampler.tab;
	const struct survey *v = &t->survey;

	for (uint32_t id = 0; id < tab->high; id++) {
		const struct proc *p = &tab->procs[id];
		uint32_t slot = ring_slot(&v->ring, id);
		uint32_t pss, uss, age;

		if (slot != RING_NO_SLOT && v->ring.who[slot].uid != geteuid() &&
		    p->rss != PROC_ABSENT &&
		    pss_figures(&v->pss, id, p->start_ticks, p->rss, &pss, &uss, &age))
			return true;
	}
	return false;
}

size_t outlook_look(struct outlook *o, const struct ticker *t, const struct sense_fds *fds,
		    int64_t boot_us, struct posture_finding *out)
{
	struct posture_paths paths = posture_system_paths;
	struct posture_facts f;

	o->looked_us = boot_us;
	posture_clear(&f);
	paths.proc = t->cfg.sampling.proc_path;
	posture_gather(&paths, &f);
	f.proc_connector = fds->exits >= 0;
	/* Its files are root's alone: we have been given what counts, or nothing. */
	f.tracefs = fds->trace >= 0;
	/* The gatherer tries pid 1 alone, which some hosts hide from everyone. */
	if (reads_others(t))
		f.rollup_readable = 1;
	o->sshd_unprotected = f.sshd_score_adj != POSTURE_UNKNOWN && f.sshd_score_adj >= 0;
	count_limits(&t->survey.cgroups, &f);
	return posture_judge(&f, out, POSTURE_MAX);
}
