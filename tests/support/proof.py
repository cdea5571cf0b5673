"""The proof API of a running platform, asked over HTTP, and its operators."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.patience import PATIENCE_S
from support.platform import Platform, Service

TOKENS = {"viewer": "canary-viewer-5f1d", "operator": "canary-operator-93ab", "approver": "canary-approver-c07e"}
SECOND_OPERATOR = "canary-second-77d0"


def operators_file(folder: Path) -> Path:
    """Three roles, and a second operator."""
    path = folder / "operators.json"
    named = [(f"{role[:3]}-person", role, token) for role, token in TOKENS.items()] + [("second", "operator", SECOND_OPERATOR)]
    path.write_text(json.dumps([{"name": n, "role": r, "sha256": hashlib.sha256(t.encode()).hexdigest()} for n, r, t in named]))
    return path


@dataclass
class Api:
    """The proof API of a running platform, asked over HTTP."""

    platform: Platform
    service: Service
    http: httpx.Client

    @classmethod
    def start(cls, platform: Platform, **environment: str) -> "Api":
        service = platform.proof_api(OPERATORS_FILE=str(operators_file(platform.folder)), **environment)
        api = cls(platform, service, cls.client(platform))
        service.wait_until("the API", api.is_up)
        return api

    @staticmethod
    def client(platform: Platform) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{platform.api_port}", timeout=15)

    def is_up(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.http.get("/livez").status_code == 200
        return False

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.http.get(path, **more)

    def shown(self, path: str, **more: Any) -> dict[str, Any]:
        """What a path shows, for a wait: nothing while the answer is an error, as before the first rows are there."""
        answer = self.get(path, **more)
        found: dict[str, Any] = answer.json() if answer.status_code == httpx.codes.OK else {}
        return found

    def autonomy(self, **params: str) -> tuple[int, dict[str, Any]]:
        answer = self.http.get("/api/_proof/autonomy", params=params)
        return answer.status_code, answer.json()

    def command(self, document: Any, role: str | None = "operator", *, key: str | None = None, **headers: str) -> httpx.Response:
        sent = dict(headers)
        if role:
            sent.setdefault("Authorization", f"Bearer {TOKENS.get(role, role)}")
        if key:
            sent["Idempotency-Key"] = key
        return self.http.post("/api/commands", json=document, headers=sent)

    def wait_fresh(self, timeout_s: float = PATIENCE_S, verdict: str = "TICKING") -> dict[str, Any]:
        """The first answer that the proof trusts while a planner ticks; STALLED, where a fleet has no runner on purpose."""
        found: dict[str, Any] = {}

        def shown(code: int, body: dict[str, Any]) -> bool:
            found.update(body)  # every answer has the same keys
            return code == 200 and (body["proof"]["status"], body["proof"]["verdict"]) == ("fresh", verdict)

        self.seconds_until(shown, timeout_s)
        return found

    def seconds_until(self, condition: Callable[[int, dict[str, Any]], bool], timeout_s: float = PATIENCE_S) -> float:
        """How long it takes from now until an answer of the proof shows something."""
        begun = time.monotonic()
        last: Any = None
        while time.monotonic() - begun < timeout_s:
            last = self.autonomy()
            if condition(*last):
                return time.monotonic() - begun
            time.sleep(0.1)
        raise AssertionError(f"not shown within {timeout_s:.0f} s; last: {last[0]} {last[1]['proof']}")
