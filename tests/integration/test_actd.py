# SPDX-License-Identifier: Apache-2.0
"""memherd-actd against real processes: it gives memory back, and never harms what it touches."""
import glob
import hashlib
import json
import os
import re
import random
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid

import pytest

BIN = os.environ.get("BIN", os.path.join(os.getcwd(), "build"))
ACTD = os.path.join(BIN, "memherd-actd")
PYTHONS = ["/usr/bin/python3"] + sorted(glob.glob("/root/.pyenv/versions/3.*/bin/python3"))
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64",
                                reason="needs root on x86-64")


class Actd:
    """A configuration of its own, and the program run by hand."""

    def __init__(self, folder):
        self.folder = folder
        self.policy("allow trim uid>=0 container=no\nallow trim uid>=0 container=yes\n")

    def path(self, name):
        return os.path.join(self.folder, name)

    def policy(self, text, mode=0o600, uid=0):
        with open(self.path("policy"), "w") as f:
            f.write(text)
        os.chmod(self.path("policy"), mode)
        os.chown(self.path("policy"), uid, uid)

    def command(self, *args):
        options = ["policy", "journal", "operators", "command_key=key", "socket", "host_uuid_file=uuid", "stop_file=stop",
                   "maintenance_file=maintenance"]
        line = [ACTD]
        for o in options:
            key, _, name = o.partition("=")
            line += ["-o", f"{key}={self.path(name or key)}"]
        return line + ["-o", "client_user=root", *map(str, args)]

    def run(self, *args, timeout=30):
        return subprocess.run(self.command(*args), capture_output=True, text=True, timeout=timeout)

    def trim(self, pid, *args):
        p = self.run("trim", pid, "--json", *args)
        return p.returncode, json.loads(p.stdout)


@pytest.fixture
def actd(tmp_path):
    tmp_path.chmod(0o700)
    return Actd(str(tmp_path))


@pytest.fixture
def spawn():
    """Starts a program, waits for the line 'ready', and ends it after the test."""
    started = []

    def go(*args, env=None):
        p = subprocess.Popen(list(map(str, args)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True, env=env)
        started.append(p)
        line = p.stdout.readline()
        assert line.startswith("ready"), line
        p.told = line.split()[1:]
        return p

    yield go
    for p in started:
        p.kill()
        p.wait()
        p.stdin.close()
        p.stdout.close()


@pytest.fixture
def build(tmp_path):
    def go(name, source, *flags):
        out = tmp_path / name
        subprocess.run(["gcc", "-O1", "-g", "-o", out, "-x", "c", "-", "-x", "none", *flags],
                       input=source, text=True, check=True)
        return out

    return go


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(l.split()[1]) * 1024 for l in f if l.startswith("VmRSS"))


def signals_blocked(pid):
    masks = set()
    for task in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(task) as f:
            masks |= {l.split()[1] for l in f if l.startswith("SigBlk")}
    return masks


def finish(p, timeout=30):
    """Closes its stdin, on which each of our programs says how it went and ends."""
    p.stdin.close()
    out = p.stdout.read()
    assert p.wait(timeout) == 0, out
    return dict(pair.split("=") for pair in out.split())


FRAGMENTED = """
import sys
n = int(sys.argv[1])
blocks = [bytes(1024 + i * 37 % 3072) for i in range(n)]
kept = blocks[::64]
free = sum(map(len, blocks)) - sum(map(len, kept))
del blocks
print('ready', free, flush=True)
sys.stdin.read()
print('kept=%d' % sum(map(len, kept)))
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_a_fragmented_python_gives_its_free_heap_back(actd, spawn, python):
    if not os.path.exists(python):
        pytest.skip(f"{python} is not here")
    p = spawn(python, "-c", FRAGMENTED, 80000)
    free = int(p.told[0])
    before = rss(p.pid)
    rc, r = actd.trim(p.pid, "--dry-run")
    assert (rc, r["status"], r["rss_after_bytes"]) == (0, "dry_run", None)
    assert abs(rss(p.pid) - before) < 1 << 20, "a dry run must change nothing"
    predicted = re.search(r"give back about ([\d.]+) MiB of", r["detail"])
    assert predicted, r
    rc, r = actd.trim(p.pid)
    assert (rc, r["status"]) == (0, "done"), r
    gained = r["rss_before_bytes"] - r["rss_after_bytes"]
    assert abs(float(predicted[1]) * (1 << 20) - gained) < 0.05 * gained
    assert "gave back" in r["detail"] and " MiB of " in r["detail"]
    assert r["rss_before_bytes"] - r["rss_after_bytes"] > 0.8 * free
    assert before - rss(p.pid) > 0.8 * free
    assert 0 < r["held_us"] < 500000 and r["held_us"] < r["total_us"] < 10000000
    rc, r = actd.trim(p.pid)
    assert r["detail"].startswith("gave back nothing: the heap has no free pages")
    assert signals_blocked(p.pid) == {"0000000000000000"}
    finish(p)


THREADED = """
import queue, sys, threading, time
stop = threading.Event()
counts = [0] * 4
q = queue.Queue()

