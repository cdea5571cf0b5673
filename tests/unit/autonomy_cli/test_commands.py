"""What the command says to proof-api, what it prints, and its exit codes, against a real HTTP server with canned answers."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result
from typing_extensions import override

from autonomy.policy import DEFAULT
from autonomy.version import VERSION
from autonomy_cli.main import build_app
from autonomy_cli.show import warn

TOKEN = "token-of-ada"
FRESH = {"status": "fresh", "verdict": "TICKING", "reason": None, "checks": {"kafka": "ok"}, "nextTickAt": "2026-11-22T12:01:00.000Z"}
AUTONOMY = {
    "now": "2026-11-22T12:00:30.000Z", "loopEnabled": True, "lastTickAt": "2026-11-22T12:00:00.000Z", "tickIntervalSec": 60.0,
    "lastDecisionSummary": {"botsEvaluated": 2, "jobsEnqueued": 0, "reasonCounts": {"COOLDOWN": 2}, "zeroJobs": {"reason": "ALL_BOTS_COOLDOWN"}},
    "proof": FRESH,
}  # fmt: skip
BOT: dict[str, Any] = {
    "bot": {"id": "a", "stage": "PAPER", "stageReasonCode": "IMPORTED_UNVERIFIED", "strategy": "macd", "symbol": "IBM"},
    "decision": {
        "reasonCode": "BLOCKED_BY_GATES", "jobType": "RUNNER_START", "fromTick": 4, "nextDueAt": "2026-11-22T13:00:00.000Z",
        "blockers": [{
            "code": "MARKET_DATA", "verdict": "FAIL", "measured": "196 bars", "required": "250 bars", "clearsWhen": "54 more bars",
        }],
        "eventId": "e-1",
    },
    "jobs": [{"id": "j-1", "jobType": "BACKTEST_BASELINE", "status": "RUNNING", "phase": "timing", "progress": 0.5}],
}  # fmt: skip
ACCEPTED = {"commandId": "c-1", "status": "ACCEPTED", "tick": 9, "outcomes": []}


@dataclass
class Api:
    """A proof API that answers what a test wants, and remembers what it was asked."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, list[str]], Any, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def said(self) -> dict[str, Any]:
        """The body of the last command."""
        return next(body for method, _, _, body, _ in reversed(self.asked) if method == "POST")


