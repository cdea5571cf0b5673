"""Who may do what on the log: one table, from which the rules of every secured cluster are printed and set.

Place in the flow: read by `autonomy kafka acls`, by the secured local stack, and by the test that tries every principal on every topic.
A part that is taken over can say only what this table lets it say: it cannot command, seal or judge in another's name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from autonomy.topics import COMMANDS, JOBS, PULSE, QUARANTINE, RUNNERS, RUNS, TOPICS

ALL: Final = tuple(topic.name for topic in TOPICS)


class Operation(StrEnum):
    """What a rule allows, in Kafka's words."""

    READ = "Read"
    WRITE = "Write"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a principal may read and write; everybody may see how the topics are made, nobody may change that."""

    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()


ADMINISTRATOR: Final = "admin"
"""Makes topics and rules; no service is ever this one."""
RIGHTS: Final[Mapping[str, Rights]] = {
    "planner": Rights((COMMANDS, RUNS, JOBS, RUNNERS, PULSE), (RUNS, PULSE)),
    "job-runner": Rights((RUNS, JOBS, RUNNERS), (JOBS, RUNNERS)),
    "projection": Rights(ALL, (QUARANTINE,)),
    "proof-api": Rights((RUNS, PULSE), (COMMANDS, PULSE)),
    "auditor": Rights(ALL),
}
"""By principal. `auditor` is for people: audit, tail, doctor, and Kafka's own console."""


@dataclass(frozen=True, order=True, slots=True)
class Rule:
    """One permission; whatever no rule allows is denied."""

    principal: str
    topic: str
    operation: Operation


def rules() -> Iterator[Rule]:
    """Every rule, in the order of the table."""
    for principal, rights in RIGHTS.items():
        for topic in ALL:
            yield Rule(principal, topic, Operation.DESCRIBE)
            yield Rule(principal, topic, Operation.DESCRIBE_CONFIGS)
            if topic in rights.reads:
                yield Rule(principal, topic, Operation.READ)
            if topic in rights.writes:
                yield Rule(principal, topic, Operation.WRITE)


def may(principal: str, operation: Operation, topic: str) -> bool:
    """Whether the table allows it."""
    return Rule(principal, topic, operation) in set(rules())


def as_commands(bootstrap: str) -> list[str]:
    """The rules as calls of Kafka's own `kafka-acls.sh`, one a principal and set of operations."""
    lines = []
    for principal, rights in RIGHTS.items():
        for operations, topics in (
            ((Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS), ALL), ((Operation.READ,), rights.reads), ((Operation.WRITE,), rights.writes)
        ):  # fmt: skip
            if topics:
                words = [f"--operation {operation.value}" for operation in operations] + [f"--topic {topic}" for topic in topics]
                start = f"kafka-acls.sh --bootstrap-server {bootstrap} --command-config admin.properties"
                lines.append(f"{start} --add --allow-principal User:{principal} {' '.join(words)}")
    return lines
