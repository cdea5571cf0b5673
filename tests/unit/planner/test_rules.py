"""Changes of the rules take two people, a promotion is agreed on one policy, and the past of the market is never moved.

Source: R-C3.2, R-G1.
"""

from datetime import date
from typing import Any

import pytest

from autonomy.errors import BadInput
from autonomy.events import (
    AcceptDivergence,
    BotChanged,
    ChainRepaired,
    ChallengerJudged,
    CommandAccepted,
    PolicyChanged,
    RuleVote,
    SetPolicy,
    SetPromotionMode,
)
from autonomy.identities import identity_of
from autonomy.market_clock import continued_epoch_ms, market_ms
from autonomy.policy import MarketPolicy
from planner.decide import rules
from planner.decide.view import build_view
from support.builders import NOON_MS, a_digest
from support.lives import a_document, a_fleet, a_search, order_of, recommended, refused, said, step
from support.ticks import TickDriver
from unit.planner.test_life import BOT, _weak

DAY_MS = 86_400_000


def a_strict_fleet() -> TickDriver:
    """A fleet whose policy asks for two approvers."""
    driver = a_fleet("bot-0")
    driver.command(SetPolicy, document=a_document() | {"rules_approvers": 2}, role="approver")
    step(driver)
    assert driver.state.policy.rules_approvers == 2
    return driver


def set_policy(driver: TickDriver, actor: str, trades: int = 7) -> None:
    driver.command(SetPolicy, document=a_document(lab_gates={"min_trades": trades}), role="approver", actor=actor)


def test_the_first_policy_of_a_fleet_takes_one_approver() -> None:
    """Somebody has to say how many it takes."""
    driver = TickDriver()
    driver.command(SetPolicy, document={"name": "ours"}, role="approver")
    assert said(driver.tick(), PolicyChanged)
    assert driver.state.policy.rules_approvers == 2


def test_a_policy_takes_two_approvers_and_acts_at_the_second() -> None:
    driver = a_strict_fleet()
    set_policy(driver, "ada")
    attempt = step(driver)
    assert (len(said(attempt, RuleVote)), said(attempt, PolicyChanged)) == (1, [])
    (answer,) = said(attempt, CommandAccepted)
    assert answer.counts == {"APPROVERS_MISSING": 1}
    set_policy(driver, "ben")
    attempt = step(driver)
    (vote,) = said(attempt, RuleVote)
    assert (vote.complete, len(said(attempt, PolicyChanged))) == (True, 1)
    assert driver.state.votes.rows == {}


@pytest.mark.parametrize("again", ["ada", "Ada", "ADA\u200b", "ａｄａ", " ada "])
def test_one_person_is_not_two(again: str) -> None:
    driver = a_strict_fleet()
    set_policy(driver, "ada")
    step(driver)
    set_policy(driver, again)
    assert refused(step(driver)) == "OWN_REQUEST"


def test_names_letter_by_letter_would_make_two_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(rules, "identity_of", lambda name: name)
    driver = a_strict_fleet()
    set_policy(driver, "ada")
    step(driver)
    set_policy(driver, "Ada")
    assert said(step(driver), PolicyChanged)


def test_two_approvers_of_different_things_agree_on_nothing() -> None:
    driver = a_strict_fleet()
    set_policy(driver, "ada", trades=7)
    set_policy(driver, "ben", trades=8)
    attempt = step(driver)
    assert (len(said(attempt, RuleVote)), said(attempt, PolicyChanged)) == (2, [])


def test_an_old_word_counts_no_more() -> None:
    driver = a_strict_fleet()
    set_policy(driver, "ada")
    step(driver)
    set_policy(driver, "ben")
    attempt = step(driver, after_ms=rules.VOTE_HOLDS_MS + 1)
    assert said(attempt, PolicyChanged) == []


def test_the_promotion_mode_and_an_accepted_difference_are_rules_too() -> None:
    driver = a_strict_fleet()
    seal = driver.accepted[0].seal
    named: dict[str, Any] = {
        "tick": 1,
        "sealed_state_hash": seal.state_hash,
        "folded_state_hash": a_digest("f"),
        "input_root": seal.input_root,
    }
    for actor in ("ada", "ben"):
        driver.command(SetPromotionMode, mode="AUTO", role="approver", actor=actor)
        driver.command(AcceptDivergence, role="approver", actor=actor, **named)
        attempt = step(driver)
        done = (len(said(attempt, PolicyChanged)), len(said(attempt, ChainRepaired)))
        assert done == ((0, 0) if actor == "ada" else (1, 1))
        assert [repair.approved_by for repair in said(attempt, ChainRepaired)] == ([] if actor == "ada" else [("ada", "ben")])


