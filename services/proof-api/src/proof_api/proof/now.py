"""What a reader's clock adds to a badge: how old the beat behind it is, and whether the data behind it can be trusted.

Place in the flow: rows of `bot_now` → **now** → answer. The state is the row's but for one: a runner whose beats stopped is
RUNNER_STALE as soon as its lease is over, since no event says so. That is judged only while the data is fresh: an old row tells
nothing about a runner. Pure.

Source: R-B1; docs/architecture.md, "What a bot does now".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from autonomy.policy import DEFAULT
from autonomy.values import BotState, JobStatus
from proof_api.proof.judging import Status


@dataclass(frozen=True, slots=True)
class Ages:
    """By which clock, lease and trust a row is judged."""

    now: datetime
    lease_s: float
    status: Status

    @property
    def silent_before(self) -> datetime | None:
        """A last beat before this instant is silence; None while the data is not fresh enough to say so."""
        return self.now - timedelta(seconds=self.lease_s) if self.status == "fresh" else None


def dressed(items: Iterable[dict[str, object]], ages: Ages) -> list[dict[str, object]]:
    """Items with `basis` (fresh, stale, unknown), `runnerStale`, `runnerStarting`, and the lease by which all were judged."""
    found = []
    for item in items:
        silent = item.get("jobStatus") == JobStatus.RUNNING.value and is_silent(item.get("lastBeatAt"), ages)
        stopped = silent and ages.status == "fresh" and item["state"] == BotState.RUNNER_RUNNING.value
        basis = "unknown" if ages.status in {"unverified", "unavailable"} else "stale" if silent or ages.status == "stale" else "fresh"
        found.append({
            **item, "state": BotState.RUNNER_STALE.value if stopped else item["state"], "basis": basis,
            "runnerStale": item["state"] == BotState.RUNNER_STALE.value or runner_is_stale(item, ages),
            "runnerStarting": runner_is_starting(item, ages), "leaseSec": ages.lease_s,
        })  # fmt: skip
    return found


def runner_is_stale(item: Mapping[str, object], ages: Ages) -> bool:
    """Whether the bot has a live paper runner that waits, never beat, or has gone silent; a second mark beside any badge."""
    if item.get("runnerJobId") is None:
        return False
    beat = item.get("runnerBeatAt")
    return item.get("runnerStatus") != JobStatus.RUNNING.value or beat is None or is_silent(beat, ages)


def runner_is_starting(item: Mapping[str, object], ages: Ages) -> bool:
    """Whether the bot's runner was wanted or claimed less than a lease ago and has not beaten yet: no alarm, every start looks so."""
    never_beat = item["state"] == BotState.RUNNER_STALE.value and item.get("runnerBeatAt") is None
    return never_beat and isinstance(item.get("since"), str) and not is_silent(item["since"], ages)


def is_silent(beat: object, ages: Ages) -> bool:
    """Whether a sign of life is older than a lease."""
    return isinstance(beat, str) and (ages.now - datetime.fromisoformat(beat)).total_seconds() > ages.lease_s


def lease_of(policy: Mapping[str, object]) -> float:
    """The lease of a policy document, in seconds."""
    leases = policy["leases"]
    return float(leases["lease_s"]) if isinstance(leases, Mapping) else DEFAULT.leases.lease_s
