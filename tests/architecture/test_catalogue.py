"""The language is complete: every event, reason and gate has its place everywhere.

Source: CONTRIBUTING.md, "Style", 10.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from autonomy import topics
from autonomy.events import BY_WIRE, CATALOGUE, Event
from autonomy.gates import GateCode, PromotionGate
from autonomy.reasons import Reason, ZeroJobs
from autonomy.values import Drift

ROOT = Path(__file__).parents[2]
PRODUCERS = {"proof-api", "planner", "job-runner", "projection"}
PROJECTION_ELSEWHERE = {
    "BotDecision": "read lightly, as `Decided` of `projection.fold.sealed`: `apply_tick` has a case for that",
    "PlannerRun": "the seal itself: `apply_tick` takes it from the accepted tick",
    "RecordQuarantined": "the projection's own words; the row is written when it says them",
}
SETTLED_TESTS = [path for path in (ROOT / "tests").rglob("test_*.py") if "architecture" not in path.parts and "contract" not in path.parts]


@cache
def cases_of(*paths: str) -> set[str]:
    """Class names that these modules have a written case for: `case Name()` or `isinstance(…, Name)`."""
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            match node:
                case ast.MatchClass(cls=ast.Name(id=name)):
                    found.add(name)
                case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id=name)]):
                    found.add(name)
                case _:
                    pass
    return found


def has_case(event: type[Event], cases: set[str]) -> bool:
    """Whether the event or a family of events that it belongs to has a case."""
    return any(kind.__name__ in cases for kind in event.__mro__ if kind is not Event and issubclass(kind, Event))


def meanings_of(enum: str) -> dict[str, str]:
    """Members of an enum with the string that stands below each."""
    tree = ast.parse((ROOT / "shared/src/autonomy/values.py").read_text())
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enum]
    found: dict[str, str] = {}
    for statement, following in zip(body, [*body[1:], None], strict=True):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = ""
                if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                    found[name] = str(following.value.value)
            case _:
                pass
    return found


def test_catalogue_names_every_event_class_once() -> None:
    assert len(BY_WIRE) == len(CATALOGUE) == len(set(CATALOGUE))
    leaves = {kind for kind in _below(Event) if "wire" in kind.__dict__}
    assert leaves == set(CATALOGUE)


def _below(kind: type[Event]) -> set[type[Event]]:
    return {kind} | {leaf for child in kind.__subclasses__() for leaf in _below(child)}


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.__name__)
def test_event_has_a_topic_a_producer_a_version_and_a_meaning(event: type[Event]) -> None:
    assert event.topic in {topic.name for topic in topics.TOPICS}
    assert event.producer in PRODUCERS
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.v[1-9]\d*", event.wire)
    assert event.__doc__


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.__name__)
def test_event_has_a_case_in_the_planners_fold(event: type[Event]) -> None:
    """An ignored one too: ignoring is a written case."""
    assert has_case(event, cases_of("services/planner/src/planner/fold/slices.py", "services/planner/src/planner/fold/facts.py"))


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.__name__)
def test_event_has_a_case_in_the_projection(event: type[Event]) -> None:
    folder = ROOT / "services/projection/src/projection"
    modules = [str(path.relative_to(ROOT)) for path in folder.rglob("*.py")]
    assert has_case(event, cases_of(*modules)) or event.__name__ in PROJECTION_ELSEWHERE


def test_cause_has_a_meaning() -> None:
    assert [name for name, meaning in meanings_of("Cause").items() if not meaning] == []


@pytest.mark.parametrize(
    "code", [*Reason, *GateCode, *PromotionGate, *Drift, *ZeroJobs], ids=lambda code: f"{type(code).__name__}.{code.name}"
)
def test_code_is_produced_by_a_test(code: Reason | GateCode | PromotionGate | Drift | ZeroJobs) -> None:
    named = re.compile(rf"\b{type(code).__name__}\.{code.name}\b|[\"']{code.value}[\"']")
    assert any(named.search(path.read_text()) for path in SETTLED_TESTS), f"no test produces {code.name}"
