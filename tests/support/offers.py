"""The offers of the strategies that come with the job-runner, as a file: whoever tests the planner or the page need not import an engine.

`tests/unit/job_runner/strategies/test_installed.py` holds the file equal to what the code declares; `PYTHONPATH=tests python -m support.offers` writes it.
"""

import hashlib
import json
from pathlib import Path
from typing import Final

from autonomy.events import StrategyOffered
from autonomy.strategies import Value, check_parameters

FILE: Final = Path(__file__).parent / "offers.json"


def _read() -> dict[str, StrategyOffered]:
    """By name, with hashes that are of no code."""
    documents = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        name: StrategyOffered.model_validate({**declared, "codeHash": hashlib.sha256(name.encode()).hexdigest()})
        for name, declared in documents.items()
    }


OFFERS: Final = _read() if FILE.exists() else {}


def offer(name: str, code_hash: str | None = None) -> StrategyOffered:
    """One of them; a strategy of no parameters for a name that is none of theirs."""
    found = OFFERS.get(name) or OFFERS["sma-cross"].model_copy(
        update={"name": name, "numbers": (), "choices": (), "orderings": (), "warm_up": (), "title": name}
    )
    return found if code_hash is None else found.model_copy(update={"code_hash": code_hash})


def checked(name: str, parameters: dict[str, object]) -> dict[str, Value]:
    """A complete parameter document of one of them."""
    return check_parameters(OFFERS[name], parameters)


def main() -> None:
    """Write the file anew from the code."""
    from job_runner.strategies.coded import installed

    documents = {
        name: coded.offer.model_dump(mode="json", by_alias=True, exclude={"code_hash"}) for name, coded in installed().strategies.items()
    }
    FILE.write_text(json.dumps(documents, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
