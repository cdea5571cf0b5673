"""The proof API as the command sees it: what of an answer ends the command, with which exit code, and the credential.

Place in the flow: proof-api → `autonomy.client` → **api** → words or JSON. A refusal or a lost connection ends the command.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from autonomy import client
from autonomy.client import NO_JSON, Document, Found, Params, Refused, Unreachable
from autonomy_cli.exits import Exit, fail
from autonomy_cli.show import part, safe, warn

Answer = Found | Refused


@dataclass(frozen=True, slots=True)
class ProofApi:
    """HTTP towards one proof API; what did not answer has ended the command."""

    asking: client.ProofApi

    def get(self, path: str, params: Params = ()) -> Answer:
        """A document with whatever status it has."""
        return self._answered(self.asking.get(path, params))

    def found(self, path: str, params: Params = ()) -> Document:
        """A document; anything but 200 ends the command."""
        return found_in(self.get(path, params))

    def items(self, path: str, params: Params, limit: int) -> Iterator[Document]:
        """Items of a list, page by page; `limit` 0 means all."""
        for page in self.asking.pages(path, params, limit):
            rows = found_in(self._answered(page)).get("items")
            yield from rows if isinstance(rows, list) else []

    def post(self, path: str, document: Document) -> Answer:
        """Ask with a document."""
        return self._answered(self.asking.post(path, document))

    def command(self, document: Document, key: str) -> Answer:
        """Say a command."""
        answer = self.asking.command(document, key)
        if isinstance(answer, Unreachable) and answer.sent:
            fail(Exit.UNKNOWN, f"unknown whether the command arrived ({answer.kind}); send it again with --key {key}")
        return self._answered(answer)

    def _answered(self, answer: client.Answer) -> Answer:
        url = self.asking.url
        if isinstance(answer, Unreachable):
            unfinished = f"proof-api at {url} did not finish its answer ({answer.kind})"
            fail(Exit.CANNOT_RUN, unfinished if answer.sent else f"proof-api does not answer at {url} (--api or AUTONOMY_API)")
        if isinstance(answer, Refused) and answer.code == NO_JSON:
            fail(Exit.CANNOT_RUN, f"{url} gave no JSON object: is it proof-api?")
        return answer


def found_in(answer: Answer) -> Document:
    """The document of an answer; anything but 200 ends the command."""
    if answer.status != HTTPStatus.OK:
        lost = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        fail(Exit.CANNOT_RUN if lost else Exit.REFUSED, answer.words)
    warn_if_old(answer.document)
    return answer.document


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
    return ProofApi(client.ProofApi(url, known_token()))


def operator(url: str) -> ProofApi:
    """A client that may say commands; without a token the command ends here."""
    token = known_token()
    if token is None:
        fail(Exit.CANNOT_RUN, f"no operator token: set AUTONOMY_TOKEN, or AUTONOMY_DATA_DIR to the folder of {token_file().name}")
    return ProofApi(client.ProofApi(url, token))
