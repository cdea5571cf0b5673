"""What needs a person: what was counted in the rows, and what the judgement of the same moment finds failing. Pure.

Place in the flow: groups of rows, judgement → **attention** → `/api/attention`, the stream → page. What is known of the rows is null or
left out while they cannot be trusted; what fails is said all the more.

Source: R-B3; docs/architecture.md, "The Bots page".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autonomy.attention import KINDS, RUNBOOKS, AttentionKind, plural
from autonomy.gates import GATES, NEEDED, Needs
from autonomy.values import iso, iso_of_ms
from proof_api.proof.judging import Judgement, LogFacts

CLEARS: Final = frozenset({AttentionKind.BLOCKED, AttentionKind.DEVELOPER})
"""Kinds whose causes are gates, which say themselves what clears them."""
LATE_RUNBOOK: Final = "PlannerLate"


@dataclass(frozen=True, slots=True)
class Group:
    """Everything of one kind with one cause, as counted in the rows.

    Attributes:
        kind: None: bots whose blockers clear by themselves.
        more: about the oldest: what clears it, or what is wrong.
        bots: the oldest few.
    """

    kind: AttentionKind | None
    code: str
    count: int
    since: datetime | None
    more: str
    bots: tuple[str, ...]


def attention_of(judgement: Judgement, log: LogFacts, groups: Sequence[Group] | None, now_ms: int, rev: int) -> dict[str, object]:
    """The queue.

    Args:
        judgement: of this moment.
        log: what it was made of.
        groups: of the newest snapshot; None before the first.
        now_ms: the moment, by the broker's clock.
        rev: revision of the read models that the snapshot saw.
    """
    known = groups is not None and judgement.has_rows and judgement.status != "unavailable"
    items = [*_failing(judgement, log, now_ms), *(_item(group) for group in groups or () if known and group.kind is not None)]
    order = list(AttentionKind)
    items.sort(key=lambda item: (order.index(AttentionKind(str(item["kind"]))), -int(str(item["count"])), str(item["code"])))
    return {
        "needed": sum(int(str(item["count"])) for item in items if item["needs"] == Needs.OPERATOR.value) if known else None,
        "blocked": blocked_of(groups or ()) if known else None, "items": items, "rev": rev,
    }  # fmt: skip


def blocked_of(groups: Sequence[Group]) -> dict[str, int]:
    """Bots with a blocker by whom they wait for, as the document names these."""
    return {name.lower(): count for name, count in needs_counts(groups).items()}


def needs_counts(groups: Sequence[Group]) -> dict[str, int]:
    """The same by the words of the filter."""
    kinds = {Needs.OPERATOR: AttentionKind.BLOCKED, Needs.DEVELOPER: AttentionKind.DEVELOPER, Needs.NOBODY: None}
    return {needs.value: sum(group.count for group in groups if group.kind is kind) for needs, kind in kinds.items()}


def _item(group: Group) -> dict[str, object]:
    kind = KINDS[group.kind or AttentionKind.BLOCKED]
    gate = GATES.get(group.code) if kind.code in CLEARS else None
    more = f"{gate.title} ({group.code})" if gate else group.code if kind.code in CLEARS else group.more or group.code
    return _told(
        kind.code, group.code, group.count, kind.what.format(more), (group.more if kind.code in CLEARS else "") or kind.todo,
        iso(group.since) if group.since else None, list(group.bots),
    )  # fmt: skip


def _failing(judgement: Judgement, log: LogFacts, now_ms: int) -> Iterator[dict[str, object]]:
    """What the judgement finds failing, each with its runbook; a planner that halted is a kind of its own."""
    halted = log.halted or log.standby_halted
    if halted:
        yield _told(AttentionKind.HALT, "chain", 1, KINDS[AttentionKind.HALT].what.format(halted))
    why = judgement.reason
    for name in judgement.failing:
        if halted and name == "chain":
            continue
        said = judgement.checks[name]
        late = name == "planner" and said == "late"
        silent_ms = log.pulse_age_ms if name == "planner" and not late else None
        yield _told(
            AttentionKind.CHECK, name, 1, f"{name} {said}{': ' if why else ''}{why}",
            f"follow the runbook {LATE_RUNBOOK if late else RUNBOOKS[name]}",
            None if silent_ms is None else iso_of_ms(now_ms - round(silent_ms)),
        )  # fmt: skip
        why = ""  # it is about all that fails, the gravest first


def _told(
    kind: AttentionKind, code: str, count: int, what: str, todo: str = "", since: str | None = None, bots: Sequence[str] = ()
) -> dict[str, object]:
    entry = KINDS[kind]
    return {
        "kind": kind.value, "code": code, "needs": entry.needs.value, "count": count, "since": since,
        "unit": entry.unit if count == 1 else plural(entry.unit), "what": what, "todo": todo or entry.todo, "bots": list(bots),
    }  # fmt: skip


RANKS: Final[Mapping[Needs, int]] = {needs: rank for rank, needs in enumerate(Needs, 1)}
"""By whom a bot waits for, how urgent that is; a statement counts by these numbers."""
assert set(RANKS) == set(NEEDED.values())
