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

    def by_operation(self) -> tuple[tuple[Operation, tuple[str, ...]], ...]:
        """The topics of each operation; whoever may read or write a topic sees it, so both come after the rest that a start needs."""
        configs, seen = (Operation.DESCRIBE_CONFIGS, ALL), (Operation.DESCRIBE, ALL)
        # A topic that is written is seen from then on: its reading comes next.
        reads = tuple(sorted(self.reads, key=lambda topic: topic not in self.writes))
        return configs, (Operation.WRITE, self.writes), (Operation.READ, reads), seen


ADMINISTRATOR: Final = "admin"
"""Makes topics and rules; no service is ever this one."""
RIGHTS: Final[Mapping[str, Rights]] = {
    "planner": Rights((COMMANDS, RUNS, JOBS, RUNNERS, PULSE), (RUNS, JOBS, PULSE)),
    "job-runner": Rights((RUNS, JOBS, RUNNERS, PULSE), (JOBS, RUNNERS, PULSE)),
    "projection": Rights(ALL, (QUARANTINE,)),
    "proof-api": Rights((COMMANDS, RUNS, JOBS, RUNNERS, PULSE), (COMMANDS, PULSE)),
    "notifier": Rights((RUNS, RUNNERS, PULSE, QUARANTINE)),
    "auditor": Rights(ALL),
}
"""By principal. `auditor` is for people: audit, tail, doctor, and Kafka's own console."""


GROUPS: Final[Mapping[str, str]] = {"auditor": "console-consumer-", "notifier": "autonomy-notifier-"}
"""Consumer groups by the begin of their name: Kafka's own console makes one, and the notifier one for each receiver. No other service has
a group."""


@dataclass(frozen=True, order=True, slots=True)
class Rule:
    """One permission; whatever no rule allows is denied."""

    principal: str
    topic: str
    operation: Operation


def rules() -> Iterator[Rule]:
    """Every rule, in the order in which they are set: a service that waits sees the last topic once it has every right."""
    for principal, rights in RIGHTS.items():
        for operation, topics in rights.by_operation():
            for topic in topics:
                yield Rule(principal, topic, operation)


def may(principal: str, operation: Operation, topic: str) -> bool:
    """Whether the table allows it."""
    return Rule(principal, topic, operation) in set(rules())


def as_commands(bootstrap: str) -> list[str]:
    """The rules as calls of Kafka's own `kafka-acls.sh`, one a principal and set of operations."""
    lines = []
    for principal, rights in RIGHTS.items():
        start = f"kafka-acls.sh --bootstrap-server {bootstrap} --command-config admin.properties --add --allow-principal User:{principal}"
        for operation, topics in rights.by_operation():
            if topics:
                lines.append(f"{start} --operation {operation.value} {' '.join(f'--topic {topic}' for topic in topics)}")
        if prefix := GROUPS.get(principal):
            lines.append(f"{start} --operation Read --group {prefix} --resource-pattern-type prefixed")
    return lines
