"""The one client of the proof API: both faces ask the same and make the same of every answer, and nothing that happens is an exception.

Source: R-B1; docs/architecture.md, "Honesty".
"""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from autonomy.client import NO_JSON, Answer, AsyncProofApi, Found, ProofApi, Refused, StreamLost, Unreachable, bot_path, token_in
from autonomy.errors import Broken

URL = "http://api.test"
Handler = Callable[[httpx.Request], httpx.Response]


class Kept:
    """An API that gives one answer, or is lost in one way, and keeps what it was asked."""

    def __init__(self, outcome: httpx.Response | Exception) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, str, bytes, dict[str, str]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        named = ("authorization", "idempotency-key", "content-type")
        said = {name: request.headers[name] for name in named if name in request.headers}
        self.asked.append((request.method, str(request.url), request.content, said))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return httpx.Response(self.outcome.status_code, content=self.outcome.content)  # a response is read once


async def both(outcome: httpx.Response | Exception, what: str = "get") -> tuple[Answer, Answer, list[Any]]:
    """The same question of both faces."""
    kept = Kept(outcome)
    plain = ProofApi(f"{URL}/", "secret", transport=httpx.MockTransport(kept))
    async with httpx.AsyncClient(transport=httpx.MockTransport(kept), base_url=URL) as http:
        waiting = AsyncProofApi(http, "secret")
        if what == "get":
            return plain.get("/api/x", [("a", "1"), ("a", "2")]), await waiting.get("/api/x", [("a", "1"), ("a", "2")]), kept.asked
        document = {"type": "pause-loop", "reason": "größer"}
        return plain.command(document, "k-1"), await waiting.command("", document, "k-1"), kept.asked


PROBLEM = {"title": "Down", "code": "DATABASE_DOWN", "detail": "why"}


@pytest.mark.parametrize(
    ("response", "meant"),
    [
        (httpx.Response(200, json={"items": []}), Found({"items": []})),
        (httpx.Response(409, json={"commandId": "c", "status": "REJECTED"}), Found({"commandId": "c", "status": "REJECTED"})),
        (httpx.Response(503, json={"proof": {"status": "unavailable"}}), Found({"proof": {"status": "unavailable"}})),
        (httpx.Response(503, json=PROBLEM), Refused(503, "DATABASE_DOWN", "Down", "why")),
        (httpx.Response(404, json={}), Refused(404, "", "HTTP 404", "")),
        (httpx.Response(302, json={}), Refused(302, "", "HTTP 302", "")),
        (httpx.Response(502, text="<html>"), Refused(502, NO_JSON, "The proof API gave no JSON", "HTTP 502")),
        (httpx.Response(200, json=[1]), Refused(200, NO_JSON, "The proof API gave no JSON", "HTTP 200")),
    ],
)
async def test_both_faces_make_the_same_of_an_answer(response: httpx.Response, meant: Answer) -> None:
    one, other, _ = await both(response)
    assert one == other == meant
    assert not isinstance(one, Unreachable)
    assert one.status == response.status_code


@pytest.mark.parametrize(
    ("loss", "why", "sent"),
    [
        (httpx.ConnectError("refused"), "no connection", False),
        (httpx.ConnectTimeout("late"), "no connection", False),
        (httpx.UnsupportedProtocol("ftp"), "no connection", False),
        (httpx.InvalidURL("no address"), "no connection", False),
        (httpx.ReadTimeout("late"), "no answer in time", True),
        (httpx.RemoteProtocolError("cut"), "the connection broke", True),
        (httpx.ReadError("reset"), "the connection broke", True),
    ],
)
async def test_a_lost_api_is_a_value_that_says_whether_a_command_may_have_landed(loss: Exception, why: str, sent: bool) -> None:
    for what in ("get", "command"):
        one, other, _ = await both(loss, what)
        assert one == other == Unreachable(why)
        assert isinstance(one, Unreachable)
        assert (one.sent, one.kind, one.words) == (sent, type(loss).__name__, f"Can't reach the proof API ({why})")


async def test_both_faces_ask_the_same_question() -> None:
    for what, expected in (
        ("get", ("GET", f"{URL}/api/x?a=1&a=2", b"", {"authorization": "Bearer secret"})),
        ("command", (
            "POST", f"{URL}/api/commands", '{"type":"pause-loop","reason":"größer"}'.encode(),
            {"authorization": "Bearer secret", "idempotency-key": "k-1", "content-type": "application/json"},
        )),
    ):  # fmt: skip
        _, _, (one, other) = await both(httpx.Response(200, json={}), what)
        assert one == other == expected


