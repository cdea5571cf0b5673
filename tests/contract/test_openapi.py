"""The HTTP contract: the committed OpenAPI document is what the code serves.

`python tests/contract/test_openapi.py` writes it anew; a removed path or renamed key breaks clients, so read the difference first.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from proof_api.app import create_app
from proof_api.settings import ProofSettings

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
SEED_PATHS = {"/api/_proof/autonomy", "/api/_proof/jobs"}


def served() -> dict[str, Any]:
    """The document of an application that connects to nothing."""
    settings = ProofSettings(database_url="postgresql://reader@127.0.0.1:1/autonomy")
    document: dict[str, Any] = json.loads(json.dumps(create_app(settings).openapi()))
    return document


def test_committed_document_is_what_is_served() -> None:
    assert json.loads(COMMITTED.read_text()) == served(), "run: python tests/contract/test_openapi.py"


def test_paths_of_the_requirements_are_there() -> None:
    paths = set(served()["paths"])
    wanted = {"/api/bots", "/api/bots/{bot_id}", "/api/jobs", "/api/planner/runs", "/api/stage-events", "/api/commands", "/api/stream"}
    assert paths >= SEED_PATHS | wanted | {"/livez", "/readyz", "/metrics"}


@pytest.mark.parametrize("kind", ["GET", "POST"])
def test_every_operation_says_what_it_is_for(kind: str) -> None:
    operations = [(path, verbs[kind.lower()]) for path, verbs in served()["paths"].items() if kind.lower() in verbs]
    assert operations
    assert [path for path, operation in operations if not operation.get("summary") or not operation.get("tags")] == []


if __name__ == "__main__":
    COMMITTED.write_text(json.dumps(served(), indent=1, sort_keys=True) + "\n")
