"""Results out: a backtest's trades and equity as JSON, CSV and Parquet, from the kept report, never from another file; and the notebook."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from autonomy.client import ProofApi
from autonomy.clock import drawn_id
from autonomy.results import Fleet, NotGiven
from autonomy.values import iso
from local_stack.settings import ROOT
from support.patience import PATIENCE_S
from support.proof import Api

pytestmark = pytest.mark.servers
NOTEBOOK = ROOT / "examples" / "results.ipynb"


@pytest.fixture
def evidence(running: Api) -> dict[str, Any]:
    """The newest result of the platform."""
    found: dict[str, Any] = running.platform.sql("SELECT * FROM bot_backtests ORDER BY created_at DESC LIMIT 1")[0]
    return found


def path_of(evidence: dict[str, Any]) -> str:
    return f"/api/bots/{evidence['bot_id']}/backtests/{evidence['job_id']}"


def test_json_csv_and_parquet_say_the_same_and_what_the_evidence_says(running: Api, evidence: dict[str, Any]) -> None:
    answer = running.get(path_of(evidence))
    assert answer.status_code == 200, answer.text
    whole = answer.json()
    assert whole["proof"]["status"]
    assert whole["backtest"]["artifact"] == evidence["artifact"]
    trades, equity = whole["trades"], whole["equity"]
    assert len(trades) == evidence["trades"] > 0
    assert (equity[0]["barStart"], equity[-1]["barStart"]) == (iso(evidence["first_bar"]), iso(evidence["last_bar"]))
    assert max(row["drawdownFraction"] for row in equity) <= evidence["max_drawdown"] + 1e-9
    for table, rows in (("trades", trades), ("equity", equity)):
        text = running.get(path_of(evidence), params={"format": "csv", "table": table})
        assert text.headers["content-type"].startswith("text/csv")
        assert text.headers["x-artifact"] == evidence["artifact"]
        found = list(csv.DictReader(io.StringIO(text.text)))
        assert [{name: str(value) for name, value in row.items()} for row in rows] == found
        file = running.get(path_of(evidence), params={"format": "parquet", "table": table}, timeout=PATIENCE_S)  # the first one imports
        parquet = pq.read_table(io.BytesIO(file.content)).to_pylist()
        shown = [{name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()} for row in parquet]
        assert shown == rows


def test_what_is_drawn_of_a_result_is_what_its_report_says(running: Api, evidence: dict[str, Any]) -> None:
    drawn = running.get(f"/api/bots/{evidence['bot_id']}/picture").json()["backtest"]
    whole = running.get(f"/api/bots/{evidence['bot_id']}/backtests/{drawn['jobId']}").json()
    assert (drawn["basis"], drawn["lacks"], drawn["ofTrades"]) == ("REPORT", "", len(whole["trades"]))
    closes = {row["barStart"]: (row["closeUsd"], row["drawdownFraction"]) for row in whole["equity"]}
    assert {point["barStart"]: (point["close"], point["drawdown"]) for point in drawn["points"]}.items() <= closes.items()
    assert max(point["drawdown"] for point in drawn["points"]) == max(row["drawdownFraction"] for row in whole["equity"])
    assert [(trade["entryBar"], trade["exitPrice"]) for trade in drawn["trades"]] == [
        (trade["entryBar"], trade["exitPriceUsd"]) for trade in whole["trades"][-len(drawn["trades"]) :]
    ]


def test_what_is_not_there_is_not_found(running: Api, evidence: dict[str, Any]) -> None:
    other = next(row["id"] for row in running.platform.sql("SELECT id FROM bots") if row["id"] != evidence["bot_id"])
    for path in (f"/api/bots/{other}/backtests/{evidence['job_id']}", f"/api/bots/{evidence['bot_id']}/backtests/{drawn_id()}"):
        answer = running.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_BACKTEST")
    assert running.get(path_of(evidence), params={"format": "xml"}).status_code == 422


@pytest.fixture
def stored(running: Api, evidence: dict[str, Any]) -> Iterator[Path]:
    """The file of the report; it is put back."""
    digest = evidence["artifact"].removeprefix("sha256:")
    path = running.platform.folder / "artifacts" / digest[:2] / digest
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


@pytest.mark.parametrize("change", ["one figure", "half", "gone"])
def test_a_report_that_is_another_file_is_never_given_out(running: Api, evidence: dict[str, Any], stored: Path, change: str) -> None:
    content = stored.read_bytes()
    match change:
        case "one figure":
            stored.write_bytes(content.replace(b'"pnl_usd":', b'"pnl_usd":1', 1))
        case "half":
            stored.write_bytes(content[: len(content) // 2])
        case _:
            stored.unlink()
    expected = (404, "REPORT_GONE") if change == "gone" else (503, "REPORT_DIFFERS")
    for form in ("json", "csv", "parquet"):
        answer = running.get(path_of(evidence), params={"format": form})
        assert (answer.status_code, answer.json()["code"]) == expected
    drawn = running.get(f"/api/bots/{evidence['bot_id']}/picture").json()["backtest"]
    if drawn["jobId"] == str(evidence["job_id"]):  # nothing newer came meanwhile
        assert (drawn["basis"], drawn["trades"], [point["close"] for point in drawn["points"] if point["close"] is not None]) == (
            "CURVE",
            [],
            [],
        )
        assert expected[1] in drawn["lacks"]
    stored.write_bytes(content)
    assert running.get(path_of(evidence)).status_code == 200, "negative control: the very file is given out"


def fleet_of(running: Api) -> Fleet:
    return Fleet(api=ProofApi(str(running.http.base_url)))


def test_data_frames_of_trades_and_equity(running: Api, evidence: dict[str, Any]) -> None:
    trades = fleet_of(running).trades(evidence["bot_id"], evidence["job_id"])
    frame = trades.to_pandas()
    assert len(frame) == evidence["trades"]
    assert frame.attrs["jobId"] == evidence["job_id"]
    assert (frame["exitBar"] >= frame["entryBar"]).all()
    assert len(fleet_of(running).bots()) == 7
    with pytest.raises(NotGiven, match="no backtest yet"):
        fleet_of(running).trades("fb")
    with pytest.raises(NotGiven, match="never registered"):
        fleet_of(running).trades("no-such-bot")


def test_rows_as_a_file(running: Api, evidence: dict[str, Any], tmp_path: Path) -> None:
    equity = fleet_of(running).equity(evidence["bot_id"], evidence["job_id"])
    equity.to_csv(tmp_path / "equity.csv")
    assert len((tmp_path / "equity.csv").read_text().splitlines()) == len(equity) + 1


def test_every_cell_of_the_notebook_runs(running: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTONOMY_API", str(running.http.base_url))
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells), "outputs of one machine are nobody's"
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)
    bot = names["bot"]
    assert len(names["trades"]) == running.platform.one(
        "SELECT trades FROM bot_backtests WHERE job_id = %s", names["trades"].attrs["jobId"]
    )
    assert (names["backtests"]["botId"] == bot).all()
    assert names["by_year"]["count"].sum() == len(names["trades"])
    assert 0 <= names["worst"] < 1
