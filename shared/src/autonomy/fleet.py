"""What an operator may say about a bot, and the fingerprint that binds evidence to what was tested.

Place in the flow: proof-api and planner read bots with the same function; planner and job-runner derive the same
fingerprint. Pure.

Source: R-F7.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from autonomy.errors import BadInput
from autonomy.events import Costs, StrategyOffered, Text
from autonomy.events.offers import StrategyName
from autonomy.strategies import Value, canonical, check_parameters, plain_parameters
from autonomy.timeframes import Timeframe
from autonomy.values import BotId, Evolve, Origin, Stage, Symbol

MAX_NAME: Final = 80


class BotSpec(BaseModel):
    """One bot as the operator writes it.

    Attributes:
        evolve: what may become of a search's winner. In a fleet's file, left out, it is "propose"; else the policy says it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: BotId
    name: str = Field(default="", max_length=MAX_NAME)
    strategy: StrategyName
    parameters: dict[str, JsonValue] = Field(default_factory=dict, max_length=32)
    symbol: Symbol
    timeframe: Timeframe = Timeframe.D1
    stage: Stage = Stage.LAB
    origin: Origin | None = None
    pinned: bool = False
    pin_reason: Text = ""
    evolve: Evolve = ""

    @field_validator("name")
    @classmethod
    def is_one_line(cls, name: str) -> str:
        """A name is shown in tables and logs."""
        if any(ord(letter) < 32 for letter in name):
            raise ValueError("must be one line without control characters")
        return name

    def parameters_for(self, offer: StrategyOffered | None) -> dict[str, Value]:
        """The parameters with defaults filled in; as they were written where nobody has announced the strategy yet.

        Raises:
            BadInput: names the parameter and its range.
        """
        return plain_parameters(self.parameters) if offer is None else check_parameters(offer, self.parameters)

    @property
    def true_origin(self) -> Origin:
        """A stage beyond LAB that was not earned here is an import, whatever the document says."""
        return Origin.IMPORTED if self.stage is not Stage.LAB else (self.origin or Origin.NEW)


def read_bot(document: Mapping[str, object], offers: Mapping[str, StrategyOffered]) -> BotSpec:
    """Validate one bot: `read_whole_bot` without its parameters.

    Raises:
        BadInput: names the field and the limit.
    """
    return read_whole_bot(document, offers)[0]


def read_whole_bot(document: Mapping[str, object], offers: Mapping[str, StrategyOffered]) -> tuple[BotSpec, dict[str, Value]]:
    """Validate one bot, and give it with its parameters as `BotSpec.parameters_for` has them.

    Args:
        document: as the operator wrote it.
        offers: by name, the strategies that were announced. While none was, nothing can be said against one, and the bot waits for it.

    Raises:
        BadInput: names the field and the limit.
    """
    try:
        spec = BotSpec.model_validate(document)
    except ValidationError as refusal:
        fault = refusal.errors(include_url=False)[0]
        path = ".".join(str(part) for part in fault["loc"]) or "bot"
        raise BadInput(path, fault["msg"], fault.get("input")) from refusal
    if offers and spec.strategy not in offers:
        # The planner's answer stands in the log: it must not depend on which other strategies there are.
        raise BadInput("strategy", "must be a strategy that a runner offers (`autonomy strategy list`)", spec.strategy)
    return spec, spec.parameters_for(offers.get(spec.strategy))


def fingerprint_of(  # noqa: PLR0913 (the fingerprint is exactly this list)
    *,
    strategy: str,
    strategy_version: int,
    code_hash: str,
    parameters: Mapping[str, int | float | str],
    symbol: str,
    timeframe: str,
    source_id: str,
    engine_version: str,
    costs: Costs,
    initial_cash_usd: str,
) -> str:
    """What evidence is bound to: another strategy code, parameter, data source, engine or cost is another fingerprint."""
    document = {
        "strategy": strategy,
        "strategyVersion": strategy_version,
        "codeHash": code_hash,
        "parameters": canonical(parameters),
        "symbol": symbol,
        "timeframe": timeframe,
        "sourceId": source_id,
        "engineVersion": engine_version,
        "feeBps": repr(float(costs.fee_bps)),
        "slippageBps": repr(float(costs.slippage_bps)),
        "initialCashUsd": initial_cash_usd,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
