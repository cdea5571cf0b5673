"""Each command acts or is refused with the field and the limit; said twice it acts once."""

from collections.abc import Callable
from typing import Any

import pytest

from autonomy.events import (
    AcceptDivergence,
    BotOutcome,
    CancelJob,
    ChangeBot,
    Command,
    CommandAccepted,
    CommandRejected,
    Event,
    HoldBot,
    PauseLoop,
    RegisterBots,
    ReleaseHold,
    ResumeLoop,
    RetireBot,
    SetPolicy,
    SetPromotionMode,
)
from autonomy.reasons import Reason
from autonomy.values import Cause, JobStatus, Origin, Stage
from planner.decide import commands
from planner.decide.commands import apply_command
from planner.decide.view import build_view
from planner.fold.facts import fold_fact
from planner.fold.slices import fold_capabilities
from planner.fold.state import State
from support.builders import (
    NOON_MS,
    a_bot,
    a_bot_document,
    a_command,
    a_digest,
    a_live_job,
    a_state,
    an_id,
    by_bot,
    capabilities,
    ended,
    plan_at,
)
from support.ticks import TickDriver, events_of


def answer(state: State, command: Command) -> list[Event]:
    """The facts that a command makes, each folded at once."""
    facts: list[Event] = []

    def say(fact: Any) -> None:
        facts.append(fact)
        fold_fact(state, fact, 7, len(facts), NOON_MS)

    apply_command(state, command, NOON_MS, say)
    return facts


def accepted(state: State, command: Command) -> list[str]:
    """The wire names of the facts of an accepted command, before its acceptance."""
    *facts, last = answer(state, command)
    assert isinstance(last, CommandAccepted), last
    assert (last.command_id, last.command) == (command.command_id, command.wire)
    return [fact.wire for fact in facts]


def refused(state: State, command: Command) -> tuple[str, str]:
    """Code and field of a refusal, which changes nothing but the memory of the command."""
    before = {table: dict(table.rows) for table in (state.bots, state.jobs, state.pauses, state.retired)}
    (fact,) = answer(state, command)
    assert isinstance(fact, CommandRejected), fact
    assert fact.limit
    assert all(dict(table.rows) == rows for table, rows in before.items())
    return fact.code, fact.field


def outcomes(state: State, *bots: dict[str, Any], name: str = "command-1") -> list[BotOutcome]:
    """What became of each bot of a RegisterBots; built unchecked, as if the codec let anything through."""
    said = RegisterBots.model_construct(command_id=an_id(name), actor="ada", role="operator", reason="", bots=bots)
    last = answer(state, said)[-1]
    assert isinstance(last, CommandAccepted)
    return list(last.outcomes)


# ── RegisterBots ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_new_bot_is_registered_with_its_first_stage_event() -> None:
    state = a_state()
    wires = accepted(state, a_command(RegisterBots, bots=(a_bot_document(),)))
    assert wires == ["bot-registered.v1", "stage-changed.v1"]
    bot = state.bots.rows["aapl-sma"]
    assert (bot.stage, bot.origin, bot.verified, bot.eligible_ms) == (Stage.LAB, Origin.NEW, True, NOON_MS)
    assert dict(bot.parameters) == {"fast": 20, "slow": 50, "direction": "long"}


def test_same_list_said_again_changes_nothing() -> None:
    state = a_state()
    first = outcomes(state, a_bot_document(), a_bot_document("ibm", symbol="IBM"))
    assert [outcome.outcome for outcome in first] == ["REGISTERED", "REGISTERED"]
    before = dict(state.bots.rows)
    again = outcomes(state, a_bot_document(), a_bot_document("ibm", symbol="IBM", parameters={"fast": 20}), name="again")
    assert [outcome.outcome for outcome in again] == ["UNCHANGED", "UNCHANGED"]
    assert dict(state.bots.rows) == before


def test_id_taken_by_another_bot_is_rejected() -> None:
    state = a_state(a_bot())
    (outcome,) = outcomes(state, a_bot_document(symbol="IBM"))
    assert (outcome.outcome, outcome.field) == ("REJECTED", "id")
    assert "ChangeBot" in (outcome.limit or "")


