"""A gate's terms are data: who promotes and who checks read them with arithmetic of their own, and agree.

Source: R-C1, R-F3; autonomy.gates.
"""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autonomy.errors import Broken
from autonomy.gates import (
    EVIDENCE_GATES,
    GATES,
    LINE_GATES,
    SESSION_GATES,
    Above,
    Act,
    EvidenceGate,
    Holds,
    Needs,
    PromotionGate,
    Verdict,
    act_of,
    complete,
    figures_read,
    needs_of,
)
from autonomy.policy import GateThresholds
from planner.check.step_up import LINE_MET, SESSION_LACKS, is_met
from planner.decide.line_gates import LINE_RULES
from planner.decide.promotion_gates import RULES, measure_of
from planner.decide.session_gates import SESSION_RULES
from planner.fold.entities import Figures

LIMITS = GateThresholds(max_drawdown=0.35, max_exposure=0.9)
GOOD: dict[str, Any] = {
    "sharpe": 1.2, "trades": 80, "max_drawdown": 0.1, "exposure": 0.5, "bars_per_trade": 9.0, "timing_z": 4.0, "timing_p": 0.001,
    "markets": 1000, "net_t": 3.0, "look_ahead_ok": True, "synthetic": False, "costs_bps": 15.0,
}  # fmt: skip
BAD: dict[str, Any] = {
    "sharpe": 0.1, "trades": 3, "max_drawdown": 0.9, "exposure": 0.001, "bars_per_trade": 1.1, "timing_z": 0.1, "timing_p": 0.4,
    "markets": 100, "net_t": 1.0, "look_ahead_ok": False, "synthetic": True, "costs_bps": 0.0,
}  # fmt: skip
TOO_MUCH: dict[PromotionGate, dict[str, Any]] = {PromotionGate.LIMITS: {"exposure": 0.91}}
"""Figures that are bad from the other side, for gates that ask from there."""
NUMBER = st.one_of(st.none(), st.floats(-3, 3), st.just(float("nan")), st.sampled_from([0.0, 0.02, 0.35, 0.9, 1.0, 1.64, 2.0]))
FIGURES = st.builds(
    Figures, sharpe=NUMBER, trades=st.integers(0, 60), max_drawdown=NUMBER, exposure=NUMBER, bars_per_trade=NUMBER, timing_z=NUMBER,
    timing_p=st.just(0.5), markets=st.just(100), net_t=NUMBER, look_ahead_ok=st.booleans(),
    synthetic=st.booleans(), costs_bps=st.sampled_from([0.0, 15.0]),
)  # fmt: skip
GATE = pytest.mark.parametrize("gate", EVIDENCE_GATES, ids=lambda gate: gate.code.value)


def checked(gate: EvidenceGate, figures: Figures) -> bool:
    return all(is_met(term, figures, LIMITS) for term in gate.terms)


@given(FIGURES)
def test_check_counts_the_same_as_the_planner(figures: Figures) -> None:
    for gate in EVIDENCE_GATES:
        assert checked(gate, figures) == (RULES[gate.code](figures, LIMITS) is Verdict.PASS), (gate.code, figures)


@given(FIGURES)
def test_the_numbers_in_a_record_say_the_verdict(figures: Figures) -> None:
    """Who draws a gate's numbers against their limits sees what the planner decided: nothing that it compares is left out."""
    for gate in EVIDENCE_GATES:
        measures = [one for term in gate.terms if (one := measure_of(term, figures, LIMITS)) is not None]
        limits = [(one.value, one.at_least, one.at_most) for one in measures]
        below = [value for value, low, _ in limits if low is not None and (value is None or value < low)]
        above = [value for value, _, high in limits if high is not None and (value is None or value > high)]
        other = [term for term in gate.terms if isinstance(term, Holds | Above) and not is_met(term, figures, LIMITS)]
        assert (not below and not above and not other) == (RULES[gate.code](figures, LIMITS) is Verdict.PASS), (gate.code, figures)
        assert all(value is None or math.isfinite(value) for value, _, _ in limits)


