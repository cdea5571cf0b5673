"""OAUTHBEARER on a real broker: a token lets every client of the project in, a wrong one is refused in words that name its setting.

The broker checks signature, audience and time by the issuer's key set, and ends each connection with its token.

Source: R-G1, R-G2.
"""

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from aiokafka.conn import OAuthAuthenticator
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr
from typing_extensions import override

from autonomy import kafka, kafka_clients
from autonomy.cluster import check_log
from autonomy.errors import Retryable
from autonomy.kafka import Outgoing, append_batch, build_producer, ensure_topics
from autonomy.kafka_access import KafkaAccess, Protocol
from autonomy.log_reader import LogReader
from autonomy.producer import Producer
from autonomy.topics import COMMANDS, TOPICS
from proof_api.voice import Voice, start_broker
from support.oauth import BearerBroker, Issuer, a_bearer_broker
from support.platform import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.long]
TOKEN_S = 12
"""The life of a token that is to end in a test: long enough for a busy machine to connect and to write."""
REFUSED = "Kafka did not let this client in for 0 s: KAFKA_OAUTH_TOKEN_FILE: the broker refuses it: "


@pytest.fixture(scope="module")
def bearer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BearerBroker]:
    with a_bearer_broker(tmp_path_factory.mktemp("bearer")) as broker:
        asyncio.run(ensure_topics(broker.access("maker", broker.issuer.token()), TOPICS))
        yield broker


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service waits two minutes for a door to open; here once is enough."""
    monkeypatch.setattr(kafka, "CONNECT_TIMEOUT_S", 0)


async def read_until(reader: LogReader, value: bytes) -> None:
    while not any(record.value == value for record in await reader.poll(300)):
        pass


async def goes_around(access: KafkaAccess, value: bytes) -> None:
    """A record is written and read by the project's own clients."""
    producer = await build_producer(access)
    try:
        await append_batch(producer, COMMANDS, 0, [Outgoing(b"k", value)])
    finally:
        await producer.stop()
    async with await LogReader.open(access, {COMMANDS: [0]}) as reader:
        await read_until(reader, value)


async def test_a_good_token_writes_and_reads(bearer: BearerBroker) -> None:
    access = bearer.access("good", bearer.issuer.token())
    await check_log(access)
    await goes_around(access, b"by a token")
    voice = Voice(access)
    await voice.ready()
    await voice.say(COMMANDS, b"k", b"by FastStream", 20)
    await voice.close()
    async with await LogReader.open(access, {COMMANDS: [0]}) as reader:
        await read_until(reader, b"by FastStream")


WRONG: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(-5), "of another issuer": lambda _: Issuer().token(),
    "for another audience": lambda issuer: issuer.token(aud="elsewhere"), "no token": lambda _: "nonsense",
    "of nobody": lambda issuer: issuer.token(sub=""),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
