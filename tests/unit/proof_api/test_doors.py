"""What comes in from outside: credentials, bodies, cursors, filters. Each is bounded, and nothing of it becomes SQL.

Source: docs/architecture.md, "Security".
"""

import base64
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from autonomy.errors import BadInput, Broken
from autonomy.http_server import MAX_BODY_BYTES
from proof_api.http.auth import RANK, Operator, Operators, Role
from proof_api.http.problems import Problem
from proof_api.reading.queries import BotFilter, Where, decode_cursor, document, encode_cursor
from proof_api.routes.acting import MAX_DEPTH, body_of, check_origin, depth_of

ROLES: tuple[Role, ...] = get_args(Role)


# ── credentials ────────────────────────────────────────────────────────────────────────────────────────────────────────


def operators(path: Path, *tokens: tuple[str, str]) -> Operators:
    path.write_text(json.dumps([{"name": role, "role": role, "sha256": hashlib.sha256(t.encode()).hexdigest()} for role, t in tokens]))
    return Operators(path)


def test_a_token_names_its_operator_and_nothing_else_does(tmp_path: Path) -> None:
    known = operators(tmp_path / "operators.json", ("viewer", "one"), ("approver", "two"))
    assert known.of_header("Bearer two") == Operator("approver", "approver")
    for wrong in (None, "", "Bearer", "Bearer ", "Bearer three", "bearer two", "Basic two", "two", "Bearer two two", "Bearer \u00e9"):
        assert known.of_header(wrong) is None, wrong


def test_roles_are_ranked_and_a_lower_one_may_less() -> None:
    assert sorted(ROLES, key=RANK.__getitem__) == ["viewer", "operator", "approver"]
    for own in ROLES:
        for needed in ROLES:
            assert Operator("x", own).may(needed) == (RANK[own] >= RANK[needed])


@pytest.mark.parametrize(("own", "may"), [("viewer", {"viewer"}), ("operator", {"viewer", "operator"}), ("approver", set(ROLES))])
def test_each_role_may_what_it_may_and_nothing_above_it(own: Role, may: set[Role]) -> None:
    assert {needed for needed in ROLES if Operator("x", own).may(needed)} == may


def test_a_changed_file_counts_at_the_next_question(tmp_path: Path) -> None:
    path = tmp_path / "operators.json"
    known = operators(path, ("operator", "old"))
    assert known.of_header("Bearer old")
    operators(path, ("operator", "new"))
    os.utime(path, ns=(1, 1))
    assert known.of_header("Bearer old") is None
    assert known.of_header("Bearer new")
    path.unlink()
    assert known.of_header("Bearer new") is None


@pytest.mark.parametrize("content", ["", "{", "{}x", '[{"name":"a"}]', "[1]", '[{"name":"a","role":"root","sha256":"00"}]'])
def test_a_file_that_is_no_list_of_operators_lets_nobody_in(tmp_path: Path, content: str) -> None:
    path = tmp_path / "operators.json"
    path.write_text(content)
    with pytest.raises(Broken, match=r"operators\.json"):
        Operators(path).of_header("Bearer x")


def test_a_token_is_kept_as_a_digest_only(tmp_path: Path) -> None:
    known = operators(tmp_path / "operators.json", ("operator", "canary-token"))
    known.of_header("Bearer canary-token")
    assert "canary-token" not in repr(known)


