"""The policy as it stands in documents: every key is a field's own name, also of the parts that are camelCase inside events.

Place in the flow: `autonomy.policy` → **policies** → `/api/policy`, OpenAPI.
"""

from typing import Final

from pydantic import ConfigDict

from autonomy.events import Costs, SuiteSizes
from autonomy.policy import DEFAULT, Policy, ResearchPolicy


def own_name(name: str) -> str:
    """The key of a field: its name."""
    return name


class PolicyCosts(Costs):
    """Per side, in basis points of the traded value."""

    model_config = ConfigDict(alias_generator=own_name)


class PolicySuite(SuiteSizes):
    """How much validation a baseline does."""

    model_config = ConfigDict(alias_generator=own_name)


COSTS: Final = PolicyCosts.model_validate(DEFAULT.research.costs.model_dump())
SUITE: Final = PolicySuite.model_validate(DEFAULT.research.suite.model_dump())


class PolicyResearch(ResearchPolicy):
    """How much research runs at once, and what one job is."""

    costs: PolicyCosts = COSTS
    suite: PolicySuite = SUITE


class PolicyDocument(Policy):
    """The whole policy; a key that is missing has its default."""

    research: PolicyResearch = PolicyResearch()
