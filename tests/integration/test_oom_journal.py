# SPDX-License-Identifier: Apache-2.0
"""What agent/sense/oom/journal.c reads of a real journald: a real earlyoom that kills, PID 1's notes,
forgeries, rotation, restarts, broken files. Each scenario runs in namespaces of its own
(tests/support/earlyoom.py): this file is its own program there."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import earlyoom as host  # noqa: E402

DRIVER = os.path.join(ROOT, os.environ.get('B', 'build/release-gcc'), 'drivers', 'journal')
UNIT_OOM = 'fe6faa94e7774663a0da52717891d8ef'
UNIT_OOMD = 'd989611b15e44c9dbf31e3c81256e4ed'
LINE = 'sending SIGTERM to process {} uid 1000 "{}": badness 1333, VmRSS 25 MiB'


class Reader:
    """The driver: r.poll() gives the notes as dicts and keeps what was said last in r.said."""

    def __init__(self, *args):
        self.proc = subprocess.Popen([DRIVER, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.new = self.answer()[0].split(' ', 2)

    def answer(self):
        lines = []
        while (line := self.proc.stdout.readline()) != '.\n':
            assert line, f'the reader ended with {self.proc.wait()} after {lines}'
            lines.append(line.rstrip('\n'))
        return lines

    def ask(self, command):
        self.proc.stdin.write(command + '\n')
        self.proc.stdin.flush()
        return self.answer()

    def want(self, yes=True):
        self.ask(f'want {int(yes)}')
        return self

    def poll(self, ahead=0):
        notes = []
        for line in self.ask(f'poll {ahead}'):
            words = line.split(' ', 7)
            if words[0] == 'note':
                comm, target, reason = words[7].split('\t', 2)
                notes.append(dict(killer=words[1], act=words[2], pid=int(words[3]), signal=int(words[4]),
                                  count=int(words[5]), wall=int(words[6]), comm=comm, target=target, reason=reason))
            else:
                keys = ('rc', 'entries', 'notes', 'foreign', 'errors', 'open')
                self.said = dict(zip(keys, map(int, words[1:7])), error=words[7])
        return notes

    def until(self, ready):
        """Polls until ready(all notes)."""
        notes = []
        host.wait_for(lambda: notes.extend(self.poll()) or ready(notes))
        return notes

    def memory(self):
        words = self.ask('memory')[0].split()
        return {words[i]: int(words[i + 1]) for i in range(1, len(words), 2)}

    def close(self):
        self.proc.stdin.close()
        code = self.proc.wait(30)
        self.proc.stdout.close()
        return code


def log_as_unit(unit, *lines):
    """Lines in the log of a service. journald takes a process to stay in its unit and asks who it is
    while it lives, so each call has one of its own, which stays until the namespace ends."""
    told, tell = os.pipe()
    if os.fork() == 0:
        with host.stream('x', unit) as s:
            for line in lines:
                s.sendall(line.encode(errors='surrogateescape') + b'\n')
        os.closerange(0, 1024)
        signal.pause()
    os.close(tell)
    assert os.read(told, 1) == b''
    os.close(told)


# ---- scenarios: they run inside and print one JSON document ----

def kill(sig, *args):
    reader = Reader(*args).want()
    before = time.time()
    with host.Victim() as victim, host.Earlyoom(sig) as killer:
        died = victim.wait()
        notes = reader.until(lambda notes: any(n['act'] == 'SIGNAL' for n in notes))
    return dict(victim=victim.pid, killer=killer.pid, died=died, before=before, after=time.time(), notes=notes,
                code=reader.close())


def scenario_sigterm():
    return kill(signal.SIGTERM)


def scenario_sigkill():
    return kill(signal.SIGKILL)


def scenario_confined():
    return kill(signal.SIGTERM, 'confined')


def scenario_foreign():
    """The killer and its victim count in a PID namespace of their own."""
    reader = Reader().want()
    with host.Earlyoom(foreign=True):
        host.wait_for(lambda: reader.poll() or reader.said['foreign'])
    said = reader.said
    return dict(said=said, code=reader.close())


def scenario_bystander():
    """A process of root that earlyoom would choose if it could."""
    big = "hold = bytearray(b'x' * (64 << 20)); open('/proc/self/oom_score_adj', 'w').write('1000'); "
    other = subprocess.Popen([sys.executable, '-c', f'import sys; {big}print(flush=True); sys.stdin.read()'],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b'\n'
    reader = Reader().want()
    with host.Victim() as victim, host.Earlyoom(signal.SIGKILL):
        died = victim.wait()
        time.sleep(1.5)  # it looks for more at least once
        notes = reader.poll()
    lives = other.poll() is None
    other.communicate()
    return dict(died=died, lives=lives, notes=len([n for n in notes if n['act'] == 'SIGNAL']), code=reader.close())


def scenario_pid1():
    reader = Reader().want()
    host.say_as_pid1(MESSAGE_ID=UNIT_OOM, UNIT='shop.service', MESSAGE='A process of this unit has been killed.')
    host.say_as_pid1(MESSAGE_ID=UNIT_OOMD, UNIT='cart.service', N_PROCESSES='3', MESSAGE='systemd-oomd killed 3')
    log_as_unit('systemd-oomd.service', 'Killed /system.slice/cart.service due to memory pressure for /system.slice '
                'being 70.00% > 60.00% for > 30s with reclaim activity')
    notes = reader.until(lambda notes: len(notes) >= 3)
    return dict(notes=notes, code=reader.close())


def scenario_forged():
    """All of these lie but the last."""
    line = LINE.format(4242, 'victim')
    host.send(SYSLOG_IDENTIFIER='earlyoom', MESSAGE=line)
    host.send(SYSLOG_IDENTIFIER='earlyoom', MESSAGE=line, _COMM='earlyoom', _SYSTEMD_UNIT='earlyoom.service')
    host.send(MESSAGE_ID=UNIT_OOM, UNIT='shop.service', MESSAGE='x', _PID='1')
    say = f'earlyoom.send(MESSAGE={line!r}); import time; time.sleep(0.5)'
    host.run_as('earlyoom', say, uid=1000)
    host.run_as('earlyoomd', say)
    log_as_unit('nohang.service', line)
    log_as_unit('user@1000.service', line)
    log_as_unit('earlyoom.service', LINE.format(1, 'last'))
    reader = Reader().want()
    notes = reader.until(lambda notes: any(n['comm'] == 'last' for n in notes))
    return dict(notes=notes, said=reader.said, code=reader.close())


def scenario_by_name():
    """Without a unit root is believed while it still runs, so that its namespace can be seen."""
    reader = Reader().want()
    say = 'earlyoom.send(MESSAGE={!r}); print(flush=True); sys.stdin.read()'
    code = say.format(LINE.format(77, 'x'))
    child = subprocess.Popen([sys.executable, '-c', f"""
