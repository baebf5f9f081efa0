"""StabilityPool: dollars that stand ready to take loans over, so that nothing is sold at that moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, scalar
from panicsim.market import View
from panicsim.participants import LendingPool
from panicsim.rules.base import Rule, chosen, listing


@dataclass(frozen=True)
class StabilityPool(Rule):
    """Dollars that stand ready: they repay loans at the price of the mark and keep the coins.

    Parameters
    ----------
    usd : float
        USD paid in beforehand.
    who : list of str, optional
        Names of pools of loans; None: every `LendingPool`.
    name : str, optional

    Notes
    -----
    Nothing is sold, so nothing moves the price; the bonus is theirs, and so is the next fall (chapter 17,
    "The thermostat and the stone", on what Liquity had).
    """

    usd: float = 0.0
    who: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "usd", scalar("usd", "USD", self.usd, at_least=0))
        object.__setattr__(self, "who", listing(self.who))

    def start(self, view: View) -> Any:
        """Return the state of one run: dollars left, coins taken, and what is meant for this step."""
        who = chosen(self.who, view.crowd, LendingPool)
        return {
            "who": who,
            "usd": np.full(view.paths, self.usd),
            "coins": np.zeros(view.paths),
            "meant": {},
        }

    def limit(self, wants: dict[str, Array], view: View, mine: Any) -> dict[str, Array]:
        """Return the orders without what the pool takes over."""
        orders, left, mine["meant"] = dict(wants), mine["usd"], {}
        for name in mine["who"]:
            if name in wants:
                dollars = view.market.price_at(view.seen[name]) / (1.0 + view.crowd[name].bonus)
                coins = np.minimum(np.maximum(-wants[name], 0.0), left / dollars)
                left = left - coins * dollars
                orders[name] = wants[name] + coins
                mine["meant"][name] = coins, dollars
        return orders

    def settle(self, view: View, mine: Any) -> None:
        """Pay, unless the market is closed."""
        for name, (coins, dollars) in mine["meant"].items():
            coins = coins * (np.asarray(view.share) > 0)
            view.close(name, coins)
            mine["usd"] = np.maximum(mine["usd"] - coins * dollars, 0.0)
            mine["coins"] = mine["coins"] + coins

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return USD left and coins taken over."""
        return {"usd": mine["usd"], "coins": mine["coins"]}
