"""The rules of docs/fills.md once more, as a plain loop: no compiler, no rows of numbers, one statement a rule.

Written from the page, not from the engine; `tests/unit/job_runner/engine/test_plan_fills.py` holds the engine against it.
"""

import math
from dataclasses import dataclass, field

from job_runner.engine.plans import ExitRules, Plan, Switches, Terms

TOLERANCE = 1e-9
FLOATS = 4.5e-16


@dataclass
class Position:
    """What is held: signed units and what they came to."""

    units: float
    mean: float
    bar: int
    time: int
    best: float
    asked: float
    bought: float
    bought_value: float
    fees: float = 0.0
    sold: float = 0.0
    sold_value: float = 0.0
    gain: float = 0.0
    funded: float = 0.0

    @property
    def side(self) -> float:
        return math.copysign(1.0, self.units)


@dataclass
class Plain:
    """One account."""

    rules: ExitRules
    terms: Terms
    switches: Switches
    cash: float
    held: Position | None = None
    ruined: bool = False
    closed: float = 0.0
    until: float = 0.0
    fees: float = 0.0
    slipped: float = 0.0
    funding: float = 0.0
    fills: list[tuple[int, float, float, float, str]] = field(default_factory=list)
    trades: list[tuple[int, int, float, float, float, float, float, str]] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)

    # -- prices and sizes ------------------------------------------------------------------------------------------------------

    @property
    def taker(self) -> float:
        return self.terms.taker_bps / 10_000.0

    @property
    def maker(self) -> float:
        return self.taker if self.terms.maker_bps is None else self.terms.maker_bps / 10_000.0

    @property
    def slip(self) -> float:
        return self.terms.slippage_bps / 10_000.0

    @staticmethod
    def on_step(value: float, step: float, how: str) -> float:
        if step == 0.0 or math.isinf(value):
            return value
        per_one = round(1.0 / step)
        whole = per_one > 0 and math.isclose(per_one * step, 1.0, rel_tol=1e-12)
        count = value * per_one if whole else value / step
        slack = TOLERANCE + FLOATS * count
        count = {"up": math.ceil(count - slack), "down": math.floor(count + slack), "near": math.floor(count + 0.5)}[how]
        return count / per_one if whole else count * step

    def stop_at(self, side: float, mean: float, best: float, planned: float) -> float:
        """The nearest stop, on the tick toward the market."""
        levels = [] if math.isnan(planned) else [planned]
        if self.rules.stop_loss is not None:
            levels.append(mean * (1.0 - side * self.rules.stop_loss))
        if self.rules.trailing is not None and (best - self.gained(side, mean, self.rules.trailing_offset)) * side >= (
            -math.inf if self.rules.trailing_offset == 0.0 else 0.0
        ):
            levels.append(best * (1.0 - side * self.rules.trailing))
        if not levels:
            return -side * math.inf
        return self.on_step(max(levels) if side > 0 else min(levels), self.terms.tick, "up" if side > 0 else "down")

    def gained(self, side: float, mean: float, gain: float) -> float:
        if self.switches.target_net_of_fees:
            return mean * (1.0 + side * self.taker) * (1.0 + side * gain) / (1.0 - side * self.taker)
        return mean * (1.0 + side * gain)

    def target_at(self, side: float, mean: float, minutes: float, planned: float) -> float:
        """The nearest target, on the tick away from the market."""
        levels = [] if math.isnan(planned) else [planned]
        due = [after for after in self.rules.take_profit_after if after <= minutes]
        if due:
            levels.append(self.gained(side, mean, self.rules.take_profit_after[max(due)]))
        if not levels:
            return side * math.inf
        nearest = min(levels) if side > 0 else max(levels)
        return nearest if self.switches.target_net_of_fees else self.on_step(nearest, self.terms.tick, "up" if side > 0 else "down")

    # -- money -----------------------------------------------------------------------------------------------------------------

    def pay(self, bar: int, units: float, price: float, level: float, slip: float, fee: float, why: str) -> float:
        paid = abs(units * price) * fee
        self.cash -= units * price + paid
        self.fees += paid
        self.slipped += abs(units) * level * slip
        self.fills.append((bar, units, price, paid, why))
        return paid

    def leave(self, bar: int, level: float, slip: float, fee: float, why: str) -> None:
        held = self.held
        assert held is not None
        self.held = None
        price = level * (1.0 - held.side * slip)
        paid = self.pay(bar, -held.units, price, level, slip, fee, why)
        pnl = held.units * (price - held.mean) + held.gain - held.fees - paid - held.funded
        mean_in = held.bought_value / held.bought
        mean_out = (held.sold_value + held.units * price) / held.bought
        self.trades.append((held.bar, bar, held.bought, mean_in, mean_out, held.fees + paid, pnl, why))
        if self.ruined or self.cash <= 0.0:
            self.cash, self.ruined = 0.0, True

    def by_itself(self, bar: int, level: float, slip: float, fee: float, why: str) -> None:
        assert self.held is not None
        side = self.held.side
        self.leave(bar, level, slip, fee, why)
        reentry = self.rules.reentry if self.switches.reentry is None else self.switches.reentry
        if reentry != "at_once":
            self.closed = side
            self.until = math.inf if reentry == "after_flat" else bar + int(reentry)

    # -- one bar ---------------------------------------------------------------------------------------------------------------

    def take(self, bar: int, time: int, before: int, prices: tuple[float, ...], wish: tuple[float, float, float, float]) -> None:
        """One bar, with the wish of the close before: exposure, stop, target, limit."""
        open_, _, _, close = prices
        made, refusal = len(self.fills), ""
        wanted = 0.0 if self.ruined else wish[0]
        if self.held:
            days = (time - before) / 86_400_000
            value = self.held.units * open_
            due = value * (self.terms.funding_bps_per_day / 10_000.0 * days) + max(-value, 0.0) * (
                self.terms.borrow_bps_per_day / 10_000.0 * days
            )
            self.cash -= due
            self.funding += due
            self.held.funded += due
        if self.closed:
            is_over = wanted * self.closed <= 0.0 if math.isinf(self.until) else bar > self.until
            if is_over:
                self.closed = 0.0
            elif wanted * self.closed > 0.0:
                wanted, refusal = 0.0, "STOPPED_OUT"
        late = False
        went = self.held is not None and not self.switches.open_before_stop and (
            self.gone_at_open(bar, time, prices, wish) or self.gone_inside(bar, time, prices, wish, late=False)
        )  # fmt: skip
        if not went:
            refusal, late = self.order(bar, time, prices, wish, wanted, refusal)
        if self.held:
            spared = self.held.bar == bar and not self.switches.stop_on_entry_bar
            if spared or not self.gone_inside(bar, time, prices, wish, late=late):
                self.trail(bar, prices, wish, late=late, spared=spared)
        if not self.cash + (self.held.units * close if self.held else 0.0) > 0.0:
            self.ruined = True
        self.equity.append(0.0 if self.ruined else self.cash + (self.held.units * close if self.held else 0.0))
        if len(self.fills) > made:
            self.outcomes.append(self.fills[-1][-1])
        elif refusal:
            self.outcomes.append(refusal)
        else:
            self.outcomes.append("HELD" if self.held else "RUINED" if self.ruined else "")

    def gone_at_open(self, bar: int, time: int, prices: tuple[float, ...], wish: tuple[float, ...]) -> bool:
        held, open_ = self.held, prices[0]
        assert held is not None
        stop = self.stop_at(held.side, held.mean, held.best, wish[1])
        target = self.target_at(held.side, held.mean, (time - held.time) / 60_000, wish[2])
        if self.switches.gap_stop == "open" and (open_ <= stop if held.side > 0 else open_ >= stop):
            self.by_itself(bar, open_, self.slip, self.taker, "STOPPED")
        elif self.switches.gap_target == "open" and (open_ >= target if held.side > 0 else open_ <= target):
            self.by_itself(bar, open_, 0.0, self.maker, "TARGET")
        return self.held is None

    def gone_inside(self, bar: int, time: int, prices: tuple[float, ...], wish: tuple[float, ...], *, late: bool) -> bool:
        held = self.held
        assert held is not None
        open_, high, low, _ = prices
        side = held.side
        stop = self.stop_at(side, held.mean, held.best, wish[1])
        target = self.target_at(side, held.mean, (time - held.time) / 60_000, wish[2])
        opened = open_ >= target if side > 0 else open_ <= target
        by_open = opened and self.switches.gap_target in ("open", "open_after_stop")
        through = high > target if side > 0 else low < target
        touched = self.switches.touch and (high if side > 0 else low) == target
        gains = not late and (through or touched or by_open)
        fixed = self.stop_at(side, held.mean, side * -math.inf, wish[1])
        trailed = self.switches.trail_own_bar and (stop > fixed if side > 0 else stop < fixed)
        if (low <= stop if side > 0 else high >= stop) and not (gains and trailed):
            beyond = open_ < stop if side > 0 else open_ > stop
            whole = high < stop if side > 0 else low > stop
            at_open = beyond and (self.switches.gap_stop == "open" or whole)
            self.by_itself(bar, open_ if at_open else stop, self.slip, self.taker, "STOPPED")
            return True
        if not gains:
            return False
        level = self.on_step(target, self.terms.tick, "near") if self.switches.target_net_of_fees else target
        minutes = (time - held.time) / 60_000
        begins = opened and minutes > 0 and minutes in self.rules.take_profit_after
        if by_open or (begins and self.switches.gap_target == "clamp"):
            level = open_
        elif self.switches.gap_target == "clamp":
            level = min(max(level, low), high)
        self.by_itself(bar, level, 0.0, self.maker, "TARGET")
        return True

    def trail(self, bar: int, prices: tuple[float, ...], wish: tuple[float, ...], *, late: bool, spared: bool) -> None:
        held = self.held
        assert held is not None
        open_, high, low, close = prices
        if self.rules.trailing is None:
            return
        seen = close if late and held.bar == bar else high if held.side > 0 else low
        held.best = max(held.best, seen) if held.side > 0 else min(held.best, seen)
        if spared or not self.switches.trail_own_bar:
            return
        stop = self.stop_at(held.side, held.mean, held.best, wish[1])
        if low <= stop if held.side > 0 else high >= stop:
            if held.bar == bar:
                worst = open_ * (1.0 + held.side * (self.rules.trailing_offset - self.rules.trailing))
                worst = self.on_step(worst, self.terms.tick, "near")
                stop = max(worst, low) if held.side > 0 else min(worst, high)
            self.by_itself(bar, stop, self.slip, self.taker, "STOPPED")

    def order(
        self, bar: int, time: int, prices: tuple[float, ...], wish: tuple[float, ...], wanted: float, refusal: str
    ) -> tuple[str, bool]:
        """What was refused, if anything, and whether a limit was filled inside the bar."""
        open_ = prices[0]
        if self.held:
            if wanted == 0.0 or math.copysign(1.0, wanted) != self.held.side:
                self.leave(bar, open_, self.slip, self.taker, "EXITED")
                if self.ruined:
                    return refusal, False
            elif self.gone_at_open(bar, time, prices, wish):
                return refusal, False
            else:
                value = self.held.units * open_
                equity = self.cash + value
                drift = self.rules.rebalance is not None and equity > 0.0 and abs(wanted - value / equity) > self.rules.rebalance
                if wanted != self.held.asked or drift:
                    return self.resize(bar, prices, wish, wanted, refusal)
                return refusal, False
        if wanted == 0.0:
            return refusal, False
        return self.enter(bar, time, prices, wish, wanted)

    def priced(self, way: float, prices: tuple[float, ...], limit: float) -> tuple[float, float, float, float, bool] | None:
        """Price, level, slippage, fee, and whether it was inside the bar; None when a limit is not reached."""
        open_, high, low, _ = prices
        if math.isnan(limit):
            return open_ * (1.0 + way * self.slip), open_, self.slip, self.taker, False
        limit = self.on_step(limit, self.terms.tick, "down" if way > 0 else "up")
        if open_ < limit if way > 0 else open_ > limit:
            price = open_ * (1.0 + way * self.slip)
            if price > limit if way > 0 else price < limit:
                return limit, open_, abs(limit - open_) / open_, self.taker, False
            return price, open_, self.slip, self.taker, False
        through = low < limit if way > 0 else high > limit
        if through or (self.switches.touch and (low if way > 0 else high) == limit):
            return limit, limit, 0.0, self.maker, True
        return None

    def enter(self, bar: int, time: int, prices: tuple[float, ...], wish: tuple[float, ...], wanted: float) -> tuple[str, bool]:
        side = math.copysign(1.0, wanted)
        found = self.priced(side, prices, wish[3])
        if found is None:
            return "LIMIT_NOT_REACHED", False
        price, level, slip, fee, inside = found
        first = price if inside else prices[0]
        stop, target = self.stop_at(side, price, price, wish[1]), self.target_at(side, price, 0.0, wish[2])
        if first <= stop or first >= target if side > 0 else first >= stop or first <= target:
            return "BEYOND_STOP", False
        share = abs(wanted)
        size = share * self.cash / (price * (1.0 + share * fee * self.switches.fee_reserved))
        size = self.on_step(size, self.terms.lot, "down")
        if size <= 0.0 or size * price < self.terms.minimum_usd:
            return "BELOW_MINIMUM", False
        units = side * size
        self.held = Position(units, price, bar, time, price, wanted, units, units * price)
        self.held.fees = self.pay(bar, units, price, level, slip, fee, "ENTERED")
        return "", inside

    def resize(self, bar: int, prices: tuple[float, ...], wish: tuple[float, ...], wanted: float, refusal: str) -> tuple[str, bool]:
        held, open_ = self.held, prices[0]
        assert held is not None
        if self.cash + held.units * open_ <= 0.0:
            self.leave(bar, open_, self.slip, self.taker, "EXITED")
            return refusal, False

        def called_for(price: float, fee: float, way: float) -> float:
            equity = self.cash + held.units * price
            return (wanted * equity - held.units * price) / (price * (1.0 + way * wanted * fee * self.switches.fee_reserved))

        price, level, slip, fee, inside = open_ * (1.0 + self.slip), open_, self.slip, self.taker, False
        units = called_for(price, fee, 1.0)
        if units <= 0.0:
            price = open_ * (1.0 - self.slip)
            units = min(called_for(price, fee, -1.0), 0.0)
        if units * held.side > 0.0 and not math.isnan(wish[3]):
            found = self.priced(held.side, prices, wish[3])
            if found is None:
                return "LIMIT_NOT_REACHED", False
            price, level, slip, fee, inside = found
            units = called_for(price, fee, held.side)
            units = units if units * held.side > 0.0 else 0.0
        if units == 0.0:
            held.asked = wanted
            return refusal, False
        size = self.on_step(abs(units), self.terms.lot, "down")
        if size <= 0.0 or size * price < self.terms.minimum_usd:
            return "BELOW_MINIMUM", False
        units = math.copysign(size, units)
        if units * held.side > 0.0:
            held.mean = (held.units * held.mean + units * price) / (held.units + units)
            held.bought += units
            held.bought_value += units * price
        else:
            held.gain -= units * (price - held.mean)
            held.sold -= units
            held.sold_value -= units * price
        held.fees += self.pay(bar, units, price, level, slip, fee, "REBALANCED")
        held.units += units
        held.asked = wanted
        return "", inside


def run_plain(
    plan: Plan, rules: ExitRules, terms: Terms, rows: list[list[float]], cash: float, times: list[int], switches: Switches
) -> Plain:
    """A plan over bars by the plain loop; the last decision never trades."""
    account = Plain(rules, terms, switches, cash)
    wish = (0.0, math.nan, math.nan, math.nan)
    for bar, row in enumerate(rows):
        account.take(bar, times[bar], times[bar - 1] if bar else times[bar], tuple(row[:4]), wish)
        said = plan.at(bar)
        held = account.held
        stays = held is not None and bool(said.stays & (1 if held.side > 0 else 2))
        wish = (held.asked if held is not None and stays else said.exposure, said.stop, said.take_profit, said.limit)
        if not account.outcomes[-1]:
            account.outcomes[-1] = "SIGNAL" if wish[0] else "WARMING_UP" if bar < plan.warm_up else "NO_SIGNAL"
    return account
