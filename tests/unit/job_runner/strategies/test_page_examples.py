"""The strategies that docs/own-bots.md shows are what it says: they load, pass every check, and trade.

Source: R-G3.
"""

import re
from pathlib import Path

import pytest

from job_runner.trying.files import backtested, checked, market_of, strategies_in
from support.research import SMALL

PAGE = Path(__file__).parents[4] / "docs" / "own-bots.md"
EXAMPLES = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL) if "class " in block]


@pytest.mark.parametrize("example", EXAMPLES, ids=re.findall(r"class (\w+)\(Strategy\)", "".join(EXAMPLES)))
def test_an_example_is_sound(tmp_path: Path, example: str) -> None:
    path = tmp_path / "example.py"
    path.write_text(example, encoding="utf-8")
    market = market_of(None)
    (findings,) = checked(path, market, "IBM").values()
    assert [finding for finding in findings if finding.passed is False] == []
    with strategies_in(path) as found:
        (coded,) = found.values()
        report = backtested(coded, market, "IBM", {}, suite=SMALL)
    assert len(report.trades) > 10
    assert report.look_ahead.ok


def test_examples_are_found() -> None:
    assert len(EXAMPLES) == 2
