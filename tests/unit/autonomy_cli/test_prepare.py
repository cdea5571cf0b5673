"""The first operator is made once, and nobody who was taken out comes back by a start.

Source: R-G2.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from autonomy_cli.prepare import add_operator, first_operator


def known(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "operators.json").read_text())
    return found


def test_the_first_operator_has_its_own_token(tmp_path: Path) -> None:
    first_operator(tmp_path)
    token = (tmp_path / "operator.token").read_text().strip()
    assert known(tmp_path) == [{"name": "local", "role": "approver", "sha256": hashlib.sha256(token.encode()).hexdigest()}]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_who_was_taken_out_stays_out(tmp_path: Path) -> None:
    first_operator(tmp_path)
    (tmp_path / "operators.json").write_text("[]")
    first_operator(tmp_path)
    assert known(tmp_path) == []


def test_another_one_stands_beside_the_others_and_is_made_once(tmp_path: Path) -> None:
    first_operator(tmp_path)
    for _ in range(2):
        add_operator(tmp_path, "bots-ui", "viewer", "bots-ui.token")
    assert [(one["name"], one["role"]) for one in known(tmp_path)] == [("local", "approver"), ("bots-ui", "viewer")]