import sys
sys.path.insert(0, {os.path.dirname(host.__file__)!r})
import earlyoom
earlyoom.run_as('earlyoom', {code!r})"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b'\n'
    notes = reader.until(len)
    child.communicate()
    return dict(notes=notes, ended=child.returncode, code=reader.close())


def scenario_rotation():
    """Nothing twice, nothing lost: over a rotation while open, one while closed, and a full budget."""
    reader = Reader().want()
    seen = []
    for step in range(3):
        log_as_unit('earlyoom.service', *[LINE.format(100 * step + i + 1, 'x') for i in range(10)])
        seen += [n['pid'] for n in reader.until(lambda notes: len(notes) >= 10)]
        host.rotate()
    reader.want(False).poll(ahead=1)
    lingering = reader.said['open']
    reader.poll(ahead=61)
    closed = not reader.said['open']
    log_as_unit('earlyoom.service', *[LINE.format(301 + i, 'x') for i in range(10)])
    host.rotate()
    log_as_unit('earlyoom.service', LINE.format(311, 'x'))
    host.wait_for(lambda: subprocess.run(['journalctl', '-q', '--grep', 'process 311 '], capture_output=True).stdout)
    reader.ask('budget 4')
    reader.want()
    rounds = []
    for _ in range(6):
        notes = reader.poll()
        rounds.append(len(notes))
        seen += [n['pid'] for n in notes]
    return dict(seen=seen, lingering=lingering, closed=closed, rounds=rounds, files=len(host.journal_files()),
                code=reader.close())


