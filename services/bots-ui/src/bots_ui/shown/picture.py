"""A stretch of time as a picture: a strip of ticks, lanes of jobs, flags of stages, and the same in a sentence.

Place in the flow: `/api/timeline` → **picture** → `picture.html`. Pure; draws what the document says and decides nothing about it.

Source: docs/architecture.md, "The Bots page".
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autonomy.client import Document
from autonomy.values import ms_of
from bots_ui.api.documents import number_of, text_of, told_part
from bots_ui.shown.lanes import Lane, lanes_of
from bots_ui.shown.stretch import UNITS
from bots_ui.shown.strip import Bar, Flag, Gap, Revert, bars_of, flags_of, gaps_of, most_of, pauses_of, reverts_of
from bots_ui.shown.window import Mark, Window
from bots_ui.shown.words import clock_words, count_words, full_words, instant_of

ZOOMS: Final = 24
"""Parts of a picture that lead to themselves, larger."""
LATE_MS: Final = 5_000
"""Rows that are so much behind are no longer called complete."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Heights from the top, px: of the strip's upper end and its ground, and where the first lane begins."""

    top: int
    ground: int
    lanes: int
    small: bool


LARGE: Final = Frame(30, 96, 122, small=False)
SMALL: Final = Frame(10, 50, 56, small=True)
SMALL_LANE: Final = 22
SMALL_AXIS: Final = 90


@dataclass(frozen=True, slots=True)
class Picture:
    """What the template draws.

    Attributes:
        before: where the loop did not exist yet: width in units; 0: it did all the time.
        unknown: from where on something may still come, in units; None: nothing of the window.
        most: jobs of the highest bar.
        crowd: how many bars stand side by side: few, many or most.
    """

    window: Window
    frame: Frame
    height: int
    axis_y: int
    bars: tuple[Bar, ...]
    folded: bool
    most: int
    crowd: str
    gaps: tuple[Gap, ...]
    pauses: tuple[tuple[int, int], ...]
    flags: tuple[Flag, ...]
    reverts: tuple[Revert, ...]
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    zooms: tuple[tuple[int, int, str, str], ...]
    before: int
    unknown: int | None
    summary: str
    nothing: str

    @property
    def folded_lanes(self) -> bool:
        """Whether any lane is told by counts."""
        return any(lane.blocks is None for lane in self.lanes)


def window_of(document: Document) -> Window | None:
    """The window of a document; None where it has none."""
    start, end = instant_of(document.get("fromAt")), instant_of(document.get("toAt"))
    return Window(ms_of(start), ms_of(end), text_of(document, "by")) if start and end else None


def picture_of(document: Document, *, small: bool) -> Picture | None:
    """The picture of a document of `/api/timeline`; None where it is none.

    Args:
        document: the answer.
        small: for the top of another page: at most 120 px with its words, all jobs in one lane, nothing to click but stretches of time.
    """
    window = window_of(document)
    if window is None:
        return None
    frame = SMALL if small else LARGE
    bars = bars_of(document, window, frame.ground - frame.top)
    lanes = lanes_of(document, window, frame.lanes, height=SMALL_LANE if small else 26, labelled=not small)
    bottom = max((lane.y + lane.height for lane in lanes), default=frame.lanes)
    first = instant_of(document.get("firstTickAt"))
    return Picture(
        window, frame, SMALL_AXIS + 6 if small else bottom + 10, SMALL_AXIS if small else frame.ground + 15, bars,
        document.get("ticksFolded") is True, most_of(document), "few" if len(bars) <= 60 else "many" if len(bars) <= 160 else "most",
        gaps_of(document, window), pauses_of(bars), flags_of(document, window), reverts_of(document, window), lanes, window.marks(),
        tuple(window.parts(ZOOMS)), window.x(first) if first else UNITS, _unknown(document, window), summary_of(document),
        _nothing(document, first),
    )  # fmt: skip


def _unknown(document: Document, window: Window) -> int | None:
    known = instant_of(document.get("knownUntil"))
    if known is None:
        return 0
    return window.x(known) if window.to_ms - ms_of(known) > LATE_MS else None


def _nothing(document: Document, first: datetime | None) -> str:
    """Why nothing is drawn; empty where something is."""
    totals, end = told_part(document, "totals"), instant_of(document.get("toAt"))
    if first is None:
        return "No tick has been accepted yet: the planner has not begun."
    if end is not None and first >= end:
        return f"This was before the very first tick, at {full_words(first)}."
    if not any(number_of(totals, name) for name in ("ticks", "jobs", "missing", "moved")):
        return "Nothing happened in this stretch of time: no tick was due, and no job waited or ran."
    return ""


def summary_of(document: Document) -> str:
    """The picture in a few sentences, with its counts."""
    totals = told_part(document, "totals")

    def count(name: str) -> int:
        return int(number_of(totals, name) or 0)

    start, end = instant_of(document.get("fromAt")), instant_of(document.get("toAt"))
    when = f"{_moment(start, end)} to {_moment(end, start)} UTC: " if start and end else ""
    missing = f"{count_words(count('missing'), 'tick')} missing" if count("missing") else "no tick missing"
    jobs = f"{count_words(count('jobs'), 'job')} waited or ran" if count("jobs") else "no job waited or ran"
    ended = f", {count('succeeded'):,} succeeded, {count('failed'):,} failed" if count("jobs") else ""
    moved = f"; {count_words(count('moved'), 'change')} of stage" if count("moved") else ""
    return (
        f"{when}{count_words(count('ticks'), 'tick')}, {missing}; {count_words(count('enqueued'), 'job')} enqueued; {jobs}{ended}{moved}."
    )


def _moment(instant: datetime, other: datetime) -> str:
    """The time of day, with the date where the other end of the window has another one."""
    return clock_words(instant) if instant.date() == other.date() else full_words(instant).removesuffix(" UTC")