def sleeper(i):
    while not stop.is_set():
        junk = [bytes(2000) for _ in range(200)]
        assert sum(map(len, junk)) == 400000
        time.sleep(0.003)
        counts[i] += 1

def waiter():
    while True:
        v = q.get()
        if v is None:
            return
        counts[3] += v

threads = [threading.Thread(target=sleeper, args=(i,)) for i in range(3)]
threads.append(threading.Thread(target=waiter))
for t in threads:
    t.start()
print('ready', flush=True)
sys.stdin.read()
for i in range(1000):
    q.put(1)
q.put(None)
stop.set()
for t in threads:
    t.join()
print('slept=%d queued=%d' % (min(counts[:3]), counts[3]))
"""


def test_a_threaded_python_takes_fifty_calls(actd, spawn):
    p = spawn("/usr/bin/python3", "-c", THREADED)
    for _ in range(50):
        rc, r = actd.trim(p.pid)
        assert (rc, r["status"]) == (0, "done"), r
        assert p.poll() is None
    said = finish(p)
    assert int(said["slept"]) > 10 and said["queued"] == "1000"


HAMMER = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;
static long corrupt, rounds, forks;

static void *hammer(void *arg)
{
	unsigned seed = (unsigned)(long)arg;
	unsigned char *slots[256] = {0};
	unsigned sizes[256] = {0};

	while (!stop) {
		unsigned i = rand_r(&seed) % 256;

		for (unsigned k = 0; slots[i] && k < sizes[i]; k += 97)
			if (slots[i][k] != (unsigned char)i)
				__atomic_add_fetch(&corrupt, 1, __ATOMIC_RELAXED);
		free(slots[i]);
		sizes[i] = 16 + rand_r(&seed) % 20000;
		slots[i] = malloc(sizes[i]);
		memset(slots[i], (int)i, sizes[i]);
		__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
		if (i < 4)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return NULL;
}

static void *forker(void *arg)
{
	(void)arg;
	while (!stop) {
		pid_t child = fork();
		int status = 1;

		if (child == 0) {
			free(malloc(5000));
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			__atomic_add_fetch(&corrupt, 1, __ATOMIC_RELAXED);
		forks++;
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[4];
	char c;

	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, hammer, (void *)(i + 1));
	pthread_create(&t[3], NULL, forker, NULL);
	printf("ready\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("corrupt=%ld rounds=%ld forks=%ld\n", corrupt, rounds, forks);
	return 0;
}
"""


def test_a_malloc_hammer_with_forks_is_unharmed(actd, spawn, build):
    p = spawn(build("hammer", HAMMER, "-pthread"))
    done = 0
    for _ in range(100):
        rc, r = actd.trim(p.pid)
        assert r["status"] == "done" or "no safe point" in r["detail"], r
        done += r["status"] == "done"
        assert p.poll() is None
    said = finish(p)
    assert said["corrupt"] == "0" and int(said["rounds"]) > 100 and int(said["forks"]) > 10
    assert done >= 90


