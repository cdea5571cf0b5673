"""A change is told with the picture that holds it, also when that picture is taken while an earlier change is being read."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proof_api.proof import LogFacts, ReadFacts, judge
from proof_api.routes import stream
from support.builders import NOON_MS


class Asking:
    """A client that stays."""

    async def is_disconnected(self) -> bool:
        return False


def a_context() -> Any:
    """What the stream needs of a process: pictures, and what can be said now."""
    read, log = ReadFacts(problem=""), LogFacts()
    snapshots = SimpleNamespace(picture=None, taken=1, changed=asyncio.Condition())
    return SimpleNamespace(
        snapshots=snapshots, clients=0, stopping=False, pool=None, ages=lambda: SimpleNamespace(silent_before=None),
        dressed=lambda items: items, judged=lambda: (NOON_MS, judge(log, read, NOON_MS), log, read),
    )  # fmt: skip


async def seconds_to_the_second_change(monkeypatch: pytest.MonkeyPatch, *, meanwhile: bool) -> float:
    """How long the second of two changes takes; its picture is taken while the first is read, or never announced."""
    context, turns = a_context(), 0

    async def changed(_: object, after: int) -> list[dict[str, object]]:
        nonlocal turns
        turns += 1
        if turns == 1 and meanwhile:
            context.snapshots.taken += 1
            async with context.snapshots.changed:
                context.snapshots.changed.notify_all()
        return [{"botId": f"bot-{turns}", "rev": after + 1}]

    monkeypatch.setattr(stream, "changed", changed)
    loop = asyncio.get_running_loop()
    seen: list[float] = []
    async for event in stream.events(context, Asking(), 1):  # type: ignore[arg-type]
        if event.startswith(b"event: bots"):
            seen.append(loop.time())
        if len(seen) == 2:
            return seen[1] - seen[0]
    raise AssertionError("the stream ended")


async def test_picture_taken_while_rows_are_read_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await seconds_to_the_second_change(monkeypatch, meanwhile=True) < stream.PROOF_EVERY_S / 2


async def test_negative_control_without_a_new_picture_the_next_turn_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await seconds_to_the_second_change(monkeypatch, meanwhile=False) > stream.PROOF_EVERY_S / 2
