"""Operators by hand: a token is shown once, kept as a digest, refused as soon as it is revoked; the file is private and never torn.

Source: docs/architecture.md, "Security".
"""

import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from autonomy_cli import operators
from autonomy_cli.main import build_app
from proof_api.http.auth import Operator, Operators


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(build_app(), ["operator", *words], env={"AUTONOMY_DATA_DIR": str(folder), "OPERATORS_FILE": ""})


def added(folder: Path, name: str, role: str) -> str:
    done = run(folder, "add", name, "--role", role, "--json")
    assert done.exit_code == 0, done.output
    token = json.loads(done.stdout)["token"]
    assert isinstance(token, str)
    return token


def test_a_new_operator_is_known_at_once_and_refused_at_once_after_revocation(tmp_path: Path) -> None:
    known = Operators(tmp_path / "operators.json")
    boss, ada = added(tmp_path, "boss", "approver"), added(tmp_path, "ada", "operator")
    assert known.of_header(f"Bearer {ada}") == Operator("ada", "operator")
    assert json.loads(run(tmp_path, "revoke", "ada", "--json").stdout) == {"name": "ada", "revoked": True}
    assert known.of_header(f"Bearer {ada}") is None
    assert known.of_header(f"Bearer {boss}") == Operator("boss", "approver")


def test_a_token_is_printed_once_and_kept_as_a_digest_only(tmp_path: Path) -> None:
    done = run(tmp_path, "add", "ada")
    token = done.stdout.splitlines()[0]
    kept = (tmp_path / "operators.json").read_text()
    assert len(token) >= 40
    assert token not in kept
    assert hashlib.sha256(token.encode()).hexdigest() in kept
    assert token not in run(tmp_path, "list").output


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    added(tmp_path, "boss", "approver")
    added(tmp_path, "ada", "viewer")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_the_last_approver_stays_unless_forced(tmp_path: Path) -> None:
    added(tmp_path, "boss", "approver")
    added(tmp_path, "ada", "operator")
    refused = run(tmp_path, "revoke", "boss")
    assert (refused.exit_code, "last approver" in refused.output) == (1, True)
    added(tmp_path, "second", "approver")
    assert run(tmp_path, "revoke", "boss").exit_code == 0
    assert run(tmp_path, "revoke", "second", "--force").exit_code == 0
    assert [entry["name"] for entry in json.loads(run(tmp_path, "list", "--json").stdout)] == ["ada"]


@pytest.mark.parametrize("name", ["", "Ada", "-x", "a b", "a\nb", "x" * 65, "planner", "anonymous"])
def test_a_name_that_the_log_could_mistake_is_refused(tmp_path: Path, name: str) -> None:
    assert run(tmp_path, "add", "--", name).exit_code == 2
    assert not (tmp_path / "operators.json").exists()


def test_a_name_is_used_once(tmp_path: Path) -> None:
    first = added(tmp_path, "ada", "operator")
    assert run(tmp_path, "add", "ada", "--role", "approver").exit_code == 1
    assert Operators(tmp_path / "operators.json").of_header(f"Bearer {first}") == Operator("ada", "operator")
    assert run(tmp_path, "revoke", "nobody").exit_code == 1


def test_a_broken_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "operators.json").write_text("{")
    assert run(tmp_path, "add", "ada").exit_code == 2
    assert (tmp_path / "operators.json").read_text() == "{"


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added(tmp_path, "boss", "approver")
    before = (tmp_path / "operators.json").read_text()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    assert run(tmp_path, "add", "ada").exit_code == 2
    assert (tmp_path / "operators.json").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["operators.json", "operators.json.lock"]


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    names = [f"op-{number}" for number in range(12)]

    def one(name: str) -> None:
        with operators.changed(tmp_path / "operators.json") as entries:
            entries.append({"name": name, "role": "operator", "sha256": name})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, names))
    assert sorted(entry["name"] for entry in operators.read(tmp_path / "operators.json")) == sorted(names)