@pytest.fixture
def api() -> Iterator[Api]:
    served = Api({"/api/_proof/autonomy": (200, AUTONOMY), "/api/_proof/jobs": (200, {"running": {"backtest": 1}, "queued": {}})})

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts, length = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = parse_qs(parts.query)
            served.asked.append((self.command, parts.path, query, body, dict(self.headers)))
            status, document = served.answers.get(parts.path, (404, {"title": "Not Found", "status": 404}))
            found = document(query) if callable(document) else document
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 (the server's own names)

        @override
        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield served
    server.shutdown()
    server.server_close()


def run(api: Api, *words: str, **environment: str) -> Result:
    """Run the command in this process."""
    settings = {"AUTONOMY_API": api.url, "AUTONOMY_TOKEN": TOKEN, "AUTONOMY_DATA_DIR": "no-such-folder", **environment}
    return CliRunner().invoke(build_app(), list(words), env=settings)


def test_status_of_a_ticking_planner(api: Api) -> None:
    done = run(api, "status")
    assert done.exit_code == 0, done.output
    assert "TICKING" in done.stdout
    assert "ALL_BOTS_COOLDOWN" in done.stdout


@pytest.mark.parametrize(
    ("code", "verdict", "exit_code"),
    [(200, "PAUSED", 0), (200, "STALLED", 1), (200, "LATE", 1), (200, "DOWN", 1), (200, None, 1), (503, None, 1)],
)
def test_status_is_good_only_when_it_is_proven(api: Api, code: int, verdict: str | None, exit_code: int) -> None:
    api.answers["/api/_proof/autonomy"] = (code, {**AUTONOMY, "proof": {**FRESH, "verdict": verdict}})
    assert run(api, "status").exit_code == exit_code


def test_status_names_the_checks_that_failed(api: Api) -> None:
    proof = {**FRESH, "verdict": "STALLED", "reason": "no runner process lives", "checks": {"runners": "down"}, "failing": ["runners"]}
    api.answers["/api/_proof/autonomy"] = (200, {**AUTONOMY, "proof": proof})
    done = run(api, "status")
    assert "failing     runners" in done.stdout
    assert "STALLED, proof fresh (no runner process lives)" in done.stdout
    api.answers["/api/_proof/autonomy"] = (200, {**AUTONOMY, "proof": {**FRESH, "failing": []}})
    assert "failing" not in run(api, "status").stdout


def test_json_is_all_there_is_on_standard_output(api: Api) -> None:
    assert json.loads(run(api, "status", "--json").stdout)["autonomy"] == AUTONOMY


def test_bots_filters_are_the_words_of_the_address(api: Api) -> None:
    api.answers["/api/bots"] = (200, {"items": [{"botId": "a", "state": "IDLE"}], "nextCursor": None})
    done = run(api, "bots", "--state", "IDLE", "--state", "EVOLVING", "--stage", "LAB", "--reason", "COOLDOWN", "--q", "aa")
    assert done.exit_code == 0, done.output
    query = api.asked[-1][2]
    assert (query["state"], query["stage"], query["reason"], query["q"]) == (["IDLE", "EVOLVING"], ["LAB"], ["COOLDOWN"], ["aa"])


def test_bots_pages_through_all(api: Api) -> None:
    pages = {None: ("a", "2"), "2": ("b", "3"), "3": ("c", None)}

    def page(query: dict[str, list[str]]) -> dict[str, object]:
        name, following = pages[query.get("cursor", [None])[0]]
        return {"items": [{"botId": name}], "nextCursor": following}

    api.answers["/api/bots"] = (200, page)
    assert [row["botId"] for row in json.loads(run(api, "bots", "--json").stdout)] == ["a", "b", "c"]
    assert [row["botId"] for row in json.loads(run(api, "bots", "--json", "--limit", "1").stdout)] == ["a"]


def test_why_shows_every_blocker_and_what_clears_it(api: Api) -> None:
    api.answers["/api/bots/a"] = (200, BOT)
    done = run(api, "why", "a")
    for words in ("BLOCKED_BY_GATES", "MARKET_DATA", "196 bars", "250 bars", "54 more bars", "j-1", "2026-11-22T13:00"):
        assert words in done.stdout


def test_unknown_bot_is_refused_on_standard_error(api: Api) -> None:
    done = run(api, "why", "nobody")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "Not Found" in done.stderr


def test_foreign_text_reaches_no_terminal(api: Api) -> None:
    api.answers["/api/bots/a"] = (200, {**BOT, "bot": {**BOT["bot"], "strategy": "x\x1b[2Jy\nz"}})
    shown = run(api, "why", "a").stdout
    assert "\x1b" not in shown
    assert "y\nz" not in shown


SAID: dict[tuple[str, ...], dict[str, Any]] = {
    ("pause", "--scope", "stage", "--target", "LAB"): {"type": "pause-loop", "scope": "stage", "target": "LAB"},
    ("resume",): {"type": "resume-loop", "scope": "fleet", "target": ""},
    ("hold", "a"): {"type": "hold-bot", "botId": "a"},
    ("release", "a"): {"type": "release-hold", "botId": "a"},
    ("retire", "a"): {"type": "retire-bot", "botId": "a"},
    ("cancel-job", "j"): {"type": "cancel-job", "jobId": "j"},
    ("repair", "accept-divergence", "--tick", "7", "--sealed", "s", "--folded", "f", "--inputs", "i"): {
        "type": "accept-divergence", "tick": 7, "sealedStateHash": "s", "foldedStateHash": "f", "inputRoot": "i",
    },
}  # fmt: skip


@pytest.mark.parametrize("words", SAID, ids=lambda words: words[0])
def test_command_is_said_with_token_key_and_reason(api: Api, words: tuple[str, ...]) -> None:
    api.answers["/api/commands"] = (200, ACCEPTED)
    done = run(api, *words, "--reason", "because")
    assert done.exit_code == 0, done.output
    assert api.said() == {**SAID[words], "reason": "because"}
    headers = api.asked[-1][4]
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert len(headers["Idempotency-Key"]) == 36
    assert "tick 9" in done.stdout


def test_same_key_is_said_again(api: Api) -> None:
    api.answers["/api/commands"] = (200, ACCEPTED)
    run(api, "hold", "a", "--key", "k-1")
    assert api.asked[-1][4]["Idempotency-Key"] == "k-1"


@pytest.mark.parametrize(
    ("status", "document", "exit_code"),
    [
        (202, {"commandId": "c-1", "status": "OPEN"}, 3),
        (409, {"commandId": "c-1", "status": "REJECTED", "tick": 9, "code": "ALREADY_HELD", "limitText": "a is held"}, 1),
        (403, {"title": "Not allowed", "detail": "needs the role approver"}, 1),
        (422, {"title": "A value is refused", "detail": "botId: too long"}, 1),
        (503, {"title": "Kafka does not answer: the command was not sent"}, 2),
        (504, {"title": "It is unknown whether the command arrived"}, 3),
    ],
)
def test_answer_has_its_exit_code(api: Api, status: int, document: dict[str, Any], exit_code: int) -> None:
    api.answers["/api/commands"] = (status, document)
    assert run(api, "hold", "a").exit_code == exit_code
    assert run(api, "hold", "a", "--json").exit_code == exit_code


def test_files_are_said_whole(api: Api, tmp_path: Path) -> None:
    api.answers["/api/commands"] = (200, {**ACCEPTED, "outcomes": [{"botId": "a", "outcome": "REGISTERED"}]})
    file = tmp_path / "fleet.yaml"
    file.write_text("bots:\n  - {id: a, strategy: macd, symbol: IBM}\n")
    assert run(api, "bots", "register", str(file)).exit_code == 0
    assert api.said()["bots"] == [{"id": "a", "strategy": "macd", "symbol": "IBM"}]
    assert run(api, "policy", "set", str(file)).exit_code == 0
    assert api.said()["document"] == {"bots": [{"id": "a", "strategy": "macd", "symbol": "IBM"}]}


def test_rejected_bot_of_a_list_shows_in_the_exit_code(api: Api, tmp_path: Path) -> None:
    api.answers["/api/commands"] = (200, {**ACCEPTED, "outcomes": [{"botId": "a", "outcome": "REJECTED", "field": "symbol", "limit": "x"}]})
    file = tmp_path / "fleet.yaml"
    file.write_text("bots: [{id: a}]\n")
    assert run(api, "bots", "register", str(file)).exit_code == 1


@pytest.mark.parametrize("text", ["bots: []\n", "just words\n", "{", "bots: {a: 1}\n"])
def test_bad_file_is_wrong_usage(api: Api, tmp_path: Path, text: str) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(text)
    assert run(api, "bots", "register", str(file)).exit_code == 2


def test_repair_takes_the_hashes_of_the_halt_from_the_proof(api: Api) -> None:
    reason = f"the chain is broken: tick 7: folded state {'a' * 64}, sealed {'b' * 64}, inputs {'c' * 64}"
    api.answers["/api/_proof/autonomy"] = (503, {"proof": {"status": "unavailable", "reason": reason}})
    api.answers["/api/commands"] = (200, ACCEPTED)
    assert run(api, "repair", "accept-divergence", "--tick", "7", "--reason", "known").exit_code == 0
    assert (api.said()["sealedStateHash"], api.said()["foldedStateHash"], api.said()["inputRoot"]) == ("b" * 64, "a" * 64, "c" * 64)
    assert run(api, "repair", "accept-divergence", "--tick", "8", "--reason", "known").exit_code == 1
    assert run(api, "repair", "accept-divergence", "--tick", "7", "--reason", " ").exit_code == 2


def test_without_a_token_nothing_is_said(api: Api) -> None:
    done = run(api, "hold", "a", AUTONOMY_TOKEN="")
    assert done.exit_code == 2
    assert api.asked == []


def test_token_of_the_data_folder_is_used(api: Api, tmp_path: Path) -> None:
    (tmp_path / "operator.token").write_text("local-token\n")
    api.answers["/api/commands"] = (200, ACCEPTED)
    run(api, "hold", "a", AUTONOMY_TOKEN="", AUTONOMY_DATA_DIR=str(tmp_path))
    assert api.asked[-1][4]["Authorization"] == "Bearer local-token"


@pytest.mark.parametrize("words", [("status",), ("bots",), ("why", "a"), ("jobs",), ("runs",), ("policy",), ("hold", "a")])
def test_nobody_answers(words: tuple[str, ...]) -> None:
    done = run(Api(url="http://127.0.0.1:1"), *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "does not answer" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("status",), ("bots",), ("bots", "register"), ("why",), ("jobs",), ("runs",), ("pause",), ("resume",), ("hold",), ("release",),
        ("retire",), ("cancel-job",), ("policy",), ("policy", "set"), ("repair", "accept-divergence"), ("events", "tail"), ("audit", "verify"),
    ],
)  # fmt: skip
def test_help_says_json_and_the_exit_codes(api: Api, words: tuple[str, ...]) -> None:
    done = run(api, *words, "--help", COLUMNS="200", NO_COLOR="1")
    assert done.exit_code == 0
    assert "--json" in done.stdout
    assert "Exit codes: 0" in done.stdout
    assert "\x1b" not in done.stdout