SLEEPERS = r"""
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;
static long eintr, other, turns;
static int dead[2];

static int wait_once(const char *how, int ep)
{
	fd_set set;

	if (!strcmp(how, "nanosleep"))
		return nanosleep(&(struct timespec){.tv_nsec = 40000000}, NULL);
	if (!strcmp(how, "poll"))
		return poll(&(struct pollfd){.fd = dead[0], .events = POLLIN}, 1, 40);
	if (!strcmp(how, "epoll"))
		return epoll_wait(ep, &(struct epoll_event){0}, 1, 40);
	FD_ZERO(&set);
	FD_SET(dead[0], &set);
	return select(dead[0] + 1, &set, NULL, NULL, &(struct timeval){.tv_usec = 40000});
}

int main(int argc, char **argv)
{
	struct pollfd in = {.fd = 0, .events = POLLIN};
	int ep = epoll_create1(0);

	(void)argc;
	if (pipe(dead) < 0)
		return 1;
	epoll_ctl(ep, EPOLL_CTL_ADD, dead[0], &(struct epoll_event){.events = EPOLLIN});
	printf("ready\n");
	fflush(stdout);
	while (poll(&in, 1, 0) == 0) {
		double kept = 1.25;
		errno = 0;
		if (wait_once(argv[1], ep) != 0) {
			if (errno == EINTR)
				eintr++;
			else
				other++;
		}
		if (kept != 1.25)
			other++;
		turns++;
	}
	printf("eintr=%ld other=%ld turns=%ld\n", eintr, other, turns);
	return 0;
}
"""


@pytest.mark.parametrize("how", ["nanosleep", "poll", "epoll", "select"])
def test_no_program_sees_eintr(actd, spawn, build, how):
    p = spawn(build("sleepers", SLEEPERS), how)
    for i in range(25):
        rc, r = actd.trim(p.pid)
        assert (rc, r["status"]) == (0, "done"), r
        time.sleep(i % 5 * 0.015)  # a relative timeout starts over: let some of them end
    said = finish(p)
    assert said["eintr"] == "0" and said["other"] == "0" and int(said["turns"]) > 3


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(x) for x in f.read().split()]
    except OSError:
        return []


def test_killing_the_worker_at_any_moment_leaves_the_target_alone(actd, spawn):
    p = spawn("/usr/bin/python3", "-c", THREADED)
    rng = random.Random(7)
    killed = 0
    # The leak checker ends with a child of its own, which is not the worker.
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    for _ in range(30):
        job = subprocess.Popen(actd.command("trim", p.pid), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=env)
        workers = []
        while not workers and job.poll() is None:
            workers = children_of(job.pid)
        time.sleep(rng.uniform(0, 0.012))
        for w in workers:
            try:
                os.kill(w, signal.SIGKILL)
            except ProcessLookupError:
                pass
        killed += job.wait(20) != 0
        assert p.poll() is None
    assert killed > 0, "no worker was killed before its end: the test proves nothing"
    time.sleep(0.1)
    assert signals_blocked(p.pid) == {"0000000000000000"}
    rc, r = actd.trim(p.pid)
    assert (rc, r["status"]) == (0, "done"), r
    said = finish(p)
    assert said["queued"] == "1000"


WAITS = r"""
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>
#ifdef OWN_MALLOC
static char pool[1 << 20];
static size_t used;
void *malloc(size_t n) { used = (used + 15) & ~15ul; used += n; return pool + used - n; }
void free(void *p) { (void)p; }
#endif
static void ready(void) /* strict seccomp knows no more than write() */
{
	write(1, "ready\n", 6);
}
static void on_alarm(int sig)
{
	char c;

	(void)sig;
	ready();
	while (read(0, &c, 1) > 0 && c != 'x')
		;
	write(1, "back\n", 5);
}
int main(int argc, char **argv)
{
	char c;

	if (argc > 1 && !strcmp(argv[1], "handler")) {
		signal(SIGALRM, on_alarm);
		raise(SIGALRM);
	}
	if (argc > 1 && !strcmp(argv[1], "strict"))
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	ready();
	if (argc > 1 && !strcmp(argv[1], "spin"))
		for (volatile unsigned long i = 0;; i++)
			;
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
"""


def wait_state(pid, wanted, seconds=20):
    """Until the kernel says this letter of it: S = sleeps, T = is stopped, Z = has ended."""
    end = time.monotonic() + seconds
    while (state := open(f"/proc/{pid}/stat").read().rpartition(") ")[2][0]) != wanted:
        assert time.monotonic() < end, f"state {state}, not {wanted}"
        time.sleep(0.01)


