"""What needs a person, by kind: each kind as one object with its words and what to do.

Place in the flow: everywhere. Proof-api counts by these kinds, the page and the command take their words from here. Pure. A new kind is one
object here, and its count in `proof_api.reading.needing` or `proof_api.proof.attention`.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final, NamedTuple

from autonomy.gates import Needs, complete


@unique
class AttentionKind(StrEnum):
    """What a person is needed for, the most urgent first."""

    HALT = "HALT"
    CHECK = "CHECK"
    PAUSE = "PAUSE"
    APPROVAL = "APPROVAL"
    RUNNER_STALE = "RUNNER_STALE"
    WORKER_SILENT = "WORKER_SILENT"
    BLOCKED = "BLOCKED"
    DRIFT = "DRIFT"
    SOURCE = "SOURCE"
    STRATEGY_FILE = "STRATEGY_FILE"
    QUARANTINE = "QUARANTINE"
    DEVELOPER = "DEVELOPER"


class Attention(NamedTuple):
    """A kind.

    Attributes:
        needs: who must act.
        unit: what is counted, of one; more have an s.
        what: what it is, in words after the count; `{}` for more about it.
        todo: what to do, in words; what a blocker says of itself comes before.
    """

    code: AttentionKind
    needs: Needs
    unit: str
    what: str
    todo: str


KINDS: Final[Mapping[AttentionKind, Attention]] = complete(AttentionKind, {kind.code: kind for kind in (
    Attention(
        AttentionKind.HALT, Needs.OPERATOR, "planner", "halted: {}",
        "keep a copy of the log, then follow the runbook ChainHalted; nothing is skipped by itself",
    ),
    Attention(AttentionKind.CHECK, Needs.OPERATOR, "check", "{}", "follow its runbook"),
    Attention(
        AttentionKind.PAUSE, Needs.OPERATOR, "pause", "in force: {}", "resume once its reason is gone; jobs that run go on meanwhile",
    ),
    Attention(AttentionKind.APPROVAL, Needs.OPERATOR, "promotion", "to {} for approval", "look at its gates; approve or reject"),
    Attention(
        AttentionKind.RUNNER_STALE, Needs.OPERATOR, "paper runner", "without a heartbeat: {}",
        "see whether a job-runner lives and has a free place; its planner gives the job to another one by itself",
    ),
    Attention(
        AttentionKind.WORKER_SILENT, Needs.OPERATOR, "job-runner process", "silent without a goodbye, and none has come since",
        "look at its log, and start one",
    ),
    Attention(AttentionKind.BLOCKED, Needs.OPERATOR, "bot", "blocked: {}", "see what clears it"),
    Attention(
        AttentionKind.DRIFT, Needs.OPERATOR, "paper session", "not as the engine: {}", "look at the findings; revert the bot to LAB",
    ),
    Attention(
        AttentionKind.SOURCE, Needs.OPERATOR, "part", "of a source of bars cannot be used: {}",
        "mend or replace it; it is looked at again by itself",
    ),
    Attention(
        AttentionKind.STRATEGY_FILE, Needs.DEVELOPER, "file", "of strategies cannot be used: {}",
        "mend it; it is looked at again by itself",
    ),
    Attention(
        AttentionKind.QUARANTINE, Needs.OPERATOR, "record", "could not be read, in the last day",
        "see who wrote it; reading has gone on, and the record stays where it is",
    ),
    Attention(AttentionKind.DEVELOPER, Needs.DEVELOPER, "bot", "blocked: {}", "see what clears it"),
)})  # fmt: skip
RUNBOOKS: Final[Mapping[str, str]] = {
    "kafka": "KafkaUnreachable", "postgres": "DatabaseUnreachable", "projection": "ProjectionLagging", "planner": "PlannerDown",
    "runners": "RunnersSilent", "probe": "ProbeFailing", "chain": "ChainHalted", "clock": "ClockWrong",
}  # fmt: skip
"""By check of the proof, the runbook in docs/runbooks."""


def plural(unit: str) -> str:
    """More of a unit."""
    return f"{unit}es" if unit.endswith("s") else f"{unit}s"
