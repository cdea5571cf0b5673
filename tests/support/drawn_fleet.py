"""Rows of a fleet as it may stand at one moment, with everything in them that needs a person; drawn from a seed.

Written to a real PostgreSQL as the projection writes them; not a history that a planner would make, but every mixture of rows.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import psycopg

from autonomy.gates import GATES, Verdict
from autonomy.postgres import connect
from autonomy.read_model import SCHEMA
from autonomy.values import BotState, Drift, Recency, Stage
from projection.store.batches import UPSERTS
from support.builders import a_digest, an_id
from support.hours import NOON
from support.servers import Database

LEASE_S = 15.0
CLEARS = (
    "revert the bot to LAB and let it graduate", "the market clock reaches 2011-03-04",
    "never with this data: it has 196 bars in all; more bars of FB, or another symbol", "a runner announces bars of it",
)  # fmt: skip
STRATEGIES = ("sma-cross", "macd", "rsi-reversion", "ts-momentum")
SYMBOLS = ("AAPL", "GOOG", "IBM", "BRK.B")
Row = dict[str, Any]


@dataclass
class Fleet:
    """Rows by table, at noon."""

    random: Random
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def put(self, table: str, **row: Any) -> Row:
        columns = UPSERTS[table].columns
        self.rows.setdefault(table, []).append({name: row.get(name) for name in columns})
        assert set(row) <= columns, set(row) - columns
        return self.rows[table][-1]

    def ago(self, most_s: float) -> datetime:
        return NOON - timedelta(milliseconds=self.random.randint(0, int(most_s * 1000)))

    def blockers(self) -> list[Row]:
        draw = self.random
        return [
            {
                "code": draw.choice([*GATES, "A_NEW_GATE"]), "verdict": draw.choice([Verdict.FAIL, Verdict.INCONCLUSIVE]).value, "measured": "m",
                "required": "r", "clearsWhen": draw.choice(CLEARS), "evidenceJob": None, "fingerprint": None, "evidenceAgeBars": None,
            }
            for _ in range(draw.choice((0, 0, 1, 1, 2, 3)))
        ]  # fmt: skip

    def missed(self, number: int) -> list[Row]:
        """Promotion gates that do not pass; the same one may be named twice."""
        draw = Random(f"gates {number}")
        codes = draw.choices(("LIMITS", "MIN_TRADES", "DRIFT", "A_NEW_GATE"), k=draw.randint(0, 3))
        return [{"code": code, "measured": "m", "required": "r", "clearsWhen": "c"} for code in codes]

    def moved(self, number: int) -> datetime:
        """When a bot came into its stage."""
        return NOON - timedelta(seconds=Random(f"moved {number}").randint(0, 9_000))

    def add_bot(self, number: int) -> None:
        draw = self.random
        state, blockers = draw.choice(tuple(BotState)), self.blockers()
        runs, evidence = state in {BotState.RUNNER_RUNNING, BotState.RUNNER_STALE}, draw.random() < 0.7
        taken = draw.random() < 0.6
        beat = self.ago(3 * LEASE_S) if runs and (taken or state is BotState.RUNNER_RUNNING) else None
        now = self.put(
            "bot_now", bot_id=f"bot-{number:04d}", state=state.value, since=self.ago(90), reason_code="NOTHING_DUE", detail="", blockers=blockers,
            decided_at=self.ago(500), next_due_at=NOON + timedelta(seconds=draw.randint(1, 9)) if draw.random() < 0.5 else None,
            job_id=an_id(f"runner {number}") if runs else None, job_status=("RUNNING" if beat else "QUEUED") if runs else None,
            runner_job_id=an_id(f"runner {number}") if runs else None, runner_status=("RUNNING" if beat else "QUEUED") if runs else None,
            runner_beat_at=beat, last_beat_at=beat, promotion_blockers=self.missed(number), promotion_gates=9, session_id=an_id(f"s {number}") if taken else None,
            demote=draw.random() < 0.1, drift=Drift.MAJOR.value, drift_at=self.ago(900), recency=draw.choice(tuple(Recency)).value,
            evidence_at=NOON if evidence else None, synthetic=Random(f"made up {number}").random() < 0.2 if evidence else None, sharpe=round(draw.uniform(-1, 2), 1) if evidence else None,
            max_drawdown=draw.random() if evidence else None, trades=draw.randint(0, 9) if evidence else None, stage=draw.choice(tuple(Stage)).value,
            name=draw.choice(("=1+1", "a, \"b\"", f"bot {number}")), strategy=draw.choice(STRATEGIES), symbol=draw.choice(SYMBOLS), timeframe="1d",
            parameters={"fast": 20}, origin="NEW", pinned=False, pin_reason="", version=1, rev=number,
        )  # fmt: skip
        self.put(
            "bots", id=f"bot-{number:04d}", name=now["name"], stage=now["stage"], stage_updated_at=self.moved(number), stage_reason_code="REGISTERED",
            stage_version=1, origin="NEW", strategy=now["strategy"], parameters={"fast": 20}, symbol=now["symbol"], timeframe="1d", version=1,
            pinned=False, pin_reason="", hold_reason=None, registered_at=NOON - timedelta(days=9), fleet="", evolve="",
        )  # fmt: skip
        if draw.random() < 0.2:
            promotion = self.put(
                "promotions", id=an_id(f"promotion {number}"), bot_id=f"bot-{number:04d}", from_stage="LAB",
                to_stage=draw.choice(("PAPER", "SHADOW", "CANARY")), status=draw.choice(("OPEN", "REQUESTED", "APPLIED", "REJECTED")),
                stage_version=1, version=1, fingerprint=a_digest("f"), evidence_job=an_id("e"), gates=[], recommended_at=self.ago(5_000), tick=1,
                approved_by=[], failing=[], event_id=an_id("x"),
            )  # fmt: skip
            for look in range(1, draw.randint(1, 4)):
                self.put(
                    "bot_looks", bot_id=f"bot-{number:04d}", number=look, job_id=an_id("e"), fingerprint=a_digest("f"), bars=500 * look, trades=12,
                    z=draw.gauss(0, 1), p_value=0.4, markets=100, alpha=0.003 / (look * (look + 1)), required_z=3.0, synthetic=draw.random() < 0.2, verdict="FAIL", tick=1,
                    judged_at=self.ago(5_000), event_id=an_id("look"),
                )  # fmt: skip
            if promotion["status"] in {"OPEN", "REQUESTED"}:
                now |= {"recommendation_id": promotion["id"], "recommendation_status": promotion["status"], "promotion_blockers": []}

    def add_runner(self, number: int) -> None:
        draw, beat = self.random, self.ago(4 * LEASE_S)
        faults = [
            {"name": draw.choice(("FB", "README", "GOOG")), "reason": draw.choice(("no header", "empty")), "inUse": False}
            for _ in range(draw.randint(0, 2))
        ]
        files = [
            {"file": draw.choice(("a.py", "b.py")), "line": 3, "reason": "NameError", "inUse": True} for _ in range(draw.randint(0, 2))
        ]
        self.put(
            "bot_runners", process_id=an_id(f"worker {number}"), first_seen_at=beat - timedelta(seconds=draw.uniform(0, 60)), last_beat_at=beat,
            research_slots=1, evolve_slots=1, runner_slots=1, held=0, stopping=draw.random() < 0.2, engine_version="1", job_types=[], symbols=[], strategies=[],
            strategy_faults=files, source_faults=faults, unmatched={},
        )  # fmt: skip

    def write(self, url: str) -> None:
        """Put all rows into the database."""
        with psycopg.connect(url, options=f"-c search_path={SCHEMA}") as connection:
            for table, rows in self.rows.items():
                connection.execute(UPSERTS[table].sql, (UPSERTS[table].document(rows),))
        self.rows.clear()


def drawn_fleet(seed: int, bots: int = 300) -> Fleet:
    """Bots, runners, recommendations, pauses and records in quarantine."""
    draw = Random(seed)
    fleet = Fleet(draw)
    for number in range(bots):
        fleet.add_bot(number)
    for number in range(draw.randint(0, 6)):
        fleet.add_runner(number)
    for scope, target in (("fleet", ""), ("stage", "PAPER"), ("bot", "bot-0001"), ("bot", "bot-0002")):
        if draw.random() < 0.7:
            fleet.put(
                "autonomy_loop", scope=scope, target=target, actor="ada", reason=draw.choice(("", "look first")), since=fleet.ago(900)
            )
    for number in range(draw.randint(0, 5)):
        fleet.put(
            "quarantine", topic=draw.choice(("autonomy.jobs", "autonomy.runs")), partition=0, log_offset=number, sha256=a_digest("q"), size_bytes=3,
            reason="no JSON", excerpt="x", seen_at=fleet.ago(2 * 86_400),
        )  # fmt: skip
    return fleet


def asked(database: Database, question: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """What a question says over a connection of the reader, as proof-api has one."""

    async def once() -> Any:
        connection = await connect(database.url("autonomy_reader"), SCHEMA)
        try:
            return await question(connection)
        finally:
            await connection.close()

    return asyncio.run(once())
