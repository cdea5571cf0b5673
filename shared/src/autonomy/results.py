"""What a fleet found, for notebooks and scripts: backtests, trades and equity as tables.

Place in the flow: proof-api → `autonomy.client` → **results** → data frames, files. Reads only.

    fleet = Fleet("http://127.0.0.1:5000")
    fleet.trades("btc-ema").to_pandas()
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from autonomy.client import Found, Params, ProofApi, bot_path
from autonomy.errors import AutonomyError

INSTANTS: Final = ("barStart", "entryBar", "exitBar", "firstBar", "lastBar", "createdAt")
"""Columns that a data frame holds as times."""


class NotGiven(AutonomyError):
    """The API did not give what was asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as the API gives them, in its order.

    Attributes:
        rows: one mapping each, all with the same keys.
        about: what they are from, such as `{"botId": …, "jobId": …, "fingerprint": …}`.
    """

    rows: Sequence[Mapping[str, Any]]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    @property
    def columns(self) -> list[str]:
        """The names of the columns; empty without a row."""
        return list(self.rows[0]) if self.rows else []

    def to_pandas(self) -> Any:  # noqa: ANN401 (a data frame of a library that the platform runs without)
        """A data frame; instants become times, and `about` its `attrs`.

        Raises:
            ImportError: pandas is not installed (`pip install autonomy-shared[pandas]`).
        """
        import pandas as pd

        frame = pd.DataFrame(list(self.rows))
        for column in frame.columns.intersection(list(INSTANTS)):
            frame[column] = pd.to_datetime(frame[column])
        frame.attrs = dict(self.about)
        return frame

    def to_csv(self, path: str | Path) -> None:
        """Write a CSV file."""
        with Path(path).open("w", newline="") as out:
            writer = csv.DictWriter(out, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running platform, as far as its results go.

    Attributes:
        url: of proof-api.
        token: an operator's, where reading needs one.
        api: what asks; made from the two unless given.
    """

    url: str = "http://127.0.0.1:5000"
    token: str | None = None
    api: ProofApi | None = None

    def bots(self) -> Table:
        """What every bot does now, by id."""
        return Table(self._all("/api/bots", ()))

    def backtests(self, bot_id: str) -> Table:
        """A bot's evidence, newest first."""
        return Table(self._all(bot_path(bot_id, "/backtests"), ()), {"botId": bot_id})

    def trades(self, bot_id: str, job_id: str | None = None) -> Table:
        """Closed trades of a backtest, oldest first; of the bot's newest one unless a job is named."""
        return self._table("trades", bot_id, job_id)

    def equity(self, bot_id: str, job_id: str | None = None) -> Table:
        """The account of a backtest at up to 400 closes, oldest first; of the newest one unless a job is named."""
        return self._table("equity", bot_id, job_id)

    def _table(self, name: str, bot_id: str, job_id: str | None) -> Table:
        job = job_id or self._newest(bot_id)
        found = self._found(bot_path(bot_id, f"/backtests/{job}"))
        backtest = found["backtest"]
        about = {key: backtest[key] for key in ("botId", "jobId", "fingerprint", "dataSha256", "artifact")}
        return Table(found[name], about)

    def _newest(self, bot_id: str) -> str:
        items = self._found(bot_path(bot_id, "/backtests"), [("limit", "1")])["items"]
        if not items:
            raise NotGiven(f"{bot_id} has no backtest yet")
        return str(items[0]["jobId"])

    def _all(self, path: str, params: Params) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        for answer in self._asking().pages(path, params, 0):
            if not isinstance(answer, Found):
                raise NotGiven(answer.words)
            rows += cast("list[Mapping[str, Any]]", answer.document["items"])
        return rows

    def _found(self, path: str, params: Params = ()) -> Mapping[str, Any]:
        answer = self._asking().get(path, params)
        if not isinstance(answer, Found) or "proof" not in answer.document or answer.status != 200:
            raise NotGiven(answer.words)
        return answer.document

    def _asking(self) -> ProofApi:
        return self.api or ProofApi(self.url, self.token)
