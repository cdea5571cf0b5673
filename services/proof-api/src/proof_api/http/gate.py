"""Whose turn it is: the proofs and the signs of health go first, all others through a gate.

Place in the flow: server → **gate** → routes. One event loop serves everybody: without the gate, a hundred requests that come at once
are all begun before the next proof is. Behind it a few are worked on at a time, the others wait in the order in which they came.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proof_api.http.problems import problem_response

FIRST: Final = frozenset({"/api/_proof/autonomy", "/api/_proof/jobs", "/readyz", "/livez", "/healthz", "/metrics"})
AT_ONCE: Final = 3
"""One computes, one waits for the database, one more is on its way: a proof that comes between them waits for no more than these."""
WAIT_S: Final = 10.0
MAX_WAITING: Final = 512
LET_GO: Final = "autonomy.let_go"


@dataclass(slots=True)
class Gate:
    """An ASGI middleware; a request holds its turn until its answer begins, or until it says that it only waits from here on."""

    app: ASGIApp
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    waiting: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, when it is its turn."""
        if scope["type"] != "http" or scope["path"] in FIRST:
            await self.app(scope, receive, send)
            return
        if not await self._let_in():
            refusal = problem_response(503, "BUSY", "This API is asked too much at once", f"no turn within {WAIT_S:g} s; ask again")
            await refusal(scope, receive, send)
            return
        holds = True

        def let_go() -> None:
            nonlocal holds
            if holds:
                holds = False
                self.turns.release()

        async def answered(message: Message) -> None:
            let_go()
            await send(message)

        try:
            await self.app({**scope, LET_GO: let_go}, receive, answered)
        finally:
            let_go()

    async def _let_in(self) -> bool:
        if self.waiting >= MAX_WAITING:
            return False
        self.waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self.turns.acquire()
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1
        return True


def let_go(request: Request) -> None:
    """Give the turn back: from here on this request only waits for others."""
    give_back = cast("Callable[[], None] | None", request.scope.get(LET_GO))
    if give_back is not None:
        give_back()
