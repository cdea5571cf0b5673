"""The documents that reading gives: pages of rows, one bot with everything about it, gates, timeline, policy, market data.

Place in the flow: **answers** → routes of proof-api, OpenAPI. Each has its proof (`Proved`).
"""

from datetime import datetime
from enum import StrEnum, unique
from typing import Final, Literal
from uuid import UUID

from pydantic import Field

from autonomy.bar_outcomes import BarOutcome
from autonomy.documents import tables
from autonomy.documents.attention import AttentionTold
from autonomy.documents.proofs import DecisionSummary, Proof, Proved
from autonomy.documents.rows import RowForm, Shown, made_of, many, maybe
from autonomy.documents.tables import BlockerOfBot, DecisionAtTick, GateOfBot
from autonomy.events import Document, StrategyOffered
from autonomy.values import Stage


class Page(Proved):
    """A page of a list."""

    next_cursor: str | None
    """for the next page, also in the Link header; null on the last one"""


def page_of(form: RowForm, words: str) -> type[Document]:
    """A page of rows; named after its row."""
    return made_of(f"{form.model.__name__}Page", words, Page, items=(many(form.model), "the rows, in the list's order"))


RunPage: Final = page_of(tables.RUN, "Ticks, newest first")
JobPage: Final = page_of(tables.JOB, "Jobs, newest first")
JobDetail: Final = made_of("JobDetail", "One job", Proved, job=(tables.JOB.model, "its row"))
StageEventPage: Final = page_of(tables.STAGE_EVENT, "Changes of stages, newest first")
CommandPage: Final = page_of(tables.COMMAND, "Commands and refused attempts, newest first")
QuarantinePage: Final = page_of(tables.QUARANTINED, "Records that could not be read, newest first")
DecisionPage: Final = page_of(tables.DECISION, "Decisions about one bot, newest first, each for as long as it stood")
BacktestPage: Final = page_of(tables.BACKTEST, "Evidence of one bot, newest first")
PromotionPage: Final = page_of(tables.PROMOTION, "Recommendations, newest first")
EvolutionPage: Final = page_of(tables.EVOLUTION, "Searches of one bot, newest first")
LookPage: Final = page_of(tables.LOOK, "Looks at one bot's timing, newest first")
DriftPage: Final = page_of(tables.DRIFT, "Comparisons of one bot's paper sessions with the engine, newest first")
SessionPage: Final = page_of(tables.SESSION, "Paper sessions of one bot, newest first")
TradePage: Final = page_of(tables.TRADE, "Paper fills of one bot, newest first")
EquityPage: Final = page_of(tables.EQUITY, "The paper account of one bot after each bar, newest first")


@unique
class Trading(StrEnum):
    """Whether a bot trades on paper."""

    TRADED = "TRADED"
    NOT_TRADED = "NOT_TRADED"
    NO_BAR_YET = "NO_BAR_YET"
    NO_SESSION = "NO_SESSION"


class OutcomeCounted(Shown):
    """How many bars had one outcome."""

    outcome: BarOutcome
    """the code"""
    bars: int
    """how many"""
    words: str
    """what is said of one bar"""
    meaning: str
    """the rule behind it"""
    changes: str
    """what lets the bot trade after it; empty where a position was held or changed"""


BarPage: Final = made_of(
    "BarPage", "What became of the bars of a bot's newest paper session, newest first, and why it has not traded", Page,
    trading=(Trading, "whether it trades on paper"),
    why=(str, "the same in words, with its reason"),
    session=(maybe(tables.SESSION.model), "its newest paper session; null before the first"),
    counts=(list[OutcomeCounted], "of the session, the most frequent first; they add up to its traded bars"),
    backtest=(maybe(tables.BACKTEST.model), "its newest evidence; null before the first"),
    backtest_counts=(list[OutcomeCounted], "of that backtest; they add up to its bars"),
    items=(many(tables.EQUITY.model), "its bars with their outcomes, newest first"),
)  # fmt: skip
DecisionAtTickPage: Final = made_of(
    "DecisionAtTickPage", "Every bot's decision at one tick, by bot id", Page,
    items=(many(DecisionAtTick), "one for each bot, changed or not"),
)  # fmt: skip


# ── bots ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


class ByTheClock(Shown):
    """What the reader's clock adds to a badge."""

    basis: Literal["fresh", "stale", "unknown"]
    """whether the state can be believed; stale also while the active job's beats are silent"""
    runner_stale: bool
    """its paper runner waits, never beat, or has gone silent"""
    runner_starting: bool
    """its paper runner was wanted or claimed less than a lease ago and has not beaten yet"""
    lease_sec: float
    """the silence by which this was judged, s"""


class InLine(Shown):
    """What the list of bots adds for a bot whose active job is queued."""

    place: int | None = None
    """1-based place in line; missing unless the active job is queued"""


class Counts(Shown):
    """Bots of the whole fleet by each kind of badge; empty before the first picture of the read models."""

    state: dict[str, int] = Field(default_factory=dict)
    """by state"""
    stage: dict[str, int] = Field(default_factory=dict)
    """by stage"""
    reason: dict[str, int] = Field(default_factory=dict)
    """by the last decision's reason"""
    recency: dict[str, int] = Field(default_factory=dict)
    """by how old the evidence is"""
    recommended: dict[str, int] = Field(default_factory=dict)
    """by whether a recommendation waits, as true or false"""
    needs: dict[str, int] = Field(default_factory=dict)
    """those with a blocker by whom they wait for; of several the first that applies"""