def refusal(actd, pid, wanted_rc=1):
    rc, r = actd.trim(pid)
    assert rc == wanted_rc and r["status"] in ("refused", "failed"), r
    return r["detail"]


def test_a_static_binary_is_refused(actd, spawn, build):
    p = spawn(build("waits", WAITS, "-static"))
    assert refusal(actd, p.pid) == "static binary: no malloc_trim"


def test_another_allocator_is_refused(actd, spawn, build, tmp_path):
    build("libjemalloc.so.2", "int x;", "-shared", "-fPIC")
    p = spawn(build("waits", WAITS), env={"LD_PRELOAD": str(tmp_path / "libjemalloc.so.2")})
    assert refusal(actd, p.pid) == "process uses jemalloc allocator"
    p = spawn(build("own", WAITS, "-DOWN_MALLOC", "-rdynamic"))
    assert "exports malloc" in refusal(actd, p.pid)


def test_states_that_forbid_it_are_refused_by_name(actd, spawn, build):
    program = build("waits", WAITS)
    p = spawn(program, "strict")
    assert "strict seccomp" in refusal(actd, p.pid)
    p = spawn(program)
    p.send_signal(signal.SIGSTOP)
    wait_state(p.pid, "T")
    assert "is stopped" in refusal(actd, p.pid)
    p.send_signal(signal.SIGCONT)
    wait_state(p.pid, "S")
    assert actd.trim(p.pid)[0] == 0
    p.stdin.close()
    wait_state(p.pid, "Z")
    assert "is gone" in refusal(actd, p.pid, 4), "a zombie counts as gone"


def test_a_busy_program_is_told_to_be_tried_later(actd, spawn, build):
    p = spawn(build("waits", WAITS), "spin")
    start = time.monotonic()
    assert "no safe point" in refusal(actd, p.pid)
    assert time.monotonic() - start < 15  # it looks for two seconds


def test_a_signal_handler_that_waits_is_no_safe_point(actd, spawn, build):
    p = spawn(build("waits", WAITS), "handler")
    assert "no safe point" in refusal(actd, p.pid), "what it interrupted may be malloc"
    p.stdin.write("x")
    p.stdin.flush()
    assert [p.stdout.readline() for _ in range(2)] == ["back\n", "ready\n"]
    wait_state(p.pid, "S")
    for _ in range(5):
        assert actd.trim(p.pid)[0] == 0


def test_pid_1_itself_and_nobody_are_refused(actd):
    os.mkdir(actd.path("new"), 0o755)
    p = actd.run("-o", "journal=" + actd.path("new/made/journal"), "trim", 1)
    assert p.returncode == 3 and "pid 1 is never touched" in p.stderr
    assert os.stat(actd.path("new/made")).st_mode & 0o777 == 0o700
    assert "pid 1 is never touched" in refusal(actd, 1, 3)
    assert refusal(actd, 2 ** 22 + 5, 4).startswith("no process")
    p = actd.run("trim", "hello")
    assert p.returncode == 2 and "expected a process id" in p.stderr
    assert actd.run("frobnicate").returncode == 2


def test_the_policy_decides(actd, spawn, build):
    p = spawn(build("waits", WAITS))
    actd.policy("deny *\n")
    assert "policy line 1: deny *" in refusal(actd, p.pid, 3)
    assert actd.trim(p.pid, "--no-policy")[0] == 0
    actd.policy("allow trim uid=0 exe=*/waits container=no cooldown=1h\n"
                "allow trim uid=0 exe=*/waits container=yes cooldown=1h\n")
    assert "wants a rest of" in refusal(actd, p.pid, 3), "the override counts too"
    now = time.time()
    hour = [time.strftime("%H:%M", time.localtime(now + s)) for s in (-600, 600)]
    for container in ("no", "yes"):
        actd.policy(f"allow trim uid=0 container={container} quiet={hour[0]}-{hour[1]}\n")
        rc, r = actd.trim(p.pid, "--dry-run")
        if rc == 0:
            assert f"wants quiet from {hour[0]} to {hour[1]}" in refusal(actd, p.pid, 3)
            actd.policy(f"allow trim uid=0 container={container} quiet={hour[1]}-{hour[0]}\n")
            assert actd.trim(p.pid)[0] == 0
            break
    else:
        raise AssertionError("neither line allowed it")
    actd.policy("allow trim exe=*/waits\n")
    assert "no line of the policy allows it" in refusal(actd, p.pid, 3), "uid 0 was not named"


