"""A bot's life on one axis of time: the stages it stood in, what moved it, and its versions.

Place in the flow: `/api/bots/{bot_id}/picture` → **career** → `plots.html`. Pure; each mark is rows of the document, and leads to what they
say. Marks that would cover one another are one, with their number.

Source: docs/architecture.md, "The Bots page".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autonomy.client import Document
from autonomy.values import REVERTS, Stage
from bots_ui.api.documents import list_of, number_of, text_of, told_part
from bots_ui.shown.axes import Mark, Times
from bots_ui.shown.stretch import UNITS
from bots_ui.shown.words import count_words, full_words, instant_of

NEAR: Final = 180
"""Marks of one kind that are nearer than so many units would cover one another."""
ORDER: Final = {stage.value: place for place, stage in enumerate(Stage)}
NAMED: Final = 1_500
"""A stretch narrower than so many units has no room for its stage's name."""
NAMED_TOGETHER: Final = 6


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
    moved = sorted((one for one in map(_move, moves) if one is not None), key=lambda one: one.at)
    changed = sorted((one for one in map(_version, versions) if one is not None), key=lambda one: one.at)
    of_moves, of_versions = (int(number_of(document, name) or 0) for name in ("ofMoves", "ofVersions"))
    short = ((of_moves, len(moves), "changes of stage"), (of_versions, len(versions), "versions"))
    return Career(
        times, tuple(_stood(moves, times)), (*_together(moved, times, bot_id, "stage"), *_together(changed, times, bot_id, "version")),
        times.marks(),
        tuple(Told(one.at, one.words, one.href) for one in sorted((*moved, *changed), key=lambda one: one.at, reverse=True)),
        " ".join(f"The newest {shown} of {total:,} {what} are drawn." for total, shown, what in short if total > shown),
        f"{count_words(of_moves, 'stage change')} and {count_words(of_versions, 'version')} since {full_words(start)}.",
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
    at, evolved, event = instant_of(row.get("createdAt")), text_of(row, "evolvedBy"), text_of(row, "eventId")
    if at is None:
        return None
    href = f"/jobs/{evolved}" if evolved else f"/events/{event}?tick={text_of(row, 'tick')}"
    words = f"version {text_of(row, 'version')}: " + ("challenger of a search took over" if evolved else f"by {text_of(row, 'actor')}")
    return _One(at, "version", "evolving" if evolved else "dot", event, href, words)


def _together(ones: Sequence[_One], times: Times, bot_id: str, kind: str) -> list[Sign]:
    """Marks by time; those that are too near the first of a group are told with it. A revert is never told with others than reverts."""
    groups: list[list[_One]] = []
    for one in ones:
        first = groups[-1][0] if groups else None
        if first and times.x(one.at) - times.x(first.at) < NEAR and (one.kind == "revert") == (first.kind == "revert"):
            groups[-1].append(one)
        else:
            groups.append([one])
    return [_sign(group, times.x(group[0].at), f"/bots/{bot_id}/timeline?kind={kind}") for group in groups]


def _sign(group: Sequence[_One], x: int, all_of_them: str) -> Sign:
    shape = group[0].shape if len({one.shape for one in group}) == 1 else "mixed"
    words = "; ".join(f"{full_words(one.at)}: {one.words}" for one in group[:NAMED_TOGETHER])
    more = f"; and {len(group) - NAMED_TOGETHER} more" if len(group) > NAMED_TOGETHER else ""
    href = group[0].href if len(group) == 1 else all_of_them
    return Sign(x, group[0].kind, shape, tuple(one.name for one in group), href, words + more)


def _stood(moves: Sequence[Document], times: Times) -> list[Stood]:
    """Stretches between changes of stage, by time; what was before the first one that is told is not known, and not drawn."""
    known = [(at, text_of(row, "toStage")) for row in moves if (at := instant_of(row.get("createdAt"))) is not None]
    ends = [*(times.x(at) for at, _ in known[1:]), UNITS]
    return [Stood(times.x(at), end - times.x(at), stage) for (at, stage), end in zip(known, ends, strict=True) if end > times.x(at)]