def test_bot_twice_in_one_command_is_registered_once() -> None:
    state = a_state()
    same = outcomes(state, a_bot_document(), a_bot_document(), a_bot_document(symbol="IBM"))
    assert [outcome.outcome for outcome in same] == ["REGISTERED", "UNCHANGED", "REJECTED"]
    assert state.bots.rows["aapl-sma"].symbol == "AAPL"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"parameters": {"fast": float("nan")}}, "parameters"),
    ({"parameters": {"fast": float("inf")}}, "parameters"),
    ({"parameters": {"fast": 0}}, "parameters.fast"),
    ({"parameters": {"fast": 10**400}}, "parameters.fast"),
    ({"parameters": {"slow": 400.5}}, "parameters.slow"),
    ({"parameters": {"speed": 1}}, "parameters.speed"),
    ({"strategy": "get-rich"}, "strategy"),
    ({"symbol": "no symbol"}, "symbol"),
    ({"id": "../etc/passwd"}, "id"),
    ({"id": 10**4000}, "id"),
    ({"id": None}, "id"),
    ({"stage": "MOON"}, "stage"),
    ({"surprise": True}, "surprise"),
    ({"name": "x" * 81}, "name"),
]


@pytest.mark.parametrize(("changes", "field"), BAD, ids=[f"{n}-{field}" for n, (_, field) in enumerate(BAD)])
def test_bad_bot_is_rejected_by_field_and_limit_and_the_others_registered(changes: dict[str, Any], field: str) -> None:
    state = a_state()
    bad, good = outcomes(state, {**a_bot_document("bad"), **changes}, a_bot_document("good"))
    assert bad.outcome == "REJECTED"
    assert (bad.field or "").startswith(field)
    assert bad.limit
    assert good.outcome == "REGISTERED"
    assert set(state.bots.rows) == {"good"}


def blockers(state: State, bot_id: str = "aapl-sma") -> list[str]:
    """The gates that a bot waits behind."""
    return [code.value for code in by_bot(plan_at(state)[0])[bot_id].blockers]


def test_a_bot_that_comes_before_its_strategy_waits_and_then_is_the_bot_it_would_have_been() -> None:
    state, late = a_state(runners=()), a_state()
    document = a_bot_document(parameters={"fast": 5})
    assert [outcome.outcome for outcome in outcomes(state, document)] == ["REGISTERED"]
    assert dict(state.bots.rows["aapl-sma"].parameters) == {"fast": 5}, "as it was written: nobody knows the rest"
    assert "STRATEGY_VALID" in blockers(state)
    fold_capabilities(state, capabilities(), set())
    assert blockers(state) == []
    outcomes(late, document)
    one, other = state.bots.rows["aapl-sma"], late.bots.rows["aapl-sma"]
    views = build_view(state, NOON_MS), build_view(late, NOON_MS)
    assert views[0].parameters(one) == views[1].parameters(other) == {"fast": 5, "slow": 50, "direction": "long"}
    assert views[0].fingerprint(one) == views[1].fingerprint(other) != ""
    again = outcomes(state, document, a_bot_document(parameters={"fast": 6}), name="again")
    assert [outcome.outcome for outcome in again] == ["UNCHANGED", "REJECTED"]


@pytest.mark.parametrize("changes", [{"parameters": {"fast": 0}}, {"parameters": {"speed": 1}}, {"parameters": {"direction": "short"}}])
def test_parameters_that_the_strategy_turns_out_not_to_take_stay_behind_the_gate(changes: dict[str, Any]) -> None:
    state = a_state(runners=())
    assert [outcome.outcome for outcome in outcomes(state, a_bot_document(**changes))] == ["REGISTERED"]
    fold_capabilities(state, capabilities(), set())
    assert blockers(state) == ["STRATEGY_VALID"]
    # The very same document is refused once it can be checked, and a bot whose own are right waits for nothing.
    (refusal, good) = outcomes(state, a_bot_document("other", **changes), a_bot_document("good"), name="again")
    assert (refusal.outcome, (refusal.field or "")[:11], good.outcome) == ("REJECTED", "parameters.", "REGISTERED")
    assert blockers(state, "good") == []


def test_a_strategy_nobody_offers_is_refused_once_any_is_announced_and_not_before() -> None:
    document = a_bot_document(strategy="their-own", parameters={"length": 7})
    (before,) = outcomes(a_state(runners=()), document)
    (after,) = outcomes(a_state(), document)
    assert (before.outcome, after.outcome, after.field) == ("REGISTERED", "REJECTED", "strategy")
    assert "must be a strategy that a runner offers" in (after.limit or "")
    assert "macd" not in (after.limit or ""), "the answer does not depend on which others there are"