async def test_an_operators_own_token_comes_before_the_processs() -> None:
    kept = Kept(httpx.Response(200, json={"name": "ada", "role": "operator"}))
    async with httpx.AsyncClient(transport=httpx.MockTransport(kept), base_url=URL) as http:
        api = AsyncProofApi(http, "own")
        await api.whoami("hers")
        await api.command("hers", {}, "k")
        await api.get("/api/bots")
        await AsyncProofApi(http).get("/api/bots")
    assert [said.get("authorization") for *_, said in kept.asked] == ["Bearer hers", "Bearer hers", "Bearer own", None]


# ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_list(rows: int, fails_at: int | None = None) -> tuple[ProofApi, list[dict[str, str]]]:
    """A list that gives as many rows as it is asked for, by a cursor that is the next row's number."""
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        asked.append(query)
        first = int(query.get("cursor", "0"))
        if fails_at is not None and first >= fails_at:
            return httpx.Response(503, json=PROBLEM)
        last = min(first + int(query["limit"]), rows)
        return httpx.Response(200, json={"items": list(range(first, last)), "nextCursor": str(last) if last < rows else None})

    return ProofApi(URL, transport=httpx.MockTransport(answer)), asked


def rows_of(answers: list[Answer]) -> list[object]:
    found: list[object] = []
    for answer in answers:
        assert isinstance(answer, Found)
        items = answer.document["items"]
        assert isinstance(items, list)
        found += items
    return found


@pytest.mark.parametrize(("rows", "limit", "sizes"), [
    (0, 0, [200]), (199, 0, [200]), (200, 0, [200]), (201, 0, [200, 200]), (450, 0, [200, 200, 200]), (450, 50, [50]), (450, 250, [200, 50]),
    (450, 400, [200, 200]), (30, 50, [50]),
])  # fmt: skip
def test_pages_are_asked_for_until_there_are_enough_rows_or_no_more(rows: int, limit: int, sizes: list[int]) -> None:
    api, asked = a_list(rows)
    assert rows_of(list(api.pages("/api/bots", [("stage", "LAB")], limit))) == list(range(min(rows, limit or rows)))
    assert [int(query["limit"]) for query in asked] == sizes
    assert {query["stage"] for query in asked} == {"LAB"}


def test_after_a_refusal_no_page_is_asked_for() -> None:
    api, asked = a_list(1_000, fails_at=200)
    *pages, last = api.pages("/api/bots", [], 0)
    assert (len(pages), last, len(asked)) == (1, Refused(503, "DATABASE_DOWN", "Down", "why"), 2)


# ── streams, paths, tokens ─────────────────────────────────────────────────────────────────────────────────────────────


async def lines_of(handler: Handler) -> list[str]:
    transport = httpx.MockTransport(handler)
    async with (
        httpx.AsyncClient(transport=transport, base_url=URL) as http,
        AsyncProofApi(http).lines("/api/stream", [("after", "3")], 1) as lines,
    ):
        return [line async for line in lines]


async def test_a_stream_gives_its_lines() -> None:
    assert await lines_of(lambda request: httpx.Response(200, text=f"event: proof\ndata: {request.url.query.decode()}\n\n")) == [
        "event: proof", "data: after=3", "",
    ]  # fmt: skip


@pytest.mark.parametrize(("outcome", "why"), [
    (httpx.Response(HTTPStatus.SERVICE_UNAVAILABLE, json=PROBLEM), "HTTP 503"), (httpx.ReadTimeout("silent"), "no answer in time"),
    (httpx.ConnectError("gone"), "no connection"), (httpx.ReadError("reset"), "the connection broke"),
])  # fmt: skip
async def test_a_stream_that_is_refused_or_lost_says_why(outcome: httpx.Response | Exception, why: str) -> None:
    with pytest.raises(StreamLost, match=f"^{why}$"):
        await lines_of(Kept(outcome))


async def test_a_stream_that_breaks_while_it_is_read_says_why() -> None:
    class Breaking(httpx.AsyncByteStream):
        @override
        async def __aiter__(self) -> Any:
            yield b"event: proof\n"
            raise httpx.ReadTimeout("silent")

    with pytest.raises(StreamLost, match=r"^no answer in time$"):
        await lines_of(lambda _: httpx.Response(200, stream=Breaking()))


def test_a_bots_path_holds_any_id() -> None:
    assert bot_path("a/b c", "/gates") == "/api/bots/a%2Fb%20c/gates"


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert token_in(tmp_path / "token", "SETTING") == "secret"
    with pytest.raises(Broken, match=r"SETTING .* cannot be read"):
        token_in(tmp_path / "none", "SETTING")
