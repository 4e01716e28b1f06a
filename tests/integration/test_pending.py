# SPDX-License-Identifier: Apache-2.0
"""A main thread that has the lock of pending calls is not sent for it: it would wait for itself. The lock is found here
by a call that is queued, in builds with ctypes, and taken by the main thread itself while it runs."""
import json
import os
import pathlib
import sys
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
import pythons  # noqa: E402
from stack import BIN  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
LOCAL = [p for p in pythons.all() if p.kind == "cpython" and p.minor() >= 8 and p.root is None]

# No other thread: nobody else could queue. Until there is a line on stdin, it has the lock.
HOLDER = """
import ctypes, select, struct, sys, threading, time
api = ctypes.pythonapi
address = lambda f: ctypes.cast(f, ctypes.c_void_p).value
api.PyInterpreterState_Main.restype = ctypes.c_void_p
runtime = ctypes.addressof(ctypes.c_char.in_dll(api, "_PyRuntime"))
mine = struct.pack("<QQ", address(api.PyErr_Occurred), 0x6d656d686572647)
found = []
def queue():
    api.Py_AddPendingCall(ctypes.c_void_p(address(api.PyErr_Occurred)), ctypes.c_void_p(0x6d656d686572647))
    for base, size in ((runtime, 8192), (api.PyInterpreterState_Main(), 4096)):
        at = ctypes.string_at(base, size).find(mine)
        if at >= 0:
            found.append(base + at)
t = threading.Thread(target=queue)
t.start()
time.sleep(0.5)  # the main thread, which would run the call, does nothing meanwhile
t.join()
lock = found[0] - 16  # the first of the queue lies there behind its lock, in all versions
mutex = sys.version_info >= (3, 13)
# from 3.13 on a call that ran before may have left the first place
for back in range(8 if mutex else 1):
    if not mutex or ctypes.c_int32.from_address(lock + 8).value == 32:
        break
    lock -= 24
if mutex:
    byte = ctypes.c_uint8.from_address(lock)
    assert byte.value == 0, byte.value
    byte.value = 1
else:
    handle = ctypes.c_void_p(ctypes.c_void_p.from_address(lock).value)
    assert api.PyThread_acquire_lock(handle, 0) == 1
print("ready", flush=True)
n = 0
while not select.select([0], [], [], 0)[0]:
    for i in range(20000):
        n += 1
sys.stdin.readline()
if mutex:
    byte.value = 0
else:
    api.PyThread_release_lock(handle)
print("free", flush=True)
while not select.select([0], [], [], 0)[0]:
    for i in range(20000):
        n += 1
print("alive", flush=True)
"""


def collect(tmp_path, pid):
    (tmp_path / "policy").write_text("allow gc uid>=0\nallow gc uid>=0 container=yes\n")
    (tmp_path / "policy").chmod(0o600)
    r = subprocess.run([BIN / "memherd-actd", "-o", f"policy={tmp_path}/policy", "-o", f"journal={tmp_path}/journal", "gc", str(pid), "--json"],
                       capture_output=True, text=True, timeout=60, check=False)
    assert r.stdout, r.stderr
    return json.loads(r.stdout)


@pytest.mark.parametrize("python", LOCAL, ids=lambda p: p.label)
def test_a_main_thread_with_the_lock_is_let_be(tmp_path, python):
    tmp_path.chmod(0o700)
    t = subprocess.Popen(python.argv("-c", HOLDER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert t.stdout.readline() == "ready\n", t.stderr.read()
        said = collect(tmp_path, t.pid)
        assert said["status"] in ("refused", "failed") and "no safe point" in said["detail"], said
        t.stdin.write("\n")
        t.stdin.flush()
        assert t.stdout.readline() == "free\n"
        said = collect(tmp_path, t.pid)
        assert said["status"] == "done", said
        out, err = t.communicate("\n", timeout=30)
        assert (out, err, t.returncode) == ("alive\n", "", 0)
    finally:
        t.kill()
        t.wait()
