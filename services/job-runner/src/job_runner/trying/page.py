"""A backtest as one page of HTML: the curve as SVG, the figures, all trades; no script, nothing from elsewhere."""

from html import escape
from typing import Final

from autonomy.timeframes import bar_words
from job_runner.research.report import ResearchReport

WIDTH: Final = 900
HEIGHT: Final = 240
STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{padding:.2rem .6rem;text-align:right;"
    "border-bottom:1px solid #8884}th:first-child,td:first-child{text-align:left}svg{width:100%;height:auto}"
)


def page_of(report: ResearchReport) -> str:
    """The page of one report."""
    order, metrics, shape = report.order, report.metrics, report.metrics.on_returns
    title = f"{order.strategy} on {order.symbol}"
    figures = (
        ("final equity, USD", f"{metrics.final_equity_usd:,.2f}"), ("trades", str(metrics.trades)),
        ("Sharpe", _number(shape.sharpe_annualised)),
        ("CAGR", _share(shape.cagr_fraction)), ("largest drawdown", _share(shape.max_drawdown_fraction)),
        ("time in the market", _share(metrics.exposure_fraction)),
        ("Sharpe out of sample", _number(report.walk_forward.out_of_sample.on_returns.sharpe_annualised)),
        ("Sharpe of buy and hold", _number(report.buy_and_hold.on_returns.sharpe_annualised)),
        ("look-ahead", "none found" if report.look_ahead.ok else "FOUND"),
    )  # fmt: skip
    parameters = ", ".join(f"{name} {value}" for name, value in order.parameters.items()) or "default parameters"
    trades = "".join(
        f"<tr><td>{bar_words(trade.entry_ms)}</td><td>{bar_words(trade.exit_ms)}</td><td>{trade.units:,.4f}</td><td>{trade.entry_price_usd:,.4f}</td>"
        f"<td>{trade.exit_price_usd:,.4f}</td><td>{trade.fees_usd:,.2f}</td><td>{trade.pnl_usd:,.2f}</td></tr>"
        for trade in report.trades
    )
    made_up = " Made-up bars: they prove nothing." if report.synthetic else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}'
        "</title>"
        f"<style>{STYLE}</style><h1>{escape(title)}</h1><p>{escape(parameters)}. {report.bars} bars, {bar_words(report.first_ms)} to "
        f"{bar_words(report.last_ms)}, {order.fee_bps:g} bp fee and {order.slippage_bps:g} bp slippage a side.{made_up} Fingerprint "
        f"<code>{report.fingerprint[:16]}</code>.</p>{_curve(report)}<table>"
        + "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in figures)
        + "</table><h2>Trades</h2><table><tr><th>entry</th><th>exit</th><th>units</th><th>in at</th><th>out at</th><th>fees</th>"
        + "<th>gain</th></tr>"
        + f"{trades}</table></html>"
    )


def _curve(report: ResearchReport) -> str:
    points = report.equity
    values = [value for point in points for value in (point.strategy_usd, point.buy_and_hold_usd)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def line(of: list[float]) -> str:
        step = WIDTH / max(len(of) - 1, 1)
        return " ".join(f"{place * step:.1f},{HEIGHT * (1 - (value - low) / span):.1f}" for place, value in enumerate(of))

    return (
        f'<svg viewBox="0 -5 {WIDTH} {HEIGHT + 10}" role="img" aria-label="Equity, and buy and hold in grey">'
        f'<polyline fill="none" stroke="#999" points="{line([point.buy_and_hold_usd for point in points])}"/>'
        f'<polyline fill="none" stroke="#2a78d6" stroke-width="2" points="{line([point.strategy_usd for point in points])}"/></svg>'
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} %"
