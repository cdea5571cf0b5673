"""Logs, traces, metrics and the garbage collector of a process, set up in one place.

Logs are one JSON object a line. Metrics are served by prometheus_client where a port is given. Traces go out only when a standard
endpoint variable is set: one trace a job, whose id is the job's id without dashes and whose root's id follows from it too. So every
process finds its place in the trace by the job id alone, and the records that decide say nothing about it; what a runner says of a
claim carries the claim's span in the envelope's `traceparent`.
"""

import gc
import json
import logging
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Thread
from uuid import UUID
from wsgiref.simple_server import WSGIServer

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import start_http_server
from typing_extensions import override

from autonomy.clock import monotonic_ms, now
from autonomy.values import derived_id, iso

COLLECT_AFTER = 50_000
"""New objects between two collections of the youngest; a batch of records or a tick makes hundreds of thousands."""
CLIENTS = ("aiokafka", "httpx", "faststream")
"""Libraries whose own lines are of interest from a warning on, and not thousands of times."""
CLIENT_LINES = 3
CLIENT_WINDOW_MS = 10_000.0
CLIENT_KINDS = 200
LOOPBACK = "127.0.0.1"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
Attributes = Mapping[str, str | int]
RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Sparing(logging.Filter):
    """What a client library says again and again: the first lines of a kind, then how many were left out.

    A client that lost its server repeats itself for each request that it tries again, thousands of times a second; and it calls an
    error what it mends by itself. What it means is said by whoever uses the client.

    Args:
        lines: of one kind (a logger and the words before their values are put in), in `window_ms`.
    """

    def __init__(self, lines: int = CLIENT_LINES, window_ms: float = CLIENT_WINDOW_MS) -> None:
        super().__init__()
        self.lines, self.window_ms = lines, window_ms
        self.kinds: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write it; lines of our own are always written."""
        if not record.name.startswith(CLIENTS):
            return True
        if record.levelno == logging.ERROR:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        kind, mono_ms = (record.name, str(record.msg)[:200]), monotonic_ms()
        began_ms, count = self.kinds.pop(kind, (mono_ms, 0))
        if mono_ms - began_ms >= self.window_ms:
            if count > self.lines:
                record.leftOut = count - self.lines
            began_ms, count = mono_ms, 0
        self.kinds[kind] = began_ms, count + 1
        if len(self.kinds) > CLIENT_KINDS:
            self.kinds.popitem(last=False)
        return count < self.lines


class JsonLines(logging.Formatter):
    """One record, one line: control characters of foreign text are escaped by JSON."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    @override
    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        document: dict[str, object] = {
            "time": iso(now()),
            "level": record.levelname.lower(),
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        document |= {name: value for name, value in vars(record).items() if name not in RESERVED}
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str, ensure_ascii=True)


def set_up(service: str, level: str = "INFO", metrics_port: int = 0) -> None:
    """Configure a process: JSON lines on standard error, traces and metrics if asked for, fewer collections."""
    spare_collector()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    handler.addFilter(Sparing())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in CLIENTS:
        logging.getLogger(noisy).setLevel("WARNING")
    trace_if_asked(service)
    if metrics_port:
        serve_metrics(metrics_port)


def serve_metrics(port: int) -> tuple[WSGIServer, Thread]:
    """Serve this process's metrics on loopback, or where METRICS_HOST says: on a container's own addresses, for its Prometheus.

    Read here and not handed in, as OpenTelemetry's settings are, so that one place holds for every service.
    """
    return start_http_server(port, addr=os.environ.get("METRICS_HOST", LOOPBACK))


def spare_collector() -> None:
    """Let the garbage collector leave alone what is there now, and look less often.

    What services keep is immutable entities and rows without cycles; with the default threshold of 700 the collector would look
    through them hundreds of times per tick or batch.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 100)


# ── one trace a job ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Tracing:
    """Whether this process traces, and with what."""

    tracer: Tracer | None = None


TRACING = Tracing()
_ROOT: ContextVar[SpanContext | None] = ContextVar("root", default=None)


class JobIds(RandomIdGenerator):
    """Ids of the span that starts: those of the job's root while one is begun, else random."""

    @override
    def generate_trace_id(self) -> int:
        """The job's, or a random one."""
        root = _ROOT.get()
        return super().generate_trace_id() if root is None else root.trace_id

    @override
    def generate_span_id(self) -> int:
        """The root's, or a random one."""
        root = _ROOT.get()
        return super().generate_span_id() if root is None else root.span_id

    @override
    def is_trace_id_random(self) -> bool:
        """Not said: the flag would have to be the same in every process."""
        return False