def leaves(command: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str]]:
    """Every command that does something by itself, and its options."""
    inner = getattr(command, "commands", {})
    found = {} if inner and not command.invoke_without_command else {words: {name for option in command.params for name in option.opts}}
    for name, each in inner.items():
        found |= leaves(each, (*words, name))
    return found


def test_every_command_has_json() -> None:
    """Negative control: an option that only some have is told apart."""
    every = leaves(typer.main.get_command(build_app()))
    assert {("policy",), ("policy", "set"), ("bots",), ("operator", "revoke")} <= set(every)
    assert [words for words, options in every.items() if "--json" not in options] == []
    assert [words for words, options in every.items() if "--key" not in options]


def test_version_is_said_without_asking_anybody() -> None:
    done = run(Api(url="http://127.0.0.1:1"), "--version")
    assert (done.exit_code, done.stdout) == (0, f"autonomy {VERSION}\n")


POLICY = {"tick": 7, "policyHash": "f" * 64, "actor": "ada", "document": {"name": "quick", "leases": {"lease_s": 15.0}}}


def test_policy_in_force_is_shown_as_the_file_that_sets_it(api: Api, tmp_path: Path) -> None:
    api.answers["/api/policy"] = (200, {**POLICY, "proof": FRESH})
    api.answers["/api/commands"] = (200, ACCEPTED)
    done = run(api, "policy")
    assert done.exit_code == 0, done.output
    assert "since tick 7 by ada" in done.stdout
    file = tmp_path / "policy.yaml"
    file.write_text(done.stdout)
    assert run(api, "policy", "set", str(file)).exit_code == 0
    assert api.said()["document"] == POLICY["document"]
    assert json.loads(run(api, "policy", "--json").stdout) == POLICY


