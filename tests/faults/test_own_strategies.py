"""A folder of strategies under running processes on real servers: files come, break, change and go; nothing is restarted, nobody else notices.

Source: R-F7, R-G2, R-G3.
"""

from pathlib import Path
from typing import Any

import pytest

from support.log import audit, audit_verify
from support.platform import Platform, quick_policy, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]
CROSS = """
import numpy as np
from autonomy.strategy import Int, Plan, Strategy

class Cross(Strategy):
    name, version = "my-cross", 1
    length = Int(20, 2, 200, "bars", "length of the mean")

    def decide(self, bars):
        sums = np.cumsum(np.insert(bars.close, 0, 0.0))
        mean = np.full(len(bars), np.inf)
        mean[self.length - 1 :] = (sums[self.length :] - sums[: -self.length]) / self.length
        return Plan(exposure=(bars.close {rule} mean).astype(float))
"""
HOSTILE = """
import os, time
import numpy as np
from autonomy.strategy import Choice, Plan, Strategy

class Hostile(Strategy):
    name = "hostile"
    how = Choice("bar", ("bar", "exit", "fork", "memory", "print", "nan", "environment", "ahead"))

    def decide(self, bars):
        flat = np.zeros(len(bars))
        if self.how == "bar":
            raise ValueError("bar 300") if len(bars) > 300 else ValueError("bar")
        if self.how == "exit":
            os._exit(7)
        if self.how == "fork":
            while True:
                os.fork()
        if self.how == "memory":
            np.ones(2**30)
        if self.how == "print":
            for _ in range(10**7):
                print("x" * 100)
        if self.how == "nan":
            flat[3] = np.nan
        if self.how == "environment":
            open(f"/proc/{os.getppid()}/environ").read()
        return Plan(exposure=flat)
"""
SAID = {
    "bar": "hostile.py:13: ValueError: bar", "exit": "exit code 7", "fork": "PermissionError", "memory": "more memory than it may use",
    "print": "printed more than it may", "nan": "exposure of bar 3 is nan", "environment": "PermissionError",
}  # fmt: skip


def offers(platform: Platform) -> dict[str, str]:
    """Code hashes by strategy, as the live runner announced them."""
    rows = platform.sql("SELECT strategies FROM bot_runners WHERE NOT stopping")
    return {offer["name"]: offer["codeHash"] for row in rows for offer in row["strategies"]}


def faults(platform: Platform) -> list[tuple[str, int | None, bool]]:
    rows = platform.sql("SELECT strategy_faults FROM bot_runners WHERE NOT stopping")
    return [(fault["file"], fault["line"], fault["inUse"]) for row in rows for fault in row["strategy_faults"]]


def evidence(platform: Platform, bot: str) -> list[dict[str, Any]]:
    return platform.sql("SELECT fingerprint FROM bot_backtests WHERE bot_id = %s ORDER BY created_at", bot)


def blockers(platform: Platform, bot: str) -> dict[str, str]:
    return {row["code"]: row["measured"] for row in platform.sql("SELECT code, measured FROM bot_blockers WHERE bot_id = %s", bot)}


