"""What a fleet's files would do, worked out by the same function for the dry run and for the tick that applies it.

Place in the flow: proof-api (dry run, from its read models) and planner (from its state) → one hash. When a bot that the files name
changed in between the hashes differ, and nothing is done. Pure.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from autonomy.errors import BadInput
from autonomy.events import ApplyFleet, StrategyOffered
from autonomy.fleet import BotSpec, read_whole_bot
from autonomy.strategies import Value, completed
from autonomy.values import Evolve, Stage

Outcome = Literal["REGISTERED", "CHANGED", "AMENDED", "UNCHANGED", "RETIRED", "REJECTED"]
MAX_BOTS: Final = 1_000_000
"""Of the whole platform."""
EVOLVES: Final[Evolve] = "propose"
"""What a bot of a file may do with a search's winner unless the file says it: nothing replaces a bot of a fleet by itself."""


class Held(NamedTuple):
    """One bot as a plan sees it."""

    bot_id: str
    name: str
    strategy: str
    parameters: Mapping[str, Value]
    symbol: str
    timeframe: str
    stage: Stage
    version: int
    pinned: bool
    fleet: str
    evolve: str


class Change(NamedTuple):
    """A field of a bot that becomes another; None: it was not, or will not be there."""

    field: str
    before: Value | None
    after: Value | None


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one bot.

    Attributes:
        version: of the bot before; 0 of a new one.
        spec, parameters: what it becomes; None and empty where it is refused, or leaves.
        trades: what changes of what it trades, which makes a new version.
        stands: what else changes: its name, its fleet, what a search's winner may become.
        field, limit: why it is refused.
    """

    bot_id: str
    outcome: Outcome
    version: int = 0
    spec: BotSpec | None = None
    parameters: Mapping[str, Value] | None = None
    trades: tuple[Change, ...] = ()
    stands: tuple[Change, ...] = ()
    field: str = ""
    limit: str = ""

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every field that becomes another."""
        return (*self.trades, *self.stands)

    def line(self) -> str:
        """What of this step the plan's hash is over."""
        return json.dumps([self.bot_id, self.outcome, self.version, self.changes, self.field, self.limit], separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """What would happen.

    Attributes:
        steps: one per bot that the command names, in its order, those to retire last.
        counts: bots by outcome.
        hash: over all steps.
    """

    steps: tuple[Step, ...]
    counts: dict[str, int]
    hash: str


def apply_plan(
    command: ApplyFleet, held: Mapping[str, Held], retired: Container[str], offers: Mapping[str, StrategyOffered], bots: int
) -> ApplyPlan:
    """The plan of a fleet's files; the command's own hash is not looked at.

    Args:
        command: documents of bots, and who leaves.
        held: by id, at least every bot of the fleet that the command names.
        retired: at least every id that it names and that was retired once.
        offers: by name, the strategies that were announced.
        bots: how many the platform holds.
    """
    steps = tuple(_steps(command, held, retired, offers, bots))
    counts = Counter(step.outcome for step in steps)
    whole = hashlib.sha256()
    for step in steps:
        whole.update(step.line().encode() + b"\n")
    return ApplyPlan(steps, dict(sorted(counts.items())), whole.hexdigest())


def _steps(
    command: ApplyFleet, held: Mapping[str, Held], retired: Container[str], offers: Mapping[str, StrategyOffered], bots: int
) -> Iterator[Step]:
    seen: set[str] = set()
    for document in command.bots:
        named = str(document.get("id", ""))[:64]
        try:
            if named in seen:
                raise BadInput("id", "is there twice", named)
            seen.add(named)
            step = _step(*read_whole_bot(document, offers), command.fleet, held, retired, offers)
            if step.outcome == "REGISTERED":
                bots += 1
                if bots > MAX_BOTS:
                    raise BadInput("bots", f"the platform holds at most {MAX_BOTS} bots")
        except BadInput as refusal:
            step = Step(named, "REJECTED", field=refusal.field, limit=refusal.limit)
        yield step
    for bot_id in command.retire:
        try:
            if bot_id in seen:
                raise BadInput("id", "is there twice", bot_id)
            seen.add(bot_id)
            yield _leaving(bot_id, command.fleet, held, retired)
        except BadInput as refusal:
            yield Step(bot_id, "REJECTED", field=refusal.field, limit=refusal.limit)


def _step(
    spec: BotSpec, parameters: Mapping[str, Value], fleet: str, held: Mapping[str, Held], retired: Container[str],
    offers: Mapping[str, StrategyOffered],
) -> Step:  # fmt: skip
    bot = held.get(spec.id)
    if bot is None:
        if spec.id in retired:
            raise BadInput("id", "was retired, and an id is never used again", spec.id)
        return Step(spec.id, "REGISTERED", spec=spec, parameters=parameters)
    _check_owner(bot, fleet)
    traded = _traded(bot, spec, parameters, offers)
    if traded and bot.stage is not Stage.LAB:
        names = ", ".join(change.field for change in traded)
        raise BadInput(traded[0].field, f"{names} would change, and it is in {bot.stage.value}: only a LAB bot can be changed")
    wanted = (("name", bot.name, spec.name or spec.id), ("fleet", bot.fleet, fleet), ("evolve", bot.evolve, spec.evolve or EVOLVES))
    stands = tuple(Change(field, before, after) for field, before, after in wanted if before != after)
    outcome: Outcome = "CHANGED" if traded else "AMENDED" if stands else "UNCHANGED"
    return Step(spec.id, outcome, bot.version, spec, parameters, traded, stands)


def _traded(bot: Held, spec: BotSpec, parameters: Mapping[str, Value], offers: Mapping[str, StrategyOffered]) -> tuple[Change, ...]:
    """What changes of what a bot trades."""
    before = completed(offers.get(bot.strategy), bot.parameters)
    what = (
        ("strategy", bot.strategy, spec.strategy),
        ("symbol", bot.symbol, spec.symbol),
        ("timeframe", bot.timeframe, spec.timeframe.value),
    )
    found = [Change(field, old, new) for field, old, new in what if old != new]
    differ = (name for name in sorted({*before, *parameters}) if before.get(name) != parameters.get(name))
    return (*found, *(Change(f"parameters.{name}", before.get(name), parameters.get(name)) for name in differ))


def _leaving(bot_id: str, fleet: str, held: Mapping[str, Held], retired: Container[str]) -> Step:
    bot = held.get(bot_id)
    if bot is None:
        raise BadInput("id", "it was retired" if bot_id in retired else "it is not in the fleet", bot_id)
    if not fleet or bot.fleet != fleet:
        raise BadInput("fleet", f"{_owner_of(bot)}: only its own fleet's files retire a bot", fleet)
    if bot.stage is not Stage.LAB:
        raise BadInput("id", f"is in {bot.stage.value}: files retire LAB bots only (`autonomy revert`, `autonomy retire`)", bot_id)
    if bot.pinned:
        raise BadInput("id", "is pinned: unpin it first", bot_id)
    return Step(bot_id, "RETIRED", bot.version)


def _check_owner(bot: Held, fleet: str) -> None:
    """A bot that nobody's files own is taken over; one of another fleet is not.

    Raises:
        BadInput: names whose it is.
    """
    if bot.fleet not in {"", fleet}:
        raise BadInput("fleet", f"{_owner_of(bot)}: another fleet's files do not change it", fleet)


def _owner_of(bot: Held) -> str:
    return f"it belongs to the fleet {bot.fleet}" if bot.fleet else "it belongs to no fleet"
