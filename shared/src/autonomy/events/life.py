"""The life of a bot as ticks record it: promotions, verdicts, the end of a paper session, pins (producer: planner)."""

from typing import Annotated, Literal

from pydantic import Field

from autonomy.events.document import Count, Digest, Identifier, Text
from autonomy.events.evolution import Contender
from autonomy.events.tick import GateResult, TickRecord
from autonomy.gates import Verdict
from autonomy.values import BotId, Cause, Drift, Instant, Stage


class PromotionRecommended(TickRecord):
    """Every deciding gate of the bot's stage passes. MANUAL waits for approval; AUTO applies within its budget.

    Attributes:
        stage_version, version, fingerprint: what the recommendation is about; another one closes it.
        gates: all of them, as measured.
    """

    wire = "promotion-recommended.v1"
    recommendation_id: Identifier
    bot_id: BotId
    from_stage: Stage
    to_stage: Stage
    stage_version: Count
    version: Count
    fingerprint: Digest
    evidence_job: Identifier
    gates: tuple[GateResult, ...]


class PromotionRequested(TickRecord):
    """The first of two approvals that CANARY and LIVE need; the second must come from somebody else."""

    wire = "promotion-requested.v1"
    recommendation_id: Identifier
    bot_id: BotId
    actor: Text


class PromotionWithdrawn(TickRecord):
    """A recommendation ended without a promotion.

    Attributes:
        outcome: WITHDRAWN by the planner, REJECTED by an operator.
        cause: GATES_FAIL, EVIDENCE_EXPIRED, EVIDENCE_CHANGED, BOT_CHANGED, REVERTED, RETIRED or REJECTED.
        gates: those that no longer pass.
    """

    wire = "promotion-withdrawn.v1"
    recommendation_id: Identifier
    bot_id: BotId
    outcome: Literal["WITHDRAWN", "REJECTED"]
    cause: Text
    actor: Text
    reason: Text = ""
    gates: tuple[GateResult, ...] = ()


class DriftJudged(TickRecord):
    """The live window against the engine's re-run of the same fingerprint on the same bars.

    Attributes:
        verdict: CONSISTENT, MINOR, MAJOR or INCONCLUSIVE; MAJOR recommends a demotion.
        findings: each comparison that is out of its limit, or why there was too little to compare.
        demote: whether taking the bot back to LAB is recommended.
    """

    wire = "drift-judged.v1"
    bot_id: BotId
    job_id: Identifier
    session_id: Identifier
    verdict: Drift
    findings: tuple[Text, ...]
    demote: bool


class ChallengerJudged(TickRecord):
    """What a finished search means for its bot.

    Attributes:
        verdict: WINS or LOSES.
        applied: the LAB bot became this version in the same tick (BotChanged); otherwise a winner is a proposal, which
            ApproveChallenger applies where the bot says what may become of one (`evolve`), and ChangeBot by hand elsewhere.
        findings: what the challenger lacks, empty for a winner.
        opening: which hold-out of the line this was, from 1 on; None without a challenger.
        paired_t, required_t: of the challenger's returns less the champion's there, and what this opening asks for.
    """

    wire = "challenger-judged.v1"
    bot_id: BotId
    job_id: Identifier
    verdict: Literal["WINS", "LOSES"]
    applied: bool
    findings: tuple[Text, ...]
    challenger: Contender | None
    opening: Annotated[int, Field(ge=1)] | None
    paired_t: float | None
    required_t: float | None


class LookTaken(TickRecord):
    """One judgement of a bot's timing. It stands for its fingerprint until the next look; between looks a refresh can only take it away.

    Attributes:
        number: which look of the bot's line, all versions together.
        bars, trades, z, p_value, markets: of the evidence, see `TimingFound`.
        alpha: what this look spends of the line's level.
        required_z: what luck alone reaches with that probability.
        synthetic: on made-up bars; what it spends is counted apart.
    """

    wire = "look-taken.v1"
    bot_id: BotId
    job_id: Identifier
    fingerprint: Digest
    number: Annotated[int, Field(ge=1)]
    bars: Count
    trades: Count
    z: float
    p_value: Annotated[float, Field(gt=0, le=1)]
    markets: Count
    alpha: Annotated[float, Field(gt=0, lt=1)]
    required_z: float
    synthetic: bool
    verdict: Verdict


class ChallengerDeclined(TickRecord):
    """An operator closed the proposal of a search; the bot stays as it is."""

    wire = "challenger-declined.v1"
    bot_id: BotId
    job_id: Identifier
    actor: Text
    reason: Text = ""


class SessionClosed(TickRecord):
    """A paper session ended for good: its position is closed at the last bar that the tick knew; later bars of it are void.

    Attributes:
        last_bar, bar: of the last mark that counts; None when it never took a bar.
        units: signed, of the position that was closed; 0 when there was none.
        equity_usd: after flattening; None when it never took a bar.
        pnl_usd: of the trade that the flattening closes; None when there was no position.
    """

    wire = "session-closed.v1"
    session_id: Identifier
    bot_id: BotId
    cause: Cause
    actor: Text
    last_bar: Instant | None
    bar: Count | None
    units: float
    price_usd: float
    fee_usd: float
    equity_usd: float | None
    pnl_usd: float | None


class BotPinned(TickRecord):
    """Bulk reverts leave this bot where it is."""

    wire = "bot-pinned.v1"
    bot_id: BotId
    actor: Text
    reason: Text
    until: Instant | None


class BotUnpinned(TickRecord):
    """The pin ended, by an operator or by its own date."""

    wire = "bot-unpinned.v1"
    bot_id: BotId
    actor: Text
    cause: Literal["OPERATOR", "EXPIRED"]
