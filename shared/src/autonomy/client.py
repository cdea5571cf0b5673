"""The proof API as its clients see it: documents in, values out.

Place in the flow: proof-api → **client** → Bots page and command line. An API that refuses or cannot be reached is a value, never an
exception: what is unknown is said, not raised. `Asked` is one question; `answer_of` and `unreachable` are what came of it. The two faces
only carry it: `ProofApi` for a program that does one thing at a time, `AsyncProofApi` for an event loop. Nothing else speaks HTTP to the
API.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import orjson

from autonomy.errors import Broken

COMMAND_TIMEOUT_S: Final = 20.0
"""The API itself waits up to 8 s for Kafka and 5 s for the planner."""
FILE_S: Final = 20.0
"""A file that does not go on for so long is lost."""
PAGE: Final = 200
"""Rows of one page of a list: as many as the API gives at once."""
CONNECTIONS: Final = 32
KEPT_S: Final = 5.0
"""How long an idle connection is kept: less than the API keeps it (`autonomy.http_server.KEEP_ALIVE_S`)."""
NO_JSON: Final = "NO_JSON"
"""The code of an answer that is no JSON object: another program's, or a proxy's."""
Document = Mapping[Any, object]
"""A JSON object as it came; who knows which one it is says so by the type of its keys (`autonomy.documents.keys`)."""
Params = Sequence[tuple[str, str]]


# ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Found:
    """A document. A proof that cannot be trusted is still a proof, and a rejected command is an answer: `status` tells them apart."""

    document: Document
    status: int = field(default=200, compare=False)

    @property
    def words(self) -> str:
        """What to say of it where it is not what was wanted."""
        return str(self.document.get("title", f"HTTP {self.status}"))


@dataclass(frozen=True, slots=True)
class Refused:
    """The API answered, and says why it does not give what was asked for; `document` is the problem as it came."""

    status: int
    code: str
    title: str
    detail: str
    document: Document = field(default_factory=dict, compare=False)

    @property
    def words(self) -> str:
        """The refusal in one line."""
        return f"{self.title}: {self.detail}" if self.detail else self.title


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The API did not answer; what it would have said is unknown.

    Attributes:
        why: in words, without addresses.
        sent: whether the question may have come there; a command may have landed then.
        kind: what the library calls it.
    """

    why: str
    sent: bool = field(default=True, compare=False)
    kind: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """The loss in one line."""
        return f"Can't reach the proof API ({self.why})"


Answer = Found | Refused | Unreachable


class StreamLost(Exception):
    """A stream broke, went silent, or was refused; its text says why, without addresses."""


# ── questions ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Asked:
    """One question.

    Attributes:
        timeout_s: for connecting, and for each part of the answer.
        token: the operator's; None asks as nobody.
    """

    method: str
    path: str
    timeout_s: float
    params: Params = ()
    token: str | None = None
    content: bytes | None = None
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Credential, key and media type, where there are any."""
        said = {
            "Authorization": f"Bearer {self.token}" if self.token else None, "Idempotency-Key": self.key,
            "Content-Type": None if self.content is None else "application/json",
        }  # fmt: skip
        return {name: value for name, value in said.items() if value is not None}


def command_of(document: Document, key: str, token: str | None) -> Asked:
    """The question that says a command; the same key says it once."""
    return Asked("POST", "/api/commands", COMMAND_TIMEOUT_S, token=token, content=content_of(document), key=key)


def content_of(document: Document) -> bytes:
    """A document as the body of a question."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def bot_path(bot_id: str, rest: str = "") -> str:
    """The API's path of a bot."""
    return f"/api/bots/{quote(bot_id, safe='')}{rest}"


def answer_of(response: httpx.Response) -> Found | Refused:
    """A response as a value."""
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        return Refused(response.status_code, NO_JSON, "The proof API gave no JSON", f"HTTP {response.status_code}")
    if response.is_success or not document.keys().isdisjoint({"commandId", "proof"}):
        return Found(document, response.status_code)
    return Refused(
        response.status_code, str(document.get("code", "")), str(document.get("title", f"HTTP {response.status_code}")),
        str(document.get("detail") or ""), document,
    )  # fmt: skip


def unreachable(loss: httpx.HTTPError | httpx.InvalidURL) -> Unreachable:
    """Why the API did not answer."""
    match loss:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            why, sent = "no connection", False
        case httpx.TimeoutException():
            why, sent = "no answer in time", True
        case _:
            why, sent = "the connection broke", True
    return Unreachable(why, sent, type(loss).__name__)


