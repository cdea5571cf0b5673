"""Files of bots: which bots they name, and where each stands, so that every refusal can say file and line.

Place in the flow: YAML and JSON files → **fleet files** → parts of `apply-fleet`. Nothing here knows what a bot may be, but for its id.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from autonomy.errors import BadInput
from autonomy.events import MAX_BOTS_PER_APPLY, MAX_RETIRED_PER_APPLY
from autonomy.values import BOT_ID, BOT_ID_PATTERN

ENDINGS: Final = frozenset({".yaml", ".yml", ".json"})
MAX_PART_BYTES: Final = 240_000
"""Of one part as JSON, below what proof-api takes as a body."""
MAX_PART_VALUES: Final = 18_000
"""Commas and brackets of one part, below what it looks through."""
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: `file:line`, the line from 1."""

    file: Path
    line: int

    @property
    def words(self) -> str:
        """As editors and terminals take it."""
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Text:
    """One document of a file.

    Attributes:
        node: its node tree with the lines; None until it is asked for: of a large JSON file that costs ten times what its values do.
    """

    file: Path
    text: str = ""
    node: Any = None

    def nodes(self) -> Any:  # noqa: ANN401 (a YAML node)
        """The node tree."""
        if self.node is None:
            self.node = LOADER(self.text).get_single_node()
        return self.node

    def line_of(self, name: str) -> int:
        """The line of a field at its top; that of the document where it is not there."""
        node = self.nodes()
        return next((int(key.start_mark.line) for key, _ in node.value if key.value == name), int(node.start_mark.line)) + 1

    def bot(self, index: int) -> Any:  # noqa: ANN401 (a YAML node)
        """The node of a bot."""
        return next(value for key, value in self.nodes().value if key.value == "bots").value[index]

    def place(self, index: int) -> Place:
        """Where a bot begins."""
        return Place(self.file, self.bot(index).start_mark.line + 1)


@dataclass(frozen=True, slots=True)
class Placed:
    """One bot's document, and where it stands."""

    bot_id: str
    document: dict[str, object]
    text: Text
    index: int

    def place(self, path: str = "") -> Place:
        """Where a field stands, such as `parameters.fast`; a field that is not there: where the bot begins."""
        node = self.text.bot(self.index)
        line = node.start_mark.line
        for name in path.split(".") if path else ():
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            found = next(((key, value) for key, value in pairs if key.value == name), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        return Place(self.text.file, line + 1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A bot that is not sent, or was refused."""

    bot_id: str
    field: str
    limit: str
    places: tuple[Place, ...]


@dataclass(slots=True)
class FleetFiles:
    """What a set of files says.

    Attributes:
        fleet: the name of the fleet that they are of; empty: none.
        bots: by id, those that stand there once.
        refused: those that stand there twice, or have no id that one could name.
    """

    fleet: str = ""
    bots: dict[str, Placed] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)

    def names(self, bot_id: str) -> bool:
        """Whether the files name a bot, be it twice."""
        return bot_id in self.bots or any(refusal.bot_id == bot_id for refusal in self.refused)


def read_files(path: Path, fleet: str = "") -> FleetFiles:
    """Read a file, or all files of bots in a folder and below it, in the order of their names.

    Args:
        path: of a file or folder.
        fleet: the fleet's name, where the files do not say it.

    Raises:
        BadInput: a file is no file of bots, with its line; two name different fleets.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in ENDINGS and file.is_file())
    if not files:
        raise BadInput(str(path), f"must be a file of bots, or a folder with some ({', '.join(sorted(ENDINGS))})")
    found, said = FleetFiles(fleet), dict[str, Text]()
    twice: dict[str, list[Place]] = {}
    for file in files:
        for document, text in _documents(file):
            _check_form(document, text)
            name = document.get("fleet")
            if name is not None and str(name) not in said:
                said[str(name)] = text
            _take(document, text, found, twice)
    for bot_id, places in sorted(twice.items()):
        found.refused.append(Refusal(bot_id, "id", "is there twice", tuple(places)))
    _name(found, fleet, said)
    return found


def _take(document: Mapping[str, Any], text: Text, found: FleetFiles, twice: dict[str, list[Place]]) -> None:
    for index, bot in enumerate(document["bots"]):
        if not isinstance(bot, dict):
            raise BadInput(text.place(index).words, "must be a bot, with id, strategy and symbol")
        if (fault := _not_json(bot)) is not None:
            raise BadInput(text.place(index).words, f"{fault} must be a finite number, a text, true, false, a list or an object")
        bot_id = bot.get("id")
        if not isinstance(bot_id, str) or BOT_ID.fullmatch(bot_id) is None:
            found.refused.append(Refusal(str(bot_id)[:64], "id", f"must match {BOT_ID_PATTERN}", (text.place(index),)))
        elif bot_id in twice:
            twice[bot_id].append(text.place(index))
        elif (first := found.bots.pop(bot_id, None)) is not None:
            twice[bot_id] = [first.place(), text.place(index)]
        else:
            found.bots[bot_id] = Placed(bot_id, bot, text, index)


def _name(found: FleetFiles, fleet: str, said: Mapping[str, Text]) -> None:
    def at(name: str) -> str:
        return f"{said[name].file}:{said[name].line_of('fleet')}" if name in said else "--fleet"

    names = sorted({*said, fleet} - {""})
    if len(names) > 1:
        raise BadInput("fleet", "must be one: " + ", ".join(f"{name} ({at(name)})" for name in names))
    for name in names:
        if BOT_ID.fullmatch(name) is None:
            raise BadInput(f"fleet ({at(name)})", f"must match {BOT_ID_PATTERN}", name)
        found.fleet = name


def _documents(file: Path) -> Iterator[tuple[Any, Text]]:
    """Each document of a file, and its text with the lines.

    Raises:
        BadInput: it cannot be read, with its line.
    """
    try:
        text = file.read_text()
        if file.suffix == ".json":
            # The values as JSON means them; YAML takes 1e5 for a word. The lines are the same.
            yield json.loads(text), Text(file, text)
            return
        loader = LOADER(text)
        while loader.check_node():
            node = loader.get_node()
            yield loader.construct_document(node), Text(file, node=node)
    except yaml.MarkedYAMLError as refusal:
        line = refusal.problem_mark.line + 1 if refusal.problem_mark else 1
        raise BadInput(f"{file}:{line}", f"is no YAML or JSON: {refusal.problem}") from refusal
    except json.JSONDecodeError as refusal:
        raise BadInput(f"{file}:{refusal.lineno}", f"is no JSON: {refusal.msg}") from refusal
    except (OSError, ValueError, yaml.YAMLError) as refusal:
        raise BadInput(str(file), f"cannot be read: {str(refusal).splitlines()[0]}") from refusal


def _check_form(document: object, text: Text) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("bots"), list):
        line = text.node.start_mark.line + 1 if text.node is not None else 1
        raise BadInput(f"{text.file}:{line}", "must be an object with a list `bots`")
    unknown = sorted(str(name) for name in document.keys() - {"bots", "fleet"})
    if unknown:
        raise BadInput(f"{text.file}:{text.line_of(unknown[0])}", f"`{unknown[0]}` is unknown beside `bots` and `fleet`")


