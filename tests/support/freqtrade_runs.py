"""`freqtrade backtesting` without the internet, and the adapter in the same environment, over the same files of bars.

The exchange's list of markets comes from a server of our own on loopback; it is all that freqtrade asks for. See docs/own-bots.md, "From
freqtrade".
"""

import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from pyarrow import feather
from typing_extensions import override

ENVIRONMENT = Path(__file__).parents[2] / ".venv/freqtrade"
HOUR_MS = 3_600_000
BEGIN_MS = 1_704_067_200_000  # 2024-01-01
LOT = 1e-5
CASH = 10_000.0
FEE = 0.001
SPOT, FUTURES = "BTC/USDT", "BTC/USDT:USDT"

ADAPTED = """
import dataclasses, json, sys
from pathlib import Path
from job_runner.engine.plans import Switches
from job_runner.trying import comparison, files
asked = json.loads(sys.argv[1])
for name, word in asked["switches"].items():
    comparison.FREQTRADE = dataclasses.replace(comparison.FREQTRADE, **{name: word})
market = files.market_of(Path(asked["bars"]))
rows, axis = files.bars_of(market, asked["symbol"], "1h")
with files.strategies_in(Path(asked["file"])) as found:
    (coded,) = found.values()
    whole = comparison.compared(coded, rows, axis, asked["parameters"], asked["cash"], asked["fee_bps"], asked["lot"])
    print(json.dumps({"offer": coded.offer.model_dump(mode="json"), "comparison": dataclasses.asdict(whole)}))
"""


def bars(seed: int, count: int, volatility: float, gap: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Hourly open, high, low, close, volume on cents, with gaps between bars."""
    numbers = np.random.default_rng(seed)
    rows, close = np.empty((count, 5)), 100.0
    for row in rows:
        open_ = close * np.exp(gap * volatility * numbers.normal())
        end = open_ * np.exp(volatility * numbers.normal())
        high, low = max(open_, end), min(open_, end)
        reach = np.exp(volatility / 2 * np.abs(numbers.normal(size=2)))
        four = np.round([open_, high * reach[0], low / reach[1], end], 2)
        row[:] = [four[0], four.max(), four.min(), four[3], 1.0]
        close = four[3]
    return rows


def write_bars(folder: Path, rows: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """The files that freqtrade reads, of spot and futures, with higher timeframes of their own."""
    (folder / "futures").mkdir(parents=True)
    for hours, name in ((1, "1h"), (4, "4h"), (24, "1d")):
        grouped = [rows[first : first + hours] for first in range(0, len(rows) - hours + 1, hours)]
        whole = np.array([[part[0, 0], part[:, 1].max(), part[:, 2].min(), part[-1, 3], part[:, 4].sum()] for part in grouped])
        write_one(folder / f"BTC_USDT-{name}.feather", whole, hours)
        write_one(folder / f"futures/BTC_USDT_USDT-{name}-futures.feather", whole, hours)
    write_one(folder / "futures/BTC_USDT_USDT-1h-mark.feather", rows, 1)
    write_one(folder / "futures/BTC_USDT_USDT-1h-funding_rate.feather", np.zeros_like(rows[::8]), 8)


def write_one(path: Path, rows: np.ndarray[Any, np.dtype[np.float64]], hours: int) -> None:
    times = BEGIN_MS + np.arange(len(rows), dtype=np.int64) * (hours * HOUR_MS)
    columns = dict(zip(("open", "high", "low", "close", "volume"), rows.T, strict=True))
    feather.write_feather(arrow.table({"date": arrow.array(times, arrow.timestamp("ms", "UTC")), **columns}), str(path), compression="lz4")


def markets(*, futures: bool) -> dict[str, Any]:
    """What freqtrade reads of the exchange's list."""
    minimum = {"filterType": "MIN_NOTIONAL", "notional": "1"} if futures else {"filterType": "NOTIONAL", "minNotional": "1"}
    market: dict[str, Any] = {
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01", "minPrice": "0.01", "maxPrice": "1000000"},
            {"filterType": "LOT_SIZE", "stepSize": f"{LOT:.5f}", "minQty": f"{LOT:.5f}", "maxQty": "9000000"}, minimum,
        ],
    }  # fmt: skip
    return {"symbols": [{**market, "contractType": "PERPETUAL", "marginAsset": "USDT"} if futures else market]}


