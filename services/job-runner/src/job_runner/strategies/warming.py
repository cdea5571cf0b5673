"""Everything compiled before a bar is waited for: a compiler in the loop would stop the beats."""

import logging

import numpy as np

from autonomy.timeframes import DAY_MS
from job_runner.engine import plan_by_bar
from job_runner.engine.account import Costs
from job_runner.engine.programs import daily_axis
from job_runner.engine.running import begin
from job_runner.strategies.coded import CodedStrategy, installed

log = logging.getLogger(__name__)


def warm_installed() -> None:
    """Take a few bars with every installed strategy, and one as a strategy with plans does."""
    for coded in installed().strategies.values():
        try:
            _take_bars(coded)
        except Exception as fault:  # noqa: BLE001 (a package's fault is its own: its jobs and sessions meet it by themselves)
            log.warning("strategy %s cannot be warmed up: %r", coded.name, fault)
    plan_by_bar.warm_up()


def _take_bars(coded: CodedStrategy) -> None:
    engine = begin(coded.program({}, daily_axis("WARM", range(3))), Costs(10.0, 5.0), 1000.0)
    engine.observe_all(np.array([[100.0, 101.0, 99.0, 100.0, 1e6]] * 2), np.array([0, DAY_MS]))
    engine.on_bar(100.0, 101.0, 99.0, 100.0, 1e6, 2 * DAY_MS)
    engine.flat_at(100.0)
