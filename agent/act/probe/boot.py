# SPDX-License-Identifier: Apache-2.0
# Run in the target by its main thread, from a page of ours in its memory (agent/act/page.h): takes the page's
# script once, if it still is to be run, and leaves there what it says. Names of the caller: PAGE.
# Neither the application's modules nor its output are touched; only builtin modules are used.


def main():
    from posix import O_CLOEXEC, O_RDWR, close, getpid, open, pread, pwrite
    from _signal import getsignal, sigpending
    fd = -1
    try:
        fd = open('/proc/self/mem', O_RDWR | O_CLOEXEC)
        get = lambda at, n: pread(fd, n, PAGE + at)
        put = lambda at, b: pwrite(fd, b, PAGE + at)
    except OSError:
        from ctypes import memmove, string_at
        get = lambda at, n: string_at(PAGE + at, n)
        put = lambda at, b: memmove(PAGE + at, b, len(b))

    def word(at):
        return int.from_bytes(get(at, 8), 'little')

    def say(at, value):
        put(at, value.to_bytes(8, 'little'))

    def raised_by(e):
        # the signal whose handler raised this inside of the script; 0: an error of the script's own
        tb = e.__traceback__.tb_next  # its first frame is main's
        while tb and tb.tb_frame.f_code.co_filename == '<memherd>':
            tb = tb.tb_next
        if tb is None:
            return 2 if isinstance(e, KeyboardInterrupt) else 0
        code, mine = tb.tb_frame.f_code, tb.tb_frame.f_locals
        told = [mine.get(name) for name in code.co_varnames[:2]]
        found = 0
        for n in range(1, 65):
            try:
                handler = getsignal(n)
            except ValueError:
                continue
            if getattr(getattr(handler, '__func__', handler), '__code__', None) is code and (n in told or not found):
                found = n
        return found

    try:
        token = word(24)
        # a child of a fork has this page, too, and may have the call
        if not token or word(16) != getpid() or word(32) != 1:
            return
        say(32, 2)
        # given up in between: one of the two sees the other
        if word(24) != token:
            say(32, 4)
            return
        names = {'__name__': 'memherd', 'lines': []}
        try:
            exec(compile(get(8192, word(40)).decode(), '<memherd>', 'exec', dont_inherit=True), names)
            out = '\n'.join(names['lines'])
        except BaseException as e:
            out = 'error\t' + ascii(type(e).__name__)[1:-1]
            try:
                out += ': ' + ascii(str(e))[1:-1][:200]
                again = raised_by(e)
                if again:
                    out = 'error\tinterrupted by signal %d' % again
                    say(56, again)
            except BaseException:
                pass
        names.clear()
        out = out.encode('utf-8', 'backslashreplace')[:98304]
        put(32768, out)
        say(48, len(out))
        # those that came while they are blocked for us
        say(64, sum(1 << (n - 1) for n in sigpending()))
        say(32, 3)
    finally:
        if fd >= 0:
            close(fd)


try:
    main()
except BaseException:
    pass
finally:
    del main
