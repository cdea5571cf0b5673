"""A field that comes with a default costs no recorded log anything: hashes are over what was said, not over how it is held.

Each entity, event and section of the policy in turn gets one field more, as a developer would add it, in every module that names it; then
both recorded logs of the present decider are decided again, byte for byte.

Source: R-F2; docs/adr/0021-hashes-are-over-what-was-said.md.
"""

import sys
from types import GenericAlias
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from pydantic import BaseModel, create_model

import planner.shell.app
from autonomy import events, lifecycle, policy
from autonomy.events import BY_WIRE, CATALOGUE
from autonomy.events.document import Event, later
from autonomy.values import Stage
from planner.fold import entities
from planner.fold.hashing import bytes_of, said
from replay.test_replay import RECORDS, Differs, Recorded, path_of, replay

assert planner.shell.app.__name__ in sys.modules, "every module of the planner is loaded, or its names would not be replaced"
NEW = "zz_came_later"
OURS = ("autonomy.", "planner.")
ENTITIES = sorted(
    {kind for module in (entities, lifecycle) for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Struct)}
    - {Struct},
    key=lambda kind: kind.__name__,
)
SECTIONS = sorted(
    {kind for kind in vars(policy).values() if isinstance(kind, type) and issubclass(kind, policy.Section)} - {policy.Section},
    key=lambda kind: kind.__name__,
)  # fmt: skip
LOGS = [Recorded.read(path_of(name)) for name in RECORDS]


def put_in_place(monkeypatch: pytest.MonkeyPatch, old: object, new: object) -> None:
    """Let every module of ours that names the one name the other."""
    for name, module in list(sys.modules.items()):
        if name.startswith(OURS) and module is not None:
            for key, held in list(vars(module).items()):
                if held is old:
                    monkeypatch.setattr(module, key, new)


def replays() -> None:
    for recorded in LOGS:
        assert replay(recorded.log) == recorded.expected


def with_fields(kind: type[BaseModel], **fields: Any) -> Any:
    """The model with fields more, or of another type; each with its type and its default."""
    return create_model(kind.__name__, __base__=kind, __module__=kind.__module__, **fields)


def extended(kind: type[Struct]) -> type[Struct]:
    return msgspec.defstruct(kind.__name__, [(NEW, int, 0)], bases=(kind,), frozen=True, namespace={"__module__": kind.__module__})


@pytest.mark.parametrize("kind", ENTITIES, ids=lambda kind: kind.__name__)
def test_entity_with_a_new_field(monkeypatch: pytest.MonkeyPatch, kind: type[Struct]) -> None:
    put_in_place(monkeypatch, kind, extended(kind))
    replays()


def test_negative_control_a_hash_over_the_class_notices_a_new_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so the new class is the one that is used."""
    new = extended(entities.Bot)
    put_in_place(monkeypatch, entities.Bot, new)

    def shown(value: object) -> Any:
        told: Any = said(value)
        return told | {NEW: getattr(value, NEW)} if isinstance(value, new) else told

    monkeypatch.setattr("planner.fold.hashing.said", shown)
    with pytest.raises(Differs, match="tick 1"):
        replays()


def test_negative_control_a_new_field_that_says_something_changes_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    new = msgspec.defstruct("Bot", [(NEW, int, 0)], bases=(entities.Bot,), frozen=True)
    plain = new(**{field.name: None for field in msgspec.structs.fields(entities.Bot)})
    assert bytes_of(msgspec.structs.replace(plain, **{NEW: 1})) != bytes_of(plain) == bytes_of(msgspec.structs.replace(plain, **{NEW: 0}))


def test_entities_are_said_by_what_is_not_default_and_plain_values_beside_them_as_they_are() -> None:
    inner: Any = msgspec.defstruct("Inner", [("x", int, 0)], frozen=True)
    outer: Any = msgspec.defstruct(
        "Outer", [("pairs", tuple[tuple[str, inner], ...], ()), ("only", inner | None, None), ("always", int)], frozen=True, kw_only=True
    )
    assert said(outer(pairs=(("a", inner(1)), ("b", inner())), always=0)) == {"always": 0, "pairs": [["a", {"x": 1}], ["b", {}]]}
    assert said(outer(only=inner(2), always=3)) == {"always": 3, "only": {"x": 2}}
    two: Any = msgspec.defstruct("Two", [("b", int), ("a", int)], frozen=True)
    assert said(two(1, 2)) == {"a": 2, "b": 1}


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.wire)
def test_event_with_a_new_field(monkeypatch: pytest.MonkeyPatch, kind: type[Event]) -> None:
    new = with_fields(kind, **{NEW: (int, later(0))})
    assert NEW in new.model_fields
    put_in_place(monkeypatch, kind, new)
    monkeypatch.setitem(BY_WIRE, kind.wire, new)
    replays()


def test_negative_control_a_new_field_that_is_always_written_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = events.JobEnqueued
    new = with_fields(kind, **{NEW: (int, 0)})
    put_in_place(monkeypatch, kind, new)
    monkeypatch.setitem(BY_WIRE, kind.wire, new)
    with pytest.raises(Differs, match="tick"):
        replays()


def policy_with(kind: type[policy.Section]) -> Any:
    """The policy whose section, or whose own document, has a field more."""
    new = with_fields(kind, **{NEW: (int, later(0))})
    if kind is policy.Policy:
        return new
    if kind is policy.GateThresholds:
        stage = with_fields(policy.StagePolicy, gates=(new, new()))
    elif kind is policy.StagePolicy:
        stage = new
    else:
        (field,) = [name for name, info in policy.Policy.model_fields.items() if info.annotation is kind]
        return with_fields(policy.Policy, **{field: (new, new())})
    factory = policy.Policy.model_fields["stages"].default_factory
    assert factory is not None
    default = {name: stage.model_validate(held.model_dump()) for name, held in factory().items()}  # type: ignore[call-arg] # takes nothing
    return with_fields(policy.Policy, stages=(GenericAlias(dict, (Stage, stage)), default))


@pytest.fixture(params=SECTIONS, ids=lambda kind: kind.__name__)
def new_policy(request: pytest.FixtureRequest) -> Any:
    return policy_with(request.param)


def test_policy_with_a_new_field(monkeypatch: pytest.MonkeyPatch, new_policy: Any) -> None:
    default = new_policy()
    assert NEW not in default.model_dump_json()
    put_in_place(monkeypatch, policy.DEFAULT, default)
    put_in_place(monkeypatch, policy.Policy, new_policy)
    assert isinstance(policy.read_policy({}), new_policy)
    replays()
