"""A job-runner's start on a real log that a job which nobody takes has held the horizon back on.

Source: S7; docs/adr/0027.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autonomy.chain import RunRecord, sealed_record
from autonomy.events import Head, PlannerRun
from autonomy.snapshot_files import RefusedSnapshot, SnapshotFolder
from autonomy.topics import JOBS, RUNNERS, RUNS
from job_runner.app import Runner, build_runner
from job_runner.settings import RunnerSettings
from job_runner.starting import bytes_of_start
from support.builders import an_id
from support.changes import replace
from support.log import fresh_topics, store
from support.research import NoWorker
from support.servers import Broker
from support.stored_log import Stored, run_record, stored_log
from support.ticks import TickDriver, a_seal, stored

pytestmark = pytest.mark.servers
READ = (RUNS, JOBS, RUNNERS)
BEATS = 3_000


def a_log() -> TickDriver:
    """Two bots whose baselines nobody takes, and a runner that beats and beats."""
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0", "bot-1")
    driver.tick()
    assert driver.live(), "a job that waits"
    for _ in range(3):
        for _ in range(BEATS // 3):
            driver.beat()
        driver.tick(after_ms=60_000)
    return driver


def later(driver: TickDriver) -> None:
    driver.beat()
    driver.claim(driver.live()[0], "runner-2")
    driver.tick(after_ms=60_000)


def new_in(driver: TickDriver, before: list[Stored]) -> list[Stored]:
    known = {(record.topic, record.partition, record.offset) for record in before}
    return [record for record in stored_log(driver) if (record.topic, record.partition, record.offset) not in known]


class Begun:
    """What a runner process stands on that has read the log to its end."""

    def __init__(self, bootstrap: str, folder: Path | None) -> None:
        self.records, self.check, self.content = 0, "", b""
        self.jobs: dict[str, Any] = {}
        asyncio.run(self.read(bootstrap, folder))

    async def read(self, bootstrap: str, folder: Path | None) -> None:
        runner: Runner = await build_runner(RunnerSettings(kafka=bootstrap, snapshots=folder), NoWorker(), an_id("me"))
        try:
            async for record in runner.reader.to_the_end(READ):
                runner.take(record)
                self.records += 1
            self.tick, self.jobs, self.fault = runner.chain.head.tick, runner.queue.fold.jobs, runner.reader.fault
            self.content = bytes_of_start(runner.queue, runner.marks, runner.chain, runner.reader.positions)
            runner.keeper.check(runner.chain)
        except RefusedSnapshot as refusal:
            self.check = str(refusal)
        finally:
            await runner.reader.close()
            await runner.producer.stop()


@pytest.fixture
def kept(broker: Broker, tmp_path: Path) -> tuple[str, TickDriver, Path]:
    """A broker with a log, and the snapshot of a runner that had read all of it; then a little more came."""
    fresh_topics(broker.bootstrap)
    driver = a_log()
    before = stored_log(driver)
    store(broker.bootstrap, before)
    first = Begun(broker.bootstrap, None)
    SnapshotFolder(tmp_path / "kept").write(first.tick, first.content)
    later(driver)
    store(broker.bootstrap, new_in(driver, before))
    return broker.bootstrap, driver, tmp_path / "kept"


def test_a_start_reads_what_came_after_its_snapshot(kept: tuple[str, TickDriver, Path]) -> None:
    """And it stands on the very same as one that read from the horizon: the negative control, which reads all."""
    bootstrap, _, folder = kept
    whole, quick = Begun(bootstrap, None), Begun(bootstrap, folder)
    assert whole.records > BEATS
    assert quick.records < 20
    assert quick.content == whole.content
    assert {job.status.value for job in quick.jobs.values()} == {"QUEUED", "RUNNING"}


def test_one_that_is_older_than_the_horizon_is_not_used(kept: tuple[str, TickDriver, Path]) -> None:
    bootstrap, driver, folder = kept
    before = stored_log(driver)
    for live in driver.live():
        if live.job.claim_id is None:
            driver.claim(live)
    driver.tick(after_ms=60_000)
    for live in driver.live():
        driver.succeed(live)
    for _ in range(2):
        driver.tick(after_ms=1_000)
    store(bootstrap, new_in(driver, before))
    begun, whole = Begun(bootstrap, folder), Begun(bootstrap, None)
    assert (begun.records, begun.content) == (whole.records, whole.content)
    assert whole.records < BEATS, "the horizon has moved on"


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def gone(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("hurt", [damaged, gone])
def test_a_damaged_one_costs_time_only(
    kept: tuple[str, TickDriver, Path], hurt: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    bootstrap, _, folder = kept
    hurt(SnapshotFolder(folder).files()[0])
    begun = Begun(bootstrap, folder)
    assert begun.records > BEATS
    assert begun.content == Begun(bootstrap, None).content
    assert "is not used, the log is read from an older one or from the horizon" in caplog.text


def test_one_of_another_log_is_not_used(kept: tuple[str, TickDriver, Path], caplog: pytest.LogCaptureFixture) -> None:
    """Also where that log is as long: another seal stands at its head."""
    bootstrap, _, folder = kept
    for driver, why in (
        (a_log_of("bot-0"), "the log lost records"),
        (a_log_of("bot-7", "bot-8", beats=BEATS + 10, ticks=9), "not the anchor"),
    ):
        fresh_topics(bootstrap)
        store(bootstrap, stored_log(driver))
        assert Begun(bootstrap, folder).content == Begun(bootstrap, None).content
        assert why in caplog.text


def a_log_of(*bots: str, beats: int = 2, ticks: int = 2) -> TickDriver:
    driver = TickDriver()
    driver.runner()
    driver.register(*bots)
    driver.tick()
    for _ in range(beats):
        driver.beat()
    for _ in range(ticks):
        driver.tick(after_ms=60_000)
    return driver


def beside(driver: TickDriver, ticks: int) -> list[RunRecord]:
    """The log's chain with the last seal but one damaged, and seals of a chain that goes on before it, as after a repair."""
    runs, head = list(driver.runs), driver.heads[driver.chain.head.tick - 2]
    lost = driver.heads[head.tick + 1].offset
    runs[lost] = replace(runs[lost], value=b"{}")
    for number in range(ticks):
        seal = a_seal(head, [], f"beside-{number}", now_ms=driver.now_ms, cut=driver.chain.cut, horizon=driver.heads[0])
        runs += stored([seal], len(runs))
        event = sealed_record(seal).event
        assert isinstance(event, PlannerRun)
        head = Head(tick=event.tick, offset=len(runs) - 1, hash=event.hash)
    return runs


def test_one_whose_head_was_given_up_is_deleted_and_the_next_start_is_at_the_horizon(kept: tuple[str, TickDriver, Path]) -> None:
    bootstrap, driver, folder = kept
    SnapshotFolder(folder).write(driver.chain.head.tick, Begun(bootstrap, folder).content)
    fresh_topics(bootstrap)
    store(bootstrap, [record for record in stored_log(driver) if record.topic != RUNS])
    store(bootstrap, map(run_record, beside(driver, 5)))
    begun = Begun(bootstrap, folder)
    assert "a snapshot that the chain did not follow, all of them are deleted" in begun.check
    assert SnapshotFolder(folder).files() == []
    again = Begun(bootstrap, folder)
    assert (again.check, again.tick) == ("", driver.chain.head.tick + 3)
