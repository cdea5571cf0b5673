"""Whether anything can run at all: does a live runner hold an announcement that the planner goes by?

Place in the flow: rows of runners and of the newest tick → **capacity** → proof. A planner that ticks over a fleet that nobody can work for
looks alive and is not. Only what stops everybody counts here: a bot that is blocked for reasons of its own stops nobody else. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from autonomy.gates import GateCode
from autonomy.reasons import Reason

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Capacity:
    """The check `runners`.

    Attributes:
        check: ok, down (nothing can run, `words` says why), off (no bot is registered), unknown.
    """

    check: Literal["ok", "down", "off", "unknown"]
    words: str = ""


UNKNOWN = Capacity("unknown")


def capacity_of(runners: Sequence[Row], last_run: Row | None, seen_at: datetime | None, lease_s: float) -> Capacity:
    """What the rows say.

    Args:
        runners: rows of `bot_runners`.
        last_run: the newest row of `autonomy_planner_runs`; None before the first tick.
        seen_at: the instant up to which the rows are complete, by the broker's clock; None while that is not known. Beats are judged by
            it, so that rows that are late make no runner silent.
        lease_s: silence after which a runner counts as gone.
    """
    bots = 0 if last_run is None else _number(last_run, "bots_registered")
    if last_run is None or not bots:
        return Capacity("off")
    if seen_at is None:
        return UNKNOWN
    live = [row for row in runners if lives(row, seen_at, lease_s)]
    if not live:
        return Capacity("down", f"no runner process lives, nothing can run for {_bots(bots)}")
    offering = [row for row in live if row["engine_version"]]
    if not offering:
        return Capacity("down", f"{_processes(len(live))}, none has announced what it offers: nothing can run")
    if not any(row["symbols"] for row in offering):
        return Capacity("down", f"{_processes(len(live))}, none has announced any market data: nothing can run")
    return _by_the_newest_tick(last_run, offering)


def lives(row: Row, seen_at: datetime, lease_s: float) -> bool:
    """Whether a runner process has beaten within a lease and does not stop."""
    beat = row["last_beat_at"]
    return not row["stopping"] and isinstance(beat, datetime) and seen_at - beat <= timedelta(seconds=lease_s)


def _by_the_newest_tick(run: Row, offering: Sequence[Row]) -> Capacity:
    """The planner's own word: a runner that it does not count offers nothing, whatever the rows of runners say."""
    reasons, blockers = run["reason_counts"], run["blocker_counts"]
    held = _number(reasons, Reason.ON_HOLD.value) if isinstance(reasons, Mapping) else 0
    considered = _number(run, "bots_evaluated") - held
    without = _number(blockers, GateCode.CAPABILITIES_AGREE.value) if isinstance(blockers, Mapping) else 0
    if not 0 < considered <= min(_number(run, "blocked"), without):
        return Capacity("ok")
    engines = sorted({str(row["engine_version"]) for row in offering})
    why = f"the live runners announce different engines ({', '.join(engines)})" if len(engines) > 1 else (
        "the planner knows no offer of a live runner for what they want, or the live runners announce different code or data"
    )  # fmt: skip
    return Capacity("down", f"{_bots(considered)} blocked by {GateCode.CAPABILITIES_AGREE.value}, and no other is left: {why}")


def _number(row: Mapping[str, object], name: str) -> int:
    value = row.get(name)
    return value if isinstance(value, int) else 0


def _bots(count: int) -> str:
    return "1 bot" if count == 1 else f"{count} bots"


def _processes(count: int) -> str:
    return "1 runner process lives" if count == 1 else f"{count} runner processes live"
