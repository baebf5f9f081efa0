"""Liquidators: who closes unhealthy loans, and when it does not pay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, scalar, whole
from panicsim.games import second_bid
from panicsim.market import View
from panicsim.participants import LendingPool
from panicsim.rules.base import Late, Rule, chosen, listing, within
from panicsim.volatility import HOURS_PER_YEAR, Realised


@dataclass(frozen=True)
class Liquidators(Rule):
    """Keepers who liquidate loans for a living: only if it pays, only as fast as they can, and late.

    Parameters
    ----------
    gas : float
        USD that one liquidation costs while the market is calm.
    bonus : float, optional
        Reward that they count on, as a share of the repayment; None: the pool's own.
    capacity : float, optional
        USD of collateral that they can sell in an hour, all together; None: any amount.
    latency : float
        Hours from the moment when a loan is due to its sale.
    caution : float
        Standard deviations of the price over the latency that the reward must cover beside the gas.
    congestion : float
        Gas costs (P0/P)^congestion times as much in a fall.
    bidders : int, optional
        The collateral is auctioned among so many, with values spread evenly up to its full worth; None: it is
        sold at the pool's fixed bonus.
    window : float
        Hours over which they measure volatility.
    who : list of str, optional
        Names of pools; None: every `LendingPool`.
    name : str, optional

    Notes
    -----
    A repayment of q pays if (b - caution sigma sqrt(latency)) q >= gas: loans that repay less at a time are
    left. Sizes are taken to be the same at every health, so a share of what is due in a pool is left, by
    value: give loans of very different size pools of their own, or the small are repaid in part. In an
    auction the pool is paid the second highest bid, at most what it needs (`games.auction_share`); the
    shortfall is its loss (chapter 12, "Who is paid to catch the knife?"; Vickrey 1961).
    """

    gas: float = 0.0
    bonus: float | None = None
    capacity: float | None = None
    latency: float = 0.0
    caution: float = 0.0
    congestion: float = 0.0
    bidders: int | None = None
    window: float = 1.0
    who: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "gas", scalar("gas", "USD", self.gas, at_least=0))
        if self.bonus is not None:
            put(self, "bonus", scalar("bonus", "share of repayment", self.bonus, at_least=0))
        if self.capacity is not None:
            put(self, "capacity", scalar("capacity", "USD per hour", self.capacity, at_least=0))
        put(self, "latency", scalar("latency", "hours", self.latency, at_least=0))
        put(self, "caution", scalar("caution", "standard deviations", self.caution, at_least=0))
        put(self, "congestion", scalar("congestion", "exponent", self.congestion, at_least=0))
        if self.bidders is not None:
            put(self, "bidders", whole("bidders", "count", self.bidders, 0))
        put(self, "window", scalar("window", "hours", self.window, at_least=1e-6, at_most=1e6))
        put(self, "who", listing(self.who))

    def start(self, view: View) -> Any:
        """Return the state of one run: what is due, late and received, and the pools' repayments by size."""
        who = chosen(self.who, view.crowd, LendingPool)
        nothing = np.zeros(view.paths)
        return {
            "late": {name: Late(view, self.latency) for name in who},
            "sizes": {name: _by_size(view.crowd[name]) for name in who},
            "volatility": Realised(view, self.window, view.market.volatility),
            "price": dict.fromkeys(who, view.market.price + nothing),
            "sold": dict.fromkeys(who, nothing),
            "due": dict.fromkeys(who, nothing),  # coins that have fallen due so far
            "goal": dict.fromkeys(who, nothing),  # coins of them that are worth their while
            "gas": self.gas + nothing,
            "smallest": nothing,
            "received": nothing,
            "shortfall": nothing,
        }

    def smallest(self, bonus: float, variance: Any, gas: Any, gap: Any = 0.0) -> Any:
        """Smallest repayment that pays, USD: infinite if the reward does not cover the risk (any shape).

        The gap is how far the market stands below the price by which they are rewarded, in log.
        """
        bonus = bonus if self.bonus is None else self.bonus
        reward = bonus + (1.0 + bonus) * np.expm1(-np.asarray(gap))
        left = reward - self.caution * np.sqrt(variance * self.latency / HOURS_PER_YEAR)
        pays = (left > 0) | ((left == 0) & (np.asarray(gas) == 0))
        return np.where(pays, gas / np.where(left > 0, left, 1.0), np.inf)

    def limit(self, wants: dict[str, Array], view: View, mine: Any) -> dict[str, Array]:
        """Return the orders without what does not pay, is not there yet, or is too much."""
        variance = mine["volatility"].look(view)
        # Where the price has no floor, gas still has a number.
        mine["gas"] = self.gas * np.exp(np.minimum(self.congestion * view.fall, 100.0))
        orders, sold, mine["smallest"] = dict(wants), view.sold, np.full(view.paths, np.inf)
        for name, late in mine["late"].items():
            done, due = sold[name] + view.closed[name], np.maximum(-view.wanted[name], 0.0)
            gap = view.fall - view.seen[name] if self.bidders is None else 0.0
            small = self.smallest(view.crowd[name].bonus, variance, mine["gas"], gap)
            mine["smallest"] = np.minimum(mine["smallest"], small)
            sizes, from_here = mine["sizes"][name]
            share = from_here[np.searchsorted(sizes, small)]
            total = late.turn(done + due)
            room = np.minimum(self._goal(name, share, total, mine), total) - done
            mine["price"][name] = view.market.price_at(view.seen[name])
            if name in wants:
                room = np.maximum(room, 0.0) if self.bidders != 0 else 0.0
                orders[name] = np.maximum(wants[name], -room)
        if self.capacity is None:
            return orders
        return within(orders, mine["late"], self.capacity * view.dt / view.market.price_at(view.fall))

    @staticmethod
    def _goal(name: str, share: Array, total: Array, mine: Any) -> Array:
        """Coins to be sold in all: the paying share of what falls due, as of its time or of a later one."""
        fresh = np.maximum(total - mine["due"][name], 0.0)
        mine["due"][name] = np.maximum(total, mine["due"][name])
        mine["goal"][name] = np.maximum(mine["goal"][name] + share * fresh, share * total)
        return np.asarray(mine["goal"][name])

    def settle(self, view: View, mine: Any) -> None:
        """Book what the pools were paid for the collateral that was sold in the step."""
        sold = view.sold
        for name, before in mine["sold"].items():
            coins = sold[name] - before
            if not coins.any():
                continue
            owed, worth = coins * mine["price"][name] / (1.0 + view.crowd[name].bonus), coins * view.fill
            received = owed if self.bidders is None else worth * self._bid(owed, worth)
            mine["received"] = mine["received"] + received
            mine["shortfall"] = mine["shortfall"] + owed - received
            mine["sold"][name] = sold[name].copy()

    def _bid(self, owed: Array, worth: Array) -> Array:
        """What an auction brings towards a debt, as a share of the worth of the coins, (paths,)."""
        most = np.divide(owed, worth, out=np.ones(owed.shape), where=worth > owed)
        return np.asarray(second_bid(max(self.bidders or 1, 1), most))

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return gas, the least repayment that pays in any pool (1e18: none), USD received and missing."""
        return {
            "gas": mine["gas"],
            "smallest": np.minimum(mine["smallest"], 1e18),
            "received": mine["received"],
            "shortfall": mine["shortfall"],
        }


def _by_size(pool: LendingPool) -> tuple[Array, Array]:
    """Repayments of a pool's loans, the smallest first, and the share of value that lies at or above each."""
    sizes = np.sort(np.ravel(pool.close_factor * pool.debt))
    below = np.cumsum(np.append(0.0, sizes))
    return sizes, 1.0 - below / below[-1] if below[-1] else np.zeros(len(below))
