# SPDX-License-Identifier: Apache-2.0
"""A real Docker engine: what 'memherd-agent inspect' says of a process in a container is what docker says."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BIN", ROOT / "build"))
sys.path.insert(0, str(ROOT / "tests/support"))
from docker import Docker, Unusable  # noqa: E402

MIB = 1 << 20
HOLD = "import time\nroom = b'x' * (20 << 20)\nready()\ntime.sleep(600)\n"


@pytest.fixture(scope="module")
def docker():
    try:
        engine = Docker().__enter__()
    except Unusable as e:
        pytest.skip(f"no Docker engine can run here: {e}")
    try:
        yield engine
    finally:
        engine.__exit__()


def inspect(pid):
    r = subprocess.run([BIN / "memherd-agent", "inspect", str(pid), "--json"], capture_output=True, text=True,
                       timeout=60, check=False)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def test_container_and_its_limit_are_what_docker_says(docker):
    box = docker.run(HOLD, name="shop", memory="40m")
    got = inspect(box.pid)
    assert got["container"] == box.id[:12]  # as 'docker ps' prints it; only the engine knows more
    assert got["comm"] == "python3" and got["cmdline"].startswith("/usr/bin/python3 -c ")
    assert got["limit_bytes"] == box.inspect()["HostConfig"]["Memory"] == 40 * MIB
    stats = box.stats()
    assert stats["limit_bytes"] == 40 * MIB and stats["pids"] == 1
    # The one process is what the container uses, beside page tables, kernel memory and its own cache.
    assert 20 * MIB < got["uss_bytes"] < 40 * MIB
    assert abs(stats["usage_bytes"] - got["uss_bytes"]) < 8 * MIB


def test_service_of_a_container_is_the_same_for_all_its_processes(docker):
    box = docker.run("import os\nif os.fork():\n    os.fork()\n" + HOLD, memory="120m")
    pids = box.pids()
    assert len(pids) == 3
    assert {inspect(pid)["container"] for pid in pids} == {box.id[:12]}
    assert len({inspect(pid)["service"] for pid in pids}) == 1


def test_container_without_a_limit_has_none_of_its_own(docker):
    box = docker.run(HOLD)
    assert box.inspect()["HostConfig"]["Memory"] == 0
    got = inspect(box.pid)
    assert got["container"] == box.id[:12]
    assert got["limit_bytes"] is None or got["limit_bytes"] > 512 * MIB  # an ancestor's or the host's, if any


def test_nothing_is_left_when_the_engine_is_closed(docker):
    """An engine of its own, so that the other tests' one can go on."""
    with Docker() as engine:
        box = engine.run(HOLD, memory="40m")
        assert list(engine.ours())
    assert list(engine.ours()) == [] and not engine.dir.exists()
    assert not pathlib.Path(f"/proc/{box.pid}").exists()
    assert not list(pathlib.Path("/sys/fs/cgroup").glob(f"*/docker/{box.id}"))
    assert str(engine.dir) not in pathlib.Path("/proc/self/mountinfo").read_text()
