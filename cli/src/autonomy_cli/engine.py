"""Commands that run the runner's own code, without a platform: how it is found, and how its refusals are told.

Place in the flow: `strategies`, `data` → **engine** → the extra `strategies`.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from autonomy.errors import AutonomyError
from autonomy.timeframes import MS
from autonomy_cli.exits import Exit, fail

_Found = TypeVar("_Found")


def engine_part(name: str) -> Any:  # noqa: ANN401 (a module of the extra `strategies`, which the command is installed without)
    """A module of `job_runner.trying` (such as ".files"); ends the command where the extra is missing."""
    try:
        package = importlib.import_module("job_runner.trying").__name__
        return importlib.import_module(name, package)
    except ModuleNotFoundError as missing:
        fail(Exit.CANNOT_RUN, f"this command runs the engine itself: install the extra `strategies` ({missing.name} is missing)")


def told(run: Callable[[], _Found]) -> _Found:
    """Do it, and say what is wrong with a user's strategy or bars on one line."""
    try:
        return run()
    except SyntaxError as fault:
        fail(Exit.REFUSED, f"{Path(fault.filename or 'file').name}:{fault.lineno}: SyntaxError: {fault.msg}")
    except AutonomyError as refusal:
        fail(Exit.REFUSED, str(refusal))
    except OSError as fault:
        fail(Exit.CANNOT_RUN, f"{fault.filename or ''}: {fault.strerror or fault}".lstrip(": "))


def check_timeframe(timeframe: str) -> None:
    """End the command where there is no such timeframe."""
    if timeframe not in MS:
        fail(Exit.CANNOT_RUN, f"--timeframe: one of {', '.join(MS)}, got {timeframe[:20]!r}")
