# SPDX-License-Identifier: Apache-2.0
"""A kill becomes an alert and a mail at once: a real link, collector, PostgreSQL and SMTP server, and a
sense that tells the kills that a test orders (drivers/agent.c)."""
import html
import re
import sys
import time

import pytest

from test_urgent import World, world  # noqa: F401 - a fixture

sys.path.append("tools/demo")
from stack import wait_for  # noqa: E402

HOSTILE = "evil) x,pid=1 <b>"
MAIL_SECONDS = 5  # from the kill to the relay's 250


def parts(message):
    return [p.get_content() for p in message.iter_parts()]


def firing(world):
    return world.stack.items("/alerts?state=firing")


def mails(world):
    return [m for m in world.stack.messages() if m["X-Memherd-Rule"] == "oom_kill"]


def restart_collector(world):
    assert world.stack.programs["collector"].stop() == 0
    world.stack.start_collector()


def let_pass(world, *times):
    """Ten minutes, as the alert's row has them; a collector that starts reads it."""
    for name in times:
        assert world.stack.sql("UPDATE alert SET doc = jsonb_set(doc, %s, %s::jsonb) RETURNING 1", ["state", name],
                               str(int((time.time() - 601) * 1e6)))
    restart_collector(world)


def test_a_burst_is_one_alert_and_one_mail_within_seconds(world):
    at = time.monotonic()
    world.order("kills", 14)
    mail, = wait_for("the mail", lambda: mails(world), 30, 0.05)
    took = time.monotonic() - at
    assert took < MAIL_SECONDS
    print(f"kill to mail accepted by the relay: {took:.2f} s")
    alert, = firing(world)
    kills = world.stack.items("/oom-events")
    host = world.stack.items("/hosts")[0]["name"]
    assert len(kills) == 14 and alert["last_value"] == 14
    assert (alert["rule"], alert["level"], alert["subject"], alert["service"]) == ("oom_kill", "mail", "service", "shop")
    assert host in alert["title"] and "shop" in alert["title"] and HOSTILE in alert["title"]
    assert mail["Subject"] == f"[memherd] {host} shop: OOM kill (INC-{alert['id']})"
    assert mail["X-Memherd-State"] == "firing"
    text, page = parts(mail)
    first = min(kills, key=lambda k: k["time"])
    link = re.search(r"http\S+/#oom=(\d+)", text).group(1)
    assert world.stack.get(f"/api/v1/oom-events/{link}")["time"] == first["time"], "the link leads to the first of them"
    for told in (first["verdict"], "raise the limit", "+200 MiB", "shop-1, cgroup /a; in use 512 MiB of 512 MiB",
                 "victim: " + HOSTILE, "trigger: master (pid 1001) of shop", "14 kills", "grew most: grower (pid 1002) of shop"):
        assert told in text, text
        assert html.escape(told) in page, page
    assert text.count("killed by the kernel: a cgroup reached its limit") == 14
    assert "<b>" not in page and "None" not in text


def test_a_restart_mails_nothing_again_and_goes_on(world):
    world.order("kills", 2)
    wait_for("the mail", lambda: mails(world))
    alert, = wait_for("the row to know of its mail", lambda: [a for a in firing(world) if a["evidence"]["state"]["mails"] == 1])
    restart_collector(world)
    world.order("kills", 1)
    same, = wait_for("the third kill", lambda: [a for a in firing(world) if a["last_value"] == 3])
    assert same["id"] == alert["id"] and len(same["evidence"]["kills"]) == 3
    time.sleep(3)
    assert len(mails(world)) == 1, "within ten minutes they are mailed once"
    # As if these had passed: the rest is a digest, in the same thread.
    let_pass(world, "mailed_us", "gather_us")
    first, again = wait_for("the digest", lambda: len(mails(world)) == 2 and mails(world))
    assert again["Subject"] == first["Subject"] and again["References"] == first["References"]
    assert again["X-Memherd-State"] == "again" and "3 kills, 1 of them since the mail before" in parts(again)[0]
    # Ten quiet minutes end it, without a mail.
    wait_for("the row", lambda: firing(world)[0]["evidence"]["state"]["mails"] == 2)
    let_pass(world, "last_us")
    wait_for("the end", lambda: not firing(world))
    ended, = world.stack.items("/alerts")
    assert ended["state"] == "resolved" and ended["resolved"]
    time.sleep(1)
    assert len(mails(world)) == 2


def test_an_old_log_is_no_news(world):
    world.order("old-kills", 3)
    wait_for("the kills", lambda: len(world.stack.items("/oom-events")) == 3)
    time.sleep(2)
    assert not firing(world) and not mails(world)


@pytest.fixture
def quiet(request):
    w = World(collector={"oom_mail": "no"})
    try:
        yield w
    finally:
        w.close()


def test_mails_can_be_turned_off(quiet):
    quiet.order("kills", 1)
    wait_for("the alert", lambda: firing(quiet))
    time.sleep(2)
    assert not mails(quiet)
