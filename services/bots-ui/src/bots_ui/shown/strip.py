"""The strip of ticks: a bar each, as high as what it enqueued, and a gap with a name where one is missing; above it flags of stages.

Place in the flow: `/api/timeline` → **strip** → picture. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from autonomy.client import Document
from autonomy.values import REVERTS, Stage, instant_of_ms, ms_of
from bots_ui.api.documents import list_of, number_of, text_of
from bots_ui.shown.stretch import UNITS
from bots_ui.shown.window import Window, percent
from bots_ui.shown.words import CAUSES, clock_words, count_words, instant_of, word_of

STUB: Final = 3
"""Height of a tick that enqueued nothing, px: it came, so it is seen."""
LEAST: Final = 7
WIDE: Final = 0.09
"""A gap of this share of the width has room for its name."""
NAME: Final = 0.07
"""Nearer to an edge than this share of the width a name would be cut off if it stood in the middle."""
CELLS: Final = 100
ORDER: Final = {stage.value: place for place, stage in enumerate(Stage)}


@dataclass(frozen=True, slots=True)
class Piece:
    """What one cause has in a bar, from height `low` to `high` above the ground, px."""

    cause: str
    low: float
    high: float
    enqueued: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A tick, or all ticks of a step.

    Attributes:
        x, width: in units; a tick has no width of its own.
        name: first and last tick.
        hangs: it found the fleet paused.
    """

    x: int
    width: int
    name: str
    href: str
    words: str
    pieces: tuple[Piece, ...]
    enqueued: int
    hangs: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Ticks that were due and did not come.

    Attributes:
        x, width: its place, in units.
        at, anchor: where its name stands, and whether it begins, ends or has its middle there.
        wide: its name fits into it.
        named: its name stands there; of two whose names would cover one another the longer one's.
    """

    x: int
    width: int
    at: str
    anchor: str
    words: str
    span: str
    missing: int
    href: str
    wide: bool
    lasts: bool
    named: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """Bots that changed their stage at about the same time."""

    at: str
    shape: str
    words: str
    bots: int
    href: str


@dataclass(frozen=True, slots=True)
class Revert:
    """Bots taken back to LAB: a line across everything; `ends` says that its words stand to the left of it."""

    at: str
    words: str
    bots: int
    href: str
    ends: bool


def bars_of(document: Document, window: Window, height: int) -> tuple[Bar, ...]:
    """The bars, the highest as high as the strip.

    Args:
        document: of `/api/timeline`.
        window: its window.
        height: of the strip, px.
    """
    rows, step_ms = list_of(document, "bars"), round((number_of(document, "stepSec") or 1) * 1000)
    folded = document.get("ticksFolded") is True
    most = most_of(document)
    return tuple(bar for row in rows if (bar := _bar(row, window, height, most, step_ms if folded else 0)) is not None)


def most_of(document: Document) -> int:
    """Jobs of the highest bar."""
    return max((int(number_of(row, "enqueued") or 0) for row in list_of(document, "bars")), default=0)


def _bar(row: Document, window: Window, height: int, most: int, step_ms: int) -> Bar | None:
    at = instant_of(row.get("at"))
    if at is None:
        return None
    first, last, enqueued = (int(number_of(row, name) or 0) for name in ("firstTick", "lastTick", "enqueued"))
    causes = [
        (text_of(part, "cause"), int(number_of(part, "enqueued") or 0), int(number_of(part, "ticks") or 0))
        for part in list_of(row, "causes")
    ]
    whole = STUB if not enqueued else max(LEAST, height * enqueued / max(most, 1))
    pieces, low = [], 0.0
    for cause, jobs, ticks in causes:
        share = jobs / enqueued if enqueued else ticks / max(1, sum(count for _, _, count in causes))
        pieces.append(Piece(cause, round(low, 1), round(low + whole * share, 1), jobs))
        low += whole * share
    woken = ", ".join(
        f"{count_words(ticks, 'tick')} by {word_of(CAUSES, cause)}" if step_ms else word_of(CAUSES, cause) for cause, _, ticks in causes
    )
    paused = int(number_of(row, "paused") or 0)
    words = f"{count_words(enqueued, 'job')} enqueued, woken by {woken}" + (", while paused" if paused else "")
    if not step_ms:
        return Bar(
            window.x(at),
            0,
            f"{first}",
            f"/runs/{first}",
            f"Tick {first:,}, {clock_words(at)} UTC: {words}",
            tuple(pieces),
            enqueued,
            paused > 0,
        )
    start_ms = ms_of(at) // step_ms * step_ms
    x, end = window.x(instant_of_ms(start_ms)), window.x(instant_of_ms(start_ms + step_ms))
    named = f"Ticks {first:,} to {last:,}, from {clock_words(at)} UTC: {count_words(enqueued, 'job')} enqueued, {woken}" + (
        ", paused" if paused else ""
    )
    return Bar(
        x, max(1, end - x), f"{first}-{last}", window.address(start_ms, start_ms + step_ms), named, tuple(pieces), enqueued, paused > 0
    )


def gaps_of(document: Document, window: Window) -> tuple[Gap, ...]:
    """The silences, by time."""
    found: list[Gap] = []
    places: list[int] = []
    for row in list_of(document, "silences"):
        start, end, missing = instant_of(row.get("fromAt")), instant_of(row.get("toAt")), int(number_of(row, "missing") or 0)
        if start is None or end is None:
            continue
        lasts = row.get("beforeTick") is None
        x, right = window.x(start), window.x(end)
        words = f"{count_words(missing, 'tick')} missing" + (" so far" if lasts else "")
        span = f"{clock_words(start)} to {'now' if lasts else clock_words(end)}"
        at, anchor = (x + right) // 2, "middle"
        if at > (1 - NAME) * UNITS:
            at, anchor = right - 20, "end"
        elif at < NAME * UNITS:
            at, anchor = x + 20, "start"
        wide = right - x >= WIDE * UNITS
        place = Gap(x, max(right - x, 12), percent(at), anchor, words, span, missing, window.around(start, end), wide, lasts, named=False)
        found.append(place)
        places.append(min(max(at, round(NAME * UNITS)), round((1 - NAME) * UNITS)))
    named: list[int] = []
    for number in sorted(range(len(found)), key=lambda number: found[number].missing, reverse=True):
        if all(abs(places[number] - places[other]) > 2 * NAME * UNITS for other in named):
            named.append(number)
    return tuple(replace(gap, named=number in named) for number, gap in enumerate(found))


def pauses_of(bars: Sequence[Bar]) -> tuple[tuple[int, int], ...]:
    """Stretches in which every tick found the fleet paused: place and width, from the first such tick to the next other one."""
    found: list[tuple[int, int]] = []
    start: int | None = None
    for bar in bars:
        if bar.hangs and start is None:
            start = bar.x
        elif not bar.hangs and start is not None:
            found.append((start, max(12, bar.x - start)))
            start = None
    return (*found, (start, UNITS - start)) if start is not None else tuple(found)


def flags_of(document: Document, window: Window) -> tuple[Flag, ...]:
    """Flags; those that would stand on one another are one."""
    cells: dict[int, list[tuple[datetime, Document]]] = {}
    for row in list_of(document, "moves"):
        at = instant_of(row.get("at"))
        if at is not None:
            cells.setdefault(window.x(at) * CELLS // UNITS, []).append((at, row))
    return tuple(_flag(moves, window) for _, moves in sorted(cells.items()))


def _flag(moves: Sequence[tuple[datetime, Document]], window: Window) -> Flag:
    shapes = {_way(row) for _, row in moves}
    words = "; ".join(f"{clock_words(at)} UTC: {move_words(row)}" for at, row in moves[:6]) + (
        f"; and {len(moves) - 6} more" if len(moves) > 6 else ""
    )
    href = move_address(moves[0][1]) if len(moves) == 1 else window.around(moves[0][0], moves[-1][0])
    bots = sum(int(number_of(row, "bots") or 0) for _, row in moves)
    return Flag(percent(window.x(moves[0][0])), shapes.pop() if len(shapes) == 1 else "mixed", words, bots, href)


def _way(row: Document) -> str:
    if row.get("fromStage") is None:
        return "new"
    return "up" if ORDER.get(text_of(row, "toStage"), 0) > ORDER.get(text_of(row, "fromStage"), 0) else "down"


def move_words(row: Document) -> str:
    """Who went where, and why."""
    bots = int(number_of(row, "bots") or 0)
    who = text_of(row, "botId") if bots == 1 else f"{bots:,} bots"
    start = f"from {text_of(row, 'fromStage')} " if row.get("fromStage") else "new, "
    return f"{who} {start}to {text_of(row, 'toStage')} ({text_of(row, 'reasonCode')})"


def move_address(row: Document) -> str:
    """Where a move is told: the command that moved them all, the bot, or the tick."""
    if row.get("commandId"):
        return f"/stages?{urlencode({'command': text_of(row, 'commandId')})}"
    if number_of(row, "bots") == 1:
        return f"/bots/{text_of(row, 'botId')}"
    return f"/runs/{int(number_of(row, 'tick') or 0)}"


def reverts_of(document: Document, window: Window) -> tuple[Revert, ...]:
    """Reverts to LAB, those of one tick as one line."""
    ticks: dict[int, list[Document]] = {}
    for row in list_of(document, "moves"):
        if text_of(row, "reasonCode") in REVERTS:
            ticks.setdefault(int(number_of(row, "tick") or 0), []).append(row)
    found = []
    for rows in ticks.values():
        at = instant_of(rows[0].get("at"))
        if at is not None:
            bots = sum(int(number_of(row, "bots") or 0) for row in rows)
            words = f"revert: {count_words(bots, 'bot')} to LAB"
            found.append(Revert(percent(window.x(at)), words, bots, move_address(rows[0]), window.x(at) > UNITS * 0.6))
    return tuple(found)
