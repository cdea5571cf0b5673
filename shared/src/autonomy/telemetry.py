"""Logs, traces, metrics and the garbage collector of a process, set up in one place.

Logs are one JSON object a line. Traces go out only when the standard OTEL_EXPORTER_OTLP_ENDPOINT is set; the context
travels in the envelope's `traceparent`. Metrics are served by prometheus_client where a port is given.
"""

import gc
import json
import logging
import os
import sys
from threading import Thread
from wsgiref.simple_server import WSGIServer

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import start_http_server
from typing_extensions import override

from autonomy.clock import now
from autonomy.values import iso

COLLECT_AFTER = 50_000
"""New objects between two collections of the youngest; a batch of records or a tick makes hundreds of thousands."""
LOOPBACK = "127.0.0.1"
RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("aiokafka", "httpx", "faststream"):
        logging.getLogger(noisy).setLevel("WARNING")
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        provider = TracerProvider(resource=Resource.create({"service.name": f"autonomy-{service}"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
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


def tracer() -> trace.Tracer:
    """The tracer of this process; without an endpoint it does nothing."""
    return trace.get_tracer("autonomy")


def traceparent() -> str | None:
    """The current span as W3C trace context, or None."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
