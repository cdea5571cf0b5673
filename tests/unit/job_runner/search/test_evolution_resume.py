"""A killed search goes on with the very same trials, and believes no checkpoint that isn't its own."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from typing_extensions import override

from autonomy.artifacts import ArtifactStore
from autonomy.errors import BadInput
from autonomy.strategies import Value, canonical
from job_runner.pool.research_worker import ResearchWorker
from job_runner.search.checkpoints import FORGOTTEN_S, Checkpoint, CheckpointRefused, FileCheckpoints, pack, unpack
from job_runner.search.evaluation import InProcess, Scores, SearchCase
from job_runner.search.evolution_job import Surroundings
from job_runner.search.evolution_report import EvolutionReport, summary_of_evolution
from support.evolution import SMALL_SEARCH, a_noise_market, a_plan, a_search, a_trending_market, evolve

LONG_SEARCH = {"population": 12, "generations": 40, "max_evaluations": 480}
KILLED_AFTER = 5

CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from job_runner.search.checkpoints import FileCheckpoints
from support.evolution import a_plan, a_search, a_trending_market, evolve

class Telling(FileCheckpoints):
    def save(self, key, content):
        super().save(key, content)
        print("saved", flush=True)

plan = a_plan(population=12, generations=40, max_evaluations=480)
evolve(a_search(plan), a_trending_market(1), checkpoints=Telling(sys.argv[2]))
print("finished", flush=True)
"""


class Killed(Exception):
    """The process ends here."""


class DiesAfter:
    """Works out so many generations, then dies."""

    def __init__(self, generations: int) -> None:
        self.left = generations
        self.asked: list[str] = []

    def evaluate(self, case: SearchCase, candidates: Sequence[Mapping[str, Value]]) -> Iterator[Scores]:
        if self.left == 0:
            raise Killed
        self.left -= 1
        self.asked += [canonical(candidate) for candidate in candidates]
        return InProcess().evaluate(case, candidates)


def as_told(report: EvolutionReport) -> dict[str, object]:
    """The summary but for its time."""
    return summary_of_evolution(report).model_dump(exclude={"elapsed_s"})


@pytest.fixture
def store(tmp_path: Path) -> FileCheckpoints:
    return FileCheckpoints(str(tmp_path / "checkpoints"))


def interrupted(store: FileCheckpoints, generations: int = 2, seed: int = 1) -> bytes:
    """What a search that died after some generations left behind."""
    with pytest.raises(Killed):
        evolve(a_search(a_plan(**SMALL_SEARCH, seed=seed)), a_trending_market(1), checkpoints=store, evaluator=DiesAfter(generations))
    left = store.load("job-1")
    assert left is not None
    return left


