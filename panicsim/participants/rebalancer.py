"""Rebalancer: a fund that trades back to its target weight after every move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import scalar
from panicsim.market import Market
from panicsim.participants.base import Participant


@dataclass(frozen=True)
class Rebalancer(Participant):
    """A fund that keeps a constant share of its assets in the coin.

    Parameters
    ----------
    weight : float
        Target weight w: 0.6 for a 60/40 fund, 3 for a token with threefold exposure, -1 for an inverse one.
    aum : float
        Assets under management at the start, A, in USD.
    lag : float
        Hours between rebalancings, felt as reaction time.
    name : str, optional

    Notes
    -----
    Holding a share w of assets means that the assets move as (P/P0)^w and the coins as (P/P0)^(w-1), so
    F(x) = (w A / P0) (1 - exp(-(w - 1) x)). The gain at 0 is w (w - 1) A per 1 % over depth: weights
    between 0 and 1 buy falls, all others sell them (Perold & Sharpe 1988; Cheng & Madhavan 2009).
    It trades both ways.
    """

    weight: float
    aum: float
    lag: float = 1.0
    name: str | None = None

    def __post_init__(self) -> None:
        self._check_common()
        object.__setattr__(self, "weight", scalar("weight", "share of assets", self.weight))
        object.__setattr__(self, "aum", scalar("aum", "USD", self.aum, at_least=0))

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold once the log fall has been `fall` (any shape in, same shape out)."""
        exponent = np.minimum((1.0 - self.weight) * np.asarray(fall, dtype=float), 300.0)
        return -(self.weight * self.aum / market.price) * np.expm1(exponent)
