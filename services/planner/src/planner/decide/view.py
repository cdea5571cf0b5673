"""What all bots of one tick are decided against: policy, time, and what the live runners offer.

Place in the flow: built once per tick from state, read by gates and decide. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from autonomy.agreement import ENGINE
from autonomy.bar_times import BarTimes, unpack_times
from autonomy.errors import BadInput
from autonomy.events import Costs, StrategyOffered
from autonomy.fleet import fingerprint_of
from autonomy.gates import PromotionGate, Verdict
from autonomy.market_clock import market_ms, wall_ms_of
from autonomy.policy import Policy
from autonomy.strategies import Value, check_parameters
from autonomy.timeframes import MS, bars_name
from autonomy.values import JobStatus, JobType, Stage
from planner.fold.entities import Bot
from planner.fold.offers import RunnerProcess, StrategyOffer, SymbolOffer, offer_in
from planner.fold.state import Kind, State


class Data(NamedTuple):
    """A symbol's bars of one timeframe as seen at one instant of the market: `bars` of them are shown, `times` are those of all."""

    offer: SymbolOffer
    bars: int
    times: BarTimes

    @property
    def last_ms(self) -> int | None:
        """The start of the last bar that is shown."""
        return self.times.at(self.bars - 1) if self.bars else None


@dataclass(slots=True)
class View:
    """One tick's surroundings.

    Attributes:
        market_ms: up to which instant the market has been shown.
        runners: live processes that are not stopping.
        data: by symbol and timeframe, from the live offers, or from the last one known.
        strategies: by name, from the live offers, or from the last one known.
        faults: by name what live sources of bars hold and cannot use, with the reason.
        disagreements: strategies and symbols that live processes announce differently.
        trading: bots whose runner was claimed, beats and is not about to be stopped.
        walls: what `wall_ms` answered already.
        judged: verdicts of the promotion gates by bot id, each with the very bot that they are about.
        asked: what each gate out of a stage requires and what clears it, in words.
        context: all that a bot is judged against besides time: with the same context and bot only time can change a wish.
    """

    policy: Policy
    now_ms: int
    market_ms: int
    epoch_ms: int
    runners: tuple[RunnerProcess, ...]
    engine_version: str
    job_types: frozenset[JobType]
    data: dict[tuple[str, str], Data]
    strategies: dict[str, StrategyOffer]
    disagreements: frozenset[str]
    context: object
    faults: dict[str, str] = field(default_factory=dict)
    trading: frozenset[str] = frozenset()
    fingerprints: dict[Kind, str] = field(default_factory=dict)
    walls: dict[int, int | None] = field(default_factory=dict)
    judged: dict[str, tuple[Bot, tuple[Verdict, ...]]] = field(default_factory=dict)
    asked: dict[tuple[Stage, PromotionGate], tuple[str, str]] = field(default_factory=dict)

    def fingerprint(self, bot: Bot) -> str:
        """The fingerprint that evidence about this bot needs now; empty while nothing is known about its code or data."""
        key = (bot.strategy, bot.parameters, bot.symbol, bot.timeframe)
        known = self.fingerprints.get(key)
        if known is None:
            known = self._derive(bot)
            if bot.strategy in self.strategies and self.data_of(bot) is not None:
                self.fingerprints[key] = known
        return known

    def _derive(self, bot: Bot) -> str:
        offer, data = self.strategies.get(bot.strategy), self.data_of(bot)
        if offer is None or data is None:
            return ""  # no evidence fits what nobody knows
        parameters = whole_parameters(offer.text, bot.parameters)
        if isinstance(parameters, BadInput):
            return ""  # nor what nobody would run
        research = self.policy.research
        return fingerprint_of(
            strategy=bot.strategy, strategy_version=offer.version, code_hash=offer.code_hash, parameters=parameters,
            symbol=bot.symbol, timeframe=bot.timeframe, source_id=data.offer.source_id,
            engine_version=self.engine_version, costs=self.costs_of(bot), initial_cash_usd=research.initial_cash_usd,
        )  # fmt: skip

    def parameters(self, bot: Bot) -> dict[str, Value]:
        """The bot's parameters as they are ordered: with what its document leaves out, where its strategy is known."""
        offer = self.strategies.get(bot.strategy)
        whole = None if offer is None else whole_parameters(offer.text, bot.parameters)
        return dict(bot.parameters) if whole is None or isinstance(whole, BadInput) else dict(whole)

    def data_of(self, bot: Bot) -> Data | None:
        """The bars that a bot looks at, if any are known."""
        return self.data.get((bot.symbol, bot.timeframe))

    def costs_of(self, bot: Bot) -> Costs:
        """What trading the bot's symbol costs and allows: as its bars came with it, else the policy's."""
        data = self.data_of(bot)
        return costs_in(data.offer.costs) if data is not None and data.offer.costs else self.policy.research.costs

    def is_live(self, bot: Bot) -> bool:
        """Whether the bot's bars are those of now: they come as they end, and nobody can say when the next one is announced."""
        data = self.data_of(bot)
        return self.policy.market.mode == "LIVE" or (data is not None and data.offer.live)

    def disagreements_about(self, bot: Bot) -> frozenset[str]:
        """What of a bot's code, bars and engine live processes announce differently."""
        if not self.disagreements:
            return self.disagreements  # for every bot of nearly every tick
        return self.disagreements & {bot.strategy, bars_name(bot.symbol, bot.timeframe), ENGINE}

    def shown_ms(self, bot: Bot, number: int) -> int | None:
        """When the market shows a bar of a bot's by its 0-based number, which is when it has ended; None when it never does."""
        data = self.data_of(bot)
        if data is None or number >= len(data.times):
            return None
        end_ms = data.times.at(number) + MS[bot.timeframe]
        if data.offer.live:
            return end_ms
        # Worked out once per instant, since many bots ask for the same ones.
        try:
            return self.walls[end_ms]
        except KeyError:
            found = self.walls[end_ms] = wall_ms_of(self.policy.market, self.epoch_ms, end_ms)
            return found


