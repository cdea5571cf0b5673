"""What a strategy wants and under which terms it is traded: plans, exit rules, terms, and what can become of a bar.

Role: the values that cross the seam between deciding and filling. A `Plan` says for each close what is wanted from the next bar on;
`ExitRules` say what hangs on a fill, which no plan can know; `Terms` say what trading the symbol costs and allows. All are checked when
they are made, so that the compiled functions behind them need not ask.

Source: docs/fills.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, unique
from typing import Final, Literal

import numpy as np

from autonomy.errors import BadInput
from job_runner.engine.compiled import FloatArray, SmallIntArray

BPS: Final = 10_000.0
MAX_BPS: Final = 1_000.0
MAX_LEVERAGE: Final = 125.0
MAX_STEPS: Final = 32
"""Rows of `take_profit_after`."""
NO_PRICE: Final = math.nan
STAYS: Final = (0, 1, 2, 3)
"""Sides that a decision leaves alone where they are held: none, long, short, both."""


@unique
class Outcome(IntEnum):
    """What became of a bar: exactly one each, so the counts add up to the bars. The numbers are on the log and never change.

    What each means says `autonomy.bar_outcomes`, in the same order; evidence does not hang on those words.
    """

    WARMING_UP = 0
    NO_SIGNAL = 1
    SIGNAL = 2
    HELD = 3
    ENTERED = 4
    EXITED = 5
    STOPPED = 6
    TARGET = 7
    REBALANCED = 8
    BELOW_MINIMUM = 9
    BEYOND_STOP = 10
    LIMIT_NOT_REACHED = 11
    STOPPED_OUT = 12
    RUINED = 13


@dataclass(frozen=True, slots=True)
class Decision:
    """What is wanted after one close, from the next bar on.

    Args:
        exposure: share of the equity, negative for short, 0 for flat.
        stop: price in USD; NaN for none. Holds for the bars after this close until the next decision.
        take_profit: likewise.
        limit: price in USD of an order to enter or add, for the next bar only; NaN for at the market.
        why: number of the strategy's own reason; None where it gives none.
        stays: sides that stay as they are if they are held, whatever the exposure: 0 none, 1 long, 2 short, 3 both.
    """

    exposure: float = 0.0
    stop: float = NO_PRICE
    take_profit: float = NO_PRICE
    limit: float = NO_PRICE
    why: int | None = None
    stays: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is wanted after each of n closes, from the next bar on.

    Args:
        exposure: float64 (n), share of the equity, negative for short, within the terms' leverage.
        stop: float64 (n), price in USD, NaN for none; in force from the next bar until the next close.
        take_profit: float64 (n), likewise.
        limit: float64 (n), price in USD of an order to enter or add, for the next bar only; NaN for at the market.
        why: int64 (n), numbers of the strategy's own reasons.
        warm_up: bars at the beginning that cannot want anything.
        stays: float64 (n) of 0 to 3, as in `Decision`: entries are events then, and a position is left by another row, or by its rules.

    Raises:
        BadInput: an array of another shape or kind, an exposure that is no number, a price that is not above 0; names field and bar.
    """

    exposure: FloatArray
    stop: FloatArray | None = None
    take_profit: FloatArray | None = None
    limit: FloatArray | None = None
    why: "np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None" = None
    warm_up: int = 0
    stays: FloatArray | None = None

    def __post_init__(self) -> None:
        bars = len(self.exposure) if self.exposure.ndim == 1 else -1
        _refuse_unless("plan.exposure", self.exposure, bars, np.dtype(np.float64))
        _refuse_where("plan.exposure", ~np.isfinite(self.exposure), self.exposure, "finite numbers, a share of the equity")
        for name, prices in (("stop", self.stop), ("take_profit", self.take_profit), ("limit", self.limit)):
            if prices is not None:
                _refuse_unless(f"plan.{name}", prices, bars, np.dtype(np.float64))
                bad = ~np.isnan(prices) & ~((prices > 0.0) & np.isfinite(prices))
                _refuse_where(f"plan.{name}", bad, prices, "prices above 0, or NaN for none")
        if self.why is not None:
            _refuse_unless("plan.why", self.why, bars, np.dtype(np.int64))
        if self.stays is not None:
            _refuse_unless("plan.stays", self.stays, bars, np.dtype(np.float64))
            _refuse_where("plan.stays", ~np.isin(self.stays, STAYS), self.stays, "0 to 3, the sides that stay")
        if not self.warm_up >= 0:
            raise BadInput("plan.warm_up", "a number of bars, from 0", self.warm_up)

    def __len__(self) -> int:
        return len(self.exposure)

    @classmethod
    def of_targets(cls, targets: SmallIntArray, warm_up: int = 0) -> "Plan":
        """The plan of plain decisions: int8 (n), -1, 0 or 1."""
        return cls(targets.astype(np.float64), warm_up=warm_up)

    def at(self, bar: int) -> Decision:
        """What is wanted after one close."""
        stop, take_profit, limit = (NO_PRICE if row is None else float(row[bar]) for row in (self.stop, self.take_profit, self.limit))
        why, stays = None if self.why is None else int(self.why[bar]), 0 if self.stays is None else int(self.stays[bar])
        return Decision(float(self.exposure[bar]), stop, take_profit, limit, why, stays)


