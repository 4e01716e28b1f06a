/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/safepoint.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

int blocked_parse(const char *text, struct blocked *ret)
{
	struct blocked b;

	if (strncmp(text, "running", 7) == 0 || strncmp(text, "-1 ", 3) == 0)
		return -EAGAIN;
	if (sscanf(text,
		   "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		   " %" SCNx64 " %" SCNx64 " %" SCNx64,
		   &b.nr, &b.args[0], &b.args[1], &b.args[2], &b.args[3], &b.args[4], &b.args[5],
		   &b.sp, &b.pc) != 9)
		return -EBADMSG;
	*ret = b;
	return 0;
}

bool safepoint_call(int64_t nr, uint64_t arg1)
{
#ifdef __x86_64__
	switch (nr) {
	case SYS_poll:
	case SYS_ppoll:
	case SYS_select:
	case SYS_pselect6:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_read:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_pause:
		return true;
	case SYS_futex:
		return (arg1 & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
	default:
		return false;
	}
#else
	(void)nr;
	(void)arg1;
	return false;
#endif
}

bool safepoint_restarts(int64_t nr)
{
	/* signal(7), 'Interruption of system calls by stop signals', and sockets with a timeout. */
	return nr == SYS_futex || nr == SYS_nanosleep || nr == SYS_clock_nanosleep ||
	       nr == SYS_wait4 || nr == SYS_waitid || nr == SYS_ppoll || nr == SYS_pselect6
#ifdef __x86_64__
	       || nr == SYS_poll || nr == SYS_select || nr == SYS_pause
#endif
		;
}

bool safepoint_interrupted(int64_t rax)
{
	/* ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK: the kernel's own,
	 * include/linux/errno.h. */
	return rax == -512 || rax == -513 || rax == -514 || rax == -516 || rax == -EINTR;
}

char stat_state(const char *stat)
{
	const char *p = strrchr(stat, ')');

	return p && p[1] == ' ' ? p[2] : 0;
}
