"""Commands about strategies of one's own: write one, check it, backtest it without a stack, see what the runners offer."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from autonomy.events.offers import NAME_PATTERN
from autonomy_cli import options as o
from autonomy_cli.api import reader
from autonomy_cli.engine import check_timeframe, engine_part, told
from autonomy_cli.exits import Exit, fail
from autonomy_cli.show import GREEN, RED, YELLOW, listed, painted, part, print_json, print_table, safe

Folder = Annotated[Path, typer.Option("--folder", envvar="STRATEGIES_FOLDER", help="Where the runners look for strategies.")]
Bars = Annotated[Path | None, typer.Option("--bars", envvar="BARS_FOLDER", exists=True, help="Folder with bars of your own.")]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Default: the first there is.")]
Source = Annotated[Path, typer.Argument(exists=True, help="A Python file, or a folder with __init__.py.")]
Chosen = Annotated[str, typer.Argument(help="A Python file or package, or the name of an installed strategy.")]
Which = Annotated[str | None, typer.Option("--strategy", help="Which one, where a file holds several.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="A parameter, as NAME=VALUE; may be repeated.")]
Timeframe = Annotated[str, typer.Option("--timeframe", help="Of the bars.")]

COLUMNS: Final = tuple((name, name) for name in ("name", "version", "code", "form", "runners", "origin", "parameters"))
TEMPLATE: Final = '''"""{title}: long while the fast mean of closes is above the slow one."""

import numpy as np

from autonomy.strategy import Bars, Int, Plan, Strategy


def mean_of_last(values, length):
    """The mean of the last `length` values at each bar; NaN before there are so many."""
    means = np.full(len(values), np.nan)
    if len(values) >= length:
        sums = np.cumsum(np.insert(values, 0, 0.0))
        means[length - 1 :] = (sums[length:] - sums[:-length]) / length
    return means


class {class_name}(Strategy):
    """Long while the fast mean of closes is above the slow one."""

    name, version = "{name}", 1
    fast = Int(20, 2, 200, "bars", "length of the fast mean")
    slow = Int(50, 3, 400, "bars", "length of the slow mean")
    orderings = [("fast", "slow")]
    warm_up = ["slow"]
    reasons = {{0: "the fast mean is below", 1: "the fast mean is above"}}

    def decide(self, bars: Bars) -> Plan:
        """Row i may use bars 0 to i only."""
        above = mean_of_last(bars.close, self.fast) > mean_of_last(bars.close, self.slow)
        return Plan(exposure=above.astype(float), why=above.astype(int))
'''


def new(
    name: Annotated[str, typer.Argument(help="Of letters, digits and hyphens, such as ema-atr.")],
    folder: Folder = Path("strategies"),
    as_json: o.Json = False,
) -> None:
    """Write a first strategy into the folder of strategies: a running stack offers it within ten seconds."""
    if not re.fullmatch(NAME_PATTERN, name):
        fail(Exit.CANNOT_RUN, f"name: small letters, digits and hyphens, at most 60, got {name[:80]!r}")
    module = name.replace("-", "_")
    path = folder / f"{module if module.isidentifier() else 'strategy_' + module}.py"
    if path.exists():
        fail(Exit.REFUSED, f"{path} is there already")
    words = [word for word in name.split("-") if word]
    class_name = "".join(word.capitalize() for word in words)
    folder.mkdir(parents=True, exist_ok=True)
    title = " ".join(words).capitalize()
    path.write_text(
        TEMPLATE.format(name=name, title=title, class_name=class_name if class_name.isidentifier() else f"Strategy{class_name}")
    )
    if as_json:
        print_json({"file": str(path)})
    else:
        print(f"{path}\nnext: autonomy strategy check {path}")


def check(file: Source, bars: Bars = None, symbol: Symbol = None, timeframe: Timeframe = "1d", as_json: o.Json = False) -> None:
    """Look-ahead, determinism, recursion, range and speed of each strategy in a file. Exit 1: one of them does not pass."""
    check_timeframe(timeframe)
    files = engine_part(".files")
    found = told(lambda: files.checked(file, files.market_of(bars), symbol, timeframe))
    if as_json:
        print_json({name: [dataclasses.asdict(finding) for finding in findings] for name, findings in found.items()})
    else:
        for name, findings in found.items():
            print(safe(name))
            for finding in findings:
                word, colour = {True: ("ok", GREEN), False: ("FAULT", RED), None: ("note", YELLOW)}[finding.passed]
                print(f"  {painted(f'{word:5}', colour)} {finding.check:12} {safe(finding.words)}")
    if any(finding.passed is False for findings in found.values() for finding in findings):
        raise typer.Exit(int(Exit.REFUSED))


def backtest(  # noqa: PLR0913 (one argument per option)
    strategy: Chosen,
    symbol: Symbol = None,
    timeframe: Timeframe = "1d",
    values: Set = None,
    bars: Bars = None,
    which: Which = None,
    cash: Annotated[str, typer.Option("--cash", help="At the start.")] = "100000",
    fee_bps: Annotated[float | None, typer.Option("--fee-bps", help="Per side; by default of costs.yaml beside the bars, else 10.")] = None,
    slippage_bps: Annotated[float | None, typer.Option("--slippage-bps", help="Per side; likewise, else 5.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Also write a page with the curve and all trades.")] = None,
    as_json: o.Json = False,
) -> None:
    """Run what a baseline job runs, without a stack: the same code, the same numbers.

    A strategy for freqtrade is also filled as freqtrade fills; the figures that count are the platform's.
    """
    check_timeframe(timeframe)
    files = engine_part(".files")
    parameters = dict(_value_of(text) for text in values or ())
    order: dict[str, object] = {"timeframe": timeframe, "cash_usd": cash, "fee_bps": fee_bps, "slippage_bps": slippage_bps}
    market = told(lambda: files.market_of(bars))
    path = Path(strategy)

    def run() -> tuple[Any, Any]:  # (a report and a comparison of the engine)
        if not path.exists():
            return files.backtested(strategy, market, symbol, parameters, **order), None
        with files.strategies_in(path) as found:
            coded = _one_of(found, which)
            as_told = {key: value for key, value in order.items() if key != "slippage_bps"}
            return files.backtested(coded, market, symbol, parameters, **order), files.compared_with(
                coded, market, symbol, parameters, **as_told
            )

    report, elsewhere = told(run)
    if html is not None:
        html.write_text(files.page_of(report), encoding="utf-8")
    if as_json:
        print_json(_plain(report) if elsewhere is None else {**_plain(report), "comparison": _plain(elsewhere)})
    else:
        _show(report)
        if elsewhere is not None:
            _show_elsewhere(elsewhere)


def show(api: o.Api = o.DEFAULT_API, as_json: o.Json = False) -> None:
    """What the runners offer, and which files they cannot use."""
    answer = reader(api).get("/api/strategies")
    if "items" not in answer.document:
        fail(Exit.CANNOT_RUN, answer.words)
    if as_json:
        print_json(answer.document)
        return
    rows = [
        {
            "name": (offer := part(item, "offer")).get("name"), "version": offer.get("version"), "code": str(offer.get("codeHash"))[:12],
            "form": offer.get("form"), "runners": item.get("runners"), "origin": offer.get("origin"),
            "parameters": ", ".join(_range_of(number) for number in listed(offer, "numbers")),
        }
        for item in listed(answer.document, "items")
    ]  # fmt: skip
    print_table(rows, COLUMNS, "no runner has announced a strategy yet")
    for fault in listed(answer.document, "faults"):
        line = f":{fault['line']}" if fault.get("line") is not None else ""
        kept = " (its last good version stays in use)" if fault.get("inUse") else ""
        print(painted(f"{safe(fault.get('file'))}{line}: {safe(fault.get('reason'))}{kept}", RED))


def _range_of(number: Mapping[str, object]) -> str:
    return f"{number.get('name')} {number.get('default'):g} ({number.get('low'):g} to {number.get('high'):g})"


def _one_of(found: Mapping[str, Any], which: str | None) -> Any:  # noqa: ANN401 (a strategy of the engine)
    if which is None and len(found) == 1:
        return next(iter(found.values()))
    if which is None or which not in found:
        fail(Exit.CANNOT_RUN, f"--strategy: one of {', '.join(sorted(found))}")
    return found[which]


def _value_of(text: str) -> tuple[str, int | float | str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        fail(Exit.CANNOT_RUN, f"--set: NAME=VALUE, got {text!r}")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _plain(report: object) -> dict[str, Any]:
    """A report, or a comparison, as JSON has it."""
    document: dict[str, Any] = dataclasses.asdict(report)  # type: ignore[call-overload]
    return document


def _show(report: Any) -> None:  # noqa: ANN401 (a report of the engine)
    metrics, shape = report.metrics, report.metrics.on_returns
    print(f"{safe(report.order.strategy)} on {safe(report.order.symbol)}, {report.bars} bars, fingerprint {report.fingerprint[:12]}")
    rows: Sequence[tuple[str, object]] = (
        ("final equity", f"{metrics.final_equity_usd:,.2f}"), ("trades", metrics.trades), ("Sharpe", shape.sharpe_annualised),
        ("CAGR", shape.cagr_fraction), ("max drawdown", shape.max_drawdown_fraction), ("exposure", metrics.exposure_fraction),
        ("out of sample Sharpe", report.walk_forward.out_of_sample.on_returns.sharpe_annualised),
        ("deflated Sharpe", report.deflated_sharpe), ("timing z", report.timing.z), ("timing p", report.timing.p_value),
        ("t at double costs", report.net_t),
        ("buy and hold Sharpe", report.buy_and_hold.on_returns.sharpe_annualised),
        ("look-ahead", "none found" if report.look_ahead.ok else "FOUND"),
    )  # fmt: skip
    for name, value in rows:
        print(f"  {name:21} {f'{value:.4f}' if isinstance(value, float) else value}")


def _show_elsewhere(comparison: Any) -> None:  # noqa: ANN401 (of the engine)
    print(f"by the fills of {safe(comparison.program)}, for comparison only")
    print(f"  {'final equity':21} {comparison.final_equity_usd:,.2f}\n  {'trades':21} {len(comparison.trades)}")
    for note in comparison.notes:
        print(f"  {painted('note', YELLOW)} {safe(note)}")
