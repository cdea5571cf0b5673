"""A class for freqtrade as a strategy of this platform: its own indicators and signals, its stops and targets as exit rules.

Place in the flow: a user's file → **freqtrade** → `strategy.Strategy`, in the process of its own that runs somebody's code. freqtrade is
the user's, imported when a file needs it; what a runner announces and fills is the platform's.

Entries are events there: after a stop nothing is entered until a later close signals it. So a plan says what a flat account wants, and
which side stays where it is held (`Plan.stays`).

Source: docs/own-bots.md, "From freqtrade".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Final

import numpy as np
from typing_extensions import override

from autonomy.adapters.freqtrade_source import CALLBACKS, DEFAULTS, NotMapped, refused_values
from autonomy.strategy import Bars, BoolArray, Choice, Float, Int, Parameter, Plan, Strategy
from autonomy.timeframes import MS

SIGNALS: Final = ("enter_long", "exit_long", "enter_short", "exit_short")
REASONS: Final = {0: "no signal", 1: "enter_long", 2: "exit_long", 3: "enter_short", 4: "exit_short", 5: "signals that exclude each other"}
MAX_WORDS: Final = 20
OWN_CANDLES: Final = ("", "spot", "futures")


@dataclass(frozen=True, slots=True)
class Exits:
    """What hangs on a fill, by the names of `Strategy`."""

    stop_loss: float
    take_profit_after: Mapping[float, float]
    trailing: float | None
    trailing_offset: float


def exits_of(values: Mapping[str, Any]) -> Exits:
    """Exit rules of a class's values.

    Args:
        values: by the names of `DEFAULTS`; what is left out has its default.

    Raises:
        NotMapped: they ask for something else; says what.
    """
    for name, words in refused_values(values):
        raise NotMapped(f"{name} is not mapped: {words}")
    said = {**DEFAULTS, **values}
    if said["stoploss"] is None:
        raise NotMapped("stoploss is missing")
    stop = abs(float(said["stoploss"]))
    positive, has_offset = said["trailing_stop_positive"], bool(said["trailing_only_offset_is_reached"])
    return Exits(
        stop_loss=stop,
        take_profit_after={float(minutes): float(gain) for minutes, gain in dict(said["minimal_roi"] or {}).items()},
        trailing=(stop if positive is None else float(positive)) if said["trailing_stop"] else None,
        trailing_offset=float(said["trailing_stop_positive_offset"] or 0.0) if said["trailing_stop"] and has_offset else 0.0,
    )


def plan_of(signals: Mapping[str, BoolArray], *, can_short: bool, use_exit_signal: bool, startup: int) -> Plan:
    """What is wanted after each close.

    Args:
        signals: bool (n) by the names of `SIGNALS`.
        can_short: whether the class trades both sides; else its short signals do not count.
        use_exit_signal: whether exit signals close a position.
        startup: bars at the beginning whose signals do not count.
    """
    enter_long, exit_long, enter_short, exit_short = (signals[name].copy() for name in SIGNALS)
    if not can_short:
        enter_short[:] = exit_short[:] = False
    for column in (enter_long, exit_long, enter_short, exit_short):
        column[:startup] = False
    long, short = enter_long & ~exit_long & ~enter_short, enter_short & ~exit_short & ~enter_long
    leaves_long, leaves_short = exit_long & ~enter_long & use_exit_signal, exit_short & ~enter_short & use_exit_signal
    spoken = enter_long | exit_long | enter_short | exit_short
    return Plan(
        exposure=long.astype(float) - short.astype(float),
        why=np.select([long, short, leaves_long, leaves_short, spoken], [1, 3, 2, 4, 5], 0),
        stays=np.where(leaves_long, 0, 1) + np.where(leaves_short, 0, 2),
    )


def parameter_of(name: str, theirs: Any) -> Parameter | None:  # noqa: ANN401 (a parameter of freqtrade, which is not typed here)
    """A parameter of freqtrade as one of ours; None where its class says that it is not to be varied.

    Raises:
        NotMapped: its values are neither numbers nor a few words.
    """
    if not theirs.optimize:
        return None
    space = f"of the space {theirs.space}" if theirs.space else ""
    match type(theirs).__name__:
        case "IntParameter":
            return Int(int(theirs.value), int(theirs.low), int(theirs.high), "", space)
        case "DecimalParameter" | "RealParameter":
            return Float(float(theirs.value), float(theirs.low), float(theirs.high), "", space)
        case "BooleanParameter" | "CategoricalParameter":
            words = tuple(word_of(value) for value in theirs.opt_range)
            if len(words) > MAX_WORDS or len(set(words)) != len(words) or not all(0 < len(word) <= 60 for word in words):
                raise NotMapped(f"{name} is not mapped: up to {MAX_WORDS} different words of up to 60 letters are")
            return Choice(word_of(theirs.value), words, space)
        case kind:
            raise NotMapped(f"{name} is not mapped: {kind}")


def word_of(value: object) -> str:
    """A category as a word."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def set_value(theirs: Any, value: float | str) -> None:  # noqa: ANN401 (as above)
    """Give a parameter of freqtrade a checked value of ours."""
    theirs.value = next(each for each in theirs.opt_range if word_of(each) == value) if isinstance(value, str) else value


