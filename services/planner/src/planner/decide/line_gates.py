"""The gates on a bot's line: its looks, and what searches chose.

Place in the flow: asked by `promotion_gates`; `due_look` by the tick, for bots whose evidence is new. Pure. Which gates there are stands in
`autonomy.gates`; each has its rule and its words here.

Both read what stands with the bot for its present fingerprint: a verdict of a look stands until the next look of the same fingerprint,
whoever's bot it is. A bot that is registered again under another name, or changed there and back, meets the verdict that it had.

Source: R-G4; docs/gates.md.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from autonomy.errors import Broken
from autonomy.events import LookTaken
from autonomy.gates import BY_THE_CLOCK, LINE_GATES, NEVER, PromotionGate, Verdict
from autonomy.looks import alpha_of, next_bars, power_words, required_z
from autonomy.policy import LookPolicy
from autonomy.timeframes import bar_words
from autonomy.values import Stage
from planner.decide.measures import Measure, measure
from planner.decide.view import View
from planner.fold.entities import Bot, Evidence, Look

PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
OF_LINE: Final = frozenset(gate.code for gate in LINE_GATES)


def standing_look(bot: Bot) -> Look | None:
    """The look whose verdict stands for the bot's evidence."""
    look, evidence = bot.look, bot.evidence
    return look if look is not None and evidence is not None and look.fingerprint == evidence.fingerprint else None


def due_look(bot: Bot, standing: Look | None, rules: LookPolicy) -> LookTaken | None:
    """The look that a bot's evidence makes due, if any: at first bars and trades, then each time the bars have grown enough.

    At once where its fingerprint was never looked at: a changed bot is another hypothesis, and spends the next share of the line's level.

    Args:
        bot: with its evidence.
        standing: the last look at the evidence's fingerprint, whoever's bot it was; that bot's result may have come in this very tick.
        rules: of looks.
    """
    evidence = bot.evidence
    if evidence is None:
        return None
    figures = evidence.figures
    if figures.timing_z is None or evidence.bars < bars_needed(standing, rules) or figures.trades < rules.first_trades:
        return None
    number = next_number(bot, standing)
    alpha = alpha_of(rules.alpha_life, number)
    required = required_z(alpha)
    return LookTaken(
        bot_id=bot.id, job_id=evidence.job_id, fingerprint=evidence.fingerprint, number=number, bars=evidence.bars,
        trades=figures.trades, z=figures.timing_z, p_value=figures.timing_p, markets=figures.markets, alpha=alpha, required_z=required,
        synthetic=figures.synthetic, verdict=PASS if figures.timing_z >= required else FAIL,
    )  # fmt: skip


def bars_needed(standing: Look | None, rules: LookPolicy) -> int:
    """How many bars the next look at this fingerprint needs."""
    return rules.first_bars if standing is None else max(rules.first_bars, next_bars(standing.bars, rules.every))


def next_number(bot: Bot, standing: Look | None) -> int:
    """The number of the line's next look; one that shares its fingerprint with another line counts from the later of the two."""
    return max(bot.looks, 0 if standing is None else standing.number) + 1


def _recorded(bot: Bot, evidence: Evidence, view: View) -> Verdict:
    if not evidence.figures.synthetic:
        return PASS
    # The cap stands here too, whatever a policy may come to say: from PAPER on made-up bars lead nowhere.
    return PASS if bot.stage is Stage.LAB and view.policy.promotion.synthetic_up_to is Stage.PAPER else FAIL


def _recorded_words(_: Bot, evidence: Evidence, view: View) -> tuple[str, str, str]:
    up_to = view.policy.promotion.synthetic_up_to
    asked = "recorded bars" if up_to is Stage.LAB else f"recorded bars; made-up ones lead to {up_to.value}, and no further"
    return "made-up bars" if evidence.figures.synthetic else "recorded bars", asked, f"{NEVER} with these bars: another symbol"


def _timing(bot: Bot, _: Evidence, __: View) -> Verdict:
    look = standing_look(bot)
    return INCONCLUSIVE if look is None else look.verdict


