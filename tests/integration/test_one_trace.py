"""One trace a job, from the tick that enqueued it to the badge that shows it; without an endpoint there is nothing of it.

Source: docs/architecture.md, "Running it".
"""

import asyncio
import contextlib
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typing_extensions import override

from autonomy import telemetry
from autonomy.chain import Chain
from autonomy.envelope import Received, decode, encode
from autonomy.events import CapabilitiesAnnounced, JobCancelled, JobEnqueued, JobFailed, JobStarted, JobSucceeded
from autonomy.log_reader import LogReader
from autonomy.telemetry import TRACING, begin_span, is_traced, record_root, record_span, root_of, start_tracing, traceparent
from autonomy.topics import JOBS, RUNNERS, RUNS
from autonomy.values import Cause, JobType, derived_id
from bots_ui.api.client import ApiEvent
from bots_ui.stream import hub as hub_module
from bots_ui.stream.hub import Hub
from bots_ui.stream.open_page import Client, View
from bots_ui.stream.renderers import Renderers
from job_runner.app import Runner
from job_runner.claims.barrier import Barrier
from job_runner.claims.outbox import Outbox
from job_runner.claims.outcome import Outcome, failed, succeeded
from job_runner.claims.queue import Claim, Queue, Rules, slots_of
from job_runner.paper.session import Marks
from job_runner.settings import RunnerSettings
from job_runner.tracing import JobSpans
from planner.shell import tracing as planner_tracing
from projection import tracing as projection_tracing
from projection.app import Projection
from projection.tracing import RowSpans
from support.builders import a_summary, an_id, an_order, capabilities
from support.platform import LARGE_SUITE, Platform, fleet, quick_policy, wait_for
from support.projections import Rows, a_projection, rows_of
from support.proof import Api
from support.servers import free_port
from support.shell import PARTITIONS, MemoryKafka, a_planner, kafka_of, lead_until
from support.ticks import TickDriver

LONG_AGO_MS = 1_700_000_000_000
PROCESS = an_id("runner-1")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Tracing is on, into memory."""
    monkeypatch.setattr(TRACING, "tracer", None)
    exporter = InMemorySpanExporter()
    provider = start_tracing("test", SimpleSpanProcessor(exporter))
    yield exporter
    provider.shutdown()


# ── the way of a job through all services, over a log in memory ───────────────────────────────────────────────────────


class Research:
    """Work that is done at once, with a result or without."""

    job_types = frozenset({JobType.BACKTEST_BASELINE})
    strategies = None

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails

    async def start(self) -> None: ...

    async def run(self, order: JobEnqueued, on_progress: Any) -> Outcome:
        if self.fails:
            return failed(Cause.STRATEGY_ERROR, "as asked")
        return succeeded(result=a_summary(order.fingerprint))

    def cancel(self, job_id: str) -> None: ...

    async def stop(self, drain_s: float) -> None: ...

    def capabilities(self, process_id: str, slots: int) -> CapabilitiesAnnounced:
        return capabilities().model_copy(update={"process_id": process_id})


def a_client(kafka: MemoryKafka) -> tuple[Any, LogReader]:
    """A client of its own on the broker's log, and its reader."""
    client: Any = MemoryKafka(log=kafka.log)
    return client, LogReader(client, dict.fromkeys(PARTITIONS, 0), asker=client)


def a_runner(kafka: MemoryKafka, *, fails: bool) -> Runner:
    client, reader = a_client(kafka)
    worker, settings = Research(fails=fails), RunnerSettings(beat_s=0.1, research_slots=2)
    rules = Rules(PROCESS, slots_of(settings.slots, worker.job_types), 5_000.0, 100.0, worker.job_types)
    barrier = Barrier(reader, (RUNS, JOBS, RUNNERS))
    return Runner(PROCESS, settings, reader, client, Chain(), Queue(rules), worker, Outbox(client), barrier, Marks())


def a_page() -> tuple[Hub, Client]:
    """A hub with one open page."""
    api: Any = None
    hub = Hub(api, Renderers(lambda *_: "<row>", lambda _: "<head>", lambda _: "", str, str, str, str, str))
    client = Client(View(bots=("aapl-sma",)))
    hub.clients.add(client)
    return hub, client


async def show(projection: Projection, rows: Rows, hub: Hub) -> None:
    """Bring the rows up to the log's end, and the page up to the rows."""
    while await projection.turn():
        pass
    items = [
        {"botId": row["bot_id"], "state": str(row["state"]), "jobId": row["job_id"], "rev": row["rev"]} for row in rows.table("bot_now")
    ]
    hub.take_rows(ApiEvent("bots", {"items": items, "rev": hub.rev + 1, "more": False}))


