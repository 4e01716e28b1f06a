# SPDX-License-Identifier: Apache-2.0
"""The product as its users have it: started by systemd from the installed units, once for all tests."""

import json
import pathlib

import pytest
from guest import AGENT_CONF, ETC, active, items, ready, run, wait_until

CERTIFICATE = pathlib.Path("/var/lib/memherd-agent/host.pem")


@pytest.fixture(scope="session")
def collector():
    ETC.mkdir(exist_ok=True)
    (ETC / "collector.conf").write_text("[collector]\npublic_address = 127.0.0.1\nlisten_stream = 127.0.0.1:7421\n"
                                        "listen_enroll = 127.0.0.1:7422\n")
    run("systemctl", "start", "memherd-collector")
    wait_until("the collector to be ready", ready, 120)


def enrol():
    (ETC / "agent.conf").write_text(AGENT_CONF)
    token = json.loads(run("memherd", "enroll-token", "create", "--json"))["token"]
    run("memherd-agent", "enroll", stdin=token + "\n")


@pytest.fixture(scope="session")
def product(collector):
    """Collector and agent run, and samples of this host have come."""
    if not CERTIFICATE.exists():  # after a power cut, and in a guest's shell, it is enrolled already
        enrol()
    run("systemctl", "start", "memherd-agent")
    wait_until("the agent to be active", lambda: active("memherd-agent"), 30)
    wait_until("samples of this host", lambda: any(h["connected"] and h["processes"] for h in items("/hosts")), 60)
