# SPDX-License-Identifier: Apache-2.0
# Which containers hold most, the ARGS[0] largest, each with all that it alone leads to: what a module has by name, types,
# functions and modules are not its own, and what two lead to is the one's that was measured first. ARGS[1]: of how many
# objects in the heap at most, ARGS[2] seconds.
CANDIDATES = 32


# By type: how large one is; None for what is never part of a container. Only functions of the interpreter's are called.
def sizer(t, known):
    f = None
    if not issubclass(t, (type, MODULE, FUNCTION, FRAME, type(len), type(run.__code__))):
        for c in mro_of(t):
            f = dict_of(c).get('__sizeof__')
            if type(f) is METHOD:
                break
            f = None
    known[id(t)] = f
    return f


# Those of lists, and the dicts that the collector does not track, since they lead to nothing but strings and numbers.
def all_of(lists, until):
    for of in lists:
        yield of
    for of in lists:
        for i in range(0, len(of), SOME):
            if perf_counter() > until:
                return
            yield [r for r in gc.get_referents(*of[i:i + SOME]) if type(r) is dict and not gc.is_tracked(r)]


# The largest by themselves.
def largest(lists, dicts, own, known, until):
    kinds, top, least = {}, {}, SOME
    for of in all_of(lists, until):
        for o in of:
            t = type(o)
            f = kinds.get(id(t), 0)
            if f == 0:
                f = kinds[id(t)] = sizer(t, known) if issubclass(t, (dict, list, set, frozenset, deque)) else None
            if f is None:
                continue
            n = f(o)
            if n > least and id(o) not in own and id(o) not in dicts:
                top[id(o)] = (n, o)
                if len(top) >= 4 * CANDIDATES:
                    keep = sorted(top.items(), key=lambda x: -x[1][0])[:CANDIDATES]
                    least = keep[-1][1][0]
                    top = dict(keep)
    return [x[1] for x in sorted(top.values(), key=lambda x: -x[0])[:CANDIDATES]]


# What o alone leads to: bytes and objects. Other candidates are not, but remembered as held by it. seen has a bit for each
# 16 bytes of memory where an object was found.
def measure(o, parents, at, seen, known, until):
    size, n, stack = known[id(type(o))](o) + 16, 1, [o]
    me, tracked, atoms = id(o), gc.is_tracked, set(map(id, (str, int, float, bytes, bool, type(None))))
    while stack:
        if perf_counter() > until:
            return size, n, True
        chunk = stack[-FEW:]
        del stack[-FEW:]
        for r in gc.get_referents(*chunk):
            i = id(r)
            if i in parents:
                if parents[i] is None and i not in at and i != me:
                    parents[i] = me
                continue
            if i in at:
                continue
            bits = seen.get(i >> 20)
            if bits is None:
                bits = seen[i >> 20] = bytearray(8192)
            byte, bit = (i >> 7) & 8191, 1 << ((i >> 4) & 7)
            if bits[byte] & bit:
                continue
            bits[byte] |= bit
            t = type(r)
            f = known.get(id(t), 0)
            if f == 0:
                f = sizer(t, known)
            if f is None:
                continue
            try:
                size += f(r) + 16 if tracked(r) else f(r)
            except Exception:
                continue
            n += 1
            if id(t) not in atoms:
                stack.append(r)
    return size, n, False


def add_up(i, parents, own, into):
    done = set()
    while i is not None and i not in done:
        done.add(i)
        for k in (0, 1):
            into[i][k] += own[k]
        i = parents[i]


def run(most, limit, until):
    # before there is a list of all objects, which would hold what named() makes
    at, dicts = named()
    lists = heap(limit)
    if lists is None:
        return
    known = {}
    own = {id(globals()), id(lines), id(lists), id(at), id(dicts), id(known)}
    own.update(map(id, lists))
    top = largest(lists, dicts, own, known, until)
    lists.clear()
    chains = search(top, at, dicts, until)
    found, parents = {}, {}
    for root, chain in chains:
        for i in range(len(chain), 0, -1):
            o = chain[i - 1]
            # what an instance's attributes are in is measured as its own
            if i > 1 and type(o) is dict and length_of(chain[i - 2]) < 0 and vars_of(chain[i - 2]) is o:
                continue
            if id(o) not in found and (known.get(id(type(o)), 0) or sizer(type(o), known)):
                found[id(o)] = (o, root, chain[:i])
                parents[id(o)] = None
    seen, own_sizes = {}, {}
    late = 0
    for i, (o, root, chain) in found.items():
        own_sizes[i] = (known[id(type(o))](o) + 16, 1)
        if perf_counter() > until:
            late += 1
            continue
        # the largest come first, and must leave time to the others
        size, n, short = measure(o, parents, at, seen, known, (perf_counter() + until) / 2)
        own_sizes[i] = (size, n)
        late += short
    totals = {i: [0, 0] for i in found}
    for i in found:
        add_up(i, parents, own_sizes[i], totals)
    most_bytes = max([t[0] for t in totals.values()], default=0)
    for i in sorted(found, key=lambda i: -totals[i][0])[:most]:
        if totals[i][0] < most_bytes // SOME:
            break
        o, root, chain = found[i]
        held = chain_text(root, chain)[:900]
        lines.append('row\t%d\t%d\t%d\t%d\t%s' % (totals[i][0], own_sizes[i][0], totals[i][1], length_of(o), held))
        lines.append('about\t' + name_of(type(o)))
    lines.append('containers\t%d' % len(found))
    if late:
        lines.append('cut\tthe time was over: %d of %d containers were not measured to their end' % (late, len(found)))


begun = perf_counter()
run(ARGS[0], ARGS[1], begun + ARGS[2])
lines.append('frozen\t%d' % gc.get_freeze_count())
lines.append('seconds\t%.3f' % (perf_counter() - begun))
