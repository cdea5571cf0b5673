"""Looks at a bot's timing: when one is due, what it spends, and that neither another name nor changing there and back gains anything.

Source: R-G4; docs/gates.md.
"""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from autonomy.events import BotChanged, BotDecision, ChangeBot, LookTaken, PromotionRecommended, PromotionWithdrawn, SetPolicy, TimingFound
from autonomy.gates import PromotionGate, Verdict
from autonomy.looks import alpha_of, next_bars, power_of, required_z, spent
from autonomy.policy import LookPolicy
from autonomy.values import JobType
from planner.check.looks import check_look, tail_of
from planner.decide.line_gates import due_look, standing_look
from planner.fold.entities import Bot, Evidence, Look
from support.builders import a_bot, a_digest, a_state, an_id, figures, metrics
from support.lives import STRONG, a_document, a_fleet, bot_of, job_of, on_paper, research, revert, said, step, until_live, verdict_of
from support.ticks import TickDriver

BOT = "aapl-sma"
RULES = LookPolicy()


def timing(z: float) -> dict[str, Any]:
    return {"timing": TimingFound(z=z, p_value=0.01, markets=1000, seed=7)}


def judged(bars: int, *, trades: int = 80, z: float = 5.0, looks: int = 0, look: Look | None = None, fingerprint: str = "f") -> Bot:
    """A bot with evidence on so many bars."""
    shape = figures(trades=trades, timing_z=z)
    evidence = Evidence(an_id("job"), a_digest(fingerprint), a_digest("bars"), 0, bars, 0, shape)
    return replace(a_bot(), evidence=evidence, looks=looks, look=look)


def a_look(number: int, bars: int, z: float = 1.0, fingerprint: str = "f") -> Look:
    alpha = alpha_of(RULES.alpha_life, number)
    required = required_z(alpha)
    return Look(number, bars, a_digest(fingerprint), an_id("job"), z, 0.1, alpha, required, Verdict.PASS if z >= required else Verdict.FAIL)


# ── the rule ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 10_000), st.floats(1e-6, 0.4))
def test_all_looks_together_never_spend_more_than_the_line_has(looks: int, alpha: float) -> None:
    whole = sum(alpha_of(alpha, number) for number in range(1, looks + 1))
    assert whole < alpha
    assert whole == pytest.approx(spent(alpha, looks), rel=1e-9)


@given(st.integers(1, 60))
def test_each_look_asks_for_what_luck_reaches_with_its_share(number: int) -> None:
    """By the tail instead of the quantile; rounded up to four decimals."""
    alpha = alpha_of(RULES.alpha_life, number)
    assert tail_of(required_z(alpha)) <= alpha < tail_of(required_z(alpha) - 0.0001)


def test_power_is_one_half_where_an_edge_is_just_what_is_asked_for() -> None:
    assert power_of(2.9677, 2.9677) == pytest.approx(0.5)
    assert power_of(4.0, required_z(alpha_of(RULES.alpha_life, 1))) == pytest.approx(0.849, abs=0.001)


@pytest.mark.parametrize(
    ("bot", "number"),
    [
        (judged(499), None), (judged(500), 1), (judged(500, trades=9), None), (judged(500, trades=10), 1),
        (judged(599, looks=1, look=a_look(1, 500)), None), (judged(600, looks=1, look=a_look(1, 500)), 2),
        (judged(500, looks=4, look=None), 5), (judged(500, looks=2, look=a_look(2, 500, fingerprint="another")), 3),
        (judged(700, looks=0, look=a_look(6, 500)), 7),
    ],
    ids=[
        "too few bars", "the first", "too few trades", "enough trades", "too soon", "a fifth more bars", "a version never looked at",
        "changed", "another name, the same fingerprint",
    ],
)  # fmt: skip
def test_a_look_is_due_at_its_bars_or_at_once_for_another_fingerprint(bot: Bot, number: int | None) -> None:
    found = due_look(bot, standing_look(bot), RULES)
    assert (None if found is None else found.number) == number


def test_bars_of_the_next_look_are_not_moved_by_rounding() -> None:
    assert [next_bars(bars, 1.2) for bars in (500, 600, 720, 864, 1037)] == [600, 720, 864, 1037, 1245]


# ── on the log ────────────────────────────────────────────────────────────────────────────────────────────────────────


def looked(driver: TickDriver, z: float, **result: Any) -> list[LookTaken]:
    """The looks of the tick that folds a result with this z."""
    return said(research(driver, BOT, **timing(z), **result), LookTaken)


def test_a_failed_look_stands_however_good_the_next_refresh_is() -> None:
    driver = a_fleet(BOT)
    (first,) = looked(driver, 2.9)
    assert (first.number, first.verdict, first.required_z) == (1, Verdict.FAIL, 2.9678)
    until_live(driver, BOT, JobType.BACKTEST_REFRESH)
    attempt = research(driver, BOT, **timing(9.0))
    assert (said(attempt, LookTaken), said(attempt, PromotionRecommended)) == ([], [])
    assert verdict_of(driver, BOT, PromotionGate.TIMING) is Verdict.FAIL


def test_a_passed_look_stands_and_a_refresh_can_only_take_it_away() -> None:
    driver = a_fleet(BOT)
    (first,) = looked(driver, 3.0)
    assert first.verdict is Verdict.PASS
    assert bot_of(driver, BOT).recommendation is not None
    until_live(driver, BOT, JobType.BACKTEST_REFRESH)
    assert not said(research(driver, BOT, **timing(0.1)), PromotionWithdrawn)
    until_live(driver, BOT, JobType.BACKTEST_REFRESH)
    assert said(research(driver, BOT, **timing(9.0), net_t=1.0), PromotionWithdrawn)
    assert verdict_of(driver, BOT, PromotionGate.TIMING) is Verdict.PASS


