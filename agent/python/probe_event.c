/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/python/probe_event.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/fs.h"
#include "common/str.h"

#define PAGE          4096u
#define BIRTH_SIZE    ((size_t)2 * PAGE) /* control and data */
#define TYPE_FILE     "/sys/bus/event_source/devices/uprobe/type"
#define PARANOID_FILE "/proc/sys/kernel/perf_event_paranoid"
#define COUNTER_SHIFT 32 /* of ref_ctr_offset in config: events/format/ref_ctr_offset */

/* A sample of ours: header, ip, tid, time, abi, registers, stack size, stack, its filled part. */
#define RECORD_MAX (8 + 8 + 8 + 8 + 8 + 8 * ARGUMENT_REGISTERS + 8 + ARGUMENT_STACK_MAX + 8)

int probe_event_type(struct error *err)
{
	char text[16];
	int64_t v;

	if (fs_read_small(AT_FDCWD, TYPE_FILE, text, sizeof(text)) < 0 ||
	    str_parse_int(str_trim(text), &v) < 0 || v < 0 || v > INT32_MAX)
		return error_set(err, -ENOENT,
				 "this kernel offers no uprobes to programs (Linux 4.17 with "
				 "CONFIG_UPROBE_EVENTS has them, and /sys must be mounted)");
	return (int)v;
}

static bool is_filtered(void)
{
	char text[4096];
	const char *at;

	if (fs_read_small(AT_FDCWD, "/proc/self/status", text, sizeof(text)) < 0)
		return false;
	at = strstr(text, "\nSeccomp:\t");
	return at && at[strlen("\nSeccomp:\t")] == '2';
}

/* perf_event_open(2) in words. */
static int explain(int rc, struct error *err)
{
	char paranoid[16] = "?";

	switch (-rc) {
	case ENOSYS:
		return error_set(err, rc, "this kernel was built without performance events");
	case ESRCH:
		return error_set(err, rc, "the thread has ended");
	case EMFILE:
	case ENFILE:
		return error_set(err, rc, "too many open files for a probe in each thread");
	case EINVAL:
	case ENOTSUP:
	case 524: /* ENOTSUPP, the kernel's own: an instruction that it cannot probe */
		return error_set(err, rc, "the kernel cannot probe this program's code");
	case EACCES:
	case EPERM:
		if (is_filtered())
			return error_set(err, rc,
					 "a seccomp filter refuses perf_event_open (a container "
					 "engine's default does): run this on the host");
		(void)!fs_read_small(AT_FDCWD, PARANOID_FILE, paranoid, sizeof(paranoid));
		return error_set(err, rc,
				 "the kernel refuses probes: root or CAP_SYS_ADMIN is needed "
				 "(perf_event_paranoid is %s)",
				 str_trim(paranoid));
	default:
		return error_sys(err, rc, "cannot open a performance event");
	}
}

static int open_event(int type, pid_t tid, const struct probe_points *p,
		      const struct probe_point *point, unsigned pages)
{
	char path[32];
	struct perf_event_attr attr = {
		.type = (uint32_t)type,
		.size = sizeof(attr),
		.config = point->counter << COUNTER_SHIFT,
		.uprobe_path = (uintptr_t)path,
		.probe_offset = point->offset,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
			       PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = p->registers,
		.sample_stack_user = MAX_OF(p->stack, 8u),
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = pages * PAGE / 2,
	};
	long fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->file);
	fd = syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* A software event that counts nothing: its ring tells of the thread's clones. It wakes at each,
 * so that a new thread is watched before it has done much. Without one they are looked for. */
static void open_births(struct probe_ring *r)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.task = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attr, r->tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	r->births = (int)fd;
	if (fd < 0)
		return;
	r->birth_pages = mmap(NULL, BIRTH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (r->birth_pages != MAP_FAILED)
		return;
	r->birth_pages = NULL;
	close(r->births);
	r->births = -1;
}

void probe_ring_take_births(struct probe_ring *r)
{
	struct perf_event_mmap_page *control = r->birth_pages;

	if (control)
		__atomic_store_n(&control->data_tail,
				 __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
}

static int add_event(struct probe_ring *r, int type, const struct probe_points *p,
		     struct error *err)
{
	unsigned pages = (unsigned)(r->size / PAGE);
	int fd = open_event(type, r->tid, p, &p->points[r->n_fds], pages);

	if (fd < 0)
		return explain(fd, err);
	r->fds[r->n_fds++] = fd;
	if (r->n_fds == 1) {
		r->pages = mmap(NULL, PAGE + r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (r->pages != MAP_FAILED)
			return 0;
		r->pages = NULL;
		return error_sys(err, -errno, "cannot map %zu bytes for a thread's events",
				 r->size);
	}
	if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, r->fds[0]) < 0)
		return error_sys(err, -errno, "cannot join two probes of a thread");
	return 0;
}

