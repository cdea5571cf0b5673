"""What `autonomy strategy check` finds: each planted fault by its own check, at its bar; a sound strategy passes all.

Source: R-F8, R-G3.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autonomy_cli.main import build_app
from job_runner.market.sources import SyntheticMarketData
from job_runner.trying.checking import Finding
from job_runner.trying.files import backtested, checked, strategies_in
from support.research import SMALL

MARKET = SyntheticMarketData(seed=3, names=("TRY",), count=600)
HEAD = """
import numpy as np
from autonomy.strategy import Int, Plan, Strategy

class Own(Strategy):
    name = "own"
    length = Int(10, 2, 100, "bars")
    {more}

    def decide(self, bars):
        moved = np.concatenate([np.zeros(self.length), bars.close[self.length :] - bars.close[: -self.length]])[: len(bars)]
{body}
"""
FAULTS = {
    "look-ahead": ("        return Plan(exposure=(bars.close > bars.close.mean()).astype(float))", "exposure of bar "),
    "determinism": ("        return Plan(exposure=moved > 0, stop=bars.close * (0.9 + 0.01 * np.random.rand()))", "stop of bar "),
    "warm-up": ("        return Plan(exposure=np.ones(len(bars)))", "exposure 1 before the 10 bars of its warm-up"),
    "range": (
        "        if self.length > 90: moved[95] = np.nan\n        return Plan(exposure=moved if self.length > 90 else (moved > 0).astype(float))",
        "exposure of bar 95 is nan",
    ),
    "runs": ("        raise ValueError('never')", "own.py:12: ValueError: never"),
}


def findings(folder: Path, body: str, more: str = "") -> dict[str, Finding]:
    (folder / "own.py").write_text(HEAD.format(body=body, more=more))
    found = checked(folder / "own.py", MARKET, None)["own"]
    return {finding.check: finding for finding in found}


@pytest.mark.parametrize("check", FAULTS)
def test_a_planted_fault_is_found_by_its_check(tmp_path: Path, check: str) -> None:
    body, words = FAULTS[check]
    finding = findings(tmp_path, body)[check]
    assert finding.passed is False
    assert words in finding.words


def test_a_sound_strategy_passes_all(tmp_path: Path) -> None:
    found = findings(tmp_path, "        return Plan(exposure=(moved > 0).astype(float), stop=bars.close * 0.9)")
    assert {name: finding.passed for name, finding in found.items()} == dict.fromkeys(
        ("runs", "look-ahead", "determinism", "recursion", "range", "speed"), True
    )


def test_a_mean_that_remembers_says_how_long(tmp_path: Path) -> None:
    body = (
        "        mean = np.zeros(len(bars)); level = 0.0\n        for i, close in enumerate(bars.close):\n"
        "            level = level + 0.5 * (close - level); mean[i] = level\n"
        "        held = (bars.close > mean).astype(float); held[:9] = 0.0\n"
        "        return Plan(exposure=held, stop=np.where(mean > 0, mean, np.nan))"
    )
    finding = findings(tmp_path, body)["recursion"]
    assert finding.passed is None
    assert "times its warm-up" in finding.words


def test_a_trial_is_the_job_to_the_last_digit(tmp_path: Path) -> None:
    """The same order on the same bars: what a trial says, and what the job of a platform says."""
    (tmp_path / "own.py").write_text(HEAD.format(body="        return Plan(exposure=(moved > 0).astype(float))", more="stop_loss = 0.05"))
    with strategies_in(tmp_path / "own.py") as found:
        one = backtested(found["own"], MARKET, "TRY", {"length": 12}, suite=SMALL)
        two = backtested(found["own"], MARKET, "TRY", {"length": 12}, suite=SMALL)
    assert one.fingerprint == two.fingerprint
    assert (one.metrics, one.trades, one.walk_forward, one.timing) == (two.metrics, two.trades, two.walk_forward, two.timing)
    assert one.look_ahead.ok
    assert one.trades


def test_the_command_writes_checks_and_tries_a_first_strategy(tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(build_app(), list(words))
        return done.exit_code, done.output

    code, said = run("strategy", "new", "my-cross", "--folder", str(tmp_path))
    assert (code, (tmp_path / "my_cross.py").is_file()) == (0, True), said
    assert run("strategy", "new", "my-cross", "--folder", str(tmp_path))[0] == 1
    assert run("strategy", "new", "My Cross", "--folder", str(tmp_path))[0] == 2
    code, said = run("strategy", "check", str(tmp_path / "my_cross.py"), "--symbol", "AAPL", "--json")
    assert code == 0, said
    assert all(finding["passed"] for finding in json.loads(said)["my-cross"])
    (tmp_path / "my_cross.py").write_text("x = (\n")
    code, said = run("strategy", "check", str(tmp_path / "my_cross.py"))
    assert (code, "my_cross.py:1: SyntaxError" in said) == (1, True), said
