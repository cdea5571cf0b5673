"""What is drawn of one bot, out of one moment: rows of one transaction, and the reports that these rows name by their hash.

Place in the flow: route → **picture** → PostgreSQL (role reader), then the store of reports → documents. A report cannot change: what a row
names is what was meant at the row's moment. Nothing is made up: a price is one that a mark or a report holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from autonomy.documents import tables
from autonomy.values import iso, iso_of_ms
from proof_api.http.problems import Problem
from proof_api.reading.backtests import report_of
from proof_api.reading.queries import BACKTESTS, DRIFT, SESSIONS, document

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

Document = dict[str, object]
Report = Mapping[str, Any]
MAX_POINTS: Final = 160
MAX_TRADES: Final = 100
MAX_FILLS: Final = 200
MAX_MARKS: Final = 200
"""Versions, and changes of stage."""
MAX_BARS: Final = 5_000
"""Bars of a session that are looked at, the newest."""

POINTS_SQL: Final = """
WITH newest AS MATERIALIZED (
  SELECT bar, bar_start, close, equity, traded_bars FROM bot_equity WHERE session_id = $1 ORDER BY bar DESC LIMIT $2),
first AS (SELECT bar, close, equity - pnl AS cash FROM bot_equity WHERE session_id = $1 ORDER BY bar LIMIT 1),
earlier AS (SELECT max(equity) AS peak, count(*) AS bars FROM bot_equity WHERE session_id = $1 AND bar < (SELECT min(bar) FROM newest)),
all_of AS (
  SELECT n.*, f.cash, f.close AS first_close, e.bars AS before,
         greatest(max(n.equity) OVER (ORDER BY n.bar), e.peak) AS peak,
         row_number() OVER (ORDER BY n.bar DESC) AS back, row_number() OVER (ORDER BY n.bar) AS place,
         (SELECT min(1 << k) FROM generate_series(0, 20) k WHERE (SELECT count(*) FROM newest) <= $3::int * (1 << k)) AS every
  FROM newest n CROSS JOIN first f CROSS JOIN earlier e)
SELECT bar_start, close, equity / nullif(cash, 0) AS equity, close / nullif(first_close, 0) AS holding,
       1 - equity / nullif(peak, 0) AS drawdown, every, before
