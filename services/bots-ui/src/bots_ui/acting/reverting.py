"""A revert to LAB: what would happen, and the command that does exactly this.

Place in the flow: `/api/revert/plan` → **reverting** → dialog → form → command. Pure. The plan's hash and count come from the dry
run; a fleet that changed in between gives PLAN_CHANGED and another plan, never another revert.

Source: R-C2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from autonomy.client import Document
from autonomy.values import BOT_ID, Stage
from bots_ui.api.documents import text_of
from bots_ui.operator.acts import MAX_REASON, Unfit
from bots_ui.pages.asked import fleet_asked
from bots_ui.shown import words
from bots_ui.shown.facts import part, whole

STAGES: Final = tuple(stage.value for stage in Stage if stage is not Stage.LAB)
FILTERS: Final = ("stage", "bot", "strategy", "symbol")
MAX_SHOWN: Final = 1_000
NOBODY: Final = "-"
SHOWN: Final = 12
"""Bots named in the dialog; all are counted, and all are listed afterwards."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which bots; an empty filter does not restrict.

    Attributes:
        shown: filter of the Bots page, as its address says it; the plan names the bots that it shows.
    """

    stage: tuple[str, ...] = ()
    bot: tuple[str, ...] = ()
    strategy: tuple[str, ...] = ()
    symbol: tuple[str, ...] = ()
    shown: str = ""

    def params(self) -> list[tuple[str, str]]:
        """As this page's address and its form say it."""
        return [(name, value) for name in FILTERS for value in getattr(self, name)] + ([("shown", self.shown)] if self.shown else [])

    @property
    def said(self) -> dict[str, tuple[str, ...]]:
        """What a command says itself: of the page's filter and of this sheet's the words that both mean."""
        asked = fleet_asked(parse_qsl(self.shown))
        of_filter = {"stage": asked.chosen["stage"], "strategy": asked.named.get("strategy", ()), "symbol": asked.named.get("symbol", ())}
        found = {name: both(of_filter[name], getattr(self, name)) for name in of_filter}
        if of_filter["stage"] or self.stage:
            found["stage"] = tuple(stage for stage in STAGES if stage in found["stage"]) or (Stage.LAB.value,)  # nobody beyond LAB is meant
        return found

    @property
    def is_frozen(self) -> bool:
        """Whether the page's filter has words that no command has, so that the plan names the bots."""
        asked = fleet_asked(parse_qsl(self.shown))
        return any(name not in FILTERS for name, _ in asked.params(paged=False))

    def plan_params(self) -> list[tuple[str, str]]:
        """As the dry run is asked: the filter of the page, resolved there; words that both name count."""
        found = [(name, value) for name in ("strategy", "symbol", "stage") for value in self.said[name]]
        if self.shown:
            asked = fleet_asked(parse_qsl(self.shown))
            return found + [(name, value) for name, value in asked.params(paged=False) if name not in self.said]
        return found + [("bot", bot) for bot in self.bot]

    @property
    def is_single(self) -> bool:
        """Whether one bot alone is meant, and with it also a pinned one."""
        return len(self.bot) == 1 and not (self.stage or self.strategy or self.symbol or self.shown)

    @property
    def words(self) -> str:
        """The page's filter, as a person says it."""
        asked = fleet_asked(parse_qsl(self.shown))
        tables: Mapping[str, Mapping[str, str]] = {
            "state": words.FILTERS,
            "reason": words.REASON_WORDS,
            "recency": words.RECENCIES,
            "needs": words.NEEDS,
        }
        said = [
            ", ".join(words.word_of(tables.get(name, {}), value) for value in values)
            for name, values in asked.wanted.items()
            if values and name != "recommended"
        ]
        said += ["waits for approval"] if asked.chosen["recommended"] else []
        said += [f"“{asked.text}”"] if asked.text else []
        return " · ".join(said)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A bot that stays, and who wants it so."""

    bot_id: str
    stage: str
    by: str
    why: str
    until: str


@dataclass(frozen=True, slots=True)
class Position:
    """A paper position that would be closed."""

    bot_id: str
    units: str
    equity: str
    pnl: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The dry run, as the dialog shows it.

    Attributes:
        named: every bot that the plan's command names, where it names bots: what a filter showed at that moment.
    """

    hash: str
    count: int
    stages: tuple[tuple[str, int], ...]
    bots: tuple[str, ...]
    named: tuple[str, ...]
    pinned: tuple[Pinned, ...]
    pinned_count: int
    jobs: tuple[str, ...]
    sessions: int
    with_position: int
    positions: tuple[Position, ...]
    paused_by: str
    waits_for_resume: bool


