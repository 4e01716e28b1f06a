/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "agent/act/probe/probe.h"
#include "agent/python/memory.h"

#define MAGIC      UINT64_C(0x3267707265686d6d) /* changes with boot.py */
#define GAP_MIN    (UINT64_C(64) << 20)
#define ALIGN      (UINT64_C(64) << 10)
#define BOOT_MAX   (PAGE_SCRIPT - PAGE_BOOT)
#define USER_LIMIT (UINT64_C(1) << 47)

struct head {
	uint64_t magic;
	uint64_t self;
	uint64_t pid;
	uint64_t token;
	uint64_t state;
	uint64_t script_len;
	uint64_t answer_len;
	uint64_t again;
	uint64_t pending;
};

static int put(const struct page *p, size_t at, const void *data, size_t len)
{
	struct iovec local = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)(p->address + at), .iov_len = len};
	ssize_t n = process_vm_writev(p->pid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return -errno;
	return n == (ssize_t)len ? 0 : -EFAULT;
}

static int put_word(const struct page *p, size_t at, uint64_t v)
{
	return put(p, at, &v, sizeof(v));
}

static bool is_ours(const struct map *m)
{
	return m->end - m->start == PAGE_BYTES && m->writable && !m->executable && !*m->path;
}

int page_find(pid_t pid, const struct maps *m, struct page *ret)
{
	for (size_t i = 0; i < m->n; i++) {
		struct head h;

		if (!is_ours(&m->rows[i]) ||
		    memory_read(pid, m->rows[i].start, &h, sizeof(h)) < 0 || h.magic != MAGIC ||
		    h.self != m->rows[i].start)
			continue;
		*ret = (struct page){.pid = pid, .address = m->rows[i].start};
		return 0;
	}
	return -ENOENT;
}

int page_place(const struct maps *m, uint64_t *ret)
{
	uint64_t best = 0;

	for (size_t i = 1; i < m->n; i++) {
		uint64_t low = m->rows[i - 1].end;
		uint64_t high = m->rows[i].start;

		if (high > USER_LIMIT || high < low || high - low < GAP_MIN || high - low <= best)
			continue;
		best = high - low;
		*ret = (low + best / 2) & ~(ALIGN - 1);
	}
	return best ? 0 : -ENOSPC;
}

int page_is_there(pid_t pid, uint64_t address)
{
	auto_maps struct maps m = {0};
	const struct map *row;
	int rc = maps_load(pid, &m, NULL);

	if (rc < 0)
		return rc;
	row = maps_at(&m, address);
	return row && row->start == address && is_ours(row) ? 0 : -ENOENT;
}

int page_write(const struct page *p, struct error *err)
{
	char boot[BOOT_MAX];
	struct head h = {.magic = MAGIC, .self = p->address};
	/* One expression without a name of its own: it is run among those of __main__. */
	int n = snprintf(boot, sizeof(boot),
			 "(lambda b: b.exec(b.compile(r'''%s''', '<memherd>', 'exec'), "
			 "{'PAGE': %" PRIu64 "}))(__import__('builtins'))\n",
			 probe_boot, p->address);
	int rc = n < 0 || (size_t)n >= sizeof(boot) ? -E2BIG : 0;

	if (rc == 0)
		rc = put(p, PAGE_BOOT, boot, (size_t)n + 1);
	if (rc == 0)
		rc = put(p, 0, &h, sizeof(h));
	return rc < 0 ? error_sys(err, rc, "cannot write into process %d", (int)p->pid) : 0;
}

int page_arm(const struct page *p, pid_t there, uint64_t token, const char *script, size_t len,
	     struct error *err)
{
	int state = page_state(p);
	int rc = state < 0 ? state : 0;

	if (state == PAGE_RUNS)
		return error_set(err, -EBUSY, "a script of before still runs in process %d",
				 (int)p->pid);
	if (len > PAGE_SCRIPT_MAX)
		return error_set(err, -E2BIG, "a script of %zu bytes is too long", len);
	if (rc == 0)
		rc = put(p, PAGE_SCRIPT, script, len);
	/* a page that came by fork() says its parent's */
	if (rc == 0)
		rc = put_word(p, offsetof(struct head, pid), (uint64_t)there);
	if (rc == 0)
		rc = put_word(p, offsetof(struct head, script_len), len);
	if (rc == 0)
		rc = put_word(p, offsetof(struct head, answer_len), 0);
	if (rc == 0)
		rc = put_word(p, offsetof(struct head, again), 0);
	if (rc == 0)
		rc = put_word(p, offsetof(struct head, pending), 0);
	if (rc == 0)
		rc = put_word(p, offsetof(struct head, state), PAGE_ARMED);
	/* last: only now a call that waits somewhere may take it */
	if (rc == 0)
		rc = put_word(p, offsetof(struct head, token), token);
	return rc < 0 ? error_sys(err, rc, "cannot write into process %d", (int)p->pid) : 0;
}

int page_state(const struct page *p)
{
	uint64_t v;
	int rc = memory_read_u64(p->pid, p->address + offsetof(struct head, state), &v);

	if (rc < 0)
		return rc;
	return v <= PAGE_LEFT ? (int)v : -EBADMSG;
}

int page_disarm(const struct page *p)
{
	int rc = put_word(p, offsetof(struct head, token), 0);

	return rc < 0 ? rc : page_state(p);
}

int page_answer(const struct page *p, char ret[PAGE_ANSWER_MAX], size_t *ret_len)
{
	uint64_t n;
	int rc = memory_read_u64(p->pid, p->address + offsetof(struct head, answer_len), &n);

	if (rc == 0 && n > PAGE_ANSWER_MAX)
		rc = -EBADMSG;
	if (rc == 0 && n)
		rc = memory_read(p->pid, p->address + PAGE_ANSWER, ret, n);
	if (rc == 0)
		*ret_len = n;
	return rc;
}

int page_signals(const struct page *p, uint64_t *ret_again, uint64_t *ret_pending)
{
	int rc = memory_read_u64(p->pid, p->address + offsetof(struct head, again), ret_again);

	if (rc == 0)
		rc = memory_read_u64(p->pid, p->address + offsetof(struct head, pending),
				     ret_pending);
	return rc;
}