FROM all_of WHERE (traded_bars - 1) % every = 0 OR place = 1 OR back = 1 ORDER BY bar
"""
"""Each bar of a session, or every second, fourth, … since it began, at which the engine's run was kept too; always the first that is looked
at, and the newest. What is before them counts for the peak, which is one of closes, as in the engine."""
FILLS_SQL: Final = """
SELECT order_id, bar_start, kind, side, units, price, pnl FROM bot_trades WHERE session_id = $1 AND bar_start >= $2
ORDER BY bar DESC, at DESC, order_id DESC LIMIT $3
"""
VERSION_SQL: Final = """
SELECT max(v.version) FROM bot_versions v JOIN bot_jobs j ON j.bot_id = v.bot_id AND v.tick <= j.tick WHERE j.id = $1
"""
RERUN_SQL: Final = """
SELECT b.job_id, b.artifact, b.summary->'window' AS "window" FROM bot_backtests b WHERE b.job_id = $1
"""


@dataclass(slots=True)
class Reports:
    """Reports of one answer, each read once.

    Attributes:
        url: of the runners' store.
    """

    url: str
    known: dict[str, Report]

    async def of(self, reference: object, job_id: str) -> tuple[Report, str]:
        """A report, and in words why it cannot be read; one of both is empty."""
        if reference is None:
            return {}, "the runner kept no report of it"
        if job_id not in self.known:
            try:
                self.known[job_id] = await report_of(self.url, str(reference), job_id)
            except Problem as problem:
                return {}, f"{problem.title} ({problem.code})"
        return self.known[job_id], ""


@dataclass(frozen=True, slots=True)
class SessionRows:
    """What one transaction saw of a session; `rerun` is the result that judged it last."""

    session: Document
    points: "Sequence[asyncpg.Record]"
    fills: "Sequence[asyncpg.Record]"
    of_fills: int
    drift: Document | None
    rerun: "asyncpg.Record | None"


@dataclass(frozen=True, slots=True)
class Rows:
    """What one transaction saw of a bot; `version` is what its newest result was ordered for."""

    bot: Document
    backtest: Document | None
    version: int | None
    session: SessionRows | None
    versions: list[Document]
    of_versions: int
    moves: list[Document]
    of_moves: int


async def read(connection: "Connection", bot_id: str) -> Rows:
    """The rows of a known bot.

    Args:
        connection: in a transaction that sees one moment.
        bot_id: whose.
    """
    bot = await connection.fetchrow(f"{tables.BOT.select} WHERE id = $1", bot_id)
    if bot is None:
        raise Problem(404, "UNKNOWN_BOT", "No such bot", bot_id)
    backtest, session = [await listing.newest_of(connection, bot_id) for listing in (BACKTESTS, SESSIONS)]
    version = await connection.fetchval(VERSION_SQL, backtest["jobId"]) if backtest else None
    versions = await connection.fetch(f"{tables.VERSION.select} WHERE bot_id = $1 ORDER BY version DESC LIMIT $2", bot_id, MAX_MARKS)
    moves = await connection.fetch(
        f"{tables.STAGE_EVENT.select} WHERE bot_id = $1 ORDER BY created_at DESC, tick DESC, id DESC LIMIT $2", bot_id, MAX_MARKS
    )
    of_versions = await connection.fetchval("SELECT count(*) FROM bot_versions WHERE bot_id = $1", bot_id)
    of_moves = await connection.fetchval("SELECT count(*) FROM bot_stage_events WHERE bot_id = $1", bot_id)
    return Rows(
        document(bot), backtest, version, await _session(connection, bot_id, session) if session else None,
        [document(row) for row in reversed(versions)], int(of_versions), [document(row) for row in reversed(moves)], int(of_moves),
    )  # fmt: skip


async def _session(connection: "Connection", bot_id: str, session: Document) -> SessionRows:
    points = await connection.fetch(POINTS_SQL, session["id"], MAX_BARS, MAX_POINTS)
    since = points[0]["bar_start"] if points else datetime.fromisoformat(str(session["fromBar"]))
    fills = await connection.fetch(FILLS_SQL, session["id"], since, MAX_FILLS)
    of_fills = await connection.fetchval("SELECT count(*) FROM bot_trades WHERE session_id = $1", session["id"])
    drift = await DRIFT.newest_of(connection, bot_id, session["id"])
    rerun = await connection.fetchrow(RERUN_SQL, drift["jobId"]) if drift else None
    return SessionRows(session, points, list(reversed(fills)), int(of_fills), drift, rerun)


async def told(rows: Rows, url: str) -> Document:
    """The document but its proof.

    Args:
        rows: of one moment.
        url: of the runners' store of reports.
    """
    reports = Reports(url, {})
    return {
        "bot": rows.bot,
        "backtest": await backtest_told(rows.backtest, rows.version, reports) if rows.backtest else None,
        "session": await session_told(rows.session, reports) if rows.session else None,
        "versions": rows.versions, "ofVersions": rows.of_versions, "moves": rows.moves, "ofMoves": rows.of_moves,
    }  # fmt: skip


async def backtest_told(row: Document, version: int | None, reports: Reports) -> Document:
    """A result with its points and trades, from its report, or else with the curve that the log has."""
    report, why = await reports.of(row["artifact"], str(row["jobId"]))
    points, basis, lacks = points_of_report(report), "REPORT", ""
    if not points:
        summary = row["summary"]
        points = points_of_curve(summary) if isinstance(summary, Mapping) else []
        basis, lacks = "CURVE" if points else "NONE", f"Prices and trades are not known: {why or 'the report has no account'}."
    elif any(point["close"] is None for point in points):
        lacks = "The report has no prices beside its trades: the runner that made it kept none."
    trades = report.get("trades") or []
    return {
        "jobId": row["jobId"], "version": version, "firstBar": row["firstBar"], "lastBar": row["lastBar"], "bars": row["bars"],
        "synthetic": row["synthetic"], "createdAt": row["createdAt"], "basis": basis, "lacks": lacks, "points": points,
        "trades": [trade_of(trade) for trade in trades[-MAX_TRADES:]], "ofTrades": len(trades) if report else row["trades"],
    }  # fmt: skip


def points_of_report(report: Report) -> list[Document]:
    """The account as the report has it, thinned; nothing of a report without."""
    rows, cash = report.get("equity") or [], float(report.get("order", {}).get("initial_cash_usd") or 0)
    if not rows or not cash > 0:
        return []
    deepest = max(range(len(rows)), key=lambda place: rows[place]["drawdown_fraction"])
    return [
        {
            "barStart": iso_of_ms(row["time_ms"]), "close": row.get("close_usd"), "equity": row["strategy_usd"] / cash,
            "holding": row["buy_and_hold_usd"] / cash, "drawdown": row["drawdown_fraction"],
        }
        for row in (rows[place] for place in thinned(len(rows), MAX_POINTS, deepest))
    ]  # fmt: skip


def thinned(count: int, most: int, *kept: int) -> list[int]:
    """Places of about so many of a number of rows, evenly, the first and the last among them, and some others."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)} | set(kept))