int probe_ring_extend(struct probe_ring *r, int type, const struct probe_points *p,
		      struct error *err)
{
	while (r->n_fds < p->n) {
		int rc = add_event(r, type, p, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int probe_ring_open(struct probe_ring *r, int type, pid_t tid, const struct probe_points *p,
		    unsigned pages, struct error *err)
{
	int rc;

	*r = (struct probe_ring){.tid = tid, .size = (size_t)pages * PAGE, .births = -1};
	rc = probe_ring_extend(r, type, p, err);
	if (rc == 0)
		open_births(r);
	return rc;
}

void probe_ring_unmap(struct probe_ring *r)
{
	if (r->pages)
		munmap(r->pages, PAGE + r->size);
	if (r->birth_pages)
		munmap(r->birth_pages, BIRTH_SIZE);
	r->pages = NULL;
	r->birth_pages = NULL;
}

void probe_ring_close(struct probe_ring *r)
{
	probe_ring_unmap(r);
	for (unsigned i = 0; i < r->n_fds; i++)
		close(r->fds[i]);
	if (r->births >= 0)
		close(r->births);
	*r = (struct probe_ring){.tid = r->tid, .births = -1};
}

/* ---- reading ---- */

static void copy_out(const struct probe_ring *r, uint64_t at, void *buf, size_t n)
{
	const uint8_t *data = (const uint8_t *)r->pages + PAGE;
	size_t from = (size_t)at & (r->size - 1);
	size_t first = MIN_OF(n, r->size - from);

	memcpy(buf, data + from, first);
	memcpy((uint8_t *)buf + first, data, n - first);
}

/* In the order of perf_event_open(2), 'PERF_RECORD_SAMPLE'. The kernel wrote it; the stack's bytes
 * alone are the target's. */
static bool parse_hit(const uint64_t *w, size_t words, uint64_t registers, struct probe_hit *ret)
{
	size_t at = 4;
	uint64_t size;

	if (words < 5)
		return false;
	*ret = (struct probe_hit){.address = w[1], .t_ns = (int64_t)w[3]};
	if (w[at++] != PERF_SAMPLE_REGS_ABI_NONE) {
		for (unsigned i = 0; i < ARGUMENT_REGISTERS; i++) {
			if (!(registers >> i & 1))
				continue;
			if (at == words)
				return false;
			ret->state.registers[i] = w[at++];
		}
	}
	if (at == words)
		return true;
	size = w[at++];
	if (size == 0 || size % 8 || size / 8 >= words - at)
		return size == 0;
	ret->state.stack = (const uint8_t *)&w[at];
	ret->state.stack_size = MIN_OF(w[at + size / 8], size);
	return true;
}

static void tell(struct probe_ring *r, const struct probe_points *p, const struct probe_sink *sink,
		 const uint64_t *words, const struct perf_event_header *h)
{
	struct probe_hit hit;

	if (h->type == PERF_RECORD_LOST)
		sink->on_record(sink->owner, r, PROBE_LOST, NULL, words[2]);
	else if (h->type == PERF_RECORD_SAMPLE && parse_hit(words, h->size / 8, p->registers, &hit))
		sink->on_record(sink->owner, r, PROBE_HIT, &hit, 0);
}

void probe_ring_drain(struct probe_ring *r, const struct probe_points *p,
		      const struct probe_sink *sink)
{
	struct perf_event_mmap_page *control = r->pages;
	uint64_t head = __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = control->data_tail;

	while (tail < head) {
		uint64_t words[RECORD_MAX / 8] = {0};
		struct perf_event_header h;

		copy_out(r, tail, &h, sizeof(h));
		if (h.size < sizeof(h) || h.size > head - tail)
			break;
		if (h.size <= sizeof(words)) {
			copy_out(r, tail, words, h.size);
			tell(r, p, sink, words, &h);
		}
		tail += h.size;
	}
	__atomic_store_n(&control->data_tail, head, __ATOMIC_RELEASE);
}
