# SPDX-License-Identifier: Apache-2.0
# A program whose objects are counted from outside: only what the smallest CPython of Debian brings along, for
# every version from 3.8 on. argv: how many of each kind, how many threads that make and drop objects.
# Says one literal {type: (objects, bytes by sys.getsizeof)}, then 'ready'; on a line of stdin it says
# what it has seen of itself.
import _thread
import gc
import os
import sys
import time


class Plain:
    def __init__(self, i):
        self.first = i
        self.second = None


class Slots:
    __slots__ = ("x", "y")

    def __init__(self):
        self.x = self.y = None


class Listed(list):
    pass


def local():
    class Inner:
        __slots__ = ("z",)
    return Inner


Inner = local()
n, threads = int(sys.argv[1]), int(sys.argv[2])
gc.disable()
keep = [[None] * n for _ in range(8)]
for i in range(n):
    keep[0][i] = Plain(i)
    keep[1][i] = Slots()
    keep[2][i] = (keep,)
    keep[3][i] = {i: keep, "k": i}
    keep[4][i] = {i, (i,)}
    keep[5][i] = [i] * (i % 9)
    keep[6][i] = Inner()
    keep[7][i] = Listed((i,)) if i % 3 else frozenset((i, keep[1][i]))
text = [bytes(2000) for i in range(n // 16)]
gc.enable()
turns = [0] * threads


def churn(k):
    while True:
        some = [Plain(j) for j in range(100)]
        more = {j: [j] for j in range(50)}
        turns[k] += len(some) > 0 and len(more) > 0


def name(t):
    module = t.__module__
    return t.__name__ if module == "builtins" else module + "." + t.__qualname__


def truth():
    said, names = {}, {}
    for o in gc.get_objects():
        t = type(o)
        key = names.get(t) or names.setdefault(t, name(t))
        had = said.get(key, (0, 0))
        said[key] = (had[0] + 1, had[1] + sys.getsizeof(o))
    return said


def say(what):
    os.write(1, (repr(what) + "\n").encode())


say(truth())
for k in range(threads):
    _thread.start_new_thread(churn, (k,))
os.write(1, b"ready\n")



def fork():
    """How long a copy of this process takes by its own fork(), ns."""
    began = time.perf_counter_ns()
    child = os.fork()
    if not child:
        os._exit(0)
    took = time.perf_counter_ns() - began
    os.waitpid(child, 0)
    return took


while True:
    asked = os.read(0, 100)
    if not asked:
        break
    say(fork() if asked == b"fork\n" else {"turns": turns, "kept": sum(len(k) for k in keep)})
