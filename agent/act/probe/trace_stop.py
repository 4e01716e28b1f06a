# SPDX-License-Identifier: Apache-2.0
# What grew since trace_start.py by line, the ARGS[0] largest first, each with the traceback that has most of it; ends
# the trace if it was ours.
import _tracemalloc as tm

state = tm.__dict__.pop('_memherd', None)
if state is None:
    raise RuntimeError('the trace is over already')
try:
    own, most = tm.get_tracemalloc_memory(), ARGS[1]
    if own > most:
        raise RuntimeError('the trace takes %d bytes, more than %d: it was stopped unread' % (own, most))
    sizes, backs = {}, {}
    total = blocks = 0
    for trace in tm._get_traces():
        back = trace[2]
        key = back[0]
        if key[0] == '<memherd>':
            continue
        size, count = sizes.get(key, (0, 0))
        sizes[key] = (size + trace[1], count + 1)
        if len(back) > 1:
            of = backs.setdefault(key, {})
            of[back] = of.get(back, 0) + trace[1]
    del trace
    own = tm.get_tracemalloc_memory()
finally:
    if state[1]:
        tm.stop()
    state[0].release()
grown = []
for key, (size, count) in sizes.items():
    size0, count0 = state[2].get(key, (0, 0))
    total += size - size0
    blocks += count - count0
    if size > size0:
        grown.append((size - size0, count - count0, size, count, key))
for key, (size0, count0) in state[2].items():
    if key not in sizes:
        total -= size0
        blocks -= count0
grown.sort(key=lambda row: -row[0])


def place(key):
    return ascii(key[0])[1:-1] + ':%d' % key[1]


lines.append('total\t%d\t%d\t%d' % (total, blocks, own))
for grew, more, size, count, key in grown[:ARGS[0]]:
    lines.append('row\t%d\t%d\t%d\t%d\t%s' % (grew, more, size, count, place(key)))
    of = backs.get(key)
    if of:
        back = max(of, key=of.get)
        lines.append('about\t' + ' < '.join(place(k) for k in back[1:]))