def test_a_search_killed_outright_goes_on_with_the_identical_trials(store: FileCheckpoints) -> None:
    tests = str(Path(__file__).parents[3])
    with subprocess.Popen([sys.executable, "-c", CHILD, tests, store.url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(KILLED_AFTER)]
        child.kill()
        rest = child.stdout.read()
    assert lines == ["saved\n"] * KILLED_AFTER
    assert "finished" not in rest
    order, market = a_search(a_plan(**LONG_SEARCH)), a_trending_market(1)
    resumed = evolve(order, market, checkpoints=store)
    whole = evolve(order, market)
    assert KILLED_AFTER <= resumed.resumed_generations < 40
    assert whole.resumed_generations == 0
    assert resumed.trials_sha256 == whole.trials_sha256
    assert resumed.trials == whole.trials
    assert as_told(resumed) == as_told(whole)
    # Done: there is nothing to go on with.
    assert store.load("job-1") is None


@pytest.mark.parametrize("generations", [1, 2, 3])
def test_what_was_worked_out_is_not_worked_out_again(generations: int, store: FileCheckpoints) -> None:
    order, market = a_search(), a_trending_market(1)
    first, second = DiesAfter(generations), DiesAfter(100)
    with pytest.raises(Killed):
        evolve(order, market, checkpoints=store, evaluator=first)
    resumed = evolve(order, market, checkpoints=store, evaluator=second)
    assert resumed.resumed_generations == generations
    assert not set(first.asked) & set(second.asked)
    assert as_told(resumed) == as_told(evolve(order, market))


def test_a_search_killed_again_and_again_is_still_the_same(store: FileCheckpoints) -> None:
    order, market = a_search(), a_trending_market(1)
    for _ in range(3):
        with pytest.raises(Killed):
            # Replayed generations ask nothing, so each attempt gets one generation further.
            evolve(order, market, checkpoints=store, evaluator=DiesAfterOne())
    assert as_told(evolve(order, market, checkpoints=store)) == as_told(evolve(order, market))


class DiesAfterOne(DiesAfter):
    """Dies in the second generation that has anything to work out."""

    def __init__(self) -> None:
        super().__init__(1)

    @override
    def evaluate(self, case: SearchCase, candidates: Sequence[Mapping[str, Value]]) -> Iterator[Scores]:
        return super().evaluate(case, candidates) if candidates else iter(())


def torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def empty(content: bytes) -> bytes:
    return b""


def of_another_form(content: bytes) -> bytes:
    identity = json.loads(content.split(b"\n")[1])["identity"]
    body = orjson.dumps({"identity": identity, "names": 3}) + b"\n"
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


@pytest.mark.parametrize("damage", [torn, flipped, empty, of_another_form])
def test_a_damaged_checkpoint_is_refused_and_the_search_starts_again(damage: object, store: FileCheckpoints) -> None:
    store.save("job-1", damage(interrupted(store)))  # type: ignore[operator]
    order, market = a_search(), a_trending_market(1)
    report = evolve(order, market, checkpoints=store)
    assert report.checkpoint_refused
    assert report.resumed_generations == 0
    assert as_told(report) == as_told(evolve(order, market))


def test_a_checkpoint_of_another_search_is_refused(store: FileCheckpoints) -> None:
    order, market = a_search(), a_trending_market(1)
    costlier = replace(order, research=replace(order.research, fee_bps=11.0))
    for other, bars in ((a_search(a_plan(**SMALL_SEARCH, seed=2)), market), (order, market.changed_at(2_900)), (costlier, market)):
        left = interrupted(store)
        report = evolve(other, bars, checkpoints=store)
        assert "another search" in report.checkpoint_refused
        assert as_told(report) == as_told(evolve(other, bars))
        # Negative control: for its own search the same bytes are good.
        store.save("job-1", left)
        assert evolve(order, market, checkpoints=store).resumed_generations == 2


def test_a_checkpoint_whose_trials_this_seed_does_not_draw_is_refused(store: FileCheckpoints) -> None:
    interrupted(store, seed=2)
    foreign = store.load("job-1")
    assert foreign is not None
    identity = json.loads(interrupted(store).split(b"\n")[1])["identity"]
    other = unpack(foreign, json.loads(foreign.split(b"\n")[1])["identity"])
    store.save("job-1", pack(replace(other, identity=identity)))
    report = evolve(a_search(), a_trending_market(1), checkpoints=store)
    assert "generation 1 is not the one" in report.checkpoint_refused
    assert as_told(report) == as_told(evolve(a_search(), a_trending_market(1)))


def test_the_wall_clock_budget_counts_the_work_of_earlier_attempts(store: FileCheckpoints) -> None:
    checkpoint = interrupted(store)
    head = json.loads(checkpoint.split(b"\n")[1])
    spent = replace(unpack(checkpoint, head["identity"]), elapsed_s=119.999)
    for elapsed_s, stop, generations in ((120.0, "TIME_SPENT", 2), (0.5, "GENERATIONS_DONE", 4)):
        store.save("job-1", pack(replace(spent, elapsed_s=elapsed_s)))
        report = evolve(a_search(), a_trending_market(1), checkpoints=store)
        assert (report.stop_reason, report.generations) == (stop, generations)
        assert report.searched_s >= elapsed_s
        assert summary_of_evolution(report).elapsed_s >= elapsed_s


def test_checkpoints_survive_packing_exactly() -> None:
    scores = Scores((0.1 + 0.2, -1e-300), tuple(i / 7 for i in range(16)), tuple(i / 3 for i in range(16)), usable=True)
    idle = replace(scores, usable=False)
    checkpoint = Checkpoint("ab", 1 / 3, (("{}", "{1}"), ("{}",)), {"{}": scores, "{1}": idle})
    assert unpack(pack(checkpoint), "ab") == checkpoint
    with pytest.raises(CheckpointRefused, match="another search"):
        unpack(pack(checkpoint), "cd")


def test_the_store_replaces_whole_files_and_takes_only_plain_keys(store: FileCheckpoints) -> None:
    assert store.load("a") is None
    store.save("a", b"one")
    store.save("a", b"two")
    assert store.load("a") == b"two"
    assert [path.name for path in Path(store.url).iterdir()] == ["a.checkpoint"]
    store.drop("a")
    store.drop("a")
    assert store.load("a") is None
    for key in ("../a", "", "a/b"):
        with pytest.raises(BadInput, match="job_id"):
            store.load(key)


def test_a_search_without_a_store_keeps_nothing() -> None:
    assert evolve(a_search(), a_noise_market(1)).checkpoint_refused == ""


def test_checkpoints_that_nobody_comes_back_for_are_dropped_and_only_those(store: FileCheckpoints, tmp_path: Path) -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert store.sweep(now) == 0, "there is no folder yet"
    folder = tmp_path / "checkpoints"
    for name, age_s in (("old", FORGOTTEN_S + 60), ("young", FORGOTTEN_S - 60)):
        store.save(name, b"kept")
        (folder / f"{name}.checkpoint.7.part").write_bytes(b"half")
        (folder / f"{name}.txt").write_bytes(b"of somebody else")
        for file in folder.glob(f"{name}.*"):
            os.utime(file, (now.timestamp() - age_s,) * 2)
    assert store.sweep(now) == 2
    assert {file.name for file in folder.iterdir()} == {"old.txt", "young.txt", "young.checkpoint", "young.checkpoint.7.part"}
    store.save("young", b"saved again")
    assert store.sweep(now + timedelta(seconds=FORGOTTEN_S)) == 1, "the unfinished one"
    assert store.load("young") == b"saved again"


async def test_a_runner_that_offers_searches_sweeps_when_it_starts(store: FileCheckpoints, tmp_path: Path) -> None:
    market, artifacts = a_trending_market(1), ArtifactStore(str(tmp_path / "artifacts"))
    store.save("old", b"kept")
    (left,) = (tmp_path / "checkpoints").iterdir()
    os.utime(left, (0, 0))
    worker = ResearchWorker(market, 1, artifacts, 1, Surroundings(store.url))
    try:
        await worker.start()
        assert not left.exists()
    finally:
        await worker.stop(0.0)
