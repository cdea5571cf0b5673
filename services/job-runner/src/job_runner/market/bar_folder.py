"""A folder of bar files as a source: which files count, and which are named as not used.

Role: a `ChangingMarketData`. It lists names, times and sizes, reads one file at a time, and holds nothing: what was read last and whether
it is still good is for `editions` to know.
"""

import os
import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from autonomy.errors import BadInput
from job_runner.market.bar_files import read_bars
from job_runner.market.sources import DAILY, Bars, DataMissing, Survey, Unsettled, bars_until, check_timeframe

FILES = (f"{DAILY}.csv", f"{DAILY}.parquet")
LAYOUT = f"SYMBOL/{FILES[0]} or SYMBOL/{FILES[1]}"
_SYMBOL = re.compile(r"[A-Z0-9.\-]{1,16}")
_SYMBOL_LIMIT = "1 to 16 characters out of A-Z, 0-9, point and minus"


def is_symbol(name: str) -> bool:
    """Whether a name can be a symbol's; one of dots only would be the folder itself or the one above."""
    return bool(_SYMBOL.fullmatch(name)) and bool(name.strip("."))


def sign_of(path: Path) -> Hashable:
    """What changes with a file's content: its time and size, and which file it is.

    Raises:
        OSError: it cannot be looked at.
    """
    status = path.stat()
    return (path.name, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


@dataclass(frozen=True, slots=True)
class FolderMarketData:
    """A folder of `{symbol}/1d.csv` or `{symbol}/1d.parquet`.

    Columns: `date` (ISO) or `day` (days since 1970-01-01), open, high, low, close, volume; others are not read. Of two files for one
    symbol the newer one counts. Links that lead out of the folder are refused. Hidden names (`.git`) are none of its business.

    Args:
        folder: its path.
    """

    folder: Path
    longest_rest_s: ClassVar[float] = 10.0

    def symbols(self) -> tuple[str, ...]:
        """All symbols it has a file of, sorted."""
        return tuple(sorted(self.survey().signs))

    def survey(self) -> Survey:
        """See `ChangingMarketData.survey`."""
        if not self.folder.is_dir():
            raise BadInput("folder", "an existing folder of bars", self.folder)
        signs: dict[str, Hashable] = {}
        skipped: dict[str, str] = {}
        with os.scandir(self.folder) as children:
            for child in sorted(children, key=lambda child: child.name):
                if child.name.startswith("."):
                    continue
                try:
                    is_folder = child.is_dir()
                except OSError as fault:  # such as a link to itself
                    skipped[child.name] = str(fault)
                    continue
                if not is_folder:
                    skipped[child.name] = f"not a folder: bars stand in {LAYOUT}"
                elif not is_symbol(child.name):
                    skipped[child.name] = f"its name is no symbol: {_SYMBOL_LIMIT}"
                else:
                    self._survey_symbol(child.name, signs, skipped)
        return Survey(signs, skipped)

    def _survey_symbol(self, symbol: str, signs: dict[str, Hashable], skipped: dict[str, str]) -> None:
        try:
            names = sorted(path.name for path in (self.folder / symbol).iterdir() if not path.name.startswith("."))
            path = self._file(symbol)
            for name in names:
                if path is not None and name == path.name:
                    continue
                skipped[f"{symbol}/{name}"] = self._why_not(symbol, name, path)
            if path is not None:
                signs[symbol] = sign_of(path)
            elif not names:
                skipped[symbol] = f"an empty folder: bars stand in {LAYOUT}"
        except (OSError, BadInput) as fault:
            # The reason why it cannot be looked at is its sign, and reading it will say the same.
            signs[symbol] = ("not readable", str(fault))

    def _why_not(self, symbol: str, name: str, used: Path | None) -> str:
        if name not in FILES:
            return f"not one of {', '.join(FILES)} (daily bars; capital letters count)"
        path = self.folder / symbol / name
        if path.is_dir():
            return "a folder, not a file"
        if not path.is_file():
            return "not a file: a link that leads nowhere?"
        return "not used" if used is None else f"older than {used.name}, which is used"

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`.

        Raises:
            DataMissing: no such symbol.
            BadInput: a file that holds no valid bars.
            OSError: it cannot be read now.
            Unsettled: it changed meanwhile.
        """
        check_timeframe(timeframe)
        if not is_symbol(symbol):
            raise BadInput("symbol", _SYMBOL_LIMIT, symbol)
        path = self._file(symbol)
        if path is None:
            raise DataMissing("symbol", f"one of {', '.join(self.symbols())}", symbol)
        name, before = f"{symbol}/{path.name}", sign_of(path)
        try:
            columns = read_bars(path, name)
        except BadInput:
            _refuse_if_changed(path, before)
            raise
        _refuse_if_changed(path, before)
        return bars_until(symbol, columns, until, f"folder/{name}", synthetic=False)

    def _file(self, symbol: str) -> Path | None:
        """The file that counts, or None.

        Raises:
            BadInput: a link that leads out, or two files of one age.
        """
        root = self.folder.resolve()
        found = [path for path in (self.folder / symbol / name for name in FILES) if path.is_file()]
        for path in found:
            if not path.resolve().is_relative_to(root):
                raise BadInput(f"{symbol}/{path.name}", "a file inside the folder of bars, not a link out of it")
        ages = [path.stat().st_mtime_ns for path in found]
        if len(found) == 2 and ages[0] == ages[1]:
            raise BadInput(symbol, f"one file, or two of which one is newer: {FILES[0]} and {FILES[1]} are of the same time")
        return found[ages.index(max(ages))] if found else None


def _refuse_if_changed(path: Path, before: Hashable) -> None:
    if sign_of(path) != before:
        raise Unsettled(f"{path.name} changed while it was read")
