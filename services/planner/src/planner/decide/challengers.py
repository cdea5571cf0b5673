"""Operators' words about the winner of a search: it becomes the bot's next version, or it does not.

Place in the flow: commands → **challengers** → facts of the tick. Pure. What may become of a winner without a word stands in `life`.
"""

from msgspec.structs import replace

from autonomy.events import ApproveChallenger, ChallengerDeclined, RejectChallenger
from autonomy.values import Stage
from planner.decide import membership
from planner.decide.endings import Say
from planner.decide.refusal import Refused
from planner.decide.view import View
from planner.fold.entities import Bot, Proposal
from planner.fold.state import State


def approve(state: State, bot: Bot, command: ApproveChallenger, view: View, say: Say) -> None:
    """Make a LAB bot what its search found; its evidence starts at nothing, and an open recommendation of the old version is withdrawn.

    Raises:
        Refused: NO_PROPOSAL, ON_HOLD, NOT_IN_LAB, EVIDENCE_CHANGED when the search was about other code, data or costs.
    """
    proposal = _open(bot, command.job_id)
    if bot.hold is not None:
        raise Refused("ON_HOLD", "botId", f"{bot.id} is on hold: {bot.hold}")
    if bot.stage is not Stage.LAB:
        raise Refused("NOT_IN_LAB", "botId", f"{bot.id} is in {bot.stage.value}: revert it first, the proposal waits")
    if view.fingerprint(replace(bot, parameters=proposal.parameters)) != proposal.fingerprint:
        raise Refused("EVIDENCE_CHANGED", "jobId", f"{proposal.job_id} searched with other code, data or costs than those of now")
    membership.change(state, bot, bot, dict(proposal.parameters), command.actor, say, by=proposal.job_id)


def reject(bot: Bot, command: RejectChallenger, say: Say) -> None:
    """Close a proposal; the same bytes are not searched again.

    Raises:
        Refused: NO_PROPOSAL.
    """
    proposal = _open(bot, command.job_id)
    say(ChallengerDeclined(bot_id=bot.id, job_id=proposal.job_id, actor=command.actor, reason=command.reason))


def _open(bot: Bot, job_id: str) -> Proposal:
    if bot.proposal is None or bot.proposal.job_id != job_id:
        raise Refused("NO_PROPOSAL", "jobId", f"no proposal of the search {job_id} waits at {bot.id}")
    return bot.proposal
