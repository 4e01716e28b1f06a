# SPDX-License-Identifier: Apache-2.0
# gc.freeze(), or gc.unfreeze().
import gc

old = gc.get_freeze_count()
if ARGS[0]:
    gc.freeze()
else:
    gc.unfreeze()
lines.append('old\t%d' % old)
lines.append('new\t%d' % gc.get_freeze_count())