class GroupOfBots(Shown):
    """Bots that have one strategy, symbol or stage."""

    key: str
    """which"""
    bots: int
    """those that the filter shows"""


class FleetFigures(Shown):
    """What a page of bots says of all of them."""

    counts: Counts
    """bots of the whole fleet by badge"""
    total: int
    """bots of the fleet"""
    matching: int
    """bots that the filter shows"""
    groups: list[GroupOfBots] | None
    """all groups that the filter shows, in their order; null where none were asked for"""
    rev: int
    """revision of the read models, from which `/api/stream` goes on"""


BotShown: Final = made_of("BotShown", "What a bot does now, as the reader's clock sees it", tables.BOT_NOW.model, ByTheClock)
BotListed: Final = made_of("BotListed", "What a bot does now, in the list of bots", tables.BOT_NOW.model, ByTheClock, InLine)
BotPage: Final = made_of("BotPage", "Bots by id", Page, FleetFigures, items=(many(BotListed), "the bots that the filter shows, by id"))
BotDetail: Final = made_of(
    "BotDetail", "One bot: what stands about it", Proved,
    bot=(tables.BOT.model, "its own row"),
    bot_now=(maybe(BotShown), "what it does now; null once it left the fleet"),
    decision=(maybe(tables.DECISION.model), "the standing decision; null before the first"),
    latest_backtest=(maybe(tables.BACKTEST.model), "its newest evidence"),
    jobs=(many(tables.JOB.model), "its last 20 jobs, newest first"),
    latest_session=(maybe(tables.SESSION.model), "its newest paper session"),
    latest_drift=(maybe(tables.DRIFT.model), "the newest comparison of a session with the engine"),
    latest_promotion=(maybe(tables.PROMOTION.model), "its newest recommendation"),
)  # fmt: skip
Gates: Final = made_of(
    "Gates", "Every promotion gate of a bot, and what blocks its scheduling, as recorded in decisions", Proved,
    items=(many(GateOfBot), "promotion gates in their fixed order"),
    blockers=(many(BlockerOfBot), "scheduling gates that do not pass now"),
    promotion_to=(Stage | None, "stage that the promotion gates lead to; null without gates"),
    since_tick=(int | None, "tick that recorded the promotion gates"),
    event_id=(UUID | None, "id of the BotDecision that says them"),
    decision=(maybe(tables.DECISION_TOLD.model), "the standing decision; null before the first"),
)  # fmt: skip


class Neighbours(Proved):
    """The bots beside one in the fleet's list."""

    previous: str | None
    """the one before it; null where it is the first"""
    next: str | None
    """the one after it; null where it is the last"""


# ── the fleet's rules and data ─────────────────────────────────────────────────────────────────────────────────────────


class Source(Shown):
    """Bars that live runners announced, of one source and timeframe."""

    source_id: str
    """where the bars come from"""
    timeframe: str
    """of its bars"""
    synthetic: bool
    """made-up bars never count for a promotion"""
    symbols: list[str]
    """of which there are bars, sorted"""
    first_bar: datetime
    """start of the first bar of any symbol"""
    last_bar: datetime
    """start of the last bar of any symbol"""
    bars: int
    """of all symbols together"""
    runners: int
    """runner processes that announced it"""


class MarketData(Proved):
    """Which bars there are, by source."""

    items: list[Source]
    """by source; empty while no runner has said what it can read"""


class StrategyShown(Shown):
    """A strategy that live runners offer."""

    offer: StrategyOffered
    """as announced; of several versions the one that most runners offer"""
    runners: int
    """runner processes that offer it"""
    code_hashes: list[str]
    """all under this name, sorted; more than one: runners disagree, and no job of it is scheduled"""


class StrategyFaultShown(Shown):
    """A file that should hold a strategy and cannot be used."""

    file: str
    """its name, or an entry point"""
    line: int | None
    """where the fault is"""
    reason: str
    """what is wrong, in words"""
    in_use: bool
    """whether the last good version of it stays in use"""
    runners: int
    """runner processes that said so"""


class StrategyCatalogue(Proved):
    """Which strategies there are, as live runners announced them."""

    items: list[StrategyShown]
    """by name; empty while no runner has said what it can run"""
    faults: list[StrategyFaultShown]
    """by file"""


# ── the stream ─────────────────────────────────────────────────────────────────────────────────────────────────────────

BotsEvent: Final = made_of(
    "BotsEvent", "Data of an event `bots`: rows that changed", Shown,
    items=(many(BotShown), "the changed bots"), rev=(int, "revision up to which all changes are told"),
    more=(bool, "over 500 rows changed: fetch the list again"),
)  # fmt: skip


class ProofEvent(Shown):
    """Data of an event `proof`, once a second."""

    proof: Proof
    """how far the rows can be trusted"""
    counts: Counts
    """bots of the whole fleet by badge"""
    summary: DecisionSummary | None
    """what the last tick decided; null before the first picture"""
    attention: AttentionTold
    """what needs a person"""
