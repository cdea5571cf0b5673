"""What needs a person, in one document: out of one snapshot of the read models and the judgement of that moment.

Place in the flow: snapshot and judgement → **attention** → proof-api, OpenAPI → the page's queue and its title.

Source: R-B1, R-B3; docs/architecture.md, "The Bots page".
"""

from datetime import datetime

from autonomy.attention import AttentionKind
from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown
from autonomy.gates import Needs


class AttentionItem(Shown):
    """Something that needs a person: all of one kind with one cause."""

    kind: AttentionKind
    """what a person is needed for"""
    code: str
    """its cause: gate, check, next stage, scope of a pause; empty where the kind has but one"""
    needs: Needs
    """who must act"""
    count: int
    """how many, in the kind's unit"""
    since: datetime | None
    """of the oldest, of a blocker since when the standing decision names it; null where nothing says it"""
    unit: str
    """what is counted, as many as there are"""
    what: str
    """what it is, in words after count and unit"""
    todo: str
    """what to do, in words"""
    bots: list[str]
    """bots that it is about, the oldest first; at most 5, none where it is about no bot"""


class BlockedBots(Shown):
    """Bots with a blocker, by whom they wait for; each is counted once."""

    operator: int
    """an operator has to act for at least one of their blockers"""
    developer: int
    """else the bot's developer: nothing that an operator does here clears it"""
    nobody: int
    """else: it clears by itself"""


class AttentionTold(Shown):
    """What needs a person."""

    needed: int | None
    """everything for which an operator has to act; null while the rows cannot be trusted"""
    blocked: BlockedBots | None
    """null while the rows cannot be trusted"""
    items: list[AttentionItem]
    """the most urgent kind first; of each the most frequent cause first"""
    rev: int
    """revision of the read models that it was counted in"""


class AttentionFound(Proved, AttentionTold):
    """The queue with its proof."""
