"""Files of bots: every bot with its place, two of one id refused with both places, and parts that one command takes."""

import json
from pathlib import Path
from typing import Any

import pytest

from autonomy.errors import BadInput
from autonomy.events import MAX_BOTS_PER_APPLY, MAX_RETIRED_PER_APPLY
from autonomy_cli.fleet_files import MAX_PART_BYTES, MAX_PART_VALUES, FleetFiles, parts_of, read_files

TWO = """fleet: stocks
bots:
  - id: one
    strategy: sma-cross
    symbol: AAPL
    parameters:
      fast: 20
  - {id: two, strategy: macd, symbol: IBM}
"""


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_folder_of_yaml_and_json_with_several_documents(tmp_path: Path) -> None:
    more = (
        '{\n\t"fleet": "stocks",\n\t"bots": [\n\t\t{"id": "four", "strategy": "macd", "symbol": "IBM",\n\t\t "parameters": {"fast": 1e1}}]}'
    )
    found = read_files(
        written(tmp_path, a_yaml=TWO + "---\nbots: [{id: three, strategy: macd, symbol: IBM}]\n", b__c_json=more, d_txt="no")
    )
    assert (found.fleet, list(found.bots), found.refused) == ("stocks", ["one", "two", "three", "four"], [])
    assert found.bots["four"].document["parameters"] == {"fast": 10.0}, "as JSON means it"
    places = {(bot_id, path): found.bots[bot_id].place(path) for bot_id, path in (
        ("one", ""), ("one", "symbol"), ("one", "parameters.fast"), ("one", "parameters.slow"), ("two", "symbol"), ("four", "parameters.fast"),
    )}  # fmt: skip
    assert {key: place.line for key, place in places.items()} == {
        ("one", ""): 3, ("one", "symbol"): 5, ("one", "parameters.fast"): 7, ("one", "parameters.slow"): 6, ("two", "symbol"): 8,
        ("four", "parameters.fast"): 5,
    }  # fmt: skip
    assert places["four", "parameters.fast"].words == f"{tmp_path / 'b' / 'c.json'}:5"


def test_a_bot_there_twice_is_refused_with_every_place(tmp_path: Path) -> None:
    found = read_files(written(tmp_path, a_yaml=TWO, b_yaml=TWO, c_yaml=TWO))
    assert found.bots == {}
    assert [(refusal.bot_id, [place.words for place in refusal.places]) for refusal in found.refused] == [
        ("one", [f"{tmp_path / name}:3" for name in ("a.yaml", "b.yaml", "c.yaml")]),
        ("two", [f"{tmp_path / name}:8" for name in ("a.yaml", "b.yaml", "c.yaml")]),
    ]
    assert found.names("one"), "and so it is not retired either"


@pytest.mark.parametrize(("text", "at", "words"), [
    ("bots:\n  - {id: one\n", "a.yaml:3", "is no YAML or JSON"),
    ("bots:\n  - one\n", "a.yaml:2", "must be a bot"),
    ("bots: {}\n", "a.yaml:1", "list `bots`"),
    ("", "a.yaml:1", "list `bots`"),
    ("fleet: x\nbot: 1\nbots: []\n", "a.yaml:2", "`bot` is unknown"),
    ("bots:\n  - {id: one, parameters: {fast: .nan}}\n", "a.yaml:2", "parameters.fast must be a finite number"),
    ("bots:\n  - {id: one, parameters: {day: 2024-01-01}}\n", "a.yaml:2", "parameters.day must be a finite number"),
    ("fleet: A B\nbots: []\n", "a.yaml:1", "must match"),
])  # fmt: skip
def test_what_is_no_file_of_bots_is_refused_with_its_line(tmp_path: Path, text: str, at: str, words: str) -> None:
    if text:
        written(tmp_path, a_yaml=text)
    else:
        written(tmp_path, a_json="[]")
        at = at.replace("yaml", "json")
    with pytest.raises(BadInput) as refusal:
        read_files(tmp_path)
    assert at in refusal.value.field
    assert words in refusal.value.limit


def test_no_json_says_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        read_files(written(tmp_path, a_json='{"bots": [\n{"id": "one",}]}'))
    assert refusal.value.field.endswith("a.json:2")


def test_two_names_of_a_fleet_are_refused_with_both_places(tmp_path: Path) -> None:
    written(tmp_path, a_yaml=TWO, b_yaml="fleet: crypto\nbots: []\n")
    with pytest.raises(BadInput) as refusal:
        read_files(tmp_path)
    assert "b.yaml:1" in refusal.value.limit
    assert "a.yaml:1" in refusal.value.limit
    with pytest.raises(BadInput) as refusal:
        read_files(tmp_path / "a.yaml", "other")
    assert "--fleet" in refusal.value.limit
    assert read_files(tmp_path / "a.yaml", "stocks").fleet == "stocks"


def test_an_id_that_nobody_can_name_is_refused_by_itself(tmp_path: Path) -> None:
    found = read_files(written(tmp_path, a_yaml="bots:\n  - {id: One}\n  - {strategy: macd}\n  - {id: two}\n"))
    assert ([(refusal.bot_id, refusal.places[0].line) for refusal in found.refused], list(found.bots)) == (
        [("One", 2), ("None", 3)],
        ["two"],
    )


def sizes(parts: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    texts = [json.dumps(part["bots"], separators=(",", ":")) for part in parts]
    return [(len(part["bots"]), len(text), sum(map(text.count, ",[{"))) for part, text in zip(parts, texts, strict=True)]


@pytest.mark.parametrize(("fill", "parts"), [({}, 2), ({"name": "n" * 200}, 3), ({"parameters": {f"p{n}": n for n in range(20)}}, 3)])
def test_parts_are_as_few_as_their_limits_allow(tmp_path: Path, fill: dict[str, Any], parts: int) -> None:
    count = MAX_BOTS_PER_APPLY + 1
    (tmp_path / "a.json").write_text(
        json.dumps({"bots": [{"id": f"b-{n}", "strategy": "macd", "symbol": "IBM", **fill} for n in range(count)]})
    )
    found: FleetFiles = read_files(tmp_path)
    made = list(parts_of("", list(found.bots.values()), []))
    assert len(made) == parts
    assert sum(number for number, _, _ in sizes(made)) == count
    for number, size, values in sizes(made):
        assert number <= MAX_BOTS_PER_APPLY
        assert size <= MAX_PART_BYTES
        assert values <= MAX_PART_VALUES


def test_those_to_retire_come_behind_in_parts_of_their_own(tmp_path: Path) -> None:
    found = read_files(written(tmp_path, a_yaml=TWO))
    leaving = [f"old-{number:060d}" for number in range(MAX_RETIRED_PER_APPLY + 1)]
    made: list[dict[str, Any]] = list(parts_of("stocks", list(found.bots.values()), leaving))
    most = MAX_PART_BYTES // 67
    assert [(len(part["bots"]), len(part["retire"])) for part in made] == [(2, 0), (0, most), (0, len(leaving) - most)]
    short = list(parts_of("stocks", [], [f"b-{number}" for number in range(MAX_RETIRED_PER_APPLY + 1)]))
    assert [len(str(part["retire"]).split(",")) for part in short] == [MAX_RETIRED_PER_APPLY, 1], "half of 10,000 leave in one command"
    assert [bot_id for part in made for bot_id in part["retire"]] == leaving