def test_a_policy_that_is_not_roots_own_is_refused(actd, spawn, build):
    p = spawn(build("waits", WAITS))
    actd.policy("allow trim uid>=0\n", uid=65534)
    assert "belongs to uid 65534, expected root" in refusal(actd, p.pid, 3)
    actd.policy("allow trim uid>=0\n", mode=0o666)
    assert "writable by others" in refusal(actd, p.pid, 3)
    actd.policy("allow trim uid>=0\nallow rm -rf\n")
    assert "policy:2: unknown action 'rm'" in refusal(actd, p.pid, 3)
    check = actd.run("check-config")
    assert check.returncode == 2 and "policy:2: unknown action 'rm'" in check.stderr
    run = actd.run("run")
    assert run.returncode == 2 and "unknown action 'rm'" in run.stderr


def test_the_shipped_examples_are_what_the_program_reads(actd):
    examples = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "examples")
    with open(os.path.join(examples, "policy")) as f:
        actd.policy(f.read())
    conf = os.path.join(examples, "actd.conf")
    p = actd.run("-c", conf, "check-config")
    assert p.returncode == 0, p.stderr
    plain = subprocess.run([ACTD, "-c", "/dev/null", "dump-config"], capture_output=True, text=True)
    shipped = subprocess.run([ACTD, "-c", conf, "dump-config"], capture_output=True, text=True)
    assert plain.returncode == 0 and shipped.stdout == plain.stdout
    with open(conf) as f:
        shown = {l.lstrip("#").split(" = ")[0] for l in f if " = " in l and not l.startswith("# ")}
    assert shown == {l.split(" = ")[0] for l in plain.stdout.splitlines()
                     if " = " in l and l[0] != "#"}


def test_a_mistake_in_the_configuration_ends_with_2(actd):
    for line, says in (("sockt = /x", "actd.conf:2: unknown option 'sockt'"),
                       ("log_level = loud", "log_level = 'loud': expected error, warn"),
                       ("hello", "actd.conf:2: expected 'key = value'")):
        with open(actd.path("actd.conf"), "w") as f:
            f.write("[actd]\n" + line + "\n")
        p = actd.run("-c", actd.path("actd.conf"), "check-config")
        assert p.returncode == 2 and says in p.stderr, p.stderr


# ---- the socket ----

def boot_id():
    with open("/proc/sys/kernel/random/boot_id") as f:
        return uuid.UUID(f.read().strip()).bytes


def start_ticks(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rpartition(") ")[2].split()[19])


class Collector:
    """Signs commands as the collector does, with the openssl program."""

    def __init__(self, folder):
        self.folder = folder
        self.key = os.path.join(folder, "sign.pem")
        self.host = uuid.uuid4()
        self.counter = 0
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key], check=True)
        pub = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"],
                             check=True, capture_output=True).stdout[-32:]
        for name, text in (("key", pub.hex()), ("uuid", str(self.host))):
            with open(os.path.join(folder, name), "w") as f:
                f.write(text + "\n")

    def sign(self, domain, body):
        message = os.path.join(self.folder, "message")
        with open(message, "wb") as out:
            out.write(domain + body)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", self.key, "-rawin", "-in",
                               message], check=True, capture_output=True).stdout

    def warrant(self, pid, **change):
        """What an operator signs, with his signature; as agent/act/operators.h has it."""
        now = int(time.time() * 1e6)
        f = dict(action=1, id=uuid.uuid4().bytes, host=self.host.bytes, boot=boot_id(), pid=pid, ticks=start_ticks(pid),
                 issued=now, expires=now + 600_000_000, params=(0, 0, 0), domain=b"memherd-warrant-v1")
        f.update(change)
        statement = struct.pack("<4sI16s16s16sIQqq3q20x", b"MHO1", f["action"], f["id"], f["host"], f["boot"], f["pid"],
                                f["ticks"], f["issued"], f["expires"], *f["params"])
        return f["id"], statement + self.sign(f["domain"], statement)

    def command(self, pid, warrant=b"", **change):
        self.counter += 1
        now = int(time.time() * 1e6)
        f = dict(action=1, id=uuid.uuid4().bytes, host=self.host.bytes, boot=boot_id(), pid=pid, dry=0,
                 ticks=start_ticks(pid) if pid else 0, issued=now, expires=now + 60_000_000,
                 counter=self.counter, fence=5, params=(0, 0, 0), domain=b"memherd-cmd-v1",
                 reason=b"integration")
        f.update(change)
        body = struct.pack("<4sIB3x16s16s16sIQqqQQ48s64s3q8x8s", b"MHC1", f["action"], f["dry"], f["id"],
                           f["host"], f["boot"], f["pid"], f["ticks"], f["issued"], f["expires"],
                           f["counter"], f["fence"], b"token:test", f["reason"], *f["params"],
                           hashlib.sha256(warrant).digest()[:8] if warrant else b"")
        return body + self.sign(f["domain"], body) + warrant


