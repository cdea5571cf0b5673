"""A search on a Dask cluster is the very search in one process."""

import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from distributed import LocalCluster

from autonomy.errors import BadInput, Broken
from job_runner.engine.fills import ENGINE_VERSION
from job_runner.search import dask_evaluator
from job_runner.search.arena import prepare
from job_runner.search.dask_evaluator import ClusterLost, DaskEvaluator, score_batch
from job_runner.strategies.coded import by_name
from support.evolution import a_search, a_trending_market, evolve

local_cluster: Callable[..., LocalCluster] = LocalCluster
"""Its constructor has no types."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0", silence_logs=50
    ) as running:
        yield running


@pytest.mark.parametrize("batch", [32, 3])
def test_the_cluster_gives_the_identical_search(batch: int, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_evaluator, "BATCH", batch)
    evaluator = DaskEvaluator(cluster.scheduler_address)
    try:
        there = evolve(a_search(), a_trending_market(1), evaluator=evaluator)
    finally:
        evaluator.close()
    here = evolve(a_search(), a_trending_market(1))
    assert replace(there, elapsed_s=(), searched_s=0.0) == replace(here, elapsed_s=(), searched_s=0.0)


def test_only_the_address_crosses_process_boundaries(cluster: LocalCluster) -> None:
    arena = prepare(a_search(), a_trending_market(1))
    evaluator = DaskEvaluator(cluster.scheduler_address)
    own = arena.case.parameters
    try:
        found = list(evaluator.evaluate(arena.search, [own]))
        copy = pickle.loads(pickle.dumps(evaluator))
        assert copy.address == evaluator.address
        assert list(copy.evaluate(arena.search, [own])) == found
        copy.close()
    finally:
        evaluator.close()


def test_a_worker_with_other_code_is_refused() -> None:
    arena = prepare(a_search(), a_trending_market(1))
    own = (ENGINE_VERSION, by_name("ts-momentum").offer.code_hash)
    assert len(score_batch(arena.search, [arena.case.parameters], own)) == 1
    for code in ((ENGINE_VERSION, "0" * 64), ("0", own[1])):
        with pytest.raises(Broken, match="code of ts-momentum"):
            score_batch(arena.search, [arena.case.parameters], code)


def test_no_cluster_is_said_and_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_evaluator, "CONNECT_S", 0.3)
    with pytest.raises(ClusterLost, match=r"no Dask cluster at tcp://127\.0\.0\.1:9"):
        evolve(a_search(), a_trending_market(1), evaluator=DaskEvaluator("tcp://127.0.0.1:9"))


def test_a_cluster_that_goes_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_evaluator, "CONNECT_S", 1.0)
    arena = prepare(a_search(), a_trending_market(1))
    with local_cluster(n_workers=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=":0", silence_logs=50) as running:
        evaluator = DaskEvaluator(running.scheduler_address)
        assert list(evaluator.evaluate(arena.search, [arena.case.parameters]))
    try:
        with pytest.raises(ClusterLost, match="Dask cluster"):
            list(evaluator.evaluate(replace(arena.search), [arena.case.parameters]))
    finally:
        evaluator.close()


def test_without_the_extra_the_refusal_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInput, match="dask") as refusal:
        evolve(a_search(), a_trending_market(1), evaluator=DaskEvaluator("tcp://127.0.0.1:9"))
    assert refusal.value.field == "EVOLUTION_DASK_ADDRESS"
