"""The market: how much selling moves the price, and how value pulls it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from panicsim._check import Array, array, scalar
from panicsim.depth import Depth
from panicsim.volatility import HOURS_PER_YEAR as HOURS_PER_YEAR

# A price of exp(-700) of its start is zero for every purpose: a fall this deep has found no floor.
NO_FLOOR = 700.0
# A price of exp(200) of its start has no roof; dollars that are counted at it still fit into floats.
NO_ROOF = -200.0

# Falls at which a depth that varies with the fall is sampled; outside, the end values continue.
_FALLS = np.arange(-20_000, 60_001) / 1e4
_FALLS.flags.writeable = False  # every market shares it, and a reader's depth(fall) is given it
_START = 20_000  # the row of a fall of 0


@dataclass(frozen=True)
class Market:
    """One market in one asset, in the units of the whole book.

    Parameters
    ----------
    price : float
        Price at the start, P0, in USD per coin.
    depth : float, callable or Depth
        USD of market selling that move the price by 1 %. A callable takes log falls (an array) and
        returns the depth there. A `Depth` falls with volatility or by the clock.
    recovery : float
        Rate at which price returns to value, kappa, per hour.
    permanent : float
        Share of every price impact that becomes value, phi, between 0 and 1.
    volatility : float
        Annualised volatility of value (a year has 8 760 hours); log value then has no drift.

    Raises
    ------
    ValueError
        If a number is not finite or out of its range; the message names it, its unit and its value.

    Notes
    -----
    The log fall is x = ln(P0/P). Selling q coins moves it from x to the y at which V(y) = V(x) + q,
    where V(x) is `absorbed`, the coins that the book takes between P0 and a fall of x. With a constant
    depth V is linear, V(x) = Lambda x with Lambda = depth / (0.01 P0) coins per unit of log price.
    Linear impact on the log price is chunk-invariant: n small sales move the price as one large one.
    """

    price: float = 100.0
    depth: float | Callable[[Array], Any] | Depth = 2e6
    recovery: float = 0.0
    permanent: float = 0.0
    volatility: float = 0.0
    _lambda: float = field(init=False, repr=False, compare=False, default=np.nan)
    _absorbed: Array | None = field(init=False, repr=False, compare=False, default=None)
    _paid: Array | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "price", scalar("price", "USD per coin", self.price, above=0))
        put(self, "recovery", scalar("recovery", "per hour", self.recovery, at_least=0))
        put(self, "permanent", scalar("permanent", "share of impact", self.permanent, at_least=0, at_most=1))
        put(self, "volatility", scalar("volatility", "per year", self.volatility, at_least=0))
        depth = self.depth
        if isinstance(depth, Depth):
            now = scalar("depth at hour 0", "USD per 1 %", depth.usd * depth.scheduled(0.0), above=0)
            if depth.calm is None:
                put(self, "_lambda", now / (0.01 * self.price))
            else:
                self._tabulate(now * depth.at_once(_FALLS))
        elif callable(depth):
            self._tabulate(self._sampled(depth))
        else:
            usd = scalar("depth", "USD per 1 %", depth, above=0)
            put(self, "depth", usd)
            put(self, "_lambda", usd / (0.01 * self.price))

    @staticmethod
    def _sampled(depth_of: Callable[[Array], Any]) -> Array:
        """Ask a function of the fall for its depths, USD per 1 %."""
        try:
            sampled = depth_of(_FALLS)
        except (ArithmeticError, LookupError, TypeError, ValueError) as problem:
            raise ValueError(f"depth(fall) (USD per 1 %) must take an array of falls: {problem}") from problem
        depth = array("depth(fall)", "USD per 1 %", sampled, above=0)
        if depth.ndim and depth.shape != _FALLS.shape:
            raise ValueError(
                f"depth(fall) (USD per 1 %) must return one depth per fall, got shape {depth.shape}"
                f" for falls of shape {_FALLS.shape}"
            )
        return np.broadcast_to(depth, _FALLS.shape)

    def _tabulate(self, depth: Array) -> None:
        """Sum the coins that the book takes, and the dollars that it pays, over the falls."""
        coins = depth / (0.01 * self.price)
        # A book that is as good as empty still has a slope, so that it can be inverted.
        coins = np.maximum(coins, 1e-9 * coins[_START])
        absorbed = (coins[1:] + coins[:-1]) / 2 * np.diff(_FALLS)
        # Within a piece of the table the log price is linear in coins, so its average price is exact.
        prices = self.price * np.exp(-_FALLS)
        paid = absorbed * -np.diff(prices) / np.diff(_FALLS)
        for name, pieces in (("_absorbed", absorbed), ("_paid", paid)):
            # Summed outwards from P0: a book that is very deep above it must not drown what lies below.
            above, below = -np.cumsum(pieces[:_START][::-1])[::-1], np.cumsum(pieces[_START:])
            object.__setattr__(self, name, np.concatenate([above, [0.0], below]))

    def at(self, hour: float) -> Market:
        """Return the market of an hour: with the depth that its schedule leaves then."""
        hour = scalar("hour", "hours", hour, at_least=0)
        if not isinstance(self.depth, Depth):
            return self
        now = self.depth.usd * self.depth.scheduled(hour)
        return replace(
            self, depth=now if self.depth.calm is None else replace(self.depth, usd=now, schedule=None)
        )

    @property
    def whole(self) -> Market:
        """The market with its whole depth, where depth is a state; a film counts in shares of it."""
        return replace(self, depth=self.depth.usd) if isinstance(self.depth, Depth) else self

    def depth_coins(self, fall: Any = 0.0) -> Any:
        """Lambda at a log fall: coins of selling per unit of log price (any shape in, same shape out)."""
        if self._absorbed is None:
            return self._lambda + 0.0 * np.asarray(fall)
        step = 1e-4
        fall = np.asarray(fall)
        return (self.absorbed(fall + step / 2) - self.absorbed(fall - step / 2)) / step

    def absorbed(self, fall: Any) -> Any:
        """V(x): coins that the book takes between P0 and a log fall of x (any shape in, same shape out)."""
        if self._absorbed is None:
            return np.multiply(fall, self._lambda)
        return _interp(fall, _FALLS, self._absorbed)

    def fall_at(self, absorbed: Any) -> Any:
        """Inverse of `absorbed`: the log fall at which the book has taken this many coins."""
        if self._absorbed is None:
            return np.multiply(absorbed, 1.0 / self._lambda)
        return _interp(absorbed, self._absorbed, _FALLS)

    def proceeds(self, before: Any, after: Any) -> Any:
        """USD that sellers receive for moving the market between two log falls (any shapes that broadcast).

        With a constant depth this is Lambda (P_before - P_after): money is conserved to the cent, and the
        average fill of q coins is P Lambda/q (1 - exp(-q/Lambda)).
        """
        if self._paid is not None:
            return self._paid_to(after) - self._paid_to(before)
        rise = np.subtract(before, after)
        # Between close prices the exponential is exact; between far ones it could overflow.
        far = self.price_at(before) - self.price_at(after)
        near = self.price_at(before) * -np.expm1(np.minimum(rise, 1.0))
        return self.depth_coins() * np.where(rise > 1.0, far, near)

    def _paid_to(self, fall: Any) -> Any:
        """USD that the book pays from P0 to a log fall; within a piece, and past the ends, depth stays."""
        assert self._paid is not None and self._absorbed is not None
        row = np.clip((np.asarray(fall) - _FALLS[0]) * 1e4, 0, len(_FALLS) - 2).astype(np.intp)
        coins = (self._absorbed[row + 1] - self._absorbed[row]) / (_FALLS[row + 1] - _FALLS[row])
        return self._paid[row] + coins * (self.price_at(_FALLS[row]) - self.price_at(fall))

    def average_fill(self, before: Array, after: Array, coins: Any, share: Any = 1.0) -> Array:
        """Average price of a trade, USD per coin: what a share of the book paid over the coins it took.

        The trade took the price between two log falls, (paths,); sales have positive coins.
        """
        before, after = (np.clip(fall, NO_ROOF, NO_FLOOR) for fall in (before, after))
        paid = self.proceeds(before, after) * share
        # Over a small move the middle price is exact, where the quotient of two differences is not.
        middle = np.asarray(self.price_at((before + after) / 2))
        return np.divide(paid, coins, out=middle, where=np.abs(after - before) > 1e-6)

    def price_at(self, fall: Any) -> Any:
        """Price in USD at a log fall."""
        return self.price * np.exp(-np.asarray(fall))


def _interp(x: Any, xs: Array, ys: Array) -> Any:
    """Linear interpolation that continues along its end pieces, so that it can be inverted everywhere."""
    x = np.asarray(x, dtype=float)
    inside = np.interp(x, xs, ys)
    left = np.minimum(x - xs[0], 0.0) * ((ys[1] - ys[0]) / (xs[1] - xs[0]))
    right = np.maximum(x - xs[-1], 0.0) * ((ys[-1] - ys[-2]) / (xs[-1] - xs[-2]))
    return inside + left + right


class View:
    """What a participant or a rule may look at while a run is under way.

    Attributes
    ----------
    market : Market
    crowd : mapping of participants by name
    time, dt : float
        Hours since the start, and the length of a step.
    paths : int
    fall : array (paths,)
        Log fall as the one who looks sees it (rules may bend it).
    value : array (paths,)
        Log fall of the value.
    done : array (paths,)
        Coins that the one who looks has sold so far, with those closed without a market sale.
    sold : dict of arrays (paths,)
        Coins sold on the market so far, by name of participant (a new dict each time).
    closed : dict of arrays (paths,)
        Coins closed without a market sale so far, by name of participant.
    seen : dict of arrays (paths,)
        For rules: the log fall that each is shown, as far as rules before this one have bent it.
    wanted : dict of arrays (paths,)
        For rules: the whole flow that each who sends orders wants in this step, signed coins; an order is the
        part of it that his lag lets through. Empty while rules say what is seen.
    waited : array (paths,)
        For rules: hours for which the market has been closed before this step; 0 while it is open.
    share : array (paths,) or float
        For rules, when they settle: the share of depth that was there in the step; 0 in a closed market.
    fill : array (paths,)
        For rules, when they settle: the average price of the orders of the step, USD per coin.
    """

    __slots__ = (
        "_leg",
        "_records",
        "_row",
        "closed",
        "crowd",
        "done",
        "dt",
        "fall",
        "market",
        "paths",
        "seen",
        "share",
        "time",
        "value",
        "waited",
        "wanted",
    )

    market: Market
    crowd: Mapping[str, Any]
    time: float
    dt: float
    paths: int
    fall: Array
    value: Array
    done: Array
    closed: dict[str, Array]
    seen: dict[str, Array]
    wanted: dict[str, Array]
    waited: Array
    share: Any
    _leg: tuple[Array, Array, Any]
    _records: dict[str, Array]
    _row: int

    @property
    def sold(self) -> dict[str, Array]:
        """Coins sold on the market so far; put together when asked for, because few ask."""
        return {name: rows[self._row] for name, rows in self._records.items()}

    @property
    def fill(self) -> Array:
        """Average price of the orders of the step; computed when asked for."""
        return self.market.average_fill(*self._leg, self.share)

    def close(self, name: str, coins: Any) -> None:
        """Close coins of a participant without a market sale: what it wants to sell falls by as much."""
        if name not in self.closed:
            raise ValueError(
                f"name (participant) must be one who sends orders, {sorted(self.closed)}, got {name!r}"
            )
        self.closed[name] = self.closed[name] + array("coins", "coins", coins, at_least=0)