def test_a_policy_says_where_it_is_not_the_default_and_stays_yaml(api: Api) -> None:
    changes = [{"path": "name", "default": "default", "now": "quick\x1b[31m"}]
    api.answers["/api/policy"] = (200, {**POLICY, "changes": changes, "proof": FRESH})
    done = run(api, "policy")
    assert "# unlike the default: name default → quick\ufffd[31m" in done.stdout
    assert yaml.safe_load(done.stdout) == POLICY["document"]
    assert json.loads(run(api, "policy", "--json").stdout)["changes"] == changes


def test_login_prints_a_link_of_the_page_and_nothing_else_on_standard_output(api: Api) -> None:
    api.answers["/sign-in/links"] = (200, {"path": "/sign-in/once?code=abc", "name": "ada", "seconds": 300.0})
    done = run(api, "login", "--ui", f"{api.url}/")
    assert done.stdout == f"{api.url}/sign-in/once?code=abc\n"
    assert "signs in as ada, once, within 300 s" in done.stderr
    assert json.loads(run(api, "login", "--ui", api.url, "--json").stdout) == {
        "link": f"{api.url}/sign-in/once?code=abc",
        "name": "ada",
        "seconds": 300.0,
    }
    assert {(method, path) for method, path, *_ in api.asked} == {("POST", "/sign-in/links")}


