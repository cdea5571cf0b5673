"""Which columns of which tables go out: whole rows, and the parts of rows that some answers show.

Place in the flow: tables → **tables** → SELECT lists of proof-api, and documents. A column is left out by name, with its reason.
"""

from typing import Final

from pydantic import Field, create_model

from autonomy.documents.rows import RowForm, fields_of, row_form
from autonomy.events import Blocker, Document, GateResult
from autonomy.read_model import fleet, keeping, paper, planning, work
from autonomy.values import JobType, Stage

# The place in the queue is told as `place`; ids of times and evidence serve the projection's own comparisons.
BOT_NOW: Final = row_form(
    "BotNow", fleet.BOT_NOW, without=("job_tick", "job_seq", "evidence_job", "decided_at", "ended_at", "ended_event_id")
)
BOT: Final = row_form("Bot", fleet.BOTS)
STAGE_EVENT: Final = row_form("StageEvent", fleet.STAGE_EVENTS)
VERSION: Final = row_form("Version", fleet.BOT_VERSIONS)
DECISION: Final = row_form("Decision", planning.DECISION_SPANS)
RUN: Final = row_form("PlannerRun", planning.PLANNER_RUNS)
PROMOTION: Final = row_form("Promotion", planning.PROMOTIONS)
# Up to 800 kB each: the list would be too large for a page.
COMMAND: Final = row_form("Command", planning.COMMANDS, without=("body",))
# The order and the result are large, and what of them matters is in the tables of evidence, searches and sessions.
JOB: Final = row_form(
    "Job", work.BOT_JOBS,
    without=("partition", "claim_id", "beats", "spec", "result", "event_id", "started_event_id", "ended_event_id"),
)  # fmt: skip
BACKTEST: Final = row_form("Backtest", work.BOT_BACKTESTS)
EVOLUTION: Final = row_form("Evolution", work.EVOLUTIONS)
SESSION: Final = row_form("Session", paper.SESSIONS)
TRADE: Final = row_form("Trade", paper.TRADES)
EQUITY: Final = row_form("EquityPoint", paper.EQUITY)
LOOK: Final = row_form("Look", work.LOOKS)
DRIFT: Final = row_form("DriftFound", paper.DRIFT)
QUARANTINED: Final = row_form("QuarantinedRecord", keeping.QUARANTINE_TABLE)

# ── parts of rows ──────────────────────────────────────────────────────────────────────────────────────────────────────

COMMAND_WHOLE: Final = row_form("CommandWhole", planning.COMMANDS, renamed={"id": "command_id"})
PAUSE: Final = row_form("Pause", planning.LOOP)
REPAIR: Final = row_form("Repair", planning.REPAIRS, without=("sealed_state_hash", "folded_state_hash"))
RUN_TOLD: Final = row_form(
    "PlannerRunTold", planning.PLANNER_RUNS,
    only=(
        "id", "tick", "cause", "started_at", "finished_at", "bots_evaluated", "jobs_enqueued", "blocked", "errors", "zero_jobs_reason",
        "reason_counts", "hash",
    ),
)  # fmt: skip
JOB_TOLD: Final = row_form(
    "JobTold", work.BOT_JOBS, only=("id", "bot_id", "job_type", "status", "created_at"), renamed={"id": "job_id", "job_type": "type"}
)
DECISION_TOLD: Final = row_form("DecisionTold", planning.DECISION_SPANS, only=("from_tick", "reason_code", "job_type", "event_id"))
PINNED: Final = row_form("PinnedBot", fleet.BOTS, only=("id", "stage", "pinned_by", "pin_reason", "pinned_until"), renamed={"id": "bot_id"})
POSITION: Final = row_form(
    "OpenPosition", paper.SESSIONS, only=("id", "bot_id", "units", "equity", "pnl", "last_bar", "replay"), renamed={"id": "session_id"}
)
MOVED: Final = row_form(
    "BotMoved", fleet.STAGE_EVENTS, only=("id", "bot_id", "from_stage", "to_stage", "reason_code"), renamed={"id": "event_id"}
)

# ── rows of views ──────────────────────────────────────────────────────────────────────────────────────────────────────


def same(form: RowForm, *left_out: str) -> dict[str, str]:
    """The columns of a form that a view takes over under their own names."""
    return {name: name for name in form.names if name not in left_out}


DecisionAtTick: Final = create_model(
    "DecisionAtTick", __base__=Document, __module__=__name__, __doc__="One bot at one tick: why it was scheduled or skipped",
    **fields_of(planning.PLANNER_RUNS, {"id": "run_id", "tick": "tick", "started_at": "decided_at"}),
    **fields_of(planning.DECISION_SPANS, {"from_tick": "since_tick", **same(DECISION, "from_tick", "to_tick", "promotion")}),
    changed=(bool, Field(description="this very tick decided it; else it stood since `sinceTick`")),
)  # fmt: skip


class GateOfBot(GateResult):
    """A promotion gate of a bot as last recorded."""

    bot_id: str = Field(description="whose gate")
    since_tick: int = Field(description="tick that recorded it")
    event_id: str = Field(description="id of the BotDecision that says it")
    promotion_to: Stage | None = Field(description="stage that the promotion gates lead to")
    place: int = Field(description="1-based place in the fixed order of gates")


class BlockerOfBot(Blocker):
    """A scheduling gate of a bot that does not pass now."""

    bot_id: str = Field(description="whose gate")
    since_tick: int = Field(description="tick since when the decision stands that names it")
    job_type: JobType | None = Field(description="the want that it blocks")
