# SPDX-License-Identifier: Apache-2.0
"""A service whose heap is fragmented: it frees almost all that it took, but one block in a hundred
stays alive between the others, so the allocator keeps the pages. malloc_trim gives them back."""

import sys
import time

MIB = int(sys.argv[1]) if len(sys.argv) > 1 else 200
SIZE = 2048  # above pymalloc's 512 bytes: each block is malloc's

blocks = [bytes(SIZE) for _ in range(MIB * 1024 * 1024 // SIZE)]
kept = blocks[::100]
del blocks
while True:
    time.sleep(0.5)
