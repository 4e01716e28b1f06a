/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/inject/frame.h"

#include <errno.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <signal.h>
#include <ucontext.h>

#define RED_ZONE          256 /* 128 by the ABI; twice that costs nothing */
#define XSTATE_MIN        576 /* the legacy area and the header */
#define XSTATE_SOFTWARE   464 /* bytes the kernel keeps for itself: the mask of what is saved */
#define XSTATE_HEADER     512
#define XSTATE_MAGIC1     0x46505853u
#define XSTATE_MAGIC2     0x46505845u
#define XFEATURE_AMX_BITS (3ull << 17)

#define UC_FP_XSTATE         1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u

#define FLAG_TRAP      0x100u
#define FLAG_DIRECTION 0x400u

/* The kernel's struct ucontext: glibc's is longer, its signal mask being 128 bytes. */
struct kernel_ucontext {
	uint64_t flags;
	uint64_t link;
	uint64_t stack[3]; /* zero: rt_sigreturn leaves the alternate stack as it is */
	uint64_t gregs[NGREG];
	uint64_t fpstate;
	uint64_t reserved[8];
	uint64_t mask;
};

struct rt_sigframe {
	uint64_t pretcode;
	struct kernel_ucontext uc;
	uint8_t siginfo[128];
};

/* What struct _fpx_sw_bytes holds at XSTATE_SOFTWARE. */
struct xstate_software {
	uint32_t magic1;
	uint32_t extended_size;
	uint64_t features;
	uint32_t size;
	uint32_t padding[7];
};

/* Where the last of the features ends in the standard (not compacted) form, CPUID leaf 0xd. */
static size_t xstate_size(uint64_t features)
{
	size_t size = XSTATE_MIN;

	for (unsigned i = 2; i < 63; i++) {
		unsigned a;
		unsigned b;
		unsigned c;
		unsigned d;

		if (!(features >> i & 1) || !__get_cpuid_count(0xd, i, &a, &b, &c, &d))
			continue;
		size = MAX_OF(size, (size_t)a + b);
	}
	return size;
}

static int describe_xstate(const uint8_t *xstate, size_t len, struct xstate_software *ret,
			   struct error *err)
{
	uint64_t features;
	uint64_t used;
	size_t size;

	if (len < XSTATE_MIN || len > FRAME_XSTATE_MAX)
		return error_set(err, -ENOTSUP, "the kernel gave %zu bytes of FPU state", len);
	memcpy(&features, xstate + XSTATE_SOFTWARE, sizeof(features));
	memcpy(&used, xstate + XSTATE_HEADER, sizeof(used));
	/* A thread that never asked for AMX has no room for it, and the kernel would then take the
	 * whole image for a short one. */
	if (!(used & XFEATURE_AMX_BITS))
		features &= ~XFEATURE_AMX_BITS;
	size = xstate_size(features);
	if (!features || size > len)
		return error_set(err, -ENOTSUP, "the FPU state of this machine is not understood");
	*ret = (struct xstate_software){
		.magic1 = XSTATE_MAGIC1,
		.extended_size = (uint32_t)size + 4,
		.features = features,
		.size = (uint32_t)size,
	};
	return 0;
}

static void fill_registers(uint64_t g[NGREG], const struct user_regs_struct *r)
{
	g[REG_R8] = r->r8;
	g[REG_R9] = r->r9;
	g[REG_R10] = r->r10;
	g[REG_R11] = r->r11;
	g[REG_R12] = r->r12;
	g[REG_R13] = r->r13;
	g[REG_R14] = r->r14;
	g[REG_R15] = r->r15;
	g[REG_RDI] = r->rdi;
	g[REG_RSI] = r->rsi;
	g[REG_RBP] = r->rbp;
	g[REG_RBX] = r->rbx;
	g[REG_RDX] = r->rdx;
	g[REG_RCX] = r->rcx;
	g[REG_RSP] = r->rsp;
	g[REG_EFL] = r->eflags;
	g[REG_CSGSFS] = (r->cs & 0xffff) | (r->gs & 0xffff) << 16 | (r->fs & 0xffff) << 32 |
			(r->ss & 0xffff) << 48;
	g[REG_RAX] = r->rax;
	g[REG_RIP] = r->rip;
	if ((int64_t)r->orig_rax < 0)
		return;
	/* Back onto the two bytes of 'syscall', with its number: the call is made anew, so the
	 * program never sees EINTR. */
	g[REG_RAX] = r->orig_rax;
	g[REG_RIP] = r->rip - 2;
}