def test_votes_are_folded_and_decided_again_alike() -> None:
    driver = a_strict_fleet()
    set_policy(driver, "ada")
    step(driver)
    set_policy(driver, "ben")
    step(driver)
    follower, auditor = driver.reader(), driver.reader()
    assert {follower.follow(tick) for tick in driver.accepted} == {None}
    assert {auditor.re_decide(tick) for tick in driver.accepted} == {None}


def test_identity_is_what_people_can_see() -> None:
    assert identity_of("Ａda\u200b ") == identity_of("ada")
    assert identity_of("ada") != identity_of("adam")
    assert identity_of("\u200b\u00ad") == ""


# ── searches propose ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_winner_is_proposed_and_changes_nothing_unless_the_policy_says_so() -> None:
    driver = _weak()
    driver.command(SetPolicy, document=a_document(searches=True, evolution={"winners": "PROPOSE"}), role="approver")
    step(driver)
    live = next(live for live in driver.live() if live.job.job_type.value == "EVOLVE")
    driver.finish(live, evolution=a_search(live, order_of(driver, live)))
    attempt = step(driver)
    (judged,) = said(attempt, ChallengerJudged)
    assert (judged.verdict, judged.applied, said(attempt, BotChanged)) == ("WINS", False, [])


def test_an_open_recommendation_is_never_undercut() -> None:
    driver = recommended(searches=True)
    live = next(live for live in driver.live() if live.job.job_type.value == "EVOLVE")
    before = driver.state.bots.rows[BOT].recommendation
    assert before is not None, "there is something to undercut"
    driver.claim(live)
    step(driver)
    live = driver.state.jobs.rows[live.job.job_id]
    driver.finish(live, evolution=a_search(live, order_of(driver, live)))
    attempt = step(driver)
    assert [judged.applied for judged in said(attempt, ChallengerJudged)] == [False]
    assert said(attempt, BotChanged) == []
    assert driver.state.bots.rows[BOT].recommendation == before


# ── the market clock ──────────────────────────────────────────────────────────────────────────────────────────────────


def market(**changes: Any) -> MarketPolicy:
    return MarketPolicy(**{"start": date(2010, 1, 4), "end": date(2013, 3, 1), "seconds_per_bar": 15.0, **changes})


@pytest.mark.parametrize("speed", [0.001, 0.37, 1.0, 15.0, 600.0, 86_400.0])
@pytest.mark.parametrize("after_ms", [0, 1, 14_999, 15_000, 1_234_567, 99_999_999_999])
def test_another_speed_goes_on_from_where_the_market_stands(speed: float, after_ms: int) -> None:
    now_ms, after = NOON_MS + after_ms, market(seconds_per_bar=speed)
    stood = market_ms(market(), NOON_MS, now_ms)
    epoch_ms = continued_epoch_ms(market(), after, NOON_MS, now_ms)
    # The wall is counted in whole ms: the market may go on by the part of one into which it is rounded up, and never back.
    assert market_ms(after, epoch_ms, now_ms - 1) <= stood <= market_ms(after, epoch_ms, now_ms)


def test_the_same_market_keeps_its_epoch() -> None:
    assert continued_epoch_ms(market(), market(), NOON_MS, NOON_MS + 12_345) == NOON_MS


@pytest.mark.parametrize("after", [{"end": date(2010, 1, 6)}, {"end": date(2010, 1, 6), "seconds_per_bar": 1.0}])
def test_a_market_never_goes_back(after: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="never goes back"):
        continued_epoch_ms(market(), market(**after), NOON_MS, NOON_MS + 30 * 15_000)


def test_a_slower_replay_moves_nothing_and_paper_sessions_go_on_under_a_new_order() -> None:
    driver = a_fleet("bot-0")
    step(driver, after_ms=60 * 15_000)
    before = build_view(driver.state, driver.now_ms).market_ms
    driver.command(SetPolicy, document=a_document(market={"seconds_per_bar": 600.0}), role="approver")
    attempt = step(driver, after_ms=1_000)
    assert said(attempt, PolicyChanged)
    assert build_view(driver.state, driver.now_ms).market_ms - before < DAY_MS // 10
    assert build_view(driver.state, driver.now_ms + 600_000).market_ms > before


def test_a_policy_that_would_move_the_past_is_refused() -> None:
    driver = a_fleet("bot-0")
    step(driver, after_ms=60 * 15_000)
    driver.command(SetPolicy, document=a_document(market={"end": "2010-01-05"}), role="approver")
    assert refused(step(driver, after_ms=1_000)) == "BAD_INPUT"