# ── the two faces ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ProofApi:
    """HTTP towards one proof API, for a program that does one thing at a time.

    Attributes:
        url: where it is.
        token: the operator's, where there is one.
        timeout_s: of a question that is no command.
        transport: what carries the questions; None: the network.
    """

    url: str
    token: str | None = None
    timeout_s: float = 10.0
    transport: httpx.BaseTransport | None = None

    def get(self, path: str, params: Params = ()) -> Answer:
        """A document."""
        return self._ask(Asked("GET", path, self.timeout_s, params, self.token))

    def post(self, path: str, document: Document) -> Answer:
        """Ask with a document, where an address would be too long."""
        return self._ask(Asked("POST", path, COMMAND_TIMEOUT_S, token=self.token, content=content_of(document)))

    def command(self, document: Document, key: str) -> Answer:
        """Say a command; the same key says it once."""
        return self._ask(command_of(document, key, self.token))

    def pages(self, path: str, params: Params, limit: int) -> Iterator[Answer]:
        """Pages of a list, the last one included; after an answer that is no page there is none.

        Args:
            path: of the list.
            params: its filters.
            limit: how many rows are wanted at most; 0 means all.
        """
        cursor, left = "", limit
        while True:
            size = min(PAGE, left) if limit else PAGE
            more = [("cursor", cursor)] if cursor else []
            answer = self.get(path, [*params, ("limit", str(size)), *more])
            yield answer
            cursor, left = str(answer.document.get("nextCursor") or "") if isinstance(answer, Found) else "", left - size
            if not cursor or (limit and left <= 0):
                return

    def _ask(self, asked: Asked) -> Answer:
        url = self.url.rstrip("/") + asked.path
        try:
            with httpx.Client(transport=self.transport, timeout=asked.timeout_s, trust_env=False) as http:
                response = http.request(asked.method, url, params=list(asked.params), content=asked.content, headers=asked.headers)
        except (httpx.HTTPError, httpx.InvalidURL) as loss:
            return unreachable(loss)
        return answer_of(response)


@dataclass(slots=True)
class AsyncProofApi:
    """HTTP towards one proof API, for an event loop; one per process.

    Attributes:
        http: its connections.
        own_token: of the process itself; an operator's own comes with each question.
        timeout_s: of a question that is no command.
    """

    http: httpx.AsyncClient
    own_token: str | None = None
    timeout_s: float = 4.0

    async def get(self, path: str, params: Params = ()) -> Answer:
        """A document."""
        return await self._ask(Asked("GET", path, self.timeout_s, params, self.own_token))

    async def whoami(self, token: str) -> Answer:
        """The operator of a token."""
        return await self._ask(Asked("GET", "/api/whoami", self.timeout_s, token=token or self.own_token))

    async def command(self, token: str, document: Document, key: str) -> Answer:
        """Say a command; the same key says it once."""
        return await self._ask(command_of(document, key, token or self.own_token))

    @asynccontextmanager
    async def lines(self, path: str, params: Params, silence_s: float) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a stream, until it ends.

        Args:
            path: of the stream.
            params: where it goes on.
            silence_s: a stream that says nothing for so long is lost.

        Raises:
            StreamLost: it broke, went silent, or was refused.
        """
        async with self._stream(path, params, httpx.Timeout(self.timeout_s, read=silence_s)) as response:
            yield response.aiter_lines()

    @asynccontextmanager
    async def file(self, path: str, params: Params) -> AsyncIterator[AsyncIterator[bytes]]:
        """A file as it comes, in parts.

        Raises:
            StreamLost: it was refused, broke, or did not go on.
        """
        async with self._stream(path, params, httpx.Timeout(FILE_S)) as response:
            yield response.aiter_bytes()

    @asynccontextmanager
    async def _stream(self, path: str, params: Params, limits: httpx.Timeout) -> AsyncIterator[httpx.Response]:
        """An answer that is read while it comes; raises StreamLost for all that keeps it from its end."""
        headers = Asked("GET", path, self.timeout_s, params, self.own_token).headers
        try:
            async with self.http.stream("GET", path, params=list(params), timeout=limits, headers=headers) as response:
                if response.status_code != httpx.codes.OK:
                    raise StreamLost(f"HTTP {response.status_code}")
                yield response
        except httpx.HTTPError as loss:
            raise StreamLost(unreachable(loss).why) from loss

    async def close(self) -> None:
        """Let go of all connections."""
        await self.http.aclose()

    async def _ask(self, asked: Asked) -> Answer:
        try:
            response = await self.http.request(
                asked.method, asked.path, params=list(asked.params), content=asked.content, headers=asked.headers, timeout=asked.timeout_s
            )
        except (httpx.HTTPError, httpx.InvalidURL) as loss:
            return unreachable(loss)
        return answer_of(response)


def open_connections(url: str) -> httpx.AsyncClient:
    """The connections of one process to the API at this address."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEPT_S)
    return httpx.AsyncClient(base_url=url, limits=limits, follow_redirects=False, trust_env=False)


def token_in(file: Path, setting: str) -> str:
    """The token in a file.

    Raises:
        Broken: it cannot be read; names the setting.
    """
    try:
        return file.read_text().strip()
    except OSError as refusal:
        raise Broken(f"{setting} {file} cannot be read") from refusal
