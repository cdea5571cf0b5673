"""What a backtest found, row by row: the report that the runner kept, checked against the hash that the result names.

Place in the flow: `bot_backtests` (the reference) and the store of reports → **backtests** → `/api/bots/{bot_id}/backtests/{job_id}`.
"""

import asyncio
import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import orjson
from pydantic.alias_generators import to_camel

from autonomy.artifacts import ArtifactMissing, ArtifactStore
from autonomy.errors import BadInput, Broken
from autonomy.values import iso_of_ms
from proof_api.http.problems import Problem

Rows = Sequence[Mapping[str, object]]
TableName = Literal["trades", "equity"]
BARS: Final[Mapping[str, str]] = {"time_ms": "bar_start", "entry_ms": "entry_bar", "exit_ms": "exit_bar"}
"""Instants of a report, by the name under which they go out."""
CSV, PARQUET = "text/csv; charset=utf-8", "application/vnd.apache.parquet"


async def report_of(url: str, reference: str, job_id: str) -> Mapping[str, object]:
    """The whole report of a job.

    Args:
        url: of the runners' store.
        reference: `sha256:<hex>`, from the result on the log.
        job_id: whose report it is.

    Raises:
        Problem: 404 when the store does not have it, 503 when it holds something else, or cannot be read.
    """
    try:
        content = await asyncio.to_thread(lambda: ArtifactStore(url).get(reference))
    except ArtifactMissing as missing:
        raise Problem(404, "REPORT_GONE", "The report is not in the store", f"{reference} (ARTIFACTS_URL)") from missing
    except (Broken, BadInput) as fault:
        raise Problem(503, "REPORT_DIFFERS", "The stored report is not the one that the result names", reference) from fault
    except (OSError, ValueError, ImportError) as fault:
        raise Problem(503, "STORE_UNREADABLE", "The store of reports cannot be read", type(fault).__name__) from fault
    report = await asyncio.to_thread(orjson.loads, content)
    order = report.get("order") if isinstance(report, dict) else None
    if not isinstance(order, dict) or order.get("job_id") != job_id:
        raise Problem(503, "REPORT_DIFFERS", "The stored report is another job's", reference)
    found: Mapping[str, object] = report
    return found


def rows_of(report: Mapping[str, object], table: TableName) -> list[dict[str, object]]:
    """The rows of one table, oldest first, each in the API's words; an instant is ISO text."""
    rows = report.get(table)
    return (
        [{to_camel(BARS.get(name, name)): _shown(name, value) for name, value in row.items()} for row in rows]
        if isinstance(rows, list)
        else []
    )


def _shown(name: str, value: object) -> object:
    return iso_of_ms(value) if name in BARS and isinstance(value, int) else value


def as_csv(rows: Rows, columns: Sequence[str]) -> bytes:
    """Rows under their headings; numbers as JSON writes them, nothing for null."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[row.get(column) for column in columns] for row in rows])
    return out.getvalue().encode()


def as_parquet(rows: Rows, columns: Sequence[str], instants: Sequence[str]) -> bytes:
    """Rows as a Parquet file; instants as such, UTC."""
    # Imported when somebody asks: half a second that no proof has to wait for.
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = {
        column: [datetime.fromisoformat(str(row[column])) for row in rows] if column in instants else [row.get(column) for row in rows]
        for column in columns
    }
    empty = {column: pa.timestamp("us", "UTC") if column in instants else pa.float64() for column in columns}
    table = pa.table(found) if rows else pa.table({column: pa.array([], empty[column]) for column in columns})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
