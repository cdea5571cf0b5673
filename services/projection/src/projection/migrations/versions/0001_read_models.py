"""The read models: tables with their comments, views, and what each of them means."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

VIEWS = {
    "autonomy_bot_decisions": (
        """
CREATE VIEW autonomy_bot_decisions AS
SELECT r.id AS run_id, r.tick, r.started_at AS decided_at, s.bot_id, s.reason_code, s.job_type, s.job_id,
       (s.from_tick = r.tick) AS changed, s.from_tick AS since_tick, s.blockers, s.detail, s.until_at, s.next_due_at,
       s.limit_name, s.limit_value, s.place, s.would, s.due_since, s.promotion_to, s.event_id
FROM autonomy_planner_runs r
JOIN decision_spans s ON s.from_tick <= r.tick AND (s.to_tick IS NULL OR s.to_tick > r.tick)
""",
        "One row per bot and planner run: why it was scheduled or skipped",
    ),
    "bot_gates": (
        """
CREATE VIEW bot_gates AS
SELECT b.id AS bot_id, s.from_tick AS since_tick, s.event_id, s.promotion_to, g.place, g.code, g.verdict, g.measured, g.required,
       g."clearsWhen" AS clears_when, g."evidenceJob" AS evidence_job, g."evidenceAgeBars" AS evidence_age_bars, g.fingerprint,
       g.deciding, g."expiresAt" AS expires_at
FROM bots b
CROSS JOIN LATERAL (
    SELECT * FROM decision_spans d WHERE d.bot_id = b.id AND d.promotion IS NOT NULL ORDER BY d.from_tick DESC LIMIT 1) s
CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(s.promotion) AS (
    code text, verdict text, measured text, required text, "clearsWhen" text, "evidenceJob" uuid, "evidenceAgeBars" integer,
    fingerprint text, deciding boolean, "expiresAt" timestamptz)) WITH ORDINALITY
    AS g(code, verdict, measured, required, "clearsWhen", "evidenceJob", "evidenceAgeBars", fingerprint, deciding, "expiresAt", place)
WHERE b.retired_at IS NULL
""",
        "Every promotion gate of each bot as last recorded, passes too",
    ),
    "bot_blockers": (
        """
CREATE VIEW bot_blockers AS
SELECT s.bot_id, s.from_tick AS since_tick, s.job_type, g.code, g.verdict, g.measured, g.required, g."clearsWhen" AS clears_when,
       g."evidenceJob" AS evidence_job, g."evidenceAgeBars" AS evidence_age_bars, g.fingerprint
FROM decision_spans s
CROSS JOIN LATERAL jsonb_to_recordset(s.blockers) AS g(
    code text, verdict text, measured text, required text, "clearsWhen" text, "evidenceJob" uuid,
    "evidenceAgeBars" integer, fingerprint text)
WHERE s.to_tick IS NULL
""",
        "Scheduling gates that do not pass now, with what was measured and what clears them",
    ),
    "bot_backtest_equity": (
        """
CREATE VIEW bot_backtest_equity AS
SELECT b.bot_id, b.job_id, b.created_at, (p.point->>0)::date AS day, (p.point->>1)::float8 AS equity,
       (p.point->>2)::float8 AS buy_and_hold
FROM bot_backtests b CROSS JOIN LATERAL jsonb_array_elements(b.summary->'equity') AS p(point)
""",
        "Equity of each backtest and of buying and holding, as multiples of the initial cash",
    ),
}


def upgrade() -> None:
    """Create everything in the schema on the connection's search path."""
    _create_fleet()
    _create_work()
    _create_paper()
    _create_planning()
    _create_keeping()
    for name, (sql, comment) in VIEWS.items():
        op.execute(sql)
        op.execute(f"COMMENT ON VIEW {name} IS '{comment}'")


