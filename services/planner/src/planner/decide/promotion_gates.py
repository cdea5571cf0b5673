"""The gates between a stage and the next: tri-state, and the same evidence gives the same verdict to everybody.

Place in the flow: asked by life (recommend, apply, withdraw, stop a runner), by decide (what changed) and by the records (the
whole tree in words). Pure. Missing, NaN, expired or other-fingerprint evidence is INCONCLUSIVE, and INCONCLUSIVE blocks.

Two layers: verdicts are asked for every bot, words only for those whose tree is published; both read the gate's object in
`autonomy.gates`.

Source: R-C1, R-F3, R-F7.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Final, NamedTuple, assert_never

from autonomy.errors import Broken
from autonomy.gates import (
    BETTER,
    EVIDENCE_GATES,
    PROMOTION_GATES,
    SESSION_GATES,
    Above,
    EvidenceGate,
    Holds,
    PromotionGate,
    Shown,
    Term,
    Verdict,
    Within,
    figures_read,
)
from autonomy.policy import GateThresholds
from autonomy.values import NEXT_STAGE, Stage
from planner.decide.line_gates import LINE_RULES, OF_LINE
from planner.decide.measures import Measure, measure
from planner.decide.session_gates import LIVE_GATES, SESSION_RULES, session_verdict
from planner.decide.view import View
from planner.fold.entities import Bot, Evidence, Figures
from planner.fold.facts import sign_of

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
FROM_PAPER: Final = tuple(PROMOTION_GATES)
FROM_LAB: Final = tuple(code for code in FROM_PAPER if code not in {gate.code for gate in SESSION_GATES})
ALL_DECIDE: Final = {len(codes): (True,) * len(codes) for codes in (FROM_LAB, FROM_PAPER)}
OF_EVIDENCE: Final = {gate.code: gate for gate in EVIDENCE_GATES}
RENEWED = "a refresh under the present fingerprint succeeds"
Rule = Callable[[Figures, GateThresholds], Verdict]


class Gate(NamedTuple):
    """One gate's verdict in words, measured against required.

    Attributes:
        deciding: False in shadow mode.
        expires_ms: when its evidence becomes too old, if that can be foreseen.
        measures: the numbers behind its words.
    """

    code: PromotionGate
    verdict: Verdict
    measured: str
    required: str
    clears_when: str
    deciding: bool
    evidence_job: str | None
    evidence_age_bars: int | None
    fingerprint: str | None
    expires_ms: int | None
    measures: tuple[Measure, ...] = ()


def gates_of(stage: Stage) -> tuple[PromotionGate, ...]:
    """The gates that lead out of a stage, in fixed order; none out of the last."""
    if stage not in NEXT_STAGE:
        return ()
    return FROM_LAB if stage is Stage.LAB else FROM_PAPER


def thresholds_of(bot: Bot, view: View) -> GateThresholds | None:
    """The thresholds of the bot's stage, or None when the policy has no such stage."""
    stage = view.policy.stages.get(bot.stage)
    return None if stage is None else stage.gates


