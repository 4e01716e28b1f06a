# SPDX-License-Identifier: Apache-2.0
# A program in which a script is run from outside, for every CPython from 3.8 on. argv: how its main thread spends
# its time. Says 'ready'; when its stdin ends it says what it has seen of itself: full collections, whether an
# exception of its own was disturbed, names that came into __main__, errors of its calls.
import gc
import select
import sys
import threading
import time

MODE = sys.argv[1]
seen = {"full": 0, "errors": 0, "disturbed": 0}
over = threading.Event()
NAMES = None


def on_collection(phase, info):
    if phase == "start" and info["generation"] == 2:
        seen["full"] += 1


def reader():
    sys.stdin.read()
    over.set()


def turn():
    if MODE == "sleep":
        time.sleep(0.05)
    elif MODE == "long":
        select.select([], [], [], 3600 if not over.is_set() else 0)
    elif MODE == "select":
        select.select([], [], [], 0.02)
    elif MODE == "block":
        over.wait()
    elif MODE == "cpu":
        x = 0
        for i in range(20000):
            x += i * i
    elif MODE == "handler":
        try:
            raise KeyError("own")
        except KeyError:
            before = sys.exc_info()
            time.sleep(0.02)
            seen["disturbed"] += sys.exc_info() != before
    elif MODE == "c":
        # one call into C that never comes back to the interpreter and keeps the GIL
        pow(3, 10 ** 9, 10 ** 400000 + 1)


gc.disable()
gc.collect()
gc.callbacks.append(on_collection)
if MODE != "alone":
    threading.Thread(target=reader, daemon=True).start()
NAMES = set(globals()) | {"before"}
print("ready", flush=True)
while not over.is_set():
    if MODE == "alone":  # no other thread at all
        x = 0
        for i in range(200000):
            x += i * i
        if select.select([sys.stdin], [], [], 0)[0]:
            over.set()
    else:
        try:
            turn()
        except Exception:
            seen["errors"] += 1
new = sorted(set(globals()) - NAMES - {"new", "x", "i"})
print("full=%d errors=%d disturbed=%d new=%s" % (seen["full"], seen["errors"], seen["disturbed"], ",".join(new) or "-"), flush=True)
