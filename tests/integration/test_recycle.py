# SPDX-License-Identifier: Apache-2.0
"""Workers of real application servers are replaced one at a time, while what they do is finished: gunicorn, uWSGI,
celery; and masters are not ended. Requests are held in their handler until a file is there."""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo"))
sys.path.insert(0, str(ROOT / "tests/support"))
from actd import Actd  # noqa: E402
from stack import free_port, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PYTHON = "/usr/bin/python3"
POLICY = "".join(f"allow restart uid>=0{bare}{box}\n" for bare in ("", " bare=yes") for box in ("", " container=yes"))
# 'GET /?DIR' writes DIR/pid and is answered once DIR/go is there.
APP = """
import os, pathlib, time
def application(env, start):
    if env["QUERY_STRING"]:
        room = pathlib.Path(env["QUERY_STRING"])
        (room / "pid.new").write_text(str(os.getpid()))
        (room / "pid.new").rename(room / "pid")
        while not (room / "go").exists():
            time.sleep(0.05)
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
# Says that it was told to end, and does what gunicorn does then.
GUNICORN_CONF = """
import os, pathlib, signal
def post_worker_init(worker):
    before = signal.getsignal(signal.SIGTERM)
    def told(*args):
        pathlib.Path(f"told.{os.getpid()}").touch()
        before(*args)
    signal.signal(signal.SIGTERM, told)
    signal.siginterrupt(signal.SIGTERM, False)
"""
TASKS = """
import os, pathlib, time
from celery import Celery
here = pathlib.Path(__file__).resolve().parent
for name in ("queue", "results"):
    (here / name).mkdir(exist_ok=True)
app = Celery("tasks", broker="filesystem://", backend=f"file://{here}/results")
app.conf.update(broker_transport_options={"data_folder_in": f"{here}/queue", "data_folder_out": f"{here}/queue"},
                worker_prefetch_multiplier=1)
@app.task
def hold(room):
    room = pathlib.Path(room)
    (room / "pid.new").write_text(str(os.getpid()))
    (room / "pid.new").rename(room / "pid")
    while not (room / "go").exists():
        time.sleep(0.05)
    return os.getpid()
"""


def stat(pid):
    """Parent, state, start; None when there is none."""
    try:
        f = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(f[1]), f[0], int(f[19])


def children(pid):
    found = [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()]
    return sorted(p for p in found if (s := stat(p)) and s[0] == pid and s[1] != "Z")


def caught(pid):
    """The signals that it has handlers for, bit 0 is SIGHUP; None when there is none."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))


class Server:
    """A server in a folder of its own, and everything that it started."""

    stop = (signal.SIGTERM, signal.SIGKILL)

    def __init__(self, folder, *argv, workers=2, env=None):
        self.folder = folder
        self.workers_wanted = workers
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen([str(a) for a in argv], cwd=folder, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, start_new_session=True, env=env)
        self.master = self.process.pid

    def said(self):
        return (self.folder / "log").read_text(errors="replace")

    def workers(self):
        return children(self.master)

    def close(self):
        for number in self.stop:
            # the session was made for it: nobody else is in it
            try:
                os.killpg(self.master, number)
                self.process.wait(10)
            except (subprocess.TimeoutExpired, ProcessLookupError):
                pass
        self.log.close()


class Web(Server):
    def ready(self):
        def look():
            assert self.process.poll() is None, self.said()
            try:
                # one that has its master's handlers yet has only just begun
                return self.get() and len([p for p in self.workers() if caught(p) != caught(self.master)]) >= self.workers_wanted
            except OSError:
                return False
        wait_for("the server to answer", look, 60)
        return self

    def get(self, room=""):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/?{room}", timeout=60) as r:
            return r.status, int(r.read())


class Held:
    """A request or task at work in its worker, which only free() lets end."""

    def __init__(self, room, call):
        self.room = room
        room.mkdir()
        self.answer = None
        self.thread = threading.Thread(target=self.run, args=(call,))
        self.thread.start()
        self.pid = int(wait_for("the handler to begin", lambda: (room / "pid").exists() and (room / "pid").read_text(), 60))

    def run(self, call):
        try:
            self.answer = call(self.room)
        except OSError as e:
            self.answer = e

    def free(self):
        (self.room / "go").touch()
        self.thread.join(60)
        return self.answer


@pytest.fixture
def servers():
    started = []
    yield started
    for s in started:
        s.close()


@pytest.fixture
def actd(tmp_path):
    folder = tmp_path / "actd"
    folder.mkdir()
    return Actd(folder, POLICY)


