"""The proof API as the command sees it: documents, pages, commands, and the credential.

Place in the flow: proof-api → **client** → words or JSON. A refusal or a lost connection ends the command with its exit code.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx

from autonomy_cli.exits import Exit, fail
from autonomy_cli.show import part, safe, warn

TIMEOUT_S: Final = 10.0
COMMAND_TIMEOUT_S: Final = 20.0
"""The API itself waits up to 8 s for Kafka and 5 s for the planner."""
PAGE: Final = 200
Document = dict[str, object]
Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object with its HTTP status."""

    status: int
    document: Document

    @property
    def words(self) -> str:
        """A problem in one line."""
        title, detail = self.document.get("title", f"HTTP {self.status}"), self.document.get("detail")
        return f"{title}: {detail}" if detail else str(title)


@dataclass(frozen=True, slots=True)
class ProofApi:
    """HTTP towards one proof API."""

    url: str
    token: str | None = None

    def get(self, path: str, params: Params = ()) -> Answer:
        """A document with whatever status it has."""
        return self._ask("GET", path, params=params)

    def found(self, path: str, params: Params = ()) -> Document:
        """A document; anything but 200 ends the command."""
        answer = self.get(path, params)
        if answer.status != HTTPStatus.OK:
            lost = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            fail(Exit.CANNOT_RUN if lost else Exit.REFUSED, answer.words)
        warn_if_old(answer.document)
        return answer.document

    def items(self, path: str, params: Params, limit: int) -> Iterator[Document]:
        """Items of a list, page by page; `limit` 0 means all."""
        cursor, left = "", limit
        while True:
            size = min(PAGE, left) if limit else PAGE
            more = [("cursor", cursor)] if cursor else []
            page = self.found(path, [*params, ("limit", str(size)), *more])
            rows = page.get("items")
            yield from rows if isinstance(rows, list) else []
            left -= size
            cursor = str(page.get("nextCursor") or "")
            if not cursor or (limit and left <= 0):
                return

    def command(self, document: Mapping[str, object], key: str) -> Answer:
        """Say a command."""
        return self._ask("POST", "/api/commands", json=dict(document), headers={"Idempotency-Key": key}, timeout=COMMAND_TIMEOUT_S)

    def _ask(
        self, method: str, path: str, *, params: Params = (), json: Document | None = None,
        headers: Mapping[str, str] | None = None, timeout: float = TIMEOUT_S,
    ) -> Answer:  # fmt: skip
        credential = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            response = httpx.request(
                method, self.url.rstrip("/") + path, params=list(params), json=json, headers={**(headers or {}), **credential},
                timeout=timeout, trust_env=False,
            )  # fmt: skip
            document = response.json()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL):
            fail(Exit.CANNOT_RUN, f"proof-api does not answer at {self.url} (--api or AUTONOMY_API)")
        except httpx.HTTPError as loss:
            if method == "POST":
                key = (headers or {}).get("Idempotency-Key", "")
                fail(Exit.UNKNOWN, f"it is unknown whether the command landed ({type(loss).__name__}); say it again with --key {key}")
            fail(Exit.CANNOT_RUN, f"proof-api at {self.url} did not finish its answer ({type(loss).__name__})")
        except ValueError:
            fail(Exit.CANNOT_RUN, f"{self.url} gave no JSON: is it proof-api?")
        if not isinstance(document, dict):
            fail(Exit.CANNOT_RUN, f"{self.url} gave no JSON object: is it proof-api?")
        return Answer(response.status_code, document)


def warn_if_old(document: Mapping[str, object]) -> None:
    """Say it where rows are not current: a list of them looks the same as ever."""
    proof = part(document, "proof")
    if proof.get("status") not in {None, "fresh"}:
        warn(f"These rows are not current: {safe(proof.get('status'))}, as of {safe(proof.get('asOf'))} ({safe(proof.get('reason'))}).")


def known_token() -> str | None:
    """The operator's token: AUTONOMY_TOKEN, or operator.token in the data folder."""
    given = os.environ.get("AUTONOMY_TOKEN", "").strip()
    if given:
        return given
    try:
        return token_file().read_text().strip() or None
    except OSError:
        return None


def token_file() -> Path:
    """Where `make up` keeps the local operator's token."""
    return Path(os.environ.get("AUTONOMY_DATA_DIR", ".data")) / "operator.token"


def reader(url: str) -> ProofApi:
    """A client that reads; a token is used where there is one."""
    return ProofApi(url, known_token())


def operator(url: str) -> ProofApi:
    """A client that may say commands; without a token the command ends here."""
    token = known_token()
    if token is None:
        fail(Exit.CANNOT_RUN, f"no operator's token: set AUTONOMY_TOKEN, or AUTONOMY_DATA_DIR to the folder of {token_file().name}")
    return ProofApi(url, token)
