"""Everything compiled before a bar is waited for: a compiler in the loop would stop the beats."""

import numpy as np

from job_runner.engine.account import Costs
from job_runner.engine.bar_by_bar import BarByBar
from job_runner.engine.programs import daily_axis
from job_runner.strategies.coded import installed


def warm_installed() -> None:
    """Take a few bars with every installed strategy."""
    row = np.array([[100.0, 101.0, 99.0, 100.0, 1e6]])
    for coded in installed().strategies.values():
        engine = BarByBar(coded.program({}, daily_axis("WARM", range(2))), Costs(10.0, 5.0), 1000.0)
        engine.observe_all(np.repeat(row, 2, axis=0))
        engine.on_bar(*row[0].tolist())
        engine.flat_at(100.0)
