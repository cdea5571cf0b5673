"""What trading each symbol of a folder of bars costs and allows: `costs.yaml` beside them.

Role: read by the folder as a source, so that what a symbol costs comes with its bars, is announced with them and stands in every order. A
file that is wrong is the fault of the symbols that it is wrong about: they are not offered, or stay as they were last right, and nothing
falls back to other costs in silence.

Source: docs/own-bots.md, "What trading costs".
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from autonomy.errors import BadInput
from autonomy.events import Costs

NAME: Final = "costs.yaml"
DEFAULT: Final = "default"
"""What holds for every symbol that has no entry of its own, and for the fields that an entry leaves out."""
LEAST: Final = ("fee_bps", "slippage_bps")
MAX_BYTES: Final = 1_000_000
FIELDS: Final = tuple(Costs.model_fields)


@dataclass(frozen=True, slots=True)
class CostsFile:
    """One state of the file.

    Attributes:
        entries: by symbol or `default`, the fields as written.
        fault: why it cannot be read at all; empty when it can.
    """

    entries: Mapping[str, Mapping[str, object]]
    fault: str = ""

    def of(self, symbol: str) -> Costs | None:
        """The costs of a symbol; None where the file says nothing about it.

        Raises:
            BadInput: the file, or what it says of the symbol, is out of limits; names the field.
        """
        if self.fault:
            raise BadInput(NAME, self.fault)
        said = {**self.entries.get(DEFAULT, {}), **self.entries.get(symbol, {})}
        if not said:
            return None
        place = f"{NAME}: {symbol if symbol in self.entries else DEFAULT}"
        for name in said:
            if name not in FIELDS:
                raise BadInput(f"{place}.{name}", f"one of {', '.join(FIELDS)}", name)
        for name in LEAST:
            if name not in said:
                raise BadInput(f"{place}.{name}", "a number of basis points: who says what a symbol costs says both of these", None)
        try:
            return Costs.model_validate(said, strict=True, by_name=True)
        except ValidationError as refusal:
            fault = refusal.errors(include_url=False)[0]
            raise BadInput(f"{place}.{'.'.join(str(part) for part in fault['loc'])}", fault["msg"], fault["input"]) from refusal

    def sign_of(self, symbol: str) -> Hashable:
        """What changes with the costs of a symbol."""
        return (self.fault, tuple(sorted((str(k), repr(v)) for name in (DEFAULT, symbol) for k, v in self.entries.get(name, {}).items())))


NONE: Final = CostsFile({})


def costs_in(folder: Path) -> CostsFile:
    """The file of a folder, as it stands now; empty where there is none."""
    path = folder / NAME
    try:
        status = path.stat()
    except FileNotFoundError:
        return NONE
    except OSError as fault:
        return CostsFile({}, str(fault))
    if status.st_size > MAX_BYTES:
        return CostsFile({}, f"at most {MAX_BYTES} bytes, got {status.st_size}")
    return _read(path, (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino))


@lru_cache(maxsize=16)
def _read(path: Path, sign: Hashable) -> CostsFile:  # noqa: ARG001 (the sign is what the answer is remembered by)
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as fault:
        return CostsFile({}, " ".join(f"a YAML document: {fault}".split())[:300])
    if found is None:
        return NONE
    if not isinstance(found, dict):
        return CostsFile({}, "symbols, each with its costs")
    odd = next((name for name, said in found.items() if not isinstance(name, str) or not isinstance(said, dict)), None)
    if odd is not None:
        return CostsFile({}, f"symbols, each with its costs: {odd!r} is not")
    return CostsFile(found)
