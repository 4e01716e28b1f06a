/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/posture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void posture_clear(struct posture_facts *f)
{
	*f = (struct posture_facts){
#define X(name) .name = POSTURE_UNKNOWN,
		POSTURE_GATHERED_LIST(X) POSTURE_GIVEN_LIST(X)
#undef X
	};
}

static bool is(int64_t fact, int64_t value)
{
	return fact == value;
}

static bool above(int64_t fact, int64_t value)
{
	return fact != POSTURE_UNKNOWN && fact > value;
}

/* ---- what holds ---- */

static bool no_swap(const struct posture_facts *f)
{
	return is(f->swap_total, 0);
}

static bool small_swap(const struct posture_facts *f)
{
	return above(f->swap_total, 0) && f->mem_total > 0 && f->swap_total < f->mem_total / 8;
}

static bool no_swapping(const struct posture_facts *f)
{
	return above(f->swap_total, 0) && is(f->swappiness, 0);
}

static bool zram_only_idea(const struct posture_facts *f)
{
	return no_swap(f) && is(f->zram_devices, 0) && f->mem_total != POSTURE_UNKNOWN &&
	       f->mem_total < 4 * 1024 * 1024;
}

static bool services_unlimited(const struct posture_facts *f)
{
	return above(f->services_unlimited, 0);
}

static bool containers_unlimited(const struct posture_facts *f)
{
	return above(f->containers_unlimited, 0);
}

static bool panics(const struct posture_facts *f)
{
	return above(f->panic_on_oom, 0);
}

static bool kills_allocating(const struct posture_facts *f)
{
	return above(f->kill_allocating, 0);
}

static bool no_task_table(const struct posture_facts *f)
{
	return is(f->dump_tasks, 0);
}

static bool overcommits_always(const struct posture_facts *f)
{
	return is(f->overcommit, 1);
}

static bool never_overcommits(const struct posture_facts *f)
{
	return is(f->overcommit, 2);
}

static bool sshd_first(const struct posture_facts *f)
{
	return above(f->sshd_score_adj, -500);
}

static bool own_first(const struct posture_facts *f)
{
	return above(f->own_score_adj, -500);
}

static bool kmsg_hidden(const struct posture_facts *f)
{
	return is(f->kmsg_readable, 0);
}

static bool no_psi(const struct posture_facts *f)
{
	return is(f->psi, 0);
}

static bool no_cgroups(const struct posture_facts *f)
{
	return is(f->cgroup_version, 0);
}

static bool old_cgroups(const struct posture_facts *f)
{
	return is(f->cgroup_version, 1);
}

/* hidepid does not bind who may trace: it hurts only together with unreadable processes */
static bool hidden_processes(const struct posture_facts *f)
{
	return above(f->hidepid, 0) && is(f->rollup_there, 1) && !is(f->rollup_readable, 1);
}

static bool no_rollup(const struct posture_facts *f)
{
	return is(f->rollup_there, 0);
}

static bool rollup_denied(const struct posture_facts *f)
{
	return is(f->rollup_there, 1) && is(f->rollup_readable, 0);
}

static bool no_tracefs(const struct posture_facts *f)
{
	return is(f->tracefs, 0);
}

static bool no_connector(const struct posture_facts *f)
{
	return is(f->proc_connector, 0);
}

static bool no_journal(const struct posture_facts *f)
{
	return is(f->journal_readable, 0);
}

/* ---- what is said where a number belongs into it ---- */

static void say_services(char *out, size_t size, const struct posture_facts *f)
{
	snprintf(out, size,
		 "%" PRId64 " of %" PRId64 " services may take all memory: nothing limits them",
		 f->services_unlimited, f->services == POSTURE_UNKNOWN ? 0 : f->services);
}

static void say_containers(char *out, size_t size, const struct posture_facts *f)
{
	snprintf(out, size,
		 "%" PRId64 " of %" PRId64 " containers may take all memory: nothing limits them",
		 f->containers_unlimited, f->containers == POSTURE_UNKNOWN ? 0 : f->containers);
}

static void say_sshd(char *out, size_t size, const struct posture_facts *f)
{
	snprintf(out, size,
		 "sshd has oom_score_adj %" PRId64
		 ": it can be killed, and then nobody gets in to repair",
		 f->sshd_score_adj);
}

static void say_own(char *out, size_t size, const struct posture_facts *f)
{
	snprintf(out, size,
		 "this agent has oom_score_adj %" PRId64 ": it can be killed before it has told",
		 f->own_score_adj);
}

/* ---- the table: the worst first ---- */

struct row {
	const char *code;
	enum posture_severity severity;
	bool (*holds)(const struct posture_facts *f);
	void (*say)(char *out, size_t size, const struct posture_facts *f); /* or text */
	const char *text;
	const char *fix;
};

