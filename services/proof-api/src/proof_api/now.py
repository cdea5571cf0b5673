"""What a reader's clock adds to a badge: how old the beat behind it is, and whether the data behind it can be trusted.

Place in the flow: rows of `bot_now` → **now** → answer. The state itself is the row's; it is never changed here. Pure.

Source: design, "botNow has one definition".
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from autonomy.policy import DEFAULT
from autonomy.values import BotState, JobStatus
from proof_api.proof import Status


def dressed(items: Iterable[dict[str, object]], *, lease_s: float, status: Status, now: datetime) -> list[dict[str, object]]:
    """Items with `basis` (fresh, stale, unknown), `runnerStale`, and the lease by which both were judged."""
    found = []
    for item in items:
        silent = is_silent(item, lease_s, now)
        basis = "unknown" if status in {"unverified", "unavailable"} else "stale" if silent or status == "stale" else "fresh"
        runner_stale = item["state"] == BotState.RUNNER_STALE.value or (silent and item["state"] == BotState.RUNNER_RUNNING.value)
        found.append({**item, "basis": basis, "runnerStale": runner_stale, "leaseSec": lease_s})
    return found


def is_silent(item: dict[str, object], lease_s: float, now: datetime) -> bool:
    """Whether the active job runs without a sign of life for more than a lease."""
    beat = item.get("lastBeatAt")
    if item.get("jobStatus") != JobStatus.RUNNING.value or not isinstance(beat, str):
        return False
    return (now - datetime.fromisoformat(beat)).total_seconds() > lease_s


def lease_of(policy: Mapping[str, object]) -> float:
    """The lease of a policy document, in seconds."""
    leases = policy["leases"]
    return float(leases["lease_s"]) if isinstance(leases, Mapping) else DEFAULT.leases.lease_s
