# SPDX-License-Identifier: Apache-2.0
"""What 'memherd-agent inspect' and 'top' say of real processes equals /proc at the same moment, and
hostile names, bad arguments and processes that are not there harm nothing. (The stream of samples
itself is compared with /proc by tests/unit/agent/sense/test_sense_real.c.)"""
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import time

import psutil
import pytest

BIN = os.environ.get('BIN', os.path.join(os.path.dirname(__file__), '..', '..', 'build'))
AGENT = os.path.join(BIN, 'memherd-agent')

CHILD = '''
import sys, threading, time
size, threads = int(sys.argv[1]), int(sys.argv[2])
hold = bytearray(b'x' * (size << 20))
for _ in range(threads - 1):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print('ready', flush=True)
time.sleep(600)
'''


def agent(*args, **kw):
    return subprocess.run([AGENT, *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


def status(pid):
    with open(f'/proc/{pid}/status') as f:
        return {k: v.split()[0] for k, v in (line.rstrip('\n').split(':', 1) for line in f) if v.split()}


@pytest.fixture
def frozen():
    """Twenty stopped children of different sizes and threads."""
    made = []
    try:
        for i in range(20):
            p = subprocess.Popen([sys.executable, '-c', CHILD, str(1 + 2 * i), str(1 + i % 4)],
                                 stdout=subprocess.PIPE, text=True)
            made.append(p)
        for p in made:
            assert p.stdout.readline() == 'ready\n'
            p.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, p.pid, os.WSTOPPED | os.WNOWAIT)
        yield made
    finally:
        for p in made:
            p.kill()
            p.wait()
            p.stdout.close()


def test_inspect_equals_proc_for_twenty_processes(frozen):
    for p in frozen:
        r = agent('inspect', p.pid, '--json')
        assert r.returncode == 0, r.stderr
        got = json.loads(r.stdout)
        s = status(p.pid)
        assert got['pid'] == p.pid
        assert got['rss_bytes'] == int(s['VmRSS']) * 1024
        assert got['swap_bytes'] == int(s['VmSwap']) * 1024
        assert got['threads'] == int(s['Threads'])
        assert got['fds'] == len(os.listdir(f'/proc/{p.pid}/fd'))
        full = psutil.Process(p.pid).memory_full_info()
        # pages shared with processes that come and go meanwhile count differently
        assert abs(got['pss_bytes'] - full.pss) < 1 << 20
        assert abs(got['uss_bytes'] - full.uss) < 1 << 20
        assert got['rss_bytes'] >= got['pss_bytes'] >= got['uss_bytes']
        assert got['malloc']['libc'].startswith('glibc')
        started = datetime.datetime.fromisoformat(got['start_time'].replace('Z', '+00:00')).timestamp()
        assert abs(started - psutil.Process(p.pid).create_time()) < 2


def test_inspect_has_every_promised_field_and_says_why_not(frozen):
    got = json.loads(agent('inspect', frozen[0].pid, '--json', '--census').stdout)
    for field in ('pid comm cmdline service container start_time rss_bytes pss_bytes uss_bytes swap_bytes '
                  'limit_bytes threads fds malloc python census notes').split():
        assert field in got
    for field in ('arenas', 'system_bytes', 'free_bytes', 'libc'):
        assert field in got['malloc']
    python = got['python']
    assert python['state'] == 'readable' and python['implementation'] == 'CPython' and python['build'] == 'release'
    assert python['version'] == platform.python_version() and python['file'].startswith(('python3', 'libpython3'))
    for one in python['interpreters']:
        assert set(one) == {'id', 'gc', 'objects'}
        assert set(one['gc']) == {'enabled', 'collecting', 'frozen', 'generations'}
        for generation in one['gc']['generations']:
            assert set(generation) == {'count', 'threshold', 'collections', 'collected', 'uncollectable', 'seconds'}
    assert got['census']['objects'] > 1000 if got['census'] else any(n.startswith('census:') for n in got['notes'])
    assert got['limit_bytes'] is not None or any(n.startswith('limit:') for n in got['notes'])


def test_top_shows_the_same_memory(frozen):
    r = agent('top', '-n', 1, '-l', 100000)
    assert r.returncode == 0, r.stderr
    assert '\x1b' not in r.stdout
    shown = {int(line.split()[0]): line for line in r.stdout.splitlines()[2:] if line.strip()}
    for p in frozen:
        kib = int(status(p.pid)['VmRSS'])
        mib = kib / 1024
        want = f'{mib:.1f} MiB' if mib < 9.95 and kib % 1024 else f'{mib:.0f} MiB'
        assert want in shown[p.pid]


def test_a_growing_process_stands_high_by_growth():
    p = subprocess.Popen([sys.executable, '-c', '''
import time
keep = []
while True:
    keep.append(bytearray(b"x" * (2 << 20)))
    time.sleep(0.1)
'''])
    try:
        time.sleep(0.5)
        # Others on this machine may grow faster for a moment, but hardly twenty of them.
        r = agent('top', '-n', 2, '-d', 2, '-l', 20, '-s', 'growth')
        last = r.stdout.strip().split('\n\n')[-1].splitlines()
        ours = [line for line in last[2:] if line.split()[0] == str(p.pid)]
        assert ours and '+' in ours[0] and '/h' in ours[0]
    finally:
        p.kill()
        p.wait()


def test_secrets_and_hostile_names_do_not_get_out():
    evil = 'x) R 1 \n\x1b[31m<script>'
    p = subprocess.Popen(
        [sys.executable, '-c',
         'import ctypes, sys, time\n'
         f'ctypes.CDLL(None).prctl(15, {evil.encode()!r})\n'
         'print("ready", flush=True); time.sleep(60)',
         '--password', 'hunter2', 'TOKEN=hunter2', 'postgresql://a:hunter2@h/d', 'a"b\\c'],
        stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == 'ready\n'
        r = agent('inspect', p.pid, '--json')
        got = json.loads(r.stdout)
        assert 'hunter2' not in r.stdout
        assert '--password ***' in got['cmdline'] and 'a"b\\c' in got['cmdline']
        assert got['comm'] == 'x) R 1 \\x0a\\x1b[31m<s'  # the kernel keeps 15 bytes
        assert got['rss_bytes'] > 0
        for out in (agent('inspect', p.pid).stdout, agent('top', '-n', 1, '-l', 100000).stdout):
            assert 'hunter2' not in out and '\x1b' not in out
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def test_what_is_not_there_is_said():
    p = subprocess.Popen(['true'])
    p.wait()
    r = agent('inspect', p.pid)
    assert r.returncode == 4
    assert r.stderr == f'memherd-agent inspect: no process {p.pid}\n'
    assert r.stdout == ''


@pytest.mark.parametrize('args', [[], ['x'], ['-1'], ['0'], ['1', '2'], ['1', '--nonsense'], ['99999999999999999999'],
                                  ['1', '--proc']])
def test_bad_arguments_of_inspect(args):
    r = agent('inspect', *args)
    assert r.returncode == 2
    assert 'usage' in r.stderr and r.stdout == ''


@pytest.mark.parametrize('args', [['-n'], ['-n', '0'], ['-n', 'x'], ['-s', 'x'], ['--nonsense', '1'], ['-d', '-1']])
def test_bad_arguments_of_top(args):
    r = agent('top', *args)
    assert r.returncode == 2
    assert 'usage' in r.stderr and r.stdout == ''


def test_a_proc_that_is_not_there():
    r = agent('inspect', '1', '--proc', '/nonexistent')
    assert r.returncode == 4 and "'/nonexistent'" in r.stderr
    r = agent('top', '--proc', '/nonexistent', '-n', '1')
    assert r.returncode == 1 and "'/nonexistent'" in r.stderr


def test_fixtures_of_hostile_and_broken_processes():
    proc = os.path.join(os.path.dirname(__file__), '..', 'fixtures', 'proc')
    r = agent('top', '-n', '1', '--proc', proc)
    assert r.returncode == 0, r.stderr
    pids = [line.split()[0] for line in r.stdout.splitlines()[2:] if line.strip()]
    assert pids == ['101', '103']
    assert '<script>' in agent('inspect', 101, '--proc', proc).stdout
    for broken in ('102', '104'):
        r = agent('inspect', broken, '--proc', proc)
        assert r.returncode in (0, 1, 4), r.stderr
        assert 'Traceback' not in r.stderr
