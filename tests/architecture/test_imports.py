"""Importing anything builds nothing: no broker, engine, connection or setting at module level.

Source: CONTRIBUTING.md, "Style", 6.
"""

import subprocess
import sys

PACKAGES = ("autonomy", "planner", "job_runner", "projection", "proof_api", "bots_ui", "notifier", "autonomy_cli", "local_stack")
SCRIPT = """
import importlib, pkgutil, socket, sys
def refuse(*arguments, **named):
    raise AssertionError("a module opened a connection when it was imported")
socket.socket.connect = refuse
socket.socket.bind = refuse
socket.create_connection = refuse
names = []
for package in sys.argv[1:]:
    root = importlib.import_module(package)
    names.append(package)
    for found in pkgutil.walk_packages(root.__path__, package + "."):
        importlib.import_module(found.name)
        names.append(found.name)
print(len(names))
"""


def imported(script: str, *packages: str) -> "subprocess.CompletedProcess[str]":
    """Run in a process without any environment."""
    return subprocess.run([sys.executable, "-c", script, *packages], env={}, capture_output=True, text=True, timeout=150, check=False)


def test_every_module_imports_without_environment_and_sockets() -> None:
    done = imported(SCRIPT, *PACKAGES)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100


def test_a_connection_at_import_is_noticed() -> None:
    """Negative control."""
    script = SCRIPT + "\nsocket.create_connection(('127.0.0.1', 9))\n"
    assert imported(script, "autonomy").returncode != 0
