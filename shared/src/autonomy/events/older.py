"""Versions of events that nobody writes any more, and what they are today.

Place in the flow: old records → codec → **older** → the events of the catalogue. Logs are kept for ever, so none of these ever goes.
"""

from collections.abc import Callable
from datetime import date
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from autonomy.events.document import Event
from autonomy.events.evolution import EvolutionSummary
from autonomy.events.jobs import ClaimEvent, EquityCurve, JobSucceeded, ResearchSummary
from autonomy.events.paper import PaperSummary


class Older(NamedTuple):
    """How a record of an older version is read.

    Attributes:
        kind: its own fields, as closed as those of every event.
        raised: the same as today's event.
    """

    kind: type[Event]
    raised: Callable[[Any], Event]


class _ResearchSummaryV1(ResearchSummary):
    equity: tuple[tuple[date, float, float], ...] = ()
    curve: None = None


class _JobSucceededV1(ClaimEvent):
    result: _ResearchSummaryV1 | None = None
    evolution: EvolutionSummary | None = None
    paper: PaperSummary | None = None


def _job_succeeded(old: _JobSucceededV1) -> JobSucceeded:
    fields = {name: getattr(old, name) for name in JobSucceeded.model_fields}
    return JobSucceeded(**fields | {"result": None if old.result is None else _summary(old.result)})


def _summary(old: _ResearchSummaryV1) -> ResearchSummary:
    fields = {name: getattr(old, name) for name in ResearchSummary.model_fields}
    return ResearchSummary(**fields | {"curve": _curve(old)})


def _curve(old: _ResearchSummaryV1) -> EquityCurve | None:
    """Its points, which were only ever drawn: more of them, or others, than our runners said make no curve, and no bad record."""
    try:
        return EquityCurve.of(old.first_day, old.equity) if old.equity else None
    except ValidationError:
        return None


def raised_summary(text: str) -> ResearchSummary:
    """A summary as job-succeeded.v1 held it, for rows that were made of one.

    Raises:
        pydantic.ValidationError: it is none.
    """
    return _summary(_ResearchSummaryV1.model_validate_json(text))


OLDER: Final[dict[str, Older]] = {"job-succeeded.v1": Older(_JobSucceededV1, _job_succeeded)}