def scenario_other_boot():
    log_as_unit('earlyoom.service', LINE.format(5, 'x'))
    ours = Reader().want()
    notes = ours.until(len)
    other = Reader('boot=' + '1' * 32).want()
    late = Reader('lookback=0').want()
    return dict(notes=len(notes), other=len(other.poll()), late=len(late.poll()),
                codes=[r.close() for r in (ours, other, late)])


def scenario_hostile():
    """Bytes, lengths and floods of a service that is believed."""
    log_as_unit('earlyoom.service', 'x' * 70000, LINE.format(6, '\udcff"\x01|'), LINE.format(-5, 'x'),
                LINE.format(10 ** 30, 'x'), *['mem avail: 1 of 2 MiB'] * 3000, LINE.format(7, 'end'))
    reader = Reader().want()
    notes = reader.until(lambda notes: any(n['pid'] == 7 for n in notes))
    return dict(notes=notes, said=reader.said, code=reader.close())


def scenario_broken_files():
    """A journal that is cut, scribbled on, or no journal: said once at most, and the reader lives."""
    log_as_unit('earlyoom.service', *[LINE.format(i + 1, 'x') for i in range(50)])
    whole = Reader().want()
    whole.until(lambda notes: len(notes) >= 50)
    whole.close()
    with open(host.journal_files()[0], 'rb') as f:
        data = f.read()
    used = [i for i in range(272, len(data)) if data[i]]
    said = []
    for seed in range(24):
        with tempfile.TemporaryDirectory() as folder:
            broken = bytearray(data)
            if seed % 4 == 0:
                broken = broken[:len(broken) * seed // 24]
            else:  # behind the header, where there is something
                for i in random.Random(seed).sample(used, 1 << (seed % 12)):
                    broken[i] ^= 1 << (seed % 8)
            with open(os.path.join(folder, 'system.journal'), 'wb') as f:
                f.write(broken)
            reader = Reader('dir=' + folder).want()
            errors = 0
            for ahead in (0, 1, 100, 101, 200):
                reader.poll(ahead)
                errors += reader.said['rc'] < 0
            said.append([errors, reader.said['entries'], reader.close()])
    return dict(said=said)


def scenario_cut_while_open():
    """A file that loses its pages while it is mapped."""
    log_as_unit('earlyoom.service', LINE.format(1, 'x'))
    whole = Reader().want()
    whole.until(len)
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, 'system.journal')
        shutil.copy(host.journal_files()[0], copy)
        reader = Reader('dir=' + folder).want()
        reader.poll()
        before = reader.said
        os.truncate(copy, 0)
        polls = []
        for ahead in (1, 2, 100, 200):
            reader.poll(ahead)
            polls.append(reader.said['rc'])
        return dict(before=before, polls=polls, error=reader.said['error'], code=reader.close())


def scenario_denied():
    reader = Reader('uid=1000')
    return dict(new=reader.new, code=reader.close())


def scenario_memory():
    """The cost while open and after."""
    reader = Reader('confined')
    start = reader.memory()
    log_as_unit('earlyoom.service', *[LINE.format(i + 1, 'x') for i in range(200)])
    for _ in range(3):
        log_as_unit('noise.service', *[f'{i} {os.urandom(100).hex()}' for i in range(10000)])
        host.rotate()
    reader.want().until(lambda notes: len(notes) >= 200)
    opened = reader.memory()
    reader.want(False).poll(ahead=61)
    return dict(start=start, open=opened, closed=reader.memory(), is_open=reader.said['open'],
                files=len(host.journal_files()), code=reader.close())


# ---- tests: they run outside ----

