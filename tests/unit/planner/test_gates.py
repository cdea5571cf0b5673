"""The gates before a job: what was measured, what is required, what would clear it; missing evidence blocks.

Source: R-A3.3, R-F3.
"""

from datetime import date, timedelta

import pytest

from autonomy.gates import Act, GateCode, Verdict, act_of
from autonomy.market_clock import day_number
from autonomy.values import Cause, JobType, Stage
from planner.decide.gates import Finding, findings
from planner.decide.view import build_view
from planner.fold.entities import Bot, Evidence, Failure
from planner.fold.state import State
from support.builders import NOON_MS, a_bot, a_digest, a_policy, a_state, an_id, capabilities, ended, figures
from support.changes import replace

BASELINE = JobType.BACKTEST_BASELINE


def found(state: State, job_type: JobType = BASELINE, now_ms: int = NOON_MS, bot: Bot | None = None) -> dict[GateCode, Finding]:
    """The findings about the only bot, by code."""
    bot = bot or next(iter(state.bots.rows.values()))
    listed = findings(bot, job_type, build_view(state, now_ms))
    assert len({finding.code for finding in listed}) == len(listed)
    for finding in listed:
        assert finding.measured
        assert finding.required
        assert finding.clears_when
        assert finding.verdict is not Verdict.PASS
    return {GateCode(finding.code): finding for finding in listed}


def test_sound_bot_passes_every_gate() -> None:
    assert found(a_state(a_bot())) == {}


def test_nothing_announced_is_inconclusive_not_a_failure() -> None:
    blocked = found(a_state(a_bot(), runners=()))
    assert {code: finding.verdict for code, finding in blocked.items()} == {
        GateCode.STRATEGY_VALID: Verdict.INCONCLUSIVE,
        GateCode.MARKET_DATA: Verdict.INCONCLUSIVE,
        GateCode.CAPABILITIES_AGREE: Verdict.INCONCLUSIVE,
    }


def test_strategy_that_no_runner_has_fails_and_names_the_known_ones() -> None:
    blocked = found(a_state(a_bot(), runners=(capabilities(strategies=("macd", "ts-momentum")),)))
    assert "macd, ts-momentum" in blocked[GateCode.STRATEGY_VALID].measured


@pytest.mark.parametrize("two_runners", [False, True])
def test_parameters_out_of_the_catalogues_range_fail(*, two_runners: bool) -> None:
    """A bot registered under an older catalogue; whether runners agree on something else doesn't matter."""
    bot = replace(a_bot(), parameters=(("direction", "long"), ("fast", 1), ("slow", 50)))
    runners = (capabilities(), capabilities("runner-2", content="other-")) if two_runners else (capabilities(),)
    finding = found(a_state(bot, runners=runners))[GateCode.STRATEGY_VALID]
    assert finding.verdict is Verdict.FAIL
    assert finding.required == "parameters.fast: a whole number from 2 to 200 bars"


def test_unknown_symbol_fails_and_names_the_known_ones() -> None:
    finding = found(a_state(a_bot(symbol="TSLA")))[GateCode.MARKET_DATA]
    assert finding.verdict is Verdict.FAIL
    assert finding.measured == "no bars of TSLA 1d (known: AAPL 1d, FB 1d, GOOG 1d, IBM 1d, MSFT 1d)"


def test_history_that_is_still_too_short_says_when_it_suffices() -> None:
    state = a_state(a_bot(symbol="GOOG"), policy=a_policy(market={"start": "2005-01-03"}))
    finding = found(state)[GateCode.MARKET_DATA]
    assert finding.clears_when.startswith("the market clock shows the bar of 2005-08-")
    assert act_of(finding.code, finding.verdict, finding.clears_when) is Act.NONE
    reached = date.fromisoformat(finding.clears_when.rsplit(" ", 1)[1])
    start = day_number(date(2005, 1, 3))
    weekdays = sum(1 for n in range(start, day_number(reached)) if (date(1970, 1, 1) + timedelta(days=n)).weekday() < 5)
    assert GateCode.MARKET_DATA in found(state, now_ms=NOON_MS + weekdays * 15_000 - 1)
    assert found(state, now_ms=NOON_MS + weekdays * 15_000) == {}


def test_history_that_never_suffices_says_so() -> None:
    finding = found(a_state(a_bot(symbol="FB")), now_ms=NOON_MS + 10**10)[GateCode.MARKET_DATA]
    assert (finding.measured, finding.required) == ("196 bars of FB 1d until 2013-03-01", "250 bars")
    assert finding.clears_when.startswith("never with this data: it has 196 bars in all")
    assert act_of(finding.code, finding.verdict, finding.clears_when) is Act.DEVELOPER, "no operator clears it"


def test_job_that_no_live_runner_offers_is_blocked() -> None:
    blocked = found(a_state(a_bot()), JobType.EVOLVE)
    assert blocked[GateCode.CAPABILITIES_AGREE].measured == "no live runner offers EVOLVE"