@pytest.mark.parametrize(
    ("status", "document", "exit_code"),
    [
        (401, {"title": "No link", "code": "NOT_SIGNED_IN", "detail": "Invalid operator token."}, 1),
        (503, {"title": "No link", "code": "NOT_SIGNED_IN", "detail": "x"}, 2),
    ],
)
def test_login_says_why_there_is_no_link(api: Api, status: int, document: dict[str, Any], exit_code: int) -> None:
    api.answers["/sign-in/links"] = (status, document)
    done = run(api, "login", "--ui", api.url)
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert document["detail"] in done.stderr
    assert "does not answer" in run(api, "login", "--ui", "http://127.0.0.1:1").stderr
    assert "is no address" in run(api, "login", "--ui", "ftp://x").stderr


def test_workers_are_listed_with_what_they_disagree_about(api: Api) -> None:
    slots = [{"work": "backtest", "slots": 2, "inUse": 1}]
    worker = {
        "processId": "w1",
        "state": "LIVE",
        "lastBeatAt": "now",
        "engineVersion": "1",
        "slots": slots,
        "offer": "aa",
        "disagrees": ["macd"],
    }
    offer = {
        "id": "aa",
        "live": 1,
        "sourceFaults": [{"name": "FB 1d", "reason": "no header"}],
        "strategyFaults": [{"file": "x.py", "reason": "NameError"}],
    }
    api.answers["/api/workers"] = (
        200,
        {"items": [worker], "offers": [offer], "words": "live runners announce different macd", "proof": FRESH},
    )
    said = run(api, "workers").stdout
    for words in (
        "backtest 1 of 2",
        "macd",
        "live runners announce different macd: jobs that need them wait",
        "cannot use FB 1d: no header",
        "cannot use x.py: NameError",
    ):
        assert words in said, words
    assert json.loads(run(api, "workers", "--json").stdout)["items"] == [worker]
    api.answers["/api/workers"] = (200, {"items": [worker], "offers": [offer | {"live": 0}], "words": "", "proof": FRESH})
    assert "cannot use" not in run(api, "workers").stdout, "who is gone has no faults"
    api.answers["/api/workers"] = (200, {"items": [], "offers": [], "words": "", "proof": FRESH})
    assert "No runner process" in run(api, "workers").stdout


def in_force(**changes: Any) -> dict[str, Any]:
    document = DEFAULT.model_dump(mode="json")
    document["research"].update(changes)
    return {"tick": 3, "policyHash": "h", "actor": "ada", "document": document, "proof": FRESH}


