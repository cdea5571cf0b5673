"""What may become of a search's winner, bot by bot: never searched, proposed and approved, or applied; nothing replaces a bot by itself."""

from typing import Any

import pytest

from autonomy.events import (
    ApplyFleet,
    ApproveChallenger,
    BotChanged,
    ChallengerDeclined,
    ChallengerJudged,
    CommandRejected,
    HoldBot,
    RejectChallenger,
)
from autonomy.values import JobType
from support.builders import a_bot_document, an_id
from support.changes import replace
from support.fleet_files import plan_of, searched, weakened
from support.lives import a_fleet, bot_of, said, step
from support.ticks import TickDriver

BOT = "aapl-sma"


def a_weak_bot(**document: Any) -> TickDriver:
    """A bot of a file whose evidence calls for a search, and the tick that sees it."""
    driver = a_fleet(searches=True)
    weakened(driver, BOT, **document)
    return driver


def a_proposal(**document: Any) -> TickDriver:
    driver = a_weak_bot(**document)
    attempt = searched(driver, BOT)
    (judged,) = said(attempt, ChallengerJudged)
    assert (judged.verdict, judged.applied, said(attempt, BotChanged)) == ("WINS", False, [])
    return driver


def refusal(driver: TickDriver) -> str:
    (refused,) = said(step(driver), CommandRejected)
    return str(refused.code)


def test_a_bot_that_says_never_is_not_searched() -> None:
    driver = a_weak_bot(evolve="never")
    assert not [live for live in driver.live() if live.job.job_type is JobType.EVOLVE]
    assert [live for live in a_weak_bot().live() if live.job.job_type is JobType.EVOLVE], "negative control: another one is"


def test_a_winner_waits_for_a_word_and_becomes_the_next_version_by_it() -> None:
    driver = a_proposal()
    proposal = bot_of(driver, BOT).proposal
    assert proposal is not None
    assert bot_of(driver, BOT).version == 1
    driver.command(ApproveChallenger, bot_id=BOT, job_id=proposal.job_id)
    (changed,) = said(step(driver), BotChanged)
    assert (changed.version, changed.actor, changed.evolved_by) == (2, "ada", proposal.job_id)
    bot = bot_of(driver, BOT)
    assert (bot.parameters, bot.proposal, bot.evidence) == (proposal.parameters, None, None)
    driver.command(ApproveChallenger, "again", bot_id=BOT, job_id=proposal.job_id)
    assert refusal(driver) == "NO_PROPOSAL"


def test_policy_of_applying_does_not_reach_a_bot_that_says_propose() -> None:
    driver = a_proposal(evolve="propose")
    assert driver.state.policy.evolution.winners == "APPLY"
    assert bot_of(driver, BOT).version == 1


def test_a_bot_that_says_apply_takes_its_winner_over() -> None:
    (changed,) = said(searched(a_weak_bot(evolve="apply"), BOT), BotChanged)
    assert (changed.version, changed.actor) == (2, "planner")


def test_a_word_against_it_closes_the_proposal() -> None:
    driver = a_proposal()
    proposal = bot_of(driver, BOT).proposal
    assert proposal is not None
    driver.command(RejectChallenger, bot_id=BOT, job_id=an_id("another"))
    assert refusal(driver) == "NO_PROPOSAL"
    driver.command(RejectChallenger, bot_id=BOT, job_id=proposal.job_id, reason="too few trades")
    (declined,) = said(step(driver), ChallengerDeclined)
    assert (declined.actor, declined.reason) == ("ada", "too few trades")
    assert bot_of(driver, BOT).proposal is None
    assert bot_of(driver, BOT).version == 1


@pytest.mark.parametrize("code", ["ON_HOLD", "EVIDENCE_CHANGED", "NO_PROPOSAL"])
def test_refused_where_it_is_no_longer_what_was_found(code: str) -> None:
    driver = a_proposal()
    proposal = bot_of(driver, BOT).proposal
    assert proposal is not None
    match code:
        case "ON_HOLD":
            driver.command(HoldBot, bot_id=BOT, reason="look at it")
        case "EVIDENCE_CHANGED":
            driver.state.bots.put(BOT, replace(bot_of(driver, BOT), proposal=replace(proposal, fingerprint="0" * 64)))
        case _:
            changed = a_bot_document(BOT, symbol="IBM")
            driver.command(ApplyFleet, bots=(changed,), fleet="stocks", plan_hash=plan_of(driver.state, changed).hash)
    step(driver)
    driver.command(ApproveChallenger, "late", bot_id=BOT, job_id=proposal.job_id)
    assert refusal(driver) == code


def test_the_log_of_it_is_followed_and_decided_again() -> None:
    driver = a_proposal()
    proposal = bot_of(driver, BOT).proposal
    assert proposal is not None
    driver.command(ApproveChallenger, bot_id=BOT, job_id=proposal.job_id)
    step(driver)
    follower, again = driver.reader(), driver.reader()
    for tick in driver.accepted:
        assert follower.follow(tick) is None
        assert again.re_decide(tick) is None
