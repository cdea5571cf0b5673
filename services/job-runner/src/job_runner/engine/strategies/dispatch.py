"""From a strategy's wire name to its compiled step.

Role: the only place that knows which module codes which template. A compiled function cannot be handed to another
without losing the cache on disk, so the choice is a number and a chain of branches, which the processor predicts for
free.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from autonomy.errors import Broken
from autonomy.strategies import LONG_SHORT, Value, check_parameters, number, template
from job_runner.engine.compiled import Bar, FloatArray, SmallIntArray, bar_at, kernel
from job_runner.engine.strategies import bollinger_reversion, donchian_breakout, macd, rsi_reversion, sma_cross, ts_momentum
from job_runner.engine.strategies.bollinger_reversion import step as _bollinger_step
from job_runner.engine.strategies.donchian_breakout import step as _donchian_step
from job_runner.engine.strategies.macd import step as _macd_step
from job_runner.engine.strategies.rsi_reversion import step as _rsi_step
from job_runner.engine.strategies.sma_cross import decide_all as _sma_decide_all
from job_runner.engine.strategies.sma_cross import step as _sma_step
from job_runner.engine.strategies.ts_momentum import step as _momentum_step

_SMA = 0
_MACD = 1
_RSI = 2
_BOLLINGER = 3
_DONCHIAN = 4
_MOMENTUM = 5


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A strategy ready to run.

    Args:
        strategy: wire name.
        kind: number of its step in the branch chain.
        params: float64, the template's numbers in catalogue order, then 1.0 when shorts are allowed, else 0.0.
        state_size: floats of state its step needs, zeros before the first bar.
        look_back: bars before its first decision other than flat.
    """

    strategy: str
    kind: int
    params: FloatArray
    state_size: int
    look_back: int


@kernel
def step(kind: int, state: FloatArray, bar: Bar, params: FloatArray) -> int:
    """The exposure (-1, 0, 1) that strategy number `kind` wants from the next open on, having seen this bar."""
    if kind == _SMA:
        return _sma_step(state, bar, params)
    if kind == _MACD:
        return _macd_step(state, bar, params)
    if kind == _RSI:
        return _rsi_step(state, bar, params)
    if kind == _BOLLINGER:
        return _bollinger_step(state, bar, params)
    if kind == _DONCHIAN:
        return _donchian_step(state, bar, params)
    return _momentum_step(state, bar, params)


@kernel
def decide_bars(kind: int, params: FloatArray, rows: FloatArray, state: FloatArray, targets: SmallIntArray) -> None:
    """All decisions in one pass, front to back: the exposure wanted after each close, written to `targets` (int8, n).

    The branch stands outside the loops, so that each loop holds one step only and runs at full speed.
    """
    if kind == _SMA:
        _sma_decide_all(rows, state, params, targets)
    elif kind == _MACD:
        for i in range(rows.shape[0]):
            targets[np.uintp(i)] = _macd_step(state, bar_at(rows, i), params)
    elif kind == _RSI:
        for i in range(rows.shape[0]):
            targets[np.uintp(i)] = _rsi_step(state, bar_at(rows, i), params)
    elif kind == _BOLLINGER:
        for i in range(rows.shape[0]):
            targets[np.uintp(i)] = _bollinger_step(state, bar_at(rows, i), params)
    elif kind == _DONCHIAN:
        for i in range(rows.shape[0]):
            targets[np.uintp(i)] = _donchian_step(state, bar_at(rows, i), params)
    else:
        for i in range(rows.shape[0]):
            targets[np.uintp(i)] = _momentum_step(state, bar_at(rows, i), params)


def program(strategy: str, parameters: Mapping[str, object]) -> Program:
    """Check the parameters and make the strategy ready to run.

    Raises:
        BadInput: unknown strategy, or a parameter outside its limits.
    """
    checked = check_parameters(strategy, parameters)
    params = parameter_vector(strategy, checked)
    kind, module = _coded(strategy)
    state_size: Callable[[FloatArray], int] = module.state_size
    return Program(strategy, kind, params, state_size(params), template(strategy).look_back(checked))


def parameter_vector(strategy: str, checked: Mapping[str, Value]) -> FloatArray:
    """Checked parameters as the array a step reads (see `Program.params`)."""
    numbers = [float(number(checked, parameter.name)) for parameter in template(strategy).parameters]
    return np.array([*numbers, 1.0 if checked.get("direction") == LONG_SHORT else 0.0])


def template_module(strategy: str) -> str:
    """The name of the module that codes the template."""
    return _coded(strategy)[1].__name__


def _coded(strategy: str) -> tuple[int, ModuleType]:
    match strategy:
        case "sma-cross":
            return _SMA, sma_cross
        case "macd":
            return _MACD, macd
        case "rsi-reversion":
            return _RSI, rsi_reversion
        case "bollinger-reversion":
            return _BOLLINGER, bollinger_reversion
        case "donchian-breakout":
            return _DONCHIAN, donchian_breakout
        case "ts-momentum":
            return _MOMENTUM, ts_momentum
        case _:
            template(strategy)
            raise Broken(f"strategy {strategy} is in the catalogue but not coded")