ReEntry = Literal["after_flat", "at_once"] | int


@dataclass(frozen=True, slots=True)
class ExitRules:
    """What hangs on a fill: a strategy's own words that the engine keeps, since a plan does not know its fills.

    Args:
        stop_loss: fraction of the mean entry price; None for none.
        take_profit_after: minutes since the entry → fraction of the mean entry price; the row with the most minutes passed counts.
        trailing: fraction below the highest high (above the lowest low) of the bars before, counted from the entry; None for none.
        trailing_offset: the trailing stop begins only when the position was this far in gain (fraction).
        reentry: on the side of a stop or target: `after_flat` when a later close wanted flat or the other side, `at_once` at the next
            open, or so many whole bars later.
        rebalance: also trade when the exposure at the open is further than this from the wanted one; None for only when what is
            wanted changes.

    Raises:
        BadInput: out of limits; names the field.
    """

    stop_loss: float | None = None
    take_profit_after: Mapping[float, float] = field(default_factory=dict)
    trailing: float | None = None
    trailing_offset: float = 0.0
    reentry: ReEntry = "after_flat"
    rebalance: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("stop_loss", self.stop_loss), ("trailing", self.trailing)):
            if value is not None and not 0.0 < value < 1.0:
                raise BadInput(f"rules.{name}", "a fraction between 0 and 1", value)
        if not 0.0 <= self.trailing_offset < 100.0:
            raise BadInput("rules.trailing_offset", "a fraction from 0, below 100", self.trailing_offset)
        if len(self.take_profit_after) > MAX_STEPS:
            raise BadInput("rules.take_profit_after", f"at most {MAX_STEPS} rows", len(self.take_profit_after))
        for minutes, fraction in self.take_profit_after.items():
            if not (0.0 <= minutes < math.inf and -1.0 < fraction < 1_000.0):
                raise BadInput("rules.take_profit_after", "minutes from 0 → a fraction above -1", {minutes: fraction})
        if isinstance(self.reentry, bool) or not (self.reentry in ("after_flat", "at_once") or _is_count(self.reentry)):
            raise BadInput("rules.reentry", "after_flat, at_once, or a number of bars from 1", self.reentry)
        if self.rebalance is not None and not 0.0 <= self.rebalance < MAX_LEVERAGE:
            raise BadInput("rules.rebalance", f"a share of the equity from 0, below {MAX_LEVERAGE:g}", self.rebalance)


