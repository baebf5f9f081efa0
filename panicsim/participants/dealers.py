"""Dealers: they have sold or bought options and trade coins so that small moves do not matter to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim import options
from panicsim._check import Array, array, broadcast, frozen, scalar
from panicsim.market import HOURS_PER_YEAR, Market, View
from panicsim.participants.base import Participant


@dataclass(frozen=True, eq=False)
class Dealers(Participant):
    """A hedged book of options. Short of options it sells falls, long of options it buys them.

    Parameters
    ----------
    strike : float or array
        USD per coin. The three arrays broadcast against each other.
    quantity : float or array
        Options, each on one coin: negative where dealers have sold them. Calls and puts are hedged alike.
    expiry : float or array
        Hours from the start of a run. What has expired is delivered out of the hedge, without a trade.
    volatility : float
        Per year; the one by which they hedge.
    interval : float
        Hours from one hedge to the next; 0 means at every step.
    band : float
        Coins by which the hedge may be off before they trade.
    lag : float
        Reaction time in hours, once a hedge is due.
    name : str, optional

    Notes
    -----
    They hold minus the sum of n Delta coins. Since they start hedged, a log fall of x makes them sell
    F(x) = -sum n (Delta(P0) - Delta(P0 exp(-x))), and the gain is -Gamma P0 / Lambda with Gamma the sum of
    n gamma (chapter 8, "The hedgers"; Frey & Stremme 1997). They trade both ways. The photograph sees the
    curve of hour 0; in the film deltas move with the clock too. They are never resting bids: long of so much
    gamma that the gain is near -1 or below, they correct too much at each tick and the price swings.
    Every option is a pass over the prices: add up those with the same strike and expiry beforehand.
    """

    strike: Any
    quantity: Any
    expiry: Any
    volatility: float = 0.8
    interval: float = 1.0
    band: float = 0.0
    lag: float = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        self._check_common()
        put = object.__setattr__
        put(self, "volatility", scalar("volatility", "per year", self.volatility, above=0))
        put(self, "interval", scalar("interval", "hours", self.interval, at_least=0))
        put(self, "band", scalar("band", "coins", self.band, at_least=0))
        terms = {
            "strike": array("strike", "USD per coin", self.strike, above=0),
            "quantity": array("quantity", "options", self.quantity),
            "expiry": array("expiry", "hours", self.expiry, above=0),
        }
        for name, values in zip(terms, broadcast(**terms), strict=True):
            put(self, name, frozen(values))

    def hedge(self, price: Any, time: float = 0.0) -> Any:
        """Coins held against the options alive at an hour (any shape of price in, same shape out)."""
        price, time = self._seen(price, time)
        held = -self._sum(options.delta_at, price, time, self._live(time))
        return held if held.ndim else float(held)

    def gamma(self, price: Any, time: float = 0.0) -> Any:
        """Coins by which their options' delta grows per dollar; negative if they are short of options."""
        price, time = self._seen(price, time)
        slope = self._sum(options.gamma_at, price, time, self._live(time))
        return slope if slope.ndim else float(slope)

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold if the fall came at hour 0 (log; any shape in, same shape out)."""
        price = market.price_at(np.clip(array("fall", "log", fall), -600.0, 600.0))
        return self.hedge(market.price) - self.hedge(price)

    def start(self, view: View) -> Any:
        """Return the state of one run: the hedge at the start, what is to be sold by now, and the clock."""
        return {
            "start": self.hedge(view.market.price),
            "target": np.zeros(view.paths),
            "delivered": np.zeros(view.paths),
            "until": 0.0,  # options that expired up to this hour are in `delivered`
            "next": 0.0,
        }

    def react(self, view: View, mine: Any) -> Array:
        """Return the wanted flow in coins: at a tick of the clock for a new target."""
        if view.time >= mine["next"] - 1e-9:
            price = view.market.price_at(view.fall)
            over = self._live(mine["until"]) & ~self._live(view.time)
            mine["delivered"] = mine["delivered"] - self._sum(options.delta_at, price, np.inf, over)
            target = mine["start"] - self.hedge(price, view.time) - mine["delivered"]
            off = np.abs(target - view.done) > self.band
            mine["target"] = np.where(off, target, mine["target"])
            mine["until"], mine["next"] = view.time, self._tick_after(view.time)
        return view.done - mine["target"]

    @staticmethod
    def _seen(price: Any, time: float) -> tuple[Array, float]:
        """Check what is looked at: prices and an hour."""
        return array("price", "USD per coin", price, above=0), scalar("time", "hours", time, at_least=0)

    def _tick_after(self, time: float) -> float:
        """Hour of the next hedge: the next multiple of the interval, or the next expiry."""
        if self.interval == 0.0:
            return time
        tick = (np.floor(time / self.interval + 1e-9) + 1.0) * self.interval
        return float(np.min(self.expiry, initial=tick, where=self.expiry > time + 1e-9))

    def _live(self, time: float) -> Any:
        """Tell which options have not expired at an hour."""
        return np.ravel(self.expiry) > time + 1e-9

    def _sum(self, greek: Any, price: Any, time: float, which: Any) -> Any:
        """Sum a greek over some of the options at a price (any shape) and an hour."""
        left = np.maximum(np.ravel(self.expiry)[which] - time, 0.0)
        spread = self.volatility * np.sqrt(left / HOURS_PER_YEAR)
        total = np.zeros(np.shape(price))
        # One by one: a table of options by falls would be large, and a path must not notice those beside it.
        for strike, quantity, wide in zip(
            np.ravel(self.strike)[which], np.ravel(self.quantity)[which], spread, strict=True
        ):
            total = total + quantity * greek(price, strike, wide)
        return np.asarray(total)