def _create_fleet() -> None:
    op.create_table(
        "bot_notes",
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False, comment="record that says it"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="about which bot"),
        sa.Column("kind", sa.Text(), nullable=False, comment="PINNED, UNPINNED, HELD, RELEASED, RETIRED, PAUSED or RESUMED"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who"),
        sa.Column("detail", sa.Text(), nullable=False, comment="why, or until when"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="tick that recorded it"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="tick time"),
        sa.PrimaryKeyConstraint("event_id"),
        comment="What else operators and the planner did to a bot: pins, holds, pauses, its end",
    )
    op.create_index("bot_notes_by_bot", "bot_notes", ["bot_id", "created_at"], unique=False)
    op.create_table(
        "bot_now",
        sa.Column("bot_id", sa.Text(), nullable=False, comment="whose badge"),
        sa.Column("state", sa.Text(), nullable=False, comment="lane 1, from the definition in the design"),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, comment="since when"),
        sa.Column("reason_code", sa.Text(), nullable=False, comment="last decision's reason"),
        sa.Column("detail", sa.Text(), nullable=False, comment="last decision's detail"),
        sa.Column("would", sa.Text(), nullable=True, comment="last decision's reason without the pause"),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=True, comment="when something becomes due"),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=True, comment="end of a cooldown"),
        sa.Column("job_id", sa.UUID(as_uuid=False), nullable=True, comment="active job"),
        sa.Column("job_type", sa.Text(), nullable=True, comment="active job's type"),
        sa.Column("job_status", sa.Text(), nullable=True, comment="active job's status"),
        sa.Column("job_why", sa.Text(), nullable=True, comment="why it evolves: WEAK or AT_THE_DOOR"),
        sa.Column("job_tick", sa.BigInteger(), nullable=True, comment="active job's place in the queue: tick"),
        sa.Column("job_seq", sa.Integer(), nullable=True, comment="active job's place in the queue: seq"),
        sa.Column("phase", sa.Text(), nullable=True, comment="what the runner is at"),
        sa.Column("progress", sa.Float(), nullable=True, comment="as reported"),
        sa.Column("last_beat_at", sa.DateTime(timezone=True), nullable=True, comment="last sign of life of the active job"),
        sa.Column("runner_job_id", sa.UUID(as_uuid=False), nullable=True, comment="live paper runner, also beside another active job"),
        sa.Column("runner_status", sa.Text(), nullable=True, comment="its status"),
        sa.Column(
            "runner_beat_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="its last heartbeat; null before the first of the current attempt",
        ),
        sa.Column("blockers", postgresql.JSONB(), nullable=False, comment="scheduling gates that do not pass"),
        sa.Column("promotion_to", sa.Text(), nullable=True, comment="stage that the promotion gates lead to"),
        sa.Column(
            "promotion_blockers",
            postgresql.JSONB(),
            nullable=False,
            comment="codes of the deciding promotion gates that do not pass, as last said",
        ),
        sa.Column("promotion_gates", sa.Integer(), nullable=False, comment="how many promotion gates there are"),
        sa.Column("recommendation_id", sa.UUID(as_uuid=False), nullable=True, comment="open recommendation"),
        sa.Column("recommendation_status", sa.Text(), nullable=True, comment="OPEN, or REQUESTED while a second approver is missing"),
        sa.Column("session_id", sa.UUID(as_uuid=False), nullable=True, comment="open paper session"),
        sa.Column("session_equity", sa.Float(), nullable=True, comment="of the open session after its last bar, USD"),
        sa.Column("session_pnl", sa.Float(), nullable=True, comment="of the open session, USD"),
        sa.Column("session_trades", sa.Integer(), nullable=True, comment="closed trades of the open session"),
        sa.Column("session_units", sa.Float(), nullable=True, comment="open position, signed"),
        sa.Column("session_replay", sa.Boolean(), nullable=True, comment="its bars are recorded ones"),
        sa.Column("last_mark_at", sa.DateTime(timezone=True), nullable=True, comment="when its last bar was marked"),
        sa.Column("last_mark_day", sa.Text(), nullable=True, comment="day of that bar"),
        sa.Column(
            "drift", sa.Text(), nullable=True, comment="CONSISTENT, MINOR, MAJOR or INCONCLUSIVE: the open session against the engine"
        ),
        sa.Column("drift_at", sa.DateTime(timezone=True), nullable=True, comment="when that was judged"),
        sa.Column("demote", sa.Boolean(), nullable=True, comment="the last judgement recommends taking it back to LAB"),
        sa.Column("recency", sa.Text(), nullable=False, comment="lane 2: fresh, stale or none"),
        sa.Column("evidence_until", sa.Text(), nullable=True, comment="last day of bars of the newest evidence"),
        sa.Column("evidence_at", sa.DateTime(timezone=True), nullable=True, comment="when the newest evidence came in"),
        sa.Column("sharpe", sa.Float(), nullable=True, comment="of the newest evidence, annualised"),
        sa.Column("max_drawdown", sa.Float(), nullable=True, comment="of the newest evidence, fraction"),
        sa.Column("trades", sa.Integer(), nullable=True, comment="of the newest evidence"),
        sa.Column("spark", postgresql.JSONB(), nullable=True, comment="equity of the newest evidence, at most 24 points"),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True, comment="tick time of the standing decision"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="end of the bot's last job"),
        sa.Column("ended_event_id", sa.UUID(as_uuid=False), nullable=True, comment="event that ended it"),
        sa.Column("because_event_id", sa.UUID(as_uuid=False), nullable=True, comment="event that made it so"),
        sa.Column("stage", sa.Text(), nullable=False, comment="copy of bots.stage, for filters"),
        sa.Column("name", sa.Text(), nullable=False, comment="copy of bots.name, for search"),
        sa.Column("strategy", sa.Text(), nullable=False, comment="copy of bots.strategy"),
        sa.Column("symbol", sa.Text(), nullable=False, comment="copy of bots.symbol"),
        sa.Column("parameters", postgresql.JSONB(), nullable=False, comment="copy of bots.parameters"),
        sa.Column("origin", sa.Text(), nullable=False, comment="copy of bots.origin"),
        sa.Column("pinned", sa.Boolean(), nullable=False, comment="copy of bots.pinned"),
        sa.Column("pin_reason", sa.Text(), nullable=False, comment="copy of bots.pin_reason"),
        sa.Column("pinned_by", sa.Text(), nullable=True, comment="copy of bots.pinned_by"),
        sa.Column("pinned_until", sa.DateTime(timezone=True), nullable=True, comment="copy of bots.pinned_until"),
        sa.Column("version", sa.Integer(), nullable=False, comment="copy of bots.version"),
        sa.Column("rev", sa.BigInteger(), nullable=False, comment="revision of the batch that last changed the row"),
        sa.PrimaryKeyConstraint("bot_id"),
        comment="What each bot of the fleet does now; the only source of lane 1",
    )
    op.create_index("bot_now_by_beat", "bot_now", ["last_beat_at"], unique=False, postgresql_where=sa.text("state = 'RUNNER_RUNNING'"))
    op.create_index("bot_now_by_reason", "bot_now", ["reason_code", "bot_id"], unique=False)
    op.create_index("bot_now_by_rev", "bot_now", ["rev"], unique=False)
    op.create_index("bot_now_by_stage", "bot_now", ["stage", "bot_id"], unique=False)
    op.create_index("bot_now_by_state", "bot_now", ["state", "bot_id"], unique=False)
    op.create_table(
        "bot_stage_events",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False, comment="event id"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="whose stage"),
        sa.Column("from_stage", sa.Text(), nullable=True, comment="null at registration"),
        sa.Column("to_stage", sa.Text(), nullable=False, comment="the stage from then on"),
        sa.Column("reason_code", sa.Text(), nullable=False, comment="why"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="tick time"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="tick that recorded it"),
        sa.Column("command_id", sa.UUID(as_uuid=False), nullable=True, comment="command that moved it"),
        sa.Column("recommendation_id", sa.UUID(as_uuid=False), nullable=True, comment="promotion that moved it"),
        sa.Column("evidence_job", sa.UUID(as_uuid=False), nullable=True, comment="job whose result the promotion stands on"),
        sa.Column("approved_by", postgresql.JSONB(), nullable=False, comment="everybody who approved it, in order"),
        sa.PrimaryKeyConstraint("id"),
        comment="Stage history of every bot",
    )
    op.create_index("bot_stage_events_by_bot", "bot_stage_events", ["bot_id", "created_at"], unique=False)
    op.create_index(
        "bot_stage_events_by_command",
        "bot_stage_events",
        ["command_id", "bot_id"],
        unique=False,
        postgresql_where=sa.text("command_id IS NOT NULL"),
    )
    op.create_index("bot_stage_events_by_time", "bot_stage_events", ["created_at", "id"], unique=False)
    op.create_table(
        "bot_versions",
        sa.Column("bot_id", sa.Text(), nullable=False, comment="whose version"),
        sa.Column("version", sa.Integer(), nullable=False, comment="from 1"),
        sa.Column("strategy", sa.Text(), nullable=False, comment="name in the strategy catalogue"),
        sa.Column("parameters", postgresql.JSONB(), nullable=False, comment="checked parameters"),
        sa.Column("symbol", sa.Text(), nullable=False, comment="what it trades"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who made it"),
        sa.Column("evolved_by", sa.UUID(as_uuid=False), nullable=True, comment="job whose challenger it is"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="first tick of this version"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="tick time"),
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False, comment="record that made it"),
        sa.PrimaryKeyConstraint("bot_id", "version"),
        comment="Every version of every bot; evidence of one never counts for another",
    )
    op.create_table(
        "bots",
        sa.Column("id", sa.Text(), nullable=False, comment="the bot's slug, never reused"),
        sa.Column("name", sa.Text(), nullable=False, comment="for people"),
        sa.Column("stage", sa.Text(), nullable=False, comment="LAB, PAPER, SHADOW, CANARY or LIVE"),
        sa.Column("stage_updated_at", sa.DateTime(timezone=True), nullable=False, comment="when the stage was set"),
        sa.Column("stage_reason_code", sa.Text(), nullable=False, comment="why the stage was set"),
        sa.Column("stage_version", sa.Integer(), nullable=False, comment="rises with each change of stage"),
        sa.Column("origin", sa.Text(), nullable=False, comment="NEW, or IMPORTED: then its stage was not earned here"),
        sa.Column("strategy", sa.Text(), nullable=False, comment="name in the strategy catalogue"),
        sa.Column("parameters", postgresql.JSONB(), nullable=False, comment="checked parameters"),
        sa.Column("symbol", sa.Text(), nullable=False, comment="what it trades"),
        sa.Column("timeframe", sa.Text(), nullable=False, comment="of its bars"),
        sa.Column("version", sa.Integer(), nullable=False, comment="rises with each ChangeBot and each challenger that took over"),
        sa.Column("pinned", sa.Boolean(), nullable=False, comment="exempt from bulk reverts"),
        sa.Column("pin_reason", sa.Text(), nullable=False, comment="why it is pinned"),
        sa.Column("pinned_by", sa.Text(), nullable=True, comment="who pinned it; null when not pinned"),
        sa.Column("pinned_until", sa.DateTime(timezone=True), nullable=True, comment="when the pin ends by itself; null for good"),
        sa.Column("hold_reason", sa.Text(), nullable=True, comment="why an operator holds it; null when not held"),
        sa.Column("hold_actor", sa.Text(), nullable=True, comment="who holds it"),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False, comment="tick time of its registration"),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True, comment="tick time of its retirement; null while in the fleet"),
        sa.PrimaryKeyConstraint("id"),
        comment="The fleet: one row per bot that was ever registered",
    )


