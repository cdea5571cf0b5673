"""Commands: what operators ask for (producer: proof-api)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from autonomy import topics
from autonomy.events.document import (
    MAX_BOTS_PER_APPLY,
    MAX_BOTS_PER_COMMAND,
    MAX_RETIRED_PER_APPLY,
    Count,
    Digest,
    Event,
    Identifier,
    Text,
    Tick,
    later,
)
from autonomy.events.tick import Head
from autonomy.timeframes import Timeframe
from autonomy.values import BotId, FleetName, Instant, Stage


class Command(Event):
    """An imperative of a named operator; the planner answers each with accepted or rejected.

    Attributes:
        command_id: drawn by proof-api, or derived from actor and idempotency key; said twice, it acts once.
        actor, role: from the credential, never from the body.
        reason: why, in the operator's words.
        needs: the role that it takes; proof-api looks at it, and the planner again.
    """

    needs: ClassVar[Literal["operator", "approver"]] = "operator"

    topic = topics.COMMANDS
    producer = "proof-api"
    command_id: Identifier
    actor: Annotated[str, Field(min_length=1, max_length=64)]
    role: Literal["viewer", "operator", "approver", "system"]
    reason: Text = ""


class RegisterBots(Command):
    """Take these bots into the fleet; each has its own outcome, so the same list may be said again."""

    wire = "register-bots.v1"
    bots: Annotated[tuple[dict[str, JsonValue], ...], Field(min_length=1, max_length=MAX_BOTS_PER_COMMAND)]


class ChangeBot(Command):
    """Give a LAB bot another strategy, parameters, symbol or timeframe: a new version, whose evidence starts at nothing."""

    wire = "change-bot.v1"
    bot_id: BotId
    strategy: Text | None = None
    parameters: dict[str, JsonValue] | None = None
    symbol: Text | None = None
    timeframe: Timeframe | None = later(None)


class ApplyFleet(Command):
    """Make these bots what their documents say, and retire those that their fleet's files no longer name; each has its own outcome.

    A fleet owns the bots that its files brought in or took over, and no other fleet may change or retire them. A bot's document stands
    whole: what it leaves out has its default.

    Attributes:
        fleet: whose files they are; empty: nobody's, and then nothing can be retired.
        bots: as RegisterBots takes them.
        retire: bots of this fleet that leave.
        plan_hash: of the dry run; where it comes out differently by now, nothing is done (PLAN_CHANGED).
    """

    wire = "apply-fleet.v1"
    fleet: FleetName = ""
    bots: Annotated[tuple[dict[str, JsonValue], ...], Field(max_length=MAX_BOTS_PER_APPLY)] = ()
    retire: Annotated[tuple[BotId, ...], Field(max_length=MAX_RETIRED_PER_APPLY)] = ()
    plan_hash: Digest


class RetireBot(Command):
    """Take a bot out of the fleet for good; its id is never used again."""

    wire = "retire-bot.v1"
    bot_id: BotId


class PauseLoop(Command):
    """Enqueue nothing for the fleet, a stage or a bot; ticks, cancels and repairs go on."""

    wire = "pause-loop.v1"
    scope: Literal["fleet", "stage", "bot"] = "fleet"
    target: Text = ""


class ResumeLoop(Command):
    """Undo a pause of the same scope and target."""

    wire = "resume-loop.v1"
    scope: Literal["fleet", "stage", "bot"] = "fleet"
    target: Text = ""


class HoldBot(Command):
    """Schedule nothing for this bot until the hold is released."""

    wire = "hold-bot.v1"
    bot_id: BotId


class ReleaseHold(Command):
    """End an operator's hold, the quarantine after repeated crashes, or the block by a failure on the input of now."""

    wire = "release-hold.v1"
    bot_id: BotId


class SetPolicy(Command):
    """Put another policy document in force."""

    wire = "set-policy.v1"
    needs = "approver"
    document: dict[str, JsonValue]


class CancelJob(Command):
    """End a live job."""

    wire = "cancel-job.v1"
    job_id: Identifier


class RevertToLab(Command):
    """Take bots back to LAB, all that the dry run named or none; their evidence is void and they start again at a baseline.

    Attributes:
        stages, bot_ids, strategies, symbols: which bots; an empty list does not restrict. One bot alone, by its id, may also
            be a pinned one; otherwise pinned bots stay where they are.
        plan_hash, expected_count: of the dry run; another fleet by now is PLAN_CHANGED.
    """

    wire = "revert-to-lab.v1"
    stages: tuple[Stage, ...] = ()
    bot_ids: Annotated[tuple[BotId, ...], Field(max_length=MAX_BOTS_PER_COMMAND)] = ()
    strategies: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    symbols: Annotated[tuple[Text, ...], Field(max_length=1000)] = ()
    plan_hash: Digest
    expected_count: Count


class ApprovePromotion(Command):
    """Apply a recommendation. For CANARY and LIVE two people must say it, both approvers; the first one's is the request."""

    wire = "approve-promotion.v1"
    bot_id: BotId
    recommendation_id: Identifier


class RejectPromotion(Command):
    """Close a recommendation; the same evidence is not recommended again."""

    wire = "reject-promotion.v1"
    bot_id: BotId
    recommendation_id: Identifier


class ApproveChallenger(Command):
    """Make the winner of a search the LAB bot's next version; refused where code, data or costs are no longer those of the search."""

    wire = "approve-challenger.v1"
    bot_id: BotId
    job_id: Identifier


class RejectChallenger(Command):
    """Close the proposal of a search; the bot stays as it is."""

    wire = "reject-challenger.v1"
    bot_id: BotId
    job_id: Identifier


class PinBot(Command):
    """Exempt a bot from bulk reverts, until an instant or for good; `reason` is required."""

    wire = "pin-bot.v1"
    bot_id: BotId
    until: Instant | None = None


class UnpinBot(Command):
    """End a pin."""

    wire = "unpin-bot.v1"
    bot_id: BotId


class SetPromotionMode(Command):
    """MANUAL: an operator approves each promotion. AUTO: the planner applies them within the policy's budget."""

    wire = "set-promotion-mode.v1"
    needs = "approver"
    mode: Literal["MANUAL", "AUTO"]


class AcceptDivergence(Command):
    """Let a halted planner go on although its fold differs from an accepted seal, or the log lost ticks; the proofs show it for ever.

    Attributes:
        tick: whose difference is accepted; where the log lost ticks, the one that the chain goes on after.
        input_root: over the tick's inputs as they stand in the log: it excuses these very records, and no others.
        abandoned: the newest head that the log lost, where it did.
    """

    wire = "accept-divergence.v1"
    needs = "approver"
    tick: Tick
    sealed_state_hash: Digest
    folded_state_hash: Digest
    input_root: Digest | None = later(None)
    abandoned: Head | None = later(None)


class AttemptRefused(Event):
    """Somebody asked for something without the right to, or so badly that it is no command; the planner ignores it.

    Attributes:
        actor: the credential's name, or "anonymous".
        code: NO_CREDENTIAL, BAD_CREDENTIAL, FORBIDDEN or BAD_INPUT.
    """

    wire = "attempt-refused.v1"
    topic = topics.COMMANDS
    producer = "proof-api"
    attempt_id: Identifier
    command: Text
    actor: Text
    role: Text
    code: Text
    field: Text
    limit: Text
