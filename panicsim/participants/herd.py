"""Herd: every further 1 % fall brings the same dollars of selling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import scalar
from panicsim.market import Market
from panicsim.participants.base import Participant


@dataclass(frozen=True)
class Herd(Participant):
    """Sellers who follow the fall: the positive-feedback traders of the literature.

    Parameters
    ----------
    per_percent : float
        USD sold for each further 1 % of fall, counted in coins at P0. With the market's `depth` it gives
        the loop gain, g = per_percent / depth.
    one_way : bool
        True (the default): they act on the worst fall seen and do not buy back.
    lag : float
        Reaction time in hours.
    name : str, optional

    Notes
    -----
    F(x) = S x with S = per_percent / (0.01 P0) coins per unit of log fall (chapter 1, "The echo").
    De Long, Shleifer, Summers & Waldmann (1990) call such orders positive feedback.
    """

    per_percent: float
    one_way: bool = True
    lag: float = 0.5
    name: str | None = None

    def __post_init__(self) -> None:
        self._check_common()
        value = scalar("per_percent", "USD per 1 %", self.per_percent, at_least=0)
        object.__setattr__(self, "per_percent", value)

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold once the log fall has been `fall` (any shape in, same shape out)."""
        slope = self.per_percent / (0.01 * market.price)
        return slope * (np.maximum(fall, 0.0) if self.one_way else np.asarray(fall, dtype=float))
