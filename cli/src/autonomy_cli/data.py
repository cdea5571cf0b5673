"""Commands about bars of one's own: look at them, take them in.

Place in the flow: `main` → **data** → the runner's own reading of files. Needs the extra `strategies`, and no running platform.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from autonomy_cli import options as o
from autonomy_cli.engine import check_timeframe, engine_part, told
from autonomy_cli.exits import Exit
from autonomy_cli.show import RED, YELLOW, counted, painted, print_json, print_table, safe

COLUMNS: Final = tuple((name, name) for name in ("symbol", "timeframe", "bars", "first", "last", "a year", "costs", "from"))
Bars = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The folder of bars.")]
Export = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, Parquet or Feather.")]
Symbol = Annotated[str, typer.Option("--as", help="Whose bars they are, such as BTC/USDT or BRK.B.")]
Timeframe = Annotated[str, typer.Option("--timeframe", help="Of the bars.")]
Into = Annotated[Path, typer.Option("--into", help="The folder of bars.")]
Replace = Annotated[bool, typer.Option("--replace", help="Overwrite the same bars where they are there already.")]


def check(folder: Bars = Path("bars"), as_json: o.Json = False) -> None:
    """What a folder of bars holds, how a runner reads it, and what is odd about it. Exit 1: something of it cannot be used."""
    sheets, skipped = told(lambda: engine_part(".data").looked_at(folder))
    if as_json:
        print_json({"sheets": [dataclasses.asdict(sheet) for sheet in sheets], "skipped": dict(skipped)})
    else:
        print_table([_row(sheet) for sheet in sheets if not sheet.fault], COLUMNS, "no bars that can be used")
        for sheet in sheets:
            for finding in sheet.findings:
                print(painted(f"{safe(sheet.symbol)} {sheet.timeframe}: {safe(finding)}", YELLOW))
            if sheet.fault:
                print(painted(f"{safe(sheet.symbol)} {sheet.timeframe} cannot be used: {safe(sheet.fault)}", RED))
        for name, why in sorted(skipped.items()):
            print(painted(f"{safe(name)} is not used: {safe(why)}", YELLOW))
    if any(sheet.fault for sheet in sheets) or not sheets:
        raise typer.Exit(int(Exit.REFUSED))


def take(
    file: Export, symbol: Symbol, timeframe: Timeframe, into: Into = Path("bars"), replace: Replace = False, as_json: o.Json = False
) -> None:
    """Check an export (yfinance, stooq, Binance, CryptoDataDownload, freqtrade or the like) and keep it as Parquet in the folder."""
    check_timeframe(timeframe)
    path, sheet = told(lambda: engine_part(".data").imported(file, symbol, timeframe, into, replace=replace))
    if as_json:
        print_json({"file": str(path), "sheet": dataclasses.asdict(sheet)})
        return
    print_table([_row(sheet)], COLUMNS, "")
    for finding in sheet.findings:
        print(painted(safe(finding), YELLOW))
    print(f"{path}: a running stack offers it within ten seconds")


def _row(sheet: Any) -> dict[str, object]:  # noqa: ANN401 (a sheet of the engine)
    return {
        "symbol": sheet.symbol, "timeframe": sheet.timeframe, "bars": sheet.bars, "first": sheet.first, "last": sheet.last,
        "a year": sheet.bars_per_year, "costs": counted(sheet.costs) if sheet.costs else "the policy's", "from": sheet.source,
    }  # fmt: skip
