"""Constructed bars of one event each, and what every rule makes of them.

The figures were established on 2026-11-30 beside seven other engines, rule by rule; `fills_golden.json` holds them. Prices and money are
compared with 1e-12. Where the figures say NO_SIGNAL of a flat bar, the engine says more: SIGNAL when the close wants a position, and
STOPPED_OUT while its side is closed.

Source: docs/fills.md.
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import job_runner.engine.book as at
from job_runner.engine.compiled import FloatArray
from job_runner.engine.plan_simulation import PlanSimulation, simulate_plan
from job_runner.engine.plans import ExitRules, Outcome, Plan, Terms

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "fills_golden.json").read_text())
CASES: dict[str, dict[str, Any]] = GOLDEN["cases"]
ONE_UNIT = 0.0115
"""Of 10,000 USD, in lots of a unit that costs about 100 USD."""


def rows_of(bars: list[list[float]]) -> FloatArray:
    return np.ascontiguousarray(np.array([[*bar, 1.0] for bar in bars]))


def exposure_of(case: dict[str, Any]) -> FloatArray:
    bars = len(case["bars"])
    if "weights" in case:
        return np.array(case["weights"], dtype=np.float64)
    share = case["side"] * (1.0 if case["fee"] else ONE_UNIT)
    end = min([*case.get("exit", []), bars])
    wished = np.zeros(bars)
    wished[min(case["entry"]) : end] = share
    if "limit" in case and not case["proposed"]["fills"]:
        wished[min(case["entry"]) + 1 :] = 0.0  # an entry that was not reached is not wished for again
    return wished


def plan_of(case: dict[str, Any]) -> Plan:
    exposure = exposure_of(case)
    limit = np.full(len(exposure), np.nan)
    limit[case["entry"]] = case.get("limit", np.nan)
    stop = np.full(len(exposure), np.nan)
    if "trail" in case:
        # The figures trail by the closes: a row of prices. By highs it is `ExitRules.trailing`, below.
        closes = np.array(case["bars"])[:, 3]
        for bar in range(min(case["entry"]) + 1, len(closes)):
            stop[bar] = (1.0 - case["trail"]) * closes[min(case["entry"]) + 1 : bar + 1].max()
    return Plan(exposure, stop=stop, limit=limit)


def run(case: dict[str, Any], plan: Plan, rules: ExitRules) -> PlanSimulation:
    lot = 0.0 if case["fee"] or "weights" in case else 1.0
    terms = Terms(taker_bps=case["fee"] * 1e4, slippage_bps=case["slippage"] * 1e4, lot=lot)
    return simulate_plan(plan, rules, terms, rows_of(case["bars"]), case["cash"])


def rules_of(case: dict[str, Any]) -> ExitRules:
    targets = {0.0: case["tp"]} if "tp" in case else {}
    # The half position was rebalanced at each open.
    return ExitRules(
        stop_loss=case.get("sl"), take_profit_after=targets, rebalance=0.0 if case.get("note", "").startswith("target exp") else None
    )


def fills_of(found: PlanSimulation) -> list[tuple[int, float, float, float, str]]:
    """Bar, units, price, fee, outcome; the two legs of a reversal at one price as one."""
    rows: list[tuple[int, float, float, float, str]] = []
    for (bar, price), legs in groupby(found.fills.tolist(), key=lambda row: (row[at.FILL_BAR], row[at.FILL_PRICE])):
        both = list(legs)
        units, fee = sum(leg[at.FILL_UNITS] for leg in both), sum(leg[at.FILL_FEE] for leg in both)
        rows.append((int(bar), units, price, fee, Outcome(int(both[-1][at.FILL_OUTCOME])).name))
    return rows


@pytest.mark.parametrize("name", CASES)
def test_every_case_gives_its_figures(name: str) -> None:
    case = CASES[name]
    proposed = case["proposed"]
    plan = plan_of(case)
    found = run(case, plan, rules_of(case))
    expected = [
        (fill["bar"], fill["units"], fill["price"], fill["fee"], fill["why"].replace("ENTERED_LIMIT", "ENTERED"))
        for fill in proposed["fills"]
    ]
    assert [(bar, why) for bar, *_, why in fills_of(found)] == [(bar, why) for bar, *_, why in expected]
    for ours, theirs in zip(fills_of(found), expected, strict=True):
        assert ours[1:4] == pytest.approx(theirs[1:4], rel=1e-12)
    assert found.equity.tolist() == pytest.approx(proposed["equity"], rel=1e-12)
    assert found.account.cash == pytest.approx(proposed["cash"], rel=1e-12)
    assert found.account.units == pytest.approx(proposed["units"], rel=1e-12, abs=1e-12)
    assert [Outcome(code).name for code in found.outcomes] == outcomes_of(case, plan)
    assert sum(found.counts().values()) == len(case["bars"])


def outcomes_of(case: dict[str, Any], plan: Plan) -> list[str]:
    """The figures' outcomes, with what the engine says more."""
    wished = np.concatenate([[0.0], plan.exposure])
    found = []
    for bar, outcome in enumerate(case["proposed"]["outcomes"]):
        if outcome == "NO_SIGNAL" and wished[bar] != 0.0:
            found.append("STOPPED_OUT")
        elif outcome == "NO_SIGNAL" and wished[bar + 1] != 0.0:
            found.append("SIGNAL")
        else:
            found.append(outcome)
    return found


def test_trailing_counts_from_the_highs_of_the_bars_before() -> None:
    """The figure of vectorbt, raptorbt and nautilus: 104.5 in bar 4."""
    case = CASES["trail"]
    found = run(case, Plan(exposure_of(case)), ExitRules(trailing=case["trail"]))
    bar, units, price, *_ = fills_of(found)[-1]
    assert (bar, units) == (4, -1.0)
    assert price == pytest.approx(104.5, rel=1e-14)


def test_the_cases_are_all_there() -> None:
    assert len(CASES) == 42
