"""The gates before a job is scheduled: named, tri-state, and never silent about what would clear them.

Place in the flow: decide asks for the codes of all that do not pass, the records ask for them in words. Pure; inputs come
from the log alone. Missing evidence is INCONCLUSIVE, and INCONCLUSIVE blocks.

Source: R-A3.3, R-F3.
"""

from collections.abc import Iterable
from typing import NamedTuple, assert_never

from autonomy.agreement import CLEARS, SAME, differ_words
from autonomy.errors import BadInput, Broken
from autonomy.gates import GateCode, PromotionGate, Verdict
from autonomy.timeframes import bar_words, bars_name
from autonomy.values import JobType
from planner.decide import promotion_gates
from planner.decide.view import Data, View, whole_parameters
from planner.fold.entities import Bot, ClassRecord


class Finding(NamedTuple):
    """A gate that does not pass."""

    code: GateCode | PromotionGate
    verdict: Verdict
    measured: str
    required: str
    clears_when: str
    evidence_job: str | None = None
    evidence_age_bars: int | None = None
    fingerprint: str | None = None


NAMES_SHOWN = 8
Code = GateCode | PromotionGate
NOTHING: tuple[Code, ...] = ()


def blockers(bot: Bot, job_type: JobType, view: View) -> tuple[Code, ...]:
    """The codes of every gate before a job of this type that does not pass, in a fixed order; empty when all pass."""
    found: list[Code] = []
    runs = job_type is JobType.RUNNER_START
    if runs:
        if bot.verified:
            found.extend(failing_runner_gates(bot, view))
        else:
            found.append(GateCode.UNVERIFIED_IMPORT)
    # Without a live runner nothing is known of code and data either: no other gate can be clear of that.
    if job_type not in view.job_types or view.disagreements_about(bot):
        found.append(GateCode.CAPABILITIES_AGREE)
    offer = view.strategies.get(bot.strategy)
    if offer is None or isinstance(whole_parameters(offer.text, bot.parameters), BadInput):
        found.append(GateCode.STRATEGY_VALID)
    data = view.data_of(bot)
    if data is None or data.bars < view.policy.research.min_bars:
        found.append(GateCode.MARKET_DATA)
    if bot.failure is not None and fails_again(bot, data, view):
        found.append(GateCode.LAST_FAILURE)
    record = bot.runner if runs else bot.research
    if record.crashes >= view.policy.quarantine_after_crashes:
        found.append(GateCode.NOT_QUARANTINED)
    return tuple(found) if found else NOTHING


def failing_runner_gates(bot: Bot, view: View) -> tuple[PromotionGate, ...]:
    """The gates of its stage that a runner needs and that do not pass now.

    Source: R-A3.6.
    """
    stage = view.policy.stages.get(bot.stage)
    if stage is None:
        return ()
    return tuple([code for code in stage.runner_gates if promotion_gates.verdict_of(code, bot, view, stage.gates) is not Verdict.PASS])


def findings(bot: Bot, job_type: JobType, view: View) -> tuple[Finding, ...]:
    """Every gate before a job of this type that does not pass, in words."""
    data = view.data_of(bot)
    record = bot.runner if job_type is JobType.RUNNER_START else bot.research
    found: list[Finding] = []
    for code in blockers(bot, job_type, view):
        match code:
            case GateCode.UNVERIFIED_IMPORT:
                found.append(_unverified(bot, view))
            case GateCode.CAPABILITIES_AGREE:
                found.append(_capabilities(bot, job_type, view))
            case GateCode.STRATEGY_VALID:
                found.append(_strategy(bot, view))
            case GateCode.MARKET_DATA:
                found.append(_market_data(bot, data, view))
            case GateCode.LAST_FAILURE:
                found.append(_last_failure(bot))
            case GateCode.NOT_QUARANTINED:
                found.append(_quarantined(record, view))
            case PromotionGate():
                found.append(_runner_gate(code, bot, view))
            case _:
                assert_never(code)
    return tuple(found)


def _runner_gate(code: PromotionGate, bot: Bot, view: View) -> Finding:
    limits = promotion_gates.thresholds_of(bot, view)
    if limits is None:
        raise Broken(f"{bot.id}: {code.value} of a stage without thresholds")
    gate = promotion_gates.gate(code, bot, view, limits)
    return Finding(
        code, gate.verdict, gate.measured, gate.required, gate.clears_when, gate.evidence_job, gate.evidence_age_bars, gate.fingerprint
    )


def _unverified(bot: Bot, view: View) -> Finding:
    evidence = bot.evidence
    return Finding(
        GateCode.UNVERIFIED_IMPORT,
        Verdict.INCONCLUSIVE,
        f"stage {bot.stage.value} was imported; "
        + ("no evidence" if evidence is None else "its evidence was never judged by the promotion gates"),
        "a stage earned through the promotion gates",
        "revert the bot to LAB and let it graduate",
        evidence_job=evidence.job_id if evidence else None,
        evidence_age_bars=_age_bars(bot, view),
        fingerprint=evidence.fingerprint if evidence else None,
    )


