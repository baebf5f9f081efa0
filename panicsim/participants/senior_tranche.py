"""SeniorTranche: a fund whose safe half leaves when the cushion below it wears thin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, array, scalar
from panicsim.market import Market
from panicsim.participants.base import Participant
from panicsim.tranches import layered


@dataclass(frozen=True)
class SeniorTranche(Participant):
    """A fund in coins with a junior and a senior tranche. Seniors redeem once little of the junior is left.

    Parameters
    ----------
    pool : float
        The fund's assets at P0, USD, all of it in coins.
    junior : float
        Share of the assets that loses first, J.
    trigger : float
        Share of the junior tranche that is left when the first seniors redeem.
    redeeming : float
        Share of the seniors that redeem by the time the junior tranche is used up.
    lag : float
        Reaction time in hours.
    name : str, optional

    Notes
    -----
    After a log fall of x the fund has lost L = 1 - exp(-x). Seniors redeem at par, evenly in x between the
    fall at which trigger J of cushion is left and the one at which none is, and for each dollar 1/P coins are
    sold. So F(x) = h (1 - J) pool / P0 (exp(x) - exp(x1)) / (x2 - x1), for x from x1 = -ln(1 - (1 - trigger)
    J) to x2 = -ln(1 - J): nothing, then a lot, then nothing (chapter 14, "The waterfall"; Merton 1974).
    """

    pool: float
    junior: float = 0.2
    trigger: float = 0.25
    redeeming: float = 1.0
    lag: float = 0.5
    name: str | None = None

    one_way = True

    def __post_init__(self) -> None:
        self._check_common()
        put = object.__setattr__
        put(self, "pool", scalar("pool", "USD", self.pool, at_least=0))
        put(self, "junior", scalar("junior", "share of the pool", self.junior, above=0, below=1))
        trigger = scalar("trigger", "share of the junior tranche", self.trigger, above=0, at_most=1)
        put(self, "trigger", trigger)
        share = scalar("redeeming", "share of the seniors", self.redeeming, at_least=0, at_most=1)
        put(self, "redeeming", share)
        if not self.exhausted > self.starts:
            raise ValueError(
                f"trigger (share of the junior tranche) must leave something of it, {self.junior:g} of the"
                f" pool, got {self.trigger!r}"
            )

    @property
    def starts(self) -> float:
        """Log fall at which the first seniors redeem, x1."""
        return -float(np.log1p(-(1.0 - self.trigger) * self.junior))

    @property
    def exhausted(self) -> float:
        """Log fall at which the junior tranche is used up, x2."""
        return -float(np.log1p(-self.junior))

    def losses(self, fall: Any) -> tuple[Array, Array]:
        """Losses of the junior and of the senior tranche at a log fall, as shares of each (any shape).

        L = J junior + (1 - J) senior: nothing is lost twice.
        """
        loss = -np.expm1(-array("fall", "log", fall, at_least=0))
        borne = layered(loss, [self.junior, 1.0 - self.junior])
        return borne[..., 0] / self.junior, borne[..., 1] / (1.0 - self.junior)

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold once the log fall has been `fall` (any shape in, same shape out)."""
        start, end = self.starts, self.exhausted
        seniors = self.redeeming * (1.0 - self.junior) * self.pool / market.price
        # From the trigger on: a difference of exponentials, each dollar at the price of its moment.
        deep = np.clip(fall, start, end) - start
        return seniors / (end - start) * np.exp(start) * np.expm1(deep)
