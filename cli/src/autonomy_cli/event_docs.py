"""Write docs/events.md from the catalogue: `python -m autonomy_cli.event_docs [FILE]`; without a file, to standard output.

Place in the flow: `autonomy.events` → **this** → documentation. A test compares the committed file with what this writes.
"""

import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from autonomy import topics
from autonomy.bar_outcomes import OUTCOMES
from autonomy.events import CATALOGUE, Document, Event
from autonomy.gates import GATES, EvidenceGate, figures_read
from autonomy.reasons import REASONS, ZERO_JOBS
from autonomy.values import BOT_ID_PATTERN, SYMBOL_PATTERN
from autonomy.work import JOB_KINDS

KNOWN_PATTERNS: Final = {
    BOT_ID_PATTERN: "bot id", SYMBOL_PATTERN: "symbol",
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$": "id (UUID)",
    r"^[0-9a-f]{64}$": "SHA-256, hex",
    r"^-?\d{1,18}(\.\d{1,8})?$": "decimal string, USD",
}  # fmt: skip
ATTRIBUTE: Final = re.compile(r"^ {4}([a-z0-9_, ]+): (.+(?:\n {8,}.+)*)", re.MULTILINE)
HEAD: Final = """# Events

Everything that is ever said between two processes, in the order in which it flows. Written by `python -m autonomy_cli.event_docs
docs/events.md` from `autonomy.events`; do not edit it by hand, a test compares the two.

Each record is a CloudEvents 1.0 envelope in structured JSON in the value: `specversion`, `id`, `source`, `type` (the wire name below),
`subject` (the key), `time`, `datacontenttype`, `dataschema`, `data` (the fields below), and where known `actor`, `causationid`,
`traceparent`. The header `content-type` says so, and `dataschema` names the JSON Schema of `data`, which proof-api serves
(`/api/schemas/NAME`; `/asyncapi.json` has all of it). [consumers.md](consumers.md) reads them in other languages.
The key is the bot id, or names the tick, command or process. Wire names never change; another meaning is another version.
Records of `autonomy.runs` count only once the seal of their try is accepted (`autonomy events tail` hides the others).
"""


def render() -> str:
    """The whole file."""
    parts = [HEAD, *_topic_parts()]
    shown: dict[str, type[Document]] = {}
    parts.extend(_event_part(event, shown) for event in CATALOGUE)
    parts.append("## Parts\n\nObjects inside the events above.\n")
    done: set[str] = set()
    while open_ := [name for name in shown if name not in done]:
        for name in open_:
            done.add(name)
            parts.append(_part(shown[name], shown))
    parts.append(_codes())
    return "\n".join(parts)


def _topic_parts() -> list[str]:
    lines = ["## Topics\n", "| topic | partitions | meaning | kept |", "|---|---|---|---|"]
    for topic in topics.TOPICS:
        kept = "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // 60_000} minutes"
        lines.append(f"| `{topic.name}` | {topic.partitions} | {topic.meaning} | {kept} |")
    return ["\n".join(lines) + "\n"]