class Spread(Sampler):
    """The sampler that the standard variables ask for, told a trace id without a uuid's fixed bits.

    They stand first in the half by which a ratio decides: any ratio below a half would take nothing, any above three quarters all.
    """

    def __init__(self, chosen: Sampler) -> None:
        self.chosen = chosen

    @override
    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Mapping[str, object] | None = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """What the chosen one says of the 56 lowest bits, which are random in a uuid."""
        spread = trace_id << 8 & (1 << 128) - 1
        return self.chosen.should_sample(parent_context, spread, name, kind, attributes, links, trace_state)  # type: ignore[arg-type]

    @override
    def get_description(self) -> str:
        """As the chosen one."""
        return self.chosen.get_description()


def trace_if_asked(service: str) -> None:
    """Trace from now on, if a standard variable names an endpoint."""
    if any(os.environ.get(name) for name in ENDPOINTS):
        start_tracing(service, BatchSpanProcessor(OTLPSpanExporter()))


def start_tracing(service: str, processor: SpanProcessor) -> TracerProvider:
    """Trace from now on, to where the processor sends it."""
    provider = TracerProvider(resource=Resource.create({"service.name": f"autonomy-{service}"}), id_generator=JobIds())
    provider.sampler = Spread(provider.sampler)
    provider.add_span_processor(processor)
    found = provider.get_tracer("autonomy")
    TRACING.tracer = found if isinstance(found, Tracer) else None
    return provider


def is_traced() -> bool:
    """Whether this process traces; what only a trace needs is not even put together otherwise."""
    return TRACING.tracer is not None


def root_of(job_id: str) -> SpanContext | None:
    """The root of a job's trace, whether or not it was recorded yet; None while tracing is off, and of what is no job id."""
    tracer = TRACING.tracer
    if tracer is None:
        return None
    try:
        trace_id = UUID(job_id).int
    except ValueError:
        return None
    # Never zero: the version of a uuid5 stands in its first half.
    span_id = int(derived_id("span", job_id).replace("-", "")[:16], 16)
    # Decided here as for the root itself, so that all processes with the same settings agree about a trace.
    sampled = tracer.sampler.should_sample(Context(), trace_id, "tick").decision is Decision.RECORD_AND_SAMPLE
    root = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT))
    return root if root.is_valid else None


def record_root(name: str, job_id: str, start_ms: float, end_ms: float, attributes: Attributes) -> None:
    """Record the root of a job's trace, once it is known that the job exists."""
    tracer, root = TRACING.tracer, root_of(job_id)
    if tracer is None or root is None:
        return
    token = _ROOT.set(root)
    try:
        span = tracer.start_span(name, Context(), start_time=_ns_of(start_ms), attributes={"autonomy.job": job_id, **attributes})
    finally:
        _ROOT.reset(token)
    span.end(_ns_of(end_ms))


def begin_span(name: str, parent: SpanContext, attributes: Attributes, start_ms: float | None = None) -> Span:
    """Begin a span below another, which may be another process's; whoever begins it ends it."""
    context = set_span_in_context(NonRecordingSpan(parent), Context())
    if TRACING.tracer is None:
        return NonRecordingSpan(parent)
    return TRACING.tracer.start_span(name, context, start_time=None if start_ms is None else _ns_of(start_ms), attributes=attributes)


def record_span(name: str, parent: str, start_ms: float, end_ms: float, attributes: Attributes) -> None:
    """Record a span that is over, below the one that a record names in its `traceparent`; foreign nonsense is left out."""
    found = TraceContextTextMapPropagator().extract({"traceparent": parent}, Context())
    above = get_current_span(found).get_span_context()
    if above.is_valid:
        begin_span(name, above, attributes, start_ms).end(_ns_of(end_ms))


def traceparent(context: SpanContext) -> str:
    """A span as W3C trace context."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _ns_of(ms: float) -> int:
    return round(ms * 1_000_000)