def test_stopping_runner_offers_nothing() -> None:
    state = a_state(a_bot())
    process = state.runners.rows[an_id("runner-1")]
    state.runners.put(process.process_id, replace(process, stopping=True))
    assert set(found(state)) == {GateCode.CAPABILITIES_AGREE}


def test_runner_that_only_beats_offers_nothing() -> None:
    state = a_state(a_bot())
    process = state.runners.rows[an_id("runner-1")]
    state.runners.put(process.process_id, replace(process, engine_version="", job_types=()))
    assert set(found(state)) == {GateCode.CAPABILITIES_AGREE}


@pytest.mark.parametrize(
    ("other", "about"),
    [
        (capabilities("runner-2", content="other-"), "AAPL"),
        (capabilities("runner-2", code="v2"), "sma-cross"),
        (capabilities("runner-2", engine="engine-2"), "engine"),
    ],
    ids=["data", "code", "engine"],
)
def test_runners_that_disagree_block_what_they_disagree_on(other: object, about: str) -> None:
    finding = found(a_state(a_bot(), runners=(capabilities(), other)))[GateCode.CAPABILITIES_AGREE]  # type: ignore[arg-type] # parametrised
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert about in finding.measured


def test_disagreement_about_another_symbol_blocks_nobody_else() -> None:
    partly = capabilities("runner-2", symbols=("IBM",), content="other-")
    assert found(a_state(a_bot(), runners=(capabilities(), partly))) == {}


def failed_before(state: State, **changes: object) -> Bot:
    """The bot after a final failure on what it is now."""
    bot = next(iter(state.bots.rows.values()))
    fingerprint = build_view(state, NOON_MS).fingerprint(bot)
    failure = Failure(an_id("failed"), Cause.BAD_INPUT, "no volume", fingerprint, a_digest("AAPL"))
    return replace(bot, failure=replace(failure, **changes))


def test_final_failure_on_this_very_input_blocks() -> None:
    state = a_state(a_bot())
    finding = found(state, bot=failed_before(state))[GateCode.LAST_FAILURE]
    assert (finding.measured, finding.evidence_job) == ("BAD_INPUT: no volume", an_id("failed"))


@pytest.mark.parametrize("changes", [{"fingerprint": a_digest("old")}, {"content": a_digest("old")}])
def test_final_failure_on_another_input_does_not_block(changes: dict[str, object]) -> None:
    state = a_state(a_bot())
    assert found(state, bot=failed_before(state, **changes)) == {}


@pytest.mark.parametrize(("crashes", "blocked"), [(0, False), (2, False), (3, True), (4, True)])
def test_crashes_in_a_row_quarantine(crashes: int, *, blocked: bool) -> None:
    state = a_state(a_bot(research=ended("CRASH", crashes=crashes)))
    assert (GateCode.NOT_QUARANTINED in found(state)) is blocked


def test_crashes_of_the_other_class_do_not_quarantine() -> None:
    assert found(a_state(a_bot(runner=ended("CRASH", crashes=9)))) == {}


def test_imported_stage_blocks_its_runner_and_names_the_way_out() -> None:
    bot = a_bot(stage=Stage.PAPER, verified=False)
    state = a_state(bot, runners=(capabilities(job_types=tuple(JobType)),))
    finding = found(state, JobType.RUNNER_START)[GateCode.UNVERIFIED_IMPORT]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "revert the bot to LAB" in finding.clears_when
    evidence = Evidence(an_id("old"), a_digest("f"), a_digest("d"), 0, 2400, NOON_MS, figures())
    aged = found(state, JobType.RUNNER_START, bot=replace(bot, evidence=evidence))[GateCode.UNVERIFIED_IMPORT]
    assert aged.evidence_job == an_id("old")
    assert aged.evidence_age_bars == build_view(state, NOON_MS).data["AAPL", "1d"].bars - 2400


def test_imported_stage_does_not_block_research() -> None:
    assert found(a_state(a_bot(stage=Stage.PAPER, verified=False))) == {}


def test_fingerprint_survives_the_last_runners_restart() -> None:
    """While no runner lives, the last offer still tells which evidence counts: nobody is asked for a new baseline."""
    state = a_state(a_bot())
    before = build_view(state, NOON_MS).fingerprint(a_bot())
    state.runners.drop(an_id("runner-1"))
    view = build_view(state, NOON_MS)
    assert (view.fingerprint(a_bot()), view.runners) == (before, ())


def test_stage_that_the_policy_does_not_know_asks_its_runner_for_no_gate() -> None:
    policy = a_policy()
    known = policy.model_copy(update={"stages": {stage: rules for stage, rules in policy.stages.items() if stage is not Stage.LIVE}})
    state = a_state(a_bot(stage=Stage.LIVE), policy=known, runners=(capabilities(job_types=tuple(JobType)),))
    assert found(state, JobType.RUNNER_START) == {}