def policy_file(folder: Path, text: str) -> str:
    (folder / "policy.yaml").write_text(text)
    return str(folder / "policy.yaml")


def test_a_dry_run_of_a_policy_says_what_it_would_change_and_what_it_would_undo(api: Api, tmp_path: Path) -> None:
    api.answers["/api/policy"] = (200, in_force(concurrency=9, min_bars=300))
    file = policy_file(tmp_path, "research: {concurrency: 7}\npromotion: {max_share: {PAPER: 0.1}}\n")
    done = run(api, "policy", "set", file, "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "promotion.max_share.CANARY: 0.2 → nothing  (not in the file)", "promotion.max_share.LIVE: 0.2 → nothing  (not in the file)",
        "promotion.max_share.PAPER: 0.5 → 0.1", "promotion.max_share.SHADOW: 0.3 → nothing  (not in the file)",
        "research.concurrency: 9 → 7",
        "research.min_bars: 300 → 250  (not in the file: the default)",
    ]  # fmt: skip
    assert not [method for method, *_ in api.asked if method == "POST"]
    whole = run(api, "policy", "set", file, "--dry-run", "--json")
    assert json.loads(whole.stdout)["changes"][-1] == {"field": "research.min_bars", "now": 300, "then": 250, "said": False}


def test_setting_a_policy_says_the_same_beside_the_answer(api: Api, tmp_path: Path) -> None:
    api.answers["/api/policy"] = (200, in_force(concurrency=9))
    api.answers["/api/commands"] = (200, ACCEPTED)
    done = run(api, "policy", "set", policy_file(tmp_path, "research: {concurrency: 7}\n"))
    assert done.exit_code == 0
    assert "research.concurrency: 9 → 7" in done.stderr
    assert "→" not in done.stdout
    assert api.said()["document"] == {"research": {"concurrency": 7}}
    api.answers["/api/policy"] = (200, in_force(concurrency=7))
    assert "nothing changes" in run(api, "policy", "set", policy_file(tmp_path, "research: {concurrency: 7}\n")).stderr
    api.answers["/api/policy"] = (503, {"title": "The read models do not answer", "status": 503})
    assert run(api, "policy", "set", policy_file(tmp_path, "research: {concurrency: 7}\n")).exit_code == 0  # said all the same
    assert run(api, "policy", "set", policy_file(tmp_path, "research: {concurrency: 7}\n"), "--dry-run").exit_code != 0


def test_a_file_that_is_no_policy_is_refused_by_field(api: Api, tmp_path: Path) -> None:
    api.answers["/api/policy"] = (200, in_force())
    done = run(api, "policy", "set", policy_file(tmp_path, "research: {concurrency: 0}\n"), "--dry-run")
    assert done.exit_code == 1
    assert "research.concurrency" in done.stderr


def test_policy_that_nobody_set_says_so(api: Api) -> None:
    api.answers["/api/policy"] = (200, {**POLICY, "tick": None, "actor": None})
    assert "nobody set another" in run(api, "policy").stdout


# ── careers ────────────────────────────────────────────────────────────────────────────────────────────────────────────

PLAN: dict[str, Any] = {
    "planHash": "f" * 64, "expectedCount": 2, "botIds": ["a", "b"], "byStage": {"PAPER": 2},
    "pinned": {"count": 1, "bots": [{"botId": "c", "stage": "PAPER", "pinnedBy": "eve", "pinReason": "demo", "pinnedUntil": None}]},
    "stops": {
        "jobs": {"RUNNER_START": {"running": 2}}, "openSessions": 2, "withPosition": 1,
        "positions": [{"botId": "a", "units": 3.0, "equity": 99.5}],
    },
    "loopPaused": True, "pausedBy": [], "baselines": "AFTER_RESUME",
    "command": {"type": "revert-to-lab", "stages": ["PAPER"], "planHash": "f" * 64, "expectedCount": 2},
}  # fmt: skip