def _age_bars(bot: Bot, view: View) -> int | None:
    data = view.data_of(bot)
    return max(0, data.bars - bot.evidence.bars) if bot.evidence and data else None


def _strategy(bot: Bot, view: View) -> Finding:
    offer = view.strategies.get(bot.strategy)
    refusal = None if offer is None else whole_parameters(offer.text, bot.parameters)
    if isinstance(refusal, BadInput):
        required = f"{refusal.field}: {refusal.limit}"[:300]
        return Finding(GateCode.STRATEGY_VALID, Verdict.FAIL, str(refusal)[:300], required, "the bot is changed to parameters in range")
    known = _some(view.strategies)
    return Finding(
        GateCode.STRATEGY_VALID, Verdict.INCONCLUSIVE if not view.strategies else Verdict.FAIL,
        f"{bot.strategy} is in no runner's catalogue (known: {known})", "a strategy that a runner can run",
        "a runner announces it, or the bot is changed to another strategy",
    )  # fmt: skip


def _some(names: Iterable[str]) -> str:
    """The first of many names, by alphabet: a text of a decision has a bound."""
    found = sorted(names)
    shown = ", ".join(found[:NAMES_SHOWN]) or "none announced yet"
    return shown if len(found) <= NAMES_SHOWN else f"{shown} and {len(found) - NAMES_SHOWN} more"


def _market_data(bot: Bot, data: Data | None, view: View) -> Finding:
    needed = view.policy.research.min_bars
    if data is None:
        name = bars_name(bot.symbol, bot.timeframe)
        known = _some(bars_name(*key) for key in view.data)
        fault = view.faults.get(name)
        why = f"no bars of {name} (known: {known})" if fault is None else f"the bars of {name} cannot be read: {fault}"
        return Finding(
            GateCode.MARKET_DATA, Verdict.FAIL if view.data else Verdict.INCONCLUSIVE, why[:300], f"{needed} bars",
            "a runner announces bars of it, or the bot is changed to another symbol or timeframe",
        )  # fmt: skip
    is_coming = view.shown_ms(bot, needed - 1) is not None
    clears = (
        f"the market clock shows the bar of {bar_words(data.times.at(needed - 1))}"
        if is_coming
        else f"never with this data: it has {len(data.times)} bars in all; more bars of {bot.symbol}, or another symbol"
    )
    until = "" if data.last_ms is None else f" until {bar_words(data.last_ms)}"
    measured = f"{data.bars} bars of {bars_name(bot.symbol, bot.timeframe)}{until}"
    return Finding(GateCode.MARKET_DATA, Verdict.FAIL, measured, f"{needed} bars", clears)


def _capabilities(bot: Bot, job_type: JobType, view: View) -> Finding:
    if not view.runners:
        return Finding(
            GateCode.CAPABILITIES_AGREE, Verdict.INCONCLUSIVE, "0 live runner processes", "at least 1",
            "a job-runner starts and announces what it can do",
        )  # fmt: skip
    if job_type not in view.job_types:
        return Finding(
            GateCode.CAPABILITIES_AGREE, Verdict.FAIL, f"no live runner offers {job_type.value}", "at least 1",
            "a runner that offers it starts",
        )  # fmt: skip
    return Finding(GateCode.CAPABILITIES_AGREE, Verdict.INCONCLUSIVE, differ_words(view.disagreements_about(bot)), SAME, CLEARS)


def fails_again(bot: Bot, data: Data | None, view: View) -> bool:
    """Whether the bot's last final failure was on the very input of now."""
    failure = bot.failure
    if failure is None or failure.fingerprint != view.fingerprint(bot):
        return False
    return data is None or failure.content == data.offer.content


def _last_failure(bot: Bot) -> Finding:
    failure = bot.failure
    if failure is None:
        raise Broken(f"{bot.id} is blocked by a failure that it does not have")
    return Finding(
        GateCode.LAST_FAILURE, Verdict.FAIL, f"{failure.cause.value}: {failure.detail}"[:300],
        "no such failure on this fingerprint and data",
        "the bot, its strategy's code or its data change, or an operator releases it (ReleaseHold)",
        evidence_job=failure.job_id, fingerprint=failure.fingerprint,
    )  # fmt: skip


def _quarantined(record: ClassRecord, view: View) -> Finding:
    return Finding(
        GateCode.NOT_QUARANTINED, Verdict.FAIL, f"{record.crashes} crashes in a row",
        f"fewer than {view.policy.quarantine_after_crashes}", "an operator releases the hold (ReleaseHold)",
    )  # fmt: skip
