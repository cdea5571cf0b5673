"""The gates, each as one object: its code, what it reads, its rule, its words, what clears it, and who must act.

Place in the flow: everywhere. The planner judges by these objects, `planner.check` counts them again with arithmetic of its own, the policy
holds their limits, and API, page, CLI and docs/events.md take their words from here. Pure.

A new gate is one object here and its limit in `autonomy.policy`. A table elsewhere that needs one entry per code is compared with the codes
at import (`complete`).

Source: R-A3.3, R-C1, R-F3.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum, unique
from typing import Final, NamedTuple, TypeVar

from autonomy.errors import Broken

BETTER: Final = "a refresh with more bars reaches it, or the bot becomes another version"
BY_THE_CLOCK: Final = "the market clock "
"""How what clears a blocker begins where it clears by itself."""
NEVER: Final = "never"
"""How it begins where nothing clears it but other data or another version."""


@unique
class Act(StrEnum):
    """Who must act before something is clear of its blocker."""

    NONE = "none"
    OPERATOR = "operator"
    DEVELOPER = "bot developer"


@unique
class Needs(StrEnum):
    """Whom a blocked bot waits for, the first that applies to any of its blockers."""

    OPERATOR = "OPERATOR"
    DEVELOPER = "DEVELOPER"
    NOBODY = "NOBODY"


@unique
class Verdict(StrEnum):
    """What a gate says. INCONCLUSIVE blocks: missing evidence is never a pass."""

    PASS = "PASS"  # noqa: S105 (a verdict, not a password)
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@unique
class GateCode(StrEnum):
    """The gates before a job is scheduled."""

    UNVERIFIED_IMPORT = "UNVERIFIED_IMPORT"
    STRATEGY_VALID = "STRATEGY_VALID"
    MARKET_DATA = "MARKET_DATA"
    CAPABILITIES_AGREE = "CAPABILITIES_AGREE"
    LAST_FAILURE = "LAST_FAILURE"
    NOT_QUARANTINED = "NOT_QUARANTINED"


@unique
class PromotionGate(StrEnum):
    """The gates between a stage and the next, in fixed order."""

    BASELINE_PASSED = "BASELINE_PASSED"
    MIN_TRADES = "MIN_TRADES"
    REALISM = "REALISM"
    RECORDED = "RECORDED"
    TIMING = "TIMING"
    NET = "NET"
    SEARCHED = "SEARCHED"
    LIMITS = "LIMITS"
    RUNNER_HEALTHY = "RUNNER_HEALTHY"
    DRIFT = "DRIFT"


class SchedulingGate(NamedTuple):
    """A gate before a job is scheduled; its rule reads the fleet's surroundings, and stands in `planner.decide.gates`.

    Attributes:
        title: what blocks, for people.
        meaning: what the gate asks for.
        act: who must act before it passes.
    """

    code: GateCode
    title: str
    meaning: str
    act: Act


class Within(NamedTuple):
    """A figure between limits of the policy; undefined figures are INCONCLUSIVE.

    Attributes:
        figure: a field of the evidence's figures.
        measured: its words, with `{}` for the figure.
        required: the limit's words, with the policy's fields by name.
        at_least, at_most: names of limits, empty for none.
        form: how the figure is written, as a format specification.
    """

    figure: str
    measured: str
    required: str
    at_least: str = ""
    at_most: str = ""
    form: str = ".4g"


class Holds(NamedTuple):
    """A fact that must be as required; `told` says how each of its two values is written."""

    figure: str
    wanted: bool
    told: Mapping[bool, str]
    required: str


class Above(NamedTuple):
    """A figure above a fixed floor, whatever the policy says."""

    figure: str
    floor: float
    measured: str
    required: str


class Shown(NamedTuple):
    """A figure that is told and asks for nothing: that the evidence exists is what its gate asks for."""

    figure: str
    measured: str
    required: str


Term = Within | Holds | Above | Shown


class EvidenceGate(NamedTuple):
    """A gate on the evidence of a finished backtest: it passes when all its terms do.

    Attributes:
        title: what is asked for, for people.
        meaning: the same in a sentence.
        terms: the rule; the worst verdict counts.
        clears_when: what would make it pass.
    """

    code: PromotionGate
    title: str
    meaning: str
    terms: tuple[Term, ...]
    clears_when: str = BETTER
    act: Act = Act.DEVELOPER


class LineGate(NamedTuple):
    """A gate on what the log holds about a bot's line besides its newest evidence; its rule stands in `planner.decide.line_gates`."""

    code: PromotionGate
    title: str
    meaning: str
    act: Act = Act.DEVELOPER