def _create_work() -> None:
    op.create_table(
        "bot_backtests",
        sa.Column("job_id", sa.UUID(as_uuid=False), nullable=False, comment="the job that found it"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="about which bot"),
        sa.Column("job_type", sa.Text(), nullable=False, comment="baseline or refresh"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="strategy code, parameters, data, engine, costs"),
        sa.Column("data_sha256", sa.Text(), nullable=False, comment="of the bars that were read"),
        sa.Column("source_id", sa.Text(), nullable=False, comment="where the bars come from"),
        sa.Column("synthetic", sa.Boolean(), nullable=False, comment="made-up bars never count for a promotion"),
        sa.Column("bars", sa.Integer(), nullable=False, comment="bars read"),
        sa.Column("first_day", sa.Text(), nullable=False, comment="first bar"),
        sa.Column("last_day", sa.Text(), nullable=False, comment="last bar"),
        sa.Column("sharpe", sa.Float(), nullable=True, comment="annualised, 252 days"),
        sa.Column("oos_sharpe", sa.Float(), nullable=True, comment="out of sample"),
        sa.Column("max_drawdown", sa.Float(), nullable=True, comment="fraction"),
        sa.Column("cagr", sa.Float(), nullable=True, comment="per year"),
        sa.Column("trades", sa.Integer(), nullable=False, comment="closed trades"),
        sa.Column("dsr", sa.Float(), nullable=True, comment="deflated Sharpe ratio, probability"),
        sa.Column("look_ahead_ok", sa.Boolean(), nullable=False, comment="decisions are equal when the future is cut off"),
        sa.Column("summary", postgresql.JSONB(), nullable=False, comment="the whole summary"),
        sa.Column("artifact", sa.Text(), nullable=True, comment="content address of the whole report"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="append time of the result"),
        sa.PrimaryKeyConstraint("job_id"),
        comment="Evidence: one row per accepted research result",
    )
    op.create_index("bot_backtests_by_bot", "bot_backtests", ["bot_id", "created_at"], unique=False)
    op.create_table(
        "bot_evolutions",
        sa.Column("job_id", sa.UUID(as_uuid=False), nullable=False, comment="the search"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="for which bot"),
        sa.Column("why", sa.Text(), nullable=False, comment="WEAK, or AT_THE_DOOR of a promotion"),
        sa.Column("seed", sa.BigInteger(), nullable=False, comment="the same seed on the same bars gives the same trials"),
        sa.Column("prior_trials", sa.BigInteger(), nullable=False, comment="evaluations counted for the bot before"),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), nullable=False, comment="tick time of its order"),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="append time of its end"),
        sa.Column("evaluations", sa.BigInteger(), nullable=True, comment="evaluations made"),
        sa.Column("generations", sa.Integer(), nullable=True, comment="generations made"),
        sa.Column("stop_reason", sa.Text(), nullable=True, comment="GENERATIONS_DONE, EVALUATIONS_SPENT or TIME_SPENT"),
        sa.Column("champion", postgresql.JSONB(), nullable=True, comment="the bot's own parameters on the hold-out"),
        sa.Column("challenger", postgresql.JSONB(), nullable=True, comment="the best found; null when it is the champion"),
        sa.Column("dsr", sa.Float(), nullable=True, comment="deflated Sharpe ratio of the challenger, every evaluation counted"),
        sa.Column("pbo", sa.Float(), nullable=True, comment="probability of backtest overfitting"),
        sa.Column("verdict", sa.Text(), nullable=True, comment="WINS or LOSES; FAILED or CANCELLED without a result; null before"),
        sa.Column("applied", sa.Boolean(), nullable=True, comment="the challenger became the bot's next version"),
        sa.Column("findings", postgresql.JSONB(), nullable=False, comment="what the challenger lacks"),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True, comment="tick time of the verdict"),
        sa.Column("trials_sha256", sa.Text(), nullable=True, comment="over the sequence of all trials"),
        sa.Column("artifact", sa.Text(), nullable=True, comment="content address of the whole report"),
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=True, comment="record of the verdict"),
        sa.PrimaryKeyConstraint("job_id"),
        comment="Searches over a bot's parameters, and whether their challenger won",
    )
    op.create_index("bot_evolutions_by_bot", "bot_evolutions", ["bot_id", "enqueued_at"], unique=False)
    op.create_index("bot_evolutions_open", "bot_evolutions", ["bot_id"], unique=False, postgresql_where=sa.text("verdict IS NULL"))
    op.create_table(
        "bot_jobs",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False, comment="job id: uuid5 of (tick, try, seq)"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="whose job"),
        sa.Column("job_type", sa.Text(), nullable=False, comment="BACKTEST_BASELINE, BACKTEST_REFRESH, EVOLVE or RUNNER_START"),
        sa.Column("job_class", sa.Text(), nullable=False, comment="research or runner; a bot has at most one live job of each"),
        sa.Column("status", sa.Text(), nullable=False, comment="QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED"),
        sa.Column("cause", sa.Text(), nullable=True, comment="why it left its last state; null on success"),
        sa.Column("detail", sa.Text(), nullable=True, comment="what the runner said of a failure"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="tick that enqueued it"),
        sa.Column("seq", sa.Integer(), nullable=False, comment="place in its tick; (tick, seq) is the order of the queue"),
        sa.Column("partition", sa.Integer(), nullable=False, comment="partition of autonomy.jobs"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="1-based"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="expired leases"),
        sa.Column("claim_id", sa.UUID(as_uuid=False), nullable=True, comment="winner of the current attempt"),
        sa.Column("process_id", sa.UUID(as_uuid=False), nullable=True, comment="runner process of the current or last attempt"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="time of the tick that enqueued it"),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False, comment="since when the current attempt waits or waited"),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="append time of the winning claim of the current or last attempt",
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="append time of its end"),
        sa.Column(
            "last_beat_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="append time of the last heartbeat of its winner, or of the claim",
        ),
        sa.Column("beats", sa.Boolean(), nullable=True, comment="the winner of the current attempt beat since its claim; null before"),
        sa.Column("phase", sa.Text(), nullable=True, comment="what the runner is at"),
        sa.Column("progress", sa.Float(), nullable=True, comment="0 to 1, as the runner reported it"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="what its evidence is bound to"),
        sa.Column("bars_until", sa.Text(), nullable=False, comment="last day of bars it may read"),
        sa.Column("spec", postgresql.JSONB(), nullable=False, comment="the whole order, as enqueued"),
        sa.Column(
            "result",
            postgresql.JSONB(),
            nullable=True,
            comment="figures of the result (of a backtest the whole summary is in bot_backtests); null without one",
        ),
        sa.Column(
            "attempts",
            postgresql.JSONB(),
            nullable=False,
            comment="earlier attempts, each with process, times, cause and the event that ended it",
        ),
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=True, comment="record that ordered it"),
        sa.Column("started_event_id", sa.UUID(as_uuid=False), nullable=True, comment="claim that won the current or last attempt"),
        sa.Column("ended_event_id", sa.UUID(as_uuid=False), nullable=True, comment="event that ended it"),
        sa.PrimaryKeyConstraint("id"),
        comment="Every job that an accepted tick enqueued, folded by the shared lifecycle",
    )
    op.create_index("bot_jobs_by_bot", "bot_jobs", ["bot_id", "created_at"], unique=False)
    op.create_index("bot_jobs_by_created", "bot_jobs", ["created_at", "id"], unique=False)
    op.create_index("bot_jobs_by_finished", "bot_jobs", ["finished_at"], unique=False)
    op.create_index(
        "bot_jobs_live", "bot_jobs", ["status", "tick", "seq"], unique=False, postgresql_where=sa.text("status IN ('QUEUED','RUNNING')")
    )
    op.create_table(
        "bot_runners",
        sa.Column("process_id", sa.UUID(as_uuid=False), nullable=False, comment="runner process"),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False, comment="first sign of life"),
        sa.Column("last_beat_at", sa.DateTime(timezone=True), nullable=False, comment="last sign of life"),
        sa.Column("research_slots", sa.Integer(), nullable=False, comment="backtests it works on at once"),
        sa.Column("evolve_slots", sa.Integer(), nullable=False, comment="searches it works on at once"),
        sa.Column("runner_slots", sa.Integer(), nullable=False, comment="paper runners it carries at once"),
        sa.Column("held", sa.Integer(), nullable=False, comment="jobs it held at its last beat"),
        sa.Column("stopping", sa.Boolean(), nullable=False, comment="it said goodbye"),
        sa.Column("engine_version", sa.Text(), nullable=False, comment="of its engine"),
        sa.Column("symbols", postgresql.JSONB(), nullable=False, comment="symbols with bars, first, last, source"),
        sa.Column("strategies", postgresql.JSONB(), nullable=False, comment="strategies with code hash"),
        sa.Column("unmatched", postgresql.JSONB(), nullable=False, comment="claims that beat before their start was read, with the time"),
        sa.PrimaryKeyConstraint("process_id"),
        comment="Job-runner processes and what they announced",
    )


