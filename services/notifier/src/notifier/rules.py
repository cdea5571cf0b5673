"""The rules: who is told what, from a YAML file; every refusal names the file, its line, the field and the limit, and no secret.

Place in the flow: NOTIFY_RULES → **rules** → desks; `autonomy notify check` reads the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from autonomy.errors import BadInput
from notifier.alarms import Limits
from notifier.kinds import Kind
from notifier.sending import Receiver, build_receiver

MAX_RECEIVERS: Final = 16
MAX_RULES: Final = 50
MAX_BYTES: Final = 100_000
ALL: Final = "all"
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ReceiverDocument(_Part):
    """A receiver: its address, or the file that holds it, and the least time between two messages to it, in seconds."""

    url: SecretStr | None = None
    url_file: Annotated[str, Field(min_length=1)] | None = None
    spacing_s: Annotated[float, Field(ge=0, le=3_600, strict=False)] = 60.0


class RuleDocument(_Part):
    """Kinds, and the receivers that are told of them."""

    kinds: Annotated[list[str], Field(min_length=1, max_length=len(Kind))]
    to: Annotated[list[Name], Field(min_length=1, max_length=MAX_RECEIVERS)]


class SilenceDocument(_Part):
    """After how many seconds a silence is an alarm; `seals_s` 0: never, else longer than the policy's interval of ticks."""

    planner_s: Annotated[float, Field(ge=3, le=600, strict=False)] = 6.0
    log_s: Annotated[float, Field(ge=10, le=3_600, strict=False)] = 30.0
    seals_s: Annotated[float, Field(ge=0, le=90_000, strict=False)] = 180.0


class RulesDocument(_Part):
    """The file."""

    page: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", max_length=500)]
    receivers: Annotated[dict[Name, ReceiverDocument], Field(min_length=1, max_length=MAX_RECEIVERS)]
    rules: Annotated[list[RuleDocument], Field(min_length=1, max_length=MAX_RULES)]
    silence: SilenceDocument = SilenceDocument()


@dataclass(frozen=True, slots=True)
class Listener:
    """A receiver and what it is told."""

    receiver: Receiver
    kinds: frozenset[Kind]
    spacing_s: float


@dataclass(frozen=True, slots=True)
class Rules:
    """A file that was read.

    Attributes:
        page: the Bots page's address, without a slash at its end.
        advice: what is allowed and not wise, in words.
    """

    page: str
    listeners: tuple[Listener, ...]
    limits: Limits
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Tree:
    """The file's nodes, for the lines of its fields."""

    file: Path
    root: yaml.Node

    def refusal(self, path: Sequence[str | int], limit: str) -> BadInput:
        """A refusal of the field at this path, with its line."""
        node, line = self.root, self.root.start_mark.line
        for step in path:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == step), None)
                if found is None:
                    break
                line, node = found[0].start_mark.line, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line
            else:
                break
        return BadInput(f"{self.file}:{line + 1}", f"{_dotted(path)}: {limit}")