int frame_build(const struct user_regs_struct *regs, uint64_t mask, const uint8_t *xstate,
		size_t xstate_len, uint64_t restorer, struct frame *ret, struct error *err)
{
	struct rt_sigframe head = {.pretcode = restorer};
	const uint32_t magic2 = XSTATE_MAGIC2;
	struct xstate_software sw = {0};
	uint64_t fp;
	uint64_t address;
	uint8_t *image;
	int rc = describe_xstate(xstate, xstate_len, &sw, err);

	if (rc < 0)
		return rc;
	fp = (regs->rsp - RED_ZONE - sw.extended_size) & ~63ull;
	/* At entry of a function rsp is 8 below a multiple of 16, as after a 'call'. */
	address = ((fp - sizeof(head)) & ~15ull) - 8;
	head.uc.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	fill_registers(head.uc.gregs, regs);
	head.uc.fpstate = fp;
	head.uc.mask = mask;

	memset(ret->bytes, 0, sizeof(ret->bytes));
	memcpy(ret->bytes, &head, sizeof(head));
	image = ret->bytes + (fp - address);
	memcpy(image, xstate, sw.size);
	memcpy(image + XSTATE_SOFTWARE, &sw, sizeof(sw));
	memcpy(image + sw.size, &magic2, sizeof(magic2));
	ret->address = address;
	ret->len = (size_t)(fp - address) + sw.extended_size;
	return 0;
}

int frame_chain(struct frame *f, const uint64_t *words, size_t n)
{
	size_t bytes = n * sizeof(*words);

	if (n > FRAME_CHAIN_MAX || n % 2 || f->len + bytes > sizeof(f->bytes))
		return -E2BIG;
	memmove(f->bytes + bytes, f->bytes, f->len);
	memcpy(f->bytes, words, bytes);
	f->address -= bytes;
	f->len += bytes;
	return 0;
}

void frame_interrupt(struct frame *f, const struct user_regs_struct *regs)
{
	struct rt_sigframe head;

	memcpy(&head, f->bytes, sizeof(head));
	head.uc.gregs[REG_RAX] = (uint64_t)(int64_t)-EINTR;
	head.uc.gregs[REG_RIP] = regs->rip;
	memcpy(f->bytes, &head, sizeof(head));
}

bool frame_has_handler(const uint64_t *stack, size_t n, uint64_t restorer)
{
	for (size_t i = 0; i + sizeof(struct rt_sigframe) / 8 <= n; i++) {
		struct rt_sigframe f;
		if (stack[i] != restorer)
			continue;
		memcpy(&f, stack + i, sizeof(f));
		/* The kernel writes the alternate stack, or SS_DISABLE: never zeroes only. */
		if (f.uc.flags <= 7 && (f.uc.stack[0] | f.uc.stack[1] | f.uc.stack[2]))
			return true;
	}
	return false;
}

void frame_enter(struct user_regs_struct *regs, const struct frame *f, uint64_t fn)
{
	regs->rip = fn;
	regs->rsp = f->address;
	regs->rdi = 0;
	regs->rax = 0;
	/* Not in a system call any more: the kernel must not restart it on the way out. */
	regs->orig_rax = (unsigned long long)-1;
	regs->eflags &= ~(unsigned long long)(FLAG_TRAP | FLAG_DIRECTION);
}

void frame_enter_call(struct user_regs_struct *regs, const struct frame *f, uint64_t at,
		      uint64_t nr, const uint64_t args[6])
{
	frame_enter(regs, f, at);
	regs->rax = nr;
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
}

#else

int frame_build(const struct user_regs_struct *regs unused_arg, uint64_t mask unused_arg,
		const uint8_t *xstate unused_arg, size_t xstate_len unused_arg,
		uint64_t restorer unused_arg, struct frame *ret unused_arg, struct error *err)
{
	return error_set(err, -ENOTSUP, "remote calls are for x86-64 only");
}

int frame_chain(struct frame *f unused_arg, const uint64_t *words unused_arg, size_t n unused_arg)
{
	return -ENOTSUP;
}

void frame_interrupt(struct frame *f unused_arg, const struct user_regs_struct *regs unused_arg)
{
}

bool frame_has_handler(const uint64_t *stack unused_arg, size_t n unused_arg,
		       uint64_t restorer unused_arg)
{
	return true;
}

void frame_enter(struct user_regs_struct *regs unused_arg, const struct frame *f unused_arg,
		 uint64_t fn unused_arg)
{
}

void frame_enter_call(struct user_regs_struct *regs unused_arg, const struct frame *f unused_arg,
		      uint64_t at unused_arg, uint64_t nr unused_arg,
		      const uint64_t args[6] unused_arg)
{
}

#endif
