# SPDX-License-Identifier: Apache-2.0
"""The units of deploy/systemd: tight, and not tighter than the programs can bear."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BIN", ROOT / "build")).resolve()
UNITS = ROOT / "deploy/systemd"


def setting(unit, key):
    """All values of a key that may be given more than once, as words."""
    lines = (UNITS / unit).read_text().splitlines()
    return " ".join(line.split("=", 1)[1] for line in lines if line.startswith(key + "=")).split()


EXAMPLES = ROOT / "deploy/examples/memherd-actd.service.d"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
@pytest.mark.parametrize("name,opens", [("drop-caches.conf", "/proc/sys/vm/drop_caches"), ("loopback.conf", "AF_INET6")])
def test_a_drop_in_is_one_that_systemd_takes(tmp_path, name, opens):
    """What it says is known to systemd, and it opens what it is for."""
    unit = tmp_path / "memherd-actd.service"
    text = (UNITS / unit.name).read_text()
    unit.write_text(text.replace(setting(unit.name, "ExecStart")[0], "/bin/true").replace("file:/usr/local", "file:/usr"))
    (tmp_path / f"{unit.name}.d").mkdir()
    shutil.copy(EXAMPLES / name, tmp_path / f"{unit.name}.d")
    r = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False,
                       env=dict(os.environ, SYSTEMD_UNIT_PATH=f"{tmp_path}:"))
    assert not [line for line in r.stderr.splitlines() if name in line], r.stderr
    assert opens in (EXAMPLES / name).read_text() and opens not in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
@pytest.mark.parametrize("unit,most", [("memherd-agent.service", 25), ("memherd-actd.service", 25),
                                       ("memherd-collector.service", 15)])
def test_exposure_stays_below_its_aim(unit, most):
    r = subprocess.run(["systemd-analyze", "security", "--offline=yes", f"--threshold={most}", UNITS / unit],
                       capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stdout[-300:] + r.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_root_helper_needs_no_more_than_its_units_capabilities(tmp_path):
    caps = ",".join("+" + c.removeprefix("CAP_").lower()
                    for c in setting("memherd-actd.service", "CapabilityBoundingSet"))
    assert "sys_admin" not in caps
    (tmp_path / "policy").write_text("allow trim uid>=0\n")
    target = subprocess.Popen([sys.executable, "-c", "import time\nx = [bytearray(1000) for _ in range(100000)]\n"
                               "del x[1::2]\ny = x[::50]\ndel x\nprint('ready', flush=True)\ntime.sleep(60)"],
                              stdout=subprocess.PIPE, text=True, user="nobody", extra_groups=[])
    try:
        assert target.stdout.readline() == "ready\n"
        time.sleep(0.1)
        r = subprocess.run(["setpriv", f"--bounding-set=-all,{caps}", "--inh-caps=-all", BIN / "memherd-actd", "trim",
                            str(target.pid), "-o", f"policy={tmp_path}/policy", "-o", f"journal={tmp_path}/journal",
                            "--json"], capture_output=True, text=True, timeout=30, check=False)
        assert json.loads(r.stdout)["status"] == "done", r.stdout + r.stderr
    finally:
        target.kill()
        target.wait()


def test_what_is_installed_is_whole(tmp_path):
    subprocess.run(["make", "-s", "-C", ROOT, "install", f"DESTDIR={tmp_path}", f"VARIANT={BIN.name.rsplit('-', 1)[0]}"
                    if BIN.parent.name == "build" else "VARIANT=release"], check=True, capture_output=True)
    for name in ("usr/local/bin/memherd", "usr/local/sbin/memherd-agent", "usr/local/sbin/memherd-actd",
                 "usr/local/sbin/memherd-collector", "etc/memherd/rules.d/default.rules",
                 "usr/local/share/doc/memherd/examples/collector.conf",
                 *(f"usr/local/share/doc/memherd/examples/memherd-actd.service.d/{f.name}" for f in EXAMPLES.glob("*.conf")), "usr/lib/sysusers.d/memherd.conf",
                 *(f"usr/local/lib/systemd/system/{u.name}" for u in UNITS.glob("*.service"))):
        assert (tmp_path / name).is_file(), name
    for unit in UNITS.glob("*.service"):
        program = setting(unit.name, "ExecStart")[0].lstrip("/")
        assert os.access(tmp_path / program, os.X_OK), f"{unit.name} starts {program}"
