"""Bars of a minute as they come, on real servers and by the real clock: half-written, late, revised and missing ones.

`AUTONOMY_LIVE_MINUTES` says for how many minutes (12 by default).

Source: R-G3, R-G5; docs/own-bots.md, "Bars of your own".
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autonomy.clock import now_ms
from autonomy.timeframes import MINUTE_MS
from support.edge import WEEKDAYS, prices
from support.log import audit
from support.patience import PATIENCE_S
from support.platform import Platform, quick_policy, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.long]
MINUTES = int(os.environ.get("AUTONOMY_LIVE_MINUTES", "12"))
BOT = "by-minutes"
SUITE = {"permuted_markets": 200, "truncation_cuts": 10, "neighbourhood_steps": 4, "stress_levels": 3, "walk_forward_windows": 4}


@dataclass
class Feed:
    """Whoever writes the file: one bar a minute, and every sixth minute one of each kind of trouble.

    Attributes:
        delivered: rows by the start of their bar, as they last stood in the whole file.
        missing, late, overtaken, revised: starts of the bars that were so; overtaken: late, and behind a later one that came before.
    """

    folder: Path
    first_ms: int
    count: int
    rows: list[str] = field(default_factory=prices)
    delivered: dict[int, str] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    late: set[int] = field(default_factory=set)
    revised: set[int] = field(default_factory=set)
    overtaken: set[int] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    def start_of(self, number: int) -> int:
        return self.first_ms + number * MINUTE_MS

    def write(self, *, half: bool = False) -> None:
        """The file in its place, as exporters do it; half of its last line is there for a while where that is asked."""
        lines = ["timestamp,open,high,low,close,volume", *(f"{start // 1000},{row}" for start, row in sorted(self.delivered.items()))]
        text = "\n".join(lines) + "\n"
        (self.folder / "BTC_USDT-1m.csv").write_text(text[: -len(lines[-1]) // 2] if half else text)

    def begin(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.delivered = {self.start_of(number): self.rows[number] for number in range(self.count)}
        self.write()

    def run(self) -> None:
        number, waiting = self.count, list[int]()
        while number < len(self.rows):
            start = self.start_of(number)
            if self.stop.wait(max(0.0, (start + MINUTE_MS + 500 - now_ms()) / 1000)):
                return
            match number % 6:
                case 2:
                    waiting.append(number)
                    self.late.add(start)
                case 4:
                    self.missing.add(start)
                case kind:
                    if kind == 3 and number % 12 == 3:  # every other late bar comes after the next one, in the middle of the file
                        self.overtaken |= {self.start_of(one) for one in waiting}
                        self.delivered[start] = self.rows[number]
                        self.write()
                        if self.stop.wait(20):
                            return
                    self.delivered |= {self.start_of(one): self.rows[one] for one in [*waiting, number]}
                    waiting = []
                    if kind == 1:
                        self.write(half=True)
                        if self.stop.wait(8):
                            return
                    if kind == 5:
                        before = max(one for one in self.delivered if one < start)
                        open_, high, low, close, volume = self.delivered[before].split(",")
                        self.delivered[before] = f"{open_},{high},{low},{(float(close) + float(low)) / 2:.6f},{volume}"
                        self.revised.add(before)
                    self.write()
            number += 1


@contextmanager
def fed(feed: Feed) -> Iterator[Feed]:
    feed.begin()
    thread = threading.Thread(target=feed.run)
    thread.start()
    try:
        yield feed
    finally:
        feed.stop.set()
        thread.join()


def a_policy() -> dict[str, Any]:
    policy = quick_policy(suite=SUITE)
    running = {
        "wants": ["RUNNER_START", "BACKTEST_BASELINE", "BACKTEST_REFRESH"], "gates": {"max_evidence_age_bars": 200, "min_live_bars": 100_000},
        "runner_gates": ["BASELINE_PASSED", "REALISM", "LIMITS"], "refresh_after_bars": 1,
    }  # fmt: skip
    policy["stages"] = {
        "LAB": {"wants": ["BACKTEST_BASELINE", "BACKTEST_REFRESH"], "refresh_after_bars": 1},
        **dict.fromkeys(("PAPER", "SHADOW", "CANARY", "LIVE"), running),
    }
    return policy | {"promotion_mode": "AUTO", "promotion": {"max_share": {}}}


@pytest.mark.timeout(60 * MINUTES + 900)
def test_every_bar_is_taken_once_and_research_follows_the_bars(platform: Platform, tmp_path: Path) -> None:
    count = WEEKDAYS - MINUTES - 30
    first_ms = now_ms() // MINUTE_MS * MINUTE_MS - count * MINUTE_MS
    with fed(Feed(tmp_path / "bars", first_ms, count)) as feed:
        platform.planner()
        platform.projection()
        platform.runner(BARS_FOLDER=str(feed.folder), BARS_DEMO="1")
        platform.set_policy(a_policy())
        bot = {
            "strategy": "sma-cross",
            "symbol": "BTC/USDT",
            "timeframe": "1m",
            "parameters": {"fast": 5, "slow": 20, "direction": "long-short"},
        }
        platform.register([{"id": BOT, **bot}])
        wait_for("a first bar", lambda: platform.one("SELECT count(*) FROM bot_equity"), 3 * PATIENCE_S)
        wait_for("the minutes", lambda: platform.one("SELECT count(*) FROM bot_equity") >= MINUTES * 4 // 6, 60 * MINUTES + 300, every_s=5)
        feed.stop.set()
    last = max(feed.delivered)
    wait_for("the last bar", lambda: platform.one("SELECT max(bar_start) FROM bot_equity").timestamp() * 1000 >= last)

    (session,) = platform.sql("SELECT * FROM bot_sessions")
    taken = [round(row["bar_start"].timestamp() * 1000) for row in platform.sql("SELECT bar_start FROM bot_equity ORDER BY bar")]
    from_ms = session["from_bar"].timestamp() * 1000
    overtaken = {start for start in feed.overtaken if start > from_ms}
    due = sorted(start for start in feed.delivered if start > from_ms and start not in overtaken)
    assert taken == due, "every bar that came, once, in order"
    assert session["late_bars"] == len(overtaken), "and those that nobody could take any more are told"
    assert feed.missing, "a feed without gaps shows nothing"
    assert not feed.missing & set(taken)
    assert sum(session["outcomes"].values()) == session["traded_bars"] == len(taken)
    assert session["state"] == "OPEN", "no refresh ends a session"

    backtests = platform.sql("SELECT * FROM bot_backtests ORDER BY created_at")
    assert len(backtests) >= MINUTES // 4, "research follows the bars"
    assert len({(row["fingerprint"], row["data_sha256"]) for row in backtests}) == len(backtests), "never twice on the same bytes"
    assert platform.sql("SELECT * FROM bot_jobs WHERE status IN ('FAILED', 'DEAD')") == []
    audit(platform.broker.bootstrap).check()
    print(f"{MINUTES} minutes: {len(taken)} bars, {len(feed.late)} late, {len(overtaken)} of them overtaken, {len(feed.revised)} revised, {len(feed.missing)} missing, "
          f"{len(backtests)} backtests, outcomes {session['outcomes']}")  # fmt: skip
