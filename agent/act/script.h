/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.h - runs a few lines of Python in a running CPython 3.8 to 3.15 that was not prepared for
 * it, by its main thread, at most once, and brings their answer back. In a disposable worker.
 *
 *	find the interpreter and what it exports -> page.h: a piece of memory, made by a thread of
 *	  the target -> script, token -> one of
 *	    main sleeps outside of a lock:  it makes PyGILState_Ensure, PyRun_SimpleString, Release
 *	    main waits for a lock:          it makes Py_AddPendingCall, its wait returns EINTR
 *	    else:                           another thread that sleeps, or main between two
 *	                                    instructions of the eval loop, makes Py_AddPendingCall
 *	-> the answer, or the token is taken back: a call that is still queued then does nothing
 */
#ifndef MEMHERD_AGENT_ACT_SCRIPT_H
#define MEMHERD_AGENT_ACT_SCRIPT_H

#include "agent/act/process.h"
#include "common/buf.h"
#include "common/error.h"

/* Together with finding a thread and cleaning up less than COMMAND_LIMIT_SEC. */
#define SCRIPT_FIND_US   (3 * INT64_C(1000000))
#define SCRIPT_START_US  (5 * INT64_C(1000000))
#define SCRIPT_RUN_US    (12 * INT64_C(1000000))
#define SCRIPT_ANSWER    (96u << 10)
#define SCRIPT_ARGS_SIZE 256

struct script {
	const char *prelude; /* put before it; NULL = nothing */
	const char *source;  /* of probe/ */
	const char *args;    /* a tuple in Python's words: '(2,)' */
	int64_t start_us;    /* how long it may take to begin, and to run; 0 = SCRIPT_..._US */
	int64_t run_us;
	bool look_only; /* nothing is touched: could it be done? */
};

struct script_report {
	int64_t held_us;   /* threads of the target, by us */
	uint32_t version;  /* of the interpreter */
	int again;         /* a signal that ended the script and was sent anew; 0 = none */
	bool queued;       /* something was sent into the process: it may have been touched */
	bool running;      /* the script began, and was not seen to end */
	char carrier[160]; /* who would run it, or did, in words */
};

/*
 * answer: 'name<TAB>value' lines. -ENOTSUP: not in this process, err names why. -EAGAIN: not just
 * now. -ETIMEDOUT: queued, not run and taken back; or it runs still (ret->running). -EPROTO: the
 * script failed in the target, err has its words. -EPERM, -ESRCH, -ECHILD.
 */
int script_run(const struct process *p, const struct script *s, struct buf *answer,
	       struct script_report *ret, struct error *err) must_use;
/* The value of a name's first line, into buf; NULL when there is none. */
const char *script_value(const struct buf *answer, const char *name, char *buf, size_t size);

#endif
