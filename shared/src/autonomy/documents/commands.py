"""What became of a command, what a revert would do, and who is asking.

Place in the flow: **commands** → acting routes of proof-api, OpenAPI.

Source: R-C2; docs/architecture.md, "Revert".
"""

from typing import Final, Literal
from uuid import UUID

from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown, made_of, many
from autonomy.documents.tables import COMMAND_WHOLE, MOVED, PAUSE, PINNED, POSITION
from autonomy.events import BotOutcome
from autonomy.values import Stage


class Operator(Shown):
    """Whose token it is."""

    name: str
    """as commands name the actor"""
    role: Literal["viewer", "operator", "approver"]
    """what they may do"""


class CommandOpen(Shown):
    """The command is in the log; the planner has not answered yet."""

    command_id: UUID
    """its id: ask `/api/commands/{command_id}` for the answer"""
    status: Literal["OPEN"]
    """always OPEN"""


BotReverted: Final = made_of("BotReverted", "A bot that a revert moved", MOVED.model, outcome=(Literal["REVERTED"], "always REVERTED"))
Outcomes: Final = many(BotReverted | BotOutcome)
CommandAnswered: Final = made_of(
    "CommandAnswered", "A command and the planner's answer", COMMAND_WHOLE.model,
    outcomes=(Outcomes, "per bot, where the command has many; of a revert every bot that it names"),
)  # fmt: skip
CommandFound: Final = made_of("CommandFound", "A command and what became of it, also while it is open", CommandAnswered, Proved)


class Pins(Shown):
    """Bots that stay because they are pinned."""

    count: int
    """how many"""


PinsNamed: Final = made_of(
    "PinnedBots", "Bots that stay because they are pinned", Pins, bots=(many(PINNED.model), "at most 1,000 of them, by id")
)


class LiveByStatus(Shown):
    """Live jobs of one type; a status that none has is missing."""

    queued: int = 0
    """that wait for a runner"""
    running: int = 0
    """that a runner works on"""


class StopFigures(Shown):
    """What would stop, in numbers."""

    jobs: dict[str, LiveByStatus]
    """live jobs that would be cancelled, by type"""
    open_sessions: int
    """paper sessions that would be closed"""
    with_position: int
    """those of them with an open position, which would be flattened"""


Stops: Final = made_of("Stops", "What would stop", StopFigures, positions=(many(POSITION.model), "at most 1,000 open positions, by bot"))


class RevertCommand(Shown):
    """The body that applies exactly this plan, to be completed with a reason."""

    type: Literal["revert-to-lab"]
    """the command"""
    stages: list[Stage]
    """of these stages; empty: of any"""
    bot_ids: list[str]
    """these bots; empty: any"""
    strategies: list[str]
    """of these strategies; empty: of any"""
    symbols: list[str]
    """of these symbols; empty: of any"""
    plan_hash: str
    """of this plan: the command is refused when the fleet changed"""
    expected_count: int
    """how many bots move"""


class RevertFigures(Proved):
    """What a revert to LAB would do, in numbers."""

    plan_hash: str
    """over every bot that it is about, with its stage and pin"""
    expected_count: int
    """how many bots would move"""
    bot_ids: list[str]
    """the first 1,000 of them, by id"""
    by_stage: dict[Stage, int]
    """how many come from each stage"""
    loop_paused: bool
    """whether a pause holds the baselines back"""
    baselines: Literal["AFTER_RESUME", "SAME_TICK"]
    """when the baselines of the moved bots are enqueued"""
    command: RevertCommand
    """what applies it"""


RevertPlanned: Final = made_of(
    "RevertPlan", "What a revert to LAB would do; nothing is changed", RevertFigures,
    pinned=(PinsNamed, "who stays because of a pin"), stops=(Stops, "what would stop"),
    paused_by=(many(PAUSE.model), "the pauses that hold the baselines back"),
)  # fmt: skip


class FieldChanged(Shown):
    """A field of a bot that becomes another."""

    field: str
    """which; a parameter as `parameters.NAME`"""
    before: int | float | str | None
    """as it stands; null: it is not there"""
    after: int | float | str | None
    """as it would be; null: it goes"""


class BotStep(Shown):
    """What would become of one bot."""

    bot_id: str
    """which"""
    outcome: Literal["REGISTERED", "CHANGED", "AMENDED", "RETIRED", "REJECTED"]
    """CHANGED makes a new version; AMENDED changes name, fleet or evolve alone"""
    version: int
    """as it stands; 0 of a new bot"""
    changes: list[FieldChanged]
    """every field that becomes another, of a bot that is there"""
    field: str | None
    """of a refusal: which field"""
    limit: str | None
    """of a refusal: what it must be"""


class ApplyPlanned(Proved):
    """What a fleet's files would do; nothing is changed."""

    plan_hash: str
    """over every step: the command is refused where it comes out differently by then"""
    counts: dict[str, int]
    """bots by outcome, UNCHANGED among them"""
    items: list[BotStep]
    """every bot that does not stay as it is, in the order of the body, those to retire last"""


class FleetMembers(Proved):
    """Bots that a fleet's files own."""

    items: list[str]
    """their ids, sorted"""
    next: str | None
    """the `after` of the next page; null on the last one"""
