"""A fleet's files in a tick: what is new, changed, amended, unchanged, retired or refused; nothing where the plan came out differently."""

from typing import Any

import pytest

from autonomy.apply_plan import Step
from autonomy.events import (
    MAX_BOTS_PER_APPLY,
    MAX_RETIRED_PER_APPLY,
    ApplyFleet,
    BotAmended,
    BotChanged,
    BotRegistered,
    BotRetired,
    CommandAccepted,
    CommandRejected,
    PinBot,
    RevertToLab,
)
from autonomy.values import Stage
from planner.decide.applying import MAX_ANSWER_BYTES, told
from support import fleet_files
from support.builders import a_bot_document, a_digest
from support.fleet_files import plan_of
from support.ticks import TickDriver, events_of


def apply(driver: TickDriver, *documents: dict[str, Any], fleet: str = "stocks", retire: tuple[str, ...] = ()) -> list[Any]:
    """The facts of the tick that applies these documents by the plan of now."""
    return events_of(fleet_files.apply(driver, *documents, fleet=fleet, retire=retire))


def outcomes(facts: list[Any]) -> dict[str, str]:
    (answer,) = [fact for fact in facts if isinstance(fact, CommandAccepted)]
    return {entry.bot_id: entry.outcome for entry in answer.outcomes}


@pytest.fixture
def driver() -> TickDriver:
    """A planner that knows which strategies there are."""
    driver = TickDriver()
    driver.runner()
    driver.tick()
    return driver


def test_each_bot_has_its_outcome_and_the_others_go_on(driver: TickDriver) -> None:
    first = apply(driver, a_bot_document("one"), a_bot_document("two"), a_bot_document("three"))
    assert outcomes(first) == {"one": "REGISTERED", "two": "REGISTERED", "three": "REGISTERED"}
    assert {(fact.fleet, fact.evolve) for fact in first if isinstance(fact, BotRegistered)} == {("stocks", "propose")}
    second = apply(
        driver, a_bot_document("one"), a_bot_document("two", symbol="IBM"), a_bot_document("four", strategy="no-such"),
        a_bot_document("five", name="The fifth", evolve="never"), retire=("three",),
    )  # fmt: skip
    assert outcomes(second) == {"one": "UNCHANGED", "two": "CHANGED", "four": "REJECTED", "five": "REGISTERED", "three": "RETIRED"}
    (changed,) = [fact for fact in second if isinstance(fact, BotChanged)]
    assert (changed.bot_id, changed.version, changed.symbol) == ("two", 2, "IBM")
    assert driver.state.bots.rows["five"].evolve == "never"
    assert set(driver.state.bots.rows) == {"one", "two", "five"}
    (answer,) = [fact for fact in second if isinstance(fact, CommandAccepted)]
    assert answer.counts == {"CHANGED": 1, "REGISTERED": 1, "REJECTED": 1, "RETIRED": 1, "UNCHANGED": 1}
    (refused,) = [entry for entry in answer.outcomes if entry.outcome == "REJECTED"]
    assert refused.field == "strategy"
    assert "a runner offers" in str(refused.limit)


def test_what_stands_beside_trading_makes_no_new_version(driver: TickDriver) -> None:
    driver.register("mine")
    driver.tick(after_ms=1000)
    facts = apply(driver, a_bot_document("mine", name="Mine", evolve="apply"))
    assert outcomes(facts) == {"mine": "AMENDED"}
    (amended,) = [fact for fact in facts if isinstance(fact, BotAmended)]
    assert (amended.name, amended.fleet, amended.evolve) == ("Mine", "stocks", "apply")
    bot = driver.state.bots.rows["mine"]
    assert (bot.version, bot.epoch, bot.fleet) == (1, 0, "stocks")
    assert outcomes(apply(driver, a_bot_document("mine", name="Mine", evolve="apply"))) == {"mine": "UNCHANGED"}


def test_one_fleets_files_neither_change_nor_retire_anothers_bots(driver: TickDriver) -> None:
    apply(driver, a_bot_document("theirs"), fleet="crypto")
    driver.register("nobodys")
    driver.tick(after_ms=1000)
    facts = apply(driver, a_bot_document("theirs", symbol="IBM"), retire=("nobodys", "no-such"))
    assert set(outcomes(facts).values()) == {"REJECTED"}
    assert not [fact for fact in facts if isinstance(fact, BotChanged | BotRetired)]
    assert outcomes(apply(driver, fleet="crypto", retire=("theirs",))) == {"theirs": "RETIRED"}
    assert outcomes(apply(driver, fleet="", retire=("nobodys",))) == {"nobodys": "REJECTED"}, "without a fleet nothing is retired"


