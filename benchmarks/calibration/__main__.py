"""`python -m benchmarks.calibration`: live the lives, resume where a run was stopped, and write docs/gates.md.

Each life is a line of a file below `.calibration`, which no `make reset` takes away, named by the seed and by the rules' versions; a life
that stands there is not lived again. Lives depend on nothing but the seed and their number: how many processes work changes no figure.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.calibration import page
from benchmarks.calibration.lives import TRADING, Life, drift_for, noise_life, planted_life
from benchmarks.calibration.worlds import Noise
from job_runner.engine.fills import ENGINE_VERSION
from planner.decide.plan import DECIDER

ROOT: Final = Path(__file__).resolve().parents[2]
NOISE: Final[tuple[Noise, ...]] = ("permuted", "walk", "blocks")
EDGES: Final = {"edge-4": 4.0, "edge-3": 3.0}
NOISE_BARS, FIRST_BARS, EDGE_BARS = 2_500, 1_000, 3_600


def main() -> int:
    """Run, and write the page."""
    parser = argparse.ArgumentParser(prog="benchmarks.calibration", description=__doc__)
    parser.add_argument("--lives", type=int, default=10_000, help="of each kind of noise")
    parser.add_argument("--edges", type=int, default=2_000, help="of each planted edge")
    parser.add_argument("--seed", type=int, default=20_261_130)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=[*NOISE, *EDGES], action="append", help="these kinds only; the page keeps the others' lives")
    words = parser.parse_args()
    folder = ROOT / ".calibration"
    folder.mkdir(parents=True, exist_ok=True)
    drifts = {kind: {name: drift_for(name, edge, FIRST_BARS, words.seed) for name in TRADING} for kind, edge in EDGES.items()}
    lives: dict[str, partial[Life]] = {
        **{kind: partial(noise_life, kind=kind, bars=NOISE_BARS, seed=words.seed) for kind in NOISE},
        **{kind: partial(planted_life, first_bars=FIRST_BARS, bars=EDGE_BARS, drifts=drifts[kind], seed=words.seed) for kind in EDGES},
    }
    found: dict[str, list[Life]] = {}
    with ProcessPoolExecutor(words.workers) as pool:
        for kind, live in lives.items():
            store = folder / f"{DECIDER}-{ENGINE_VERSION}-{words.seed}-{kind}.jsonl"
            count = words.edges if kind in EDGES else words.lives
            known = {number: life for number, life in read(store) if number < count}
            if words.only is None or kind in words.only:
                known |= lived(pool, live, [number for number in range(count) if number not in known], store, kind)
            if known:
                found[kind] = [known[number] for number in sorted(known)]
    bars = {kind: EDGE_BARS if kind in EDGES else NOISE_BARS for kind in found}
    page.put(
        ROOT / "docs" / "gates.md", page.written(found, words.seed, bars, {kind: each for kind, each in drifts.items() if kind in found})
    )
    print(page.table(found))
    return 0


def read(store: Path) -> Iterator[tuple[int, Life]]:
    """The lives that were lived before; a line that a kill cut off is lived again."""
    for line in store.read_text(encoding="utf-8").splitlines() if store.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield row.pop("number"), Life(**row)


def lived(pool: ProcessPoolExecutor, live: "partial[Life]", numbers: list[int], store: Path, kind: str) -> dict[int, Life]:
    """Live these lives, each written down as it ends."""
    found: dict[int, Life] = {}
    started, told = time.monotonic(), 0.0
    with store.open("a", encoding="utf-8") as file:
        for number, life in zip(numbers, pool.map(live, numbers, chunksize=10), strict=True):
            found[number] = life
            file.write(json.dumps({"number": number, **asdict(life)}) + "\n")
            now = time.monotonic()
            if now - told > 2.0 or number == numbers[-1]:
                file.flush()
                told = now
                left = (now - started) / len(found) * (len(numbers) - len(found))
                passed = sum(each.recommended_at > 0 for each in found.values())
                print(
                    f"\r{kind}: {len(found):,} of {len(numbers):,} lives, {passed} recommended, {left:,.0f} s left ",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
    print(file=sys.stderr)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
