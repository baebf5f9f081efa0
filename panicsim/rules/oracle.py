"""Oracle: whose price the machines believe, and how late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, scalar, whole
from panicsim.market import Market, View
from panicsim.participants import LendingPool, Longs
from panicsim.rules.base import Late, Rule, chosen, listing


@dataclass(frozen=True)
class Oracle(Rule):
    """The price that machines are shown: the median of some venues, averaged, late, or pushed.

    Parameters
    ----------
    venues : int
        How many quotes there are. The first is this market's own book; the others stand at value, for
        nobody is forced to sell there.
    window : float
        Hours over which the log price is averaged; 0 for the price of the moment.
    lag : float
        Hours by which it comes late.
    heartbeat : float or None
        It is published at every multiple of so many hours, whatever was published in between; 0: at every
        step; None: never by the clock.
    deviation : float
        Between the beats it is also published as soon as it is off by this much, in log; 0: never for that
        reason. Without effect if the heartbeat is 0.
    push : float
        Log fall falsely added to some quotes; negative if they show too high a price.
    pushed : int
        How many quotes, the first ones.
    at, over : float
        Hour at which the push begins, with its step, and hours that it lasts, one step at least; `over=None`
        to the end.
    who : list of str, optional
        Names of those who are shown it; None: every `Longs` and `LendingPool`.
    name : str, optional

    Notes
    -----
    Before the start every price was P0. It replaces what earlier rules have shown, so it stands before a
    `VolatilityMargin` in the list. A push of m that lasts d hours moves an average over w hours by m min(d/w,
    1) (chapter 13, "Whose price?"; Mackinga, Nadahalli & Wattenhofer 2022).
    """

    venues: int = 1
    window: float = 0.0
    lag: float = 0.0
    heartbeat: float | None = 0.0
    deviation: float = 0.0
    push: float = 0.0
    pushed: int = 1
    at: float = 0.0
    over: float | None = None
    who: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "venues", whole("venues", "quotes", self.venues, 1))
        put(self, "pushed", whole("pushed", "quotes", self.pushed, 0))
        if self.pushed > self.venues:
            raise ValueError(f"pushed (quotes) must be at most venues = {self.venues}, got {self.pushed!r}")
        for name in ("window", "lag", "heartbeat", "at", "over"):
            if getattr(self, name) is not None or name not in ("heartbeat", "over"):
                put(self, name, scalar(name, "hours", getattr(self, name), at_least=0))
        put(self, "deviation", scalar("deviation", "log", self.deviation, at_least=0))
        put(self, "push", scalar("push", "log", self.push))
        put(self, "who", listing(self.who))

    def start(self, view: View) -> Any:
        """Return the state of one run: what was quoted, averaged and published so far."""
        return {
            "who": chosen(self.who, view.crowd, (Longs, LendingPool) if self.who is None else object),
            "before": Late(view, self.window),
            "sum": np.zeros(view.paths),
            "late": Late(view, self.lag),
            "mark": np.zeros(view.paths),
            "next": 0.0,
        }

    def see(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the mark, by name of those who believe it."""
        fresh = mine["late"].turn(self._averaged(self._median(view), view, mine))
        if self.heartbeat is not None and view.time >= mine["next"] - 1e-9:
            mine["mark"], mine["next"] = fresh, self._tick_after(view.time, self.heartbeat)
        elif self.deviation:
            mine["mark"] = np.where(np.abs(fresh - mine["mark"]) >= self.deviation, fresh, mine["mark"])
        return dict.fromkeys(mine["who"], mine["mark"])

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the log fall that was shown in the step."""
        return {"mark": mine["mark"]}

    @staticmethod
    def _tick_after(time: float, beat: float) -> float:
        """Hour of the next beat of the clock; every step, if it beats faster."""
        return float((np.floor(time / beat + 1e-9) + 1.0) * beat) if beat else time

    def _median(self, view: View) -> Array:
        """Log fall of the middle quote; a push begins with its step and lasts for one at least."""
        begin = np.floor(self.at / view.dt + 1e-9) * view.dt
        end = np.inf if self.over is None else max(self.at + self.over, begin + view.dt)
        pushing = begin - 1e-9 <= view.time < end - 1e-9
        push = self.push * (np.arange(self.venues) < self.pushed) * pushing
        quotes = np.stack([view.fall, *[view.value] * (self.venues - 1)]) + push[:, None]
        middle = np.sort(quotes, axis=0)[(self.venues - 1) // 2 : self.venues // 2 + 1]
        return (middle[0] + middle[-1]) / 2

    def _averaged(self, quote: Array, view: View, mine: Any) -> Array:
        """Average of the log price over the window that ends now."""
        before = mine["before"]
        if before.steps < 2:
            return quote
        mine["sum"] = mine["sum"] + quote - before.turn(quote)
        return np.asarray(mine["sum"] / before.steps)


def attack_cost(market: Market, push: float) -> float:
    """USD that an attacker loses who moves the price and sees it restored by others.

    Parameters
    ----------
    market : Market
    push : float
        Log change of the price that he makes, upwards if positive.

    Notes
    -----
    He trades Lambda m coins at prices from P0 to P0 exp(m), and they are worth P0 again: with constant depth
    he loses Lambda P0 (exp(m) - 1 - m), about half Lambda P0 m^2. If nobody reacts he can trade back along
    the same path, and loses nothing (chapter 13, "Whose price?").
    """
    push = scalar("push", "log", push, at_least=-100, at_most=100)
    coins = float(market.absorbed(-push))
    return float(-market.proceeds(0.0, -push) + coins * market.price)


def safe_interest(market: Market, push: float) -> float:
    """Open interest, USD at P0, below which this push does not pay: its gain is that times abs(exp(m) - 1).

    Another push may pay all the same: the bound shrinks with the push.

    Parameters
    ----------
    market : Market
    push : float
        Log change of the price, upwards if positive; not 0.
    """
    push = scalar("push", "log", push, at_least=-100, at_most=100)
    if push == 0.0:
        raise ValueError(f"push (log) must not be 0, got {push!r}")
    return attack_cost(market, push) / abs(float(np.expm1(push)))