def play(name):
    assert host.missing() is None, f'tools/deps installs it: {host.missing()}'
    done = host.inside([sys.executable, os.path.abspath(__file__), name], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def check_kill(r, sig):
    note = next(n for n in r['notes'] if n['act'] == 'SIGNAL')
    assert r['died'] == sig
    assert (note['killer'], note['pid'], note['signal'], note['comm']) == ('earlyoom', r['victim'], sig, 'victim')
    assert note['reason'].startswith('badness 1333, VmRSS ')
    assert r['before'] - 1 <= note['wall'] / 1e6 <= r['after'] + 1
    assert r['code'] == 0


def test_a_real_earlyoom_that_asks_first_is_the_note_of_its_victim():
    check_kill(play('sigterm'), signal.SIGTERM)


def test_a_real_earlyoom_that_kills_at_once_is_the_note_of_its_victim():
    check_kill(play('sigkill'), signal.SIGKILL)


def test_the_journal_is_read_under_the_system_call_filter():
    check_kill(play('confined'), signal.SIGTERM)


def test_a_kill_in_another_pid_namespace_is_counted_and_not_told():
    r = play('foreign')
    assert (r['said']['notes'], r['code']) == (0, 0) and r['said']['foreign'] >= 1


def test_the_earlyoom_of_these_tests_can_kill_nobody_else():
    assert play('bystander') == dict(died=9, lives=True, notes=1, code=0)


def test_what_pid_1_and_systemd_oomd_say_names_the_unit():
    r = play('pid1')
    by = {n['killer']: n for n in r['notes']}
    assert len(r['notes']) == 3 and r['code'] == 0
    assert (by['systemd']['act'], by['systemd']['target']) == ('UNIT', 'shop.service')
    assert (by['systemd_oomd_count']['target'], by['systemd_oomd_count']['count']) == ('cart.service', 3)
    assert (by['systemd_oomd']['target'], by['systemd_oomd']['signal']) == ('/system.slice/cart.service', 9)


def test_only_what_journald_vouches_for_is_believed():
    r = play('forged')
    assert [n['comm'] for n in r['notes']] == ['last'] and r['code'] == 0
    assert r['said']['notes'] == 1


def test_root_under_a_killers_name_is_believed_while_it_runs():
    r = play('by_name')
    assert [n['pid'] for n in r['notes']] == [77] and r['ended'] == 0 and r['code'] == 0


def test_rotation_closing_and_a_budget_lose_nothing_and_repeat_nothing():
    r = play('rotation')
    assert r['seen'] == [100 * s + i + 1 for s in range(3) for i in range(10)] + list(range(301, 312))
    assert r['lingering'] and r['closed'] and r['files'] == 5 and r['code'] == 0
    assert max(r['rounds']) <= 4 and r['rounds'][-1] == 0


def test_another_boot_and_what_is_older_are_not_read():
    r = play('other_boot')
    assert (r['notes'], r['other'], r['late'], r['codes']) == (1, 0, 0, [0, 0, 0])


def test_hostile_lines_of_a_trusted_service_harm_nothing():
    r = play('hostile')
    assert [n['pid'] for n in r['notes']] == [6, 7] and r['code'] == 0
    assert r['notes'][0]['comm'] == '\\xff"\\x01|'
    assert r['said']['entries'] >= 3004


def test_broken_files_are_said_once_at_most():
    r = play('broken_files')
    assert all(errors <= 1 and code == 0 for errors, _, code in r['said']), r['said']
    assert any(errors for errors, _, _ in r['said']) and any(entries for _, entries, _ in r['said'])


def test_a_file_that_is_cut_while_mapped_does_not_end_the_reader():
    r = play('cut_while_open')
    assert r['before']['open'] and r['code'] == 0
    failures = [rc for rc in r['polls'] if rc < 0]
    assert failures and len(set(failures)) == len(failures)


def test_a_user_who_may_not_read_is_told_so():
    r = play('denied')
    assert r['new'][1] == '-13' and 'cannot read systemd\'s journal' in r['new'][2] and r['code'] == 1


def test_memory_comes_back_after_the_last_need():
    r = play('memory')
    assert not r['is_open'] and r['files'] == 4 and r['code'] == 0
    assert 4 * (r['closed']['Pss'] - r['start']['Pss']) < r['open']['Pss'] - r['start']['Pss']


if __name__ == '__main__':
    print(json.dumps(globals()['scenario_' + sys.argv[1]]()))