def commands(api: Api) -> list[Any]:
    return [body for method, _, _, body, _ in api.asked if method == "POST"]


def test_a_revert_is_a_dry_run_that_says_everything_first(api: Api) -> None:
    api.answers["/api/revert/plan"] = (200, PLAN)
    done = run(api, "revert", "--stage", "PAPER", "--bot", "a", "--bot", "b", "--symbol", "IBM")
    assert done.exit_code == 0, done.output
    for words in (
        "2 bots (PAPER 2)",
        "RUNNER_START: running 2",
        "1 with a position",
        "3.0 units",
        "pinned by eve: demo",
        "after the loop",
        "nothing",
    ):
        assert words in done.stdout, words
    assert api.asked[-1][2] == {"stage": ["PAPER"], "bot": ["a", "b"], "symbol": ["IBM"]}
    assert commands(api) == []


def test_a_revert_applies_exactly_the_plan_that_was_shown(api: Api) -> None:
    api.answers["/api/revert/plan"] = (200, PLAN)
    api.answers["/api/commands"] = (200, {**ACCEPTED, "outcomes": [{"botId": "a", "outcome": "REVERTED"}]})
    done = run(api, "revert", "--apply", "--yes", "2", "--reason", "start again")
    assert done.exit_code == 0, done.output
    assert commands(api) == [{**PLAN["command"], "reason": "start again"}]
    assert "REVERTED" in done.stdout


def test_a_revert_of_another_size_than_expected_or_without_a_yes_changes_nothing(api: Api) -> None:
    api.answers["/api/revert/plan"] = (200, PLAN)
    assert run(api, "revert", "--apply", "--yes", "3").exit_code == 1
    assert run(api, "revert", "--apply").exit_code == 1
    assert commands(api) == []
    api.answers["/api/revert/plan"] = (503, {"title": "A plan needs fresh data", "status": 503})
    assert run(api, "revert", "--apply", "--yes", "2").exit_code == 2
    assert commands(api) == []


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_a_promotion_is_answered_by_its_open_recommendation(api: Api, word: str) -> None:
    api.answers["/api/promotions"] = (200, {"items": [{"id": "r-1", "botId": "a"}], "nextCursor": None})
    api.answers["/api/commands"] = (200, ACCEPTED)
    assert run(api, word, "a", "--reason", "seen").exit_code == 0
    assert commands(api) == [{"type": f"{word}-promotion", "botId": "a", "recommendationId": "r-1", "reason": "seen"}]
    api.answers["/api/promotions"] = (200, {"items": [], "nextCursor": None})
    assert run(api, word, "a").exit_code == 1
    assert len(commands(api)) == 1


def test_pins_and_the_promotion_mode_are_said_as_commands(api: Api) -> None:
    api.answers["/api/commands"] = (200, ACCEPTED)
    assert run(api, "pin", "a", "--reason", "demo", "--until", "2026-12-01T00:00:00Z").exit_code == 0
    assert run(api, "unpin", "a").exit_code == 0
    assert run(api, "promotion-mode", "AUTO").exit_code == 0
    assert [body["type"] for body in commands(api)] == ["pin-bot", "unpin-bot", "set-promotion-mode"]
    assert (commands(api)[0]["until"], commands(api)[2]["mode"]) == ("2026-12-01T00:00:00Z", "AUTO")
    assert run(api, "pin", "a", "--reason", " ").exit_code == 2