def test_unknown_symbol_is_registered_and_gated() -> None:
    """Bars may come later; until then the gate says so."""
    state = a_state()
    (outcome,) = outcomes(state, a_bot_document("tsla-sma", symbol="TSLA"))
    assert outcome.outcome == "REGISTERED"
    decision = by_bot(plan_at(state)[0])["tsla-sma"]
    assert (decision.reason, [code.value for code in decision.blockers]) == (Reason.BLOCKED_BY_GATES, ["MARKET_DATA"])


@pytest.mark.parametrize("stage", [Stage.PAPER, Stage.SHADOW, Stage.CANARY, Stage.LIVE])
def test_imported_stage_is_unverified(stage: Stage) -> None:
    state = a_state()
    facts = answer(state, a_command(RegisterBots, bots=(a_bot_document(stage=stage.value, origin="NEW"),)))
    assert getattr(facts[1], "reason_code", "") == "IMPORTED_UNVERIFIED"
    bot = state.bots.rows["aapl-sma"]
    assert (bot.origin, bot.verified) == (Origin.IMPORTED, False)


def test_retired_id_is_never_used_again() -> None:
    state = a_state(a_bot())
    answer(state, a_command(RetireBot, bot_id="aapl-sma"))
    (outcome,) = outcomes(state, a_bot_document(), name="again")
    assert (outcome.outcome, outcome.field) == ("REJECTED", "id")


def test_full_fleet_rejects_new_bots_and_keeps_the_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_BOTS", 1)
    state = a_state(a_bot())
    old, new = outcomes(state, a_bot_document(), a_bot_document("second"))
    assert (old.outcome, new.outcome, new.field) == ("UNCHANGED", "REJECTED", "bots")


# ── the other commands, accepted ──────────────────────────────────────────────────────────────────────────────────────


def test_changed_bot_is_a_new_version_whose_evidence_no_longer_counts() -> None:
    state = a_state(a_bot())
    a_live_job(state, "aapl-sma")
    wires = accepted(state, a_command(ChangeBot, bot_id="aapl-sma", parameters={"fast": 10}))
    assert wires == ["cancel-requested.v1", "bot-changed.v1"]
    bot = state.bots.rows["aapl-sma"]
    assert (bot.version, dict(bot.parameters)) == (2, {"fast": 10, "slow": 50, "direction": "long"})
    assert state.jobs.rows[an_id("job-1")].cancel is Cause.CANCELLED_BY_CHANGE


def test_change_to_another_strategy_starts_from_its_defaults() -> None:
    state = a_state(a_bot(parameters={"fast": 7}))
    accepted(state, a_command(ChangeBot, bot_id="aapl-sma", strategy="macd", symbol="IBM"))
    bot = state.bots.rows["aapl-sma"]
    assert (bot.strategy, bot.symbol, dict(bot.parameters)["fast"]) == ("macd", "IBM", 12)


def test_retired_bot_leaves_and_its_jobs_are_cancelled() -> None:
    state = a_state(a_bot())
    a_live_job(state, "aapl-sma", status=JobStatus.RUNNING)
    wires = accepted(state, a_command(RetireBot, bot_id="aapl-sma"))
    assert wires == ["cancel-requested.v1", "bot-retired.v1"]
    assert state.bots.rows == {}
    assert state.jobs.rows[an_id("job-1")].cancel is Cause.CANCELLED_BY_RETIREMENT


def test_pause_and_resume() -> None:
    state = a_state(a_bot())
    for number, (scope, target) in enumerate([("fleet", ""), ("stage", "LAB"), ("bot", "aapl-sma")]):
        assert accepted(state, a_command(PauseLoop, f"p{number}", scope=scope, target=target)) == ["loop-paused.v1"]
        assert accepted(state, a_command(ResumeLoop, f"r{number}", scope=scope, target=target)) == ["loop-resumed.v1"]
    assert state.pauses.rows == {}


def test_hold_and_release() -> None:
    state = a_state(a_bot())
    assert accepted(state, a_command(HoldBot, "h", bot_id="aapl-sma", reason="")) == ["hold-placed.v1"]
    assert state.bots.rows["aapl-sma"].hold == "held by ada"
    assert accepted(state, a_command(ReleaseHold, "r", bot_id="aapl-sma")) == ["hold-released.v1"]
    assert state.bots.rows["aapl-sma"].hold is None


