"""The policy document: what is refused, what is hashed."""

from typing import Any

import pytest

from autonomy.errors import BadInput
from autonomy.policy import DEFAULT, LeasePolicy, read_policy
from autonomy.values import Stage

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"surprise": 1}, "surprise"),
    ({"research": {"concurrency": 0}}, "research.concurrency"),
    ({"research": {"concurrency": 1.5}}, "research.concurrency"),
    ({"research": {"surprise": 1}}, "research.surprise"),
    ({"research": {"initial_cash_usd": "1e5"}}, "research.initial_cash_usd"),
    ({"research": {"costs": {"fee_bps": float("nan"), "slippage_bps": 0}}}, "research.costs.fee_bps"),
    ({"tick_interval_s": float("inf")}, "tick_interval_s"),
    ({"tick_interval_s": 0}, "tick_interval_s"),
    ({"promotion_mode": "SOMETIMES"}, "promotion_mode"),
    ({"market": {"mode": "DREAM"}}, "market.mode"),
    ({"market": {"seconds_per_bar": 0}}, "market.seconds_per_bar"),
    ({"market": {"start": "2010-02-30"}}, "market.start"),
    ({"leases": {"lease_s": 15, "beat_s": 3.1}}, "leases"),
    ({"leases": {"lease_s": 15, "claim_deadline_s": 7.5}}, "leases"),
    ({"stages": {"MOON": {}}}, "stages.MOON"),
    ({"stages": {"LAB": {"wants": ["SLEEP"]}}}, "stages.LAB.wants.0"),
    ({"cooldowns": {"after_crash_s": -1}}, "cooldowns.after_crash_s"),
]


@pytest.mark.parametrize(("document", "field"), REFUSED, ids=[f"{n}-{field}" for n, (_, field) in enumerate(REFUSED)])
def test_bad_policy_is_refused_by_field_and_limit(document: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_policy(document)
    assert refusal.value.field.startswith(field)
    assert refusal.value.limit


def test_empty_document_is_the_default() -> None:
    assert read_policy({}) == DEFAULT
    assert read_policy({}).hash() == DEFAULT.hash()


def test_policy_survives_its_own_document() -> None:
    """A policy that an event carried is the one that was set, to the hash."""
    policy = read_policy({"research": {"concurrency": 7}, "market": {"mode": "LIVE"}})
    again = read_policy(policy.model_dump(mode="json"))
    assert again == policy
    assert again.hash() == policy.hash()


def test_any_changed_number_changes_the_hash() -> None:
    changed: list[dict[str, Any]] = [
        {"tick_interval_s": 60.5}, {"research": {"concurrency": 6}}, {"research": {"costs": {"fee_bps": 10.000000001, "slippage_bps": 5}}},
        {"leases": {"lease_s": 16}}, {"market": {"seconds_per_bar": 15.5}}, {"cooldowns": {"max_s": 1}}, {"name": "other"},
        {"stages": {"LAB": {"wants": ["BACKTEST_BASELINE"]}}}, {"quarantine_after_crashes": 4},
    ]  # fmt: skip
    hashes = {read_policy(document).hash() for document in changed}
    assert len(hashes | {DEFAULT.hash()}) == len(changed) + 1


def test_beats_and_deadlines_stay_in_proportion_to_the_lease() -> None:
    """Source: S10, asserted at start."""
    leases = LeasePolicy(lease_s=5, beat_s=1, claim_deadline_s=2.4)
    assert leases.beat_s <= leases.lease_s / 5
    assert leases.claim_deadline_s < leases.lease_s / 2


def test_every_stage_has_a_section() -> None:
    assert set(DEFAULT.stages) == set(Stage)
