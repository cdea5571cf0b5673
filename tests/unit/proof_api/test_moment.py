"""A proof is judged at the moment of the question: a crowd shares one judgement, and nobody gets one of another moment.

Source: R-A1.3.
"""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from proof_api.context import Context
from proof_api.proof.judging import AUTONOMY_KEYS, JOBS_KEYS, LogFacts, ReadFacts, judge
from proof_api.routes.proofs import SAME_MOMENT_MS, answer
from unit.proof_api.test_proof import LOG, NOW, READ


@dataclass
class Asked:
    """What of a context a proof needs; the time is the test's."""

    log: LogFacts = LOG
    read: ReadFacts = READ
    now_ms: int = NOW
    judgements: int = 0
    snapshots: Any = field(default_factory=lambda: SimpleNamespace(picture=object()))
    snapshots_cache: dict[Any, Any] = field(default_factory=dict)
    proofs: dict[Any, Any] = field(default_factory=dict)

    def judged(self) -> Any:
        self.judgements += 1
        return self.now_ms, judge(self.log, self.read, self.now_ms), self.log, self.read


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found = Asked()
    # The process's clock: nothing else tells it how long ago it judged.
    monkeypatch.setattr("proof_api.routes.proofs.clock.monotonic_ms", lambda: float(found.now_ms))
    return found


def proof_at(asked: Asked, after_ms: int, keys: tuple[str, ...] = AUTONOMY_KEYS, require: str | None = None) -> tuple[int, dict[str, Any]]:
    asked.now_ms = NOW + after_ms
    response = answer(cast("Context", asked), keys, require)
    return response.status_code, orjson.loads(bytes(response.body))


def test_a_crowd_within_one_moment_gets_one_judgement_that_says_its_instant(asked: Asked) -> None:
    first = proof_at(asked, 0)
    assert proof_at(asked, SAME_MOMENT_MS - 1) == first
    assert asked.judgements == 1


def test_the_next_moment_is_judged_anew(asked: Asked) -> None:
    proof_at(asked, 0)
    asked.log = replace(LOG, pulse_age_ms=60_000)
    code, proof = proof_at(asked, SAME_MOMENT_MS)
    assert (code, proof["proof"]["verdict"]) == (200, "DOWN")
    assert proof["now"] != proof_at(asked, 5 * SAME_MOMENT_MS)[1]["now"]


def test_another_question_of_the_same_moment_is_another_answer(asked: Asked) -> None:
    asked.log = replace(LOG, pulse_age_ms=60_000)
    assert proof_at(asked, 0)[0] == 200
    assert proof_at(asked, 0, require="ticking")[0] == 503
    assert "running" in proof_at(asked, 0, JOBS_KEYS)[1]


def test_a_moment_is_too_short_to_hide_any_lag() -> None:
    assert SAME_MOMENT_MS <= 0.01 * 3_000  # the shortest limit: a leading planner's pulse of 3 s


@pytest.mark.parametrize(
    ("log", "plain", "strict"),
    [
        (LOG, 200, 200), (replace(LOG, pulse_age_ms=60_000), 200, 503), (replace(LOG, seen_age_ms=5_001), 200, 503),
        (replace(LOG, seen_age_ms=29_999), 200, 503), (replace(LOG, seen_age_ms=30_001), 503, 503), (replace(LOG, diverged="x"), 503, 503),
    ],
    ids=["it ticks", "no planner", "Kafka unseen for 5 s", "Kafka unseen for 30 s", "Kafka lost", "a broken chain"],
)  # fmt: skip
def test_only_a_proven_tick_meets_the_strict_question(asked: Asked, log: LogFacts, plain: int, strict: int) -> None:
    """With Kafka away there is no verdict: that is no reason to answer 200."""
    asked.log = log
    assert proof_at(asked, 0)[0] == plain
    assert proof_at(asked, 0, require="ticking")[0] == strict
    assert proof_at(asked, 0, JOBS_KEYS, require="ticking")[0] == strict


def test_a_paused_loop_meets_the_strict_question(asked: Asked) -> None:
    asked.read = replace(READ, loop_enabled=False)
    code, proof = proof_at(asked, 0, require="ticking")
    assert (code, proof["proof"]["verdict"]) == (200, "PAUSED")
