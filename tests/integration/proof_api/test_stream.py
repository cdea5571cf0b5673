"""The stream: a change arrives within a second, the proof each second, and a stopping server lets go.

Source: docs/architecture.md, "Honesty".
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import pytest

from support.documented import event_faults
from support.log import fresh_topics
from support.platform import a_platform, fleet, quick_policy, wait_for
from support.proof import Api
from support.servers import Broker, Database

pytestmark = pytest.mark.servers
MAX_CLIENTS = 64


@pytest.fixture(scope="module")
def api(broker: Broker, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    fresh_topics(broker.bootstrap)
    database.empty()
    with a_platform(broker, database, tmp_path_factory.mktemp("stream")) as platform:
        platform.projection()
        api = Api.start(platform)
        platform.planner()
        platform.set_policy(quick_policy())
        platform.register(fleet(3))
        wait_for("the fleet", lambda: platform.one("SELECT count(*) FROM bot_now") == 3)
        api.wait_fresh(verdict="STALLED")
        yield api


@dataclass
class Listener:
    """One open stream, read by a thread of its own."""

    api: Api
    events: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    stop: bool = False

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop = True
        self.thread.join(10)
        assert self.faults == [], "events that are not as the document says"

    def listen(self) -> None:
        name = ""
        try:
            with httpx.stream("GET", f"{self.api.http.base_url}/api/stream", timeout=10) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert answer.headers["cache-control"] == "no-store"
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        self.events.append((time.monotonic(), name, json.loads(line[6:])))
                        self.faults += event_faults(name, self.events[-1][2])
                    if self.stop:
                        return
        except httpx.TransportError:
            pass
        finally:
            self.ended.set()

    def first(self, what: str, condition: Callable[[str, dict[str, Any]], bool], timeout_s: float = 15) -> tuple[float, dict[str, Any]]:
        def found() -> tuple[float, dict[str, Any]] | None:
            return next(((at, body) for at, name, body in list(self.events) if condition(name, body)), None)

        result: tuple[float, dict[str, Any]] = wait_for(what, found, timeout_s, 0.01)
        return result


def test_a_change_of_a_bot_arrives_within_a_second_of_its_row(api: Api) -> None:
    with Listener(api) as listener:
        listener.first("the first proof", lambda name, _: name == "proof")
        answer = threading.Thread(target=lambda: api.command({"type": "hold-bot", "botId": "bot-001", "reason": "look"}))
        answer.start()
        wait_for("the row", lambda: api.platform.one("SELECT reason_code FROM bot_now WHERE bot_id = 'bot-001'") == "ON_HOLD", every_s=0.01)
        in_row = time.monotonic()
        at, body = listener.first(
            "the change", lambda name, body: name == "bots" and any((bot["botId"], bot["reasonCode"]) == ("bot-001", "ON_HOLD") for bot in body["items"])
        )  # fmt: skip
        answer.join()
        assert at - in_row < 1.0
        assert body["more"] is False
        assert body["rev"] == max(bot["rev"] for bot in body["items"])


def test_the_proof_comes_each_second_with_counts(api: Api) -> None:
    with Listener(api) as listener:
        wait_for("four proofs", lambda: sum(name == "proof" for _, name, _ in list(listener.events)) >= 4)
        proofs = [(at, body) for at, name, body in listener.events if name == "proof"]
        assert proofs[3][0] - proofs[0][0] == pytest.approx(3.0, abs=1.5)
        assert set(proofs[0][1]) == {"proof", "counts", "summary", "attention"}
        assert proofs[0][1]["proof"]["status"] == "fresh"
        assert sum(proofs[0][1]["counts"]["state"].values()) == 3


def test_over_the_limit_a_stream_is_refused_and_a_closed_one_makes_room(api: Api) -> None:
    with httpx.Client(base_url=api.http.base_url, timeout=15, limits=httpx.Limits(max_connections=None)) as http:
        streams = [http.send(http.build_request("GET", "/api/stream"), stream=True) for _ in range(MAX_CLIENTS)]
        try:
            assert {stream.status_code for stream in streams} == {200}
            refused = api.get("/api/stream")
            assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "TOO_MANY_STREAMS", "2")
            assert api.get("/api/_proof/autonomy").status_code == 200, "asking goes on"
        finally:
            for stream in streams:
                stream.close()

    def open_again() -> bool:
        with httpx.stream("GET", f"{api.http.base_url}/api/stream", timeout=10) as stream:
            return stream.status_code == 200

    wait_for("room", open_again)


@pytest.mark.parametrize("after", ["-1", "x", str(10**30)])
def test_an_impossible_revision_is_refused(api: Api, after: str) -> None:
    assert api.get(f"/api/stream?after={after}").status_code == 422


def test_a_stopping_server_ends_its_streams_within_three_seconds(api: Api) -> None:
    """Last in this module: the server is gone after it."""
    with Listener(api) as listener:
        listener.first("the first proof", lambda name, _: name == "proof")
        begun = time.monotonic()
        api.service.process.terminate()
        assert listener.ended.wait(10)
        api.service.process.wait(10)
        assert time.monotonic() - begun < 3.5
    assert api.service.process.returncode in {0, -15}
