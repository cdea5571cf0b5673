"""A folder of bar files as a source: which files count, and which are named as not used.

Role: a `ChangingMarketData`. It lists names, times and sizes, reads one file at a time, and holds nothing: what was read last and whether
it is still good is for `editions` to know.
"""

import os
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from autonomy.errors import BadInput
from autonomy.timeframes import MS, bars_name
from autonomy.values import SYMBOL_PATTERN
from job_runner.market import costs_file
from job_runner.market.bar_files import read_bars
from job_runner.market.costs_file import DEFAULT, costs_in
from job_runner.market.sources import Bars, DataMissing, Key, Survey, Unsettled, bars_until, check_key

KINDS: Final = ("csv", "parquet", "feather")
LAYOUT: Final = "SYMBOL/TIMEFRAME.csv, .parquet or .feather (AAPL/1d.csv), or SYMBOL-TIMEFRAME.csv (BTC_USDT-1h.csv)"
FUTURES: Final = "futures"
"""The folder of freqtrade's data that holds futures; what is in it counts as if it stood above."""
_SYMBOL: Final = re.compile(SYMBOL_PATTERN)
_SYMBOL_LIMIT: Final = "1 to 64 characters out of A-Z, 0-9 and . - ^ = / : (in names of files _ for / and the second _ for :)"
_TIMEFRAMES: Final = "|".join(MS)
_FILE: Final = re.compile(rf"({_TIMEFRAMES})\.({'|'.join(KINDS)})")
_FLAT: Final = re.compile(rf"(.+)-({_TIMEFRAMES})(?:-futures)?\.({'|'.join(KINDS)})")


def is_symbol(name: str) -> bool:
    """Whether a name can be a symbol's; one of dots only would be the folder itself or the one above."""
    return bool(_SYMBOL.fullmatch(name)) and bool(name.strip("./"))


def symbol_of(written: str) -> str:
    """A symbol as a name of a file or folder writes it: BTC_USDT is BTC/USDT, BTC_USDT_USDT is BTC/USDT:USDT."""
    return written.replace("_", "/", 1).replace("_", ":", 1)


def written_symbol(symbol: str) -> str:
    """A symbol as names of files write it; the inverse of `symbol_of`."""
    return symbol.replace("/", "_").replace(":", "_")