class SessionGate(NamedTuple):
    """A gate on the open paper session, asked from PAPER on; its rule stands in `planner.decide.promotion_gates`."""

    code: PromotionGate
    title: str
    meaning: str
    act: Act


Code = TypeVar("Code", bound=StrEnum)
Entry = TypeVar("Entry")


def complete(codes: type[Code], table: Mapping[Code, Entry]) -> dict[Code, Entry]:
    """A table with one entry for each code, in the order of the codes.

    Raises:
        Broken: a code has no entry.
    """
    missing = [code.value for code in codes if code not in table]
    if missing:
        raise Broken(f"{codes.__name__} without an entry: {', '.join(missing)}")
    return {code: table[code] for code in codes}


def by_text(table: Mapping[Code, Entry]) -> dict[str, Entry]:
    """A table by the text of its codes, as documents hold them."""
    return {code.value: entry for code, entry in table.items()}


SCHEDULING_GATES: Final[Mapping[GateCode, SchedulingGate]] = complete(GateCode, {gate.code: gate for gate in (
    SchedulingGate(
        GateCode.UNVERIFIED_IMPORT, "stage was imported, not earned",
        "An imported stage carries no evidence: revert the bot to LAB and let it graduate.", Act.OPERATOR,
    ),
    SchedulingGate(
        GateCode.STRATEGY_VALID, "strategy is not in a runner's catalogue",
        "The strategy and its parameters are in a live runner's catalogue.", Act.DEVELOPER,
    ),
    SchedulingGate(
        GateCode.MARKET_DATA, "not enough market data",
        "Bars of the symbol exist, and enough of them up to the market clock.", Act.OPERATOR,
    ),
    SchedulingGate(
        GateCode.CAPABILITIES_AGREE, "no runner offers it, or runners disagree",
        "A live runner offers the job, and all live runners announce the same data and code.", Act.OPERATOR,
    ),
    SchedulingGate(
        GateCode.LAST_FAILURE, "failed on this very input before",
        "The last job did not fail on this very input.", Act.DEVELOPER,
    ),
    SchedulingGate(
        GateCode.NOT_QUARANTINED, "crashed its runner too often",
        "The bot did not crash its runner three times in a row.", Act.OPERATOR,
    ),
)})  # fmt: skip