def _create_paper() -> None:
    op.create_table(
        "bot_drift",
        sa.Column("job_id", sa.UUID(as_uuid=False), nullable=False, comment="job that ran the window again"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="which bot"),
        sa.Column("session_id", sa.UUID(as_uuid=False), nullable=False, comment="which session"),
        sa.Column("verdict", sa.Text(), nullable=False, comment="CONSISTENT, MINOR, MAJOR or INCONCLUSIVE"),
        sa.Column(
            "findings", postgresql.JSONB(), nullable=False, comment="each comparison out of its limit, or what there was too little of"
        ),
        sa.Column("demote", sa.Boolean(), nullable=False, comment="taking the bot back to LAB is recommended"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="tick that judged it"),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False, comment="tick time"),
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False, comment="record that says it"),
        sa.PrimaryKeyConstraint("job_id"),
        comment="Paper sessions against the engine's re-run of the same bars",
    )
    op.create_index("bot_drift_by_bot", "bot_drift", ["bot_id", "judged_at"], unique=False)
    op.create_table(
        "bot_equity",
        sa.Column("session_id", sa.UUID(as_uuid=False), nullable=False, comment="which session"),
        sa.Column("bar", sa.Integer(), nullable=False, comment="0-based number of the bar"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="which bot"),
        sa.Column("day", sa.Text(), nullable=False, comment="of the bar"),
        sa.Column("close", sa.Float(), nullable=False, comment="USD, of the bar"),
        sa.Column("equity", sa.Float(), nullable=False, comment="USD, at the close"),
        sa.Column("cash", sa.Float(), nullable=False, comment="USD"),
        sa.Column("units", sa.Float(), nullable=False, comment="open position, signed"),
        sa.Column("pnl", sa.Float(), nullable=False, comment="USD, of the session so far"),
        sa.Column("trades", sa.Integer(), nullable=False, comment="closed trades of the session so far"),
        sa.Column("traded_bars", sa.Integer(), nullable=False, comment="bars traded so far"),
        sa.Column("sharpe", sa.Float(), nullable=True, comment="of the session so far; null while undefined"),
        sa.Column("max_drawdown", sa.Float(), nullable=False, comment="of the session so far, fraction"),
        sa.Column("replay", sa.Boolean(), nullable=False, comment="a recorded bar"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="append time of the mark"),
        sa.PrimaryKeyConstraint("session_id", "bar"),
        comment="The account after each bar of a paper session",
    )
    op.create_index("bot_equity_by_bot", "bot_equity", ["bot_id", "at"], unique=False)
    op.create_table(
        "bot_sessions",
        sa.Column(
            "id", sa.UUID(as_uuid=False), nullable=False, comment="session id, constant over restarts and over the jobs that carry it"
        ),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="which bot trades"),
        sa.Column("job_id", sa.UUID(as_uuid=False), nullable=False, comment="job that carries it, or carried it last"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="of the version that trades"),
        sa.Column("state", sa.Text(), nullable=False, comment="OPEN or CLOSED"),
        sa.Column("from_day", sa.Text(), nullable=False, comment="bars of later days are traded"),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False, comment="tick time of its first order"),
        sa.Column("opened_tick", sa.BigInteger(), nullable=False, comment="tick of its first order"),
        sa.Column("last_day", sa.Text(), nullable=True, comment="day of its last bar"),
        sa.Column("bar", sa.Integer(), nullable=True, comment="0-based number of its last bar, those of the warm-up included"),
        sa.Column("units", sa.Float(), nullable=True, comment="open position, signed"),
        sa.Column("cash", sa.Float(), nullable=True, comment="USD"),
        sa.Column("equity", sa.Float(), nullable=True, comment="USD, at the last close; after flattening once closed"),
        sa.Column("pnl", sa.Float(), nullable=True, comment="USD, after costs"),
        sa.Column("trades", sa.Integer(), nullable=True, comment="closed trades, the flattening one included"),
        sa.Column("traded_bars", sa.Integer(), nullable=True, comment="bars traded"),
        sa.Column("sharpe", sa.Float(), nullable=True, comment="annualised, 252 days; null while undefined"),
        sa.Column("max_drawdown", sa.Float(), nullable=True, comment="fraction"),
        sa.Column("replay", sa.Boolean(), nullable=True, comment="the bars are recorded ones, released by the replay clock"),
        sa.Column("last_mark_at", sa.DateTime(timezone=True), nullable=True, comment="append time of the last mark that counts"),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True, comment="tick time of its end"),
        sa.Column("closed_tick", sa.BigInteger(), nullable=True, comment="tick of its end"),
        sa.Column("cause", sa.Text(), nullable=True, comment="why it ended"),
        sa.Column("actor", sa.Text(), nullable=True, comment="who ended it"),
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=True, comment="record that ended it"),
        sa.PrimaryKeyConstraint("id"),
        comment="Stretches of paper trading of one bot version; figures are those of the last mark that counts",
    )
    op.create_index("bot_sessions_by_bot", "bot_sessions", ["bot_id", "opened_at"], unique=False)
    op.create_index("bot_sessions_open", "bot_sessions", ["bot_id"], unique=False, postgresql_where=sa.text("state = 'OPEN'"))
    op.create_table(
        "bot_trades",
        sa.Column("order_id", sa.UUID(as_uuid=False), nullable=False, comment="derived from session, bar and kind"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="which bot"),
        sa.Column("session_id", sa.UUID(as_uuid=False), nullable=False, comment="in which session"),
        sa.Column("day", sa.Text(), nullable=False, comment="of the bar"),
        sa.Column("bar", sa.Integer(), nullable=False, comment="0-based number of the bar"),
        sa.Column("kind", sa.Text(), nullable=False, comment="ENTRY, EXIT, or FLATTEN when the session closed"),
        sa.Column("side", sa.Text(), nullable=False, comment="BUY or SELL"),
        sa.Column("units", sa.Float(), nullable=False, comment="positive"),
        sa.Column("price", sa.Float(), nullable=False, comment="USD, with slippage"),
        sa.Column("fee", sa.Float(), nullable=False, comment="USD"),
        sa.Column("pnl", sa.Float(), nullable=True, comment="USD, of the trade that this closes, after both fees"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="append time; tick time of a FLATTEN"),
        sa.PrimaryKeyConstraint("order_id"),
        comment="Paper fills, each once",
    )
    op.create_index("bot_trades_by_bot", "bot_trades", ["bot_id", "at", "order_id"], unique=False)
    op.create_index("bot_trades_by_session", "bot_trades", ["session_id", "bar"], unique=False)


