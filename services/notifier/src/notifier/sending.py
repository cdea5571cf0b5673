"""One receiver: hands a message to apprise, and says in safe words what came of it.

Place in the flow: messages → **sending** → receivers. The address of a receiver holds its secrets, and libraries write it into their logs
and errors; so their loggers are silenced here, and of what they say only words of a closed list leave this module.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import apprise
from pydantic import SecretStr

from autonomy.errors import BadInput
from notifier.messages import MAX_BODY, Message

NOISY: Final = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "smtplib", "markdown", "MARKDOWN")
"""Loggers that may name an address."""
TIMEOUT_S: Final = 20.0
"""Of one try, whatever the receiver's own time limits are."""
SCHEME: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]{0,20})://")
STATUS: Final = re.compile(r"\berror=(\d{3})\b")
KNOWN: Final = (
    (re.compile(r"timed? ?out", re.IGNORECASE), "it did not answer in time"),
    (re.compile(r"authenticat|credential|unauthori|invalid token", re.IGNORECASE), "it refused the credentials"),
    (re.compile(r"connection error|socket|connect", re.IGNORECASE), "it could not be reached"),
)
"""What a library may have said, and how it is told."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where messages go.

    Attributes:
        service: what apprise calls it, such as "JSON" or "E-Mail": without any secret.
        most: characters of a body that it takes.
    """

    name: str
    service: str
    most: int
    target: Any

    async def send(self, message: Message) -> str:
        """Send it; returns why it was not, in words without a secret, or nothing."""
        said: list[str] = []
        try:
            async with asyncio.timeout(TIMEOUT_S + 5):
                done = await self.target.async_notify(
                    title=message.title, body=message.body, notify_type=message.tone, body_format="text", timeout=TIMEOUT_S,
                    log_callback=_listener(said), log_level=logging.WARNING,
                )  # fmt: skip
        except TimeoutError:
            return "it did not answer in time"
        except Exception as fault:  # noqa: BLE001 (a library's fault may hold the address: only its kind is told)
            return f"its library failed with {type(fault).__name__}"
        return "" if done else reason_of(said)


def _listener(said: list[str]) -> Callable[[Any, object], None]:
    """Keeps what a library says during one try; from its threads, too."""
    lock = threading.Lock()

    def listen(entry: Any, _: object) -> None:  # noqa: ANN401 (apprise has no types)
        with lock:
            said.append(str(entry.message))

    return listen


def reason_of(said: list[str]) -> str:
    """Why a try failed, out of a closed list of words."""
    for line in said:
        if found := STATUS.search(line):
            return f"it answered with HTTP status {found.group(1)}"
    for pattern, words in KNOWN:
        if any(pattern.search(line) for line in said):
            return words
    return "it did not take the message"


def silence_libraries() -> None:
    """Let no library write into this process's logs what it knows of an address."""
    for name in NOISY:
        logger = logging.getLogger(name)
        logger.handlers[:] = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.WARNING)  # what a try listens to; nothing of it is written


def build_receiver(name: str, address: SecretStr, field: str) -> Receiver:
    """A receiver from its address.

    Args:
        name: its own.
        address: as apprise writes it.
        field: where the address stands, for the refusal.

    Raises:
        BadInput: apprise does not know it, or it names several targets. Without the address: only its scheme is told.
    """
    silence_libraries()
    text = address.get_secret_value().strip()
    found = SCHEME.match(text)
    if found is None:
        raise BadInput(field, "must be an address as apprise writes it, such as json://host/path or mailto://user:password@host")
    asset = apprise.AppriseAsset(app_id="Autonomy", app_desc="Autonomy", app_url="", secure_logging=True)
    plugin = apprise.Apprise.instantiate(text, asset=asset)
    if plugin is None:
        raise BadInput(field, f"apprise knows no such address: its scheme is {found.group(1)}://; see what that one needs")
    if len(plugin) > 1:
        raise BadInput(field, f"must name one target, this one names {len(plugin)}: a receiver each, so that none gets a message twice")
    target = apprise.Apprise(asset=asset)
    target.add(plugin)
    return Receiver(name, str(plugin.service_name), max(200, min(MAX_BODY, int(plugin.body_maxlen))), target)