EVIDENCE_GATES: Final = (
    EvidenceGate(
        PromotionGate.BASELINE_PASSED, "a backtest of this very version, young enough",
        "A successful backtest of this very fingerprint, young enough.",
        (Shown("sharpe", "Sharpe {}", "a successful backtest of this very version"),),
    ),
    EvidenceGate(
        PromotionGate.MIN_TRADES, "enough closed trades to say anything", "Enough closed trades to say anything.",
        (Within("trades", "{} trades", "at least {min_trades} closed trades", at_least="min_trades", form="d"),),
    ),
    EvidenceGate(
        PromotionGate.REALISM, "costs, fills and exposure as in a real market",
        "Costs on, next-open fills, no look-ahead, neither over-trading nor hardly trading.",
        (
            Holds("look_ahead_ok", wanted=True, told={True: "look-ahead none", False: "look-ahead FOUND"}, required="no look-ahead"),
            Above("costs_bps", 0, "costs {:g} bp a side", "costs above 0"),
            Within("bars_per_trade", "{} bars a trade", "at least {min_bars_per_trade:g} bars a trade", at_least="min_bars_per_trade"),
            Within("exposure", "exposure {}", "exposure of at least {min_exposure:g}", at_least="min_exposure"),
        ),
    ),
    EvidenceGate(
        PromotionGate.NET, "earns also at twice the costs", "The t of the net returns, at twice the fees and the slippage.",
        (Within("net_t", "t {} at double costs", "t of at least {min_net_t:g} at double costs", at_least="min_net_t"),),
    ),
    EvidenceGate(
        PromotionGate.LIMITS, "within your own risk limits",
        "Your own limits of loss and exposure. No evidence of an edge, and none against one.",
        (
            Within("max_drawdown", "drawdown {}", "drawdown of at most {max_drawdown:g}", at_most="max_drawdown"),
            Within("exposure", "exposure {}", "exposure of at most {max_exposure:g}", at_most="max_exposure"),
        ),
        clears_when="the bot becomes another version, or the limit is changed",
    ),
)  # fmt: skip
LINE_GATES: Final = (
    LineGate(
        PromotionGate.RECORDED, "recorded bars, or a market that was made up to be watched",
        "Bars that a market recorded. Made-up ones lead no further than the policy says, and never beyond PAPER.",
    ),
    LineGate(
        PromotionGate.TIMING, "its timing is better than chance, at this look",
        "At its last look the bot did better on its market than on the same bars in random order, by more than the look's share of the "
        "life's level allows to luck.",
    ),
    LineGate(
        PromotionGate.SEARCHED, "a search chose it, and it won on bars that no search had read",
        "Parameters that a search chose won their hold-out, whose bars no search of the line had read. Passes where no search chose any.",
    ),
)  # fmt: skip
SESSION_GATES: Final = (
    SessionGate(
        PromotionGate.RUNNER_HEALTHY, "the paper runner keeps up", "The paper runner took enough bars, and is not behind.", Act.NONE
    ),
    SessionGate(
        PromotionGate.DRIFT, "the paper session trades as the engine does",
        "The paper session trades as the engine does on the same bars.", Act.OPERATOR,
    ),
)  # fmt: skip
PROMOTION_GATES: Final[Mapping[PromotionGate, EvidenceGate | LineGate | SessionGate]] = complete(
    PromotionGate, {gate.code: gate for gate in (*EVIDENCE_GATES, *LINE_GATES, *SESSION_GATES)}
)
GATES: Final[Mapping[str, SchedulingGate | EvidenceGate | LineGate | SessionGate]] = {
    **by_text(SCHEDULING_GATES), **by_text(PROMOTION_GATES),
}  # fmt: skip
"""Every gate by its code on the wire: a promotion gate that a runner needs may stand among the blockers of a job, too."""


def act_of(code: str, verdict: str, clears_when: str = "") -> Act:
    """Who must act before a gate passes; nobody while evidence is only missing, since the platform brings that by itself.

    Args:
        code: of the gate.
        verdict: what it says.
        clears_when: what would clear it, in the planner's words; they count before the gate's own.
    """
    gate = GATES.get(code)
    if gate is None or (isinstance(gate, EvidenceGate | LineGate) and verdict != Verdict.FAIL) or clears_when.startswith(BY_THE_CLOCK):
        return Act.NONE
    return Act.DEVELOPER if clears_when.startswith(NEVER) and gate.act is Act.OPERATOR else gate.act


NEEDED: Final[Mapping[Act, Needs]] = complete(Act, {
    Act.OPERATOR: Needs.OPERATOR, Act.DEVELOPER: Needs.DEVELOPER, Act.NONE: Needs.NOBODY,
})  # fmt: skip


def needs_of(blockers: Iterable[tuple[str, str, str]]) -> Needs | None:
    """Whom a bot waits for; None without a blocker.

    Args:
        blockers: code, verdict and what clears it, of each.
    """
    found = {NEEDED[act_of(*blocker)] for blocker in blockers}
    return next((needs for needs in Needs if needs in found), None)


def limits_read(gate: EvidenceGate) -> Iterable[str]:
    """The policy's limits that a gate names."""
    for term in gate.terms:
        match term:
            case Within():
                yield from filter(None, (term.at_least, term.at_most))
            case Holds() | Above() | Shown():
                pass


def figures_read(gate: EvidenceGate) -> Iterable[str]:
    """The fields of the evidence's figures that a gate judges by."""
    return [term.figure for term in gate.terms if not isinstance(term, Shown)]
