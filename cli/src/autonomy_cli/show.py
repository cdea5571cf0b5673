"""Words and tables for people; JSON for programs. Foreign text never reaches the terminal as control characters."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar

Key = TypeVar("Key", bound=str)
Columns = Sequence[tuple[str, Key]]
"""Headings, each with the key of a document."""
BOLD: Final = "\x1b[1m"
RED: Final = "\x1b[31m"
YELLOW: Final = "\x1b[33m"
GREEN: Final = "\x1b[32m"
PLAIN: Final = "\x1b[0m"
WIDEST: Final = 60
"""A column is never padded beyond this; a longer cell moves what stands behind it, and is never cut: half a number is a wrong one."""


def has_colour() -> bool:
    """Whether colours are wanted: on a terminal, unless NO_COLOR is set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str) -> str:
    """Text in a colour, where colours are wanted."""
    return f"{colour}{text}{PLAIN}" if has_colour() else text


def safe(value: object) -> str:
    """Any value in one line without control characters; None is a dash."""
    if value is None:
        return "-"
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(value))


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, ensure_ascii=not _is_utf8(), indent=1))


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def print_table(rows: Iterable[Mapping[Key, object]], columns: Columns[Key], empty: str) -> None:
    """Rows under headings; `columns` are pairs of heading and key."""
    lines = [[safe(row.get(key)) for _, key in columns] for row in rows]
    if not lines:
        print(empty)
        return
    heads = [head for head, _ in columns]
    widths = [max(len(head), *(min(len(line[n]), WIDEST) for line in lines)) for n, head in enumerate(heads)]
    print(painted("  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip(), BOLD))
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@cache
def warn(words: str) -> None:
    """Say something on standard error, once."""
    print(painted(words, YELLOW) if sys.stderr.isatty() else words, file=sys.stderr)


def counted(counts: object) -> str:
    """Counts as `name 3, other 1`."""
    if not isinstance(counts, Mapping) or not counts:
        return "-"
    return ", ".join(f"{safe(name)} {safe(count)}" for name, count in counts.items())


def part(document: Mapping[Key, object], name: Key) -> Mapping[Any, object]:
    """An object inside a document, or an empty one."""
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def listed(document: Mapping[Key, object], name: Key) -> list[Mapping[Any, object]]:
    """A list of objects inside a document, or an empty one."""
    found = document.get(name)
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []
