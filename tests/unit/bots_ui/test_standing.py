"""The pages of the policy and of workers: whatever stands in the documents is shown, and only as words."""

from typing import Any

import pytest

from autonomy.policy import DEFAULT, Policy, read_policy
from autonomy.policy_values import differences_of, values_of
from autonomy.values import Stage, iso
from bots_ui.shown.policy import UNNAMED, WHOLE, sections_of, value_words
from bots_ui.stream.following import is_list, token_of
from support.hours import NOON
from support.site import HOSTILE, PROOF, Site, show

WORKER = "e39303ef-e302-4875-b19b-357185de971a"


def a_policy_document(policy: Policy = DEFAULT, **more: Any) -> dict[str, Any]:
    """What `/api/policy` answers."""
    return {
        "now": iso(NOON), "proof": {**PROOF, "asOf": iso(NOON)}, "tick": 7, "since": iso(NOON), "policyHash": policy.hash(), "actor": "bob",
        "approvedBy": ["ada", "bob"], "reason": "quicker", "commandId": WORKER, "document": policy.document(),
        "changes": [change._asdict() for change in differences_of(policy)], "fleet": 4, "countedAt": iso(NOON), "rev": 9,
        "limits": [{"name": "live research jobs", "used": 3, "limit": 8, "because": "research.concurrency 5 + research.queue_ahead 3"},
                   {"name": "live searches", "used": 1, "limit": 1, "because": "evolution.concurrency 1"}],
        "promotions": {"used": 0, "limit": 2, "applies": False},
        "slots": [{"work": "backtest", "running": 2, "queued": 1, "slots": 4, "processes": 2}],
        "shares": [{"stage": "LAB", "bots": 3, "share": 0.75, "maxShare": None, "room": None},
                   {"stage": "LIVE", "bots": 1, "share": 0.25, "maxShare": 0.2, "room": 0}],
    } | more  # fmt: skip


def a_workers_document(**more: Any) -> dict[str, Any]:
    """What `/api/workers` answers: one that lives, one that is silent, and fifty symbols."""
    bars = [
        {"symbol": f"S{number}", "timeframe": "1d", "sourceId": f"folder/S{number}/1d.csv@abc", "synthetic": False, "live": True, "bars": 400,
         "first": "2024-01-01T00:00:00.000Z", "last": f"2025-07-{11 + number % 2}T00:00:00.000Z", "sha256": "0" * 64, "costs": None}
        for number in range(50)
    ]  # fmt: skip
    return {
        "now": iso(NOON), "proof": {**PROOF, "asOf": iso(NOON)}, "rev": 9, "older": 2, "leaseSec": 15.0, "words": "", "disagreements": [],
        "items": [
            {"processId": WORKER, "state": state, "engineVersion": "1", "firstSeenAt": iso(NOON), "lastBeatAt": iso(NOON), "offer": "aa11",
             "slots": [{"work": "backtest", "slots": 2, "inUse": 1}], "disagrees": []} for state in ("LIVE", "SILENT")
        ],
        "offers": [{"id": "aa11", "live": 1, "workers": [WORKER], "engineVersion": "1", "jobTypes": ["EVOLVE"], "bars": bars, "strategies": [],
                    "sourceFaults": [{"name": "BAD 1d", "reason": "no header", "inUse": True}], "strategyFaults": []}],
    } | more  # fmt: skip


async def test_the_page_shows_what_is_in_force_by_whom_and_how_much_is_in_use(site: Site) -> None:
    site.be_fresh()
    html = await show(site, {"/api/policy": a_policy_document()}, "/policy")
    for words in ("agreed by ada, then bob", "quicker", f"/commands/{WORKER}", DEFAULT.hash(), "Every value is the default", "nobody more"):
        assert words in html, words
    assert 'data-limit="live research jobs"' in html
    assert html.count('"warn-text">full</span>') == 1, "one search of one is all there is"
    assert f'data-as-of="{iso(NOON)}"' in html
    assert "list=%2Fapi%2Fpolicy" in html


async def test_every_value_of_the_policy_is_on_its_page(site: Site) -> None:
    """It is walked: a value that comes later needs no line here."""
    html = await show(site, {"/api/policy": a_policy_document()}, "/policy")
    shown = sections_of(DEFAULT.document(), [])
    assert sum(len(section.values) for section in shown) == len(dict(values_of(DEFAULT.document())))
    assert [section.name for section in shown][:2] == [WHOLE, "market"]
    assert [section.name for section in shown][-len(Stage) :] == [f"stages.{stage.value}" for stage in Stage]
    for section in shown:
        for value in section.values:
            assert f"<code>{value.path}</code>" in html, (section.name, value.path)


