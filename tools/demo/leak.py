# SPDX-License-Identifier: Apache-2.0
"""A service that leaks: each 'request' leaves an entry in a cache that nothing ever empties."""

import sys
import time

RATE = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0  # MiB a second

cache = {}
while True:
    for _ in range(10):
        cache[len(cache)] = bytearray(int(RATE * 1024 * 1024 / 10))
        time.sleep(0.1)
