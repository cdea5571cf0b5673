"""Work: jobs, the processes that do them, and what they found.

Place in the flow: job events, beats and results → **tables** → the proofs and each bot's page.
"""

from typing import Final, Literal

from sqlalchemy import BigInteger, Boolean, Float, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSON, JSONB

from autonomy.events import Contender, JobEnqueued, ResearchSummary, SourceFault, StrategyFault, StrategyOffered
from autonomy.gates import Verdict
from autonomy.read_model.columns import ID, INSTANT, METADATA, column
from autonomy.read_model.parts import BarsOffered, LeftAttempt, Result, SearchedFor, SearchStop, SearchVerdict
from autonomy.values import Cause, JobClass, JobStatus, JobType, Stage

LIFE: Final = "tstzrange(created_at, CASE WHEN finished_at < created_at THEN created_at ELSE finished_at END, '[]')"
"""When a job lived, for the index that finds those alive at an instant. Two clocks say when: a range that ends before it begins is an
error."""

BOT_JOBS: Final = Table(
    "bot_jobs", METADATA,
    column("id", ID, "job id: uuid5 of (tick, try, seq)", key=True),
    column("bot_id", Text(), "whose job", null=False),
    column("job_type", Text(), "BACKTEST_BASELINE, BACKTEST_REFRESH, EVOLVE or RUNNER_START", null=False, holds=JobType),
    column("job_class", Text(), "research or runner; a bot has at most one live job of each", null=False, holds=JobClass),
    column("status", Text(), "QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED", null=False, holds=JobStatus),
    column("cause", Text(), "why it left its last state; null on success", holds=Cause),
    column("detail", Text(), "what the runner said of a failure"),
    column("stage", Text(), "its bot's stage when it was enqueued", null=False, holds=Stage),
    column("strategy", Text(), "its bot's strategy when it was enqueued", null=False),
    column("symbol", Text(), "what its bot traded when it was enqueued", null=False),
    column("tick", BigInteger(), "tick that enqueued it", null=False),
    column("seq", Integer(), "place in its tick; (tick, seq) is the order of the queue", null=False),
    column("partition", Integer(), "partition of autonomy.jobs", null=False),
    column("attempt", Integer(), "1-based", null=False),
    column("failures", Integer(), "expired leases", null=False),
    column("claim_id", ID, "winner of the current attempt"),
    column("process_id", ID, "runner process of the current or last attempt"),
    column("created_at", INSTANT, "time of the tick that enqueued it", null=False),
    column("queued_at", INSTANT, "since when the current attempt waits or waited", null=False),
    column("started_at", INSTANT, "append time of the winning claim of the current or last attempt"),
    column("finished_at", INSTANT, "append time of its end"),
    column("last_beat_at", INSTANT, "append time of the last heartbeat of its winner, or of the claim"),
    column("beats", Boolean(), "the winner of the current attempt beat since its claim; null before"),
    column("phase", Text(), "what the runner is at"),
    column("progress", Float(), "0 to 1, as the runner reported it"),
    column("fingerprint", Text(), "what its evidence is bound to", null=False),
    column("bars_until", INSTANT, "start of the last bar it may read", null=False),
    column("spec", JSON(), "the whole order, as enqueued", null=False, holds=JobEnqueued),
    column("result", JSONB(), "figures of the result (of a backtest the whole summary is in bot_backtests); null without one",
           holds=Result),
    column("attempts", JSONB(), "earlier attempts, each with process, times, cause and the event that ended it", null=False,
           holds=list[LeftAttempt]),
    column("event_id", ID, "record that ordered it"),
    column("started_event_id", ID, "claim that won the current or last attempt"),
    column("ended_event_id", ID, "event that ended it"),
    Index("bot_jobs_live", "status", "tick", "seq", postgresql_where=text("status IN ('QUEUED','RUNNING')")),
    Index("bot_jobs_by_bot", "bot_id", "created_at"),
    # A day of a large fleet has 86,400 jobs, whose orders and results are wide: what a timeline counts is read from the index alone.
    Index("bot_jobs_by_created", "created_at", "id",
          postgresql_include=["queued_at", "started_at", "finished_at", "status", "bot_id", "process_id", "stage", "strategy", "symbol"]),
    Index("bot_jobs_by_finished", "finished_at"),
    Index("bot_jobs_by_life", text(LIFE), postgresql_using="gist"),
    Index("bot_jobs_retried", "created_at", postgresql_where=text("attempt > 1")),
    comment="Every job that an accepted tick enqueued, folded by the shared lifecycle",
)  # fmt: skip

BOT_BACKTESTS: Final = Table(
    "bot_backtests", METADATA,
    column("job_id", ID, "the job that found it", key=True),
    column("bot_id", Text(), "about which bot", null=False),
    column("job_type", Text(), "baseline or refresh", null=False, holds=Literal[JobType.BACKTEST_BASELINE, JobType.BACKTEST_REFRESH]),
    column("fingerprint", Text(), "strategy code, parameters, data, engine, costs", null=False),
    column("data_sha256", Text(), "of the bars that were read", null=False),
    column("source_id", Text(), "where the bars come from", null=False),
    column("synthetic", Boolean(), "made-up bars never count for a promotion", null=False),
    column("bars", Integer(), "bars read", null=False),
    column("first_bar", INSTANT, "start of the first bar", null=False),
    column("last_bar", INSTANT, "start of the last bar", null=False),
    column("sharpe", Float(), "annualised"),
    column("oos_sharpe", Float(), "out of sample"),
    column("max_drawdown", Float(), "fraction"),
    column("cagr", Float(), "per year"),
    column("trades", Integer(), "closed trades", null=False),
    column("dsr", Float(), "deflated Sharpe ratio, probability"),
    column("look_ahead_ok", Boolean(), "decisions are equal when the future is cut off", null=False),
    column("summary", JSON(), "the whole summary", null=False, holds=ResearchSummary),
    column("artifact", Text(), "content address of the whole report"),
    column("created_at", INSTANT, "append time of the result", null=False),
    Index("bot_backtests_by_bot", "bot_id", "created_at"),
    comment="Evidence: one row per accepted research result",
)  # fmt: skip

