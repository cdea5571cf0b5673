"""A folder of own bars under running processes on real servers: it grows, breaks and heals, and nobody else notices.

Source: R-A2, R-A5, R-F10.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import parquet

from autonomy.clock import now_ms
from autonomy.timeframes import DAY_MS
from autonomy.values import JobStatus
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.sources import END_OF_TIME_MS
from support.days import day_of
from support.log import audit
from support.measuring import FaultRows
from support.paper import HandPlanner, PaperLog, a_paper_order
from support.platform import LEASE_S, Platform, quick_policy, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.long]
TICKS = 8


def rows_until(last: int, count: int = 400) -> list[str]:
    """Bars of every day up to and including one, a walk by a fixed seed."""
    steps = np.random.default_rng(5).normal(0.0005, 0.01, 2_000)
    close = 100.0 * np.exp(np.cumsum(steps))[:count]
    return [f"{day_of(last - count + 1 + n).isoformat()},{c},{c * 1.01},{c * 0.99},{c},1000" for n, c in enumerate(close)]


def write(folder: Path, symbol: str, rows: list[str]) -> Path:
    path = folder / symbol / "1d.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["date,open,high,low,close,volume", *rows]) + "\n")
    return path


def parquet_with(folder: Path, symbol: str, days: list[str], **extra: Any) -> None:
    table = {name: [100.0] * len(days) for name in ("open", "high", "low", "close", "volume")}
    (folder / symbol).mkdir(parents=True)
    parquet.write_table(arrow.table({"date": days, **table, **extra}), folder / symbol / "1d.parquet")


def offered(platform: Platform) -> dict[str, str]:
    """The start of the last bar of each symbol, as the live runner announced it."""
    rows = platform.sql("SELECT symbols FROM bot_runners WHERE NOT stopping")
    return {bars["symbol"]: bars["last"][:10] for row in rows for bars in row["symbols"]}


def repeated(platform: Platform) -> list[dict[str, Any]]:
    return platform.sql("SELECT bot_id, fingerprint, data_sha256, count(*) FROM bot_backtests GROUP BY 1, 2, 3 HAVING count(*) > 1")


def baselines(platform: Platform, bot: str) -> int:
    return int(platform.one("SELECT count(*) FROM bot_backtests WHERE bot_id = %s", bot) or 0)


def more_ticks(platform: Platform, count: int = TICKS) -> None:
    before = platform.one("SELECT max(tick) FROM autonomy_planner_runs")
    wait_for(f"{count} more ticks", lambda: platform.one("SELECT max(tick) FROM autonomy_planner_runs") >= before + count)


def a_bot(bot_id: str, symbol: str) -> dict[str, Any]:
    return {"id": bot_id, "strategy": "sma-cross", "symbol": symbol, "parameters": {"fast": 5, "slow": 20}}


def test_a_live_folder_that_grows_breaks_and_heals(platform: Platform, tmp_path: Path, fault_row: FaultRows) -> None:
    today = now_ms() // DAY_MS - 1  # the last day that has ended
    bars = tmp_path / "bars"
    write(bars, "ABC", rows_until(today - 3))
    write(bars, "XYZ", rows_until(today - 3))
    days = [day_of(today - 3 - n).isoformat() for n in reversed(range(300))]
    far = arrow.array([569_000_000_000_000_000] * len(days), arrow.timestamp("us"))  # the year 20000
    parquet_with(bars, "UNUSED", days, expiry=far)
    parquet_with(bars, "FAR", days, date=far)
    platform.planner()
    platform.projection()
    runner = platform.runner(BARS_FOLDER=str(bars))
    platform.set_policy({**quick_policy(), "market": {"mode": "LIVE"}})
    platform.register([a_bot("abc", "ABC"), a_bot("unused", "UNUSED"), a_bot("far", "FAR"), a_bot("new", "NEW")])
    wait_for("baselines", lambda: baselines(platform, "abc") and baselines(platform, "unused"), 300)
    blocked = platform.sql("SELECT measured FROM bot_blockers WHERE bot_id = 'far' AND code = 'MARKET_DATA'")
    assert "FAR/1d.parquet row 1 column date: a time of the years 1 to 9999" in blocked[0]["measured"]
    # A bar comes: announced within seconds, researched once, however many ticks follow.
    write(bars, "ABC", rows_until(today - 1, 402))
    platform.register([a_bot("abc-2", "ABC")])
    wait_for("the new bar", lambda: offered(platform).get("ABC") == day_of(today - 1).isoformat())
    wait_for("its baseline", lambda: baselines(platform, "abc-2"))
    # A symbol comes.
    assert baselines(platform, "new") == 0
    write(bars, "NEW", rows_until(today - 1))
    wait_for("the new symbol's baseline", lambda: baselines(platform, "new"))
    # A file breaks while bars of it are in use: its last good ones stay, and everybody else goes on.
    path = write(bars, "XYZ", [*rows_until(today - 3), "2026-01"])
    row = fault_row(
        "bar file half-written", "Clients, files and people", "a line of a bar file is half-written while its bars are in use",
        "the last good edition stays, everybody else goes on; taken when it is right again",
    )  # fmt: skip
    wait_for("the fault in the log", lambda: "XYZ 1d stays in use as it was" in runner.log.read_text())
    row.notices("that symbol's fault, by name, in the runner's log: “XYZ 1d stays in use as it was”")
    platform.register([a_bot("xyz", "XYZ"), a_bot("abc-3", "ABC")])
    wait_for("baselines beside it", lambda: baselines(platform, "xyz") and baselines(platform, "abc-3"))
    path.write_text(path.read_text().replace("2026-01\n", ""))
    row.heals()
    wait_for("that it is right again", lambda: "XYZ 1d can be read again" in runner.log.read_text())
    row.recovers()
    more_ticks(platform)
    assert repeated(platform) == []
    assert platform.sql("SELECT id FROM bot_jobs WHERE status = 'FAILED'") == []
    assert runner.alive
    row.keeps(audit(platform.broker.bootstrap))


def until(planner: HandPlanner, what: str, condition: Any) -> PaperLog:
    def look() -> PaperLog | None:
        log = planner.log()
        return log if condition(log) else None

    found: PaperLog = wait_for(what, look, every_s=0.15)
    return found


def test_a_half_written_line_stops_no_session(platform: Platform, tmp_path: Path) -> None:
    last = 16_000
    path = write(tmp_path / "bars", "AAPL", rows_until(last, 1_900))
    planner = HandPlanner(platform.broker.bootstrap, lease_s=LEASE_S)
    runner = platform.start(
        "job-runner", "job_runner", RUNNER_RESEARCH_SLOTS="1", RUNNER_EVOLVE_SLOTS="0", BARS_FOLDER=str(tmp_path / "bars"),
    )  # fmt: skip
    wait_for("its first beat", lambda: planner.log().beats, 300, every_s=0.2)
    market = FolderMarketData(tmp_path / "bars")
    (order,) = planner.say(a_paper_order(market=market))
    until(planner, "40 bars", lambda log: len(log.marks(order)) >= 40)
    whole = path.read_text()
    path.write_text(whole + "2013-10-23,1")
    wait_for("the fault in the log", lambda: "AAPL 1d stays in use as it was" in runner.log.read_text())
    seen = until(
        planner, "that the session says so", lambda log: any("cannot be read" in job.phase for beat in log.beats for job in beat.jobs)
    )
    until(planner, "40 more bars", lambda log: len(log.marks(order)) >= len(seen.marks(order)) + 40)
    path.write_text(whole)
    wait_for("that it is right again", lambda: "AAPL 1d can be read again" in runner.log.read_text())
    beats = len(planner.log().beats)
    after = until(
        planner, "that the session says so too", lambda log: any(job.phase == "trading" for beat in log.beats[beats:] for job in beat.jobs)
    )
    marks = after.check(order, market)
    assert after.jobs[order.job_id].status is JobStatus.RUNNING
    assert marks
    assert market.bars("AAPL", "1d", END_OF_TIME_MS).time[-1] == last * DAY_MS
