"""A shell that is set to one of two stacks asks that one."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ({}, "http://127.0.0.1:5000 127.0.0.1:9392"),
        ({"PROOF_API_PORT": "15000", "KAFKA_PORT": "19392"}, "http://127.0.0.1:15000 127.0.0.1:19392"),
    ],
    ids=["one stack", "a second one"],
)
def test_commands_ask_the_stack_of_this_shell(ports: dict[str, str], expected: str) -> None:
    plain = {name: value for name, value in os.environ.items() if name not in {"PROOF_API_PORT", "KAFKA_PORT"}}
    code = "from autonomy_cli.options import DEFAULT_API, DEFAULT_KAFKA; print(DEFAULT_API, DEFAULT_KAFKA)"
    done = subprocess.run([sys.executable, "-c", code], env={**plain, **ports}, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == expected
