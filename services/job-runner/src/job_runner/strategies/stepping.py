"""A strategy's own step, compiled here and run over bars: for steps that come in a file.

Role: as the engine's loops do for installed ones, without a cache on disk, since a confined process writes nothing.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from autonomy.strategy import Bars, Choice, Plan, Strategy, parameters_of


class Bar(NamedTuple):
    """One bar that has ended."""

    open: float
    high: float
    low: float
    close: float
    volume: float


def decide_by_steps(strategy: type[Strategy], parameters: Mapping[str, Any], bars: Bars) -> Plan:
    """The plan of a class that has a `step`, over all bars."""
    import numba

    declared = parameters_of(strategy)
    numbers = [float(parameters.get(name, each.default)) for name, each in declared.items() if not isinstance(each, Choice)]
    words = [
        float(each.allowed.index(str(parameters.get(name, each.default)))) for name, each in declared.items() if isinstance(each, Choice)
    ]
    params = np.array([*numbers, *words])
    size = 0 if strategy.state_size is None else int(strategy.state_size(params))
    own: Any = strategy.step
    plain = getattr(own, "py_func", own)
    rows = np.ascontiguousarray(np.stack([bars.open, bars.high, bars.low, bars.close, bars.volume], axis=1))
    loop = _LOOPS.get(plain)
    if loop is None:
        compiled = own if own is not plain else numba.njit(plain)
        loop = _LOOPS[plain] = numba.njit(_made_around(compiled))
    exposure = np.zeros(len(rows))
    loop(params, rows, np.zeros(size), exposure)
    return Plan(exposure=exposure)


_LOOPS: dict[Any, Any] = {}


def _made_around(step: Any) -> Any:  # noqa: ANN401 (compiled code has no type)
    def loop(params: Any, rows: Any, state: Any, exposure: Any) -> None:  # noqa: ANN401
        for i in range(rows.shape[0]):
            exposure[i] = step(state, Bar(rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4]), params)

    return loop
