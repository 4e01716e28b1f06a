/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hoststat.h - what the host says about its memory beside meminfo: reclaim, swapping, kills,
 * pressure, swap devices, zram and the settings that decide how it ends. Parsers are pure; one
 * function reads. Sources: proc_vmstat(5), psi.rst, proc_swaps(5), zram.rst, proc_sys_vm(5).
 */
#ifndef MEMHERD_AGENT_SENSE_HOSTSTAT_H
#define MEMHERD_AGENT_SENSE_HOSTSTAT_H

#include <stdint.h>

#include "agent/sense/keyed.h"
#include "agent/sense/procdir.h"
#include "common/check.h"

#define HOSTSTAT_SYS_BLOCK "/sys/block"
#define HOSTSTAT_ZRAM_MAX  16u /* devices that are looked at */

/* X(name): counters since boot, from /proc/vmstat. Pages unless the name says otherwise. */
#define HOSTSTAT_VMSTAT_LIST(X)                                                           \
	X(pgscan_kswapd) /* older kernels count by zone (pgscan_kswapd_dma32): the sum */ \
	X(pgscan_direct)                                                                  \
	X(pgsteal_kswapd)                                                                 \
	X(pgsteal_direct)                                                                 \
	X(pswpin)                                                                         \
	X(pswpout)                                                                        \
	X(oom_kill)   /* kills by the kernel, those of cgroups too; Linux 4.13 */         \
	X(allocstall) /* times a process had to reclaim itself, all zones */              \
	X(pgmajfault)                                                                     \
	X(refault_anon) /* workingset_refault_anon */                                     \
	X(refault_file) /* workingset_refault_file, before 5.9 workingset_refault */

/* X(name): gauges. KiB for memory, 1/100 % for averages, microseconds for totals. */
#define HOSTSTAT_OTHER_LIST(X)                                  \
	X(psi_some_avg10)                                       \
	X(psi_some_total)                                       \
	X(psi_full_avg10)                                       \
	X(psi_full_total)                                       \
	X(swap_devices) /* count, from /proc/swaps */           \
	X(swap_total)   /* KiB */                               \
	X(swap_used)    /* KiB */                               \
	X(swap_zram)    /* KiB of swap_total that is on zram */ \
	X(zram_devices) /* that hold data */                    \
	X(zram_orig)    /* KiB stored, uncompressed */          \
	X(zram_used)    /* KiB of memory that they take */      \
	X(overcommit)   /* vm.overcommit_memory: 0, 1, 2 */     \
	X(swappiness)   /* vm.swappiness */                     \
	X(commit_limit) /* KiB; binding only when overcommit is 2 */

struct hoststat {
#define X(name) int64_t name;
	HOSTSTAT_VMSTAT_LIST(X)
	HOSTSTAT_OTHER_LIST(X)
#undef X
};

/* Sets what the bytes tell and leaves the rest; nothing fails. */
void hoststat_clear(struct hoststat *h); /* all METRIC_ABSENT */
void hoststat_parse_vmstat(const char *s, size_t len, struct hoststat *h);
void hoststat_parse_pressure(const char *s, size_t len, struct hoststat *h);
void hoststat_parse_swaps(const char *s, size_t len, struct hoststat *h);
/* Adds one zram device's mm_stat: orig_data_size compr_data_size mem_used_total ..., in bytes. */
void hoststat_parse_zram(const char *s, size_t len, struct hoststat *h);
/* CommitLimit of meminfo. */
void hoststat_parse_meminfo(const char *s, size_t len, struct hoststat *h);

/* Reads what moves: counters and pressure. What is not there is METRIC_ABSENT. */
void hoststat_read(const struct procdir *proc, struct hoststat *ret);
/* Reads what seldom does: swap devices, zram, settings. sys_block: HOSTSTAT_SYS_BLOCK. */
void hoststat_read_settings(const struct procdir *proc, const char *sys_block,
			    struct hoststat *ret);

#endif
