"""The made-up market of the demo on real processes: recommended on its own evidence, approved, trading, and no further than PAPER.

Source: R-G4.
"""

from pathlib import Path

import pytest

from autonomy.events import ApprovePromotion
from autonomy.values import JobType
from support.platform import Platform, quick_policy, wait_for

pytestmark = pytest.mark.servers
BOT = "synthetic-cross"


def test_made_up_bars_lead_to_paper_and_no_further(platform: Platform, tmp_path: Path) -> None:
    policy = quick_policy(seconds_per_bar=0.5)
    policy["promotion"] = {"synthetic_up_to": "PAPER", "max_share": {}}
    platform.runner(BARS_FOLDER=str(tmp_path), BARS_DEMO="1", BARS_PLANTED="1")
    platform.planner()
    platform.projection()
    platform.set_policy(policy)
    platform.register([
        {"id": BOT, "strategy": "sma-cross", "symbol": "SYNTHETIC-B", "parameters": {"fast": 5, "slow": 20}},
        {"id": "real", "strategy": "sma-cross", "symbol": "AAPL"},
    ])  # fmt: skip
    found = wait_for("a recommendation", lambda: platform.sql("SELECT * FROM promotions WHERE bot_id = %s AND status = 'OPEN'", BOT))[0]
    gates = {gate["code"]: gate for gate in found["gates"]}
    assert (gates["RECORDED"]["measured"], gates["RECORDED"]["verdict"]) == ("made-up bars", "PASS")
    (look,) = platform.sql("SELECT * FROM bot_looks WHERE bot_id = %s", BOT)
    assert (look["number"], look["synthetic"], look["verdict"]) == (1, True, "PASS")
    answer = platform.command_status(platform.say(ApprovePromotion, bot_id=BOT, recommendation_id=found["id"]))
    assert answer["status"] == "ACCEPTED"
    wait_for("a session that trades", lambda: platform.one("SELECT count(*) FROM bot_equity WHERE bot_id = %s", BOT) >= 5)
    wait_for("evidence in PAPER", lambda: platform.sql(
        "SELECT 1 FROM bot_gates WHERE bot_id = %s AND code = 'RECORDED' AND promotion_to = 'SHADOW' AND verdict = 'FAIL'", BOT
    ))  # fmt: skip
    runs = platform.one(
        "SELECT count(*) FROM bot_jobs WHERE bot_id = %s AND job_type = %s AND status = 'RUNNING'", BOT, JobType.RUNNER_START.value
    )
    assert runs == 1, "its runner goes on: it may trade, and lead nowhere"
    real = wait_for("a real bot's gates", lambda: platform.sql("SELECT * FROM bot_gates WHERE bot_id = 'real' AND code = 'RECORDED'"))
    assert {row["measured"] for row in real} <= {"recorded bars", "no evidence of this version"}
