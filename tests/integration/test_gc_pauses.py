# SPDX-License-Identifier: Apache-2.0
"""What 'memherd-agent gc PID' tells of real interpreters equals what they time of themselves, whatever
way it is seen; the target is not harmed, and no probe outlives its reader."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'support'))
import pythons  # noqa: E402

BIN = os.environ.get('BIN', os.path.join(os.path.dirname(__file__), '..', '..', 'build'))
AGENT = os.path.join(BIN, 'memherd-agent')
SYSTEM = '/usr/bin/python3'
LIMIT = 120  # seconds for anything: other tests may be running

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason='probes need root'),
    pytest.mark.skipif(not os.path.exists('/sys/bus/event_source/devices/uprobe/type'),
                       reason='this kernel has no uprobe events'),
]

# Collects what each line of its input says, timing itself, and answers with what it saw.
TARGET = '''
import gc, json, sys, threading, time
gc.disable()
hold = [[] for _ in range(int(sys.argv[1]))]
seen, began = [], [0]
def watch(phase, info):
    if phase == 'start':
        began[0] = time.perf_counter_ns()
    else:
        seen.append([info['generation'], time.perf_counter_ns() - began[0], info['collected']])
gc.callbacks.append(watch)
def cycle(n):
    for _ in range(n):
        l = []
        l.append(l)
def collect(generations):
    for g in generations:
        cycle(3)
        gc.collect(g)
        time.sleep(0.02)
def late(generations):
    time.sleep(1)
    collect(generations)
print('ready', flush=True)
for line in sys.stdin:
    todo = json.loads(line)
    del seen[:]
    if todo['threads']:
        for _ in range(todo['threads']):
            t = threading.Thread(target=late, args=(todo['collect'],))
            t.start()
            t.join()
    else:
        collect(todo['collect'])
    print(json.dumps(seen), flush=True)
print('whole', len(hold), flush=True)
'''


class Target:
    def __init__(self, *command, objects=20000, **kw):
        self.p = subprocess.Popen([*command, '-c', TARGET, str(objects)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, **kw)
        self.objects = objects
        assert self.p.stdout.readline() == 'ready\n'
        self.pid = self.p.pid

    def collect(self, generations, threads=0):
        self.p.stdin.write(json.dumps({'collect': generations, 'threads': threads}) + '\n')
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def end(self):
        """It ends as it would have without us."""
        self.p.stdin.close()
        assert self.p.stdout.read() == f'whole {self.objects}\n'
        assert self.p.wait(LIMIT) == 0

    def drop(self):
        self.p.kill()
        self.p.wait()


@pytest.fixture
def targets():
    made = []

    def make(*command, **kw):
        made.append(Target(*command, **kw))
        return made[-1]
    yield make
    for t in made:
        t.drop()


class Reader:
    """The command, from when it watches."""

    def __init__(self, pid, *args, seconds=300, agent=AGENT, **kw):
        self.p = subprocess.Popen([agent, 'gc', str(pid), '--seconds', str(seconds), '--json', *args],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
        self.said = ''
        while 'watching' not in self.said:
            line = self.p.stderr.readline()
            assert line, self.said
            self.said += line

    def end(self):
        self.p.send_signal(signal.SIGINT)
        out, err = self.p.communicate(timeout=LIMIT)
        assert self.p.returncode == 0, err
        return json.loads(out)

    def drop(self):
        self.p.kill()
        self.p.wait()


@pytest.fixture
def readers():
    made = []

    def make(*args, **kw):
        made.append(Reader(*args, **kw))
        return made[-1]
    yield make
    for r in made:
        r.drop()


def interpreters():
    found = [pytest.param(p, id=p.label) for p in pythons.all() if p.kind == 'cpython' and p.minor() >= 8]
    return found + [pytest.param(None, id=name, marks=pytest.mark.skip(reason=why))
                    for name, why in pythons.unavailable().items()]


def eventually(what):
    end = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def same(told, own, untimed=0):
    """The same collections; durations of the same size, which is all that a busy machine allows."""
    if told['method'] == 'memory' and told['lost_records']:
        assert len(told['pauses']) + told['lost_records'] == len(own)  # its rings are short, and say so
        return
    assert [p['generation'] for p in told['pauses']] == [g for g, _, _ in own]
    assert [p['collected'] for p in told['pauses'] if p['collected'] is not None] == \
        [c for _, _, c in own][untimed:]
    timed = [(p['duration_us'], ns / 1000) for p, (_, ns, _) in zip(told['pauses'], own)
             if p['duration_us'] is not None]
    assert len(timed) == len(own) - untimed
    ours, theirs = map(sum, zip(*timed))
    assert theirs / 5 < ours < theirs * 5


def check_figures(told):
    for row in told['generations'] + [told['all']]:
        mine = [p for p in told['pauses'] if 'generation' not in row or p['generation'] == row['generation']]
        durations = sorted(p['duration_us'] for p in mine if p['duration_us'] is not None)
        assert (row['count'], row['timed']) == (len(mine), len(durations))
        if durations:
            assert row['max_us'] == durations[-1]
            assert durations[0] <= row['p50_us'] <= row['p99_us'] <= row['max_us']
            assert row['total_us'] == pytest.approx(sum(durations), rel=1e-6)
            assert row['share_percent'] == pytest.approx(row['total_us'] / told['seconds'] / 1e4, rel=1e-3)
    starts = [p['start_monotonic_us'] for p in told['pauses']]
    assert starts == sorted(starts)
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1000
    for p in told['pauses']:
        age = now - p['start_monotonic_us']
        assert 0 < age < LIMIT * 1e6
        assert abs(time.time() * 1e6 - p['start_wall_us'] - age) < 1e6


@pytest.mark.parametrize('python', interpreters())
def test_every_collection_is_told_as_the_program_saw_it(python, targets, readers):
    t = targets(*python.argv('-S'), env=pythons.clean_environment())
    r = readers(t.pid)
    own = t.collect([0])  # without USDT this one tells where its caller goes on
    time.sleep(1)         # a hundred times what the command needs to look there
    own += t.collect([0, 1, 2, 2, 1, 0, 0] * 5)
    told = r.end()
    assert told['method'] in ('usdt', 'function', 'memory')
    # it may itself have been over by then
    untimed = told['all']['count'] - told['all']['timed']
    assert untimed <= (told['method'] == 'function')
    same(told, own, untimed)
    check_figures(told)
    assert told['ended'] == 'signal' and (told['lost_records'] == 0 or told['method'] == 'memory')
    assert told['collections_per_second_before'] == (None if told['method'] == 'memory' else 0)
    assert told['pid'] == t.pid and told['version'] in (python.version, python.version.rpartition('.')[0])
    if told['method'] != 'memory':
        assert {p['thread'] for p in told['pauses']} == {t.pid}
    t.end()


@pytest.mark.parametrize('python', interpreters())
def test_threads_that_begin_later_are_watched(python, targets, readers):
    t = targets(*python.argv('-S'), env=pythons.clean_environment())
    r = readers(t.pid)
    t.collect([0])  # where collections end is known from here on
    time.sleep(1)
    own = t.collect([0, 2], threads=2)
    told = r.end()
    told['pauses'] = told['pauses'][1:]
    same(told, own)
    threads = [p['thread'] for p in told['pauses']]
    if told['method'] != 'memory':
        assert threads[0] == threads[1] and threads[2] == threads[3] and t.pid not in threads
    t.end()


def semaphore(path):
    notes = subprocess.run(['readelf', '-n', path], capture_output=True, text=True, check=True).stdout
    m = re.search(r'Name: gc__start\s+Location: \S+ Base: \S+ Semaphore: (0x[0-9a-f]+)', notes)
    if not m:
        pytest.skip('the system\'s python3 has no USDT probes')
    head = subprocess.run(['readelf', '-h', path], capture_output=True, text=True, check=True).stdout
    if 'EXEC' not in head:
        pytest.skip('the system\'s python3 is not mapped at its own addresses')
    return int(m[1], 16)


def peek(pid, address, n):
    with open(f'/proc/{pid}/mem', 'rb') as f:
        f.seek(address)
        return f.read(n)


def test_two_readers_see_the_same_and_their_probes_go_with_them(targets, readers):
    t = targets(SYSTEM)
    at = semaphore(os.path.realpath(SYSTEM))
    other = targets(SYSTEM)

    def count(pid=t.pid):
        return int.from_bytes(peek(pid, at, 2), 'little')
    assert count() == 0
    first, second = readers(t.pid), readers(t.pid)
    assert count() > 0
    assert count(other.pid) == 0  # the same file in another process is not touched
    own = t.collect([0, 1, 2] * 5)
    same(first.end(), own)
    assert count() > 0
    own += t.collect([2, 0])
    second.p.kill()
    second.p.wait()
    eventually(lambda: count() == 0)
    again = readers(t.pid)
    same_again = t.collect([1])
    same(again.end(), same_again)
    assert count() == 0
    t.end()


def test_a_killed_reader_leaves_the_code_as_it_was(targets, readers):
    paths = sorted(glob.glob('/root/.pyenv/versions/3.1[0-3].*/lib/libpython3.*.so.1.0'))
    if not paths:
        pytest.skip('no interpreter with a symbol table here')
    symbols = subprocess.run(['nm', paths[-1]], capture_output=True, text=True, check=True).stdout
    vaddr = int(re.search(r'^([0-9a-f]+) t gc_collect_main$', symbols, re.M)[1], 16)
    t = targets(os.path.join(os.path.dirname(paths[-1]), '../bin/python3'))
    with open(f'/proc/{t.pid}/maps') as f:
        start = next(int(line.split('-')[0], 16) for line in f if 'libpython3.' in line)
    before = peek(t.pid, start + vaddr, 16)
    r = readers(t.pid)
    t.collect([0, 1, 2])
    assert peek(t.pid, start + vaddr, 1) == b'\xcc'
    r.p.kill()
    r.p.wait()
    eventually(lambda: peek(t.pid, start + vaddr, 16) == before)
    assert len(t.collect([2])) == 1
    t.end()


def test_a_deleted_interpreter_is_watched(targets, readers, tmp_path):
    copy = tmp_path / os.path.basename(os.path.realpath(SYSTEM))
    shutil.copy(os.path.realpath(SYSTEM), copy)
    t = targets(str(copy), env={**os.environ, 'PYTHONHOME': '/usr'})
    copy.unlink()
    copy.write_bytes(b'#!/bin/false\n')  # and another file has its name
    r = readers(t.pid)
    own = t.collect([0, 2])
    same(r.end(), own)
    t.end()


def test_it_ends_when_its_time_or_the_process_ends(targets, readers):
    t = targets(SYSTEM)
    r = readers(t.pid, seconds=1)
    out, _ = r.p.communicate(timeout=LIMIT)
    assert json.loads(out)['ended'] == 'time'
    r = readers(t.pid)
    own = t.collect([2])
    t.end()
    out, _ = r.p.communicate(timeout=LIMIT)
    told = json.loads(out)
    assert told['ended'] == 'process'
    # the interpreter collects once more as it ends
    assert [p['generation'] for p in told['pauses']][:1] == [g for g, _, _ in own]


def test_the_table_for_people(targets):
    t = targets(SYSTEM)
    p = subprocess.Popen([AGENT, 'gc', str(t.pid), '--seconds', '300'], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    while 'watching' not in p.stderr.readline():
        assert p.poll() is None
    t.collect([0] * 12 + [1])
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=LIMIT)
    assert p.returncode == 0, err
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows['0'][1] == '12' and rows['1'][1] == '1' and rows['2'][1] == '0' and rows['all'][1] == '13'
    assert len(re.findall(r'^\d{4}-\d\d-\d\dT', out, re.M)) == 10
    t.end()


BUSY = 'import gc\nprint("ready", flush=True)\nwhile True: gc.collect(0)\n'


def test_what_would_cost_too_much_wants_force():
    p = subprocess.Popen([SYSTEM, '-c', BUSY], stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == 'ready\n'
        r = subprocess.run([AGENT, 'gc', str(p.pid), '--seconds', '1'], capture_output=True, text=True,
                           timeout=LIMIT)
        assert r.returncode == 5 and r.stdout == ''
        assert 'the probes would cost the process about' in r.stderr and '--force' in r.stderr
        r = subprocess.run([AGENT, 'gc', str(p.pid), '--seconds', '1', '--json', '--force'],
                           capture_output=True, text=True, timeout=LIMIT)
        told = json.loads(r.stdout)
        assert told['generations'][0]['count'] > 100
        assert told['cost_percent_at_most'] > 10
        assert p.poll() is None
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def test_without_rights_the_counters_are_told(targets, readers, tmp_path):
    scope = '/proc/sys/kernel/yama/ptrace_scope'
    if os.path.exists(scope) and open(scope).read().strip() != '0':
        pytest.skip('Yama lets nobody but root read another process')
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder != folder.parent and not folder.stat().st_mode & 1:
            folder.chmod(0o711)
    agent = shutil.copy(AGENT, tmp_path / 'memherd-agent')
    os.chmod(agent, 0o755)
    t = targets(SYSTEM, user='nobody', group='nogroup', extra_groups=[])
    r = readers(t.pid, agent=agent, user='nobody', group='nogroup', extra_groups=[])
    own = t.collect([0, 0, 1, 2])
    told = r.end()
    assert told['method'] == 'counters' and told['pauses'] == []
    assert [g['count'] for g in told['generations']] == [2, 1, 1]
    assert told['all']['collected'] == sum(c for _, _, c in own)
    assert told['all']['total_us'] is None
    note = next(n for n in told['notes'] if n.startswith('counts only, no durations: '))
    assert 'root or CAP_SYS_ADMIN is needed' in note or 'seccomp' in note
    t.end()


@pytest.mark.parametrize('args, code, says', [
    ([], 2, 'a PID is missing'),
    (['x'], 2, "a process id is a number from 1 to 4194304, not 'x'"),
    (['1', '--seconds', '301'], 2, "--seconds is a number from 1 to 300, not '301'"),
    (['1', '--seconds'], 2, "unexpected argument '--seconds'"),
    (['1', '2'], 2, "unexpected argument '2'"),
    (['4194303'], 4, 'process 4194303'),
    (['2'], 1, 'process 2'),
])
def test_bad_arguments_have_their_sentence(args, code, says):
    r = subprocess.run([AGENT, 'gc', *args], capture_output=True, text=True, timeout=LIMIT)
    assert (r.returncode, r.stdout) == (code, '')
    assert says in r.stderr.splitlines()[-1 if code != 2 else 0]


def test_what_is_no_python_is_said():
    p = subprocess.Popen(['sleep', '600'])
    try:
        r = subprocess.run([AGENT, 'gc', str(p.pid)], capture_output=True, text=True, timeout=LIMIT)
        assert r.returncode == 1 and r.stdout == ''
        assert 'no CPython in this process' in r.stderr
    finally:
        p.kill()
        p.wait()


def test_a_reader_that_has_gone_is_a_failure(targets):
    t = targets(SYSTEM)
    p = subprocess.Popen([AGENT, 'gc', str(t.pid), '--seconds', '1'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.close()
    assert p.wait(LIMIT) in (1, -signal.SIGPIPE)
    t.end()


if __name__ == '__main__':
    sys.exit(pytest.main([__file__, '-q']))