def _codes() -> str:
    """Gates, reasons, kinds of work and outcomes of bars, as their objects in `autonomy` say them."""
    lines = ["## Codes\n", "Gates: what each asks for, who has to act before it passes, and what it reads of the evidence.\n"]
    lines += ["| gate | asks for | who acts | reads |", "|---|---|---|---|"]
    for code, gate in GATES.items():
        reads = ", ".join(dict.fromkeys(figures_read(gate))) if isinstance(gate, EvidenceGate) else ""
        lines.append(f"| `{code}` | {gate.meaning} | {gate.act.value} | {reads} |".replace("  |", " |"))
    lines += ["\nReasons of a decision, in order of precedence.\n", "| reason | meaning | who acts |", "|---|---|---|"]
    lines += [f"| `{reason.code}` | {reason.meaning} | {reason.act.value} |" for reason in REASONS.values()]
    lines += ["\nWhy a tick enqueued nothing.\n", "| reason | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in ZERO_JOBS.items()]
    lines += ["\nKinds of work.\n", "| job type | is | class | places of |", "|---|---|---|---|"]
    lines += [f"| `{kind.code}` | {kind.title} | {kind.job_class} | {kind.work} |" for kind in JOB_KINDS.values()]
    lines += ["\nWhat became of a bar: one outcome each.\n", "| outcome | meaning | what lets the bot trade |", "|---|---|---|"]
    lines += [f"| `{outcome.code}` | {outcome.meaning} | {outcome.changes} |".replace("  |", " |") for outcome in OUTCOMES.values()]
    return "\n".join(lines) + "\n"


def _event_part(event: type[Event], shown: dict[str, type[Document]]) -> str:
    head = f"## {event.__name__}\n\n`{event.wire}` on `{event.topic}`, written by {event.producer}.\n\n{_meaning(event)}\n"
    return head + _fields(event, shown)


def _part(part: type[Document], shown: dict[str, type[Document]]) -> str:
    return f"### {part.__name__}\n\n{_meaning(part)}\n{_fields(part, shown)}"


def _meaning(kind: type[BaseModel]) -> str:
    return _doc(kind).split("\n\nAttributes:")[0].split("\nAttributes:")[0].strip()


def _doc(kind: type[BaseModel]) -> str:
    return inspect.cleandoc(kind.__dict__.get("__doc__") or "")


def attribute_meanings(kind: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a class and its ancestors say about each field."""
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        if not issubclass(ancestor, BaseModel):
            continue
        _, _, told = _doc(ancestor).partition("Attributes:\n")
        for names, meaning in ATTRIBUTE.findall(told):
            text = re.sub(r"\s+", " ", meaning).strip()
            found |= dict.fromkeys((name.strip() for name in names.split(",")), text)
    return found


def _fields(kind: type[Document], shown: dict[str, type[Document]]) -> str:
    if not kind.model_fields:
        return ""
    schema = kind.model_json_schema(by_alias=True)
    meanings, required = attribute_meanings(kind), set(schema.get("required", ()))
    _note_parts(kind, shown)
    lines = ["\n| field | type and limits | meaning |", "|---|---|---|"]
    for name in kind.model_fields:
        wire = kind.model_fields[name].alias or name
        entry = schema["properties"][wire]
        optional = "" if wire in required else f", default {_default(entry)}"
        lines.append(f"| `{wire}` | {_type(entry, schema)}{optional} | {meanings.get(name, '')} |".replace("  |", " |"))
    return "\n".join(lines) + "\n"


def _default(entry: Mapping[str, object]) -> str:
    default = entry.get("default")
    return "none" if default is None else f"`{default}`" if default != "" else "empty"


def _note_parts(kind: type[Document], shown: dict[str, type[Document]]) -> None:
    """Remember every document that this one holds, so that it is described once, below."""
    known = {part.__name__: part for part in _documents(Document)}
    for name in kind.model_json_schema().get("$defs", {}):
        if name in known and not issubclass(known[name], Event):
            shown.setdefault(name, known[name])


def _documents(root: type[Document]) -> list[type[Document]]:
    below = [part for child in root.__subclasses__() for part in _documents(child)]
    return [root, *below]


def _type(entry: Mapping[str, object], schema: Mapping[str, object]) -> str:  # noqa: PLR0911 (one return per form of a schema)
    """A JSON schema in a few words."""
    match entry:
        case {"$ref": str(ref)}:
            return _reference(ref.rsplit("/", 1)[-1], schema)
        case {"anyOf": list(choices)}:
            return " or ".join(_type(choice, schema) for choice in choices)
        case {"const": value}:
            return f"`{value}`"
        case {"enum": list(values)}:
            return " \\| ".join(f"`{value}`" for value in values)
        case {"type": "array", "prefixItems": list(items)}:
            return f"[{', '.join(_type(item, schema) for item in items)}]"
        case {"type": "array", "items": dict(item)}:
            return f"list of {_type(item, schema)}{_bounds(entry)}"
        case {"type": "object", "additionalProperties": dict(value)}:
            return f"object of {_type(value, schema) if value else 'any value'}"
        case {"type": "object"}:
            return "object"
        case {"type": "string"}:
            return _string(entry)
        case {"type": str(kind)}:
            return f"{kind}{_bounds(entry)}"
        case _:
            return "any value"


def _reference(name: str, schema: Mapping[str, object]) -> str:
    definitions = schema.get("$defs")
    entry = definitions.get(name, {}) if isinstance(definitions, Mapping) else {}
    if "enum" in entry:
        return _type(entry, schema)
    return "any value" if name == "JsonValue" else f"[{name}](#{name.lower()})"


def _string(entry: Mapping[str, object]) -> str:
    pattern, form = entry.get("pattern"), entry.get("format")
    if isinstance(pattern, str):
        return KNOWN_PATTERNS.get(pattern) or f"string{_bounds(entry)}, pattern in the code"
    if form == "date-time":
        return "instant, UTC, ISO 8601"
    return "day, ISO 8601" if form == "date" else f"string{_bounds(entry)}"


def _bounds(entry: Mapping[str, object]) -> str:
    names = {
        "minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<", "minLength": "length ≥",
        "maxLength": "length ≤", "minItems": "items ≥", "maxItems": "items ≤",
    }  # fmt: skip
    told = [f"{word} {entry[name]}" for name, word in names.items() if name in entry]
    return f" ({', '.join(told)})" if told else ""


def main() -> int:
    """Write the file that is named, or to standard output."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(render())
    else:
        sys.stdout.write(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