def _timing_words(bot: Bot, evidence: Evidence, view: View) -> tuple[str, str, str]:
    rules, look, figures = view.policy.looks, standing_look(bot), evidence.figures
    needed, following = bars_needed(look, rules), next_number(bot, look)
    coming = _next_words(bot, evidence, needed, following, view)
    if look is not None:
        measured = f"z {look.z:.2f}, p {look.p_value:.3g} at look {look.number} on {look.bars} bars"
        return measured, _asked_words(look.number, look.alpha, look.required_z), coming
    alpha = alpha_of(rules.alpha_life, following)
    asked = _asked_words(following, alpha, required_z(alpha))
    measured = f"not looked at yet: {evidence.bars} bars, {figures.trades} trades"
    if evidence.bars < needed:
        return measured, asked, coming
    if figures.trades < rules.first_trades:
        return measured, asked, f"a refresh finds {rules.first_trades} closed trades: look {following}"
    if figures.timing_z is None:
        return measured, asked, f"a refresh finds returns that vary: look {following}"
    return measured, asked, f"{BY_THE_CLOCK}brings a refresh: the look at an equal bot counts for it, too"


def _asked_words(number: int, alpha: float, required: float) -> str:
    return f"z of at least {required:.2f} at look {number}, which luck alone reaches in {alpha:.2%}; {power_words(required)}"


def _next_words(bot: Bot, evidence: Evidence, needed: int, number: int, view: View) -> str:
    """When the next look comes: by itself, with its bar."""
    data = view.data_of(bot)
    if evidence.bars >= needed:
        return f"{BY_THE_CLOCK}brings a refresh: look {number}"
    if data is None or needed > len(data.times):
        return f"{BY_THE_CLOCK}shows bar {needed}, which no runner has announced yet: look {number}"
    return f"{BY_THE_CLOCK}shows bar {needed}, of {bar_words(data.times.at(needed - 1))}: look {number}"


def _timing_measures(bot: Bot, evidence: Evidence, view: View) -> tuple[Measure, ...]:
    look = standing_look(bot)
    if look is not None:
        return (measure("z", look.z, at_least=look.required_z),)
    rules = view.policy.looks
    return (
        measure("bars", evidence.bars, at_least=bars_needed(None, rules)),
        measure("trades", evidence.figures.trades, at_least=rules.first_trades),
    )


def _searched(bot: Bot, _: Evidence, __: View) -> Verdict:
    if bot.opening is not None:
        return PASS if bot.opening.won else FAIL
    return FAIL if bot.searched else PASS


def _searched_words(bot: Bot, _: Evidence, view: View) -> tuple[str, str, str]:
    opening, rules = bot.opening, view.policy.evolution
    clears = "a challenger of this line wins its hold-out and becomes the next version"
    if opening is None:
        chosen = "a search chose the parameters of a version of this line, and these never met its hold-out"
        level = f"parameters that won a hold-out, at level {rules.alpha_holdouts:g} over the line's hold-outs"
        return chosen if bot.searched else "no search chose its parameters", level, clears
    shown = "undefined" if opening.paired_t is None else f"{opening.paired_t:.2f}"
    asked = f"paired t over the champion of at least {opening.required_t:.2f} at opening {opening.number} of the line's hold-outs"
    return f"paired t {shown}" if opening.won else f"paired t {shown}, or other lacks of the challenger", asked, clears


def _searched_measures(bot: Bot, _: Evidence, __: View) -> tuple[Measure, ...]:
    opening = bot.opening
    return () if opening is None else (measure("paired_t", opening.paired_t, at_least=opening.required_t),)


class LineRule(NamedTuple):
    """How a gate on a line judges, what it says (measured, required, what clears it), and the numbers that it compares."""

    verdict: Callable[[Bot, Evidence, View], Verdict]
    words: Callable[[Bot, Evidence, View], tuple[str, str, str]]
    measures: Callable[[Bot, Evidence, View], tuple[Measure, ...]]


LINE_RULES: Final = {
    PromotionGate.RECORDED: LineRule(_recorded, _recorded_words, lambda *_: ()),
    PromotionGate.TIMING: LineRule(_timing, _timing_words, _timing_measures),
    PromotionGate.SEARCHED: LineRule(_searched, _searched_words, _searched_measures),
}
if set(LINE_RULES) != OF_LINE:
    raise Broken(f"rules of lines and gates on lines differ: {sorted(set(LINE_RULES) ^ OF_LINE)}")
