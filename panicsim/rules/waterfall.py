"""Waterfall: who pays, in which order, when a liquidation does not bring its debt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, array, frozen, scalar
from panicsim.market import View
from panicsim.participants import Longs
from panicsim.rules.base import Rule, chosen, listing

POLICIES = ("queue", "pro_rata", "capped")


@dataclass(frozen=True, eq=False)
class Waterfall(Rule):
    """The owner's margin, then an insurance fund, then the winners, then everybody.

    Parameters
    ----------
    fund : float
        USD in the insurance fund.
    adl : float
        Auto-deleveraging: share of the liquidations that is closed off the market against winners, at the
        price at which the debt is just repaid, while the fund is empty.
    policy : {"pro_rata", "queue", "capped"}
        Whose positions are taken: the same share of all, whole ones in turn, or in turn but at most the share
        `cap` of each.
    winners : array, optional
        Coins of the positions on the other side, in the order of the queue; None: as many as needed.
    cap : float
        Share of a position that the policy "capped" takes at most.
    who : list of str, optional
        Names of `Longs`; None: all.
    name : str, optional

    Notes
    -----
    It stands after other rules that close positions, and with adl = 1 also after those that limit: nothing is
    then left on the market that a later rule could hold back. Each `Waterfall` of a list books as socialised
    what it does not pay itself. What liquidated longs owe beyond their proceeds, the bad debt of `metrics`,
    is paid from the fund, and the rest is socialised. What is closed off the market moves no price, so that a
    gain g becomes g (1 - adl); it costs the winners the haircut, the difference of what they would have been
    paid by the market at its price (chapter 14, "The waterfall"; Chitra 2025).
    """

    fund: float = 0.0
    adl: float = 0.0
    policy: str = "pro_rata"
    winners: Any = None
    cap: float = 1.0
    who: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "fund", scalar("fund", "USD", self.fund, at_least=0))
        put(self, "adl", scalar("adl", "share of liquidations", self.adl, at_least=0, at_most=1))
        put(self, "cap", scalar("cap", "share of a position", self.cap, at_least=0, at_most=1))
        if self.policy not in POLICIES:
            raise ValueError(f"policy (name) must be one of {POLICIES}, got {self.policy!r}")
        if self.winners is not None:
            put(self, "winners", frozen(np.ravel(array("winners", "coins", self.winners, at_least=0))))
        put(self, "who", listing(self.who))

    def start(self, view: View) -> Any:
        """Return the state of one run: the fund, and who has paid so far."""
        who = chosen(self.who, view.crowd, Longs)
        nothing = np.zeros(view.paths)
        return {
            "done": dict.fromkeys(who, nothing),
            "sold": dict.fromkeys(who, nothing),
            "owed": dict.fromkeys(who, nothing),  # USD borrowed against what is done
            "meant": {},  # coins that may be closed in this step, as far as the others are sold
            "price": view.market.price + nothing,
            "fund": self.fund + nothing,
            "adl": nothing,
            "haircut": nothing,
            "socialised": nothing,
        }

    def limit(self, wants: dict[str, Array], view: View, mine: Any) -> dict[str, Array]:
        """Return the orders without the share that winners will take over."""
        mine["meant"], mine["price"] = {}, np.asarray(view.market.price_at(view.fall))
        share = self.adl * (mine["fund"] <= 0.0)
        if not share.any():
            return wants
        asked = {n: share * np.maximum(-wants[n], 0.0) for n in mine["done"] if n in wants}
        coins: Any = sum(asked.values(), np.zeros(view.paths))
        room = np.maximum(self._room() - mine["adl"], 0.0)
        part = np.minimum(room / np.where(coins > 0, coins, 1.0), 1.0)
        mine["meant"] = {name: meant * part for name, meant in asked.items()}
        return wants | {name: wants[name] + meant for name, meant in mine["meant"].items()}

    def _room(self) -> float:
        """Coins that winners can take over in all."""
        if self.winners is None:
            return float("inf")
        return float(self.winners.sum()) * (self.cap if self.policy == "capped" else 1.0)

    def settle(self, view: View, mine: Any) -> None:
        """Close what winners take over, and pay for what the others' sale did not bring."""
        short, sold = np.zeros(view.paths), view.sold
        for name, before in mine["sold"].items():
            fresh = sold[name] - before
            taken = self._taken_over(name, fresh, view, mine)
            view.close(name, taken)
            done = sold[name] + view.closed[name]
            coins = done - mine["done"][name]
            if not coins.any():
                continue
            owed = view.crowd[name].debt_of(done)
            per_coin = np.divide(owed - mine["owed"][name], coins, out=np.zeros(view.paths), where=coins > 0)
            short = short + np.maximum(per_coin * fresh - fresh * view.fill, 0.0)
            mine["adl"] = mine["adl"] + taken
            mine["haircut"] = mine["haircut"] + np.maximum(per_coin - mine["price"], 0.0) * taken
            mine["done"][name], mine["sold"][name], mine["owed"][name] = done, sold[name].copy(), owed
        paid = np.minimum(short, mine["fund"])
        mine["fund"] = mine["fund"] - paid
        mine["socialised"] = mine["socialised"] + short - paid

    def _taken_over(self, name: str, fresh: Array, view: View, mine: Any) -> Any:
        """Coins that winners take over beside those that were sold: in the market's place, not in a halt."""
        meant = mine["meant"].get(name, 0.0)
        if self.adl == 1.0:
            return meant * (np.asarray(view.share) > 0)
        return np.minimum(meant, self.adl / (1.0 - self.adl) * fresh)

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return USD in the fund, paid from it and socialised, and what winners gave: coins and USD."""
        return {
            "fund": mine["fund"],
            "paid": self.fund - mine["fund"],
            "adl": mine["adl"],
            "taken": self._taken(mine["adl"]),
            "haircut": mine["haircut"],
            "socialised": mine["socialised"],
        }

    def _taken(self, coins: Array) -> Array:
        """Coins that the winners have lost: more than was needed if only whole positions are closed."""
        if self.winners is None or self.policy != "queue":
            return coins
        ends = np.cumsum(np.append(0.0, self.winners))
        return np.asarray(ends[np.minimum(np.searchsorted(ends, coins * (1 - 1e-12)), len(ends) - 1)])


def deleveraged(needed: float, positions: Any, policy: str = "queue", cap: float = 1.0) -> Array:
    """How much of each position is closed to cover a need.

    Parameters
    ----------
    needed : float
        What is to be covered, in any unit.
    positions : array
        What each position can give, in the same unit and in the order of the queue.
    policy : {"queue", "pro_rata", "capped"}
        Whole positions in turn; the same share of all; in turn, but at most the share `cap` of each.
    cap : float

    Returns
    -------
    array
        In the shape of `positions`. Needed = sum - overshoot + what stays uncovered; only whole positions
        overshoot.

    Notes
    -----
    Chapter 14, "The waterfall"; Chitra (2025) studies the waves of 10 October 2025.
    """
    needed = scalar("needed", "unit of the positions", needed, at_least=0)
    positions = array("positions", "unit of the need", positions, at_least=0)
    cap = scalar("cap", "share of a position", cap, at_least=0, at_most=1)
    if positions.ndim != 1:
        raise ValueError(f"positions (unit of the need) must be a row, got shape {positions.shape}")
    if policy == "pro_rata":
        total = positions.sum()
        return positions * (min(needed, total) / total) if total else np.zeros(positions.shape)
    if policy not in POLICIES:
        raise ValueError(f"policy (name) must be one of {POLICIES}, got {policy!r}")
    most = cap * positions if policy == "capped" else positions
    before = np.cumsum(np.append(0.0, most))[:-1]
    if policy == "capped":
        return np.minimum(most, np.maximum(needed - before, 0.0))
    # Rounding of a sum must not cost one more position.
    return np.where(needed * (1 - 1e-12) > before, most, 0.0)
