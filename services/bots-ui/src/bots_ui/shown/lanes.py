"""Lanes of jobs: each attempt in outline while it waits, filled while it runs; how many of them at each step, where they are too many.

Place in the flow: `/api/timeline` → **lanes** → picture. Pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from autonomy.client import Document
from autonomy.values import JobStatus, instant_of_ms
from autonomy.work import JOB_KINDS, Work
from bots_ui.api.documents import list_of, number_of, text_of
from bots_ui.shown.stretch import UNITS
from bots_ui.shown.window import Window, percent
from bots_ui.shown.words import JOB_TYPES, clock_words, count_words, instant_of, span_words, strategy_words, word_of

ROW: Final = 9
"""Height of an attempt with its distance to the next, px."""
MOST_ROWS: Final = 12
"""Side by side; more of them fold into counts."""
LABEL: Final = 15
FOLDED: Final = 26
LEAST: Final = 16
"""Width of what took no time that could be seen, in units."""
APART: Final = 24
"""Attempts in a row are at least so far apart, in units: each can be told from its neighbour."""
WORDS: Final = {"worker": "worker", "stage": "stage", "strategy": "strategy", "symbol": "symbol", "bot": "bot"}
PLURALS: Final = {"worker": "workers", "stage": "stages", "strategy": "strategies", "symbol": "symbols", "bot": "bots"}
ENDS: Final = {JobStatus.FAILED.value: "failed", JobStatus.CANCELLED.value: "cancelled"}


@dataclass(frozen=True, slots=True)
class Block:
    """An attempt: places in units, `y` its distance from the top of its lane.

    Attributes:
        wait, wait_width: where it waits; no width where it did not wait in the window.
        run, run_width: where it runs.
        kind: backtest, evolve or runner.
        end: done, failed, cancelled, left (given up, the job went back into the queue) or live.
        mark: where a failure or a cancellation is marked.
    """

    wait: int
    wait_width: int
    run: int
    run_width: int
    y: int
    kind: str
    end: str
    mark: str
    name: str
    href: str
    words: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane at its place in the picture.

    Attributes:
        y: of its top, px.
        height: below its label, px.
        blocks: attempts one by one; None where they are folded.
        running, queued: outlines of counts, in steps and pixels, where they are folded.
        steps: how many steps the outlines have, and at which share of the width they begin and end.
    """

    name: str
    label: str
    note: str
    href: str
    y: int
    height: int
    blocks: tuple[Block, ...] | None
    running: str
    queued: str
    failures: tuple[tuple[str, int], ...]
    jobs: int
    failed: int


def lanes_of(document: Document, window: Window, top: int, *, height: int = FOLDED, labelled: bool = True) -> tuple[Lane, ...]:
    """Lanes, one below the other.

    Args:
        document: of `/api/timeline`.
        window: its window.
        top: where the first begins, px.
        height: of a folded lane, px.
        labelled: whether each has a line for its name.
    """
    found, y = [], top
    for row in list_of(document, "lanes"):
        lane = _lane(row, document, window, y + (LABEL if labelled else 0), height, blocks=labelled)
        found.append(lane)
        y = lane.y + lane.height + 5
    return tuple(found)


