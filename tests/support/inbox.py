# SPDX-License-Identifier: Apache-2.0
"""The bytes of inbox rows, as collector/store/inbox.h stores them."""

import ctypes

zstd = ctypes.CDLL("libzstd.so.1")
zstd.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
zstd.ZSTD_getFrameContentSize.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
zstd.ZSTD_decompress.restype = ctypes.c_size_t
zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
PLAIN, ZSTD = 1, 2


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
