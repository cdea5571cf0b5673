"""`python -m benchmarks [names…] [--json out] [--quick]`: run, print the table, exit 1 when a must is not met."""

import argparse
import dataclasses
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

from benchmarks.measure import Measure, context

NAMES = (
    "decide", "backtest", "evolution", "runner", "tick", "audit", "cold", "projection", "busiest", "dispatch", "proof", "page", "start",
)  # fmt: skip
"""In the order of a run; `start` also measures memory."""


def main() -> int:
    """Run the benchmarks named, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], default=[])
    parser.add_argument("--json", type=Path, help="write the measures here too")
    parser.add_argument("--quick", action="store_true", help="small sets, one round: does it run at all?")
    words = parser.parse_args()
    found: dict[str, list[Measure]] = {}
    failed = False
    with context(quick=words.quick) as ctx:
        for name in words.names or NAMES:
            started = time.monotonic()
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                found[name] = importlib.import_module(f"benchmarks.{name}").run(ctx)
            except Exception:  # noqa: BLE001 (one benchmark's fault must not hide the others' numbers)
                traceback.print_exc()
                failed = True
            print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
        show([measure for measures in found.values() for measure in measures])
        for note in ctx.notes:
            print(f"- {note}")
    if words.json:
        document = {name: [dataclasses.asdict(measure) for measure in measures] for name, measures in found.items()}
        words.json.write_text(json.dumps(document, indent=1, ensure_ascii=False))
    missed = [measure.name for measures in found.values() for measure in measures if measure.ok is False]
    for name in missed:
        print(f"NOT MET: {name.strip()}", file=sys.stderr)
    return 1 if missed or failed else 0


def show(measures: list[Measure]) -> None:
    """The table, as Markdown."""
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    print(f"\n{os.cpu_count()} cores, load {load}, Python {sys.version.split()[0]}\n")
    print("| what | measured | limit, same run | ratio | must | |\n|---|---|---|---|---|---|")
    for measure in measures:
        limit = "–" if measure.limit_value is None else f"{_number(measure.limit_value)} ({measure.limit_name})"
        ratio = "–" if measure.ratio is None else f"{measure.ratio:.2f}"
        mark = {True: "ok", False: "**NOT MET**", None: ""}[measure.ok]
        print(f"| {measure.name} | {_number(measure.value)} {measure.unit} | {limit} | {ratio} | {measure.must or '–'} | {mark} |")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
