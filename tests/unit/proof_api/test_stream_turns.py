"""A change is told with the picture that holds it, and no stream, however it is cut, holds up the pictures.

The second half runs on the interpreter's own event loop: before Python 3.12 a cancelled `asyncio.wait_for` inside a shared Condition
kept its lock for ever.
"""

import asyncio
import contextlib
import random
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from proof_api.proof.judging import LogFacts, ReadFacts, judge
from proof_api.reading.snapshot import Picture, Snapshots
from proof_api.routes import stream
from support.builders import NOON_MS

STREAMS = 500


class Asking:
    """A client that stays."""

    async def is_disconnected(self) -> bool:
        return False


def a_picture(rev: int = 0) -> Picture:
    return Picture(0.0, rev, ReadFacts(problem=""), {}, (), {}, None, {}, None)


def a_context() -> Any:
    """What the stream needs of a process: pictures, and what can be said now."""
    read, log = ReadFacts(problem=""), LogFacts()
    return SimpleNamespace(
        snapshots=Snapshots("", 15), clients=0, stopping=False, pool=None, told=None, reading={}, ages=lambda: SimpleNamespace(silent_before=None),
        settings=SimpleNamespace(reading_needs_a_token=False), dressed=lambda items: items, judged=lambda: (NOON_MS, judge(log, read, NOON_MS), log, read),
        attention=lambda _: {},
    )  # fmt: skip


async def seconds_to_the_second_change(monkeypatch: pytest.MonkeyPatch, *, meanwhile: bool) -> float:
    """How long the second of two changes takes; its picture is taken while the first is read, or never announced."""
    context, turns = a_context(), 0

    async def changed(_: object, after: int) -> tuple[int, bytes]:
        nonlocal turns
        turns += 1
        if turns == 1 and meanwhile:
            context.snapshots.show(a_picture())
        return after + 1, stream.event("bots", {"items": [{"botId": f"bot-{turns}", "rev": after + 1}]})

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


async def follow(context: Any, told: list[int], number: int) -> None:
    """One stream; counts what it was told."""
    async for _ in stream.events(context, Asking(), 1):  # type: ignore[arg-type]
        told[number] += 1


async def test_pictures_go_on_whatever_becomes_of_500_streams() -> None:
    """Cut at every kind of moment: before they begin, while they wait, in the very turn in which a picture is shown."""
    context, chance = a_context(), random.Random(7)
    told = [0] * STREAMS
    streams = [asyncio.create_task(follow(context, told, number)) for number in range(STREAMS)]
    for number, cut in enumerate(chance.sample(streams, STREAMS)):
        if number % 3 == 0:
            context.snapshots.show(a_picture(number))
        cut.cancel()
        if number % 2 == 0:
            await asyncio.sleep(0)
            cut.cancel()  # a server says it again in every turn
    await asyncio.gather(*streams, return_exceptions=True)
    assert sum(told) > 0, "none of them lived"
    assert all(one.cancelled() for one in streams)
    newer = context.snapshots.newer
    context.snapshots.show(a_picture(STREAMS))
    async with asyncio.timeout(10):
        await newer.wait()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the interpreter's own fault, mended in 3.12")
async def test_negative_control_a_condition_that_is_shared_is_lost_on_this_python() -> None:
    """A wait with an end inside a shared Condition, cut in the turn in which it is woken: its lock is never given back."""
    shared = asyncio.Condition()

    async def wait() -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with shared:
                    await asyncio.wait_for(shared.wait(), 1)

    async def show() -> None:
        async with shared:
            shared.notify_all()

    waiting = [asyncio.create_task(wait()) for _ in range(50)]
    await asyncio.sleep(0.01)
    await show()
    for _ in range(3):  # a server says it again in every turn
        for cut in waiting:
            cut.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await show()
    # Those who wait for the lost lock cannot even be cancelled: they get it, one after another.
    own = asyncio.current_task()
    while left := [task for task in asyncio.all_tasks() if task is not own]:
        if shared.locked():
            shared.release()
        await asyncio.wait(left, timeout=0.01)
