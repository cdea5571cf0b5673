"""One bot's whole life as rows, drawn from a seed: versions, stages, results with reports, paper sessions bar by bar, and their drift.

Written to a real PostgreSQL as the projection writes them, and to a real store of reports as a runner does.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

import orjson

from autonomy.artifacts import ArtifactStore
from autonomy.bar_outcomes import BarOutcome
from autonomy.events import Document, WindowMetrics
from autonomy.values import Drift, Stage, ms_of
from support.builders import a_digest, an_id
from support.hours import NOON, Hours

BOT = "aapl-sma"
DAY = timedelta(days=1)
FIRST = datetime(2010, 1, 4, tzinfo=UTC)
CASH = 100_000.0
KINDS = ("ENTRY", "EXIT", "STOP", "TARGET", "REBALANCE", "FLATTEN")
REPORTS = ("whole", "no prices", "gone", "another's", "none")
TABLES = (
    "autonomy_planner_runs", "bots", "bot_versions", "bot_stage_events", "bot_jobs", "bot_backtests", "bot_sessions", "bot_equity", "bot_trades",
    "bot_drift",
)  # fmt: skip
"""All that such a life is written to."""
Rows = list[dict[str, Any]]


def walk(draw: Random, count: int, start: float, step: float) -> list[float]:
    """A path that stays positive."""
    values = [start]
    for _ in range(count - 1):
        values.append(values[-1] * (1 + draw.uniform(-step, step)))
    return values


@dataclass
class DrawnBot:
    """A bot's rows and reports."""

    seed: int
    store: ArtifactStore
    hours: Hours = field(init=False)
    report: dict[str, Any] = field(default_factory=dict)
    window: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw everything."""
        draw = Random(self.seed)
        self.hours = Hours(draw)
        at = NOON
        for _ in range(draw.randint(3, 40)):
            self.hours.add_tick(at)
            at += timedelta(seconds=draw.choice((5, 60, 600, 40_000)))
        self.add_life(draw)
        kept = REPORTS[self.seed % len(REPORTS)]
        results = draw.randint(1, 3)
        for number in range(results):
            self.add_result(draw, number, NOON + timedelta(minutes=number), kept if number == results - 1 else "whole")
        for number in range(draw.choice((1, 2, 2))):
            self.add_session(draw, number, NOON + timedelta(hours=number))
        if not self.window and self.seed % 4:
            self.add_session(draw, 3, NOON + timedelta(hours=9), judged=True)

    def add_life(self, draw: Random) -> None:
        """Versions and changes of stage at ticks; some by a search, some reverts of one command."""
        stage, version = None, 0
        ticks = [(row["tick"], row["started_at"]) for row in self.hours.rows["autonomy_planner_runs"]]
        for tick, at in ticks:
            if version == 0 or draw.random() < 0.3:
                version += 1
                by = an_id(f"search {version}") if version > 1 and draw.random() < 0.5 else None
                self.hours.put(
                    "bot_versions", bot_id=BOT, version=version, strategy="sma-cross", parameters={"fast": version}, symbol="AAPL", timeframe="1d",
                    actor="planner" if by else "ada", evolved_by=by, tick=tick, created_at=at, event_id=an_id(f"version {version}"),
                )  # fmt: skip
            if stage is None or draw.random() < 0.4:
                following = Stage.LAB if stage is None else draw.choice([one for one in Stage if one is not stage])
                revert = stage is not None and following is Stage.LAB
                self.hours.put(
                    "bot_stage_events", id=an_id(f"move {tick}"), bot_id=BOT, from_stage=stage.value if stage else None, to_stage=following.value,
                    reason_code="BULK_REVERT_REBASELINE" if revert else "PROMOTED" if stage else "REGISTERED", actor="ada", created_at=at, tick=tick,
                    command_id=an_id(f"command {tick}") if revert else None, approved_by=[],
                )  # fmt: skip
                stage = following
        self.hours.put(
            "bots", id=BOT, name=BOT, stage=(stage or Stage.LAB).value, stage_updated_at=NOON, stage_reason_code="x", stage_version=1, origin="NEW",
            strategy="sma-cross", parameters={}, symbol="AAPL", timeframe="1d", version=version, pinned=False, pin_reason="", hold_reason="",
            registered_at=ticks[0][1], fleet="", evolve="",
        )  # fmt: skip

    def add_result(self, draw: Random, number: int, at: datetime, kept: str, window: Document | None = None, extra: Any = None) -> str:
        """A result with its job and its report; returns the job's id."""
        job, count = an_id(f"result {number}"), draw.choice((2, 90, 159, 160, 161, 400))
        starts = [FIRST + DAY * place for place in range(count)]
        closes, held, equity = walk(draw, count, 50, 0.06), walk(draw, count, CASH, 0.04), walk(draw, count, CASH, 0.03)
        peaks = accumulate(equity, max)
        points: Rows = [
            {"time_ms": ms_of(start), "close_usd": close, "strategy_usd": own, "buy_and_hold_usd": other, "drawdown_fraction": 1 - own / peak}
            for start, close, own, other, peak in zip(starts, closes, equity, held, peaks, strict=True)
        ]  # fmt: skip
        if kept == "no prices":
            points = [{name: value for name, value in point.items() if name != "close_usd"} for point in points]
        trades: Rows = []
        for _ in range(draw.choice((0, 3, 99, 140))):
            entry = draw.randint(0, count - 2)
            leave = draw.randint(entry, count - 1)
            prices = [closes[place] * (1 + draw.uniform(-0.02, 0.02)) for place in (entry, leave)]
            units = draw.choice((-1, 1)) * draw.uniform(1, 900)
            trades.append({
                "entry_ms": ms_of(starts[entry]), "exit_ms": ms_of(starts[leave]), "units": units, "entry_price_usd": prices[0],
                "exit_price_usd": prices[1], "pnl_usd": (prices[1] - prices[0]) * units, "bars": leave - entry, "fees_usd": 1.0, "return_fraction": 0.0,
            })  # fmt: skip
        trades.sort(key=lambda trade: trade["exit_ms"])
        report = {
            "order": {"job_id": an_id("other") if kept == "another's" else job, "initial_cash_usd": f"{CASH:.2f}"}, "equity": points,
            "trades": trades, **(extra or {}),
        }  # fmt: skip
        content = orjson.dumps(report)
        artifact = None if kept == "none" else a_digest("gone").join(("sha256:", "")) if kept == "gone" else self.store.put(content)
        curve = (
            None if draw.random() < 0.3 else {"minutes": "0,1440,2880", "strategy": "1.0000,1.2500,1.0000", "buyAndHold": "1.0000,0.9,1.1"}
        )
        summary = {
            "firstBar": "2010-01-04T00:00:00.000Z",
            "curve": curve,
            "window": window and window.model_dump(mode="json", by_alias=True),
        }
        self.hours.put(
            "bot_jobs", id=job, bot_id=BOT, job_type="BACKTEST_REFRESH", job_class="research", status="SUCCEEDED", stage="LAB", strategy="sma-cross",
            symbol="AAPL", tick=draw.randint(1, self.hours.tick), seq=number, partition=0, attempt=1, failures=0, created_at=at, queued_at=at, started_at=at,
            finished_at=at, fingerprint=a_digest("f"), bars_until=starts[-1], spec={}, attempts=[],
        )  # fmt: skip
        self.hours.put(
            "bot_backtests", job_id=job, bot_id=BOT, job_type="BACKTEST_REFRESH", fingerprint=a_digest("f"), data_sha256=a_digest("d"), source_id="s",
            synthetic=False, bars=count, first_bar=starts[0], last_bar=starts[-1], trades=len(trades), look_ahead_ok=True, summary=summary,
            artifact=artifact, created_at=at,
        )  # fmt: skip
        self.report, self.kept, self.curve = report, kept, curve
        return job

    def add_session(self, draw: Random, number: int, at: datetime, *, judged: bool | None = None) -> None:
        """A session bar by bar, with fills, and the engine's run over a part of it."""
        session, count = an_id(f"session {number}"), draw.choice((0, 2, 20, 159, 161, 500, 700))
        count = max(count, 20) if judged else count
        warm = draw.randint(0, 30)
        starts = [FIRST + DAY * (warm + place) for place in range(count)]
        closes, equity = walk(draw, max(count, 1), 80, 0.05), walk(draw, max(count, 1), CASH, 0.02)
        for place, start in enumerate(starts):
            self.hours.put(
                "bot_equity", session_id=session, bar=warm + place, bot_id=BOT, bar_start=start, close=closes[place], equity=equity[place],
                cash=0.0, units=1.0, pnl=equity[place] - CASH, trades=0, traded_bars=place + 1, max_drawdown=0.0, replay=True,
                outcome=next(iter(BarOutcome)).value, wanted=0.0, at=at + timedelta(seconds=place),
            )  # fmt: skip
            for seq in range(draw.choice((0, 0, 0, 0, 1, 2))):
                kind, side = draw.choice(KINDS), draw.choice(("BUY", "SELL"))
                self.hours.put(
                    "bot_trades", order_id=an_id(f"fill {number}/{place}/{seq}"), bot_id=BOT, session_id=session, bar_start=start, bar=warm + place,
                    kind=kind, side=side, units=draw.uniform(1, 100), price=closes[place] * (1 + draw.uniform(-0.05, 0.05)), fee=1.0,
                    pnl=draw.choice((None, draw.uniform(-500, 500))), at=at + timedelta(seconds=place, milliseconds=seq),
                )  # fmt: skip
        last = starts[-1] if starts else None
        self.hours.put(
            "bot_sessions", id=session, bot_id=BOT, job_id=an_id("runner"), fingerprint=a_digest("f"), state="OPEN", from_bar=FIRST + DAY * (warm - 1),
            opened_at=at, opened_tick=1, last_bar=last, bar=warm + count - 1 if count else None, equity=equity[-1] if count else None, replay=True,
        )  # fmt: skip
        self.window = {}
        if judged if judged is not None else count and draw.random() < 0.7:
            until = draw.randint(1, count - 1)
            again = walk(draw, until + 1, CASH, 0.02)
            every = 1 if until < 400 else 2
            closes_told = [
                {"time_ms": ms_of(starts[place]), "strategy_usd": again[place]} for place in range(until % every, until + 1, every)
            ]
            metrics = WindowMetrics(
                from_bar=starts[0] - DAY,
                until_bar=starts[until],
                bars=until + 1,
                trades=3,
                pnl_usd=again[-1] - CASH,
                sharpe=None,
                max_drawdown=0.1,
            )
            known = draw.random() < 0.8 or bool(judged)
            extra = {"window": {"session_id": session if known else an_id("another"), "equity": closes_told}}
            report, kept = self.report, self.kept
            rerun = self.add_result(draw, 100 + number, NOON - timedelta(hours=1), "whole", metrics, extra)
            self.report, self.kept = report, kept
            self.hours.put(
                "bot_drift", job_id=rerun, bot_id=BOT, session_id=session, verdict=draw.choice(tuple(Drift)).value, findings=[], demote=False, tick=3,
                judged_at=at, event_id=an_id(f"drift {number}"),
            )  # fmt: skip
            self.window = {"session": session, "closes": closes_told if known else []}
