"""Real receivers for the notifier (an HTTP endpoint, an SMTP server), and a chain that is written by hand onto a real log."""

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, cast

import httpx
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from typing_extensions import override

from autonomy.chain import GENESIS, Chain, write_records
from autonomy.events import Head, StageChanged
from autonomy.events.tick import TickRecord
from autonomy.values import Stage
from support.builders import NOON_MS, an_id
from support.log import store
from support.platform import Platform, Service, wait_for
from support.servers import Broker, Database, free_port
from support.stored_log import Stored, run_record
from support.ticks import a_seal, stored


@dataclass(frozen=True)
class Notice:
    """A message that a receiver took."""

    title: str
    body: str
    at_s: float = 0.0

    @property
    def key(self) -> str:
        return self.body.rpartition("Key: ")[2].strip()


@dataclass
class Endpoint:
    """A receiver by HTTP.

    Attributes:
        status: what it answers.
        gate: called with each message before it is taken; it may wait.
    """

    server: http.server.ThreadingHTTPServer
    taken: list[Notice] = field(default_factory=list)
    refused: int = 0
    status: int = 200
    gate: Callable[[Notice], None] = lambda _: None

    @property
    def url(self) -> str:
        return f"json://user:{SECRET}@127.0.0.1:{self.server.server_port}/hook/{SECRET}?-token={SECRET}"

    def keys(self) -> "Counter[str]":
        return Counter(notice.key for notice in self.taken)


SECRET = "s3cr3t-of-a-receiver"


@contextmanager
def an_endpoint() -> Iterator[Endpoint]:
    class Taking(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            notice = Notice(document["title"], document["message"], time.monotonic())
            if endpoint.status == 200:
                endpoint.gate(notice)
                endpoint.taken.append(notice)
            else:
                endpoint.refused += 1
            self.send_response(endpoint.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    endpoint = Endpoint(server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """A receiver by SMTP."""

    port: int
    mails: list[Notice] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=autonomy@example.org&to=operator@example.org&mode=insecure"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        part = mail.get_body(("plain", "html"))
        assert part is not None
        self.mails.append(Notice(str(mail["Subject"]), str(part.get_content()).replace("<br/>", "\n")))
        return "250 taken"


@contextmanager
def a_mailbox() -> Iterator[Mailbox]:
    mailbox = Mailbox(free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass
class ChainWriter:
    """Appends accepted ticks, and whatever else, to the log of a broker."""

    broker: Broker
    head: Head = GENESIS
    chain: Chain = field(default_factory=Chain)
    offset: int = 0

    def tick(self, *facts: TickRecord, sealed: bool = True) -> None:
        """A tick with these facts; without its seal none of them counts."""
        tick, name = self.head.tick + 1, f"try/{self.offset}"
        records = write_records(facts, [f"fact-{number}" for number in range(len(facts))], tick, an_id(name), NOON_MS)
        whole = [*records, a_seal(self.head, records, name)] if sealed else records
        placed = stored(whole, self.offset)
        self.put(run_record(record) for record in placed)
        self.offset += len(placed)
        for record in placed:
            done = self.chain.feed(record)
            self.head = done.head if done else self.head
        assert not sealed or self.head.tick == tick, self.chain.last_refusal

    def put(self, records: "Iterator[Stored] | Sequence[Stored]") -> None:
        store(self.broker.bootstrap, records)


def a_revert(bot_id: str, command: str = "revert-1", stage: Stage = Stage.LAB) -> StageChanged:
    return StageChanged(
        event_id=an_id(f"{command}/{bot_id}"), bot_id=bot_id, from_stage=Stage.PAPER, to_stage=stage,
        reason_code="BULK_REVERT_REBASELINE", actor="ada", command_id=an_id(command),
    )  # fmt: skip


def write_rules(file: Path, receivers: dict[str, dict[str, Any]], **sections: Any) -> Path:
    """Rules that tell every receiver everything, unless sections say otherwise; all are told at once."""
    every = {name: {"spacing_s": 0, **receiver} for name, receiver in receivers.items()}
    rules = [{"kinds": ["all"], "to": list(receivers)}]
    file.write_text(yaml.safe_dump({"page": "http://127.0.0.1:5001/", "receivers": every, "rules": rules, **sections}))
    file.chmod(0o600)
    return file


@dataclass
class Stand:
    """A notifier's surroundings: a broker with fresh topics, and services that stop with the test."""

    platform: Platform
    port: int = field(default_factory=free_port)

    @property
    def broker(self) -> Broker:
        return self.platform.broker

    def notifier(self, rules: Path, *, until_ready: bool = True, **environment: str) -> Service:
        service = self.platform.start("notifier", "notifier", NOTIFY_RULES=str(rules), NOTIFIER_PORT=str(self.port), **environment)
        if until_ready:
            service.wait_until("the notifier reads", lambda: self.readiness()["status"] == "ok")
        return service

    def get(self, path: str) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}").text

    def readiness(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/readyz"))
        return found

    def receiver(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(each for each in self.readiness()["receivers"] if each["name"] == name)
        return found

    def until_told(self, endpoint: Endpoint, count: int) -> None:
        wait_for(f"{count} messages", lambda: len(endpoint.taken) >= count)


NO_DATABASE = cast("Database", None)
"""The notifier asks none."""
