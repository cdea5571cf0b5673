"""A decision as it stands in its record, written without the event's model: thousands may change in one tick.

Place in the flow: decide → **telling** → tick (records). Pure; what it writes is byte for byte what the model writes.
"""

from collections.abc import Sequence
from functools import lru_cache

import orjson

from autonomy.envelope import data_bytes
from autonomy.errors import Broken
from autonomy.events import Blocker
from autonomy.events.document import MAX_NUMBER, MAX_TEXT
from autonomy.values import Stage, iso_of_ms
from planner.decide.gates import Finding
from planner.decide.measures import Measure
from planner.decide.promotion_gates import Gate
from planner.decide.wishes import Decision


def decision_bytes(
    decision: Decision, tick: int, found: Sequence[Finding], promotion: Sequence[Gate] | None, promotion_to: Stage | None
) -> bytes:
    """A BotDecision's data as the model itself writes it, without the model: thousands may change in one tick.

    What a state or a policy holds was checked when it came in; what is put together here is checked here.

    Raises:
        Broken: a text or a number is out of the model's range; no reader would take the record.
    """
    bot_id, reason, job_type, _, detail, job_id, until_ms, next_due_ms, limit, value, place, would, due_since_ms, *_ = decision
    if len(detail) > MAX_TEXT or not 0 <= (value or 0) <= MAX_NUMBER or not 0 <= (place or 0) <= MAX_NUMBER:
        raise Broken(f"tick {tick}: the decision about {bot_id} cannot be told: {detail[:100]!r}, {value}, {place}")
    blockers = ",".join(map(_blocker, found)) if found else ""
    gates = "null" if promotion is None else f"[{','.join(map(_gate, promotion))}]"
    return (
        f'{{"botId":"{bot_id}","tick":{tick},"reason":"{reason}","jobType":{_text(job_type)},"jobId":{_text(job_id)},'
        f'"blockers":[{blockers}],"promotion":{gates},"promotionTo":{_text(promotion_to)},"detail":{_text(detail)},'
        f'"until":{_instant(until_ms)},"nextDueAt":{_instant(next_due_ms)},"limit":{_text(limit)},'
        f'"limitValue":{"null" if value is None else value},"place":{"null" if place is None else place},'
        f'"would":{_text(would)},"dueSince":{_instant(due_since_ms)}}}'
    ).encode()


def _gate(gate: Gate) -> str:
    """A promotion gate as GateResult writes it."""
    code, verdict, measured, required, clears_when, deciding, job, age, fingerprint, expires_ms, measures = gate
    if max(len(measured), len(required), len(clears_when)) > MAX_TEXT:
        raise Broken(f"{code} cannot be told: {measured[:100]!r}, {required[:100]!r}, {clears_when[:100]!r}")
    return (
        f'{{"code":"{code}","verdict":"{verdict}","measured":{_text(measured)},"required":{_text(required)},'
        f'"clearsWhen":{_text(clears_when)},"evidenceJob":{_text(job)},"evidenceAgeBars":{"null" if age is None else age},'
        f'"fingerprint":{_text(fingerprint)},"deciding":{"true" if deciding else "false"},"expiresAt":{_instant(expires_ms)}'
        f"{_measures(measures) if measures else ''}}}"
    )


def _measures(measures: Sequence[Measure]) -> str:
    return f',"figures":[{",".join(map(_measure, measures))}]'


def _measure(one: Measure) -> str:
    """A measure as GateFigure writes it."""
    name, value, at_least, at_most = one
    return f'{{"name":{_text(name)},"value":{_number(value)},"atLeast":{_number(at_least)},"atMost":{_number(at_most)}}}'


def _number(number: float | None) -> str:
    return "null" if number is None else orjson.dumps(number).decode()


@lru_cache(maxsize=16_384)
def _text(text: str | None) -> str:
    """A text as JSON; most of them are said of many bots."""
    return orjson.dumps(text).decode()


@lru_cache(maxsize=16_384)
def _instant(instant_ms: int | None) -> str:
    return "null" if instant_ms is None else f'"{iso_of_ms(instant_ms)}"'


@lru_cache(maxsize=16_384)
def _blocker(finding: Finding) -> str:
    """A finding as it is published; bots blocked for the same cause share it."""
    return data_bytes(Blocker(
        code=finding.code.value, verdict=finding.verdict, measured=finding.measured, required=finding.required,
        clears_when=finding.clears_when, evidence_job=finding.evidence_job,
        evidence_age_bars=finding.evidence_age_bars, fingerprint=finding.fingerprint,
    )).decode()  # fmt: skip
