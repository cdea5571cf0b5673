"""Files that were written for freqtrade: recognised by their text, refused by name where they cannot be mapped, else given an adapter.

Role: on the way of a user's file into its copy. The adapter is one more file of the copy, which imports the user's and `autonomy.adapters`:
so it runs where all such code does, and what it depends on, freqtrade's version too, is in the code's hash by its imports.

Source: docs/own-bots.md, "From freqtrade".
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from autonomy.adapters.freqtrade_source import Refusal, asked_of
from job_runner.strategies.guest import StrategyFailed

TO_INSTALL: Final = "it is written for freqtrade, which is not installed here: pip install freqtrade beside the runner"
MAX_NAMED: Final = 8
ADAPTER: Final = '''"""Made by the runner: the classes for freqtrade of the file beside it, as strategies of this platform."""

import autonomy.adapters.freqtrade
import {module}

globals().update(autonomy.adapters.freqtrade.adapted({module}, __name__))
'''


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file for another program.

    Args:
        program: with its version.
        top: name of the file in the copy that holds its strategies.
    """

    program: str
    top: str


def adapted(path: Path, files: dict[str, bytes]) -> Foreign | None:
    """Add the adapter to the files of a strategy for freqtrade; None, and nothing added, for any other.

    Args:
        path: the user's file or package.
        files: all of its files by their places; written.

    Raises:
        StrategyFailed: it asks for what is not mapped, or freqtrade is not installed; says where.
        SyntaxError: one of the files is no Python.
    """
    asked = asked_of(files)
    if asked is None:
        return None
    if asked.refusals:
        first = asked.refusals[0]
        raise StrategyFailed(_words_of(asked.refusals), first.file, first.line)
    try:
        program = f"freqtrade {version('freqtrade')}"
    except PackageNotFoundError:
        raise StrategyFailed(TO_INSTALL, asked.file, asked.line) from None
    if (beside := path.with_suffix(".json")).is_file():
        # freqtrade would read it without a word, and its trades would be others.
        raise StrategyFailed(f"{beside.name} is not mapped: write its values into the class, or into the bot's parameters", path.name, 1)
    top = f"{path.stem}_adapted.py"
    if top in files:
        raise StrategyFailed(f"a file beside it is called {top}, as its adapter would be", path.name, 1)
    files[top] = ADAPTER.format(module=path.stem).encode()
    return Foreign(program, top)


def _words_of(refusals: tuple[Refusal, ...]) -> str:
    first, *rest = refusals
    named = [f"{refusal.name} (line {refusal.line})" for refusal in rest[:MAX_NAMED]]
    more = f"; nor {', '.join(named)}" + (f" and {len(rest) - MAX_NAMED} more" if len(rest) > MAX_NAMED else "") if rest else ""
    return f"freqtrade's {first.name} is not mapped: {first.words}{more}"
