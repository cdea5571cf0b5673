"""What Prometheus reads of the platform: void is never an error, and never hidden.

Source: S3, S8.
"""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from autonomy import clock
from autonomy.policy import DEFAULT
from autonomy.version import VERSION
from proof_api.commands.desk import Desk
from proof_api.context import Context
from proof_api.http.auth import Operators
from proof_api.metrics import render
from proof_api.proof.judging import ReadFacts
from proof_api.proof.watch import Watch
from proof_api.reading.snapshot import Picture, Snapshots
from proof_api.settings import ProofSettings
from proof_api.voice import Voice
from support.builders import an_id

COUNTED = {"void_records": 3, "void_seals": 2, "void_steps": 5, "quarantined": 1}
NAMES = {
    "autonomy_void_records": 3.0, "autonomy_void_seals": 2.0, "autonomy_void_steps": 5.0, "autonomy_quarantined_records": 1.0,
}  # fmt: skip
BODY = {"running": {"backtest": 0}, "queued": {"backtest": 0}}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    settings = ProofSettings(database_url="postgresql://reader@127.0.0.1:1/autonomy")
    voice = Voice(settings.kafka)
    watch = Watch(settings.kafka, an_id("proof-api"), voice)
    watch.seen_mono_ms = clock.monotonic_ms()
    return Context(settings, Snapshots(settings.database_url, 15), watch, None, Operators(tmp_path / "operators.json"), Desk(voice))


def show(context: Context, counted: dict[str, int]) -> dict[str, float]:
    """The samples without labels, once a picture has these counts."""
    read = ReadFacts(applied_tick=7, body=BODY)
    policy = DEFAULT.model_dump(mode="json")
    context.snapshots.problem = ""
    context.snapshots.picture = Picture(clock.monotonic_ms(), 1, read, {}, (), policy, None, counted, clock.now_ms())
    return samples(context)


def samples(context: Context) -> dict[str, float]:
    families = text_string_to_metric_families(render(context)[0].decode())
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def test_what_was_void_or_quarantined_is_said_with_the_applied_tick(context: Context) -> None:
    found = show(context, COUNTED)
    assert {name: found.get(name) for name in NAMES} == NAMES
    assert found["autonomy_applied_tick"] == 7.0


def test_before_the_first_batch_nothing_was_void(context: Context) -> None:
    assert {show(context, {}).get(name) for name in NAMES} == {0.0}


def test_counts_of_rows_that_cannot_be_trusted_are_left_out(context: Context) -> None:
    """Negative control: an old picture is no count of now."""
    show(context, COUNTED)
    context.snapshots.problem = "ConnectionRefusedError"
    found = samples(context)
    assert found["autonomy_proof_up"] == 0.0
    assert not set(NAMES) & set(found)


def test_the_version_is_a_label_and_is_said_before_anything_is_known(context: Context) -> None:
    families = text_string_to_metric_families(render(context)[0].decode())
    found = [sample for family in families for sample in family.samples if sample.name == "autonomy_build_info"]
    assert [(sample.labels, sample.value) for sample in found] == [({"version": VERSION}, 1.0)]
