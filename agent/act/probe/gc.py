# SPDX-License-Identifier: Apache-2.0
# gc.collect(GENERATION).
import gc
import time

start = time.perf_counter()
before = gc.get_stats()
found = gc.collect(ARGS[0])
after = gc.get_stats()
lines.append('found\t%d' % found)
lines.append('seconds\t%.6f' % (time.perf_counter() - start))
lines.append('collections\t%d' % (sum(g['collections'] for g in after) - sum(g['collections'] for g in before)))
lines.append('uncollectable\t%d' % (sum(g['uncollectable'] for g in after) - sum(g['uncollectable'] for g in before)))