static const struct row rows[] = {
	{"panic_on_oom", POSTURE_BAD, panics, NULL,
	 "the kernel panics when memory runs out instead of ending one process",
	 "set vm.panic_on_oom=0"},
	{"kmsg_unreadable", POSTURE_BAD, kmsg_hidden, NULL,
	 "the kernel log cannot be read: who was killed and why stays unknown",
	 "give the agent CAP_SYSLOG (its unit file does), or set kernel.dmesg_restrict=0"},
	{"sshd_can_be_killed", POSTURE_BAD, sshd_first, say_sshd, NULL,
	 "set OOMScoreAdjust=-1000 in the unit of sshd"},
	{"no_swap", POSTURE_WARN, no_swap, NULL,
	 "there is no swap: idle memory cannot make way, and a short peak ends in a kill",
	 "add a swap file of 1 to 2 GiB, or zram"},
	{"small_swap", POSTURE_INFO, small_swap, NULL,
	 "swap is less than an eighth of memory: it fills before anyone can react",
	 "add swap up to half of memory"},
	{"swap_unused", POSTURE_WARN, no_swapping, NULL,
	 "vm.swappiness is 0: swap is only used when it is nearly too late",
	 "set vm.swappiness to 10 or more"},
	{"services_unlimited", POSTURE_WARN, services_unlimited, say_services, NULL,
	 "set MemoryMax= in the unit of each service that can grow"},
	{"containers_unlimited", POSTURE_WARN, containers_unlimited, say_containers, NULL,
	 "start containers with --memory, or set mem_limit"},
	{"kills_allocating_task", POSTURE_WARN, kills_allocating, NULL,
	 "the kernel ends whoever asks for memory at the wrong moment, not who has most",
	 "set vm.oom_kill_allocating_task=0"},
	{"agent_can_be_killed", POSTURE_WARN, own_first, say_own, NULL,
	 "start it by its unit file, which lowers it"},
	{"overcommit_always", POSTURE_WARN, overcommits_always, NULL,
	 "vm.overcommit_memory is 1: no request for memory is ever refused, however absurd",
	 "set vm.overcommit_memory=0 unless a program (redis) asks for 1"},
	{"overcommit_never", POSTURE_INFO, never_overcommits, NULL,
	 "vm.overcommit_memory is 2: programs are refused memory while some is still free",
	 "watch Committed_AS against CommitLimit"},
	{"psi_absent", POSTURE_WARN, no_psi, NULL,
	 "the kernel does not measure memory pressure (PSI): stalls are only seen late",
	 "boot with psi=1"},
	{"processes_hidden", POSTURE_WARN, hidden_processes, NULL,
	 "/proc hides the processes of others (hidepid): not all of them are seen",
	 "give the agent CAP_SYS_PTRACE, or mount /proc with gid= of a group of its"},
	{"pss_denied", POSTURE_WARN, rollup_denied, NULL,
	 "smaps_rollup of other processes may not be read: no PSS, shared memory counts in each",
	 "give the agent CAP_SYS_PTRACE (its unit file does)"},
	{"pss_absent", POSTURE_INFO, no_rollup, NULL,
	 "the kernel has no smaps_rollup: no PSS, shared memory counts in each process",
	 "use Linux 4.14 or later"},
	{"cgroups_absent", POSTURE_WARN, no_cgroups, NULL,
	 "there are no memory cgroups: containers and services have no figures of their own",
	 "boot with cgroup_enable=memory"},
	{"cgroups_v1", POSTURE_INFO, old_cgroups, NULL,
	 "memory cgroups are of version 1: no pressure, no memory.high, kills only by victim",
	 "boot with systemd.unified_cgroup_hierarchy=1"},
	{"no_task_table", POSTURE_INFO, no_task_table, NULL,
	 "the kernel's report of a kill leaves out the table of processes",
	 "set vm.oom_dump_tasks=1"},
	{"tracefs_absent", POSTURE_INFO, no_tracefs, NULL,
	 "kills cannot be traced (oom:mark_victim): in a burst some reports may lack details",
	 "mount tracefs and let root's agent read it"},
	{"exits_unheard", POSTURE_INFO, no_connector, NULL,
	 "the exits of processes are not told to us: how one died may stay unknown",
	 "give the agent CAP_NET_ADMIN in the host's namespaces"},
	{"journal_unreadable", POSTURE_INFO, no_journal, NULL,
	 "the journal cannot be read: kills by systemd-oomd or earlyoom look like anybody's",
	 "add the agent's user to the group systemd-journal"},
	{"zram_would_help", POSTURE_INFO, zram_only_idea, NULL,
	 "there is little memory and none of it is compressed",
	 "install zram-generator or zram-tools: half of memory as compressed swap"},
};
_Static_assert(ARRAY_SIZE(rows) <= POSTURE_MAX, "callers have room for POSTURE_MAX");

size_t posture_judge(const struct posture_facts *f, struct posture_finding *out, size_t max)
{
	size_t n = 0;

	for (int s = POSTURE_BAD; s >= POSTURE_INFO; s--) {
		for (size_t i = 0; i < ARRAY_SIZE(rows) && n < max; i++) {
			const struct row *row = &rows[i];

			if ((int)row->severity != s || !row->holds(f))
				continue;
			out[n] = (struct posture_finding){.code = row->code,
							  .severity = row->severity,
							  .fix = row->fix};
			if (row->say)
				row->say(out[n].text, sizeof(out[n].text), f);
			else
				snprintf(out[n].text, sizeof(out[n].text), "%s", row->text);
			n++;
		}
	}
	return n;
}

const char *posture_word(enum posture_severity s)
{
	static const char *const words[] = {"info", "warn", "bad"};

	return words[s];
}