def _dotted(path: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") or "the file"


def load_rules(file: Path) -> Rules:
    """Read a file of rules.

    Raises:
        BadInput: it cannot be read or is not as it must be: file, line, field, limit.
    """
    tree, document = _parsed(file)
    try:
        found = RulesDocument.model_validate(document)
    except ValidationError as refusal:
        first = refusal.errors(include_input=False, include_url=False, include_context=False)[0]
        raise tree.refusal(_path_of(first["loc"]), str(first["msg"])) from None
    kinds = _kinds(found, tree)
    listeners = tuple(
        Listener(_receiver(name, receiver, tree), kinds[name], receiver.spacing_s) for name, receiver in found.receivers.items()
    )
    silence = found.silence
    limits = Limits(round(silence.planner_s * 1000), round(silence.log_s * 1000), round(silence.seals_s * 1000))
    return Rules(found.page.rstrip("/"), listeners, limits, tuple(_advice(file, found)))


def _parsed(file: Path) -> tuple[_Tree, object]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadInput(str(file), f"must have at most {MAX_BYTES:,} bytes")
        loader = yaml.SafeLoader(file.read_text())
        root = loader.get_single_node()
        if root is None:
            raise BadInput(f"{file}:1", "is empty; it needs `page`, `receivers` and `rules`")
        tree = _Tree(file, root)
        _check_twice(root, (), tree, set())
        return tree, loader.construct_document(root)
    except yaml.MarkedYAMLError as refusal:
        line = refusal.problem_mark.line + 1 if refusal.problem_mark else 1
        # What it quotes may be a part of an address.
        raise BadInput(f"{file}:{line}", f"is no YAML: {str(refusal.problem).partition(chr(39))[0].strip()}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as refusal:
        raise BadInput(str(file), f"cannot be read: {getattr(refusal, 'strerror', None) or type(refusal).__name__}") from None


def _check_twice(node: yaml.Node, path: tuple[str | int, ...], tree: _Tree, looked_at: set[int]) -> None:
    """A key that stands twice would silently be the last one. A node that an alias repeats is looked at once."""
    if id(node) in looked_at:
        return
    looked_at.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise BadInput(f"{tree.file}:{key.start_mark.line + 1}", f"{_dotted((*path, key.value))}: stands twice")
            seen.add(key.value)
            _check_twice(value, (*path, key.value), tree, looked_at)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _check_twice(value, (*path, number), tree, looked_at)


def _path_of(loc: tuple[Any, ...]) -> list[str | int]:
    """Pydantic's place without its own word for keys."""
    return [step for step in loc if step != "[key]"]


def _kinds(found: RulesDocument, tree: _Tree) -> Mapping[str, frozenset[Kind]]:
    kinds: dict[str, set[Kind]] = {name: set() for name in found.receivers}
    for number, rule in enumerate(found.rules):
        asked: set[Kind] = set()
        for place, word in enumerate(rule.kinds):
            if word != ALL and word not in set(Kind):
                limit = f"must be one of {ALL}, {', '.join(Kind)}; got {word[:40]!r}"
                raise tree.refusal(("rules", number, "kinds", place), limit)
            asked |= set(Kind) if word == ALL else {Kind(word)}
        for place, name in enumerate(rule.to):
            if name not in kinds:
                raise tree.refusal(("rules", number, "to", place), f"must be one of the receivers {', '.join(kinds)}; got {name!r}")
            kinds[name] |= asked
    for name, asked in kinds.items():
        if not asked:
            raise tree.refusal(("receivers", name), "no rule tells it anything: name it in a rule's `to`, or take it out")
    return {name: frozenset(asked) for name, asked in kinds.items()}


def _receiver(name: str, document: ReceiverDocument, tree: _Tree) -> Receiver:
    if (document.url is None) == (document.url_file is None):
        raise tree.refusal(("receivers", name), "must have either `url` or `url_file`")
    field = "url" if document.url is not None else "url_file"
    address = document.url if document.url is not None else _address_in(tree, name, document.url_file or "")
    try:
        return build_receiver(name, address, field)
    except BadInput as refusal:
        raise tree.refusal(("receivers", name, field), refusal.limit) from None


def _address_in(tree: _Tree, name: str, url_file: str) -> SecretStr:
    """The address that a file holds; a relative name is looked for beside the rules."""
    try:
        text = (tree.file.parent / url_file).read_text().strip()
    except (OSError, UnicodeDecodeError) as refusal:
        why = getattr(refusal, "strerror", None) or type(refusal).__name__
        raise tree.refusal(("receivers", name, "url_file"), f"{url_file} cannot be read: {why}") from None
    if not text or "\n" in text:
        raise tree.refusal(("receivers", name, "url_file"), f"{url_file} must hold one line: the address")
    return SecretStr(text)


def _advice(file: Path, found: RulesDocument) -> Iterator[str]:
    if any(receiver.url is not None for receiver in found.receivers.values()) and file.stat().st_mode & 0o077:
        yield f"{file} holds addresses with their secrets, and others may read it: chmod 600"
    silent = {name for rule in found.rules if {ALL, Kind.SILENT.value} & set(rule.kinds) for name in rule.to}
    if not silent:
        yield "nobody is told when the planner or the log is silent: no rule names `silent`"
