/* SPDX-License-Identifier: Apache-2.0 */
#include "common/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_ARCH 0
#endif

#define X32_BIT 0x40000000u /* x86-64 under other numbers: would slip past the list */

#define SENSE (1u << CONFINE_SENSE)
#define LINK  (1u << CONFINE_LINK)
#define NAMES (1u << CONFINE_NAMES)
#define ACT   (1u << CONFINE_ACT)
#define AGENT (SENSE | LINK | NAMES)
#define ALL   (AGENT | ACT)

static const struct {
	unsigned nr;
	unsigned roles;
} denied[] = {
	{SYS_execve, ALL},
	{SYS_execveat, ALL},
#ifndef MEMHERD_ASAN /* LeakSanitizer attaches to its own process */
	{SYS_ptrace, AGENT},
#endif
	{SYS_process_vm_writev, AGENT},
	{SYS_process_vm_readv, LINK | NAMES},
#ifdef SYS_process_madvise
	{SYS_process_madvise, AGENT},
#endif
	{SYS_pidfd_getfd, ALL},
	{SYS_io_uring_setup, ALL},
	{SYS_bpf, ALL},
	{SYS_userfaultfd, ALL},
	{SYS_perf_event_open, ALL},
	{SYS_unshare, ALL},
	{SYS_setns, ALL},
	{SYS_mount, ALL},
	{SYS_umount2, ALL},
	{SYS_pivot_root, ALL},
	{SYS_chroot, ALL},
	{SYS_init_module, ALL},
	{SYS_finit_module, ALL},
	{SYS_kexec_load, ALL},
	{SYS_keyctl, ALL},
	{SYS_add_key, ALL},
	{SYS_request_key, ALL},
	{SYS_delete_module, ALL},
	{SYS_kexec_file_load, ALL},
	{SYS_reboot, ALL},
	{SYS_swapon, ALL},
	{SYS_swapoff, ALL},
	{SYS_settimeofday, ALL},
	{SYS_clock_settime, ALL},
	{SYS_acct, ALL},
	{SYS_socket, SENSE}, /* not even a local one: actd's is link's to talk to */
	{SYS_connect, SENSE},
	{SYS_bind, NAMES},
	{SYS_listen, NAMES},
};

/* All that CONFINE_POSTER may: memory, a connection, the clock, its end. */
static const unsigned allowed[] = {
	SYS_read,      SYS_write,      SYS_close,        SYS_connect,       SYS_getsockopt,
	SYS_sendto,    SYS_recvfrom,   SYS_ppoll,        SYS_brk,           SYS_mmap,
	SYS_munmap,    SYS_mremap,     SYS_madvise,      SYS_mprotect,      SYS_futex,
	SYS_exit,      SYS_exit_group, SYS_rt_sigreturn, SYS_clock_gettime, SYS_restart_syscall,
	SYS_getrandom, SYS_getpid,     SYS_gettid,
#ifdef SYS_poll
	SYS_poll,
#endif
};

#define SKIP_UNLESS_N(k, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 0, (n))
#define LOAD(field)         BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(k)      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 0, 1) /* the next one */
#define SKIP_IF(k)          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 1, 0)
#define SKIP_IF_BELOW(k)    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (k), 0, 1)
#define RETURN(action)      BPF_STMT(BPF_RET | BPF_K, (action))
#define DENY                RETURN(SECCOMP_RET_ERRNO | EPERM)

#define ALLOW RETURN(SECCOMP_RET_ALLOW)

#define MOST (2 * (ARRAY_SIZE(denied) + ARRAY_SIZE(allowed)) + 16)

/* The family is an int, so its half of the 64-bit argument is all that the kernel looks at; we are
 * little-endian on both machines. */
static unsigned short only_local_sockets(struct sock_filter *out, unsigned short n)
{
	out[n++] = (struct sock_filter)SKIP_UNLESS_N(SYS_socket, 3);
	out[n++] = (struct sock_filter)LOAD(args[0]);
	out[n++] = (struct sock_filter)SKIP_IF(AF_UNIX);
	out[n++] = (struct sock_filter)DENY;
	return n;
}

static unsigned short only_what_is_allowed(struct sock_filter *out, unsigned short n)
{
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		out[n++] = (struct sock_filter)SKIP_UNLESS(allowed[i]);
		out[n++] = (struct sock_filter)ALLOW;
	}
	out[n++] = (struct sock_filter)SKIP_UNLESS_N(SYS_socket, 4);
	out[n++] = (struct sock_filter)LOAD(args[0]);
	out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0);
	out[n++] = (struct sock_filter)SKIP_UNLESS(AF_INET6);
	out[n++] = (struct sock_filter)ALLOW;
	out[n++] = (struct sock_filter)DENY;
	return n;
}

static unsigned short assemble(enum confine_role role, struct sock_filter out[MOST])
{
	unsigned short n = 0;

	out[n++] = (struct sock_filter)LOAD(arch);
	out[n++] = (struct sock_filter)SKIP_IF(OUR_ARCH);
	out[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
	out[n++] = (struct sock_filter)LOAD(nr);
	out[n++] = (struct sock_filter)SKIP_IF_BELOW(X32_BIT);
	out[n++] = (struct sock_filter)DENY;
	if (role == CONFINE_POSTER)
		return only_what_is_allowed(out, n);
	for (size_t i = 0; i < ARRAY_SIZE(denied); i++) {
		if (!(denied[i].roles & (1u << role)))
			continue;
		out[n++] = (struct sock_filter)SKIP_UNLESS(denied[i].nr);
		out[n++] = (struct sock_filter)DENY;
	}
	if (role == CONFINE_NAMES || role == CONFINE_ACT)
		n = only_local_sockets(out, n);
	out[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	return n;
}

int confine(enum confine_role role, struct error *err)
{
	struct sock_filter filter[MOST];
	struct sock_fprog prog = {.filter = filter};

	if (!OUR_ARCH)
		return error_set(err, -ENOSYS, "no system call filter for this machine");
	prog.len = assemble(role, filter);
	if (prctl(PR_SET_SECCOMP, (unsigned long)SECCOMP_MODE_FILTER, &prog, 0L, 0L) < 0)
		return error_sys(err, -errno, "cannot set the system call filter");
	return 0;
}
