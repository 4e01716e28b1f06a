# SPDX-License-Identifier: Apache-2.0
"""Grows by 1 MiB a step until the limit of its cgroup ends it."""
import time

room = []
time.sleep(8)
while True:
    room.append(bytearray(1 << 20))
    time.sleep(0.15)
