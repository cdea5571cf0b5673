"""What the exit codes of every command mean, and how a command ends with one."""

import sys
from enum import IntEnum
from typing import Final, NoReturn

import typer


class Exit(IntEnum):
    """Exit codes; `--help` shows them."""

    OK = 0
    """Done, or as it should be."""
    REFUSED = 1
    """Refused, not found, not ticking, or the audit differs."""
    CANNOT_RUN = 2
    """Wrong usage, no credential, or proof-api or Kafka does not answer."""
    UNKNOWN = 3
    """The command was sent and is still open, or it is unknown whether it arrived."""


EPILOG: Final = (
    "Exit codes: 0 done or as it should be; 1 refused, not found, not ticking, or the audit differs; "
    "2 wrong usage, no credential, or proof-api or Kafka does not answer; 3 sent, but the outcome is open or unknown. "
    "Environment: AUTONOMY_API, AUTONOMY_TOKEN, AUTONOMY_DATA_DIR, KAFKA_BOOTSTRAP_SERVERS, NO_COLOR."
)


def fail(code: Exit, words: str) -> NoReturn:
    """Say why on standard error, and end with a code.

    Raises:
        Exit: always.
    """
    print(f"Error: {words}", file=sys.stderr)
    raise typer.Exit(int(code))
