"""Where a process's own metrics can be read."""

import urllib.error
import urllib.request

import pytest
from pydantic import ValidationError

from autonomy.settings import ServiceSettings
from autonomy.telemetry import LOOPBACK, serve_metrics

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
