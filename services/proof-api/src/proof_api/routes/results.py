"""Results out: one backtest with its trades and its equity, as JSON, CSV or Parquet."""

import asyncio
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic.alias_generators import to_camel

from autonomy.documents import tables
from autonomy.documents.results import BacktestResult, ClosedTrade, EquityAtClose
from autonomy.events import Document
from proof_api.context import CanRead, Connected, InContext
from proof_api.http.problems import Problem, declared, giving, known_parameters
from proof_api.reading.backtests import CSV, PARQUET, TableName, as_csv, as_parquet, report_of, rows_of
from proof_api.reading.queries import document
from proof_api.routes.reading import KnownBot, answer

router = APIRouter(responses=declared(401, 422, 503), dependencies=[Depends(known_parameters)])
SHAPES: Final[dict[TableName, type[Document]]] = {"trades": ClosedTrade, "equity": EquityAtClose}
INSTANTS: Final[dict[TableName, tuple[str, ...]]] = {"trades": ("entryBar", "exitBar"), "equity": ("barStart",)}
FILES: Final[dict[str, Any]] = {"content": {CSV.split(";")[0]: {"schema": {"type": "string"}}, PARQUET: {"schema": {"type": "string"}}}}


def columns_of(table: TableName) -> list[str]:
    """The columns of a table, in their order."""
    return [to_camel(name) for name in SHAPES[table].model_fields]


@router.get(
    "/api/bots/{bot_id}/backtests/{job_id}", tags=["bots"], summary="One backtest with its trades and its equity",
    responses={200: giving(BacktestResult)[200] | FILES, **declared(404)},
)  # fmt: skip
async def backtest(
    context: InContext, _: CanRead, connection: Connected, bot_id: KnownBot, job_id: UUID,
    format: Annotated[Literal["json", "csv", "parquet"], Query(description="csv and parquet give one table alone")] = "json",  # noqa: A002 (the word of the API)
    table: Annotated[TableName, Query(description="which one, as csv or parquet")] = "trades",
) -> Response:  # fmt: skip
    """From the report that the runner kept, whose hash the result on the log names: a file that is another one is not given out."""
    row = await connection.fetchrow(f"{tables.BACKTEST.select} WHERE bot_id = $1 AND job_id = $2", bot_id, str(job_id))
    if row is None:
        raise Problem(404, "UNKNOWN_BACKTEST", "No such backtest", f"{job_id} is no accepted result of {bot_id}")
    if row["artifact"] is None:
        raise Problem(404, "REPORT_GONE", "The runner kept no report of this backtest", str(job_id))
    report = await report_of(context.settings.artifacts_url, str(row["artifact"]), str(job_id))
    if format == "json":
        return answer(context, {"backtest": document(row), "trades": rows_of(report, "trades"), "equity": rows_of(report, "equity")})
    rows, columns = rows_of(report, table), columns_of(table)
    content = as_csv(rows, columns) if format == "csv" else await asyncio.to_thread(as_parquet, rows, columns, INSTANTS[table])
    headers = {
        "Content-Disposition": f'attachment; filename="{bot_id}-{table}-{job_id}.{format}"', "X-Artifact": str(row["artifact"]),
        "X-Proof-Status": context.judged()[1].status, "Cache-Control": "no-cache",
    }  # fmt: skip
    return Response(content, headers=headers, media_type=CSV if format == "csv" else PARQUET)