BOT_RUNNERS: Final = Table(
    "bot_runners", METADATA,
    column("process_id", ID, "runner process", key=True),
    column("first_seen_at", INSTANT, "first sign of life", null=False),
    column("last_beat_at", INSTANT, "last sign of life", null=False),
    column("research_slots", Integer(), "backtests it works on at once", null=False),
    column("evolve_slots", Integer(), "searches it works on at once", null=False),
    column("runner_slots", Integer(), "paper runners it carries at once", null=False),
    column("held", Integer(), "jobs it held at its last beat", null=False),
    column("stopping", Boolean(), "it said goodbye", null=False),
    column("engine_version", Text(), "of its engine; empty before its first announcement", null=False),
    column("job_types", JSONB(), "job types that it takes", null=False, holds=list[JobType]),
    column("symbols", JSONB(), "symbols with bars, first, last, source", null=False, holds=list[BarsOffered]),
    column("strategies", JSONB(), "strategies it can run, with their parameters and code hash", null=False, holds=list[StrategyOffered]),
    column("strategy_faults", JSONB(), "files of strategies that it cannot use", null=False, holds=list[StrategyFault]),
    column("source_faults", JSONB(), "of its source of bars, what it cannot use as it is now", null=False, holds=list[SourceFault]),
    column("unmatched", JSONB(), "claims that beat before their start was read, with the time", null=False, holds=dict[str, str]),
    comment="Job-runner processes and what they announced",
)  # fmt: skip

EVOLUTIONS: Final = Table(
    "bot_evolutions", METADATA,
    column("job_id", ID, "the search", key=True),
    column("bot_id", Text(), "for which bot", null=False),
    column("why", Text(), "WEAK, or AT_THE_DOOR of a promotion", null=False, holds=SearchedFor),
    column("seed", BigInteger(), "the same seed on the same bars gives the same trials", null=False),
    column("prior_trials", BigInteger(), "evaluations counted for the bot before", null=False),
    column("enqueued_at", INSTANT, "tick time of its order", null=False),
    column("finished_at", INSTANT, "append time of its end"),
    column("evaluations", BigInteger(), "evaluations made"),
    column("generations", Integer(), "generations made"),
    column("stop_reason", Text(), "GENERATIONS_DONE, EVALUATIONS_SPENT or TIME_SPENT", holds=SearchStop),
    column("champion", JSONB(), "the bot's own parameters on the hold-out", holds=Contender),
    column("challenger", JSONB(), "the best found; null when it is the champion", holds=Contender),
    column("dsr", Float(), "deflated Sharpe ratio of the challenger, every evaluation counted"),
    column("pbo", Float(), "probability of backtest overfitting"),
    column("opening", Integer(), "which hold-out of the bot's line it opened; null without a challenger"),
    column("paired_t", Float(), "Student's t of the challenger's returns less the champion's on the hold-out"),
    column("required_t", Float(), "what this opening asks for"),
    column("verdict", Text(), "WINS or LOSES; FAILED or CANCELLED without a result; null before", holds=SearchVerdict),
    column("applied", Boolean(), "the challenger became the bot's next version"),
    column("findings", JSONB(), "what the challenger lacks", null=False, holds=list[str]),
    column("judged_at", INSTANT, "tick time of the verdict"),
    column("trials_sha256", Text(), "over the sequence of all trials"),
    column("artifact", Text(), "content address of the whole report"),
    column("event_id", ID, "record of the verdict"),
    Index("bot_evolutions_by_bot", "bot_id", "enqueued_at"),
    Index("bot_evolutions_open", "bot_id", postgresql_where=text("verdict IS NULL")),
    comment="Searches over a bot's parameters, and whether their challenger won",
)  # fmt: skip

LOOKS: Final = Table(
    "bot_looks", METADATA,
    column("bot_id", Text(), "whose timing was judged", key=True),
    column("number", Integer(), "which look of its line, all versions together", key=True),
    column("job_id", ID, "the backtest it judges", null=False),
    column("fingerprint", Text(), "strategy code, parameters, data, engine, costs", null=False),
    column("bars", Integer(), "that it saw", null=False),
    column("trades", Integer(), "closed ones", null=False),
    column("z", Float(), "of its Sharpe ratio among permuted markets", null=False),
    column("p_value", Float(), "share of the markets on which it did at least as well", null=False),
    column("markets", Integer(), "that were tried", null=False),
    column("alpha", Float(), "what the look spent of the line's level", null=False),
    column("required_z", Float(), "what luck reaches with that probability", null=False),
    column("synthetic", Boolean(), "on made-up bars; counted apart", null=False),
    column("verdict", Text(), "PASS or FAIL", null=False, holds=Verdict),
    column("tick", BigInteger(), "in which it was judged", null=False),
    column("judged_at", INSTANT, "its tick time", null=False),
    column("event_id", ID, "record of the look", null=False),
    comment="Judgements of bots' timing; the sum of alpha on recorded bars is how many false recommendations are expected",
)  # fmt: skip