# ── bodies ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_request(content: bytes, *, chunk: int = 65_536, **headers: str) -> Request:
    sent = {"content-type": "application/json", "host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    pieces = [content[start : start + chunk] for start in range(0, len(content), chunk)] or [b""]

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    scope = {
        "type": "http", "method": "POST", "path": "/api/commands", "query_string": b"", "scheme": "http", "server": ("127.0.0.1", 5000),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }  # fmt: skip
    return Request(scope, receive)


async def refusal(request: Request) -> Problem:
    with pytest.raises(Problem) as found:
        await body_of(request)
    return found.value


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


async def test_a_body_up_to_the_limits_is_read() -> None:
    assert await body_of(a_request(b'{"type":"pause-loop"}')) == {"type": "pause-loop"}
    assert depth_of(await body_of(a_request(nested(MAX_DEPTH)))) == MAX_DEPTH
    padding = MAX_BODY_BYTES - len(b'{"a":""}')
    whole = await body_of(a_request(b'{"a":"' + b"x" * padding + b'"}', content_type="application/json; charset=utf-8"))
    assert len(str(whole["a"])) == padding


@pytest.mark.parametrize(("content", "status"), [
    (b"", 422), (b"{", 422), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b'{"a":NaN}', 422), (b'{"a":Infinity}', 422),
    (b'{"a":"\\ud800"}', 422), (b"\xff", 422), (nested(MAX_DEPTH + 1), 422), (nested(10_000), 422), (b"[" * 10_000, 422),
    (b'{"a":"' + b"x" * MAX_BODY_BYTES + b'"}', 413),
], ids=lambda value: f"{len(value)} bytes, {hashlib.sha256(value).hexdigest()[:6]}" if isinstance(value, bytes) else "")  # fmt: skip
async def test_a_body_over_a_limit_is_refused(content: bytes, status: int) -> None:
    assert (await refusal(a_request(content))).status == status


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    request = a_request(b"{}", content_length=str(MAX_BODY_BYTES + 1))
    assert (await refusal(request)).status == 413
    assert (await refusal(a_request(b"x" * (MAX_BODY_BYTES + 1), content_length="2"))).status == 413, "a lie does not help"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"])
async def test_a_form_is_no_command(kind: str) -> None:
    assert (await refusal(a_request(b"{}", content_type=kind))).status == 415


@given(
    st.recursive(
        st.none() | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    )
)
def test_depth_is_that_of_the_deepest_value(value: Any) -> None:
    def by_recursion(part: Any) -> int:
        children = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        return 1 + max(map(by_recursion, children), default=0)

    expected = by_recursion(value)
    assert depth_of(value) == expected if expected <= MAX_DEPTH else depth_of(value) > MAX_DEPTH


@pytest.mark.parametrize(("headers", "passes"), [
    ({}, True), ({"sec_fetch_site": "same-origin"}, True), ({"sec_fetch_site": "none"}, True),
    ({"sec_fetch_site": "cross-site"}, False), ({"sec_fetch_site": "same-site"}, False),
    ({"origin": "http://127.0.0.1"}, True), ({"origin": "http://evil.example"}, False), ({"origin": "null"}, False),
])  # fmt: skip
def test_a_browser_of_another_site_never_acts(headers: dict[str, Any], passes: bool) -> None:
    if passes:
        check_origin(a_request(b"{}", **headers))
        return
    with pytest.raises(Problem) as found:
        check_origin(a_request(b"{}", **headers))
    assert (found.value.status, found.value.code) == (403, "CROSS_SITE")


# ── cursors and filters ────────────────────────────────────────────────────────────────────────────────────────────────

IDS = st.uuids().map(str)
BIGINTS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.datetimes(timezones=st.just(UTC))
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=64)


@given(TIMES, IDS, BIGINTS, WORDS)
def test_a_cursor_comes_back_as_it_went(at: datetime, ref: str, number: int, word: str) -> None:
    for values, kinds in (([at, ref], (datetime, str)), ([number, ref], (int, str)), ([word], (str,)), ([at, number], (datetime, int))):
        cursor = encode_cursor(values)
        assert cursor.isascii()
        assert not set(cursor) & set("+/=&?# ")
        assert decode_cursor(cursor, kinds) == values


