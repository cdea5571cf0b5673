"""Who may command what, and which changes need two approvers.

Place in the flow: commands → **rules** → facts. Pure. proof-api looks at the role too, but whoever can write to the log could claim any
actor and say any command: the planner takes nobody's word for it.
"""

from typing import Final

from autonomy.envelope import content_hash
from autonomy.events import AcceptDivergence, Command, RuleVote, SetPolicy, SetPromotionMode
from autonomy.identities import PLANNER, identity_of
from autonomy.values import derived_id
from planner.decide.endings import Say
from planner.decide.refusal import Refused
from planner.fold.state import State

RANK: Final = {"viewer": 0, "operator": 1, "approver": 2, "system": -1}
"""No service says commands under the role `system` today, so it may do nothing."""
RULES: Final = (SetPolicy, SetPromotionMode, AcceptDivergence)
"""Commands that change what everything else is judged by."""
VOTE_HOLDS_MS: Final = 86_400_000
"""How long the first approver's word for a change of the rules waits for the second one: a day."""


def check_role(command: Command) -> None:
    """Refuse a command whose role does not suffice, or whose actor has no visible name.

    Raises:
        Refused: FORBIDDEN, naming the role that it needs.
    """
    if not identity_of(command.actor):
        raise Refused("FORBIDDEN", "actor", "must be a name that people can see")
    if identity_of(command.actor) == PLANNER:
        raise Refused("FORBIDDEN", "actor", f"must not be {PLANNER}: the planner's own acts have that name")
    if RANK[command.role] < RANK[command.needs]:
        raise Refused("FORBIDDEN", "role", f"{command.wire} needs the role {command.needs}, {command.actor} is {command.role}")


def subject_of(command: Command) -> str:
    """The hash over what a command asks for, whoever asks and why."""
    return content_hash(command.model_copy(update={"command_id": derived_id("subject"), "actor": "-", "role": "approver", "reason": ""}))


def approvers_needed(state: State) -> int:
    """How many approvers a change of the rules takes. Until a fleet has a policy of its own one is enough: somebody has to say how many."""
    return 1 if state.single.is_new else state.policy.rules_approvers


def agreed(state: State, command: Command, now_ms: int, say: Say) -> tuple[str, ...]:
    """Count a voice for a change of the rules.

    Returns:
        Everybody who agreed, in order, once they are enough; nobody while another approver is missing.

    Raises:
        Refused: OWN_REQUEST when the same person says it twice.
    """
    if approvers_needed(state) < 2:
        return (command.actor,)
    subject = subject_of(command)
    vote = state.votes.get(subject)
    if vote is not None and now_ms - vote.since_ms > VOTE_HOLDS_MS:
        vote = None
    if vote is not None and identity_of(vote.actor) == identity_of(command.actor):
        raise Refused("OWN_REQUEST", "actor", f"{vote.actor} asked for it: another approver must agree")
    complete = vote is not None
    say(RuleVote(command_id=command.command_id, command=command.wire, subject=subject, actor=command.actor, complete=complete))
    return () if vote is None else (vote.actor, command.actor)
