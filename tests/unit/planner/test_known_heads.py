"""Heads that somebody knew: the newest are the ones that count."""

import pytest

from autonomy.events import Head
from planner.shell import known_heads
from planner.shell.known_heads import KnownHeads


@pytest.mark.parametrize("ticks", [range(1, 8), range(7, 0, -1)])
def test_the_newest_head_is_known_however_many_were_said(monkeypatch: pytest.MonkeyPatch, ticks: range) -> None:
    monkeypatch.setattr(known_heads, "MAX_HEADS", 3)
    heads = KnownHeads()
    for tick in ticks:
        heads.note(tick, f"{tick:064x}", "a planner")
    missing = heads.missing(Head(tick=6, offset=60, hash=f"{6:064x}"))
    assert missing is not None
    assert missing.tick == 7
    assert heads.missing(Head(tick=7, offset=70, hash=f"{7:064x}")) is None
