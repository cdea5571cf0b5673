"""A notifier that is killed at any moment: nothing is left out, and what was under way is told at most once more, with the same key.

Source: docs/adr/0030-the-notifier-commits-what-it-sent.md.
"""

import random
import threading
from collections import Counter
from pathlib import Path

import pytest

from support.notices import ChainWriter, Endpoint, Notice, Stand, a_revert, write_rules
from support.platform import Service, wait_for

pytestmark = pytest.mark.servers


def bots_told(endpoint: Endpoint) -> "Counter[str]":
    """How often each bot was named."""
    return Counter(
        line.removeprefix("Bots: ") for notice in endpoint.taken for line in notice.body.splitlines() if line.startswith("Bots: ")
    )


def test_killed_before_and_after_the_receiver_took_it(stand: Stand, endpoint: Endpoint, tmp_path: Path) -> None:
    chain, rules = ChainWriter(stand.broker), write_rules(tmp_path / "rules.yaml", {"killed": {"url": endpoint.url}})
    service = stand.notifier(rules)
    killed = threading.Event()

    def kill_before(_: Notice) -> None:
        service.kill()
        killed.set()
        raise ConnectionAbortedError("not taken")

    def kill_after(_: Notice) -> None:
        service.kill()
        killed.set()

    endpoint.gate = kill_before
    chain.tick(a_revert("bot-1", "first"))
    service_ended(killed)
    assert endpoint.taken == []
    endpoint.gate = kill_after
    chain.tick(a_revert("bot-2", "second"))
    service = stand.notifier(rules, until_ready=False)
    service_ended(killed)
    stand.until_told(endpoint, 1)
    assert bots_told(endpoint) == {"bot-1": 1}, "only what was under way at the kill, though more has come meanwhile"

    endpoint.gate = lambda _: None
    chain.tick(a_revert("bot-3", "third"))
    stand.notifier(rules)
    wait_for("the last one", lambda: "bot-3" in bots_told(endpoint))

    assert set(bots_told(endpoint)) == {"bot-1", "bot-2", "bot-3"}, "none is lost"
    assert bots_told(endpoint)["bot-1"] == 2, "the one that was taken and not committed"
    assert endpoint.taken[0] == dict_free(endpoint.taken[1], endpoint.taken[0]), "and it is the same message, key and all"
    assert endpoint.keys().most_common(1)[0][1] == 2
    assert bots_told(endpoint)["bot-2"] == bots_told(endpoint)["bot-3"] == 1


def dict_free(notice: Notice, like: Notice) -> Notice:
    """A message as if it had come when another one did."""
    return Notice(notice.title, notice.body, like.at_s)


def service_ended(killed: threading.Event) -> None:
    wait_for("the kill", killed.is_set)
    killed.clear()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments(stand: Stand, endpoint: Endpoint, tmp_path: Path, seed: int) -> None:
    """Each kill comes some milliseconds after a message was taken, or while the log is read; facts come all the time."""
    draw, kills = random.Random(seed), 8
    chain, rules = ChainWriter(stand.broker), write_rules(tmp_path / "rules.yaml", {f"random-{seed}": {"url": endpoint.url}})
    service: Service = stand.notifier(rules)
    said = 0
    for _ in range(kills):
        for _ in range(draw.randint(1, 4)):
            said += 1
            chain.tick(a_revert(f"bot-{said}", f"command-{said}"))
        if draw.random() < 0.6:
            before = len(endpoint.taken)
            wait_for("a message", lambda: len(endpoint.taken) > before)  # noqa: B023 (called before the next round)
        threading.Event().wait(draw.random() * 0.05)
        service.kill()
        service = stand.notifier(rules, until_ready=False)
        if draw.random() < 0.5:
            threading.Event().wait(draw.random() * 4)  # while it starts and reads
            service.kill()
            service = stand.notifier(rules, until_ready=False)
    chain.tick(a_revert("the-last", "last"))
    wait_for("the last one", lambda: "the-last" in bots_told(endpoint))

    assert set(bots_told(endpoint)) == {*(f"bot-{number}" for number in range(1, said + 1)), "the-last"}, "none is lost"
    twice = [count for count in endpoint.keys().values() if count > 1]
    assert all(count <= 1 + 2 * kills for count in twice)
    assert sum(count - 1 for count in endpoint.keys().values()) <= 2 * kills, "at most one of a kill"
    assert all(len({notice.body for notice in endpoint.taken if notice.key == key}) == 1 for key in set(endpoint.keys())), (
        "the same each time"
    )
    doubled = {bot for bot, count in bots_told(endpoint).items() if count > 1}
    repeated = {notice.body for notice in endpoint.taken if endpoint.keys()[notice.key] > 1}
    assert all(any(f"Bots: {bot}\n" in body for body in repeated) for bot in doubled), "nobody is told twice but by the same message"
