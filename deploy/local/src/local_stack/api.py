"""What `make up` asks of the proof API: whether it is ready, whether a tick shows, and its two commands."""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Final

HTTP_TIMEOUT_S: Final = 10
SAY_TIMEOUT_S: Final = 120


def look_at_api(api: str) -> str | None:
    """None when it is ready, else its own words."""
    try:
        with urllib.request.urlopen(f"{api}/readyz", timeout=HTTP_TIMEOUT_S):  # noqa: S310 (our own loopback address)
            return None
    except urllib.error.HTTPError as refusal:
        try:
            return str(json.loads(refusal.read())["reason"] or f"it answers {refusal.code}")
        except (ValueError, KeyError, TypeError):
            return f"it answers {refusal.code}"
    except (OSError, HTTPException) as refusal:
        return f"it does not answer ({refusal})"


def look_at_tick(api: str, token: str) -> str | None:
    """None when a tick shows, else what is seen."""
    try:
        request = urllib.request.Request(f"{api}/api/_proof/autonomy", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 (loopback)
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as response:  # noqa: S310 (our own loopback address)
            found = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as refusal:
        return f"the proof API does not answer ({refusal})"
    return None if found["lastTickAt"] is not None else "no tick was accepted yet"


def say_once(api: str, token: str, command: dict[str, object]) -> dict[str, list[dict[str, str]]]:
    """Say a command once; its key is its content, so that the same words are one command.

    Raises:
        HTTPError, OSError or HTTPException: it was refused, or it is unknown whether it landed.
    """
    content = json.dumps(command, sort_keys=True, default=str)
    key = {"Idempotency-Key": hashlib.sha256(content.encode()).hexdigest()}
    answer: dict[str, list[dict[str, str]]] = json.loads(_posted(f"{api}/api/commands", token, content, SAY_TIMEOUT_S, key))
    return answer


def _posted(address: str, token: str, content: str, timeout_s: float, more: Mapping[str, str] = MappingProxyType({})) -> bytes:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", **more}
    request = urllib.request.Request(address, data=content.encode(), method="POST", headers=headers)  # noqa: S310 (our own loopback address)
    with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310 (our own loopback address)
        body: bytes = response.read()
    return body


def sign_in_words(ui: str, token: Path, where: Path) -> str:
    """How operator `local` signs in: by a link that works once, else with the token.

    Args:
        ui: address of the Bots page.
        token: the file that holds the token of operator `local`.
        where: the same file, as people are told it.
    """
    by_token = f"{ui}/sign-in   (operator local; token in {where})"
    try:
        link = f"{ui}{json.loads(_posted(f'{ui}/sign-in/links', token.read_text().strip(), '{}', HTTP_TIMEOUT_S))['path']}"
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return by_token
    return f"{link}\n               once, as operator local, within 5 min; again: autonomy login; or {by_token}"
