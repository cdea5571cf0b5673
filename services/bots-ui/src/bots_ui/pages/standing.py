"""What is in force and who works: the policy with what of it is in use, and the runner processes.

Place in the flow: route → **page** → template. Each is one document of the API, so that no two numbers are of different moments.
"""

from collections import Counter
from typing import Final

from autonomy.attention import KINDS, AttentionKind
from autonomy.client import Document
from autonomy.values import WorkerState
from bots_ui.api.client import ProofApi
from bots_ui.api.documents import document_of, list_of, lost_words, text_of, told, told_part
from bots_ui.pages.fleet import Context
from bots_ui.pages.lists import shown
from bots_ui.shown.facts import names_in_words
from bots_ui.shown.policy import sections_of, value_words
from bots_ui.shown.words import bar_of

POLICY: Final = "/api/policy"
WORKERS: Final = "/api/workers"
TODO: Final = (AttentionKind.WORKER_SILENT, AttentionKind.SOURCE, AttentionKind.STRATEGY_FILE)
"""What is seen here and waits for a person, who is told the same in the queue."""


async def policy(api: ProofApi) -> Context:
    """The policy in force: who set it, what of its limits is in use, where it differs from the default, and the whole of it."""
    answer = await api.get(POLICY)
    document = document_of(answer)
    changes = list_of(document, "changes")
    return {
        "policy": told(document), "changes": [
            {"path": change["path"], "default": value_words(change["default"]), "now": value_words(change["now"])} for change in changes
        ],
        "sections": sections_of(told_part(document, "document"), changes), "lost": lost_words(answer), **shown((POLICY, (), answer)),
    }  # fmt: skip


async def workers(api: ProofApi) -> Context:
    """Runner processes, what they offer and what they disagree about."""
    answer = await api.get(WORKERS)
    document = document_of(answer)
    items, offers = list_of(document, "items"), list_of(document, "offers")
    counts = Counter(str(item["state"]) for item in items)
    return {
        "workers": items, "offers": [offer_of(offer) for offer in offers], "disagreements": list_of(document, "disagreements"),
        "differ": text_of(document, "words"), "older": document.get("older"), "lease": document.get("leaseSec"),
        "counts": [(state.value, counts[state.value]) for state in WorkerState if counts[state.value]],
        "todo": {kind.value: KINDS[kind].todo for kind in TODO}, "lost": lost_words(answer), **shown((WORKERS, (), answer)),
    }  # fmt: skip


def offer_of(offer: Document) -> dict[str, object]:
    """An offer with its bars by their kind: hundreds of symbols are one line until it is opened."""
    groups: dict[tuple[str, bool, bool], list[Document]] = {}
    for one in list_of(offer, "bars"):
        groups.setdefault((str(one["timeframe"]), bool(one["live"]), bool(one["synthetic"])), []).append(one)
    return {**offer, "groups": [
        {
            "timeframe": timeframe, "live": live, "synthetic": synthetic, "bars": bars,
            "sources": names_in_words(sorted({str(one["sourceId"]).partition("@")[0] for one in bars})),
            "until": tuple(sorted({bar_of(one["last"]) for one in bars})),
        }
        for (timeframe, live, synthetic), bars in groups.items()
    ]}  # fmt: skip