def offered_strategies(state: State) -> dict[str, StrategyOffered]:
    """By name, the strategies that live runners offer, or the last one that did; what commands are checked against."""
    return {name: offer.read() for name, offer in _strategies(_live(state) or _last_offer(state)).items()}


def _live(state: State) -> tuple[RunnerProcess, ...]:
    """Processes that said what they can do and are not stopping, by id."""
    known = (state.runners.rows[key] for key in sorted(state.runners.rows))
    return tuple(process for process in known if not process.stopping and process.engine_version)


def _last_offer(state: State) -> tuple[RunnerProcess, ...]:
    last = state.single.last_offer
    return (last,) if last else ()


def _strategies(offers: Iterable[RunnerProcess]) -> dict[str, StrategyOffer]:
    """The first offer of each name, in the order of the processes."""
    found: dict[str, StrategyOffer] = {}
    for process in offers:
        for strategy in process.strategies:
            found.setdefault(strategy.name, strategy)
    return found


@lru_cache(maxsize=4_096)
def costs_in(announced: str) -> Costs:
    """The costs of a symbol as its offer holds them."""
    return Costs.model_validate_json(announced)


@lru_cache(maxsize=65_536)
def whole_parameters(offer: str, parameters: tuple[tuple[str, Value], ...]) -> Mapping[str, Value] | BadInput:
    """A bot's parameters with what its document leaves out, or why the offer refuses them; the same bots come every tick."""
    try:
        return check_parameters(offer_in(offer), dict(parameters))
    except BadInput as refusal:
        return refusal


def build_view(state: State, now_ms: int) -> View:
    """Look at the state once for all bots."""
    epoch_ms = state.single.market_epoch_ms or now_ms
    shown_ms = market_ms(state.policy.market, epoch_ms, now_ms)
    live = _live(state)
    offers = live or _last_offer(state)
    data: dict[tuple[str, str], Data] = {}
    strategies = _strategies(offers)
    disagreements = {ENGINE} if len({process.engine_version for process in offers}) > 1 else set()
    for process in offers:
        for strategy in process.strategies:
            first = strategies[strategy.name]
            if (first.version, first.code_hash) != (strategy.version, strategy.code_hash):
                disagreements.add(strategy.name)
        for offer in process.symbols:
            key = (offer.symbol, offer.timeframe)
            known = data.get(key)
            if known is None:
                times = unpack_times(offer.first_ms, offer.timeframe, offer.packed_times)
                data[key] = Data(offer, times.count_until((now_ms if offer.live else shown_ms) - MS[offer.timeframe]), times)
            elif (known.offer.content, known.offer.source_id, known.offer.costs) != (offer.content, offer.source_id, offer.costs):
                disagreements.add(bars_name(*key))
    offered = tuple((key, seen.offer.content, seen.offer.packed_times, seen.offer.first_ms) for key, seen in data.items())
    sources = tuple((key, seen.offer.source_id, seen.offer.costs) for key, seen in data.items())
    job_types = frozenset(kind for process in live for kind in process.job_types)
    engine = offers[0].engine_version if offers else ""
    research = state.policy.research
    faults = {name: why for process in reversed(offers) for name, why in process.faults}
    context = (tuple(strategies.items()), sources, engine, research.costs, research.initial_cash_usd)
    return View(
        policy=state.policy, now_ms=now_ms, market_ms=shown_ms, epoch_ms=epoch_ms, runners=live,
        engine_version=engine,
        job_types=job_types,
        data=data, faults=faults, strategies=strategies, disagreements=frozenset(disagreements),
        context=(context, offered, bool(live), job_types, frozenset(disagreements), epoch_ms),
        trading=_trading(state),
        fingerprints=state.fingerprints.of(context),
    )  # fmt: skip


def _trading(state: State) -> frozenset[str]:
    lease_ms = round(state.policy.leases.lease_s * 1000)
    return frozenset([
        live.job.bot_id for live in state.jobs.rows.values()
        if live.job.job_type is JobType.RUNNER_START and live.job.status is JobStatus.RUNNING
        and live.cancel is None and live.silent_ms < lease_ms
    ])  # fmt: skip
