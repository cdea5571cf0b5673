"""The platform's metrics, made from the newest snapshot when asked; one word of prefix, base units, no ids in labels."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from autonomy.documents.proofs import ProofVerdict
from autonomy.values import instant_of_ms
from autonomy.version import VERSION
from proof_api.proof.capacity import lives
from proof_api.proof.judging import LogFacts, ReadFacts
from proof_api.proof.now import lease_of

if TYPE_CHECKING:
    from proof_api.context import Context


OF_HEAD: Final = {
    "autonomy_quarantined_records": ("quarantined", "Records that could not be read"),
    "autonomy_void_records": ("void_records", "Records of runs that do not count"),
    "autonomy_void_seals": ("void_seals", "Seals that were not accepted"),
    "autonomy_void_steps": ("void_steps", "Job events that changed nothing"),
}
"""Counts that the projection keeps in `projection_head`, over the whole log; void is never an error, but never hidden.

Source: S3, S8.
"""


class Collector:
    """Turns one judgement into metrics."""

    def __init__(self, context: "Context") -> None:
        self.context = context

    def collect(self) -> Iterable[Metric]:
        """Every metric family."""
        yield labelled("autonomy_build_info", "1 for the version that runs", "version", {VERSION: 1})
        yield from doors(self.context)
        now_ms, judgement, log, read = self.context.judged()
        yield gauge("autonomy_proof_up", "1 while an answer can be trusted", judgement.code == 200)
        # What is off is left out, so that no alert is about it; what is not known is not ok.
        checks = {name: float(said == "ok") for name, said in judgement.checks.items() if said != "off"}
        yield labelled("autonomy_check", "1 while a check is ok", "check", checks)
        words = {word: float(word == judgement.verdict) for word in get_args(ProofVerdict)}
        yield labelled("autonomy_verdict", "1 for the verdict of now; all 0 while there is none", "verdict", words)
        yield from of_ticks(log, read, now_ms)
        if log.probe_age_ms is not None:
            yield gauge("autonomy_probe_age_seconds", "Since a probe of this process was acknowledged", log.probe_age_ms / 1000)
        if log.skew_ms is not None:
            yield gauge("autonomy_clock_skew_seconds", "This machine's clock ahead of the broker's", log.skew_ms / 1000)
        if judgement.lag_ms is not None:
            yield gauge("autonomy_projection_lag_seconds", "How far the read models are behind what was said", judgement.lag_ms / 1000)
        if log.head_tick is not None:
            yield gauge("autonomy_log_head_tick", "Last accepted tick in the log", log.head_tick)
        yield gauge("autonomy_applied_tick", "Last accepted tick in the read models", read.applied_tick)
        picture = self.context.snapshots.picture
        if picture is None or judgement.status == "unavailable":
            return
        for name, counts in picture.counts.items():
            yield labelled(f"autonomy_bots_by_{name}", f"Bots by {name}", name, dict(counts))
        for status in ("running", "queued"):
            yield labelled(f"autonomy_jobs_{status}", f"Jobs {status}", "type", dict(read.body[status]))  # type: ignore[call-overload] # counts by type
        now, lease_s = instant_of_ms(now_ms), lease_of(picture.policy)
        beating = sum(1 for row in picture.runners if lives(row, now, lease_s))
        yield gauge("autonomy_runner_processes", "Runner processes that beat within a lease", beating)
        taken, spent = picture.looks
        yield gauge("autonomy_looks_taken", "Looks at bots' timing", taken)
        yield gauge("autonomy_looks_alpha_spent", "What they spent: so many false recommendations are expected", spent)
        for name, (column, meaning) in OF_HEAD.items():
            yield gauge(name, meaning, picture.counted.get(column, 0))


def of_ticks(log: LogFacts, read: ReadFacts, now_ms: int) -> Iterable[Metric]:
    """The newest tick, in the log or in the rows: rows that are late make no planner late."""
    if read.age_ms is not None:
        yield gauge("autonomy_tick_interval_seconds", "Of the policy in force", read.tick_interval_s)
    last_ms = max((at for at in (log.last_tick_ms, read.last_tick_ms) if at is not None), default=None)
    if last_ms is not None:
        yield gauge("autonomy_planner_last_tick_timestamp_seconds", "Recorded time of the last accepted tick", last_ms / 1000)
        yield gauge("autonomy_planner_tick_age_seconds", "Its age", max(0, now_ms - last_ms) / 1000)


def doors(context: "Context") -> Iterable[Metric]:
    """Who was refused at the door, and which work of this process was begun again; counts since it began."""
    refused = {
        "stranger": context.desk.strangers_refused, "stranger over the rate": context.strangers.over,
        "operator over the rate": context.desk.refusals.over,
    }  # fmt: skip
    yield counted("autonomy_refused_attempts", "Refused attempts that are on no log", "who", refused)
    yield counted("autonomy_client_limits", "Clients that met a limit of the HTTP server", "limit", context.door.refused)
    restarts = context.supervisor.restarts if context.supervisor else {}
    yield counted("autonomy_restarted_works", "Long-lived works of this process that ended or stalled", "work", restarts)


def counted(name: str, meaning: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    """One count per label value."""
    family = CounterMetricFamily(name, meaning, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    """One number."""
    return GaugeMetricFamily(name, meaning, value=float(value))


def labelled(name: str, meaning: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    """One number per label value."""
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([str(key)], float(value))
    return family


def render(context: "Context") -> tuple[bytes, str]:
    """The exposition and its media type."""
    registry = CollectorRegistry()
    registry.register(Collector(context))
    return generate_latest(registry), CONTENT_TYPE_LATEST
