# SPDX-License-Identifier: Apache-2.0
# What referrers.py and sizes.py, which it is put before, have in common: what things are called, and who holds them.
# Other threads run meanwhile, and objects come and go. Nothing of the application's is called: no __eq__, no __getattr__,
# no __len__, no metaclass's __eq__ or __hash__: types are compared by 'is' and kept by id. Lists and tuples are never iterated, since one may be half made: their referents are asked for.
import gc
import sys
from time import perf_counter

MODULE, FUNCTION, FRAME, DICT = type(sys), type(lambda: 0), type(sys._getframe()), dict
GENERATOR = type((lambda: (yield))())
GETSET, MEMBER, METHOD = type(FUNCTION.__dict__['__code__']), type(FUNCTION.__dict__['__globals__']), type(list.__sizeof__)
module_of, qualname_of, mro_of, dict_of = (type.__dict__[k].__get__ for k in ('__module__', '__qualname__', '__mro__', '__dict__'))
module_dict = MODULE.__dict__['__dict__'].__get__
FEW = 64
SOME = 1000


def is_a(o, kind):
    return issubclass(type(o), kind)


def say(text, most=120):
    return ascii(text)[1:-1][:most] if type(text) is str else '?'


def name_of(t):
    try:
        module, name = module_of(t), qualname_of(t)
    except AttributeError:
        return '?'
    return say(name) if type(module) is not str or module == 'builtins' else say(module) + '.' + say(name)


def vars_of(o):
    for c in mro_of(type(o)):
        d = dict_of(c).get('__dict__')
        if type(d) is GETSET:
            found = d.__get__(o)
            return found if type(found) is dict else None
    return None


def length_of(o):
    for kind in (list, dict, set, frozenset, tuple, deque):
        if is_a(o, kind):
            return kind.__len__(o)
    return -1


try:
    from _collections import deque
except ImportError:
    deque = list


# The objects that the collector tracks, by generation; None when they are more than most, which is told.
def heap(most):
    blocks = sys.getallocatedblocks()
    if blocks <= 8 * most:
        lists = [gc.get_objects(generation=g) for g in (0, 1, 2)]
        n = sum(map(len, lists))
        lines.append('heap\t%d' % n)
        if n <= most:
            return lists
        blocks = n
    lines.append('refused\tits heap has %d %s, more than %d: say --objects to look at them all the same' % (
        blocks, 'objects' if blocks <= 8 * most and lines else 'blocks of memory', most))
    return None


# What modules hold by name, and the locals of functions that run, where asking for them changes nothing: {id: text};
# and the modules' dicts: {id: name}.
def named():
    at, dicts = {}, {}
    for name, m in list(sys.modules.items()):
        d = module_dict(m) if is_a(m, MODULE) else None
        if type(d) is not dict or id(d) in dicts:
            continue
        dicts[id(d)] = say(name)
        for k, v in list(d.items()):
            if type(k) is str and (gc.is_tracked(v) or type(v) is dict):
                at.setdefault(id(v), 'module %s . %s' % (say(name), say(k)))
    for f in list(sys._current_frames().values()):
        for _ in range(FEW):
            if f is None:
                break
            if f.f_code.co_flags & 1 and f.f_code.co_filename != '<memherd>':
                for k, v in locals_of(f):
                    if (gc.is_tracked(v) or type(v) is dict) and id(v) not in dicts and type(v) is not FRAME:
                        at.setdefault(id(v), frame_text(f) + k)
            f = f.f_back
    return at, dicts


# Before 3.11 a frame that runs tells its locals to the collector; from 3.13 on f_locals is no copy that stays. In between
# it is a dict that the frame keeps, and what is in there lives until the function ends: so it is emptied, unless the program
# may have it too. Whoever calls one of CALLS, or is traced, may have one of its own, which asking would bring up to date: those
# are let be.
CALLS = frozenset(('locals', 'vars', 'eval', 'exec', 'dir', 'f_locals', '_getframe'))


def locals_of(f):
    if sys.version_info >= (3, 13):
        return [(', local ' + say(k), v) for k, v in f.f_locals.items()]
    if sys.version_info < (3, 11):
        return [('', v) for v in gc.get_referents(f)]
    code = f.f_code
    if f.f_trace is not None or not CALLS.isdisjoint(code.co_names):
        return []
    d = f.f_locals
    found = [(', local ' + say(k), v) for k, v in d.items()]
    # the frame's, ours, and the argument
    if sys.getrefcount(d) == 3 and d.keys() <= set(code.co_varnames + code.co_cellvars + code.co_freevars):
        d.clear()
    return found


def frame_text(f):
    return 'function %s in %s:%d' % (say(f.f_code.co_name), say(f.f_code.co_filename), f.f_lineno or 0)