def begin(tmp_path, servers, kind, *argv, app=APP, **more):
    folder = tmp_path / f"server{len(servers)}"
    folder.mkdir()
    (folder / "app.py").write_text(app)
    (folder / "conf.py").write_text(GUNICORN_CONF)
    port = free_port()
    server = kind(folder, *[str(a).format(port=port) for a in argv], **more)
    server.port = port
    servers.append(server)
    return server


def gunicorn(tmp_path, servers, *more):
    return begin(tmp_path, servers, Web, PYTHON, "-m", "gunicorn", "-c", "conf.py", "-b", "127.0.0.1:{port}", "-w", 2,
                 "--graceful-timeout", 60, "-t", 90, *more, "app:application").ready()


def uwsgi(tmp_path, servers, *more):
    return begin(tmp_path, servers, Web, "uwsgi", "--plugin", "python3", "--http-socket", "127.0.0.1:{port}", "--processes", 2,
                 "--die-on-term", "--wsgi-file", "app.py", "--master", *more).ready()


class Later:
    """A restart by hand while the test goes on."""

    def __init__(self, actd, pid):
        self.said = None
        self.thread = threading.Thread(target=self.run, args=(actd, pid))
        self.thread.start()

    def run(self, actd, pid):
        self.said = actd.restart(pid)

    def end(self):
        self.thread.join(90)
        return self.said


def replaced(server, actd, held, told):
    """The worker of the request is replaced; the request is answered, the others are as they were."""
    before = {pid: stat(pid)[2] for pid in server.workers()}
    code, said = actd.restart(held.pid, "--dry-run")
    assert code == 0 and said["status"] == "dry_run", said
    assert f"master, process {server.master}, after" in said["detail"] and "finish" in said["detail"], said
    assert set(server.workers()) == set(before)
    later = Later(actd, held.pid)
    wait_for("the worker to be told", told, 60, 0.02)
    assert stat(held.pid)[2] == before[held.pid], "it ends in the middle of a request"
    assert held.free() == (200, held.pid)
    code, said = later.end()
    assert code == 0 and said["status"] == "done", said
    after = {pid: stat(pid)[2] for pid in server.workers()}
    new = set(after) - set(before)
    assert len(new) == 1 and set(before) - set(after) == {held.pid}, (before, after)
    assert f"process {new.pop()} with" in said["detail"] and f"in place of {held.pid} with" in said["detail"], said
    assert all(after[pid] == start for pid, start in before.items() if pid != held.pid)
    assert said["rss_before_bytes"] > 0 and said["rss_after_bytes"] > 0
    return said


@pytest.mark.parametrize("more", [(), ("--threads", "2")], ids=["sync", "gthread"])
def test_a_worker_of_gunicorn_is_replaced_and_its_request_is_answered(tmp_path, servers, actd, more):
    server = gunicorn(tmp_path, servers, *more)
    held = Held(tmp_path / "room", server.get)
    try:
        said = replaced(server, actd, held, lambda: (server.folder / f"told.{held.pid}").exists())
        assert "gunicorn master" in said["detail"] and "SIGTERM" in said["detail"], said
    finally:
        held.free()
    assert server.get()[0] == 200


def test_a_worker_of_uwsgi_is_replaced_and_its_request_is_answered(tmp_path, servers, actd):
    server = uwsgi(tmp_path, servers)
    held = Held(tmp_path / "room", server.get)
    try:
        said = replaced(server, actd, held, lambda: f"(pid: {held.pid})" in server.said().partition("racefully killing")[2])
        assert "uWSGI master" in said["detail"] and "SIGHUP" in said["detail"], said
    finally:
        held.free()
    assert server.get()[0] == 200


@pytest.mark.parametrize("start", [gunicorn, uwsgi])
def test_a_master_stays_and_its_workers_are_others(tmp_path, servers, actd, start):
    server = start(tmp_path, servers)
    before, began = server.workers(), stat(server.master)
    code, said = actd.restart(server.master, "--dry-run")
    assert code == 0 and "would be reloaded by SIGHUP" in said["detail"] and "stays" in said["detail"], said
    assert server.workers() == before
    code, said = actd.restart(server.master)
    assert code == 0 and said["status"] == "done" and "2 workers began in place of 2" in said["detail"], said
    assert stat(server.master)[2] == began[2] and not set(server.workers()) & set(before)
    wait_for("it to answer", lambda: server.get()[0] == 200, 30)


