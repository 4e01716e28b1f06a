/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - builds the signal frame that a borrowed thread returns into.
 *
 * The thread enters malloc_trim (or the two instructions 'syscall; ret') as if called from the
 * frame's first word, the C library's rt_sigreturn code; the kernel then restores every register
 * from the frame and the interrupted system call is made anew. Nobody needs to be there when that
 *happens. Pure; the layout is the kernel's struct rt_sigframe (arch/x86/include/asm/sigframe.h) and
 *its FP state (arch/x86/include/uapi/asm/sigcontext.h). x86-64 only: elsewhere frame_build refuses.
 *
 *	saved rsp ->  ...                 the thread's own frames
 *	              red zone            128 bytes that leaf functions may use
 *	              XSAVE image         64-aligned, then FP_XSTATE_MAGIC2
 *	              siginfo, ucontext   registers as before the call, ip on the 'syscall'
 *	address ----> pretcode            where malloc_trim returns to
 *	              8 KiB               for malloc_trim itself
 */
#ifndef MEMHERD_AGENT_ACT_INJECT_FRAME_H
#define MEMHERD_AGENT_ACT_INJECT_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

#include "common/error.h"

#define FRAME_XSTATE_MAX  (16u << 10)
#define FRAME_MAX         (FRAME_XSTATE_MAX + 2048)
#define FRAME_CALLEE_ROOM 8192
#define FRAME_CHAIN_MAX   16

struct frame {
	uint64_t address; /* of pretcode: the stack pointer at entry */
	size_t len;       /* bytes to write there */
	uint8_t bytes[FRAME_MAX];
};

/*
 * regs, mask and xstate are the thread's as ptrace gives them while it is stopped, in a call or
 * (orig_rax < 0) between two instructions; -ENOTSUP for an XSAVE image that is not understood.
 */
int frame_build(const struct user_regs_struct *regs, uint64_t mask, const uint8_t *xstate,
		size_t xstate_len, uint64_t restorer, struct frame *ret,
		struct error *err) must_use;
/*
 * True when the stack, its n words from the stack pointer upward, holds a frame that the kernel
 * made for a signal: the thread is inside a handler, and what the signal interrupted may be malloc.
 * A frame of ours that lies there from an earlier call has no signal number in it.
 */
bool frame_has_handler(const uint64_t *stack, size_t n, uint64_t restorer);
/*
 * Words below a built frame, the first of them where the function that is entered first returns to:
 * what it and those after it return into until the frame's own turn comes. An even number, so that
 * the stack stays aligned; -E2BIG beyond FRAME_CHAIN_MAX.
 */
int frame_chain(struct frame *f, const uint64_t *words, size_t n) must_use;
/* The call that the frame would make anew returns EINTR instead, as after a signal. */
void frame_interrupt(struct frame *f, const struct user_regs_struct *regs);
/* The registers with which the thread enters fn(0). */
void frame_enter(struct user_regs_struct *regs, const struct frame *f, uint64_t fn);
/* The registers with which it makes a system call at 'syscall; ret' and comes back as above. */
void frame_enter_call(struct user_regs_struct *regs, const struct frame *f, uint64_t at,
		      uint64_t nr, const uint64_t args[6]);

#endif
