"""Every route has an auth rule: acting needs an operator, reading goes through `reader`, what is open is named here with its reason.

Source: docs/architecture.md, "Security"; deny by default.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from typing_extensions import override

from autonomy.events import AttemptRefused, Command
from proof_api.app import create_app
from proof_api.commands.desk import Desk
from proof_api.context import Context, reader
from proof_api.http.auth import Operators
from proof_api.proof.watch import Watch
from proof_api.reading.snapshot import Snapshots
from proof_api.settings import ProofSettings
from proof_api.voice import Voice

SAFE = {"GET", "HEAD", "OPTIONS"}
OPEN = {
    "/livez": "says only that the process runs, and which version",
    "/healthz": "its older name",
    "/readyz": "which dependency fails; orchestrators have no token",
    "/metrics": "counts without ids; Prometheus has no token",
    "/openapi.json": "the contract of HTTP, which is public",
    "/asyncapi.json": "the contract of the log, which is public",
    "/api/schemas": "the same, by kind",
    "/api/schemas/{wire}": "the same, one kind",
    "/api/whoami": "asks for a credential itself",
}
DRY_RUNS = {"/api/apply/plan"}
TOKENS = {"viewer": "viewer-token", "operator": "operator-token"}


class SilentDesk(Desk):
    """A desk that keeps what it would append."""

    @override
    async def append(self, event: Command | AttemptRefused, event_id: str, actor: str) -> None:
        """Nothing leaves the process."""


def app_of(tmp_path: Path, **settings: Any) -> FastAPI:
    """The real application on servers that nobody asks."""
    operators = tmp_path / "operators.json"
    operators.write_text(json.dumps([
        {"name": role, "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()} for role, token in TOKENS.items()
    ]))  # fmt: skip
    whole = ProofSettings(database_url="postgresql://reader@127.0.0.1:1/autonomy", **settings)
    app = create_app(whole)
    voice = Voice(whole.kafka)
    app.state.context = Context(
        settings=whole, snapshots=Snapshots(whole.database_url, 15), watch=Watch(whole.kafka, "00000000-0000-0000-0000-000000000000", voice),
        pool=None, operators=Operators(operators), desk=SilentDesk(voice),
    )  # fmt: skip
    return app


def routes_of(app: FastAPI) -> list[tuple[str, set[str], Dependant | None]]:
    """Path, methods and dependencies of everything that answers, included routers too."""
    found: list[tuple[str, set[str], Dependant | None]] = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        path = str(context.path)
        found.append((path, set(context.methods or {"GET"}), route.dependant if isinstance(route, APIRoute) else None))
    return found


def asks(dependant: Dependant | None, rule: object) -> bool:
    """Whether a route depends on a rule, at any depth."""
    return dependant is not None and any(part.call is rule or asks(part, rule) for part in dependant.dependencies)


async def answer(app: FastAPI, method: str, path: str, role: str | None = None, **more: Any) -> httpx.Response:
    """Ask the application in memory."""
    headers = {"Authorization": f"Bearer {TOKENS[role]}"} if role else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path.replace("{bot_id}", "a").replace("{tick}", "1"), headers=headers, **more)


def test_there_are_routes_to_judge(tmp_path: Path) -> None:
    """A walk that finds nothing proves nothing."""
    paths = {path for path, _, _ in routes_of(app_of(tmp_path))}
    assert {"/api/bots", "/api/commands", "/api/_proof/autonomy", "/api/stream"} <= paths


def test_reading_goes_through_the_reader_rule(tmp_path: Path) -> None:
    unruled = [
        path for path, methods, rules in routes_of(app_of(tmp_path)) if methods & {"GET"} and path not in OPEN and not asks(rules, reader)
    ]
    assert unruled == []


async def test_reading_elsewhere_needs_a_token(tmp_path: Path) -> None:
    app = app_of(tmp_path, auth_mode="token-everywhere")
    for path, methods, _ in routes_of(app):
        if methods & {"GET"} and path not in OPEN and path != "/api/stream":
            refused = await answer(app, "GET", path)
            assert refused.status_code == 401, f"{path} answers {refused.status_code} to nobody"
            assert (await answer(app, "GET", path, "viewer")).status_code != 401, path


async def test_acting_needs_an_operator(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    unsafe = [(path, method) for path, methods, _ in routes_of(app) for method in methods - SAFE]
    assert unsafe
    for path, method in unsafe:
        body = {"type": "pause-loop"}
        assert (await answer(app, method, path, json=body)).status_code == 401, f"{method} {path} acts for nobody"
        assert (await answer(app, method, path, "viewer", json=body)).status_code == 403, f"{method} {path} acts for a viewer"
        # A dry run needs rows, and no database answers here.
        given = {503} if path in DRY_RUNS else {200, 202}
        assert (await answer(app, method, path, "operator", json=body)).status_code in given, f"{method} {path} refuses an operator"


async def test_whoami_asks_for_a_credential(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    assert (await answer(app, "GET", "/api/whoami")).status_code == 401
    assert (await answer(app, "GET", "/api/whoami", "viewer")).json() == {"name": "viewer", "role": "viewer"}


def test_a_route_without_a_rule_is_noticed(tmp_path: Path) -> None:
    """Negative control."""
    app = app_of(tmp_path)

    @app.get("/api/forgotten")
    async def forgotten() -> str:
        return "open"

    unruled = [path for path, methods, rules in routes_of(app) if methods & {"GET"} and path not in OPEN and not asks(rules, reader)]
    assert unruled == ["/api/forgotten"]
