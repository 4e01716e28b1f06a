# SPDX-License-Identifier: Apache-2.0
# Begins to trace allocations with ARGS[0] frames each, for at most ARGS[1] seconds: then a thread of its own stops it
# again, whoever was to do it. Where the application traces already it is left as it is, and what is there is the base.
# The C part of tracemalloc only: the module beside it imports half a dozen others.
import _thread
import _tracemalloc as tm

if '_memherd' in tm.__dict__:
    raise RuntimeError('a trace of before is not over yet')
base = {}
ours = not tm.is_tracing()
if ours:
    tm.start(ARGS[0])
else:
    for trace in tm._get_traces():
        key = trace[2][0]
        if key[0] == '<memherd>':
            continue
        size, count = base.get(key, (0, 0))
        base[key] = (size + trace[1], count + 1)
state = (_thread.allocate_lock(), ours, base)
state[0].acquire()
tm._memherd = state


def guard(tm, state, seconds):
    state[0].acquire(True, seconds)
    if tm.__dict__.get('_memherd') is state:
        del tm._memherd
        if state[1]:
            tm.stop()


_thread.start_new_thread(guard, (tm, state, ARGS[1]))
lines.append('started\t%d' % ours)
