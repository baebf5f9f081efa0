"""Redeemers: holders of dollars that an issuer pays in new coins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, scalar
from panicsim.market import Market, View
from panicsim.participants.base import Participant


@dataclass(frozen=True)
class Redeemers(Participant):
    """Holders who redeem a debt fixed in dollars: for each dollar they get 1/P new coins, and sell them.

    Parameters
    ----------
    debt : float
        USD that are redeemed.
    over : float
        Hours that it takes, in equal parts.
    at : float
        Hour at which it begins.
    lag : float
        Reaction time in hours.
    name : str, optional

    Notes
    -----
    The lower the price, the more coins a dollar is: that closes the loop although nobody reacts to the fall.
    Coins are minted at the price that is seen and sold at the fill. What a rule defers stays a claim in
    dollars. In the market of a `MarketCap` the film approaches its closed form as the step shrinks
    (chapter 19, "The contrarian").

    It is a clock: the photograph sees what a lower price adds to the sale, (e^x - 1) U/P0 coins, as if all
    of the debt were redeemed at one price. The sale at P0 itself is its shock.
    """

    debt: float
    over: float
    at: float = 0.0
    lag: float = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        self._check_common()
        put = object.__setattr__
        put(self, "debt", scalar("debt", "USD", self.debt, at_least=0))
        put(self, "over", scalar("over", "hours", self.over, above=0))
        put(self, "at", scalar("at", "hours", self.at, at_least=0))

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins beyond those that the debt is at P0, if all is redeemed at one log fall (any shape)."""
        return self.debt / market.price * np.expm1(np.clip(fall, -600.0, 600.0))

    def start(self, view: View) -> Any:
        """Return the state of one run: USD redeemed so far, and the coins and the price that count them."""
        none = np.zeros(view.paths)
        return {"redeemed": none, "done": none, "price": none}

    def react(self, view: View, mine: Any) -> Array:
        """Return the wanted flow in coins: the dollars due by the end of the step, at the price of now."""
        due = self.debt * np.clip((view.time + view.dt - self.at) / self.over, 0.0, 1.0)
        mine["price"] = np.asarray(view.market.price_at(np.minimum(view.fall, 600.0)))
        return np.minimum(mine["redeemed"] - due, 0.0) / mine["price"]

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the USD redeemed so far: what was minted counts at the price for which it was asked."""
        mine["redeemed"] = mine["redeemed"] + (view.done - mine["done"]) * mine["price"]
        mine["done"] = view.done
        return {"redeemed": mine["redeemed"]}