def sign_of(path: Path) -> Hashable:
    """What changes with a file's content: its time and size, and which file it is.

    Raises:
        OSError: it cannot be looked at.
    """
    status = path.stat()
    return (path.name, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


@dataclass(frozen=True, slots=True)
class FolderMarketData:
    """A folder of `{symbol}/{timeframe}.{kind}` or `{symbol}-{timeframe}.{kind}`, the kind csv, parquet or feather.

    Columns: a time (`bar_times.COLUMNS`), open, high, low, close, volume; others are not read. Of several files for one symbol and
    timeframe the newest counts. Links that lead out of the folder are refused. Hidden names (`.git`) are none of its business.

    Args:
        folder: its path.
        live: see `Bars.live`.
    """

    folder: Path
    live: bool = False
    longest_rest_s: ClassVar[float] = 10.0

    def markets(self) -> tuple[Key, ...]:
        """All symbols and timeframes it has a file of, sorted."""
        return tuple(sorted(self.survey().signs))

    def survey(self) -> Survey:
        """See `ChangingMarketData.survey`."""
        if not self.folder.is_dir():
            raise BadInput("folder", "an existing folder of bars", self.folder)
        skipped: dict[str, str] = {}
        found, costs = self._files(skipped), costs_in(self.folder)
        symbols = {symbol for symbol, _ in found}
        skipped |= {f"{costs_file.NAME}: {name}": "no bars of this symbol" for name in costs.entries if name not in {DEFAULT, *symbols}}
        signs: dict[Key, Hashable] = {}
        for key, paths in found.items():
            try:
                used = self._newest(key, paths)
                signs[key] = (sign_of(used), costs.sign_of(key[0]))
            except (OSError, BadInput) as fault:
                # The reason why it cannot be looked at is its sign, and reading it will say the same.
                signs[key] = ("not readable", str(fault))
            else:
                skipped |= {self._shown(path): f"older than {used.name}, which is used" for path in paths if path != used}
        return Survey(signs, skipped)

    def bars(self, symbol: str, timeframe: str, until: int) -> Bars:
        """See `MarketData.bars`.

        Raises:
            DataMissing: no such symbol or timeframe.
            BadInput: a file that holds no valid bars.
            OSError: it cannot be read now.
            Unsettled: it changed meanwhile.
        """
        if not is_symbol(symbol):
            raise BadInput("symbol", _SYMBOL_LIMIT, symbol)
        paths = self._files_of(symbol, timeframe)
        if not paths:
            check_key(symbol, timeframe, self.markets() if self.folder.is_dir() else ())
            raise DataMissing("symbol", "one that has a file", symbol)
        path = self._newest((symbol, timeframe), paths)
        name, before = self._shown(path), sign_of(path)
        try:
            columns = read_bars(path, name, timeframe)
        except BadInput:
            _refuse_if_changed(path, before)
            raise
        _refuse_if_changed(path, before)
        return bars_until(
            symbol, timeframe, columns, until, f"folder/{name}", synthetic=False, live=self.live, costs=costs_in(self.folder).of(symbol)
        )

    def _files_of(self, symbol: str, timeframe: str) -> list[Path]:
        """The files of one symbol and timeframe, by the names that they may have: of thousands of symbols only this one is looked for."""
        stems = [name for name in dict.fromkeys((written_symbol(symbol), symbol)) if "/" not in name and symbol_of(name) == symbol]
        places = [
            self.folder / place
            for stem in stems
            for kind in KINDS
            for place in (
                f"{stem}/{timeframe}.{kind}", f"{stem}-{timeframe}.{kind}", f"{stem}-{timeframe}-futures.{kind}",
                f"{FUTURES}/{stem}-{timeframe}.{kind}", f"{FUTURES}/{stem}-{timeframe}-futures.{kind}",
            )
        ]  # fmt: skip
        return [path for path in places if (path.is_file() or path.is_symlink()) and not path.is_dir()]

    def _files(self, skipped: dict[str, str]) -> dict[Key, list[Path]]:
        """Files by what they hold; what is none of them goes into `skipped`, with the reason."""
        found: dict[Key, list[Path]] = defaultdict(list)
        for child in _children(self.folder):
            try:
                is_folder = child.is_dir()
            except OSError as fault:  # such as a link to itself
                skipped[child.name] = str(fault)
                continue
            if child.name == costs_file.NAME:
                continue
            if not is_folder:
                self._take_flat(child, found, skipped)
            elif child.name == FUTURES:
                for path in _children(child):
                    self._take_flat(path, found, skipped)
            elif not is_symbol(symbol := symbol_of(child.name)):
                skipped[child.name] = f"its name is no symbol: {_SYMBOL_LIMIT}"
            else:
                self._take_folder(child, symbol, found, skipped)
        return found

    def _take_flat(self, path: Path, found: dict[Key, list[Path]], skipped: dict[str, str]) -> None:
        match = _FLAT.fullmatch(path.name)
        if match is None:
            skipped[self._shown(path)] = f"not bars by its name: bars stand in {LAYOUT}"
        elif not is_symbol(symbol := symbol_of(match[1])):
            skipped[self._shown(path)] = f"its name is no symbol: {_SYMBOL_LIMIT}"
        elif path.is_dir() or not (path.is_file() or path.is_symlink()):
            skipped[self._shown(path)] = "not a file"
        else:
            found[symbol, match[2]].append(path)

    def _take_folder(self, folder: Path, symbol: str, found: dict[Key, list[Path]], skipped: dict[str, str]) -> None:
        try:
            paths = list(_children(folder))
        except OSError as fault:
            skipped[folder.name] = str(fault)
            return
        if not paths:
            skipped[folder.name] = f"an empty folder: bars stand in {LAYOUT}"
        for path in paths:
            match = _FILE.fullmatch(path.name)
            if match is None:
                skipped[self._shown(path)] = f"not TIMEFRAME.csv, .parquet or .feather, with one of {', '.join(MS)} (capital letters count)"
            elif path.is_dir():
                skipped[self._shown(path)] = "a folder, not a file"
            else:
                found[symbol, match[1]].append(path)

    def _newest(self, key: Key, paths: list[Path]) -> Path:
        """The file that counts.

        Raises:
            BadInput: a link that leads out, or two files of one age.
            OSError: one cannot be looked at.
        """
        root = self.folder.resolve()
        for path in paths:
            try:
                leads_to = path.resolve()
            except RuntimeError as loop:  # until Python 3.13
                raise BadInput(self._shown(path), "a file, not a link to itself") from loop
            if not leads_to.is_relative_to(root):
                raise BadInput(self._shown(path), "a file inside the folder of bars, not a link out of it")
        by_age = sorted(((path.stat().st_mtime_ns, path) for path in paths), reverse=True)
        if len(by_age) > 1 and by_age[0][0] == by_age[1][0]:
            names = " and ".join(sorted(path.name for _, path in by_age[:2]))
            raise BadInput(bars_name(*key), f"one file, or several of which one is the newest: {names} are of the same time")
        return by_age[0][1]

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _children(folder: Path) -> Iterator[Path]:
    """What stands in a folder, by name, without what is hidden."""
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 (a listing of names is all that is asked)
        if not name.startswith("."):
            yield folder / name


def _refuse_if_changed(path: Path, before: Hashable) -> None:
    if sign_of(path) != before:
        raise Unsettled(f"{path.name} changed while it was read")
