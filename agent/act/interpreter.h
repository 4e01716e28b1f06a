/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interpreter.h - what it takes to have an interpreter run something: the functions that it
 * exports, its main thread, who has the GIL. Read from the target's memory, in the worker.
 */
#ifndef MEMHERD_AGENT_ACT_INTERPRETER_H
#define MEMHERD_AGENT_ACT_INTERPRETER_H

#include "agent/act/pending.h"
#include "agent/python/maps.h"
#include "agent/python/runtime.h"

/* X(field, name): what must be exported. */
#define INTERPRETER_FUNCTION_LIST(X)               \
	X(add_pending_call, Py_AddPendingCall)     \
	X(make_pending_calls, Py_MakePendingCalls) \
	X(run_simple_string, PyRun_SimpleString)   \
	X(gil_ensure, PyGILState_Ensure)           \
	X(gil_release, PyGILState_Release)

#define INTERPRETER_KEEP_OUT 4

struct interpreter {
	struct runtime runtime;
	uint64_t address;       /* PyInterpreterState of the main one */
	struct pending pending; /* whose lock a thread that queues must not have */
	uint64_t loop[2];       /* the eval loop's code; 0, 0 = not exported */
	uint64_t text[2];       /* all of the interpreter's */
	uint64_t keep_out[INTERPRETER_KEEP_OUT]
			 [2]; /* functions that have the lock of pending calls */
#define X(field, name) uint64_t field;
	INTERPRETER_FUNCTION_LIST(X)
#undef X
};

/* -ENOTSUP names why this is no interpreter that can be used; -EAGAIN: it starts, ends, or collects
 * just now; -ESRCH, -EPERM. */
int interpreter_find(pid_t pid, const struct maps *m, struct interpreter *ret,
		     struct error *err) must_use;
/* May a thread that stands at this instruction of the interpreter be sent into Py_AddPendingCall,
 * which takes one lock, and no memory? By functions that are known to have the lock. */
bool interpreter_may_queue(const struct interpreter *in, uint64_t pc);
/* Has nobody the lock of pending calls? Of a thread that stands still that means that it has not.
 * True as well where it is not known where the lock is: then functions alone tell. */
bool interpreter_queue_is_free(const struct interpreter *in);
/*
 * Is the thread whose thread pointer (fs) this is the main thread of the interpreter, and does it
 * not have the GIL? The thread stands still. -EAGAIN: it has it; -ENOTSUP: another is the main one;
 * -EBADMSG: not a GIL.
 */
int interpreter_check_main(const struct interpreter *in, uint64_t fs, struct error *err) must_use;

#endif
