/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/strain.h"

#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/sense/hoststat.h"
#include "agent/sense/procfs.h"
#include "common/str.h"

/* To be called is the sign: whoever asks the kernel whether a trigger has fired uses that up
 * (psi_trigger_poll), so the loop's own look at our epoll leaves nothing for us to find there. */
static void on_ready(unused_arg evutil_socket_t fd, unused_arg short what, void *arg)
{
	struct strain *p = arg;
	struct epoll_event e;

	/* Its cgroup or the feature is gone: it would be ready for ever. */
	if (epoll_wait(p->epoll, &e, 1, 0) > 0 && e.events & EPOLLERR) {
		event_del(p->ready);
		return;
	}
	p->fired = true;
	p->on_fired(p->arg);
}

static bool set_trigger(struct strain *p, const char *proc_path)
{
	struct epoll_event e = {.events = EPOLLPRI | EPOLLET};
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/pressure/memory", proc_path) >= sizeof(path))
		return false;
	p->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->fd < 0 || write(p->fd, STRAIN_TRIGGER, sizeof(STRAIN_TRIGGER)) < 0)
		return false;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	return p->epoll >= 0 && epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->fd, &e) == 0;
}

bool strain_watch(struct strain *p, struct event_base *base, const char *proc_path,
		  strain_on_fired *on_fired, void *arg)
{
	p->fd = -1;
	p->epoll = -1;
	p->on_fired = on_fired;
	p->arg = arg;
	if (set_trigger(p, proc_path))
		p->ready = event_new(base, p->epoll, EV_READ | EV_PERSIST, on_ready, p);
	if (p->ready && event_add(p->ready, NULL) == 0)
		return true;
	strain_end(p);
	return false;
}

void strain_end(struct strain *p)
{
	if (p->ready)
		event_free(p->ready);
	p->ready = NULL;
	if (p->epoll > 0)
		close(p->epoll);
	if (p->fd > 0)
		close(p->fd);
	p->epoll = -1;
	p->fd = -1;
}

bool strain_watches(const struct strain *p)
{
	return p->ready && event_pending(p->ready, EV_READ, NULL);
}

bool strain_fired(struct strain *p)
{
	bool fired = p->fired;

	p->fired = false;
	return fired;
}

void strain_read(const struct procdir *d, struct pulse_beat *b)
{
	int64_t mem[HOST_METRIC_COUNT];
	struct hoststat h;
	char buf[8192];
	int n = procdir_read(d, PROCDIR_NO_PID, "meminfo", buf, sizeof(buf));

	procfs_parse_meminfo(buf, n < 0 ? 0 : (size_t)n, mem);
	b->available = mem[HOST_METRIC_AVAILABLE];
	b->total = mem[HOST_METRIC_TOTAL];
	hoststat_clear(&h);
	n = procdir_read(d, PROCDIR_NO_PID, "pressure/memory", buf, sizeof(buf));
	hoststat_parse_pressure(buf, n < 0 ? 0 : (size_t)n, &h);
	b->psi_some10 = h.psi_some_avg10;
}

bool strain_cgroups(struct strain *p, const struct cgroup_tree *t, struct pulse *pulse,
		    int64_t boot_us, char why[PULSE_WHY_SIZE])
{
	bool changed = false;

	for (uint32_t id = 0; id < CGROUP_MAX; id++) {
		const struct cgroup *c = cgroup_tree_get(t, (uint16_t)id);
		int64_t since = p->t_us[id];
		char path[96];

		p->t_us[id] = 0;
		if (!c || c->state != CGROUP_LIVE || c->v[CGROUP_LIMIT] == METRIC_ABSENT ||
		    c->v[CGROUP_WORKING_SET] == METRIC_ABSENT)
			continue;
		/* A cgroup whose id was taken over seems to have jumped: once, and harmlessly. */
		str_safe(path, sizeof(path), c->path, strlen(c->path));
		if (since &&
		    pulse_cgroup(pulse, boot_us, path, p->usage[id], c->v[CGROUP_WORKING_SET],
				 c->v[CGROUP_LIMIT], boot_us - since, why))
			changed = true;
		p->t_us[id] = boot_us;
		p->usage[id] = c->v[CGROUP_WORKING_SET];
	}
	return changed;
}