STATUS = {1: "done", 2: "dry_run", 3: "refused", 4: "failed", 5: "unknown"}


class Link:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(20)
        self.s.connect(path)

    def ask(self, request):
        self.s.send(request)
        answer = self.s.recv(4096)
        assert len(answer) == 512 and answer[:4] == b"MHR1"
        return STATUS[struct.unpack_from("<I", answer, 4)[0]], answer[72:456].rstrip(b"\0").decode(), \
            answer


@pytest.fixture
def daemon(actd):
    started = []

    def go():
        p = subprocess.Popen(actd.command("run"), stderr=subprocess.PIPE, text=True)
        started.append(p)
        assert "listening" in p.stderr.readline()
        return p

    yield go
    for p in started:
        was_alive = p.poll() is None
        p.terminate()
        code, said = p.wait(20), p.stderr.read()
        p.stderr.close()
        assert not was_alive or code == 0, said


def test_only_the_valid_command_acts(actd, daemon, spawn):
    collector = Collector(actd.folder)
    p = spawn("/usr/bin/python3", "-c", FRAGMENTED, 20000)
    before = rss(p.pid)
    d = daemon()
    link = Link(actd.path("socket"))
    assert os.stat(actd.path("socket")).st_mode & 0o777 == 0o660
    good = collector.command(p.pid)
    now = int(time.time() * 1e6)
    bad = [
        (good[:256] + bytes(64), "signature"),
        (good[:100] + b"\x01" + good[101:], "signature"),
        (collector.command(p.pid, domain=b"memherd-enrol"), "signature"),
        (collector.command(p.pid, host=uuid.uuid4().bytes), "another host"),
        (collector.command(p.pid, expires=now - 1), "expired"),
        (collector.command(p.pid, expires=now + 3600_000_000), "10 min ahead"),
        (collector.command(p.pid, counter=0), "counter 0 is not above"),
        (collector.command(p.pid, boot=bytes(16)), "before this boot"),
        (collector.command(p.pid, ticks=start_ticks(p.pid) + 1), "its pid was reused"),
    ]
    for request, says in bad:
        status, detail, _ = link.ask(request)
        assert status == "refused" and says in detail, detail
    assert abs(rss(p.pid) - before) < 1 << 20, "nothing may have acted yet"

    status, detail, _ = link.ask(collector.command(p.pid, dry=1))
    assert status == "dry_run", detail
    assert abs(rss(p.pid) - before) < 1 << 20
    request = collector.command(p.pid, fence=6)
    status, detail, answer = link.ask(request)
    assert status == "done" and detail.startswith("gave back"), detail
    assert before - rss(p.pid) > 20 << 20
    assert link.ask(request)[2] == answer, "a duplicate gets the first result"
    status, detail, _ = link.ask(collector.command(p.pid, fence=5))
    assert status == "refused" and "lost the lead" in detail
    actd.policy("deny *\n")
    status, detail, _ = link.ask(collector.command(p.pid, fence=6))
    assert status == "refused" and "policy line 1" in detail

    link.s.send(b"short")
    assert link.s.recv(10) == b"", "a datagram of another size ends the connection"
    d.terminate()
    assert d.wait(20) == 0
    assert not os.path.exists(actd.path("socket"))
    log = d.stderr.read()
    assert log.count("status=refused") == len(bad) + 2, "every denial is logged"

    daemon()
    link = Link(actd.path("socket"))
    assert link.ask(request)[2] == answer, "nor does a restart forget it"
    finish(p)


