"""Fees: what makers are paid, and the liquidity that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, array, scalar
from panicsim.market import View
from panicsim.rules.base import Rule
from panicsim.volatility import HOURS_PER_YEAR, Realised


@dataclass(frozen=True)
class Fees(Rule):
    """Liquidity that stays only as far as it is paid: depth follows fee income over what volatility costs.

    Parameters
    ----------
    fee : float
        Share of a trade that goes to the makers.
    turnover : float
        Trade in a day, as a share of their pool, at that fee.
    calm : float
        Volatility per year up to which a linked fee stays at `fee`.
    linked : bool
        True: the fee grows with the realised variance, fee (sigma/calm)^2. False: it is fixed.
    elasticity : float
        Turnover falls as (fee charged / fee)^(-elasticity).
    window : float
        Hours over which volatility is measured.
    floor : float
        Share of depth that stays unpaid.
    name : str, optional

    Notes
    -----
    A maker of a constant-product pool loses sigma^2/8 of it a day to those who know the price (Milionis,
    Moallemi, Roughgarden & Zhang 2022) and earns fee times turnover; the share of depth that is there is the
    quotient of the two, at most 1 (chapter 12, "Who is paid to catch the knife?").
    """

    fee: float = 0.003
    turnover: float = 0.1
    calm: float = 0.8
    linked: bool = False
    elasticity: float = 0.0
    window: float = 1.0
    floor: float = 0.01
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "fee", scalar("fee", "share of a trade", self.fee, above=0, below=1))
        put(self, "turnover", scalar("turnover", "share of the pool per day", self.turnover, at_least=0))
        put(self, "calm", scalar("calm", "per year", self.calm, at_least=1e-6, at_most=1e6))
        if not isinstance(self.linked, (bool, np.bool_)):
            raise ValueError(f"linked (True or False) must be a bool, got {self.linked!r}")
        put(self, "elasticity", scalar("elasticity", "exponent", self.elasticity, at_least=0))
        put(self, "window", scalar("window", "hours", self.window, at_least=1e-6, at_most=1e6))
        put(self, "floor", scalar("floor", "share of depth", self.floor, above=0, at_most=1))

    def charged(self, volatility: Any) -> Any:
        """Fee at a volatility per year, at most the whole trade (any shape)."""
        volatility = array("volatility", "per year", volatility, at_least=0)
        times = np.maximum(volatility / self.calm, 1.0) ** 2 if self.linked else np.ones(volatility.shape)
        return np.minimum(self.fee * times, 1.0)

    def income(self, volatility: Any) -> Any:
        """What makers earn in a day at a volatility per year, as a share of the pool (any shape)."""
        fee = self.charged(volatility)
        return fee * self.turnover * (fee / self.fee) ** -self.elasticity

    @staticmethod
    def cost(volatility: Any) -> Any:
        """What makers lose in a day at a volatility per year, sigma^2/8, a share of the pool (any shape)."""
        return array("volatility", "per year", volatility, at_least=0) ** 2 / 8.0 * 24.0 / HOURS_PER_YEAR

    def share(self, volatility: Any) -> Any:
        """Share of depth that is there at a volatility per year (any shape)."""
        income, cost = self.income(volatility), self.cost(volatility)
        return np.clip(income / np.where(cost > 0, cost, 1e-300), self.floor, 1.0)

    def start(self, view: View) -> Any:
        """Return the state of one run: the volatility that is measured, and what it leaves."""
        begin = view.market.volatility
        seen = np.full(view.paths, begin)
        return {
            "volatility": Realised(view, self.window, begin),
            "fee": self.charged(seen),
            "share": self.share(seen),
        }

    def book(self, view: View, mine: Any) -> Array:
        """Share of depth that is there, (paths,)."""
        volatility = np.sqrt(mine["volatility"].look(view))
        mine["fee"], mine["share"] = self.charged(volatility), self.share(volatility)
        return np.asarray(mine["share"])

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the fee and the share of depth of the step."""
        return {"fee": mine["fee"], "share": mine["share"]}
