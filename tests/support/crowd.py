# SPDX-License-Identifier: Apache-2.0
"""A host with many processes: what announces them all (a keyframe) is larger than a row that waits for others
(collector/store/store_hold.c), as it is on most real hosts."""
import subprocess

ROW_BYTES = 16 * 1024


class Crowd:
    def __init__(self, n=80):
        self.processes = [subprocess.Popen([f"worker-{i} " + "with what it was told to do " * 6, "3600"],
                                           executable="/bin/sleep", stdin=subprocess.DEVNULL, start_new_session=True)
                          for i in range(n)]

    def __len__(self):
        return len(self.processes)

    def end(self):
        for p in self.processes:
            p.kill()
        for p in self.processes:
            p.wait()
