"""Lists that are shown are asked for again, once a second, for as long as a page shows them.

Place in the flow: open page's view → **follower** → `/api/...` → "fetch yourself again", or "as of now". Nothing is told once: what
a list says is compared with what each page was rendered from, so that no change is missed, whatever was lost in between. A list
that cannot be read keeps its old "as of", which turns amber in the browser.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

import orjson

from autonomy.client import Answer, Document, Found
from bots_ui.api.client import ProofApi
from bots_ui.shown.words import instant_of
from bots_ui.stream.open_page import Client, Message

EVERY_S: Final = 1.0
LEAST_S: Final = 0.2
"""Between two turns, where a turn took longer than a second."""
AT_ONCE: Final = 4
"""Questions to the API at one time: a crowd of pages slows their lists down, and each says so by its age; it starves nobody."""
MAX_LENGTH: Final = 900
LIST: Final = re.compile(
    r"/api/(attention|board|policy|workers|jobs(/[0-9a-f-]{36})?|timeline|stage-events|commands(/[0-9a-f-]{36})?|quarantine|promotions|planner/runs(/[0-9]{1,15}/decisions)?|_proof/jobs"
    r"|bots/[a-z0-9-]{1,64}(/(timeline|trades|decisions|gates|versions|evolutions|equity))?)(\?[\x21-\x7e]*)?"
)
"""What may be followed: lists that pages show, and nothing else of the API."""
AGES: Final = frozenset(
    {
        "now",
        "proof",
        "lastBeatAt",
        "runnerBeatAt",
        "basis",
        "leaseSec",
        "rev",
        "ageMin",
        "runningWithoutHeartbeat",
        "knownUntil",
        "toAt",
        "countedAt",
    }
)
"""What changes without anything having happened."""


def is_list(address: str) -> bool:
    """Whether an address of the API may be followed."""
    return len(address) <= MAX_LENGTH and LIST.fullmatch(address) is not None


def token_of(document: Document) -> str:
    """A short word that is another one as soon as the document says something else; signs of life and ages say nothing."""
    return hashlib.sha256(orjson.dumps(_told(document), option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def _told(value: object) -> object:
    match value:
        case Mapping():
            return {key: _told(inner) for key, inner in value.items() if key not in AGES}
        case list():
            return [_told(inner) for inner in value]
        case _:
            return value


def token_of_answer(answer: Answer) -> str:
    """The token of what a page was rendered from; of an answer that was none, one that every document differs from."""
    return token_of(answer.document) if isinstance(answer, Found) else "none"


def as_of(document: Document) -> datetime | None:
    """Until when a document is true: the read models' own word, else the moment of the answer."""
    proof = document.get("proof")
    found = instant_of(proof.get("asOf")) if isinstance(proof, Mapping) else None
    return found or instant_of(document.get("now"))


async def ask(api: ProofApi, address: str) -> Answer:
    """A list by its address."""
    path, _, query = address.partition("?")
    return await api.get(path, parse_qsl(query))


async def look(api: ProofApi, clients: Iterable[Client], reload: Message, render: Callable[[datetime], str]) -> None:
    """Ask once for everything that is followed, and tell the pages.

    Args:
        api: what is asked.
        clients: the open pages.
        reload: what a page is told whose list says something else.
        render: the "as of" of a page whose lists say what it shows.
    """
    pages = [client for client in clients if client.view.lists]
    addresses = sorted({address for client in pages for address in client.view.lists})
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(address: str) -> tuple[str, Answer]:
        async with gate:
            return address, await ask(api, address)

    answers = dict(await asyncio.gather(*(one(address) for address in addresses)))
    for client in pages:
        found = {address: answer.document for address in client.view.lists if isinstance(answer := answers[address], Found)}
        tokens = {address: token_of(document) for address, document in found.items()}
        if any(client.told.get(address) != token for address, token in tokens.items()):
            client.told.update(tokens)
            client.offer(reload)
            continue
        instants = [as_of(document) for document in found.values()]
        known = [instant for instant in instants if instant is not None]
        if len(known) == len(client.view.lists):
            client.offer(Message(render(min(known))))
