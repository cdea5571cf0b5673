"""The one door to the compiler: typed, cached, and never stale.

Role: turns a plain function over float64 arrays into machine code. Everything compiled in this service is decorated
    here.

A compiled kernel holds the code of the functions it calls, but the compiler's own cache watches only the file of the
outermost one: after an edit of a template it would go on running the old template under the new code hash. So the
cache lives in a folder named by the hash of every source that holds a kernel, and of all that these import, such as
constants; an edit anywhere means a new folder.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from job_runner.engine.code_path import behind

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
SmallIntArray = NDArray[np.int8]

# Columns of the rows of bars: prices in USD, volume in shares.
OPEN = 0
HIGH = 1
LOW = 2
CLOSE = 3
VOLUME = 4
BAR_SIZE = 5

# Two means this close (relative) are the same number computed in two ways; without a dead band a flat price would
# trade on
# rounding.
TIE = 1e-12

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Bar(NamedTuple):
    """One bar that has ended; prices in USD, volume in shares. The compiler keeps a named tuple in registers."""

    open: float
    high: float
    low: float
    close: float
    volume: float


def kernel(function: _Function, apart: str = "") -> _Function:
    """Compile `function` at its first call, with a cache on disk that its sources' hash names.

    Args:
        function: plain code over float64 arrays.
        apart: a folder of its own within the cache, for what is made around code from elsewhere.

    Called kernels are inlined by force: a call per bar and array would cost more than the work.
    """
    return _compiled(function, apart, inlined=True)


def kernel_apart(function: _Function) -> _Function:
    """A kernel that is called, not inlined: what happens in few bars would only make the loop over all of them larger and slower."""
    return _compiled(function, "", inlined=False)


def _compiled(function: _Function, apart: str, *, inlined: bool) -> _Function:
    """The folder is handed over through the compiler's configuration, which is read at decoration only and put back at once."""
    # The compiler's settings are made at run time, and its own annotations do not know them.
    compiler: Any = numba
    before = compiler.config.CACHE_DIR
    compiler.config.CACHE_DIR = str(cache_folder() / apart)
    try:
        # Without its memory manager: kernels allocate nothing, and counting references in the inner loop cost half
        # the time.
        compiled: _Function = compiler.njit(cache=True, forceinline=inlined, _nrt=False)(function)
    finally:
        compiler.config.CACHE_DIR = before
    return compiled


@functools.cache
def cache_folder() -> Path:
    """Where compiled kernels of exactly these sources are kept.

    Compiled kernels are loaded as code, so the folder must belong to this user: next to the sources, else in the home
    folder.
    """
    package = Path(__file__).parent.parent
    sources = [source for source in package.rglob("*.py") if b"@kernel" in source.read_bytes()]
    name_of = {source: ".".join((package.name, *source.relative_to(package).with_suffix("").parts)) for source in sources}
    digest = behind(sorted(name_of.values())).hash()
    beside = package / "__pycache__"
    compiler: Any = numba
    if compiler.config.CACHE_DIR:
        parent = Path(compiler.config.CACHE_DIR)
    elif os.access(beside if beside.exists() else package, os.W_OK):
        parent = beside
    else:
        parent = Path.home() / ".cache" / "autonomy-kernels"
    return parent / digest[:16]


@kernel
def bar_at(rows: FloatArray, i: int) -> Bar:
    """Row `i` of float64 (n, BAR_SIZE) as a bar."""
    place = np.uintp(i)  # never negative, so that no index has to be wrapped around
    return Bar(rows[place, OPEN], rows[place, HIGH], rows[place, LOW], rows[place, CLOSE], rows[place, VOLUME])
