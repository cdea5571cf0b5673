"""A bot's life on one axis of time: the stages it stood in, what moved it, and its versions.

Place in the flow: `/api/bots/{bot_id}/picture` → **career** → `plots.html`. Pure; each mark is rows of the document, and leads to what they
say. Marks that would cover one another are one, with their number.

Source: docs/architecture.md, "The Bots page".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from autonomy.client import Document
from autonomy.values import Stage
from bots_ui.api.documents import list_of, number_of, text_of, told_part
from bots_ui.shown.axes import UNITS, Mark, Times
from bots_ui.shown.words import count_words, full_words, instant_of

NEAR: Final = 180
"""Marks of one kind that are nearer than so many units would cover one another."""
ORDER: Final = {stage.value: place for place, stage in enumerate(Stage)}
NAMED: Final = 1_500
"""A stretch narrower than so many units has no room for its stage's name."""
REVERTS: Final = frozenset({"BULK_REVERT_REBASELINE", "REVERT_REBASELINE"})


@dataclass(frozen=True, slots=True)
class Stood:
    """A stretch of time in one stage, in units."""

    x: int
    width: int
    stage: str

    @property
    def named(self) -> bool:
        """Whether its name has room."""
        return self.width >= NAMED


@dataclass(frozen=True, slots=True)
class Sign:
    """A mark.

    Attributes:
        names: ids of the events it stands for.
        kind: move, revert or version.
    """

    x: int
    kind: str
    shape: str
    names: tuple[str, ...]
    href: str
    words: str


@dataclass(frozen=True, slots=True)
class Told:
    """An entry of the list below the drawing."""

    at: datetime
    words: str
    href: str


@dataclass(frozen=True, slots=True)
class Career:
    """What the template draws."""

    times: Times
    stood: tuple[Stood, ...]
    signs: tuple[Sign, ...]
    marks: tuple[Mark, ...]
    told: tuple[Told, ...]
    left_out: str
    label: str


@dataclass(frozen=True, slots=True)
class _One:
    """A row as a mark by itself."""

    at: datetime
    kind: str
    shape: str
    name: str
    href: str
    words: str


def career_of(document: Document, bot_id: str) -> Career | None:
    """The axis of a bot; None where nothing of it is told.

    Args:
        document: the answer.
        bot_id: whose.
    """
    bot = told_part(document, "bot")
    start, end = instant_of(bot["registeredAt"]), instant_of(bot["retiredAt"]) or instant_of(document.get("now"))
    if start is None or end is None or end <= start:
        return None
    moves, versions = list_of(document, "moves"), list_of(document, "versions")
    times = Times.around(start, end)
    ones = [one for one in (*map(_move, moves), *map(_version, versions)) if one is not None]
    by_kind: dict[str, list[_One]] = {}
    for one in sorted(ones, key=lambda one: one.at):
        by_kind.setdefault("version" if one.kind == "version" else "move", []).append(one)
    signs = [
        sign for kind, group in by_kind.items() for sign in _together(group, times, bot_id, "version" if kind == "version" else "stage")
    ]
    short = [(int(number_of(document, of) or 0), len(rows), what)
             for of, rows, what in (("ofMoves", moves, "change of stage"), ("ofVersions", versions, "version"))]  # fmt: skip
    left_out = " ".join(f"The newest {shown} of {total:,} are drawn ({what})." for total, shown, what in short if total > shown)
    counts = " and ".join(
        count_words(total, "change") + " of stage" if "stage" in what else count_words(total, what) for total, _, what in short
    )
    return Career(
        times, tuple(_stood(moves, times)), tuple(signs), times.marks(),
        tuple(Told(one.at, one.words, one.href) for one in sorted(ones, key=lambda one: one.at, reverse=True)), left_out,
        f"{counts} since {full_words(start)}.",
    )  # fmt: skip


def _move(row: Document) -> _One | None:
    at, start, end = instant_of(row.get("createdAt")), text_of(row, "fromStage"), text_of(row, "toStage")
    if at is None:
        return None
    reason, event, command = text_of(row, "reasonCode"), text_of(row, "id"), text_of(row, "commandId")
    shape = "new" if not start else "up" if ORDER.get(end, 0) > ORDER.get(start, 0) else "down"
    href = f"/commands/{command}" if command else f"/events/{event}?tick={text_of(row, 'tick')}"
    words = f"{start or 'registered'} → {end} ({reason}) by {text_of(row, 'actor')}"
    return _One(at, "revert" if reason in REVERTS else "move", shape, event, href, words)


def _version(row: Document) -> _One | None:
    at, number, evolved, event = (
        instant_of(row.get("createdAt")),
        text_of(row, "version"),
        text_of(row, "evolvedBy"),
        text_of(row, "eventId"),
    )
    if at is None:
        return None
    href = f"/jobs/{evolved}" if evolved else f"/events/{event}?tick={text_of(row, 'tick')}"
    words = f"version {number}: " + ("challenger of a search took over" if evolved else f"by {text_of(row, 'actor')}")
    return _One(at, "version", "evolving" if evolved else "dot", event, href, words)


def _together(ones: Sequence[_One], times: Times, bot_id: str, kind: str) -> list[Sign]:
    """Marks by time; those that are too near the first of a group are told with it. A revert is never told with others than reverts."""
    groups: list[list[_One]] = []
    for one in ones:
        near = groups and times.x(one.at) - times.x(groups[-1][0].at) < NEAR
        if near and (one.kind == "revert") == (groups[-1][0].kind == "revert"):
            groups[-1].append(one)
        else:
            groups.append([one])
    more: Callable[[list[_One]], str] = lambda group: f"/bots/{quote(bot_id)}/timeline?kind={kind}" if len(group) > 1 else group[0].href  # noqa: E731
    return [
        Sign(
            times.x(group[0].at), group[0].kind, group[-1].shape if len({one.shape for one in group}) == 1 else "mixed",
            tuple(one.name for one in group), more(group), "; ".join(f"{full_words(one.at)}: {one.words}" for one in group[:6])
            + (f"; and {len(group) - 6} more" if len(group) > 6 else ""),
        )
        for group in groups
    ]  # fmt: skip


def _stood(moves: Sequence[Document], times: Times) -> list[Stood]:
    """Stretches between changes of stage, by time; what was before the first one that is told is not known, and not drawn."""
    known = [(at, text_of(row, "toStage")) for row in moves if (at := instant_of(row.get("createdAt"))) is not None]
    ends = [*(times.x(at) for at, _ in known[1:]), UNITS]
    return [Stood(times.x(at), end - times.x(at), stage) for (at, stage), end in zip(known, ends, strict=True) if end > times.x(at)]
