# SPDX-License-Identifier: Apache-2.0
# gc.set_threshold(A, B, C).
import gc

old = gc.get_threshold()
gc.set_threshold(*ARGS)
lines.append('old\t%d, %d, %d' % old)
lines.append('new\t%d, %d, %d' % gc.get_threshold())