def test_bots_beyond_lab_and_pinned_ones_stay_as_they_are(driver: TickDriver) -> None:
    apply(driver, a_bot_document("paper", stage="PAPER"), a_bot_document("pinned"))
    driver.command(PinBot, bot_id="pinned", reason="mine")
    driver.tick(after_ms=1000)
    facts = apply(driver, a_bot_document("paper", symbol="IBM"), retire=("pinned",))
    assert outcomes(facts) == {"paper": "REJECTED", "pinned": "REJECTED"}
    step = plan_of(driver.state, a_bot_document("paper", symbol="IBM")).steps[0]
    assert step.field == "symbol"
    assert "only a LAB bot" in step.limit
    assert outcomes(apply(driver, retire=("paper",))) == {"paper": "REJECTED"}
    assert outcomes(apply(driver, a_bot_document("paper", stage="LAB"))) == {"paper": "UNCHANGED"}, "a stage is where a bot begins"


@pytest.mark.parametrize("between", ["changed", "retired", "taken", "came"])
def test_a_fleet_that_changed_since_the_dry_run_is_left_alone_whole(driver: TickDriver, between: str) -> None:
    apply(driver, a_bot_document("one"), a_bot_document("two"))
    documents = (a_bot_document("one", symbol="IBM"), a_bot_document("two", symbol="IBM"), a_bot_document("three"))
    plan = plan_of(driver.state, *documents)
    match between:
        case "changed":
            apply(driver, a_bot_document("one", symbol="MSFT"))
        case "retired":
            apply(driver, retire=("one",))
        case "taken":
            apply(driver, a_bot_document("three"), fleet="crypto")
        case _:
            apply(driver, a_bot_document("three"))
    before = dict(driver.state.bots.rows)
    driver.command(ApplyFleet, bots=documents, fleet="stocks", plan_hash=plan.hash)
    facts = events_of(driver.tick(after_ms=1000))
    (refused,) = [fact for fact in facts if isinstance(fact, CommandRejected)]
    assert (refused.code, refused.field) == ("PLAN_CHANGED", "planHash")
    assert {name: bot.version for name, bot in driver.state.bots.rows.items()} == {name: bot.version for name, bot in before.items()}


def test_negative_control_what_the_plan_does_not_touch_may_change(driver: TickDriver) -> None:
    apply(driver, a_bot_document("one"), a_bot_document("other"))
    plan = plan_of(driver.state, a_bot_document("one", symbol="IBM"))
    apply(driver, a_bot_document("other", symbol="IBM"))
    driver.command(ApplyFleet, bots=(a_bot_document("one", symbol="IBM"),), fleet="stocks", plan_hash=plan.hash)
    assert outcomes(events_of(driver.tick(after_ms=1000))) == {"one": "CHANGED"}


def test_refused_without_the_role_or_without_a_bot(driver: TickDriver) -> None:
    driver.command(ApplyFleet, "viewer", role="viewer", bots=(a_bot_document("one"),), plan_hash=a_digest("any"))
    driver.command(ApplyFleet, "empty", plan_hash=a_digest("any"))
    refused = [fact for fact in events_of(driver.tick(after_ms=1000)) if isinstance(fact, CommandRejected)]
    assert [fact.code for fact in refused] == ["FORBIDDEN", "NOTHING_TO_APPLY"]


def test_a_bot_there_twice_is_refused_and_a_retired_one_never_comes_back(driver: TickDriver) -> None:
    plan = plan_of(driver.state, a_bot_document("one"), a_bot_document("one"), retire=("one",))
    assert [step.outcome for step in plan.steps] == ["REGISTERED", "REJECTED", "REJECTED"]
    apply(driver, a_bot_document("one"))
    apply(driver, retire=("one",))
    step = plan_of(driver.state, a_bot_document("one")).steps[0]
    assert (step.outcome, step.field) == ("REJECTED", "id")
    assert "never used again" in step.limit


def test_the_log_of_it_is_followed_and_decided_again_byte_for_byte(driver: TickDriver) -> None:
    apply(driver, *[a_bot_document(f"bot-{number}") for number in range(20)])
    apply(driver, *[a_bot_document(f"bot-{number}", symbol="IBM") for number in range(10)], retire=("bot-15", "bot-16"))
    driver.command(RevertToLab, plan_hash=a_digest("none"), expected_count=0)
    driver.tick(after_ms=1000)
    follower, again = driver.reader(), driver.reader()
    for tick in driver.accepted:
        assert follower.follow(tick) is None
        assert again.re_decide(tick) is None
    assert follower.state.bots.rows["bot-3"].fleet == "stocks"
    assert follower.state.bots.rows["bot-3"].stage is Stage.LAB


def test_the_answer_to_the_largest_part_fits_into_one_record() -> None:
    steps = [Step("b" * 64, "REJECTED", field="\x00" * 500, limit="\x00" * 500) for _ in range(MAX_BOTS_PER_APPLY + MAX_RETIRED_PER_APPLY)]
    answer = told(steps)
    assert len(answer) == len(steps)
    said = CommandAccepted(command_id="00000000-0000-0000-0000-000000000001", command="apply-fleet.v1", outcomes=answer)
    assert 0.8 * MAX_ANSWER_BYTES < len(said.model_dump_json(by_alias=True)) < 1_000_000
    assert answer[-1].limit is None
    assert answer[0].limit is not None