@dataclass(frozen=True, slots=True)
class Terms:
    """What trading a symbol at a venue costs and allows; basis points are of the traded value, per side.

    Args:
        taker_bps: fee of orders at the market and of stops.
        maker_bps: fee of limits and targets; negative for a rebate. None: as `taker_bps`.
        slippage_bps: how much worse than the price a taker is filled.
        funding_bps_per_day: what a long pays, and a short gets, of the position's value.
        borrow_bps_per_day: what a short pays of the position's value.
        tick: smallest step of a price in USD; 0 for none.
        lot: smallest step of units; 0 for none.
        minimum_usd: smallest value of an order, USD.
        leverage: largest exposure.

    Raises:
        BadInput: out of limits; names the field.
    """

    taker_bps: float = 0.0
    maker_bps: float | None = None
    slippage_bps: float = 0.0
    funding_bps_per_day: float = 0.0
    borrow_bps_per_day: float = 0.0
    tick: float = 0.0
    lot: float = 0.0
    minimum_usd: float = 0.0
    leverage: float = 1.0

    def __post_init__(self) -> None:
        least = {"maker_bps": -MAX_BPS / 10.0, "funding_bps_per_day": -MAX_BPS}
        rates = ("taker_bps", "maker_bps", "slippage_bps", "funding_bps_per_day", "borrow_bps_per_day")
        for name in rates:
            value = getattr(self, name)
            if value is not None and not least.get(name, 0.0) <= value <= MAX_BPS:
                raise BadInput(f"terms.{name}", f"{least.get(name, 0.0):g} to {MAX_BPS:g} basis points", value)
        for name in ("tick", "lot", "minimum_usd"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise BadInput(f"terms.{name}", "a finite number from 0", getattr(self, name))
        if not 0.0 < self.leverage <= MAX_LEVERAGE:
            raise BadInput("terms.leverage", f"above 0, at most {MAX_LEVERAGE:g}", self.leverage)


@dataclass(frozen=True, slots=True)
class Switches:
    """Other engines' habits, for comparisons and adapters only; no verdict is ever made with one of these changed.

    Args:
        touch: limits and targets fill when the price is touched; ours must be traded through.
        gap_stop: `open`: a bar that opens beyond the stop fills at the open; `whole_bar`: only when the whole bar is beyond it, else at
            the stop.
        gap_target: `open`: a bar that opens beyond the target fills at the open, before its stop is looked at; `open_after_stop`: the
            stop is looked at first; `price`: at the target, `clamp`: at the price of the bar nearest to it, both after the stop; with
            `clamp` a later row of `take_profit_after` fills at the open that it comes into force at, where that is beyond it.
        target_net_of_fees: `take_profit_after` is the gain after both fees.
        trail_own_bar: the bar's own high (low) raises the trailing stop before its low (high) is looked at again, and a target goes
            before a stop that has trailed.
        fee_reserved: the fee is paid out of the exposure; else on top of it.
        stop_on_entry_bar: stops and targets count in the bar of the entry.
        open_before_stop: an exit at the open goes before a stop inside the bar.
        reentry: replaces the strategy's own; None for that.
        end: `mark`: a position left at the end is marked; `last_open`, `last_close`: it is closed there.

    Raises:
        BadInput: an unknown word; names the field.
    """

    touch: bool = False
    gap_stop: Literal["open", "whole_bar"] = "open"
    gap_target: Literal["open", "open_after_stop", "price", "clamp"] = "open"
    target_net_of_fees: bool = False
    trail_own_bar: bool = False
    fee_reserved: bool = True
    stop_on_entry_bar: bool = True
    open_before_stop: bool = True
    reentry: ReEntry | None = None
    end: Literal["mark", "last_open", "last_close"] = "mark"

    def __post_init__(self) -> None:
        known = {"gap_stop": GAP_STOPS, "gap_target": GAP_TARGETS, "end": ENDS}
        for name, words in known.items():
            if getattr(self, name) not in words:
                raise BadInput(f"switches.{name}", " | ".join(words), getattr(self, name))


GAP_STOPS: Final = ("open", "whole_bar")
GAP_TARGETS: Final = ("open", "open_after_stop", "price", "clamp")
ENDS: Final = ("mark", "last_open", "last_close")
OURS: Final = Switches()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def _refuse_unless(name: str, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", bars: int, kind: "np.dtype[np.generic]") -> None:
    if array.shape != (bars,) or array.dtype != kind or not array.flags.c_contiguous:
        raise BadInput(name, f"contiguous {kind} of shape ({max(bars, 0)},)", f"{array.dtype} {array.shape}")


def _refuse_where(name: str, bad: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]", array: FloatArray, limit: str) -> None:
    if bad.any():
        bar = int(bad.argmax())
        raise BadInput(f"{name}[{bar}]", limit, float(array[bar]))
