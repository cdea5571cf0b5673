"""The proof API as this page sees it: documents in, values out.

Place in the flow: proof-api → **client** → pages and stream. An API that refuses or cannot be reached is a value that the
page shows, never an exception: what is unknown is said, not raised.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import orjson

from autonomy.errors import Broken

log = logging.getLogger(__name__)
TIMEOUT_S: Final = 4.0
COMMAND_TIMEOUT_S: Final = 20.0
"""The API itself waits up to 8 s for Kafka and 5 s for the planner."""
STREAM_SILENCE_S: Final = 4.0
"""The API says its proof once a second; four seconds of silence are a lost stream."""
CONNECTIONS: Final = 32
KEPT_S: Final = 5.0
"""How long an idle connection is kept: less than the API keeps it (`autonomy.http_server.KEEP_ALIVE_S`)."""
Document = Mapping[str, object]
Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Found:
    """A document."""

    document: Document


@dataclass(frozen=True, slots=True)
class Refused:
    """The API answered, and says why it does not give what was asked for."""

    status: int
    code: str
    title: str
    detail: str

    @property
    def words(self) -> str:
        """The refusal in one line."""
        return f"{self.title}: {self.detail}" if self.detail else self.title


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The API did not answer; what it would have said is unknown."""

    why: str

    @property
    def words(self) -> str:
        """The loss in one line."""
        return f"Can't reach the proof API ({self.why})"


Answer = Found | Refused | Unreachable


@dataclass(frozen=True, slots=True)
class ApiEvent:
    """One server-sent event of the API."""

    name: str
    document: Document


@dataclass(slots=True)
class EventReader:
    """Lines of an event stream in, events out; an event may have many data lines."""

    name: str = "message"
    data: list[str] = field(default_factory=list)

    def feed(self, line: str) -> ApiEvent | None:
        """Take a line; gives an event when an empty line ends one."""
        if line.startswith("event:"):
            self.name = line[6:].strip()
        elif line.startswith("data:"):
            self.data.append(line[5:].removeprefix(" "))
        elif not line and self.data:
            name, text = self.name, "\n".join(self.data)
            self.name, self.data = "message", []
            document = orjson.loads(text)
            return ApiEvent(name, document) if isinstance(document, dict) else None
        return None


@dataclass(slots=True)
class ProofApi:
    """HTTP towards the proof API; one per process."""

    http: httpx.AsyncClient
    own_token: str | None = None

    async def get(self, path: str, params: Params = ()) -> Answer:
        """A document."""
        return await self._ask("GET", path, params=params)

    async def whoami(self, token: str) -> Answer:
        """The operator of a token."""
        return await self._ask("GET", "/api/whoami", token=token)

    async def command(self, token: str, document: Document, key: str) -> Answer:
        """Say a command; the same key says it once."""
        return await self._ask(
            "POST", "/api/commands", token=token, timeout_s=COMMAND_TIMEOUT_S, content=orjson.dumps(document),
            headers={"Content-Type": "application/json", "Idempotency-Key": key},
        )  # fmt: skip

    async def _ask(
        self, method: str, path: str, *, params: Params = (), token: str | None = None, timeout_s: float = TIMEOUT_S,
        content: bytes | None = None, headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        try:
            response = await self.http.request(
                method, path, params=list(params), content=content, headers={**(headers or {}), **self._credential(token)},
                timeout=timeout_s,
            )  # fmt: skip
        except httpx.HTTPError as loss:
            return Unreachable(words_of(loss))
        return answer_of(response)

    def _credential(self, token: str | None) -> dict[str, str]:
        known = token or self.own_token
        return {"Authorization": f"Bearer {known}"} if known else {}

    async def stream(self, after: int) -> AsyncIterator[ApiEvent]:
        """Changed bots and the proof, until the API goes silent.

        Raises:
            httpx.HTTPError: the stream broke, or was refused.
        """
        timeout = httpx.Timeout(TIMEOUT_S, read=STREAM_SILENCE_S)
        params = {"after": str(after)} if after else {}
        async with self.http.stream("GET", "/api/stream", params=params, timeout=timeout, headers=self._credential(None)) as response:
            if response.status_code != httpx.codes.OK:
                raise httpx.HTTPStatusError(f"HTTP {response.status_code}", request=response.request, response=response)
            reader = EventReader()
            async for line in response.aiter_lines():
                event = reader.feed(line)
                if event is not None:
                    yield event


def answer_of(response: httpx.Response) -> Answer:
    """A response as a value."""
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        return Refused(response.status_code, "NO_JSON", "The proof API gave no JSON", f"HTTP {response.status_code}")
    # A proof that cannot be trusted is still a proof, and a rejected command is an answer.
    if response.is_success or not document.keys().isdisjoint({"commandId", "proof"}):
        return Found(document)
    return Refused(
        response.status_code, str(document.get("code", "")), str(document.get("title", f"HTTP {response.status_code}")),
        str(document.get("detail", "")),
    )  # fmt: skip


def words_of(loss: httpx.HTTPError) -> str:
    """Why the API did not answer, without addresses."""
    match loss:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return "no connection"
        case httpx.TimeoutException():
            return "no answer in time"
        case httpx.HTTPStatusError():
            return f"HTTP {loss.response.status_code}"
        case _:
            return "the connection broke"


def build_client(url: str, token_file: Path | None) -> ProofApi:
    """The client of one process.

    Raises:
        Broken: the token file is named and cannot be read.
    """
    token = None
    if token_file is not None:
        try:
            token = token_file.read_text().strip()
        except OSError as refusal:
            raise Broken(f"PROOF_API_TOKEN_FILE {token_file} cannot be read") from refusal
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEPT_S)
    return ProofApi(httpx.AsyncClient(base_url=url, limits=limits, follow_redirects=False, trust_env=False), token)


def bot_path(bot_id: str, rest: str = "") -> str:
    """The API's path of a bot."""
    return f"/api/bots/{quote(bot_id, safe='')}{rest}"