class Exchange(BaseHTTPRequestHandler):
    """Answers with the list of markets, whatever is asked."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        said = {"symbols": []} if path.startswith("/dapi") else markets(futures=path.startswith("/fapi"))
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@contextmanager
def exchange() -> Iterator[str]:
    """The address of a server that is an exchange to freqtrade."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def backtest(folder: Path, data: Path, name: str, text: str, address: str, *, futures: bool) -> dict[str, Any]:
    """One run of the command; its own record of it."""
    strategies = folder / "strategies"
    strategies.mkdir(parents=True)
    (folder / "user").mkdir()
    (strategies / f"{name}.py").write_text(text)
    paths = {"public": "/api/v3", "fapiPublic": "/fapi/v1", "dapiPublic": "/dapi/v1"}
    pricing = {"price_side": "same", "use_order_book": True, "order_book_top": 1}
    config = {
        "dry_run": True, "dry_run_wallet": CASH, "stake_currency": "USDT", "stake_amount": "unlimited", "tradable_balance_ratio": 1.0,
        "max_open_trades": 1, "timeframe": "1h", "pairlists": [{"method": "StaticPairList"}], "entry_pricing": pricing,
        "exit_pricing": pricing,
        "exchange": {
            "name": "binance", "key": "", "secret": "", "pair_whitelist": [FUTURES if futures else SPOT],
            "ccxt_config": {"enableRateLimit": False, "urls": {"api": {key: address + path for key, path in paths.items()}}},
        },
        **({"trading_mode": "futures", "margin_mode": "isolated"} if futures else {}),
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    done = subprocess.run(
        [
            str(ENVIRONMENT / "bin/freqtrade"), "backtesting", "-c", str(folder / "config.json"), "--userdir", str(folder / "user"),
            "--strategy-path", str(strategies), "-s", name, "-d", str(data), "--fee", str(FEE), "--cache", "none", "--export", "trades",
            "--backtest-directory", str(folder / "out"),
        ],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    archives = sorted(folder.rglob("*.zip"))
    assert len(archives) == 1, (done.stdout + done.stderr)[-3000:]
    with zipfile.ZipFile(archives[0]) as archive:
        inner = next(each for each in archive.namelist() if each.endswith(".json") and name not in each and "config" not in each)
        found: dict[str, Any] = json.loads(archive.read(inner))["strategy"][name]
    return found


def adapted(
    file: Path, data: Path, symbol: str, parameters: dict[str, Any] | None = None, switches: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The offer and the comparison of one file, as the runner's own code makes them beside freqtrade."""
    done = run_adapted(file, data, symbol, parameters, switches)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refusal(file: Path, data: Path, symbol: str) -> str:
    """Why a file is not used, in words."""
    done = run_adapted(file, data, symbol)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


def run_adapted(
    file: Path, data: Path, symbol: str, parameters: dict[str, Any] | None = None, switches: dict[str, Any] | None = None
) -> "subprocess.CompletedProcess[str]":
    asked = {
        "file": str(file), "bars": str(data), "symbol": symbol, "cash": CASH, "fee_bps": FEE * 1e4, "lot": LOT,
        "parameters": parameters or {}, "switches": switches or {},
    }  # fmt: skip
    arguments = [str(ENVIRONMENT / "bin/python"), "-c", ADAPTED, json.dumps(asked)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)


def command(*words: str) -> str:
    """What the command `autonomy` prints, in freqtrade's environment."""
    done = subprocess.run([str(ENVIRONMENT / "bin/autonomy"), *words], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout
