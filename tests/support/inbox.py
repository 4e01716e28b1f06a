# SPDX-License-Identifier: Apache-2.0
"""The bytes of inbox rows, as collector/store/inbox.h stores them, and what must have become of them."""

import ctypes

zstd = ctypes.CDLL("libzstd.so.1")
zstd.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
zstd.ZSTD_getFrameContentSize.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
zstd.ZSTD_decompress.restype = ctypes.c_size_t
zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
PLAIN, ZSTD = 1, 2
TICK = 1  # of enum wire_record
SERIES_HOST = 1


def batch(codec, d):
    """The Batch of a row."""
    d = bytes(d)
    if codec == PLAIN:
        return d
    assert codec == ZSTD, codec
    size = zstd.ZSTD_getFrameContentSize(d, len(d))
    out = ctypes.create_string_buffer(size + 1)
    assert zstd.ZSTD_decompress(out, size, d, len(d)) == size
    return out.raw[:size]


def varint(b, i):
    value = shift = 0
    while True:
        value |= (b[i] & 127) << shift
        shift += 7
        i += 1
        if b[i - 1] < 128:
            return value, i


def fields(b):
    """A protobuf message's (number, value) pairs."""
    i = 0
    while i < len(b):
        key, i = varint(b, i)
        if key & 7 == 0:
            value, i = varint(b, i)
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                size, i = varint(b, i)
            value, i = b[i:i + size], i + size
        yield key >> 3, value


def records(payload):
    """[(seq, kind, body)] of a stored batch."""
    found = []
    for number, value in fields(payload):
        if number == 2:
            r = dict(fields(value))
            found.append((r[1], r[2], r.get(3, b"")))
    return found


def unsealed(sql, lived):
    """What windows lack that all that is stored of them was sealed into, and how many ticks these have: each tick in
    the inbox must be a sample of its host in the chunks, and of as many processes as lived through all of it,
    whatever died in between. lived: {host: number of processes}."""
    ticks, whole = {}, {}
    for host, t0, sealed, codec, d in sql(
            "SELECT i.host_id, i.t0, coalesce(i.rcv <= c.done, false), i.codec, i.d FROM inbox AS i "
            "LEFT JOIN compaction AS c ON c.t0 = i.t0 AND c.shard = i.writer"):
        at = host, t0
        whole[at] = whole.get(at, True) and sealed
        ticks.setdefault(at, set()).update(dict(fields(body))[1] for _, kind, body in records(batch(codec, d)) if kind == TICK)
    hosts = {(h, t0): n for h, t0, n in sql(
        f"SELECT host_id, t0, sum(n)::int8 FROM host_chunk WHERE kind = {SERIES_HOST} GROUP BY 1, 2")}
    processes = {}
    for h, t0, n in sql("SELECT host_id, t0, sum(n)::int8 FROM chunk GROUP BY 1, 2, proc_id"):
        processes.setdefault((h, t0), []).append(n)
    lacks, total = [], 0
    for at, times in ticks.items():
        n = len(times)
        if not whole[at] or not n:
            continue
        total += n
        through = sum(1 for k in processes.get(at, []) if k == n)
        if hosts.get(at, 0) != n or through < lived[at[0]]:
            lacks.append(f"window {at}: {n} ticks stored, in chunks {hosts.get(at, 0)} and of {through} processes")
    return lacks, total