def clean(platform: Platform) -> None:
    found = audit_verify(platform.broker.bootstrap)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_strategy_comes_changes_breaks_and_goes_under_a_running_stack(platform: Platform, tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    platform.planner()
    platform.projection()
    runner = platform.runner(STRATEGIES_FOLDER=str(folder), STRATEGY_COPIES=str(tmp_path / "copies"))
    platform.set_policy(quick_policy())
    wait_for("the installed strategies", lambda: "sma-cross" in offers(platform), 120)
    # Nobody offers it: refused, in words that list no catalogue.
    refused = platform.command_status(platform.register([{"id": "mine", "strategy": "my-cross", "symbol": "AAPL"}]))
    assert [(each["outcome"], each["field"]) for each in refused["outcomes"]] == [("REJECTED", "strategy")]
    assert "sma-cross" not in str(refused["outcomes"])
    clean(platform)
    (folder / "cross.py").write_text(CROSS.format(rule=">"))
    wait_for("its announcement", lambda: "my-cross" in offers(platform), 20)
    first = offers(platform)["my-cross"]
    bots: list[dict[str, Any]] = [
        {"id": "mine", "strategy": "my-cross", "symbol": "AAPL"},
        {"id": "out", "strategy": "my-cross", "symbol": "AAPL", "parameters": {"length": 1}},
        {"id": "sound", "strategy": "sma-cross", "symbol": "IBM"},
    ]
    said = platform.command_status(platform.register(bots))
    assert [(each["outcome"], each["field"]) for each in said["outcomes"]] == [
        ("REGISTERED", None), ("REJECTED", "parameters.length"), ("REGISTERED", None),
    ]  # fmt: skip
    wait_for("baselines", lambda: evidence(platform, "mine") and evidence(platform, "sound"), 120)
    before = evidence(platform, "mine")[0]["fingerprint"]
    # It breaks: its last good version stays in use, and says so.
    (folder / "cross.py").write_text(CROSS.format(rule=">") + "\noops(\n")
    wait_for("its fault", lambda: faults(platform) == [("cross.py", 15, True)], 20)
    assert offers(platform)["my-cross"] == first
    # It changes: another hash, and what was found out about the old one counts no more.
    (folder / "cross.py").write_text(CROSS.format(rule="<"))
    wait_for("its new hash", lambda: offers(platform).get("my-cross", first) != first and not faults(platform), 20)
    wait_for("evidence of the new code", lambda: evidence(platform, "mine")[-1]["fingerprint"] != before, 120)
    clean(platform)
    # It goes: its bot is blocked and says why; the other has its evidence still.
    (folder / "cross.py").unlink()
    wait_for("its withdrawal", lambda: "my-cross" not in offers(platform), 20)
    wait_for("the gate", lambda: "no runner's catalogue" in blockers(platform, "mine").get("STRATEGY_VALID", ""), 60)
    assert "STRATEGY_VALID" not in blockers(platform, "sound")
    # It comes back as it was at first: that evidence is good again, or made anew on newer bars.
    (folder / "cross.py").write_text(CROSS.format(rule=">"))
    wait_for("its first hash", lambda: offers(platform).get("my-cross") == first, 20)
    wait_for("an open gate", lambda: not blockers(platform, "mine"), 60)
    assert runner.alive
    assert platform.sql("SELECT bot_id, cause FROM bot_jobs WHERE status = 'FAILED'") == []
    audit(platform.broker.bootstrap).check()
    clean(platform)


@pytest.mark.long
def test_hostile_strategies_fail_by_themselves_and_everybody_else_goes_on(platform: Platform, tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "hostile.py").write_text(HOSTILE)
    (folder / "cross.py").write_text(CROSS.format(rule=">"))
    (folder / "fault.py").write_text("import os\nos._exit(3)\n")
    platform.planner()
    platform.projection()
    runner = platform.runner(STRATEGIES_FOLDER=str(folder), STRATEGY_COPIES=str(tmp_path / "copies"))
    platform.set_policy(quick_policy(seconds_per_bar=5.0))
    wait_for("the strategies", lambda: {"hostile", "my-cross", "sma-cross"} <= set(offers(platform)), 120)
    assert faults(platform) == [("fault.py", None, False)]
    hostile: list[dict[str, Any]] = [
        {"id": f"hostile-{how}", "strategy": "hostile", "symbol": "AAPL", "parameters": {"how": how}} for how in SAID
    ]
    sound = [{"id": "mine", "strategy": "my-cross", "symbol": "AAPL"}, {"id": "sound", "strategy": "sma-cross", "symbol": "IBM"}]
    platform.register([*hostile, *sound])
    failed = "SELECT bot_id, cause, detail FROM bot_jobs WHERE status = 'FAILED'"
    wait_for("all faults", lambda: len({row["bot_id"] for row in platform.sql(failed)}) == len(SAID), 240)
    wait_for("the others' baselines", lambda: evidence(platform, "mine") and evidence(platform, "sound"), 120)
    for row in platform.sql(failed):
        how = row["bot_id"].removeprefix("hostile-")
        assert row["cause"] == "STRATEGY_ERROR", row
        assert SAID[how] in row["detail"], row
    wait_for("blocked bots", lambda: all("LAST_FAILURE" in blockers(platform, bot["id"]) for bot in hostile), 60)
    assert not blockers(platform, "mine")
    assert runner.alive
    clean(platform)
