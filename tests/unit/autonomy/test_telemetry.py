"""Where a process's own metrics can be read, and how often a client library may repeat itself in its log."""

import io
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from autonomy.settings import ServiceSettings
from autonomy.telemetry import CLIENT_KINDS, LOOPBACK, JsonLines, Sparing, serve_metrics

ANOTHER_ADDRESS = "127.0.0.2"
"""Of this machine, and not the one that loopback means: reached only by who listens on all addresses."""


def is_read_at(host: str) -> bool:
    """Whether metrics are served there, on a port that was free."""
    server, thread = serve_metrics(0)
    try:
        with urllib.request.urlopen(f"http://{host}:{server.server_port}/metrics", timeout=5) as answer:
            return b"python_info" in answer.read()
    except urllib.error.URLError:
        return False
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_metrics_are_on_loopback_only_unless_a_setting_says_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METRICS_HOST", raising=False)
    assert is_read_at(LOOPBACK)
    assert not is_read_at(ANOTHER_ADDRESS)


def test_metrics_are_read_from_outside_a_container_when_the_setting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_HOST", "0.0.0.0")
    assert is_read_at(ANOTHER_ADDRESS)
    assert ServiceSettings().metrics_host == "0.0.0.0"


def test_the_setting_is_checked_at_the_start_and_is_loopback_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METRICS_HOST", raising=False)
    assert ServiceSettings().metrics_host == LOOPBACK
    monkeypatch.setenv("METRICS_HOST", "")
    with pytest.raises(ValidationError, match="METRICS_HOST"):
        ServiceSettings()


def lines_of(sparing: Sparing | None, say: Callable[[logging.Logger], None], name: str = "aiokafka.conn") -> list[dict[str, Any]]:
    """What a process writes of what somebody says."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines("test"))
    if sparing is not None:
        handler.addFilter(sparing)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        say(logger)
    finally:
        logger.removeHandler(handler)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def storm(logger: logging.Logger) -> None:
    for number in range(10_000):
        logger.error("Unable connect to %s", number)
    logger.error("Topic %s not found", "a")


def test_a_client_that_lost_its_server_says_so_a_few_times() -> None:
    written = lines_of(Sparing(lines=3), storm)
    assert [line["message"] for line in written] == [*(f"Unable connect to {number}" for number in range(3)), "Topic a not found"]
    assert {line["level"] for line in written} == {"warning"}, "it mends that by itself"


def test_without_the_filter_every_line_is_written() -> None:
    """Negative control."""
    assert len(lines_of(None, storm)) == 10_001


def test_what_was_left_out_is_counted_once_the_window_is_over() -> None:
    def say(logger: logging.Logger) -> None:
        storm(logger)
        sparing.window_ms = 0
        logger.error("Unable connect to %s", "x")

    sparing = Sparing(lines=3)
    assert lines_of(sparing, say)[-1]["leftOut"] == 9_997


def test_lines_of_our_own_are_all_written() -> None:
    written = lines_of(Sparing(lines=3), storm, "planner.shell.app")
    assert (len(written), written[0]["level"]) == (10_001, "error")


def test_kinds_of_lines_are_bounded() -> None:
    def say(logger: logging.Logger) -> None:
        for number in range(CLIENT_KINDS * 2):
            logger.error(f"words {number}")  # noqa: G004

    sparing = Sparing()
    lines_of(sparing, say)
    assert len(sparing.kinds) == CLIENT_KINDS
