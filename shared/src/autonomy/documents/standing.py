"""The policy in force, who set it, where it differs from the default, and how much of what it allows is in use.

Place in the flow: rows → **standing** → `/api/policy`, OpenAPI → the page's policy. Everything is counted in one statement: no number
can contradict another.
"""

from datetime import datetime
from uuid import UUID

from autonomy.documents.policies import PolicyDocument
from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown
from autonomy.values import Stage
from autonomy.work import LimitName, Work

PolicyValue = bool | float | str | list[str | float]
"""A single value of a policy's document; a list is one."""


class ValueChanged(Shown):
    """A value of the policy that is not the default."""

    path: str
    """its place in the document, with dots"""
    default: PolicyValue | None
    """without a policy; null where there is none, as of a stage that a table does not name"""
    now: PolicyValue | None
    """in force; null likewise"""


class LimitInUse(Shown):
    """A limit that ready bots compete under."""

    name: LimitName
    """as decisions say it (`limitName`)"""
    used: int
    """how much of it is in use; a job that is being cancelled counts until it has ended"""
    limit: int
    """how much there is"""
    because: str
    """the values that make it, by their paths"""


class BudgetOfHour(Shown):
    """Promotions that the planner may apply by itself."""

    used: int
    """applied by itself in the last hour"""
    limit: int
    """per hour"""
    applies: bool
    """whether the promotion mode is AUTO; else none is applied"""


class SlotsInUse(Shown):
    """Places for one kind of work on the live runner processes."""

    work: Work
    """which kind"""
    running: int
    """jobs that a runner process holds; also of one that is silent, until its lease is over"""
    queued: int
    """jobs that wait for a place"""
    slots: int
    """places that live runner processes announce"""
    processes: int
    """how many of these have such a place"""


class StageShare(Shown):
    """A stage's share of the fleet."""

    stage: Stage
    """which"""
    bots: int
    """how many stand there"""
    share: float | None
    """of the fleet, as a fraction; null without a bot"""
    max_share: float | None
    """the largest share, as a fraction; null: the policy names none, and all may stand there"""
    room: int | None
    """how many more the share lets in, operators' promotions included; null: any number"""


class PolicyInForce(Proved):
    """The policy in force, and how much of what it allows is in use."""

    tick: int | None
    """tick from which it was in force; null: nobody set another than the default"""
    since: datetime | None
    """time of that tick; null without one"""
    policy_hash: str
    """its hash, as each run records it"""
    actor: str | None
    """who set it; of two approvers the second"""
    approved_by: list[str]
    """everybody who agreed, in order; empty of the policy that the planner began with"""
    reason: str
    """of the command that set it, in its actor's words; empty without one"""
    command_id: UUID | None
    """that command; null where none is known"""
    document: PolicyDocument
    """the whole policy, as `set-policy` takes it"""
    changes: list[ValueChanged]
    """where it differs from the default, by path"""
    limits: list[LimitInUse]
    """what ready bots compete under, in use now"""
    promotions: BudgetOfHour
    """what the planner may apply by itself"""
    slots: list[SlotsInUse]
    """by kind of work"""
    shares: list[StageShare]
    """every stage, in the order of the ladder"""
    fleet: int
    """bots in the fleet"""
    counted_at: datetime
    """the moment of everything that is counted here, by the broker's clock; an hour ends then"""
    rev: int
    """revision of the read models that it was counted in"""