def change(driver: TickDriver, bot_id: str = BOT, **parameters: Any) -> None:
    driver.command(ChangeBot, bot_id=bot_id, strategy="sma-cross", parameters=parameters, symbol="AAPL")
    assert said(step(driver), BotChanged)


def test_changing_there_and_back_meets_the_verdict_that_stood_and_pays_for_each_new_look() -> None:
    driver = a_fleet(BOT)
    looked(driver, 2.9)
    change(driver, fast=10)
    (second,) = looked(driver, 2.9)
    assert (second.number, second.required_z) == (2, 3.2906)
    change(driver, fast=20)
    assert looked(driver, 9.0) == []
    assert verdict_of(driver, BOT, PromotionGate.TIMING) is Verdict.FAIL


def test_another_name_meets_the_verdict_of_the_same_bot() -> None:
    driver = a_fleet(BOT)
    looked(driver, 2.9)
    driver.register("renamed")
    step(driver)
    attempt = research(driver, "renamed", **timing(9.0))
    assert (said(attempt, LookTaken), said(attempt, PromotionRecommended)) == ([], [])
    assert verdict_of(driver, "renamed", PromotionGate.TIMING) is Verdict.FAIL


def test_equal_bots_whose_results_come_in_one_tick_share_one_look() -> None:
    """Two looks at the same fingerprint and bars would be one hypothesis paid twice, and the check would stop the tick."""
    driver = a_fleet(BOT, "twin")
    for bot_id in (BOT, "twin"):
        driver.claim(job_of(driver, bot_id))
    step(driver)
    for bot_id in (BOT, "twin"):
        driver.succeed(job_of(driver, bot_id), **{**STRONG, **timing(5.0)})
    (look,) = said(step(driver), LookTaken)
    assert (look.bot_id, look.number) == (BOT, 1)
    assert verdict_of(driver, "twin", PromotionGate.TIMING) is Verdict.INCONCLUSIVE
    until_live(driver, "twin", JobType.BACKTEST_REFRESH)
    assert said(research(driver, "twin", **timing(5.0)), LookTaken) == []
    assert verdict_of(driver, "twin", PromotionGate.TIMING) is Verdict.PASS


def test_a_revert_gives_no_look_back() -> None:
    driver = on_paper()
    assert bot_of(driver, BOT).looks == 1
    revert(driver, BOT)
    assert bot_of(driver, BOT).look is None
    assert looked(driver, 9.0) == []
    assert (bot_of(driver, BOT).looks, verdict_of(driver, BOT, PromotionGate.TIMING)) == (1, Verdict.PASS)


def test_other_rules_of_looking_are_asked_at_once_of_the_evidence_there_is() -> None:
    driver = a_fleet(BOT)
    assert looked(driver, 5.0, metrics=metrics(sharpe=1.4, trades=9, max_drawdown=0.1, exposure=0.5, bars_per_trade=20.0)) == []
    document = a_document()
    document["looks"] = {"first_trades": 5}
    driver.command(SetPolicy, document=document, role="approver")
    (first,) = said(step(driver), LookTaken)
    assert (first.bot_id, first.number, first.trades) == (BOT, 1, 9)


def test_a_gate_tells_what_a_look_can_see_and_when_the_next_one_comes() -> None:
    driver = a_fleet(BOT)
    attempt = research(driver, BOT, **timing(2.5))
    told = next(decision for decision in reversed(_decisions(driver, attempt)) if decision.promotion)
    gate = next(gate for gate in told.promotion if gate.code == "TIMING")
    assert gate.measured == "z 2.50, p 0.01 at look 1 on 2497 bars"
    assert "z of at least 2.97 at look 1, which luck alone reaches in 0.15%; passes 85% with z = 4 and 51% with z = 3" in gate.required
    assert gate.clears_when.startswith("the market clock shows bar 2997, of 2011-12-20")


def _decisions(driver: TickDriver, attempt: Any) -> list[Any]:
    return [decision for decision in said(attempt, BotDecision) if decision.bot_id == BOT]


# ── the check ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"number": 2}, "look 2 of aapl-sma follows 0"), ({"z": 4.9}, "other figures"), ({"bars": 501}, "other figures"),
        ({"alpha": 0.003}, "spends 0.003"), ({"verdict": Verdict.FAIL}, "fails with z 5"), ({"job_id": an_id("another")}, "other figures"),
    ],
)  # fmt: skip
def test_the_check_finds_a_look_that_is_not_what_the_evidence_says(wrong: dict[str, Any], words: str) -> None:
    state = a_state(judged(500))
    look = due_look(state.bots.rows[BOT], None, RULES)
    assert look is not None
    assert check_look(look, state) == []
    assert any(words in line for line in check_look(look.model_copy(update=wrong), state))


def test_the_check_finds_a_pass_that_luck_reaches_more_often_and_a_look_too_soon() -> None:
    state = a_state(judged(500, z=2.9))
    look = due_look(state.bots.rows[BOT], None, RULES)
    assert look is not None
    assert look.verdict is Verdict.FAIL
    assert any("passes with z 2.9" in line for line in check_look(look.model_copy(update={"verdict": Verdict.PASS}), state))
    state.looks.put(look.fingerprint, a_look(1, 450))
    assert any("after 450" in line for line in check_look(look.model_copy(update={"number": 2, "alpha": look.alpha / 3}), state))


def test_tail_is_that_of_the_normal_distribution() -> None:
    assert [tail_of(z) for z in (0.0, 1.6448536269514722, 3.090232306167813)] == pytest.approx([0.5, 0.05, 0.001], rel=1e-9)
    assert math.isclose(tail_of(-8.0), 1.0)