def test_a_command_that_was_cut_short_is_unknown(actd, daemon, spawn, build):
    collector = Collector(actd.folder)
    p = spawn(build("waits", WAITS), "spin")
    d = daemon()
    link = Link(actd.path("socket"))
    request = collector.command(p.pid)
    link.s.send(request)
    time.sleep(0.5)  # it looks for a safe point for two seconds, and there is none
    d.kill()
    d.wait(20)
    daemon()
    status, detail, _ = Link(actd.path("socket")).ask(request)
    assert status == "unknown" and "not tried again" in detail


def test_other_users_are_turned_away(daemon, actd):
    # pytest's own folders are closed to others: this one is open, to see the uid decide.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        actd.folder = folder
        actd.policy("deny *\n")
        Collector(folder)
        d = daemon()
        link = Link(actd.path("socket"))
        assert link.ask(bytes(320))[0] == "refused", "root is answered"
        os.chmod(actd.path("socket"), 0o666)
        ask = ("import socket, sys\n"
               "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
               "s.connect(sys.argv[1])\n"
               "try:\n"
               "    s.send(bytes(320)); got = s.recv(512)\n"
               "except OSError:\n"
               "    got = b''\n"
               "sys.exit(7 if got else 0)\n")
        asked = subprocess.run(["/usr/bin/python3", "-c", ask, actd.path("socket")], user=65534,
                               capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr
        d.terminate()
        assert d.wait(20) == 0
        assert "peer uid=65534" in d.stderr.read()


def activated(actd, path, kind=socket.SOCK_SEQPACKET, count=1):
    """Started as systemd does it: with the listening socket as descriptor 3."""
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(path)
    s.listen()

    def pass_it():
        os.dup2(s.fileno(), 3)

    p = subprocess.Popen(["/bin/sh", "-c", f'LISTEN_PID=$$ LISTEN_FDS={count} exec "$@"', "sh", *actd.command("run")],
                         stderr=subprocess.PIPE, text=True, preexec_fn=pass_it, close_fds=False)
    s.close()
    return p


def test_a_service_manager_may_make_the_socket(actd, spawn):
    collector = Collector(actd.folder)
    path = actd.path("socket")
    p = activated(actd, path)
    try:
        link = Link(path)
        assert link.ask(collector.command(spawn("/usr/bin/python3", "-c", FRAGMENTED, 1).pid, dry=1))[0] in ("dry_run", "refused")
        with open(f"/proc/{p.pid}/environ") as f:  # as it was started; its children are told nothing of it
            assert "LISTEN_PID" in f.read()
        with open(f"/proc/{p.pid}/status") as f:
            assert "Seccomp:\t2" in f.read()
        p.terminate()
        assert p.wait(20) == 0
        assert os.path.exists(path), "the socket is the service manager's"
    finally:
        p.kill()
        p.wait()
        p.stderr.close()


@pytest.mark.parametrize("name, kind, count, words", [
    ("socket", socket.SOCK_STREAM, 1, "no listening SOCK_SEQPACKET socket"),
    ("elsewhere", socket.SOCK_SEQPACKET, 1, "the configuration says"),
    ("socket", socket.SOCK_SEQPACKET, 2, "passed 2 sockets, not one")])
def test_another_socket_is_not_taken(actd, name, kind, count, words):
    Collector(actd.folder)
    p = activated(actd, actd.path(name), kind, count)
    said = p.communicate(timeout=20)[1]
    assert p.returncode == 1 and words in said, said


def test_a_second_daemon_does_not_take_the_socket(actd, daemon):
    Collector(actd.folder)
    daemon()
    Link(actd.path("socket"))
    second = actd.run("run")
    assert second.returncode == 1 and "another memherd-actd listens" in second.stderr
    assert os.path.exists(actd.path("socket"))
