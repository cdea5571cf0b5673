"""Who may act: add, list and revoke operators in the file that proof-api reads at every credential.

Place in the flow: by hand, on the machine of proof-api → **operators file** → proof-api. A token is drawn here, printed once, and kept
as its SHA-256 only. The file is replaced whole, so that no reader ever sees half of it.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from autonomy_cli import options as o
from autonomy_cli.exits import Exit, fail
from autonomy_cli.show import print_json, print_table

NAME: Final = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
RESERVED: Final = frozenset({"anonymous", "planner", "system", "none"})
"""Names that the log uses for somebody who is no operator."""
DEFAULT_FILE: Final = "operators.json"
Entry = dict[str, str]


class Role(StrEnum):
    """What an operator may do; each may do what the ones before it may."""

    viewer = "viewer"
    operator = "operator"
    approver = "approver"


Name = Annotated[str, typer.Argument(help="The operator's name: lower-case letters, digits, . _ -; at most 64.")]
RoleOption = Annotated[
    Role, typer.Option("--role", help="viewer reads, operator acts, approver also sets policy and approves CANARY and LIVE.")
]
File = Annotated[Path | None, typer.Option("--file", envvar="OPERATORS_FILE", help="Default: operators.json in AUTONOMY_DATA_DIR.")]
Force = Annotated[bool, typer.Option("--force", help="Also when nobody is left who could approve.")]


def add(name: Name, role: RoleOption = Role.operator, file: File = None, as_json: o.Json = False) -> None:
    """Make an operator; the token is printed once and kept nowhere."""
    if not NAME.fullmatch(name) or name in RESERVED:
        fail(
            Exit.CANNOT_RUN, f"{name!r} is not a valid operator name: lower-case letters, digits, . _ -; not {', '.join(sorted(RESERVED))}"
        )
    token = secrets.token_urlsafe(32)
    with changed(place(file)) as entries:
        if any(entry["name"] == name for entry in entries):
            fail(Exit.REFUSED, f"{name} exists; revoke it first, then its old token is refused")
        entries.append({"name": name, "role": role.value, "sha256": hashlib.sha256(token.encode()).hexdigest()})
    if as_json:
        print_json({"name": name, "role": role.value, "token": token})
        return
    print(token)
    typer.echo(f"{name} is {role.value}; this token is shown only now: hand it over, and set it as AUTONOMY_TOKEN", err=True)


def show(file: File = None, as_json: o.Json = False) -> None:
    """Everybody who may act, without their tokens."""
    entries = [{"name": entry["name"], "role": entry["role"]} for entry in read(place(file))]
    if as_json:
        print_json(entries)
        return
    print_table(entries, (("operator", "name"), ("role", "role")), "No operator.")


def revoke(name: Name, file: File = None, force: Force = False, as_json: o.Json = False) -> None:
    """Refuse an operator's token from the next request on."""
    with changed(place(file)) as entries:
        if not any(entry["name"] == name for entry in entries):
            fail(Exit.REFUSED, f"{name} is not an operator")
        kept = [entry for entry in entries if entry["name"] != name]
        lost = Role.approver.value in roles(entries) and Role.approver.value not in roles(kept)
        if lost and not force:
            fail(Exit.REFUSED, f"{name} is the last approver: nobody could set a policy or repair a halt any more (--force)")
        entries[:] = kept
    if as_json:
        print_json({"name": name, "revoked": True})
        return
    print(f"{name} is revoked")


def roles(entries: Sequence[Entry]) -> set[str]:
    """The roles that somebody has."""
    return {entry["role"] for entry in entries}


def place(file: Path | None) -> Path:
    """Where the operators are."""
    return file or Path(os.environ.get("AUTONOMY_DATA_DIR", ".data")) / DEFAULT_FILE


def read(path: Path) -> list[Entry]:
    """The operators of a file; none when there is no file. Anything else in it ends the command."""
    try:
        found = json.loads(path.read_text())
        return [{name: str(entry[name]) for name in ("name", "role", "sha256")} for entry in found]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as refusal:
        fail(Exit.CANNOT_RUN, f"{path} is not a list of operators with name, role and sha256 ({type(refusal).__name__})")


@contextlib.contextmanager
def changed(path: Path) -> Iterator[list[Entry]]:
    """Read, let the caller change, and replace the file whole with mode 0600; one writer at a time."""
    if not path.parent.is_dir():
        fail(Exit.CANNOT_RUN, f"no folder {path.parent}: set AUTONOMY_DATA_DIR or --file")
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = read(path)
        yield entries
        replace(path, json.dumps(entries, indent=1))
    finally:
        os.close(lock)


def replace(path: Path, text: str) -> None:
    """Put a private file in another's place at once; a crash leaves the old one or the new one."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")  # made with mode 0600
    try:
        with os.fdopen(number, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as fault:
        Path(name).unlink(missing_ok=True)
        fail(Exit.CANNOT_RUN, f"{path} could not be written ({fault})")
