"""Kafka's jars: resolved by jgo from its lock, and checked against the lock's sha256 before anything runs."""

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from autonomy.errors import Broken
from local_stack.settings import ROOT

SPECIFICATION = ROOT / "deploy" / "local" / "jgo.toml"
LOCK = ROOT / "deploy" / "local" / "jgo.lock.toml"
RESOLVE_TIMEOUT_S = 900


def ensure_jars(folder: Path) -> Path:
    """Return the folder of verified jars, downloading them the first time (about 60 MB).

    Raises:
        Broken: a jar is missing or differs from the lock.
    """
    stamp = folder / f"verified-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if not stamp.exists():
        print("Kafka 4.3.1: resolving its jars (about 60 MB, once)…", flush=True)
        resolve(folder)
        verify(folder)
        stamp.touch()
    return folder / "jars"


def resolve(folder: Path) -> None:
    """Let jgo build the folder from the lock, then link every jar into one place."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "jgo", "--ignore-config", "--resolver", "python", "--cache-dir", str(folder / "jgo")]
    command += ["--color", "plain", "--timeout", "60", "-f", str(SPECIFICATION), "sync"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=RESOLVE_TIMEOUT_S, cwd=folder)
    if done.returncode != 0:
        raise Broken(f"jgo could not resolve Kafka's jars: {(done.stderr or done.stdout)[-2000:]}")
    jars = folder / "jars"
    jars.mkdir(exist_ok=True)
    for jar in (folder / "jgo").rglob("*.jar"):
        target = jars / jar.name
        if not target.exists():
            os.link(jar.resolve(), target)


def verify(folder: Path) -> None:
    """Compare every locked artefact with its sha256."""
    present = {path.name: path for path in (folder / "jars").glob("*.jar")}
    for entry in tomllib.loads(LOCK.read_text())["dependencies"]:
        suffix = f"-{entry['classifier']}" if entry.get("classifier") else ""
        name = f"{entry['artifactId']}-{entry['version']}{suffix}.jar"
        path = present.pop(name, None)
        if path is None:
            raise Broken(f"{name} is in the lock but was not resolved")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != entry["sha256"]:
            path.unlink()
            raise Broken(f"{name} has sha256 {digest}, the lock says {entry['sha256']}")
    if present:
        raise Broken(f"jars that the lock does not name: {sorted(present)[:5]}")