async def test_a_wrong_token_is_refused_in_words_that_name_the_setting(
    bearer: BearerBroker, at_once: None, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """It was taken for a welcome: a producer never came up, and nobody said why."""
    access = bearer.access("wrong", WRONG[kind](bearer.issuer))
    with pytest.raises(Retryable) as refusal:
        await check_log(access)
    assert str(refusal.value).startswith(REFUSED), refusal.value
    assert "invalid_token" in str(refusal.value)
    for build in (build_producer, start_broker):
        async with asyncio.timeout(20):
            with pytest.raises((Retryable, KafkaConnectionError), match="KAFKA_OAUTH_TOKEN_FILE: the broker refuses it"):
                await build(access)
    assert "KAFKA_OAUTH_TOKEN_FILE: the broker refuses it" in caplog.text, "and in the log, each time"
    assert access.token_file is not None
    assert access.token_file.read_text().strip() not in caplog.text + str(refusal.value), "a token is not said"
    access.token_file.write_text(bearer.issuer.token())
    await check_log(access)


async def test_a_file_without_a_token_is_named(bearer: BearerBroker, at_once: None) -> None:
    access = bearer.access("empty", "")
    with pytest.raises(Retryable, match=r"KAFKA_OAUTH_TOKEN_FILE: .* is empty"):
        await check_log(access)
    assert access.token_file is not None
    access.token_file.unlink()
    with pytest.raises(Retryable, match=r"KAFKA_OAUTH_TOKEN_FILE: .*No such file"):
        await check_log(access)
    access.token_file.write_bytes(b"\xff\xfe")
    with pytest.raises(Retryable, match=r"KAFKA_OAUTH_TOKEN_FILE: .*can't decode"):
        await check_log(access)


async def test_negative_control_the_client_alone_takes_a_refusal_for_a_welcome(
    bearer: BearerBroker, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, the client has learnt better, and `Bearer` can go."""
    monkeypatch.setattr(kafka_clients, "Bearer", OAuthAuthenticator)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await build_producer(bearer.access("unheard", bearer.issuer.token(-5)))


async def test_a_token_that_is_renewed_in_its_file_is_taken_when_the_connection_ends(bearer: BearerBroker) -> None:
    """Clients that stay open: the broker ends their connections with the first token, and they come back with the second."""
    ends_s = time.time_ns() / 1e9 + TOKEN_S
    access = bearer.access("renewed", bearer.issuer.token(TOKEN_S))
    assert access.token_file is not None
    producer = await Producer.open(lambda: build_producer(access))
    async with await LogReader.open(access, {COMMANDS: [0]}) as reader:
        try:
            await append_batch(producer, COMMANDS, 0, [Outgoing(b"k", b"by the first")])
            await read_until(reader, b"by the first")
            assert time.time_ns() / 1e9 < ends_s, "the first token held until here"
            access.token_file.write_text(bearer.issuer.token())
            while time.time_ns() / 1e9 < ends_s + 1:
                await reader.poll(300)
            await append_batch(producer, COMMANDS, 0, [Outgoing(b"k", b"by the second")])
            async with asyncio.timeout(30):
                await read_until(reader, b"by the second")
        finally:
            await producer.stop()


async def test_a_token_that_nobody_renews_ends_the_connection(bearer: BearerBroker, caplog: pytest.LogCaptureFixture) -> None:
    """Negative control of the renewed one: the same without a second token writes and reads nothing more, and says why."""
    access = bearer.access("ended", bearer.issuer.token(TOKEN_S))
    async with await LogReader.open(access, {COMMANDS: [0]}) as reader:
        await reader.poll(300)
        await asyncio.to_thread(ended, bearer, access)
        await goes_around(bearer.access("another", bearer.issuer.token()), b"after its end")
        deadline = time.monotonic() + 40
        while "KAFKA_OAUTH_TOKEN_FILE: the broker refuses it" not in caplog.text:
            assert not any(record.value == b"after its end" for record in await reader.poll(300))
            assert time.monotonic() < deadline, "nobody says why nothing comes"


def ended(bearer: BearerBroker, access: KafkaAccess) -> None:
    """Wait until a new connection is refused: the token's time is over."""

    def refused() -> bool:
        try:
            asyncio.run(check_log(access))
        except Retryable:
            return True
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "CONNECT_TIMEOUT_S", 0)
        wait_for("the token's end", refused, every_s=0.5)


@contextmanager
def a_token_server(*answers: dict[str, object]) -> Iterator[tuple[str, list[str]]]:
    """An OAuth 2 server that gives these answers in turn, the last one for ever; and what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            content = json.dumps(answers[min(len(asked), len(answers)) - 1]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        @override
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token", asked
    finally:
        server.shutdown()
        server.server_close()


def access_by_server(bearer: BearerBroker, url: str) -> KafkaAccess:
    return KafkaAccess(
        servers=bearer.broker.bootstrap, protocol=Protocol.SASL_PLAINTEXT, mechanism="OAUTHBEARER", token_url=url, client_id="planner",
        client_secret=SecretStr("canary-7b1e"), scope="log",
    )  # fmt: skip


async def test_tokens_come_from_a_server_by_client_credentials(bearer: BearerBroker) -> None:
    with a_token_server({"access_token": bearer.issuer.token(), "expires_in": 3_600}) as (url, asked):
        await goes_around(access_by_server(bearer, url), b"by a server's token")
    assert set(asked) == {"grant_type=client_credentials&client_id=planner&client_secret=canary-7b1e&scope=log"}


async def test_a_servers_token_that_is_refused_is_asked_for_anew(bearer: BearerBroker, caplog: pytest.LogCaptureFixture) -> None:
    """It was kept for as long as the server said that it lives."""
    expired, good = ({"access_token": bearer.issuer.token(life_s), "expires_in": 3_600} for life_s in (-5, 3_600))
    with a_token_server({"error": "invalid_client"}, expired, good) as (url, _):
        async with asyncio.timeout(30):
            producer = await build_producer(access_by_server(bearer, url))
        await producer.stop()
    assert "KAFKA_OAUTH_TOKEN_URL: the server gave no token" in caplog.text
    assert "KAFKA_OAUTH_TOKEN_URL: the broker refuses it: " in caplog.text
    assert "canary-7b1e" not in caplog.text
