"""A runner that was silent for a lease, and beats again, is asked for what it can do until the planner holds it.

Source: R-A4, R-F10.
"""

from autonomy.envelope import content_hash
from autonomy.events import AnnouncementRequested, CapabilitiesAnnounced
from autonomy.reasons import Reason
from planner.tick import MAX_ASKED
from support.builders import an_id, capabilities
from support.lives import said
from support.ticks import TickDriver, jobs_of

LEASE_MS = 15_000


def announced(process: str = "runner-1") -> CapabilitiesAnnounced:
    return capabilities(process)


def beat(driver: TickDriver, process: str = "runner-1") -> None:
    driver.beat(process, announcement=content_hash(announced(process)))


def frozen_for_a_lease() -> TickDriver:
    """A fleet whose only runner was silent for longer than its lease and was forgotten; then it beats again."""
    driver = TickDriver()
    driver.say(announced())
    beat(driver)
    driver.register("bot-0")
    assert jobs_of(driver.tick(after_ms=1_000)), "it lived, and work was enqueued for it"
    for _ in range(5):
        driver.tick(after_ms=LEASE_MS)
    assert driver.state.runners.rows == {}
    driver.register("bot-1")
    beat(driver)
    return driver


def test_runner_that_beats_again_is_asked_for_its_announcement() -> None:
    driver = frozen_for_a_lease()
    attempt = driver.tick(after_ms=1_000)
    (asked,) = said(attempt, AnnouncementRequested)
    assert (asked.process_id, asked.announcement) == (an_id("runner-1"), content_hash(announced()))
    assert attempt.seal.reason_counts == {Reason.ACTIVE_JOB: 1, Reason.BLOCKED_BY_GATES: 1}


def test_it_is_asked_at_each_tick_until_it_announced_and_then_no_more() -> None:
    driver = frozen_for_a_lease()
    for _ in range(3):
        assert len(said(driver.tick(after_ms=1_000), AnnouncementRequested)) == 1
        beat(driver)
    driver.say(announced())
    attempt = driver.tick(after_ms=1_000)
    assert said(attempt, AnnouncementRequested) == []
    assert [job.bot_id for job in jobs_of(attempt)] == ["bot-1"], "work is enqueued again in the very tick that folds it"
    beat(driver)
    assert said(driver.tick(after_ms=1_000), AnnouncementRequested) == []


def test_another_announcement_than_the_one_held_is_asked_for() -> None:
    """It changed its offer, and the record was lost on its way."""
    driver = TickDriver()
    driver.say(announced())
    driver.beat("runner-1", announcement="ab" * 32)
    (asked,) = said(driver.tick(after_ms=1_000), AnnouncementRequested)
    assert asked.announcement == "ab" * 32


def test_runners_of_before_are_not_asked() -> None:
    """Negative control: a heartbeat without the hash asks for nothing."""
    driver = TickDriver()
    driver.beat("runner-1")
    assert said(driver.tick(after_ms=1_000), AnnouncementRequested) == []


def test_one_tick_asks_a_bounded_number() -> None:
    driver = TickDriver()
    for number in range(MAX_ASKED + 5):
        beat(driver, f"runner-{number}")
    assert len(said(driver.tick(after_ms=1_000), AnnouncementRequested)) == MAX_ASKED


def test_a_follower_folds_and_an_auditor_decides_the_same() -> None:
    driver = frozen_for_a_lease()
    driver.tick(after_ms=1_000)
    driver.say(announced())
    driver.tick(after_ms=1_000)
    follower, auditor = driver.reader(), driver.reader()
    assert [follower.follow(tick) for tick in driver.accepted] == [None] * len(driver.accepted)
    assert [auditor.re_decide(tick) for tick in driver.accepted] == [None] * len(driver.accepted)