def test_why_and_gates_show_the_whole_tree(api: Api) -> None:
    gate = {
        "code": "MIN_TRADES", "verdict": "FAIL", "measured": "12", "required": "30", "clearsWhen": "18 more trades", "deciding": True,
        "evidenceJob": "j-7", "evidenceAgeBars": 4, "sinceTick": 3,
    }  # fmt: skip
    tree = [gate, {**gate, "code": "LIMITS", "verdict": "PASS"}, {**gate, "code": "DRIFT", "verdict": "INCONCLUSIVE", "deciding": False}]
    api.answers["/api/bots/a"] = (200, BOT)
    api.answers["/api/bots/a/gates"] = (200, {"items": tree, "blockers": [], "promotionTo": "SHADOW"})
    for word in ("why", "gates"):
        shown = run(api, word, "a").stdout
        for words in (
            "to SHADOW: 1 of 3 gates pass",
            "MIN_TRADES: measured 12, required 30; clears: 18 more trades",
            "4 bars old",
            "no say",
        ):
            assert words in shown, words
    assert json.loads(run(api, "why", "a", "--json").stdout)["gates"] == tree


def test_promotions_are_filtered_by_the_words_of_the_address(api: Api) -> None:
    api.answers["/api/promotions"] = (200, {"items": [{"id": "r-1", "botId": "a", "status": "OPEN"}], "nextCursor": None})
    assert "r-1" in run(api, "promotions", "--status", "OPEN", "--status", "APPLIED", "--bot", "a").stdout
    assert (api.asked[-1][2]["status"], api.asked[-1][2]["bot"]) == (["OPEN", "APPLIED"], ["a"])


def test_rows_that_are_not_current_are_said_to_be_old(api: Api) -> None:
    old = FRESH | {"status": "unavailable", "reason": "PROJECTION_BEHIND", "asOf": "2026-11-22T11:59:00.000Z"}
    for words, path in ((("bots",), "/api/bots"), (("jobs", "--status", "RUNNING"), "/api/jobs"), (("runs",), "/api/planner/runs")):
        for proof, warns in ((old, True), (FRESH, False)):
            warn.cache_clear()
            api.answers[path] = (200, {"items": [], "nextCursor": None, "proof": proof})
            done = run(api, *words)
            assert done.exit_code == 0
            assert ("not current: unavailable, as of 2026-11-22T11:59:00.000Z (PROJECTION_BEHIND)" in done.stderr) is warns


def test_no_cell_of_a_table_is_cut(api: Api) -> None:
    counts = {"SCHEDULED": 3, "ACTIVE_JOB": 5, "NOTHING_DUE": 4, "BLOCKED_BY_GATES": 18, "CONCURRENCY_LIMIT": 1234}
    api.answers["/api/planner/runs"] = (200, {"items": [{"tick": 5, "reasonCounts": counts}], "nextCursor": None, "proof": FRESH})
    assert "BLOCKED_BY_GATES 18, CONCURRENCY_LIMIT 1234" in run(api, "runs").stdout


@pytest.mark.parametrize(("text", "place"), [("name: x\na: {b: [1, .nan]}", "a.b.1"), ("width: .inf", "width"), ("- x", "one object")])
def test_a_number_that_json_does_not_have_is_refused_by_its_place(api: Api, tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    done = run(api, "policy", "set", str(file))
    assert done.exit_code == 2
    assert place in done.stderr
    assert api.asked == []


def test_a_rejection_names_the_field(api: Api) -> None:
    rejected = {"commandId": "c-1", "status": "REJECTED", "tick": 9, "code": "BAD_INPUT", "field": "target", "limitText": "must be empty"}
    api.answers["/api/commands"] = (409, rejected)
    assert "rejected in tick 9: BAD_INPUT, target must be empty" in run(api, "pause", "--target", "X").stdout


def test_a_bot_is_changed_by_a_file_that_cannot_name_another(api: Api, tmp_path: Path) -> None:
    api.answers["/api/commands"] = (200, ACCEPTED)
    file = tmp_path / "change.yaml"
    file.write_text("parameters: {fast: 10, slow: 40}\nbotId: b\ntype: retire-bot\n")
    assert run(api, "change", "a", str(file), "--reason", "slower").exit_code == 0
    assert api.said() == {"type": "change-bot", "botId": "a", "reason": "slower", "parameters": {"fast": 10, "slow": 40}}