# A root is where a chain may begin that is no module: its text, or None.
def root_of(o, dicts):
    if type(o) is FRAME:
        return frame_text(o)
    if is_a(o, type):
        return 'class ' + name_of(o)
    if type(o) is dict:
        if id(o) in dicts:
            return 'module ' + dicts[id(o)]
        if '__builtins__' in o:
            return 'namespace ' + say(o.get('__name__'))
    return None


# Who holds each of starts: [(root's text or None, [the objects from the root's on to the start])] in their order. All
# are followed together: one look through the heap a level.
def search(starts, at, dicts, until):
    nodes, down, ends = {}, {}, {}
    own = {id(globals()), id(lines), id(starts), id(nodes)}
    front = []
    for i, o in enumerate(starts):
        nodes[id(o)] = o
        down.setdefault(id(o), {})[i] = 0
    front.extend(nodes.values())
    last = [(None, id(o)) for o in starts]
    # of what is held by nothing but the list that it was found in, as are the arguments of calls of ours
    for r in [object()]:
        idle = sys.getrefcount(r)
    for level in range(12):
        for o in front:
            if id(o) in at:
                for s in down[id(o)]:
                    ends.setdefault(s, (at[id(o)], id(o)))
        front = [o for o in front if not ends.keys() >= down[id(o)].keys()]
        if not front or perf_counter() > until:
            break
        ids = set(map(id, front))
        own.add(id(front))
        found = gc.get_referrers(*front)
        own.add(id(found))
        fresh = {}
        own.add(id(fresh))
        for r in found:
            if id(r) in own or id(r) in nodes or type(r) is MODULE or sys.getrefcount(r) <= idle:
                continue
            if type(r) is FRAME and r.f_code.co_filename == '<memherd>':
                continue
            if perf_counter() > until:
                break
            to = {}
            for i in ids.intersection(map(id, gc.get_referents(r))):
                for s in down[i]:
                    if s not in ends:
                        to.setdefault(s, i)
            if not to:
                continue
            root = root_of(r, dicts)
            if root is None:
                fresh[id(r)] = (r, to)
                continue
            for s, i in to.items():
                ends.setdefault(s, (root + key_text(r, nodes[i]) if type(r) is dict else root, i))
        del found
        front = sorted(fresh.values(), key=lambda x: (-len(x[1]), not is_a(x[0], (dict, list, set, deque))))[:FEW]
        for r, to in front:
            nodes[id(r)] = r
            down[id(r)] = to
            for s in to:
                last[s] = (None, id(r))
        front = [x[0] for x in front]
        r = o = to = fresh = None
    chains = []
    for s in range(len(starts)):
        root, i = ends.get(s, last[s])
        chain = []
        while i:
            chain.append(nodes[i])
            i = down[i][s]
        chains.append((root, chain))
    return chains


def key_text(d, child):
    try:
        for k, v in dict.items(d):
            if v is child:
                if type(k) is str:
                    return " . %s" % say(k, 60)
                return ' . %r' % k if type(k) is int or type(k) is bool else ' . (%s)' % name_of(type(k))
            if k is child:
                return ' . (key)'
    except RuntimeError:
        pass
    return ''


# One that holds child, as part of a chain. Keys of large dicts are data; those of small ones are structure.
def link_text(o, child):
    t = type(o)
    if t is FUNCTION:
        return 'function ' + say(o.__qualname__)
    if t is GENERATOR:
        return 'generator ' + say(o.__qualname__)
    if is_a(o, dict):
        key = key_text(o, child) if length_of(o) <= FEW else None
        return name_of(t) + ('[...]' if key is None else "['%s']" % key[3:] if key else '')
    if length_of(o) >= 0:
        return name_of(t)
    d = vars_of(o)
    if d is child:
        return name_of(t)
    key = key_text(d, child) if d else ''
    if not key:
        for c in mro_of(t):
            for k, m in list(dict_of(c).items()):
                try:
                    if type(m) is MEMBER and m.__get__(o) is child:
                        return '%s . %s' % (name_of(t), say(k, 60))
                except AttributeError:
                    pass
    return name_of(t) + key


# 'module app . CACHE -> dict[...] -> app.Row . cells': those of chain that come before its end.
def chain_text(root, chain):
    said = [root or '(root not found)']
    skip = bool(root) and root[:6] == 'class ' and type(chain[0]) is dict and len(chain) > 1
    if skip:
        said[0] += key_text(chain[0], chain[1])
    for i in range(len(chain) - 1):
        o, child = chain[i], chain[i + 1]
        if skip:
            skip = False
            continue
        text = link_text(o, child)
        if type(child) is dict and i + 2 < len(chain) and length_of(o) < 0 and vars_of(o) is child:
            text += key_text(child, chain[i + 2])
            skip = True
        said.append(text)
    return ' -> '.join(said)
