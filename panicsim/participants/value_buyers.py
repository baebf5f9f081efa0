"""ValueBuyers: resting bids under the market until the money is spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import scalar
from panicsim.market import Market
from panicsim.participants.base import Participant


@dataclass(frozen=True)
class ValueBuyers(Participant):
    """Buyers whose bids rest below the price: extra depth, as long as their capital lasts.

    Parameters
    ----------
    per_percent : float
        USD bought for each 1 % of fall, counted in coins at P0. It lowers the loop gain by
        per_percent / depth.
    capital : float
        USD that they can spend in all.
    one_way : bool
        True: what they have bought they keep. False (the default): they sell it back on the way up, as
        a market maker does.
    lag : float
        Reaction time in hours; 0 (the default) means resting bids, which answer within a step.
    name : str, optional

    Notes
    -----
    F(x) = -S min(x, x_end) with S = per_percent / (0.01 P0). Spending until a fall of x costs
    S P0 (1 - exp(-x)), so the capital K ends at x_end = -ln(1 - K / (S P0)), or never if K >= S P0. It is
    counted along the curve, at the prices of the bids; late buyers (lag > 0) pay the price they get.
    Above P0 they do nothing. Do not use them together with the market's `recovery` for the same money:
    that would count it twice.
    """

    per_percent: float
    capital: float
    one_way: bool = False
    lag: float = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        self._check_common()
        value = scalar("per_percent", "USD per 1 %", self.per_percent, at_least=0)
        object.__setattr__(self, "per_percent", value)
        object.__setattr__(self, "capital", scalar("capital", "USD", self.capital, at_least=0))

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Minus the coins bought once the log fall has been `fall` (any shape in, same shape out)."""
        slope = self.per_percent / (0.01 * market.price)
        return -slope * np.clip(fall, 0.0, self.spent_at(market))

    def spent_at(self, market: Market) -> float:
        """Log fall at which the capital is spent; infinite if it lasts to a price of zero."""
        worth = self.per_percent / 0.01
        return float(-np.log1p(-self.capital / worth)) if self.capital < worth else np.inf