def test_what_is_no_worker_is_refused_by_name(tmp_path, servers, actd):
    """A router of uWSGI's; a worker whose master has ended, is stopped, or has closed its sockets."""
    server = begin(tmp_path, servers, Web, "uwsgi", "--plugin", "python3,http", "--http", "127.0.0.1:{port}", "--master", "--die-on-term",
                   "--wsgi-file", "app.py").ready()
    router = next(p for p in server.workers() if not caught(p) & 1)
    code, said = actd.restart(router)
    assert code == 1 and said["status"] == "refused" and "a router or a helper of uWSGI" in said["detail"], said
    server = gunicorn(tmp_path, servers)
    held = Held(tmp_path / "room", server.get)
    try:
        other = next(p for p in server.workers() if p != held.pid)
        os.kill(server.master, signal.SIGSTOP)
        wait_for("it to stop", lambda: stat(server.master)[1] == "T")
        code, said = actd.restart(other)
        assert code == 1 and said["status"] == "refused" and "is stopped" in said["detail"], said
        os.kill(server.master, signal.SIGCONT)
        os.kill(server.master, signal.SIGTERM)
        wait_for("the worker to be told", lambda: (server.folder / f"told.{held.pid}").exists(), 30)
        code, said = actd.restart(held.pid)
        assert code == 1 and said["status"] == "refused" and "shuts down" in said["detail"], said
        os.kill(server.master, signal.SIGKILL)
        server.process.wait()
        code, said = actd.restart(held.pid)
        assert code == 1 and said["status"] == "refused" and "whose master has ended" in said["detail"], said
        assert stat(held.pid)
    finally:
        held.free()


@pytest.fixture(scope="module")
def celery(tmp_path_factory):
    started = []
    server = begin(tmp_path_factory.mktemp("celery"), started, Server, PYTHON, "-m", "celery", "-A", "app", "worker", "-c", 2,
                   "-l", "INFO", app=TASKS)
    server.stop = (signal.SIGKILL,)

    def run(room):
        text = "import sys, app; print(app.hold.delay(sys.argv[1]).get(timeout=60, interval=0.1))"
        return int(subprocess.run([PYTHON, "-c", text, str(room)], cwd=server.folder, check=True, text=True,
                                  capture_output=True, timeout=90).stdout)

    server.run = run
    try:
        wait_for("celery", lambda: "ready." in server.said() and len(server.workers()) == 2, 60)
        yield server
    finally:
        server.close()


def test_a_child_of_celery_finishes_its_task_before_it_is_told_to_end(tmp_path, celery, actd):
    server = celery
    held = Held(tmp_path / "room", server.run)
    try:
        before = server.workers()
        code, said = actd.restart(held.pid, "--dry-run")
        assert code == 0 and "SIGTERM, once it waits for its next task" in said["detail"], said
        later = Later(actd, held.pid)
        # whoever began to look sees a task; that it is there still is what counts
        later.thread.join(1)
        assert held.answer is None and stat(held.pid)
        assert held.free() == held.pid
        code, said = later.end()
        assert code == 0 and said["status"] == "done" and "celery master" in said["detail"], said
        new = set(server.workers()) - set(before)
        assert set(before) - set(server.workers()) == {held.pid} and len(new) == 1
        assert f"process {new.pop()} with" in said["detail"], said
        # both children, the new one and the old one, have tasks
        rooms = [Held(tmp_path / name, server.run) for name in ("one", "two")]
        assert {r.pid for r in rooms} == set(server.workers())
        assert all(r.free() == r.pid for r in rooms)
    finally:
        held.free()
    code, said = actd.restart(server.master)
    assert code == 1 and said["status"] == "refused" and "no systemd, container engine, supervisord, runit or s6" in said["detail"], said
    assert stat(server.master)


def test_one_that_is_not_done_in_time_is_left_alone_and_told_so(tmp_path, servers, celery):
    """A request that does not end: the worker is still ending, and no second one is asked. A task: nothing is sent."""
    actds = []
    for name in ("web", "tasks"):
        (tmp_path / name).mkdir()
        actds.append(Actd(tmp_path / name, POLICY))
    web, tasks = gunicorn(tmp_path, servers), celery
    request, task = Held(tmp_path / "room", web.get), Held(tmp_path / "bench", tasks.run)
    try:
        before = tasks.workers()
        ends = [Later(actds[0], request.pid), Later(actds[1], task.pid)]
        code, said = ends[1].end()
        assert code == 1 and said["status"] == "refused" and "nothing was sent" in said["detail"], said
        assert tasks.workers() == before
        code, said = ends[0].end()
        assert code == 1 and said["status"] == "unknown" and "still ending" in said["detail"], said
        assert stat(request.pid) and len(web.workers()) == 2
        for pid in web.workers():
            code, said = actds[0].restart(pid)
            assert code == 1 and said["status"] == "refused" and f"worker {request.pid} of the same master" in said["detail"], said
        assert request.free() == (200, request.pid) and task.free() == task.pid
        wait_for("the worker to be another one", lambda: stat(request.pid) is None and len(web.workers()) == 2, 30)
        other = web.workers()[0]
        code, said = actds[0].restart(other)
        assert code == 0 and said["status"] == "done" and not stat(other), said
    finally:
        request.free()
        task.free()
