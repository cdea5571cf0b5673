"""README's walkthrough on the whole stack: dry run, revert, proof pack; nothing is arranged for the pack.

On a stack of its own: afterwards the whole fleet is in LAB. Source: R-C2.1, R-C3.1, R-D1 to R-D4.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import ROOT, RunningStack, a_stack
from support.patience import PATIENCE_S
from support.platform import wait_for


def autonomy(stack: RunningStack, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**stack.environment, "AUTONOMY_API": stack.api_url, "AUTONOMY_TOKEN": stack.token}
    command = [sys.executable, "-W", "ignore", "-m", "autonomy_cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, cwd=ROOT, check=False)


def told(stack: RunningStack, *words: str) -> Any:
    done = autonomy(stack, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def proof_pack(stack: RunningStack, folder: Path, wait_s: float) -> "subprocess.CompletedProcess[str]":
    environment = {**stack.environment, "PROOF_PACK_WAIT_S": str(wait_s)}
    command = [sys.executable, "-W", "ignore", "-m", "local_stack", "proof-pack", str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=wait_s + PATIENCE_S, cwd=ROOT, check=False)


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[RunningStack]:
    (tmp_path / "stack").mkdir()
    with a_stack(tmp_path / "stack") as found:
        yield found


def test_walkthrough_from_dry_run_to_proof_pack(own_stack: RunningStack, tmp_path: Path) -> None:
    plan = told(own_stack, "revert")
    # Negative control: with bots beyond LAB the pack is not made, and says what is missing.
    early = proof_pack(own_stack, tmp_path / "early", 2)
    assert early.returncode == 1
    assert "every bot in LAB" in early.stderr
    assert not (tmp_path / "early").exists()

    for pinned in plan["pinned"]["bots"]:
        assert autonomy(own_stack, "unpin", pinned["botId"]).returncode == 0
    wait_for("bots to revert", lambda: told(own_stack, "revert")["expectedCount"] > 0)
    plan = told(own_stack, "revert")
    done = autonomy(own_stack, "revert", "--apply", "--yes", str(plan["expectedCount"]), "--reason", "the walkthrough")
    assert done.returncode == 0, done.stdout + done.stderr

    made = proof_pack(own_stack, tmp_path / "pack", 150)
    assert made.returncode == 0, made.stdout + made.stderr
    names = {path.name for path in (tmp_path / "pack").iterdir()}
    assert {
        "index.html",
        "bots-page.png",
        "timeline.png",
        "autonomy.json",
        "jobs.json",
        "audit.txt",
        "d3-stage-reverts.txt",
        "versions.json",
    } <= names
    for name in ("bots-page.png", "timeline.png"):
        assert (tmp_path / "pack" / name).read_bytes().startswith(b"\x89PNG")
    jobs = json.loads((tmp_path / "pack" / "jobs.json").read_text())
    assert jobs["running"]["backtest"] >= 1
    assert "BULK_REVERT_REBASELINE" in (tmp_path / "pack" / "d3-stage-reverts.txt").read_text()
    assert "every byte equal" in (tmp_path / "pack" / "audit.txt").read_text()
