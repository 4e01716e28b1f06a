/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/identify.h"

#include <string.h>

#include "common/str.h"

/* Parents that are described because they were not announced yet: pids that wrapped around. */
#define ANCESTORS_MAX 4u

static void file(struct sampler *s, uint32_t id, struct description *d, unsigned depth);

/* The parent, filed; NULL when it is not ours to know. */
static struct proc *find_parent(struct sampler *s, uint32_t ppid, unsigned depth)
{
	uint32_t id = ppid ? proctab_find(&s->tab, ppid) : PROC_NO_ID;
	struct description d;

	if (id == PROC_NO_ID || !sampler_tells(&s->tab.procs[id]))
		return NULL;
	if (s->tab.procs[id].service == SERVICES_NONE && depth &&
	    describe_named(&s->dir, ppid, &s->containers, s->now_us, &d) == 0)
		file(s, id, &d, depth - 1);
	return s->tab.procs[id].service == SERVICES_NONE ? NULL : &s->tab.procs[id];
}

static enum wire_role role_of(const struct sampler *s, const struct proc *p,
			      const struct description *d, const struct proc *parent)
{
	uint16_t service = services_find(&s->services, d->service);

	if (d->role != WIRE_ROLE_NONE)
		return d->role;
	if (parent && parent->service == service && parent->entry == d->entry &&
	    parent->role != WIRE_ROLE_WORKER)
		return WIRE_ROLE_WORKER;
	/* what its children made of it, or an orphan that was a worker */
	if (p->service == service && p->entry == d->entry)
		return (enum wire_role)p->role;
	return WIRE_ROLE_NONE;
}

static void take_place(struct sampler *s, struct proc *p, const struct description *d,
		       enum wire_role role)
{
	uint16_t before = p->service;

	if (before != SERVICES_NONE && before == services_find(&s->services, d->service)) {
		if (role != (enum wire_role)p->role)
			p->slot = services_role(&s->services, before, role, p->pid, p->slot);
	} else {
		services_leave(&s->services, before, p->slot, p->pid, s->now_us);
		p->service =
			services_join(&s->services, d->service, role, p->pid, s->now_us, &p->slot);
	}
	p->entry = d->entry;
	p->role = role & 3u;
}

static void make_master(struct sampler *s, struct proc *p)
{
	p->role = WIRE_ROLE_MASTER;
	p->slot = services_role(&s->services, p->service, WIRE_ROLE_MASTER, p->pid, p->slot);
	p->again = p->announced;
}

static void file(struct sampler *s, uint32_t id, struct description *d, unsigned depth)
{
	struct proc *p = &s->tab.procs[id];
	struct proc *parent = find_parent(s, d->ppid, depth);
	const struct service *of_parent =
		parent ? services_get(&s->services, parent->service) : NULL;
	enum wire_role role;

	if (d->kin != PROGRAM_OWN && of_parent) {
		str_safe(d->service, sizeof(d->service), of_parent->name, strlen(of_parent->name));
		if (d->kin == PROGRAM_SPAWNED)
			d->entry = parent->entry;
	}
	role = role_of(s, p, d, parent);
	take_place(s, p, d, role);
	/* what was there before us forked long ago */
	if (!p->fresh && !p->young)
		identify_settled(s, id, d->ppid);
}

void identify(struct sampler *s, uint32_t id, struct description *d)
{
	file(s, id, d, ANCESTORS_MAX);
}

void identify_settled(struct sampler *s, uint32_t id, uint32_t ppid)
{
	const struct proc *p = &s->tab.procs[id];
	struct proc *parent;

	if (p->role != WIRE_ROLE_WORKER || p->service == SERVICES_NONE)
		return;
	parent = find_parent(s, ppid, 0);
	if (parent && parent->service == p->service && parent->entry == p->entry &&
	    parent->role == WIRE_ROLE_NONE)
		make_master(s, parent);
}

void identify_ended(struct sampler *s)
{
	for (uint32_t id = 0; id < s->tab.high; id++) {
		struct proc *p = &s->tab.procs[id];

		if (p->service == SERVICES_NONE || sampler_tells(p))
			continue;
		services_leave(&s->services, p->service, p->slot, p->pid, s->now_us);
		p->service = SERVICES_NONE;
		p->slot = 0;
	}
}

static bool is_below(const char *name, const char *base)
{
	size_t n = strlen(base);

	return strncmp(name, base, n) == 0 && (name[n] == '\0' || name[n] == '/');
}

void identify_renamed(struct sampler *s, const char *before)
{
	for (uint32_t id = 0; id < s->tab.high; id++) {
		struct proc *p = &s->tab.procs[id];
		const struct service *e = services_get(&s->services, p->service);

		if (e && sampler_tells(p) && is_below(e->name, before))
			p->again = p->announced;
	}
}
