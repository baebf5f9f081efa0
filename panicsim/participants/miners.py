"""Miners: bills in dollars, income in coins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, array, scalar
from panicsim.market import Market, View
from panicsim.participants.base import Participant


@dataclass(frozen=True)
class Miners(Participant):
    """Miners who sell as many coins as their bills need: more of them when a coin buys less.

    Parameters
    ----------
    cost : float
        Bills, C, in USD per day.
    produced : float
        Coins mined per day with all machines on.
    cap : float, optional
        Coins per day that they can sell at most, reserves included. None: no cap.
    curtailment : float
        Share of the machines that switch off, bills and all, while a day's coins do not pay a day's bills.
    horizon : float
        Hours of selling that the photograph counts. Where price recovers at a rate of kappa, what was sold
        longer than about 1/kappa ago no longer weighs.
    lag : float
        Reaction time in hours.
    name : str, optional

    Notes
    -----
    They sell min(C/P, cap) coins a day, times the share of machines that run. What they sell at P0 is part of
    the market's ordinary flow, which the price contains; only the difference to it is a trade of the loop.
    It is a rate: the film adds it up, the photograph sees `horizon` hours of it (chapter 11, "The load").
    """

    cost: float
    produced: float
    cap: float | None = None
    curtailment: float = 0.0
    horizon: float = 24.0
    lag: float = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        self._check_common()
        put = object.__setattr__
        put(self, "cost", scalar("cost", "USD per day", self.cost, at_least=0))
        put(self, "produced", scalar("produced", "coins per day", self.produced, at_least=0))
        if self.cap is not None:
            put(self, "cap", scalar("cap", "coins per day", self.cap, at_least=0))
        share = scalar("curtailment", "share of machines", self.curtailment, at_least=0, at_most=1)
        put(self, "curtailment", share)
        put(self, "horizon", scalar("horizon", "hours", self.horizon, at_least=0))

    @property
    def breakeven(self) -> float:
        """Price at which a day's coins pay a day's bills, USD per coin."""
        return self.cost / self.produced if self.produced else float("inf") if self.cost else 0.0

    def rate(self, price: Any) -> Any:
        """Coins sold per day at a price (any shape in, same shape out)."""
        price = array("price", "USD per coin", price, above=0)
        needed = self.cost / price
        if self.cap is not None:
            needed = np.minimum(needed, self.cap)
        return needed * np.where(price < self.breakeven, 1.0 - self.curtailment, 1.0)

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold beyond the ordinary in `horizon` hours at a log fall (any shape in, same shape out)."""
        return self.horizon / 24.0 * self._excess(fall, market)

    def _excess(self, fall: Any, market: Market) -> Any:
        """Coins per day beyond those sold at P0."""
        return self.rate(market.price_at(np.clip(fall, -600.0, 600.0))) - self.rate(market.price)

    def start(self, view: View) -> Any:
        """Return the state of one run: coins that should have been sold by now."""
        return {"due": np.zeros(view.paths)}

    def react(self, view: View, mine: Any) -> Array:
        """Return the wanted flow in coins: what the price of the moment asks for over a step."""
        mine["due"] = mine["due"] + view.dt / 24.0 * self._excess(view.fall, view.market)
        return view.done - mine["due"]