def _not_json(value: object, place: str = "") -> str | None:
    """Where in a document a value is that JSON does not have: a date, a NaN, a name that is no text."""
    match value:
        case dict():
            for name, inner in value.items():
                if not isinstance(name, str):
                    return f"{place}.{name}".lstrip(".")
                if (found := _not_json(inner, f"{place}.{name}".lstrip("."))) is not None:
                    return found
            return None
        case list():
            return next((found for n, inner in enumerate(value) if (found := _not_json(inner, f"{place}.{n}")) is not None), None)
        case float():
            return None if value - value == 0 else place
        case None | str() | bool() | int():
            return None
        case _:
            return place


def parts_of(fleet: str, bots: Sequence[Placed], retire: Sequence[str]) -> Iterator[dict[str, object]]:
    """Bodies of `apply-fleet`, each within what one command takes; as few as that allows.

    Raises:
        BadInput: one bot alone is too large for any.
    """
    taken: list[Placed] = []
    size = values = 0
    for bot in bots:
        text = json.dumps(bot.document, ensure_ascii=False, separators=(",", ":"))
        more, inside = len(text.encode()) + 1, sum(map(text.count, ",[{")) + 1
        if more > MAX_PART_BYTES or inside > MAX_PART_VALUES:
            raise BadInput(bot.place().words, f"{bot.bot_id}: a bot has at most {MAX_PART_BYTES} bytes and {MAX_PART_VALUES} values", more)
        if len(taken) == MAX_BOTS_PER_APPLY or size + more > MAX_PART_BYTES or values + inside > MAX_PART_VALUES:
            yield {"fleet": fleet, "bots": [one.document for one in taken], "retire": []}
            taken, size, values = [], 0, 0
        taken.append(bot)
        size, values = size + more, values + inside
    if taken:
        yield {"fleet": fleet, "bots": [one.document for one in taken], "retire": []}
    leaving: list[str] = []
    size = 0
    for bot_id in retire:
        more = len(bot_id) + 3  # quotes and comma
        if len(leaving) == MAX_RETIRED_PER_APPLY or size + more > MAX_PART_BYTES:
            yield {"fleet": fleet, "bots": [], "retire": leaving}
            leaving, size = [], 0
        leaving.append(bot_id)
        size += more
    if leaving:
        yield {"fleet": fleet, "bots": [], "retire": leaving}