def test_release_ends_a_quarantine_and_a_hold_at_once() -> None:
    state = a_state(a_bot(hold="x", research=ended("CRASH", crashes=3), runner=ended("CRASH", crashes=4)))
    assert accepted(state, a_command(ReleaseHold, bot_id="aapl-sma")) == ["hold-released.v1", "hold-released.v1"]
    bot = state.bots.rows["aapl-sma"]
    assert (bot.hold, bot.research.crashes, bot.runner.crashes) == (None, 0, 0)


def test_policy_is_put_in_force() -> None:
    state = a_state()
    assert accepted(state, a_command(SetPolicy, role="approver", document={"research": {"concurrency": 9}})) == ["policy-changed.v1"]
    assert state.policy.research.concurrency == 9


def test_live_job_is_cancelled_on_request() -> None:
    state = a_state(a_bot())
    a_live_job(state, "aapl-sma")
    assert accepted(state, a_command(CancelJob, job_id=an_id("job-1"))) == ["cancel-requested.v1"]
    assert state.jobs.rows[an_id("job-1")].cancel is Cause.CANCELLED_BY_OPERATOR


def divergence(**changes: Any) -> AcceptDivergence:
    said = {
        "role": "approver",
        "tick": 3,
        "sealed_state_hash": a_digest("s"),
        "folded_state_hash": a_digest("f"),
        "input_root": a_digest("i"),
        **changes,
    }
    command = a_command(AcceptDivergence, **said)
    assert isinstance(command, AcceptDivergence)
    return command


def test_approver_accepts_a_divergence_of_an_accepted_tick() -> None:
    state = a_state()
    state.head_tick = 3
    assert accepted(state, divergence()) == ["chain-repaired.v1"]


# ── refused ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_fleet() -> State:
    """One bot in LAB, one on hold, one in PAPER; the stage SHADOW is paused."""
    state = a_state(a_bot(), a_bot("held", hold="x"), a_bot("paper", stage=Stage.PAPER))
    answer(state, a_command(PauseLoop, "setup", scope="stage", target="SHADOW"))
    return state


def a_nan() -> Command:
    """What the codec would refuse already."""
    return a_command(ChangeBot, bot_id="aapl-sma").model_copy(update={"parameters": {"fast": float("nan")}})


