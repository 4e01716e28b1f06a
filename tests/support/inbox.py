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


def sealed_ticks(sql):
    """{(host, window's start): (its ticks in the inbox, samples of its host in the chunks)} of the windows that all
    that is stored of them was sealed into: the same number each, whatever died in between."""
    ticks, whole = {}, {}
    for host, t0, sealed, codec, d in sql(
            "SELECT i.host_id, i.t0, coalesce(i.rcv <= c.done, false), i.codec, i.d FROM inbox AS i "
            "LEFT JOIN compaction AS c ON c.t0 = i.t0 AND c.shard = i.writer"):
        at = host, t0
        whole[at] = whole.get(at, True) and sealed
        ticks.setdefault(at, set()).update(dict(fields(body))[1] for _, kind, body in records(batch(codec, d)) if kind == TICK)
    samples = {(host, t0): n for host, t0, n in sql(
        f"SELECT host_id, t0, sum(n)::int8 FROM host_chunk WHERE kind = {SERIES_HOST} GROUP BY 1, 2")}
    return {at: (len(t), samples.get(at, 0)) for at, t in ticks.items() if whole[at]}