def a_cursor(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(("cursor", "kinds"), [
    ("x", (str,)), ("", (str,)), ("é", (str,)), ("!!!!", (str,)), (a_cursor(), (str,)), (a_cursor("a", "b"), (str,)),
    (base64.urlsafe_b64encode(b'{"a":1}').decode(), (str,)), (a_cursor(None), (str,)), (a_cursor({"a": 1}), (str,)),
    (a_cursor("a\0b"), (str,)), (a_cursor("\ud800"), (str,)), (a_cursor(2**63, "x"), (int, str)), (a_cursor(10**400, "x"), (int, str)),
    (a_cursor(True, "x"), (int, str)), (a_cursor("7", "x"), (int, str)), (a_cursor(1.5, "x"), (int, str)),
    (base64.urlsafe_b64encode(b"[Infinity,1]").decode(), (int, int)), (a_cursor("now", "x"), (datetime, str)),
    (a_cursor("2026-01-01T00:00:00", "x"), (datetime, str)), (a_cursor(5, "x"), (datetime, str)),
    (a_cursor("0001-01-01T00:00:00+14:00", "x"), (datetime, str)), (base64.urlsafe_b64encode(b"[" * 250).decode(), (str,)),
])  # fmt: skip
def test_a_forged_cursor_is_refused_by_name(cursor: str, kinds: tuple[type, ...]) -> None:
    with pytest.raises(BadInput) as found:
        decode_cursor(cursor, kinds)
    assert (found.value.field, found.value.limit) == ("cursor", "must be a nextCursor of this list")


@given(st.text(max_size=80))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    for kinds in ((str,), (int, str), (datetime, str)):
        try:
            decode_cursor(text, kinds)
        except BadInput:
            continue


INJECTIONS = ["' OR '1'='1", "'; DROP TABLE bots; --", "$1", "{}", "{0}", "%", "_", "\\", "bot_id", "1) OR (1=1", "\x00", "\u202e"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_search_text_is_a_parameter_and_never_sql(text: str) -> None:
    where = BotFilter(text=text).where()
    assert where.sql == BotFilter(text="plain").where().sql
    assert len(where.values) == 4
    assert set(where.values) == {where.values[0]}


@given(st.text(max_size=80))
def test_wildcards_of_a_search_text_stand_for_themselves(text: str) -> None:
    pattern = str(BotFilter(text=text).where().values[0])[1:-1] if text else ""
    escaped = pattern.replace("\\\\", "").replace("\\%", "").replace("\\_", "")
    assert not set(escaped) & set("%_\\")


def test_each_filter_is_a_condition_with_its_values_in_order() -> None:
    wanted = BotFilter(("IDLE",), ("LAB", "PAPER"), ("COOLDOWN",), ("none",), "x")
    where = wanted.where()
    assert where.sql.startswith("state = $1 AND stage = ANY($2::text[]) AND reason_code = $3 AND recency = $4 AND (bot_id LIKE $5")
    assert where.values[:4] == ["IDLE", ["LAB", "PAPER"], "COOLDOWN", "none"]
    counts = {"state": {"IDLE": 3, "EVOLVING": 1}, "stage": {"LAB": 4}, "reason": {}, "recency": {}}
    assert wanted.counted(counts) is None, "several conditions at once: only the rows tell"
    assert (BotFilter(text="x").counted(counts), BotFilter().counted({})) == (None, None)
    assert (BotFilter().counted(counts), BotFilter(("IDLE", "IDLE")).counted(counts), BotFilter(stage=("LIVE",)).counted(counts)) == (
        4,
        3,
        0,
    )
    assert (BotFilter().where().sql, Where().sql) == ("true", "true")


def test_a_row_is_shown_in_camel_case_with_instants_in_utc() -> None:
    row = {"bot_id": "a", "last_beat_at": datetime(2026, 11, 22, 12, tzinfo=UTC), "max_drawdown": None}
    assert document(row) == {"botId": "a", "lastBeatAt": "2026-11-22T12:00:00.000Z", "maxDrawdown": None}
