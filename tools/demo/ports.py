# SPDX-License-Identifier: Apache-2.0
"""Free loopback ports for servers that a test starts later."""
import pathlib
import random
import socket

_held = []


def _candidates():
    """Not those that the kernel gives to connections: one of them may have it by the time its server starts."""
    low, high = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = list(range(max(low - 12000, 1024), low) if low > 4096 else range(high + 1, 65536))
    random.shuffle(ports)
    return ports


def free_port():
    """Of this process until it ends: tests run beside each other, and a name in the abstract namespace is a lock."""
    for port in _candidates():
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0memherd-test-port-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port
    raise RuntimeError("no free port on 127.0.0.1")
