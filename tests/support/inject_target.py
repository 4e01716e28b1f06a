# SPDX-License-Identifier: Apache-2.0
# A Python whose main thread sleeps for moments only, among threads that want the GIL: whoever looks at it sees
# another call a moment later, or the wait for the GIL behind it. argv: what its main thread does; 'storm' as the
# second has a signal 500 times a second. When its stdin ends it says how often a script ran in it, and what it has
# seen: errors of its own calls, results that were not what they should be.
import os
import select
import signal
import sys
import threading
import time

MODE, STORM = sys.argv[1], "storm" in sys.argv[2:]
seen = {"errors": 0, "wrong": 0, "turns": 0, "signals": 0}
over = threading.Event()
# what it had before a line of the script counts itself there: drivers/inject.c
sys.setswitchinterval(0.0001)


def on_signal(number, frame):
    seen["signals"] += 1


def work(n):
    made = [tuple(range(i % 20)) for i in range(n)]
    if sum(map(len, made)) != sum(i % 20 for i in range(n)):
        seen["wrong"] += 1


def beside():
    while not over.is_set():
        work(200)
        time.sleep(0.0003)


def busy():
    while not over.is_set():
        work(200)


def reader():
    while sys.stdin.read(1):
        pass
    over.set()


def turn(turns, pipe):
    if MODE == "sleep":
        time.sleep(0.0005)
    elif MODE == "mixed":
        time.sleep(0.0005)
        work(turns % 4000)
    elif MODE == "select":
        if select.select([pipe], [], [], 0.001)[0]:
            seen["wrong"] += 1
    elif MODE == "lock":
        over.wait(0.001)
    elif MODE == "busy":
        work(1000)
    else:
        raise SystemExit("no mode " + MODE)


def main():
    pipe = os.pipe()[0]
    threads = [threading.Thread(target=t, daemon=True) for t in (reader, beside, beside)]
    if MODE == "sleep":
        threads.append(threading.Thread(target=busy, daemon=True))
    for t in threads:
        t.start()
    if STORM:
        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    print("ready", flush=True)
    while not over.is_set():
        seen["turns"] += 1
        try:
            turn(seen["turns"], pipe)
        except Exception:
            seen["errors"] += 1
    if STORM:
        signal.setitimer(signal.ITIMER_REAL, 0)
    for t in threads:
        t.join()
    print("ran=%d" % sys.__dict__.get("_memherd_ran", 0), *("%s=%d" % i for i in seen.items()), flush=True)


main()