def _create_planning() -> None:
    op.create_table(
        "autonomy_loop",
        sa.Column("scope", sa.Text(), nullable=False, comment="fleet, stage or bot"),
        sa.Column("target", sa.Text(), nullable=False, comment="which; empty for the fleet"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who paused it"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why"),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, comment="tick time"),
        sa.PrimaryKeyConstraint("scope", "target"),
        comment="Pauses in force; no row: everything is scheduled",
    )
    op.create_table(
        "autonomy_planner_runs",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False, comment="uuid5 of (tick, try)"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="dense, from 1"),
        sa.Column("cause", sa.Text(), nullable=False, comment="SCHEDULED, COMMAND, CAPACITY or LEASE"),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False, comment="when the tick was due"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, comment="the tick's recorded now"),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False, comment="append time of its accepted seal"),
        sa.Column("bots_registered", sa.Integer(), nullable=False, comment="bots in the fleet"),
        sa.Column("bots_evaluated", sa.Integer(), nullable=False, comment="bots decided; always equal to bots_registered"),
        sa.Column("jobs_enqueued", sa.Integer(), nullable=False, comment="jobs this tick enqueued"),
        sa.Column("blocked", sa.Integer(), nullable=False, comment="bots coded BLOCKED_BY_GATES"),
        sa.Column("errors", sa.Integer(), nullable=False, comment="contradictions that the tick recorded"),
        sa.Column("error_details", postgresql.JSONB(), nullable=False, comment="those contradictions in words"),
        sa.Column("reason_counts", postgresql.JSONB(), nullable=False, comment="bots by reason code; sums to bots_evaluated"),
        sa.Column("blocker_counts", postgresql.JSONB(), nullable=False, comment="blockers by gate code"),
        sa.Column("zero_jobs_reason", sa.Text(), nullable=True, comment="why nothing was enqueued; null when something was"),
        sa.Column("live_jobs", sa.Integer(), nullable=False, comment="jobs queued or running after the tick"),
        sa.Column("loop_enabled", sa.Boolean(), nullable=False, comment="false while the fleet is paused"),
        sa.Column("market_now", sa.DateTime(timezone=True), nullable=False, comment="the market clock"),
        sa.Column("policy_hash", sa.Text(), nullable=False, comment="of the policy in force"),
        sa.Column("decider", sa.Text(), nullable=False, comment="version of the decision logic"),
        sa.Column("process_id", sa.UUID(as_uuid=False), nullable=False, comment="planner process that made it"),
        sa.Column("prev_hash", sa.Text(), nullable=False, comment="hash of the seal before"),
        sa.Column("hash", sa.Text(), nullable=False, comment="hash of this seal"),
        sa.Column("state_hash", sa.Text(), nullable=False, comment="hash of the state after the tick"),
        sa.Column("digest", sa.Text(), nullable=False, comment="hash over all decisions"),
        sa.Column("slice", postgresql.JSONB(), nullable=False, comment="the cut: first offset of each input partition that was not folded"),
        sa.Column("log_offset", sa.BigInteger(), nullable=False, comment="offset of the seal in autonomy.runs"),
        sa.PrimaryKeyConstraint("id"),
        comment="One row per accepted tick",
    )
    op.create_index("autonomy_planner_runs_by_start", "autonomy_planner_runs", ["started_at"], unique=False)
    op.create_index("autonomy_planner_runs_by_tick", "autonomy_planner_runs", ["tick"], unique=True)
    op.create_table(
        "autonomy_policy",
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="tick from which it was in force"),
        sa.Column("policy_hash", sa.Text(), nullable=False, comment="its hash"),
        sa.Column("document", postgresql.JSONB(), nullable=False, comment="the whole policy"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who set it"),
        sa.PrimaryKeyConstraint("tick"),
        comment="Policies by the tick from which they were in force",
    )
    op.create_table(
        "chain_repairs",
        sa.Column("at_tick", sa.BigInteger(), nullable=False, comment="tick whose fold differed from its seal"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="tick that recorded the repair"),
        sa.Column("sealed_state_hash", sa.Text(), nullable=False, comment="as sealed"),
        sa.Column("folded_state_hash", sa.Text(), nullable=False, comment="as folded"),
        sa.Column("actor", sa.Text(), nullable=False, comment="approver who accepted it"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why"),
        sa.PrimaryKeyConstraint("at_tick"),
        comment="Differences that an approver accepted; never hidden again",
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False, comment="command id"),
        sa.Column("command", sa.Text(), nullable=False, comment="what was asked"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who asked"),
        sa.Column("role", sa.Text(), nullable=False, comment="in which role"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why, in the operator's words"),
        sa.Column("body", postgresql.JSONB(), nullable=False, comment="the command as sent"),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False, comment="append time"),
        sa.Column("status", sa.Text(), nullable=False, comment="OPEN, ACCEPTED, REJECTED by the planner, or REFUSED at the door"),
        sa.Column("tick", sa.BigInteger(), nullable=True, comment="tick that answered it"),
        sa.Column("code", sa.Text(), nullable=True, comment="why it was rejected"),
        sa.Column("field", sa.Text(), nullable=True, comment="field at fault"),
        sa.Column("limit_text", sa.Text(), nullable=True, comment="what is allowed"),
        sa.Column(
            "outcomes",
            postgresql.JSONB(),
            nullable=False,
            comment="per bot, where the command has many; of a revert only the bots that stayed",
        ),
        sa.Column("counts", postgresql.JSONB(), nullable=False, comment="bots by outcome, of a revert"),
        sa.Column("bot_id", sa.Text(), nullable=True, comment="the one bot that it names"),
        sa.PrimaryKeyConstraint("id"),
        comment="Operators' commands and their answers; refused attempts at the door are in it too",
    )
    op.create_index("commands_by_bot", "commands", ["bot_id", "said_at"], unique=False, postgresql_where=sa.text("bot_id IS NOT NULL"))
    op.create_index("commands_by_time", "commands", ["said_at", "id"], unique=False)
    op.create_table(
        "decision_spans",
        sa.Column("bot_id", sa.Text(), nullable=False, comment="whose decision"),
        sa.Column("from_tick", sa.BigInteger(), nullable=False, comment="first tick of this decision"),
        sa.Column("to_tick", sa.BigInteger(), nullable=True, comment="first tick of the next decision; null while it stands"),
        sa.Column("reason_code", sa.Text(), nullable=False, comment="why the bot was scheduled or skipped"),
        sa.Column("job_type", sa.Text(), nullable=True, comment="the want that the reason is about"),
        sa.Column("job_id", sa.UUID(as_uuid=False), nullable=True, comment="the job enqueued or live"),
        sa.Column("blockers", postgresql.JSONB(), nullable=False, comment="every gate that did not pass, as recorded"),
        sa.Column("detail", sa.Text(), nullable=False, comment="more about the reason"),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=True, comment="end of a cooldown"),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=True, comment="when something becomes due, if foreseeable"),
        sa.Column("limit_name", sa.Text(), nullable=True, comment="which limit holds it back"),
        sa.Column("limit_value", sa.BigInteger(), nullable=True, comment="that limit"),
        sa.Column("place", sa.BigInteger(), nullable=True, comment="place in line when this was said"),
        sa.Column("would", sa.Text(), nullable=True, comment="the reason there would be without the pause"),
        sa.Column("due_since", sa.DateTime(timezone=True), nullable=True, comment="since when the bot waits"),
        sa.Column("promotion_to", sa.Text(), nullable=True, comment="stage that the promotion gates lead to"),
        sa.Column(
            "promotion",
            postgresql.JSONB(),
            nullable=True,
            comment="every promotion gate as said with this decision; null: as last said before",
        ),
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False, comment="id of the BotDecision"),
        sa.PrimaryKeyConstraint("bot_id", "from_tick"),
        comment="What was decided for a bot, from a tick until it changed; unchanged decisions are provably unchanged by the digest",
    )
    op.create_index(
        "decision_spans_gates", "decision_spans", ["bot_id", "from_tick"], unique=False, postgresql_where=sa.text("promotion IS NOT NULL")
    )
    op.create_index("decision_spans_open", "decision_spans", ["bot_id"], unique=False, postgresql_where=sa.text("to_tick IS NULL"))
    op.create_table(
        "promotions",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False, comment="recommendation id"),
        sa.Column("bot_id", sa.Text(), nullable=False, comment="which bot"),
        sa.Column("from_stage", sa.Text(), nullable=False, comment="where it stood"),
        sa.Column("to_stage", sa.Text(), nullable=False, comment="where it shall go"),
        sa.Column(
            "status", sa.Text(), nullable=False, comment="OPEN, REQUESTED (a second approver is missing), APPLIED, REJECTED or WITHDRAWN"
        ),
        sa.Column("stage_version", sa.Integer(), nullable=False, comment="of the bot; another one closes the recommendation"),
        sa.Column("version", sa.Integer(), nullable=False, comment="of the bot; another one closes the recommendation"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="what the evidence is bound to"),
        sa.Column("evidence_job", sa.UUID(as_uuid=False), nullable=False, comment="job whose result it stands on"),
        sa.Column("gates", postgresql.JSONB(), nullable=False, comment="every gate as measured when it was recommended"),
        sa.Column("recommended_at", sa.DateTime(timezone=True), nullable=False, comment="tick time"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="tick that recommended it"),
        sa.Column("requested_by", sa.Text(), nullable=True, comment="first of two approvers"),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True, comment="tick time of the first approval"),
        sa.Column("approved_by", postgresql.JSONB(), nullable=False, comment="everybody who approved it, in order"),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True, comment="tick time of its end"),
        sa.Column("closed_tick", sa.BigInteger(), nullable=True, comment="tick that ended it"),
        sa.Column("cause", sa.Text(), nullable=True, comment="why it ended"),
        sa.Column("actor", sa.Text(), nullable=True, comment="who ended it"),
        sa.Column("reason", sa.Text(), nullable=True, comment="in their words"),
        sa.Column("failing", postgresql.JSONB(), nullable=False, comment="gates that no longer passed when it was withdrawn"),
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False, comment="record that recommended it"),
        sa.Column("closed_event_id", sa.UUID(as_uuid=False), nullable=True, comment="record that ended it"),
        sa.PrimaryKeyConstraint("id"),
        comment="Recommendations with their evidence and what became of them",
    )
    op.create_index("promotions_by_bot", "promotions", ["bot_id", "recommended_at"], unique=False)
    op.create_index("promotions_by_time", "promotions", ["recommended_at", "id"], unique=False)
    op.create_index("promotions_open", "promotions", ["status"], unique=False, postgresql_where=sa.text("status IN ('OPEN', 'REQUESTED')"))