def both(these: tuple[str, ...], those: tuple[str, ...]) -> tuple[str, ...]:
    """The words that two filters mean together; an empty one does not restrict, and two that exclude each other mean nothing at all.

    Nothing at all is a word that no bot has: an empty filter would be the whole fleet.
    """
    if not these or not those:
        return these or those
    return tuple(word for word in these if word in those) or (NOBODY,)


def wanted_of(query: Sequence[tuple[str, str]]) -> Wanted:
    """Which bots an address or a form means; empty fields do not restrict."""
    found = {name: tuple(dict.fromkeys(value.strip() for key, value in query if key == name and value.strip())) for name in FILTERS}
    return Wanted(
        shown=canonical(dict(query).get("shown", "")), stage=tuple(value for value in found["stage"] if value in STAGES),
        bot=tuple(value for value in found["bot"] if BOT_ID.match(value)), strategy=found["strategy"],
        symbol=tuple(value.upper() for value in found["symbol"]),
    )  # fmt: skip


def canonical(shown: str) -> str:
    """A filter of the Bots page without what is no filter; empty for none."""
    return urlencode(fleet_asked(parse_qsl(shown[:MAX_SHOWN])).params(paged=False))


def plan_of(document: Document) -> Plan:
    """The plan that the dry run told."""
    by_stage, stops, pinned = part(document, "byStage"), part(document, "stops"), part(document, "pinned")
    pauses = _objects(document.get("pausedBy"))
    bots, named = document.get("botIds"), part(document, "command").get("botIds")
    return Plan(
        hash=text_of(document, "planHash"), count=whole(document, "expectedCount") or 0,
        stages=tuple((stage, whole(by_stage, stage) or 0) for stage in STAGES if whole(by_stage, stage)),
        bots=tuple(str(bot) for bot in bots) if isinstance(bots, list) else (),
        named=tuple(str(bot) for bot in named) if isinstance(named, list) else (),
        pinned=tuple(
            Pinned(text_of(row, "botId"), text_of(row, "stage"), text_of(row, "pinnedBy") or "not recorded",
                   text_of(row, "pinReason") or words.NOT_RECORDED, text_of(row, "pinnedUntil"))
            for row in _objects(pinned.get("bots"))
        ),
        pinned_count=whole(pinned, "count") or 0, jobs=_jobs(part(stops, "jobs")), sessions=whole(stops, "openSessions") or 0,
        with_position=whole(stops, "withPosition") or 0,
        positions=tuple(
            Position(text_of(row, "botId"), words.figure_words(row.get("units"), 0), words.money_words(row.get("equity")),
                     words.money_words(row.get("pnl"), sign=True))
            for row in _objects(stops.get("positions"))
        ),
        paused_by=", ".join(dict.fromkeys(text_of(row, "actor") for row in pauses)),
        waits_for_resume=document.get("loopPaused") is True,
    )  # fmt: skip


def _objects(value: object) -> list[Document]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _jobs(by_type: Document) -> tuple[str, ...]:
    found = []
    for kind, counts in by_type.items():
        if isinstance(counts, Mapping):
            numbers = " and ".join(f"{count} {status}" for status, count in counts.items())
            found.append(f"{words.word_of(words.JOB_TYPES, kind)}: {numbers}")
    return tuple(found)


def revert_command(wanted: Wanted, form: Mapping[str, str]) -> dict[str, object] | Unfit:
    """The command that applies exactly the plan of the dialog, or what its form lacks."""
    reason, digest, expected = form.get("reason", "").strip(), form.get("planHash", ""), form.get("expectedCount", "")
    if len(digest) != 64 or not expected.isdigit() or len(expected) > 9:
        return Unfit("The form holds no plan; load the dry run again.")
    if not 1 <= len(reason) <= MAX_REASON:
        return Unfit(f"A reason of 1 to {MAX_REASON} characters is needed.")
    if form.get("count", "").strip() != expected:
        return Unfit(f"Type {expected}, the number of bots, to confirm.")
    if wanted.shown and wanted.is_frozen and not wanted.bot:
        return Unfit("The form does not name a bot of the filter; load the dry run again.")
    return {
        "type": "revert-to-lab.v1", "reason": reason, "planHash": digest, "expectedCount": int(expected),
        "stages": list(wanted.said["stage"] or (STAGES if wanted.shown else ())),
        "botIds": list(wanted.bot), "strategies": list(wanted.said["strategy"]), "symbols": list(wanted.said["symbol"]),
    }  # fmt: skip