def verdict_of(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> Verdict:
    """One gate's verdict."""
    if code in LIVE_GATES:
        return session_verdict(code, bot, view, limits)
    evidence = valid_evidence(bot, view)
    if evidence is None:
        return INCONCLUSIVE
    if is_expired(bot, evidence, view, limits):
        return INCONCLUSIVE
    return _of_evidence(code, bot, evidence, view, limits)


def _of_evidence(code: PromotionGate, bot: Bot, evidence: Evidence, view: View, limits: GateThresholds) -> Verdict:
    """The verdict of a gate that needs evidence, which stands."""
    return LINE_RULES[code].verdict(bot, evidence, view) if code in OF_LINE else RULES[code](evidence.figures, limits)


def verdicts(bot: Bot, view: View) -> tuple[Verdict, ...]:
    """The verdicts of all gates out of the bot's stage, in order; asked for several times a tick, worked out once."""
    known = view.judged.get(bot.id)
    if known is not None and known[0] is bot:
        return known[1]
    found = _verdicts(bot, view)
    view.judged[bot.id] = (bot, found)
    return found


def _verdicts(bot: Bot, view: View) -> tuple[Verdict, ...]:
    limits = thresholds_of(bot, view)
    if limits is None:
        return ()
    codes = gates_of(bot.stage)
    evidence = valid_evidence(bot, view)
    if evidence is None or is_expired(bot, evidence, view, limits):
        return tuple([session_verdict(code, bot, view, limits) if code in LIVE_GATES else INCONCLUSIVE for code in codes])
    return tuple([
        session_verdict(code, bot, view, limits) if code in LIVE_GATES else _of_evidence(code, bot, evidence, view, limits)
        for code in codes
    ])  # fmt: skip


def said_verdicts(bot: Bot, view: View) -> str:
    """What makes a promotion tree another one, as `facts.said_of_gates` reads it from a published tree; no number that drifts."""
    limits = thresholds_of(bot, view)
    codes = gates_of(bot.stage)
    if limits is None or not codes:
        return ""
    deciding = tuple([is_deciding(code, bot, view, limits) for code in codes]) if limits.shadow else ALL_DECIDE[len(codes)]
    signs = _signs(verdicts(bot, view), deciding)
    job = bot.evidence.job_id if bot.evidence else ""
    if bot.stage is Stage.LAB:
        return f"{signs}/{job}"
    return f"{signs}/{job}/{bot.drift.job_id if bot.drift else ''}"


@lru_cache(maxsize=4096)
def _signs(found: tuple[Verdict, ...], deciding: tuple[bool, ...]) -> str:
    """A letter for each gate, small for one in shadow mode; few different rows of verdicts exist."""
    return "".join([sign_of(verdict, deciding=decides) for verdict, decides in zip(found, deciding, strict=True)])


def all_pass(bot: Bot, view: View) -> bool:
    """Whether every deciding gate passes; False for a stage that leads nowhere."""
    limits = thresholds_of(bot, view)
    codes = gates_of(bot.stage)
    if limits is None or not codes:
        return False
    found = zip(codes, verdicts(bot, view), strict=True)
    return all(verdict is PASS or not is_deciding(code, bot, view, limits) for code, verdict in found)


def is_deciding(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> bool:
    """Whether a gate decides. In shadow mode it is advisory; BASELINE_PASSED still blocks without valid, unexpired evidence."""
    if code not in limits.shadow:
        return True
    if code is not PromotionGate.BASELINE_PASSED:
        return False
    evidence = valid_evidence(bot, view)
    return evidence is None or is_expired(bot, evidence, view, limits)


def valid_evidence(bot: Bot, view: View) -> Evidence | None:
    """The bot's evidence, if it is about the very bot, code, data source and costs of now, and knows no later bar than the market shows."""
    evidence = bot.evidence
    if evidence is None or evidence.fingerprint != view.fingerprint(bot):
        return None
    data = view.data_of(bot)
    return None if data is not None and evidence.bars > data.bars else evidence


def is_expired(bot: Bot, evidence: Evidence, view: View, limits: GateThresholds) -> bool:
    """Whether the evidence is older than the stage allows, in new bars; unknown data counts as expired."""
    data = view.data_of(bot)
    return data is None or data.bars - evidence.bars > limits.max_evidence_age_bars


def expires_ms(bot: Bot, evidence: Evidence, view: View, limits: GateThresholds) -> int | None:
    """When the market shows the bar that makes the evidence too old; None when no such bar is known."""
    return view.shown_ms(bot, evidence.bars + limits.max_evidence_age_bars)


def _at_least(value: float | None, limit: float) -> Verdict:
    # A NaN is no number: it compares false both ways and is inconclusive.
    if value is None or math.isnan(value):
        return INCONCLUSIVE
    return PASS if value >= limit else FAIL


def _at_most(value: float | None, limit: float) -> Verdict:
    if value is None or math.isnan(value):
        return INCONCLUSIVE
    return PASS if value <= limit else FAIL


def _worst(*found: Verdict) -> Verdict:
    if FAIL in found:
        return FAIL
    return INCONCLUSIVE if INCONCLUSIVE in found else PASS


def _rule_of(gate: EvidenceGate) -> Rule:
    """A gate's rule, put together once: it is asked for every bot."""
    rules = tuple([_rule_of_term(term) for term in gate.terms])
    if len(rules) == 1:
        return rules[0]
    return lambda figures, limits: _worst(*[rule(figures, limits) for rule in rules])


def _rule_of_term(term: Term) -> Rule:
    measured = attrgetter(term.figure)
    match term:
        case Within(at_least=low, at_most="") if low:
            least = attrgetter(low)
            return lambda figures, limits: _at_least(measured(figures), least(limits))
        case Within(at_least="", at_most=high) if high:
            most = attrgetter(high)
            return lambda figures, limits: _at_most(measured(figures), most(limits))
        case Within():
            least, most = attrgetter(term.at_least), attrgetter(term.at_most)
            return lambda figures, limits: _worst(_at_least(measured(figures), least(limits)), _at_most(measured(figures), most(limits)))
        case Holds():
            wanted = term.wanted
            return lambda figures, _: PASS if measured(figures) is wanted else FAIL
        case Above():
            floor = term.floor
            return lambda figures, _: PASS if measured(figures) > floor else FAIL
        case Shown():
            return lambda _, __: PASS
        case _:
            assert_never(term)


RULES: Final[dict[PromotionGate, Rule]] = {gate.code: _rule_of(gate) for gate in EVIDENCE_GATES}
_READ: Final = {figure for gate in EVIDENCE_GATES for figure in figures_read(gate)}
if not set(Figures.__struct_fields__) >= _READ:
    raise Broken(f"gates read figures that evidence does not have: {sorted(_READ - set(Figures.__struct_fields__))}")


def tree(bot: Bot, view: View) -> tuple[Gate, ...]:
    """Every gate out of the bot's stage, in words, as it is now."""
    limits = thresholds_of(bot, view)
    if limits is None:
        return ()
    stand = _evidence_status(bot, view, limits)
    found = zip(gates_of(bot.stage), verdicts(bot, view), strict=True)
    return tuple([_in_words(code, verdict, bot, view, limits, stand) for code, verdict in found])


def gate(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> Gate:
    """One gate in words."""
    return _in_words(code, verdict_of(code, bot, view, limits), bot, view, limits, _evidence_status(bot, view, limits))


class _EvidenceStatus(NamedTuple):
    """What all gates on evidence share: the evidence if it stands, why it has no say if it has none, and its age."""

    evidence: Evidence | None
    lack: tuple[str, str] | None
    old: str | None
    age: int | None
    expiry: int | None


def _evidence_status(bot: Bot, view: View, limits: GateThresholds) -> _EvidenceStatus:
    found, standing, data = bot.evidence, valid_evidence(bot, view), view.data_of(bot)
    age = max(0, data.bars - found.bars) if data is not None and found is not None else None
    if found is None:
        return _EvidenceStatus(None, ("no evidence of this version", "its baseline succeeds"), None, age, None)
    if standing is None and found.fingerprint == view.fingerprint(bot):
        lack = f"evidence on {found.bars} bars, more than the market shows", "a baseline on the bars of now succeeds"
        return _EvidenceStatus(None, lack, None, age, None)
    if standing is None:
        lack = f"evidence of another fingerprint ({found.fingerprint[:12]})", "a baseline under the present fingerprint succeeds"
        return _EvidenceStatus(None, lack, None, age, None)
    old = None
    if is_expired(bot, standing, view, limits):
        old = "of unknown age" if data is None else f"{data.bars - standing.bars} bars old"
    return _EvidenceStatus(standing, None, old, age, expires_ms(bot, standing, view, limits))


def _in_words(code: PromotionGate, verdict: Verdict, bot: Bot, view: View, limits: GateThresholds, stand: _EvidenceStatus) -> Gate:
    deciding = is_deciding(code, bot, view, limits)
    if code in LIVE_GATES:
        measured, required, clears = SESSION_RULES[code].words(bot, view, limits)
        job, age = SESSION_RULES[code].evidence(bot, view, stand.age)
        measures = SESSION_RULES[code].measures(bot, view, limits)
        return Gate(code, verdict, measured, required, clears, deciding, job, age, view.fingerprint(bot) or None, None, measures)
    found = bot.evidence
    measured, required, clears = _words(code, bot, view, limits, stand)
    job, fingerprint = (found.job_id, found.fingerprint) if found is not None else (None, None)
    measures = _measures(code, bot, view, limits, stand.evidence)
    return Gate(code, verdict, measured, required, clears, deciding, job, stand.age, fingerprint, stand.expiry, measures)


def _measures(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds, evidence: Evidence | None) -> tuple[Measure, ...]:
    """The numbers that a gate on evidence compares; none without evidence that stands."""
    if evidence is None:
        return ()
    if code in OF_LINE:
        return LINE_RULES[code].measures(bot, evidence, view)
    found = [measure_of(term, evidence.figures, limits) for term in OF_EVIDENCE[code].terms]
    return tuple([one for one in found if one is not None])


def measure_of(term: Term, figures: Figures, limits: GateThresholds) -> Measure | None:
    """The number that a term compares, with its limits; None where it compares none."""
    value = getattr(figures, term.figure)
    match term:
        case Within(figure, at_least=low, at_most=high):
            return measure(
                figure, value, at_least=getattr(limits, low) if low else None, at_most=getattr(limits, high) if high else None
            )  # fmt: skip
        case Above(figure, floor=floor):
            return measure(figure, value, at_least=floor)
        case Shown(figure):
            return measure(figure, value)
        case Holds():
            return None
        case _:
            assert_never(term)


def _words(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds, stand: _EvidenceStatus) -> tuple[str, str, str]:
    evidence = stand.evidence
    if code in OF_LINE and evidence is not None:
        measured, required, clears = LINE_RULES[code].words(bot, evidence, view)
    else:
        required, clears = _asked(code, bot, view, limits)
        measured = "" if evidence is None else _measured(code, evidence.figures)
    if stand.lack is not None:
        return stand.lack[0], required, stand.lack[1]
    if stand.old is not None:
        return f"{measured}, but {stand.old}", f"{required}, at most {limits.max_evidence_age_bars} bars old", RENEWED
    return measured, required, clears


def _asked(code: PromotionGate, bot: Bot, view: View, limits: GateThresholds) -> tuple[str, str]:
    """What a gate asks for, worked out once for all bots of a stage."""
    known = view.asked.get((bot.stage, code))
    if known is None:
        known = view.asked[(bot.stage, code)] = _required(code, limits)
    return known


def _measured(code: PromotionGate, figures: Figures) -> str:
    return ", ".join([_measured_term(term, figures) for term in OF_EVIDENCE[code].terms])


def _measured_term(term: Term, figures: Figures) -> str:
    value = getattr(figures, term.figure)
    match term:
        case Holds():
            return term.told[value]
        case Above():
            return term.measured.format(value)
        case Within(form=form):
            return term.measured.format(_shown(value, form))
        case Shown():
            return term.measured.format(_shown(value))
        case _:
            assert_never(term)


def _shown(value: float | None, form: str = ".4g") -> str:
    return "undefined" if value is None else format(value, form)


def _required(code: PromotionGate, limits: GateThresholds) -> tuple[str, str]:
    """What a gate on evidence asks for, and what clears it, in words."""
    gate = OF_EVIDENCE.get(code)
    if gate is None:
        return PROMOTION_GATES[code].meaning, BETTER
    return ", ".join([term.required for term in gate.terms]).format_map(dict(limits)), gate.clears_when
