# SPDX-License-Identifier: Apache-2.0
# Who holds objects of the type that ARGS[0] names (all of its name with the module, or its end): the ARGS[1] newest ones,
# chains from a module or a frame down to them. ARGS[2]: of how many objects in the heap at most, ARGS[3] seconds.


def newest(lists, wanted, most):
    picked = []
    for of in lists:
        some = []
        for o in reversed(of):
            if id(type(o)) in wanted:
                some.append(o)
                if len(some) == most:
                    break
        picked.append(some)
    # of each generation in turn: what lives for long as well as what has just come
    turn = [some[i] for i in range(most) for some in reversed(picked) if i < len(some)]
    return turn[:most]


def run(name, most, limit, until):
    lists = heap(limit)
    if lists is None:
        return
    own = {id(globals()), id(lines), id(lists)}
    own.update(map(id, lists))
    kinds = {}
    for of in lists:
        for t in map(type, of):
            if id(t) not in kinds:
                kinds[id(t)] = t
    wanted = {}
    for i, t in kinds.items():
        full = name_of(t)
        if full == name or full.endswith('.' + name):
            wanted[i] = full
    count = sum(sum(i in wanted for i in map(id, map(type, of))) for of in lists)
    starts = [o for o in newest(lists, wanted, most + 4) if id(o) not in own][:most]
    lists.clear()
    kinds = of = t = None
    lines.append('found\t%d\t%s' % (count, ', '.join(sorted(set(wanted.values()))[:5])))
    if not starts:
        return
    at, dicts = named()
    chains = search(starts, at, dicts, until)
    groups = {}
    for root, chain in chains:
        text = chain_text(root, chain) + ' -> ' + name_of(type(chain[-1]))
        if text not in groups:
            through = ['%s of %d' % (name_of(type(o)), length_of(o)) for o in chain[:-1] if length_of(o) > FEW]
            groups[text] = [0, ', '.join(through)]
        groups[text][0] += 1
    for text, (n, through) in sorted(groups.items(), key=lambda g: -g[1][0]):
        lines.append('row\t%d\t%s' % (n, text[:900]))
        lines.append('about\t' + through[:400])
    if perf_counter() > until:
        lines.append('cut\tthe time was over')
    elif any(root is None for root, chain in chains):
        lines.append('cut\tnot every chain ends at a module or a frame: garbage, or held by C code or a local of a running function')


begun = perf_counter()
run(ARGS[0], ARGS[1], ARGS[2], begun + ARGS[3])
lines.append('frozen\t%d' % gc.get_freeze_count())
lines.append('seconds\t%.3f' % (perf_counter() - begun))