class OwnPair:
    """What a strategy may ask of its data provider: bars of the bot's own pair, in its timeframe and in higher ones.

    Args:
        bars: those that it may see.
    """

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def get_pair_dataframe(self, pair: str, timeframe: str | None = None, candle_type: object = "") -> Any:  # noqa: ANN401 (a data frame)
        """Bars that have ended, as freqtrade hands them out.

        Raises:
            NotMapped: of another pair, a lower timeframe, or another kind than trades.
        """
        bars = self._bars
        if pair != bars.symbol:
            raise NotMapped(f"informative pair {pair} is not mapped: {bars.symbol} in a higher timeframe is")
        kind = str(getattr(candle_type, "value", candle_type) or "")
        if kind not in OWN_CANDLES:
            raise NotMapped(f"candle_type {kind} is not mapped: bars of trades are")
        wanted = timeframe or bars.timeframe
        if wanted == bars.timeframe:
            return frame_of(bars)
        if wanted not in MS or MS[wanted] < MS[bars.timeframe]:
            longer = ", ".join(length for length, ms in MS.items() if ms >= MS[bars.timeframe])
            raise NotMapped(f"informative timeframe {wanted} is not mapped: {longer} are")
        higher = bars.at(wanted)
        return frame_of(higher.bars, int(higher.known[-1]) + 1 if len(bars) else 0)

    def historic_ohlcv(self, pair: str, timeframe: str, candle_type: object = "") -> Any:  # noqa: ANN401 (a data frame)
        """See `get_pair_dataframe`."""
        return self.get_pair_dataframe(pair, timeframe, candle_type)

    def ohlcv(self, pair: str, timeframe: str | None = None, copy: bool = True, candle_type: object = "") -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 (freqtrade's own signature)
        """See `get_pair_dataframe`."""
        return self.get_pair_dataframe(pair, timeframe, candle_type)

    def current_whitelist(self) -> list[str]:
        """The bot's own pair."""
        return [self._bars.symbol]

    @property
    def available_pairs(self) -> list[tuple[str, str]]:
        """The bot's own pair in its timeframe."""
        return [(self._bars.symbol, self._bars.timeframe)]

    @property
    def runmode(self) -> Any:  # noqa: ANN401 (an enumeration of freqtrade)
        """As of a backtest: what is decided is the same in each."""
        from freqtrade.enums import RunMode

        return RunMode.BACKTEST

    def market(self, pair: str) -> dict[str, str]:
        """The two halves of the pair's name."""
        base, quote = halves_of(pair)
        return {"symbol": pair, "base": base, "quote": quote}

    def send_msg(self, message: str, *, always_send: bool = False) -> None:
        """Nobody is sent anything."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever is asked for)
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotMapped(f"dp.{name} is not mapped: bars of the bot's own pair are")


def halves_of(pair: str) -> tuple[str, str]:
    """What is traded, and in what it is paid: BTC/USDT:USDT is BTC and USDT."""
    base, _, rest = pair.partition("/")
    return base, rest.partition(":")[0]


def frame_of(bars: Bars, count: int | None = None) -> Any:  # noqa: ANN401 (a data frame)
    """The first bars as freqtrade has them: date, open, high, low, close, volume."""
    import pandas

    end = len(bars) if count is None else count
    dates = pandas.to_datetime(bars.time[:end], unit="ms", utc=True).as_unit("ms")
    columns = {name: getattr(bars, name)[:end].copy() for name in ("open", "high", "low", "close", "volume")}
    return pandas.DataFrame({"date": dates, **columns})


class Adapted(Strategy):
    """A class of freqtrade, decided by its own code.

    Attributes:
        theirs: the class.
    """

    theirs: ClassVar[Any] = None

    @override
    def decide(self, bars: Bars) -> Plan:
        """See `Strategy.decide`.

        Raises:
            NotMapped: the bars, or what it asks for, are not what is mapped.
        """
        cls = type(self).theirs
        if bars.timeframe != cls.timeframe:
            raise NotMapped(f"timeframe: {cls.timeframe}, as the strategy says, not {bars.timeframe}")
        theirs = cls(config_of(cls, bars.symbol))
        theirs.dp = OwnPair(bars)
        theirs.ft_bot_start()
        for name, value in vars(self).items():
            set_value(getattr(theirs, name), value)
        for pair, *_ in theirs.informative_pairs():
            if pair != bars.symbol:
                raise NotMapped(f"informative pair {pair} is not mapped: {bars.symbol} in a higher timeframe is")
        about = {"pair": bars.symbol}
        frame = theirs.ft_advise_signals(theirs.advise_indicators(frame_of(bars), about), about)
        if len(frame) != len(bars):
            raise NotMapped(f"its data frame has {len(frame)} rows for {len(bars)} bars")
        none = np.zeros(len(bars), dtype=bool)
        signals = {name: (frame[name] == 1).to_numpy(dtype=bool) if name in frame else none for name in SIGNALS}
        return plan_of(
            signals, can_short=bool(theirs.can_short), use_exit_signal=bool(getattr(theirs, "use_exit_signal", True)),
            startup=int(theirs.startup_candle_count),
        )  # fmt: skip


def adapted(module: ModuleType, into: str) -> dict[str, type[Strategy]]:
    """The classes for freqtrade that a module defines, by name, as strategies of the module `into`.

    Raises:
        NotMapped: one of them asks for what is not mapped, or there is none.
    """
    from freqtrade.strategy import IStrategy

    found = {
        name: _adapted(value, into) for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, IStrategy) and value is not IStrategy and value.__module__ == module.__name__
    }  # fmt: skip
    if not found:
        raise NotMapped("it imports freqtrade and defines no IStrategy")
    return found


def _adapted(cls: Any, into: str) -> type[Strategy]:  # noqa: ANN401 (a class of freqtrade)
    from freqtrade.strategy import IStrategy

    for name, words in CALLBACKS.items():
        theirs = getattr(cls, name, None)
        if theirs is not None and theirs is not getattr(IStrategy, name, None) and name != "protections":
            code = getattr(theirs, "__code__", None)
            line = f" (line {code.co_firstlineno})" if code is not None else ""
            raise NotMapped(f"{cls.__name__}.{name}{line} is not mapped: {words}")
    sample = cls(config_of(cls, ""))
    sample.ft_load_hyper_params()
    exits = exits_of({name: getattr(sample, name) for name in DEFAULTS if hasattr(sample, name)})
    parameters: dict[str, Parameter] = {}
    for name, theirs in sample.enumerate_parameters():
        if hasattr(Strategy, name):
            raise NotMapped(f"{name} is not mapped: a parameter must not be called so")
        if (own := parameter_of(name, theirs)) is not None:
            parameters[name] = own
    says = next(iter((cls.__doc__ or "").strip().splitlines()), "") if cls.__doc__ != IStrategy.__doc__ else ""
    named = {
        "name": name_of(cls.__name__), "title": cls.__name__, "theirs": cls, "reasons": REASONS, "reentry": "at_once",
        "warm_up": [int(sample.startup_candle_count)], "stop_loss": exits.stop_loss, "take_profit_after": exits.take_profit_after,
        "trailing": exits.trailing, "trailing_offset": exits.trailing_offset, "__doc__": says or f"{cls.__name__}, written for freqtrade.",
        "__module__": into, **parameters,
    }  # fmt: skip
    return type(cls.__name__, (Adapted,), named)


def name_of(class_name: str) -> str:
    """A class's name as a strategy's: EmaCross is ema-cross."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+", "-", class_name)
    return re.sub(r"-+", "-", words).strip("-").lower()


def config_of(cls: Any, symbol: str) -> dict[str, Any]:  # noqa: ANN401 (a class of freqtrade)
    """What of a configuration a strategy may read."""
    from freqtrade.enums import CandleType, RunMode, TradingMode

    both = bool(getattr(cls, "can_short", False))
    candles, mode = (CandleType.FUTURES, TradingMode.FUTURES) if both else (CandleType.SPOT, TradingMode.SPOT)
    return {
        "runmode": RunMode.BACKTEST, "dry_run": True, "timeframe": getattr(cls, "timeframe", ""), "stake_currency": halves_of(symbol)[1],
        "candle_type_def": candles, "trading_mode": mode, "exchange": {"name": "", "pair_whitelist": [symbol]},
    }  # fmt: skip
