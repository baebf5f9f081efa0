"""Fear: each holder has a pain threshold, and thresholds are spread like a bell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import scalar
from panicsim.market import Market
from panicsim.participants.base import Participant


@dataclass(frozen=True)
class Fear(Participant):
    """Holders who sell all they have once the fall passes their own threshold.

    Parameters
    ----------
    holdings : float
        Coins held by everybody together, H.
    threshold : float
        Middle of the thresholds, theta, as a log fall.
    width : float
        Spread of the thresholds, w, as a log fall (scale of the logistic distribution).
    one_way : bool
        True (the default): who has sold does not come back.
    lag : float
        Reaction time in hours.
    name : str, optional

    Notes
    -----
    F(x) = H (G(x) - G(0)) / (1 - G(0)) with G the logistic distribution function: subtracting G(0) keeps
    F(0) = 0. The end can jump only if H > 4 w Lambda (1 - G(0)) (chapter 5, "Fear"; thresholds as in
    Granovetter 1978).
    """

    holdings: float
    threshold: float = 0.10
    width: float = 0.03
    one_way: bool = True
    lag: float = 0.5
    name: str | None = None

    def __post_init__(self) -> None:
        self._check_common()
        put = object.__setattr__
        put(self, "holdings", scalar("holdings", "coins", self.holdings, at_least=0))
        put(self, "threshold", scalar("threshold", "log fall", self.threshold, above=0))
        put(self, "width", scalar("width", "log fall", self.width, above=0))

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold once the log fall has been `fall` (any shape in, same shape out)."""
        # (G(x) - G(0)) / (1 - G(0)), multiplied out so that no two nearly equal numbers are subtracted.
        fall = np.maximum(fall, 0.0)
        ahead = np.exp(np.minimum((self.threshold - fall) / self.width, 700.0))
        return self.holdings * (-np.expm1(-fall / self.width) / (1.0 + ahead))