REFUSALS: list[tuple[str, Callable[[], Command], str, str]] = [
    ("change of an unknown bot", lambda: a_command(ChangeBot, bot_id="nobody", symbol="IBM"), "UNKNOWN_BOT", "botId"),
    ("change beyond LAB", lambda: a_command(ChangeBot, bot_id="paper", symbol="IBM"), "NOT_IN_LAB", "botId"),
    ("change to the same", lambda: a_command(ChangeBot, bot_id="aapl-sma", symbol="AAPL"), "UNCHANGED", "botId"),
    ("change out of range", lambda: a_command(ChangeBot, bot_id="aapl-sma", parameters={"fast": 1}), "BAD_INPUT", "parameters.fast"),
    ("change to NaN", a_nan, "BAD_INPUT", "parameters.fast.float"),
    ("change to no strategy", lambda: a_command(ChangeBot, bot_id="aapl-sma", strategy="x"), "BAD_INPUT", "strategy"),
    ("change to a bad symbol", lambda: a_command(ChangeBot, bot_id="aapl-sma", symbol="a b"), "BAD_INPUT", "symbol"),
    ("retirement of nobody", lambda: a_command(RetireBot, bot_id="nobody"), "UNKNOWN_BOT", "botId"),
    ("fleet with a target", lambda: a_command(PauseLoop, scope="fleet", target="LAB"), "BAD_INPUT", "target"),
    ("unknown stage", lambda: a_command(PauseLoop, scope="stage", target="MOON"), "BAD_INPUT", "target"),
    ("pause of nobody", lambda: a_command(PauseLoop, scope="bot", target="nobody"), "UNKNOWN_BOT", "botId"),
    ("second pause", lambda: a_command(PauseLoop, scope="stage", target="SHADOW"), "ALREADY_PAUSED", "scope"),
    ("resume without a pause", lambda: a_command(ResumeLoop), "NOT_PAUSED", "scope"),
    ("hold of nobody", lambda: a_command(HoldBot, bot_id="nobody"), "UNKNOWN_BOT", "botId"),
    ("second hold", lambda: a_command(HoldBot, bot_id="held"), "ALREADY_HELD", "botId"),
    ("release of nobody", lambda: a_command(ReleaseHold, bot_id="nobody"), "UNKNOWN_BOT", "botId"),
    ("release without a hold", lambda: a_command(ReleaseHold, bot_id="aapl-sma"), "NOT_HELD", "botId"),
    ("bad policy", lambda: a_command(SetPolicy, role="approver", document={"research": {"concurrency": 0}}), "BAD_INPUT", "research.concurrency"),
    ("policy with an unknown field", lambda: a_command(SetPolicy, role="approver", document={"surprise": 1}), "BAD_INPUT", "surprise"),
    ("cancel of no job", lambda: a_command(CancelJob, job_id=an_id("nothing")), "NOT_LIVE", "jobId"),
    ("divergence by an operator", lambda: divergence(role="operator"), "FORBIDDEN", "role"),
    ("policy by an operator", lambda: a_command(SetPolicy, document={}), "FORBIDDEN", "role"),
    ("mode by an operator", lambda: a_command(SetPromotionMode, mode="AUTO"), "FORBIDDEN", "role"),
    ("hold by a viewer", lambda: a_command(HoldBot, bot_id="aapl-sma", role="viewer"), "FORBIDDEN", "role"),
    ("pause by the system", lambda: a_command(PauseLoop, role="system"), "FORBIDDEN", "role"),
    ("hold by nobody to be seen", lambda: a_command(HoldBot, bot_id="aapl-sma", actor="\u200b"), "FORBIDDEN", "actor"),
    ("divergence without its inputs", lambda: divergence(input_root=None, tick=0), "BAD_INPUT", "inputRoot"),
    ("divergence in the future", lambda: divergence(tick=9), "BAD_INPUT", "tick"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "code", "field"), [pytest.param(*rest, id=name) for name, *rest in REFUSALS])
def test_command_that_cannot_act_is_refused(command: Callable[[], Command], code: str, field: str) -> None:
    assert refused(a_fleet(), command()) == (code, field)


def test_refusal_is_short_however_long_the_words_were() -> None:
    state = a_state()
    command = a_command(SetPolicy, role="approver", document={"x" * 5000: 1})
    (fact,) = answer(state, command)
    assert isinstance(fact, CommandRejected)
    assert len(fact.field) <= 500


# ── once ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_command_said_twice_acts_once() -> None:
    state = a_state(a_bot())
    assert accepted(state, a_command(HoldBot, "same", bot_id="aapl-sma"))
    assert answer(state, a_command(HoldBot, "same", bot_id="aapl-sma")) == []
    assert answer(state, a_command(RetireBot, "same", bot_id="aapl-sma")) == []
    assert "aapl-sma" in state.bots.rows


def test_refused_command_said_twice_is_answered_once() -> None:
    state = a_state()
    assert refused(state, a_command(HoldBot, "same", bot_id="nobody")) == ("UNKNOWN_BOT", "botId")
    assert answer(state, a_command(HoldBot, "same", bot_id="nobody")) == []


def test_command_said_twice_in_one_tick_or_in_two_acts_once() -> None:
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.command(PauseLoop, "same")
    driver.command(PauseLoop, "same")
    first = [fact.wire for fact in events_of(driver.tick())]
    driver.command(PauseLoop, "same")
    second = [fact.wire for fact in events_of(driver.tick(after_ms=1000))]
    assert (first.count("loop-paused.v1"), second) == (1, [])


def test_later_command_of_a_tick_sees_what_an_earlier_one_did() -> None:
    driver = TickDriver()
    driver.register("aapl-sma")
    driver.command(HoldBot, bot_id="aapl-sma")
    driver.command(ReleaseHold, bot_id="aapl-sma")
    driver.command(RetireBot, bot_id="aapl-sma")
    driver.command(HoldBot, bot_id="aapl-sma")
    answers = [fact for fact in events_of(driver.tick()) if isinstance(fact, CommandAccepted | CommandRejected)]
    assert [isinstance(fact, CommandAccepted) for fact in answers] == [True, True, True, True, False]
