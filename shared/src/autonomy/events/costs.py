"""What trading costs and allows: said by the policy, with a symbol's bars, and in every order."""

from typing import Annotated

from pydantic import Field

from autonomy.events.document import Document, later


class Costs(Document):
    """What trading costs and allows: the policy's for all symbols, or those that came with a symbol's bars.

    Attributes:
        fee_bps: of orders at the market and of stops, per side, basis points of the traded value.
        slippage_bps: how much worse than the price such an order is filled, likewise.
        maker_bps: fee of limits and targets, negative for a rebate; null: as `fee_bps`.
        funding_bps_per_day: what a long pays, and a short gets, of the position's value.
        borrow_bps_per_day: what a short pays of it.
        tick: smallest step of a price in USD; 0: none.
        lot: smallest step of units; 0: none.
        minimum_usd: smallest value of an order, USD; 0: none.
    """

    fee_bps: Annotated[float, Field(ge=0, le=1000)]
    slippage_bps: Annotated[float, Field(ge=0, le=1000)]
    maker_bps: Annotated[float, Field(ge=-100, le=1000)] | None = later(None)
    funding_bps_per_day: Annotated[float, Field(ge=-1000, le=1000)] = later(0.0)
    borrow_bps_per_day: Annotated[float, Field(ge=0, le=1000)] = later(0.0)
    tick: Annotated[float, Field(ge=0, le=1_000_000)] = later(0.0)
    lot: Annotated[float, Field(ge=0, le=1_000_000)] = later(0.0)
    minimum_usd: Annotated[float, Field(ge=0, le=1_000_000)] = later(0.0)