def _lane(row: Document, document: Document, window: Window, y: int, height: int, *, blocks: bool) -> Lane:
    by, key, folded = text_of(document, "by"), text_of(row, "key"), int(number_of(row, "folded") or 0)
    rows = packed(row, window) if blocks else None
    running, queued, failures = (_counts(row, name) for name in ("running", "queued", "failures"))
    jobs, failed = int(number_of(row, "jobs") or 0), int(number_of(row, "failed") or 0)
    most = max([*running, *queued, 1])
    notes = [count_words(jobs, "job"), *([f"{failed:,} failed"] if failed else [])]
    if rows is None:
        notes.append(f"at most {max([*running, 0]):,} ran and {max([*queued, 0]):,} waited at once")
        fit = fitted(document, window)
        marks = tuple((percent(fit(step)), count) for step, count in enumerate(failures) if count)
        return Lane(
            f"{by}/{key}/{folded}", _label(by, key, folded), ", ".join(notes), _href(by, key, folded), y, height, None,
            outline(running, most, height, fit), outline(queued, most, height, fit), marks, jobs, failed,
        )  # fmt: skip
    return Lane(
        f"{by}/{key}/{folded}", _label(by, key, folded), ", ".join(notes), _href(by, key, folded), y,
        ROW * max(1, 1 + max((block.y // ROW for block in rows), default=0)), rows, "", "", (), jobs, failed,
    )  # fmt: skip


def _counts(row: Document, name: str) -> list[int]:
    value = row.get(name)
    return [int(one) for one in value if isinstance(one, int)] if isinstance(value, list) else []


def _label(by: str, key: str, folded: int) -> str:
    if folded:
        return f"{folded:,} more {PLURALS.get(by, 'lanes')}"
    if by == "worker":
        return f"worker {key[:8]}" if key else "no worker"
    if by == "strategy":
        return strategy_words(key)
    return key or "all jobs"


def _href(by: str, key: str, folded: int) -> str:
    if folded or not key or by == "worker":
        return ""
    return {"stage": f"/?stage={key}", "bot": f"/bots/{key}"}.get(by, f"/?q={key}")


def fitted(document: Document, window: Window) -> Callable[[int], int]:
    """Where a step begins, in units: steps begin at their own multiples, the window anywhere."""
    step_ms = round((number_of(document, "stepSec") or 1) * 1000)
    first_ms = window.from_ms // step_ms * step_ms
    return lambda step: window.x(instant_of_ms(first_ms + step * step_ms))


def outline(counts: Sequence[int], most: int, height: int, fit: Callable[[int], int]) -> str:
    """Path data of counts as steps above the ground; empty where all are zero."""
    if not any(counts):
        return ""
    parts, level = [f"M0 {height}"], 0
    for step, count in enumerate(counts):
        if count != level:
            parts.append(f"H{fit(step)}V{height - (max(1.5, height * count / most) if count else 0):g}")
            level = count
    return "".join([*parts, f"H{UNITS}V{height}Z"])


def packed(row: Document, window: Window) -> tuple[Block, ...] | None:
    """Attempts in rows so that none covers another, the earliest on top; None where they are folded, or need too many rows."""
    if row.get("blocks") is None:
        return None
    free: list[int] = []
    found = []
    for one in list_of(row, "blocks"):
        block = _block(one, window)
        if block is None:
            continue
        place = next((number for number, end in enumerate(free) if end + APART <= _left(block)), len(free))
        if place == MOST_ROWS:
            return None
        free[place : place + 1] = [max(block.run + block.run_width, block.wait + block.wait_width)]
        found.append((place, one))
    return tuple(block for place, one in found if (block := _block(one, window, place * ROW)) is not None)


def _left(block: Block) -> int:
    return min(place for place, width in ((block.wait, block.wait_width), (block.run, block.run_width)) if width)


def _block(one: Document, window: Window, y: int = 0) -> Block | None:
    queued, started, ended = (instant_of(one.get(name)) for name in ("queuedAt", "startedAt", "endedAt"))
    if queued is None:
        return None
    end_x = UNITS if ended is None else window.x(ended)
    run = window.x(started) if started else end_x
    wait = min(window.x(queued), run)
    run_width = max(LEAST, end_x - run) if started and run < UNITS else 0
    # One that neither waited nor ran for as long as can be seen is still there.
    wait_width = run - wait if run_width or run > wait else LEAST
    status, job, attempt = one.get("status"), text_of(one, "jobId"), int(number_of(one, "attempt") or 1)
    end = "left" if status is None else ENDS.get(str(status), "done") if ended else "live"
    kind = (
        JOB_KINDS[next(code for code in JOB_KINDS if code == one.get("jobType"))].work if one.get("jobType") in JOB_KINDS else Work.BACKTEST
    )
    waited = span_words(((started or ended or queued) - queued).total_seconds())
    words = f"{text_of(one, 'botId')}: {word_of(JOB_TYPES, one.get('jobType'))}" + (f", attempt {attempt}" if attempt > 1 else "")
    words += f", queued {clock_words(queued)} UTC" + (
        f", waited {waited}, ran from {clock_words(started)}" if started else ", waits" if not ended else ""
    )
    words += f" to {clock_words(ended)}" if started and ended else " until now" if started else ""
    words += f", {status or 'given back'}" + (f" ({text_of(one, 'cause')})" if one.get("cause") else "")
    mark = percent(end_x) if end in {"failed", "cancelled"} and ended and window.holds(ended) else ""
    return Block(wait, wait_width, run, run_width, y, kind.value, end, mark, f"{job}/{attempt}", f"/jobs/{job}", words)
