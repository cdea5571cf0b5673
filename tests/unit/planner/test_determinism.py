"""The same log gives the same bytes in any process: hash seeds, time zones, languages, optimisation, order of arrival.

Source: R-A3.1.
"""

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[2]
ENVIRONMENTS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "hash seed 0, UTC, C": ({"PYTHONHASHSEED": "0", "TZ": "UTC", "LANG": "C", "LC_ALL": "C"}, ()),
    "hash seed 1, Kiritimati, Turkish": (
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}, (),
    ),
    "hash seed random, optimised": ({"PYTHONHASHSEED": "random", "TZ": "America/St_Johns", "LANG": "C.UTF-8"}, ("-O",)),
}  # fmt: skip


@lru_cache(maxsize=8)
def replayed(environment: str, *arguments: str) -> dict[str, Any]:
    """What a process sealed in such an environment."""
    variables, flags = ENVIRONMENTS[environment]
    done = subprocess.run(
        [sys.executable, *flags, "-m", "support.replayed", *arguments],
        env={**{key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHON"))}, **variables},
        cwd=TESTS, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


FIRST, *OTHERS = ENVIRONMENTS


@pytest.mark.parametrize("environment", OTHERS)
def test_environment_does_not_show_in_what_is_sealed(environment: str) -> None:
    ours, theirs = replayed(FIRST), replayed(environment)
    assert len(ours["seals"]) > 30
    assert ours["values"] == theirs["values"]
    assert ours["seals"] == theirs["seals"]
    assert ours["state"] == theirs["state"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_size_of_polls_and_order_of_arrival_do_not_show_in_the_state(environment: str) -> None:
    result = replayed(environment)
    assert result["followers"] == [result["state"]] * 3


def test_one_number_of_the_policy_shows_in_every_seal() -> None:
    """Negative control: a billionth of a basis point."""
    ours, nudged = replayed(FIRST), replayed(FIRST, "--nudge")
    assert len(ours["seals"]) == len(nudged["seals"])
    assert not set(ours["seals"]) & set(nudged["seals"])
