"""Make what a deployment needs before its services start: `python -m autonomy_cli.prepare`. Safe to run again.

Place in the flow: once, by the init container; `make up` does the same for the local stack. It makes the topics, and in STATE_DIR
the first operator (`local`, approver), its token, and the key that signs the page's sessions.
"""

import asyncio
import hashlib
import json
import os
import secrets
import sys
from pathlib import Path

from autonomy.cluster import check_log
from autonomy.errors import Broken
from autonomy.kafka import ensure_topics
from autonomy.topics import TOPICS


def prepare(bootstrap: str, folder: Path, replication: int | None) -> None:
    """Make the topics and the secrets that do not exist yet."""
    asyncio.run(make_topics(bootstrap, replication))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    first_operator(folder)
    secret(folder / "session.key")


async def make_topics(bootstrap: str, replication: int | None) -> None:
    """Make the topics, and refuse those that somebody else made differently."""
    await ensure_topics(bootstrap, TOPICS, replication)
    await check_log(bootstrap)


def first_operator(folder: Path) -> None:
    """Make operator `local` where there is no operators file yet; whoever was taken out of it stays out."""
    secret(folder / "operator.token")
    if not (folder / "operators.json").exists():
        add_operator(folder, "local", "approver", "operator.token")


def add_operator(folder: Path, name: str, role: str, token_name: str) -> None:
    """Make an operator once: a token in a file of its own, its hash in the operators file beside the others."""
    token, operators = secret(folder / token_name), folder / "operators.json"
    known = json.loads(operators.read_text()) if operators.exists() else []
    if all(one["name"] != name for one in known):
        digest = hashlib.sha256(token.encode()).hexdigest()
        write_private(operators, json.dumps([*known, {"name": name, "role": role, "sha256": digest}], indent=1))


def secret(path: Path) -> str:
    """A secret of a file; drawn when there is none."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.touch(mode=0o600)
    path.write_text(text)


def main() -> int:
    """Prepare for KAFKA_BOOTSTRAP_SERVERS (and what else opens Kafka), KAFKA_REPLICATION_FACTOR or TOPIC_REPLICATION, and STATE_DIR."""
    environment = os.environ
    folder = Path(environment.get("STATE_DIR", "/state"))
    asked = environment.get("TOPIC_REPLICATION")
    try:
        prepare(environment["KAFKA_BOOTSTRAP_SERVERS"], folder, int(asked) if asked else None)
    except Broken as refusal:
        print(f"Error: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