def points_of_curve(summary: Mapping[str, object]) -> list[Document]:
    """The shorter curve of a result as the log has it; nothing of one that has none."""
    curve = summary.get("curve")
    if not isinstance(curve, Mapping):
        return []
    start = datetime.fromisoformat(str(summary["firstBar"]))
    minutes, equity, holding = [str(curve[name]).split(",") for name in ("minutes", "strategy", "buyAndHold")]
    values = [float(value) for value in equity]
    peaks = accumulate(values, max)
    return [
        {
            "barStart": iso(start + timedelta(minutes=int(minute))), "close": None, "equity": value, "holding": float(held),
            "drawdown": 1 - value / peak if peak > 0 else 0.0,
        }
        for minute, value, held, peak in zip(minutes, values, holding, peaks, strict=True)
    ]  # fmt: skip


def trade_of(trade: Report) -> Document:
    """A closed trade as it goes out."""
    return {
        "entryBar": iso_of_ms(trade["entry_ms"]), "exitBar": iso_of_ms(trade["exit_ms"]), "units": trade["units"],
        "entryPrice": trade["entry_price_usd"], "exitPrice": trade["exit_price_usd"], "pnl": trade["pnl_usd"],
    }  # fmt: skip


async def session_told(rows: SessionRows, reports: Reports) -> Document:
    """A session with its points and fills, and the engine's account over the bars that were judged."""
    window, engine = None, list[Document]()
    if rows.rerun is not None:
        window = rows.rerun["window"]
        report, _ = await reports.of(rows.rerun["artifact"], str(rows.rerun["job_id"]))
        engine = engine_of(report, str(rows.session["id"]), [iso(row["bar_start"]) for row in rows.points])
    first = rows.points[0] if rows.points else None
    return {
        "session": rows.session, "every": int(first["every"]) if first else 1, "before": int(first["before"]) if first else 0,
        "points": [point_of(row) for row in rows.points if row["equity"] is not None], "fills": [document(row) for row in rows.fills],
        "ofFills": rows.of_fills, "drift": rows.drift, "window": window, "engine": engine,
    }  # fmt: skip


def point_of(row: "asyncpg.Record") -> Document:
    """A bar of a session as it goes out."""
    return {
        "barStart": iso(row["bar_start"]), "close": row["close"], "equity": row["equity"], "holding": row["holding"],
        "drawdown": row["drawdown"] or 0.0,
    }  # fmt: skip


def engine_of(report: Report, session_id: str, drawn: Sequence[str]) -> list[Document]:
    """The engine's account over a session's bars; nothing of a report about another session.

    Args:
        report: of the job that ran them again.
        session_id: whose bars they must be.
        drawn: bars of the session that are drawn, by time: at these and at its last one, and evenly where it kept only some of them.
    """
    window, cash = report.get("window") or {}, float(report.get("order", {}).get("initial_cash_usd") or 0)
    if window.get("session_id") != session_id or not cash > 0 or not drawn:
        return []
    closes = [(iso_of_ms(close["time_ms"]), close["strategy_usd"]) for close in window["equity"]]
    closes = [(bar, equity) for bar, equity in closes if bar >= drawn[0]]
    wanted = set(drawn)
    shown = [close for close in closes if close[0] in wanted or close is closes[-1]]
    if closes and 2 * len(shown) < sum(bar <= closes[-1][0] for bar in drawn):
        shown = [closes[place] for place in thinned(len(closes), MAX_POINTS)]
    return [{"barStart": bar, "equity": equity / cash} for bar, equity in shown]