def _create_keeping() -> None:
    op.create_table(
        "projection_head",
        sa.Column("singleton", sa.Integer(), nullable=False, comment="always 1"),
        sa.Column("tick", sa.BigInteger(), nullable=False, comment="last accepted tick that was applied"),
        sa.Column("log_offset", sa.BigInteger(), nullable=False, comment="offset of its seal"),
        sa.Column("hash", sa.Text(), nullable=False, comment="hash of its seal"),
        sa.Column("market_now", sa.DateTime(timezone=True), nullable=True, comment="market clock of that tick"),
        sa.Column("void_records", sa.BigInteger(), nullable=False, comment="records of runs that do not count"),
        sa.Column("void_seals", sa.BigInteger(), nullable=False, comment="seals that were not accepted"),
        sa.Column("void_steps", sa.BigInteger(), nullable=False, comment="job events that changed nothing"),
        sa.Column("quarantined", sa.BigInteger(), nullable=False, comment="records that could not be read"),
        sa.Column("rev", sa.BigInteger(), nullable=False, comment="revision: rises with each batch"),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False, comment="when the last batch was committed"),
        sa.PrimaryKeyConstraint("singleton"),
        comment="How far the projection is",
    )
    op.create_table(
        "projection_offsets",
        sa.Column("topic", sa.Text(), nullable=False, comment="topic"),
        sa.Column("partition", sa.Integer(), nullable=False, comment="partition"),
        sa.Column("next_offset", sa.BigInteger(), nullable=False, comment="where a restart reads on"),
        sa.Column("applied_offset", sa.BigInteger(), nullable=False, comment="records below it were applied, or wait for their tick"),
        sa.PrimaryKeyConstraint("topic", "partition"),
        comment="Moved in the same transaction as the rows, by compare and set",
    )
    op.create_table(
        "pulses",
        sa.Column("source", sa.Text(), nullable=False, comment="planner or probe"),
        sa.Column("process_id", sa.UUID(as_uuid=False), nullable=False, comment="which process"),
        sa.Column("role", sa.Text(), nullable=False, comment="leader, standby, halted, starting; probe"),
        sa.Column("head_tick", sa.BigInteger(), nullable=False, comment="accepted head as that process saw it"),
        sa.Column("next_tick_at", sa.DateTime(timezone=True), nullable=True, comment="when a planner ticks next"),
        sa.Column("problem", sa.Text(), nullable=False, comment="why it does not lead"),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False, comment="by the process's clock"),
        sa.Column("appended_at", sa.DateTime(timezone=True), nullable=False, comment="by the broker's clock"),
        sa.PrimaryKeyConstraint("source", "process_id"),
        comment="Newest sign of life of each process; not part of a rebuild",
    )
    op.create_table(
        "quarantine",
        sa.Column("topic", sa.Text(), nullable=False, comment="where the record stands"),
        sa.Column("partition", sa.Integer(), nullable=False, comment="its partition"),
        sa.Column("log_offset", sa.BigInteger(), nullable=False, comment="its offset"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="of its value"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="of its value"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it cannot be read"),
        sa.Column("excerpt", sa.Text(), nullable=False, comment="its beginning, escaped"),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, comment="append time of the record"),
        sa.PrimaryKeyConstraint("topic", "partition", "log_offset"),
        comment="Records that could not be read; each partition moved on",
    )


def downgrade() -> None:
    """Read models are disposable: drop the schema and rebuild instead."""
    raise NotImplementedError("drop the schema and rebuild from the log")
