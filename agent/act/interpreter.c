/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/interpreter.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/python/gcstat.h"
#include "agent/python/image.h"
#include "agent/python/memory.h"

#define FIND_TRIES  20
#define RETRY_NS    5000000
#define THREADS_MAX 4096
#define HOLDER_AT   8
#define LOCKED_AT   16

static int state_error(enum python_state state, struct error *err)
{
	int rc = -ENOTSUP;

	if (state == PYTHON_GONE)
		rc = -ESRCH;
	else if (state == PYTHON_DENIED)
		rc = -EPERM;
	else if (state == PYTHON_STARTING)
		rc = -EAGAIN;
	return error_set(err, rc, "%s", python_state_text(state));
}

static int find_runtime(pid_t pid, const struct maps *m, struct runtime *ret, struct error *err)
{
	const struct timespec step = {.tv_nsec = RETRY_NS};
	enum python_state state = PYTHON_UNKNOWN_LAYOUT;

	/* Lists that are being changed look like none; a build that we do not know stays so. */
	for (int i = 0; i < FIND_TRIES && state == PYTHON_UNKNOWN_LAYOUT; i++) {
		if (i)
			nanosleep(&step, NULL);
		state = runtime_find(pid, m, ret, NULL);
	}
	return state == PYTHON_READABLE ? 0 : state_error(state, err);
}

static int find_function(const struct image *im, const struct maps *m, const char *name,
			 uint64_t *ret, uint64_t *ret_size, struct error *err)
{
	const struct map *at;
	int rc = image_find(im, name, ret, ret_size);

	if (rc < 0)
		return error_set(err, rc == -ENOENT ? -ENOTSUP : rc,
				 "the interpreter exports no %s", name);
	at = maps_at(m, *ret);
	if (!at || !at->executable || at->writable)
		return error_set(err, -ENOTSUP, "%s is not in the interpreter's code", name);
	return 0;
}

static void find_text(const struct image *im, const struct maps *m, struct interpreter *in)
{
	static const char *const names[INTERPRETER_KEEP_OUT] = {"Py_AddPendingCall",
								"_PyEval_AddPendingCall",
								"Py_MakePendingCalls",
								"_PyEval_MakePendingCalls"};
	const struct map *text = maps_at(m, in->add_pending_call);

	if (!text)
		return;
	in->text[0] = text->start;
	in->text[1] = text->end;
	for (size_t i = 0; i < INTERPRETER_KEEP_OUT; i++) {
		uint64_t size;

		if (find_function(im, m, names[i], &in->keep_out[i][0], &size, NULL) == 0)
			in->keep_out[i][1] = in->keep_out[i][0] + size;
		else
			in->keep_out[i][0] = 0;
	}
}

bool interpreter_may_queue(const struct interpreter *in, uint64_t pc)
{
	if (pc < in->text[0] || pc >= in->text[1])
		return false;
	for (size_t i = 0; i < INTERPRETER_KEEP_OUT; i++)
		if (pc >= in->keep_out[i][0] && pc < in->keep_out[i][1])
			return false;
	return true;
}

bool interpreter_queue_is_free(const struct interpreter *in)
{
	return !in->pending.at || pending_held(in->runtime.pid, &in->pending) == 0;
}

static int find_functions(const struct maps *m, struct interpreter *in, struct error *err)
{
	struct image im;
	uint64_t size;
	int rc = image_open(in->runtime.pid, in->runtime.image, &im);

	if (rc < 0)
		return error_sys(err, rc, "cannot read the interpreter's symbols");
#define X(field, name) \
	if (rc == 0)   \
		rc = find_function(&im, m, #name, &in->field, &size, err);
	INTERPRETER_FUNCTION_LIST(X)
#undef X
	if (rc == 0 &&
	    find_function(&im, m, "_PyEval_EvalFrameDefault", &in->loop[0], &size, NULL) == 0)
		in->loop[1] = in->loop[0] + size;
	else
		in->loop[0] = 0;
	if (rc == 0)
		find_text(&im, m, in);
	return rc;
}

int interpreter_find(pid_t pid, const struct maps *m, struct interpreter *ret, struct error *err)
{
	struct interpreter in = {0};
	struct gcstat gc;
	int rc = find_runtime(pid, m, &in.runtime, err);

	if (rc < 0)
		return rc;
	rc = runtime_interpreters(&in.runtime, &in.address, 1);
	if (rc < 0)
		return error_sys(err, rc == -EBADMSG ? -EAGAIN : rc,
				 "cannot read the interpreters of process %d", (int)pid);
	rc = find_functions(m, &in, err);
	if (rc < 0)
		return rc;
	pending_find(&in.runtime, in.address, &in.pending);
	if (gcstat_read(&in.runtime, in.address, &gc) == 0 && gc.collecting)
		return error_set(err, -EAGAIN, "it collects garbage just now; retry later");
	*ret = in;
	return 0;
}

/* The thread state that has the GIL, 0 for none. */
static int read_holder(const struct interpreter *in, uint64_t *ret)
{
	const struct layout *l = &in->runtime.layout;
	pid_t pid = in->runtime.pid;
	uint64_t gil;
	int32_t locked = 0;
	int rc;

	if (l->runtime.current != LAYOUT_NONE)
		return memory_read_u64(pid, in->runtime.address + l->runtime.current, ret);
	rc = memory_read_u64(pid, in->address + l->interpreter.gil, &gil);
	if (rc == 0)
		rc = memory_read(pid, gil + LOCKED_AT, &locked, sizeof(locked));
	if (rc == 0 && locked != 0 && locked != 1 && locked != -1)
		rc = -EBADMSG;
	if (rc == 0)
		rc = memory_read_u64(pid, gil + HOLDER_AT, ret);
	if (rc == 0 && locked != 1)
		*ret = 0;
	return rc;
}

/*
 * 1 when a thread state of this thread has the GIL, 0 when none has, -ENOENT when it has none. Up
 * to 3.11 a state that is made for a new thread has the id of its maker until that one runs, so
 * that a thread may seem to have two.
 */
static int thread_holds(const struct interpreter *in, uint64_t fs, uint64_t holder)
{
	const struct layout *l = &in->runtime.layout;
	pid_t pid = in->runtime.pid;
	bool found = false;
	uint64_t at;
	int rc = memory_read_u64(pid, in->address + l->interpreter.threads_head, &at);

	for (int i = 0; rc == 0 && at && i < THREADS_MAX; i++) {
		uint64_t id;

		rc = memory_read_u64(pid, at + l->thread.thread_id, &id);
		found |= rc == 0 && id == fs;
		if (rc == 0 && id == fs && at == holder)
			return 1;
		if (rc == 0)
			rc = memory_read_u64(pid, at + l->thread.next, &at);
	}
	if (rc < 0)
		return rc;
	return found ? 0 : -ENOENT;
}

int interpreter_check_main(const struct interpreter *in, uint64_t fs, struct error *err)
{
	uint64_t main_thread;
	uint64_t holder = 0;
	int rc = memory_read_u64(in->runtime.pid,
				 in->runtime.address + in->runtime.layout.runtime.main_thread,
				 &main_thread);

	if (rc == 0 && main_thread != fs)
		return error_set(err, -ENOTSUP,
				 "the interpreter's main thread is not the process's first");
	if (rc == 0)
		rc = read_holder(in, &holder);
	if (rc == 0)
		rc = thread_holds(in, fs, holder);
	/* the list may have been changed by others while it was read */
	if (rc == 1 || rc == -ENOENT)
		return -EAGAIN;
	return rc < 0 ? error_sys(err, rc, "cannot read who has the GIL") : 0;
}
