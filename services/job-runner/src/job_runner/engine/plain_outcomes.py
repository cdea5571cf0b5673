"""What became of a bar, of plain decisions: -1, 0 or 1.

Role: the same outcomes that `bar_fills` gives a plan that wants no more, for one bar and for all. Apart from `fills`, since searches ask
for the money only.
"""

import numpy as np

from job_runner.engine.account import TRADE_SIZE, Account, Costs
from job_runner.engine.compiled import CLOSE, OPEN, FloatArray, SmallIntArray, kernel
from job_runner.engine.fills import checked_bars, checked_cash, fill, mark
from job_runner.engine.plans import Outcome

# Compiled code sees plain numbers.
_WARMING_UP, _NO_SIGNAL, _SIGNAL, _HELD = int(Outcome.WARMING_UP), int(Outcome.NO_SIGNAL), int(Outcome.SIGNAL), int(Outcome.HELD)
_ENTERED, _EXITED, _RUINED = int(Outcome.ENTERED), int(Outcome.EXITED), int(Outcome.RUINED)


@kernel
def outcome_of_bar(
    before: float,
    after: float,
    was_ruined: float,
    wanted: int,
    is_warming_up: bool,  # noqa: FBT001 - a kernel has no keywords
) -> int:
    """What became of a bar, of plain decisions: an `Outcome`, equal to what `bar_fills` says of a plan that wants no more.

    Args:
        before: signed units before its open.
        after: behind its open.
        was_ruined: not 0 when the equity was used up before it.
        wanted: after its close.
        is_warming_up: the strategy cannot want anything yet.
    """
    if before != after:
        return _ENTERED if after != 0.0 else _EXITED
    if after != 0.0:
        return _HELD
    if was_ruined != 0.0:
        return _RUINED
    if wanted != 0:
        return _SIGNAL
    return _WARMING_UP if is_warming_up else _NO_SIGNAL


@kernel
def follow_outcomes(
    rows: FloatArray,
    targets: SmallIntArray,
    fee: float,
    slippage: float,
    initial_cash: float,
    warm_up: int,
    trade: FloatArray,
    outcomes: SmallIntArray,
) -> None:
    """`follow` once more, for what became of each bar.

    Args:
        rows: as in `follow`.
        targets: likewise.
        fee: likewise.
        slippage: likewise.
        initial_cash: likewise.
        trade: likewise.
        warm_up: bars at the beginning that cannot want anything.
        outcomes: int8 (n), written.
    """
    account = Account(initial_cash, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    target = 0
    for i in range(rows.shape[0]):
        place = np.uintp(i)
        before = account
        account = fill(account, target, i, rows[place, OPEN], fee, slippage, trade)
        target = targets[place]
        outcomes[place] = outcome_of_bar(before.units, account.units, before.ruined, target, i < warm_up)
        account = mark(account, rows[place, CLOSE])


def outcomes_of_targets(targets: SmallIntArray, rows: FloatArray, costs: Costs, initial_cash_usd: float, warm_up: int) -> SmallIntArray:
    """What became of each bar: int8 (n), an `Outcome` each; see `simulate_targets`.

    Args:
        targets: int8 (n), the exposure wanted after each close.
        rows: float64 (n, BAR_SIZE), C-contiguous.
        costs: per side.
        initial_cash_usd: above zero.
        warm_up: bars at the beginning that cannot want anything.
    """
    outcomes = np.empty(checked_bars(rows), dtype=np.int8)
    cash = checked_cash(initial_cash_usd)
    follow_outcomes(rows, targets, costs.fee, costs.slippage, cash, warm_up, np.zeros(TRADE_SIZE), outcomes)
    return outcomes
