"""The ladder from LAB to LIVE in one document: how many stand on each stage, what keeps them from the next, and how long they wait.

Place in the flow: **board** → `/api/board`, OpenAPI → the page's board.
"""

from datetime import datetime

from autonomy.documents.proofs import Proved
from autonomy.documents.rows import Shown
from autonomy.values import Stage


class GateInTheWay(Shown):
    """A promotion gate that does not pass."""

    code: str
    """the gate"""
    bots: int
    """of the stage, for how many it does not; a bot is counted at each of its gates"""


class StageOfBoard(Shown):
    """One stage, and the step from it."""

    stage: Stage
    """which"""
    to: Stage | None
    """where the step leads; null from the last stage"""
    bots: int
    """how many are in it; here and below those on made-up bars are left out"""
    recommended: int
    """of these, how many wait for people"""
    held: int
    """of the others, how many have a gate that does not pass"""
    median_since: datetime | None
    """half of its bots are in it since then or longer; null without any"""
    median_recommended_at: datetime | None
    """half of those that wait for people do since then or longer; null without any"""
    synthetic: int
    """how many more are in it whose newest evidence is on made-up bars"""
    synthetic_recommended: int
    """of these, how many wait for people"""
    gates: list[GateInTheWay]
    """the most frequent first"""


class Board(Proved):
    """Every stage in the order of the ladder, counted in one statement."""

    stages: list[StageOfBoard]
    """all of them, also those without a bot"""
    looks: int
    """how many looks at bots' timing were taken on recorded bars, those of retired bots too"""
    alpha_spent: float
    """what they spent together: so many false recommendations are expected among them"""
    rev: int
    """revision of the read models that it was counted in"""
