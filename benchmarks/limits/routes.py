"""FastAPI alone on the same server: a route that returns bytes made before, and a route with one SELECT of one row.

`python -m benchmarks.limits.routes PORT BYTES`; the database's address is in DATABASE_URL.
"""

import contextlib
import os
import sys
from collections.abc import AsyncIterator

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

ROW = "SELECT bot_id, state, stage, reason_code, rev FROM autonomy.bot_now WHERE bot_id = $1"


def create(size: int) -> FastAPI:
    """The application."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=8)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)
    ready = orjson.dumps({"filling": "x" * max(0, size - 14)})

    @app.get("/bytes")
    async def prebuilt() -> Response:
        return Response(ready, media_type="application/json")

    @app.get("/row")
    async def row(request: Request) -> Response:
        async with request.app.state.pool.acquire() as connection:
            found = await connection.fetchrow(ROW, "bot-000042")
        return Response(orjson.dumps(dict(found)), media_type="application/json")

    return app


if __name__ == "__main__":
    uvicorn.run(create(int(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False, server_header=False)