def test_a_value_that_is_not_the_default_has_it_beside_it() -> None:
    policy = read_policy({"name": "mine", "research": {"concurrency": 9}, "promotion": {"max_share": {}}})
    changes: list[Any] = [change._asdict() for change in differences_of(policy)]
    stored = dict(sorted(policy.document().items(), key=lambda entry: (len(entry[0]), entry[0])))  # as PostgreSQL gives it back
    found = {section.name: section for section in sections_of(stored, changes)}
    assert next(iter(found)) == WHOLE
    assert (found[WHOLE].changed, found["research"].changed, found["market"].changed) == (1, 1, 0)
    (concurrency,) = [value for value in found["research"].values if value.path == "concurrency"]
    assert (concurrency.words, concurrency.default) == ("9", value_words(DEFAULT.research.concurrency))
    assert not [value for value in found["promotion"].values if value.path.startswith("max_share")]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, UNNAMED),
        (True, "yes"),
        (0.05, "0.05"),
        (1_000_000, "1,000,000"),
        (-1.5, "−1.5"),
        (["a", "b"], "a, b"),
        ([], "none"),
        ("x", "x"),
    ],
)
def test_values_read_as_people_write_them(value: object, words: str) -> None:
    assert value_words(value) == words


async def test_nobody_set_a_policy(site: Site) -> None:
    nobody = a_policy_document(tick=None, since=None, actor=None, approvedBy=[], commandId=None, reason="")
    assert "the default: nobody set another" in await show(site, {"/api/policy": nobody}, "/policy")
    planner = a_policy_document(actor="planner", approvedBy=[], commandId=None, reason="")
    assert "no person set one yet" in await show(site, {"/api/policy": planner}, "/policy")


async def test_fifty_symbols_are_one_line_until_they_are_opened(site: Site) -> None:
    html = await show(site, {"/api/workers": a_workers_document()}, "/workers")
    before, _, folded = html.partition("<details")
    assert "S49" not in before
    assert folded.count("<details") == 0, "one kind of bars, and no strategy"
    assert "50 symbols" in folded
    assert "until 2025-07-11 to 2025-07-12" in folded
    assert "folder/S0/1d.csv, folder/S1/1d.csv, folder/S10/1d.csv and 47 more" in folded
    assert "less than 15 s ago" in before, "while it lives its age is never longer than a lease"
    for words in ("look at its log, and start one", "no header", "the last good bars stay in use", "older, not listed", "No strategy"):
        assert words in html, words


async def test_what_workers_disagree_about_stands_first_with_every_side(site: Site) -> None:
    sides = [{"says": "version 1, code aaa", "workers": [WORKER]}, {"says": "version 2, code bbb", "workers": [WORKER] * 9}]
    document = a_workers_document(words="live runners announce different macd", disagreements=[{"about": "macd", "sides": sides}])
    html = await show(site, {"/api/workers": document}, "/workers")
    assert html.index("Live runners announce different macd") < html.index("Processes</h2>")
    assert "version 2, code bbb" in html
    assert "and 1 more" in html


async def test_what_is_offered_by_nobody_who_lives_is_folded_away(site: Site) -> None:
    offer = a_workers_document()["offers"][0]
    html = await show(site, {"/api/workers": a_workers_document(offers=[offer | {"live": 0}])}, "/workers")
    assert "No live worker has announced anything" in html
    assert html.index('id="gone"') < html.index("no header")


async def test_nobody_works(site: Site) -> None:
    html = await show(site, {"/api/workers": a_workers_document(items=[], offers=[])}, "/workers")
    assert "No runner process gave a sign of life in the last hour" in html
    assert "Nothing can run until one starts" in html


async def test_markup_in_either_document_is_only_words(site: Site) -> None:
    hostile = read_policy({"name": HOSTILE})
    policy = a_policy_document(hostile, actor=HOSTILE, reason=HOSTILE, approvedBy=[HOSTILE, HOSTILE])
    offer = a_workers_document()["offers"][0] | {
        "id": HOSTILE,
        "engineVersion": HOSTILE,
        "sourceFaults": [{"name": HOSTILE, "reason": HOSTILE, "inUse": False}],
    }
    workers = a_workers_document(
        offers=[offer], words=HOSTILE, disagreements=[{"about": HOSTILE, "sides": [{"says": HOSTILE, "workers": [HOSTILE]}]}]
    )
    for path, api_path, document in (("/policy", "/api/policy", policy), ("/workers", "/api/workers", workers)):
        html = await show(site, {api_path: document}, path)
        assert "<img" not in html
        assert "&lt;img" in html


def test_both_are_followed_and_time_alone_is_no_change() -> None:
    for address, document in (("/api/policy", a_policy_document()), ("/api/workers", a_workers_document())):
        assert is_list(address)
        later = document | {"now": "later", "countedAt": "later", "rev": 10}
        if "items" in later:
            later["items"] = [item | {"lastBeatAt": "later"} for item in document["items"]]
        assert token_of(later) == token_of(document)
    assert token_of(a_policy_document(fleet=5)) != token_of(a_policy_document())
