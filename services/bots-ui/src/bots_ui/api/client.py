"""What the page asks of the proof API besides documents: the stream of changes.

Place in the flow: proof-api → `autonomy.client` → **client** → hub. Lines in, events out.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from autonomy.client import AsyncProofApi, Document, open_connections, token_in

STREAM_SILENCE_S: Final = 4.0
"""The API says its proof once a second; four seconds of silence are a lost stream."""


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
class ProofApi(AsyncProofApi):
    """HTTP towards the proof API; one per process."""

    async def stream(self, after: int) -> AsyncIterator[ApiEvent]:
        """Changed bots and the proof, until the API goes silent.

        Raises:
            StreamLost: the stream broke, or was refused.
        """
        reader = EventReader()
        async with self.lines("/api/stream", [("after", str(after))] if after else [], STREAM_SILENCE_S) as lines:
            async for line in lines:
                event = reader.feed(line)
                if event is not None:
                    yield event


def build_client(url: str, token_file: Path | None) -> ProofApi:
    """The client of one process.

    Raises:
        Broken: the token file is named and cannot be read.
    """
    return ProofApi(open_connections(url), None if token_file is None else token_in(token_file, "PROOF_API_TOKEN_FILE"))
