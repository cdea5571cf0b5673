"""Hours of somebody's own beside the demo, on real servers: researched as `autonomy backtest` would, of now, and again when bars come.

Source: R-G3; docs/own-bots.md, "Bars of your own".
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic.alias_generators import to_camel

from autonomy.clock import now_ms
from autonomy.timeframes import MS
from autonomy.values import iso
from job_runner.market.bar_folder import FolderMarketData
from job_runner.market.sources import END_OF_TIME_MS
from job_runner.research.report import SuiteSize
from job_runner.trying.files import backtested
from support.log import audit
from support.patience import PATIENCE_S
from support.platform import Platform, quick_policy, wait_for

pytestmark = pytest.mark.servers
BARS = 1_500
HOUR_MS = MS["1h"]
PARAMETERS = {"fast": 5, "slow": 20, "direction": "long-short"}
BOT = {
    "id": "btc",
    "strategy": "sma-cross",
    "symbol": "BTC/USDT",
    "timeframe": "1h",
    "parameters": PARAMETERS,
}
COSTS = {"fee_bps": 7.5, "slippage_bps": 1.0, "maker_bps": 2.0, "funding_bps_per_day": 3.0, "tick": 0.01, "lot": 0.001, "minimum_usd": 10.0}
DEMO = {"id": "aapl", "strategy": "sma-cross", "symbol": "AAPL"}


def write(folder: Path, last_ms: int, count: int) -> None:
    """So many hours up to one, each as an exporter writes it; a walk by a fixed seed, so that the first ones stay what they are."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0002, 0.01, 5_000)))
    first_ms = last_ms - (count - 1) * HOUR_MS
    rows = [f"{(first_ms + n * HOUR_MS) // 1000},{c},{c * 1.01},{c * 0.99},{c},1000" for n, c in enumerate(close[:count].tolist())]
    folder.mkdir(exist_ok=True)
    half = folder / ".half"
    half.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    half.replace(folder / "BTC_USDT-1h.csv")


def found(platform: Platform, bot: str) -> list[dict[str, Any]]:
    return platform.sql("SELECT * FROM bot_backtests WHERE bot_id = %s ORDER BY created_at", bot)


def test_hours_beside_the_demo(platform: Platform, tmp_path: Path) -> None:
    folder, last_ms = tmp_path / "bars", now_ms() // HOUR_MS * HOUR_MS - 3 * HOUR_MS
    write(folder, last_ms, BARS)
    (folder / "costs.yaml").write_text(yaml.safe_dump({"BTC/USDT": COSTS}))
    platform.planner()
    platform.projection()
    platform.runner(BARS_FOLDER=str(folder), BARS_DEMO="1")
    policy = quick_policy()
    policy["stages"] = {"LAB": {"wants": ["BACKTEST_BASELINE", "BACKTEST_REFRESH"], "refresh_after_bars": 1}}
    platform.set_policy(policy)
    platform.register([BOT, DEMO])
    wait_for("both baselines", lambda: found(platform, "btc") and found(platform, "aapl"), PATIENCE_S)
    mine, demo = found(platform, "btc")[0], found(platform, "aapl")[0]

    # Of now, while the demo replays 2010.
    assert (mine["bars"], mine["last_bar"].timestamp() * 1000) == (BARS, last_ms)
    assert demo["last_bar"].year < 2014

    # The very numbers of a backtest without a stack.
    market, suite = FolderMarketData(folder), SuiteSize(**policy["research"]["suite"])
    costs = platform.sql(
        "SELECT spec->'costs' AS costs, (spec->>'barsPerYear')::int AS a_year, spec->>'initialCashUsd' AS cash FROM bot_jobs WHERE id = %s",
        mine["job_id"],
    )[0]
    assert costs["a_year"] == 24 * 365 == market.bars("BTC/USDT", "1h", END_OF_TIME_MS).bars_per_year
    assert costs["costs"] == {to_camel(name): value for name, value in COSTS.items()}
    others = platform.sql("SELECT spec->'costs' AS costs FROM bot_jobs WHERE id = %s", demo["job_id"])[0]
    assert others["costs"] == {"feeBps": 10.0, "slippageBps": 5.0}, "the policy's"
    alone = backtested("sma-cross", market, "BTC/USDT", PARAMETERS, timeframe="1h", cash_usd=costs["cash"], suite=suite)
    assert (mine["fingerprint"], mine["data_sha256"], mine["trades"]) == (alone.fingerprint, alone.data_sha256, alone.metrics.trades)
    assert mine["sharpe"] == pytest.approx(alone.metrics.on_returns.sharpe_annualised, abs=1e-9)

    # A bar that is still running is announced and not shown; ended ones are researched, once each time.
    write(folder, last_ms + 4 * HOUR_MS, BARS + 4)
    wait_for("research on the bars that have ended", lambda: found(platform, "btc")[-1]["bars"] >= BARS + 2, PATIENCE_S)
    ended = (now_ms() - last_ms) // HOUR_MS - 1
    newest = found(platform, "btc")[-1]
    assert newest["bars"] <= BARS + ended, f"a bar of {iso(newest['last_bar'])} was not over"
    repeated = platform.sql("SELECT bot_id, fingerprint, data_sha256, count(*) FROM bot_backtests GROUP BY 1, 2, 3 HAVING count(*) > 1")
    assert repeated == []
    audit(platform.broker.bootstrap)