async def walk(monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> tuple[MemoryKafka, list[Received]]:
    """A tick, its job, its rows and its badge; returns the log, and what was said of the job."""
    driver = TickDriver(now_ms=LONG_AGO_MS)
    driver.runner()
    driver.register("aapl-sma")
    kafka = kafka_of(driver)
    planner = a_planner(kafka)
    await lead_until(planner, lambda: planner.state.head_tick > 0 and bool(planner.state.jobs.rows))
    projection = a_projection(kafka, monkeypatch)
    rows = rows_of(projection)
    hub, page = a_page()
    await show(projection, rows, hub)
    runner = a_runner(kafka, fails=fails)
    async with asyncio.timeout(15):
        while len(said_of_jobs(kafka)) < 2 or runner.tasks:
            await runner.turn()
            await runner.claim()
    await show(projection, rows, hub)
    await projection.writer.close()
    assert page.queue.qsize() == 2
    return kafka, said_of_jobs(kafka)


def said_of_jobs(kafka: MemoryKafka) -> list[Received]:
    found = [decode(stored.value, JOBS) for place, log in kafka.log.items() if place.topic == JOBS for stored in log]
    return [each for each in found if isinstance(each, Received)]


def ids(span: ReadableSpan) -> tuple[int, int | None]:
    """A span's id and its parent's."""
    context = span.get_span_context()
    assert context is not None
    return context.span_id, None if span.parent is None else span.parent.span_id


@pytest.mark.parametrize("fails", [False, True])
async def test_one_trace_from_tick_to_badge(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    kafka, said = await walk(monkeypatch, fails=fails)
    started, result = said
    assert isinstance(started.event, JobStarted)
    assert isinstance(result.event, JobFailed if fails else JobSucceeded)
    job_id = started.event.job_id
    found = spans.get_finished_spans()
    assert Counter(span.name for span in found) == {"tick": 1, "job": 1, "rows": 2, "badge": 2}
    assert {span.context.trace_id for span in found if span.context} == {UUID(job_id).int}
    (tick,), (job,) = [[span for span in found if span.name == name] for name in ("tick", "job")]
    root_id, job_span_id = ids(tick)[0], ids(job)[0]
    assert ids(tick) == (int(derived_id("span", job_id).replace("-", "")[:16], 16), None)
    assert ids(job)[1] == root_id
    rows = {(span.attributes or {})["autonomy.record"]: ids(span)[1] for span in found if span.name == "rows"}
    assert rows == {JobStarted.wire: root_id, result.event.wire: job_span_id}
    assert [ids(span)[1] for span in found if span.name == "badge"] == [root_id, root_id]
    assert (job.attributes or {})["autonomy.outcome"] == ("STRATEGY_ERROR" if fails else "succeeded")
    assert (tick.attributes or {}).items() >= {"autonomy.job": job_id, "autonomy.bot": "aapl-sma", "autonomy.tick": 1}.items()
    assert all(span.start_time is not None and span.end_time is not None and span.start_time <= span.end_time for span in found)
    assert said_by_the_planner_and_not(kafka) == {False}


def said_by_the_planner_and_not(kafka: MemoryKafka) -> set[bool]:
    """Whether records of `autonomy.runs` say anything of a trace."""
    return {b"traceparent" in (stored.value or b"") for place, log in kafka.log.items() if place.topic == RUNS for stored in log}


async def test_without_an_endpoint_nothing_is_recorded_and_records_are_as_ever(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the same way, with tracing off."""
    monkeypatch.setattr(TRACING, "tracer", None)

    def never(*_: object, **__: object) -> Any:
        raise AssertionError("put together for nobody")

    for module, name in (
        (planner_tracing, "record_root"),
        (projection_tracing, "record_span"),
        (hub_module, "begin_span"),
        (hub_module, "root_of"),
    ):
        monkeypatch.setattr(module, name, never)
    kafka, said = await walk(monkeypatch)
    assert spans.get_finished_spans() == ()
    stored = [record.value for place, log in kafka.log.items() if place.topic == JOBS for record in log]
    again = [as_ever(received) for received in said]
    assert (stored, len(again)) == (again, 2)


def as_ever(received: Received) -> bytes:
    """The record as it is written without any trace."""
    event: Any = received.event
    time = datetime.fromisoformat(received.time)
    return encode(event, source=received.source, subject=event.bot_id, time=time, event_id=received.id)


# ── its parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_claim(name: str = "claim-1") -> Claim:
    return Claim(an_order(), 1, an_id(name), 0.0)


async def test_span_of_a_claim_ends_with_its_work_also_when_that_never_began(spans: InMemorySpanExporter) -> None:
    claim, kept = a_claim(), JobSpans()
    started = JobStarted(
        job_id=claim.order.job_id, bot_id=claim.order.bot_id, tick=1, attempt=1, claim_id=claim.claim_id, process_id=PROCESS
    )
    before = kept.parent_of(started)
    work = asyncio.create_task(asyncio.sleep(60))
    kept.begin(claim, work)
    during = kept.parent_of(started)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await asyncio.sleep(0)
    root = root_of(claim.order.job_id)
    assert root is not None
    (span,) = spans.get_finished_spans()
    assert (before, kept.open) == (traceparent(root), {})
    assert during == traceparent(span.context or root) != before
    assert kept.parent_of(started) == before


def test_roots_of_a_tick_are_bounded_and_the_rest_is_counted(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner_tracing, "MAX_ROOTS", 2)
    driver = TickDriver()
    driver.runner()
    driver.register("bot-0", "bot-1", "bot-2")
    planner_tracing.trace_tick(driver.tick().seal, driver.state, 5.0)
    found = spans.get_finished_spans()
    told = [((span.attributes or {})["autonomy.jobs"], (span.attributes or {})["autonomy.jobs_without_root"]) for span in found]
    assert told == [(3, 1), (3, 1)]


def test_record_that_waits_for_its_tick_is_told_with_that_tick_and_the_waiting_are_bounded() -> None:
    step = JobCancelled(job_id=an_id("job"), bot_id="aapl-sma", tick=2, attempt=1, cause=Cause.CANCELLED_BY_OPERATOR)
    kept = RowSpans()
    kept.note(step, "parent", 1)
    assert kept.take(1) == []
    assert [noted.step for noted in kept.take(2)] == [step]
    assert kept.take(2) == []
    for number in range(projection_tracing.MAX_NOTED + 1):
        kept.note(step, "parent", number)
    assert (len(kept.noted), kept.noted[-1].appended_ms) == (projection_tracing.MAX_NOTED, projection_tracing.MAX_NOTED)


def test_sign_of_life_alone_is_no_badge(spans: InMemorySpanExporter) -> None:
    hub, page = a_page()
    row: dict[str, object] = {"botId": "aapl-sma", "state": "BACKTEST_RUNNING", "jobId": an_id("job"), "rev": 1, "lastBeatAt": None}
    changes: list[dict[str, object]] = [
        {}, {"lastBeatAt": "2026-01-01T00:00:00Z"}, {"state": "IDLE", "jobId": None}, {"state": "BLOCKED_BY_GATES"},
    ]  # fmt: skip
    for number, change in enumerate(changes):
        row |= change
        hub.take_rows(ApiEvent("bots", {"items": [dict(row)], "rev": number + 1, "more": False}))
    assert page.queue.qsize() == 4
    assert [(span.attributes or {})["autonomy.state"] for span in spans.get_finished_spans()] == ["BACKTEST_RUNNING", "IDLE"]


@pytest.mark.parametrize("foreign", ["", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-ab-cd-01", "\ud800" * 55])
def test_foreign_nonsense_begins_no_trace(spans: InMemorySpanExporter, foreign: str) -> None:
    record_span("rows", foreign, 1, 2, {})
    assert spans.get_finished_spans() == ()
    assert root_of(foreign) is None


JOBS_ASKED, RATIO = 400, 0.25


def roots_sampled() -> list[bool]:
    roots = [root_of(derived_id("job", number)) for number in range(JOBS_ASKED)]
    return [bool(root.trace_flags.sampled) for root in roots if root]


@pytest.fixture
def a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", str(RATIO))


@pytest.mark.usefixtures("a_quarter", "spans")
def test_ratio_takes_its_share_of_the_jobs_and_a_job_whole(spans: InMemorySpanExporter) -> None:
    sampled = roots_sampled()
    assert RATIO - 0.1 < sum(sampled) / JOBS_ASKED < RATIO + 0.1
    for number in range(JOBS_ASKED):
        record_root("tick", derived_id("job", number), 1, 2, {})
    assert len(spans.get_finished_spans()) == sum(sampled)
    for number, taken in enumerate(sampled):
        root = root_of(derived_id("job", number))
        assert root is not None
        assert begin_span("badge", root, {}).is_recording() == taken


@pytest.mark.usefixtures("a_quarter", "spans")
def test_ratio_of_the_bare_uuid_takes_nothing() -> None:
    """Negative control of `Spread`."""
    assert TRACING.tracer is not None
    assert isinstance(TRACING.tracer.sampler, telemetry.Spread)
    TRACING.tracer.sampler = TRACING.tracer.sampler.chosen
    assert sum(roots_sampled()) == 0


@pytest.mark.parametrize(("variables", "on"), [
    ({}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, False),
])  # fmt: skip
def test_standard_variables_turn_it_on(variables: dict[str, str], on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TRACING, "tracer", None)
    for name in (*telemetry.ENDPOINTS, "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    telemetry.trace_if_asked("test")
    assert is_traced() is on


# ── real processes, and a collector ───────────────────────────────────────────────────────────────────────────────────


class Collector(http.server.ThreadingHTTPServer):
    """Takes OTLP over HTTP: spans by trace, as (service, name, id, parent)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.traces: dict[str, set[tuple[str, str, str, str]]] = {}

    def take(self, body: bytes) -> None:
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            (service,) = [each.value.string_value for each in sent.resource.attributes if each.key == "service.name"]
            for span in [span for scope in sent.scope_spans for span in scope.spans]:
                told = (service.removeprefix("autonomy-"), span.name, span.span_id.hex(), span.parent_span_id.hex())
                self.traces.setdefault(span.trace_id.hex(), set()).add(told)

    def told(self, job_id: str) -> Counter[tuple[str, str]]:
        """Who told what of a job, and how often."""
        return Counter((service, name) for service, name, _, _ in self.traces.get(job_id.replace("-", ""), ()))


class Taking(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.take(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    @override
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the processes started from here on are told of."""
    with Collector() as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        yield server
        server.shutdown()
        serving.join(5)


@contextlib.contextmanager
def an_open_page(platform: Platform, *bots: str) -> Iterator[None]:
    """The Bots page's process, and a page that shows these bots and reads its stream."""
    port, key = free_port(), platform.folder / "session.key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    page = platform.start(
        "bots-ui", "bots_ui", PROOF_API_URL=f"http://127.0.0.1:{platform.api_port}", BOTS_UI_PORT=str(port), SESSION_KEY_FILE=str(key)
    )
    address, stopping = f"http://127.0.0.1:{port}", threading.Event()

    def is_ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{address}/readyz").status_code == 200
        return False

    def read() -> None:
        with contextlib.suppress(httpx.HTTPError), httpx.stream("GET", f"{address}/live", params={"bots": ",".join(bots)}) as answer:
            for _ in answer.iter_bytes():
                if stopping.is_set():
                    return

    page.wait_until("the page's process", is_ready)
    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    yield
    stopping.set()
    reading.join(10)


@pytest.mark.servers
def test_real_processes_tell_one_trace(platform: Platform, collector: Collector) -> None:
    bots = fleet(2)
    api = Api.start(platform)
    platform.planner()
    platform.projection()
    platform.runner()
    # A job that ends within a moment is one change of its row, and no page shows it running: these last about a second.
    platform.set_policy(quick_policy(suite=LARGE_SUITE))
    with an_open_page(platform, *[str(bot["id"]) for bot in bots]):
        platform.register(bots)
        wanted = Counter({("planner", "tick"): 1, ("job-runner", "job"): 1, ("projection", "rows"): 2, ("bots-ui", "badge"): 1})
        wait_for("results", lambda: platform.one("SELECT count(*) FROM bot_jobs WHERE status = 'SUCCEEDED'") >= 2)
        jobs = [row["id"] for row in platform.sql("SELECT id FROM bot_jobs WHERE status = 'SUCCEEDED'")][:2]
        wait_for("both traces whole", lambda: all(collector.told(job_id) >= wanted for job_id in jobs))
    for job_id in jobs:
        spans = collector.traces[job_id.replace("-", "")]
        (root,) = [span for span in spans if span[1] == "tick"]
        (job,) = [span for span in spans if span[1] == "job"]
        assert (root[3], job[3]) == ("", root[2])
        assert {parent for _, name, _, parent in spans if name == "badge"} == {root[2]}
        assert {parent for _, name, _, parent in spans if name == "rows"} == {root[2], job[2]}
    api.http.close()
