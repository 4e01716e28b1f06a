# SPDX-License-Identifier: Apache-2.0
"""Programs of a real supervisord are stopped and started by it, over its control socket; where it has none, they are
ended if its configuration says that they come back. Nothing is sent to a supervisord that is not theirs."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
from actd import Actd  # noqa: E402
from stack import wait_for  # noqa: E402
from supervisords import PYTHON, SOCKET, Supervisord, children, start_of  # noqa: E402

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
              pytest.mark.skipif(not shutil.which("supervisord"), reason="no supervisord")]
POLICY = "".join(f"allow restart uid>=0{bare}{box}\n" for bare in ("", " bare=yes") for box in ("", " container=yes"))


@pytest.fixture
def run():
    """Where another user can get at it."""
    started = []
    with tempfile.TemporaryDirectory(prefix="memherd-sv-") as folder:
        pathlib.Path(folder).chmod(0o755)

        def begin(programs, *args, **more):
            one = Supervisord(pathlib.Path(folder) / f"sv{len(started)}", programs, *args, **more)
            started.append(one)
            return one

        yield begin
        for one in started:
            one.close()


@pytest.fixture
def actd(tmp_path):
    folder = tmp_path / "actd"
    folder.mkdir()
    return Actd(folder, POLICY)


def replaced(sv, actd, name, others=()):
    """The program is another process, a child of the same supervisord; the others are as they were."""
    before = sv.ready()
    began = {n: start_of(p) for n, p in before.items()}
    code, said = actd.restart(before[name], "--dry-run")
    assert code == 0 and said["status"] == "dry_run", said
    assert f"supervisord, process {sv.pid}" in said["detail"], said
    assert sv.ready() == before
    code, plain = actd.restart(before[name])
    assert code == 0 and plain["status"] == "done", plain
    after = wait_for("it to be whole", lambda: len(r := sv.ready()) == sv.wanted and r, 30)
    assert after[name] != before[name] and start_of(after[name]) > began[name]
    assert f"process {after[name]} with" in plain["detail"] and f"in place of {before[name]} with" in plain["detail"], plain
    assert all(after[n] == before[n] and start_of(after[n]) == began[n] for n in others)
    assert plain["rss_before_bytes"] > 0 and plain["rss_after_bytes"] > 0
    return said["detail"], plain["detail"]


@pytest.mark.parametrize("daemon", [True, False], ids=["daemon", "foreground"])
def test_a_program_is_stopped_and_started_by_its_supervisord(run, actd, daemon):
    """As a daemon its socket was made by a process that has ended."""
    sv = run({"web": ("web", "autorestart=false"), "jobs": ("jobs handles", "")}, daemon=daemon)
    dry, done = replaced(sv, actd, "web", ["jobs"])
    assert "program web: SIGTERM, SIGKILL after 10 s; then it is started" in dry, dry
    assert "supervisord says RUNNING" in done, done
    replaced(sv, actd, "jobs", ["web"])
    log = (sv.folder / "log").read_text()
    assert log.count("spawned: 'web'") == 2 and log.count("stopped: web") == 1 and "exited" not in log


def test_one_of_several_processes_of_a_group_is_named_by_both(run, actd):
    more = "numprocs=2\nprocess_name=%(program_name)s_%(process_num)02d"
    sv = run({"queue": ("q%(process_num)d", more)}, include=False, wanted=2)
    dry, _ = replaced(sv, actd, "q1", ["q0"])
    assert "program queue:queue_01:" in dry, dry


def test_the_password_of_its_socket_is_in_its_configuration(run, actd):
    secret = "p%%ss: ;word"
    sv = run({"web": ("web", "")}, SOCKET + f"username=ann\npassword={secret}\n")
    replaced(sv, actd, "web")
    # not for others to change, then it tells nothing
    (sv.folder / "main.conf").chmod(0o666)
    code, said = actd.restart(sv.ready()["web"])
    assert code == 1 and said["status"] == "refused" and "can be written by others" in said["detail"], said
    (sv.folder / "main.conf").chmod(0o644)
    (sv.folder / "main.conf").write_text((sv.folder / "main.conf").read_text().replace(secret, "{SHA}82ab876d1387bfafe46cc1c8a2ef074eae50cb1d"))
    code, said = actd.restart(sv.ready()["web"])
    assert code == 0, said  # what it began with does not handle SIGTERM, and so comes back
    assert "has the hash alone" in actd.restart(wait_for("it", lambda: sv.ready().get("web"), 30), "--dry-run")[1]["detail"]
    assert secret.replace("%%", "%") not in json.dumps(said)


def test_without_a_socket_only_what_comes_back_is_ended(run, actd):
    sv = run({"always": ("always handles", "autorestart=true"), "plain": ("plain", ""), "tidy": ("tidy handles", ""),
              "once": ("once", "autorestart=false"), "quit": ("quit", "autorestart=true\nstopsignal=QUIT"),
              "every": ("every handles", "exitcodes=")}, head="")
    for name in ("always", "plain", "every"):
        dry, _ = replaced(sv, actd, name, set(sv.ready()) - {name})
        assert f"program {name}, after a SIGTERM: its configuration says that it comes back" in dry, dry
        assert "listens on no Unix socket" in dry, dry
    before = sv.ready()
    for name, why in (("tidy", "autorestart=unexpected, and it handles SIGTERM"), ("once", "autorestart=false"), ("quit", "stopsignal")):
        for args in ((), ("--dry-run",)):
            code, said = actd.restart(before[name], *args)
            assert code == 1 and said["status"] == "refused" and why in said["detail"] and f"'{name}'" in said["detail"], said
    assert sv.ready() == before


def test_one_that_may_stop_for_long_is_not_stopped(run, actd):
    """Nobody would be there to start it when it has stopped at last."""
    sv = run({"web": ("web handles", "autorestart=true\nstopwaitsecs=600"), "jobs": ("jobs handles", "stopwaitsecs=600")})
    dry, _ = replaced(sv, actd, "web", ["jobs"])
    assert "after a SIGTERM" in dry and "may take 600 s to stop" in dry, dry
    pid = sv.ready()["jobs"]
    code, said = actd.restart(pid)
    assert code == 1 and said["status"] == "refused" and "may take 600 s" in said["detail"] and "'jobs'" in said["detail"], said
    assert sv.ready()["jobs"] == pid


def test_one_that_does_not_hear_is_killed_by_supervisord_and_started(run, actd):
    sv = run({"web": ("web deaf", "stopwaitsecs=1")})
    replaced(sv, actd, "web")


def test_what_is_below_a_program_is_restarted_with_it(run, actd):
    sv = run({"web": ("web", "")}, include=False)
    text = (sv.folder / "main.conf").read_text()
    line = f"/bin/sh -c '{PYTHON} {sv.folder}/sleep.py below & wait'"
    (sv.folder / "main.conf").write_text(text.replace(f"{PYTHON} {sv.folder}/sleep.py web", line) + "stopasgroup=true\n")
    os.kill(sv.pid, signal.SIGHUP)  # reads it anew

    def below():
        found = [c for p in children(sv.pid) for c in children(p)]
        return found and int(pathlib.Path(f"/proc/{found[0]}/statm").read_text().split()[1]) * 4096 > 10 << 20 and found[0]

    pid = wait_for("the child", below, 30)
    shell = children(sv.pid)
    code, said = actd.restart(pid, "--dry-run")
    assert code == 0 and f"the program is process {shell[0]}, which this one is below" in said["detail"], said
    code, said = actd.restart(pid)
    assert code == 0 and said["status"] == "done", said
    assert start_of(pid) is None and children(sv.pid) != shell and wait_for("another", below, 30) != pid


def test_what_cannot_start_again_is_told(run, actd):
    sv = run({"web": ("web", "startsecs=1")})
    pid = sv.ready()["web"]
    (sv.folder / "sleep.py").write_text("raise SystemExit(3)\n")
    code, said = actd.restart(pid)
    assert code == 1 and said["status"] == "failed" and "stopped 'web', and it did not start again" in said["detail"], said
    assert "Exited too quickly" in said["detail"], said


def test_one_of_another_user_is_asked_and_believed_no_more_than_that(run, actd):
    sv = run({"web": ("web", "")}, SOCKET + "username=bob\npassword=x\n", user="nobody", conf="supervisord.conf", argv=[])
    replaced(sv, actd, "web")
    # a file that its user may not read is not read for it
    os.chown(sv.folder / "supervisord.conf", 0, 0)
    (sv.folder / "supervisord.conf").chmod(0o600)
    code, said = actd.restart(sv.ready()["web"])
    assert code == 1 and "not for supervisord's user to read" in said["detail"] and "bob" not in said["detail"], said


CLAIMS = """
import os, socket, subprocess, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1] + ".1")
s.listen(5)
child = subprocess.Popen(["{python}", "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("user", [None, "nobody"])
def test_who_only_claims_to_be_a_supervisord_reaches_no_other(run, actd, tmp_path, user):
    """It listens beside the name of another one's socket, as if that were its own."""
    sv = run({"web": ("web", "")})
    before = sv.ready()
    sv.folder.chmod(0o777)
    script = sv.folder / "supervisord"
    script.write_text(CLAIMS.format(python=PYTHON))
    fake = subprocess.Popen([PYTHON, script, sv.folder / "control.sock"], stdout=subprocess.PIPE, text=True, user=user)
    try:
        child = int(fake.stdout.readline())
        code, said = actd.restart(child)
        assert code == 1 and said["status"] in ("refused", "failed"), said
        assert ("belongs to another user" if user else f"who answers at '{sv.folder}/control.sock' is process {sv.pid}") in said["detail"], said
        assert start_of(child) and sv.ready() == before
    finally:
        for pid in children(fake.pid):
            os.kill(pid, signal.SIGKILL)
        fake.kill()
        fake.wait()


@pytest.mark.parametrize("answer", ["", "HTTP/1.0 200 OK\r\n\r\n<?xml version='1.0'?><methodResponse>" + "<params>" * 1000,
                                    "HTTP/1.0 200 OK\r\n\r\n<!DOCTYPE x [<!ENTITY a 'b'>]><methodResponse>&a;</methodResponse>",
                                    "HTTP/1.0 500 no\r\n\r\n", "x" * 100],
                         ids=["nothing", "unfinished", "entities", "status", "bytes"])
def test_answers_that_are_none_change_nothing(actd, tmp_path, answer):
    (tmp_path / "supervisord").write_text(CLAIMS.format(python=PYTHON).replace("time.sleep(600)\n\"\"\"", "") .replace(
        "print(child.pid, flush=True)\ntime.sleep(600)",
        f"os.rename(sys.argv[1] + '.1', sys.argv[1])\nprint(child.pid, flush=True)\nwhile True:\n    c = s.accept()[0]\n    c.recv(9999)\n"
        f"    c.sendall({answer!r}.encode())\n    c.close()"))
    fake = subprocess.Popen([PYTHON, tmp_path / "supervisord", tmp_path / "s.sock"], stdout=subprocess.PIPE, text=True)
    try:
        child = int(fake.stdout.readline())
        code, said = actd.restart(child)
        assert code == 1 and said["status"] == "failed", said
        assert start_of(child) and ("supervisord" in said["detail"] or "HTTP" in said["detail"]), said
    finally:
        for pid in children(fake.pid):
            os.kill(pid, signal.SIGKILL)
        fake.kill()
        fake.wait()