@GATE
def test_each_gate_is_failed_by_each_figure_that_it_reads(gate: EvidenceGate) -> None:
    assert checked(gate, Figures(**GOOD))
    for figure in figures_read(gate):
        figures = Figures(**{**GOOD, figure: TOO_MUCH.get(gate.code, BAD).get(figure, BAD[figure])})
        assert RULES[gate.code](figures, LIMITS) is Verdict.FAIL, figure
        assert not checked(gate, figures), figure


@GATE
def test_a_gate_is_not_moved_by_figures_that_it_does_not_read(gate: EvidenceGate) -> None:
    others = {name: value for name, value in BAD.items() if name not in set(figures_read(gate))}
    assert RULES[gate.code](Figures(**{**GOOD, **others}), LIMITS) is Verdict.PASS


@GATE
def test_words_of_a_gate_name_every_limit_that_it_reads(gate: EvidenceGate) -> None:
    words = [term.required for term in gate.terms]
    assert all(text.format_map(dict(LIMITS)) for text in words), "a limit that no policy has would raise"


def test_every_gate_says_who_acts_and_has_its_rule_in_both_places() -> None:
    assert all(gate.title and gate.meaning and gate.act in Act for gate in GATES.values())
    sessions, lines = {gate.code for gate in SESSION_GATES}, {gate.code for gate in LINE_GATES}
    assert set(SESSION_RULES) == set(SESSION_LACKS) == sessions
    assert set(LINE_RULES) == set(LINE_MET) == lines
    assert set(RULES) == set(PromotionGate) - sessions - lines


def test_a_gate_without_its_object_stops_the_import() -> None:
    """Negative control."""
    with pytest.raises(Broken, match="PromotionGate without an entry: DRIFT"):
        complete(PromotionGate, {code: code.value for code in set(PromotionGate) - {PromotionGate.DRIFT}})


@pytest.mark.parametrize(("code", "verdict", "act"), [
    ("LIMITS", "FAIL", Act.DEVELOPER), ("LIMITS", "INCONCLUSIVE", Act.NONE), ("DRIFT", "FAIL", Act.OPERATOR),
    ("CAPABILITIES_AGREE", "INCONCLUSIVE", Act.OPERATOR), ("A_NEW_GATE", "FAIL", Act.NONE),
])  # fmt: skip
def test_nobody_has_to_act_while_evidence_is_only_missing(code: str, verdict: str, act: Act) -> None:
    """The platform brings it by itself."""
    assert act_of(code, verdict) is act


@pytest.mark.parametrize(("code", "clears_when", "act"), [
    ("MARKET_DATA", "the market clock reaches 2005-08-11", Act.NONE), ("MARKET_DATA", "never with this data: more bars", Act.DEVELOPER),
    ("MARKET_DATA", "a runner announces bars of it", Act.OPERATOR), ("RUNNER_HEALTHY", "never", Act.NONE),
    ("A_NEW_GATE", "never with this data", Act.NONE),
])  # fmt: skip
def test_what_clears_a_blocker_says_who_must_act(code: str, clears_when: str, act: Act) -> None:
    """A gate has one act, and what stands in its way may be of several kinds."""
    assert act_of(code, "FAIL", clears_when) is act


def test_a_bot_waits_for_the_first_that_any_blocker_needs() -> None:
    never, waits = ("MARKET_DATA", "FAIL", "never with this data"), ("MARKET_DATA", "FAIL", "the market clock reaches 2005-08-11")
    imported = ("UNVERIFIED_IMPORT", "INCONCLUSIVE", "revert the bot to LAB")
    assert [needs_of(found) for found in ([waits, never, imported], [waits, never], [waits], [])] == [
        Needs.OPERATOR, Needs.DEVELOPER, Needs.NOBODY, None,
    ]  # fmt: skip
