"""Longs: leveraged positions that a machine closes at a fixed price."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from panicsim._check import Array, array, broadcast, frozen, scalar, whole
from panicsim._csv import columns
from panicsim.market import Market, View
from panicsim.participants.base import Participant
from panicsim.participants.level_map import LevelMap


def liquidation_price(entry: Any, leverage: Any, maintenance: Any = 0.005) -> Any:
    """Price at which an isolated long is closed by machine: E (1 - 1/l) / (1 - m).

    Parameters
    ----------
    entry : float or array
        Price paid, E, in USD per coin.
    leverage : float or array
        Position value divided by the owner's money at entry, l, at least 1.
    maintenance : float or array
        Share of the position's value below which the owner's money must not fall, m, under 1/l.

    Returns
    -------
    float or array
        USD per coin, in the broadcast shape of the arguments.

    Notes
    -----
    At this price the equity P - E (1 - 1/l) equals m P (chapter 6, "The staircase"); fees are ignored.
    """
    entry, leverage, maintenance = _terms(entry, leverage, maintenance)
    price = entry * (1.0 - 1.0 / leverage) / (1.0 - maintenance)
    return float(price) if price.ndim == 0 else price


@dataclass(frozen=True, eq=False)
class Longs(Participant):
    """Leveraged longs. Each is closed whole once the price touches its liquidation price.

    Parameters
    ----------
    entry : float or array
        Price paid, USD per coin. The four arrays broadcast against each other.
    size : float or array
        Coins.
    leverage : float or array
        At least 1. A long with leverage 1 has no debt and is never closed.
    maintenance : float or array
        Maintenance margin as a share of the position's value, under 1/leverage.
    lag : float
        Reaction time of the engine in hours; a minute by default.
    name : str, optional

    Notes
    -----
    F(x) is the sum of the sizes whose liquidation level has been reached. The levels are put once into a
    cumulative liquidation map with a row for every 0.1 bp of log price, so that a step costs one look-up
    a path, however many positions there are. Level and fall both round to the nearest row. The same map
    is the liquidation heat map that traders look at (chapter 6, "The staircase").
    """

    entry: Any
    size: Any
    leverage: Any
    maintenance: Any = 0.005
    lag: float = 1 / 60
    name: str | None = None
    one_way: bool = field(default=True, init=False, repr=False)
    _map: LevelMap = field(init=False, repr=False)
    _queue: tuple[Array, Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check_common()
        entry, leverage, maintenance = _terms(self.entry, self.leverage, self.maintenance)
        size = array("size", "coins", self.size, at_least=0)
        terms = {"entry": entry, "size": size, "leverage": leverage, "maintenance": maintenance}
        for name, values in zip(terms, broadcast(**terms), strict=True):
            object.__setattr__(self, name, frozen(values))
        self._draw_map()

    def _draw_map(self) -> None:
        """Put the positions into the map (coins by price) and into the queue (debt by coins, in turn)."""
        price, size = np.ravel(self.liquidation_price), np.ravel(self.size)
        owed = size * np.ravel(self.entry * (1.0 - 1.0 / self.leverage))
        live = (price > 0) & (size > 0)
        in_turn = np.argsort(-price[live], kind="stable")
        queue = [np.concatenate([[0.0], np.cumsum(v[live][in_turn])]) for v in (size, owed)]
        object.__setattr__(self, "_map", LevelMap.of(price, size))
        object.__setattr__(self, "_queue", tuple(queue))

    @classmethod
    def spread(
        cls,
        notional: float,
        price: float = 100.0,
        leverage: tuple[float, float] = (3.0, 25.0),
        n: int = 1000,
        seed: int = 0,
        **kwargs: Any,
    ) -> Longs:
        """Return `n` equal longs whose leverage is spread evenly in logarithm between two ends.

        Parameters
        ----------
        notional : float
            USD, all positions together.
        price : float
            Entry price, USD per coin.
        leverage : (float, float)
            Lowest and highest leverage.
        n : int
            Number of positions.
        seed : int
            The same seed gives the same positions.
        **kwargs
            `maintenance`, `lag` and `name`, as in the constructor.
        """
        notional = scalar("notional", "USD", notional, at_least=0)
        price = scalar("price", "USD per coin", price, above=0)
        ends = array("leverage", "times", leverage, at_least=1)
        if ends.shape != (2,) or ends[0] > ends[1]:
            raise ValueError(f"leverage (times) must be two numbers, lowest first, got {leverage!r}")
        n, seed = whole("n", "positions", n, 1), whole("seed", "start of the draws", seed, 0)
        low, high = ends
        draws = np.random.default_rng(seed).uniform(np.log(low), np.log(high), size=n)
        return cls(price, notional / n / price, np.clip(np.exp(draws), low, high), **kwargs)

    @classmethod
    def read_csv(cls, path: Any, **kwargs: Any) -> Longs:
        """Read longs from a file of comma-separated values, one position a row.

        Parameters
        ----------
        path : str, path or open file
            The first line names the columns, in any order; other columns are passed over.

            =============  ===========================================================
            column         holds
            =============  ===========================================================
            `entry`        price paid, USD per coin
            `size`         coins
            `leverage`     times, at least 1
            `maintenance`  share of the position's value, under 1/leverage; where the
                           column is missing, the argument is used
            =============  ===========================================================
        **kwargs
            `maintenance`, `lag` and `name`, as in the constructor.

        Raises
        ------
        ValueError
            At the first defect: file, line, column, what was expected and what stands there.
        """
        cls([], [], [], **kwargs)  # an argument is refused as such, not as a row
        units = {"entry": "USD per coin", "size": "coins", "leverage": "times"}
        table = columns(path, units, {"maintenance": "share of position"})
        return table.make(lambda **values: cls(**{**kwargs, **values}))

    @property
    def liquidation_price(self) -> Array:
        """Liquidation prices, USD per coin, in the broadcast shape of the positions."""
        return self.entry * (1.0 - 1.0 / self.leverage) / (1.0 - self.maintenance)

    def meets(self, market: Market) -> None:
        """Refuse a position that is already under water at the market's price."""
        if self._map.touches(market):
            raise ValueError(
                f"entry (USD per coin) must leave every liquidation price under the market's"
                f" {market.price:g}: one stands at {self._map.highest:g}, its position is already under water"
            )

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins liquidated once the log fall has been `fall` (any shape in, same shape out)."""
        return self._map.sold_by(fall, market)

    def react(self, view: View, mine: Any) -> Array:
        """Return the wanted flow in coins; a run checks its numbers itself, so the map is asked directly."""
        worst = np.maximum(mine["worst"], view.fall, out=mine["worst"])
        return view.done - self._map.reached(worst, view.market)

    def debt_of(self, coins: Any) -> Any:
        """USD borrowed against the first `coins` coins to be liquidated, in their order (any shape)."""
        return np.interp(coins, *self._queue)


def _terms(entry: Any, leverage: Any, maintenance: Any) -> tuple[Array, Array, Array]:
    """Check the terms of a leveraged long."""
    entry = array("entry", "USD per coin", entry, above=0)
    leverage = array("leverage", "times", leverage, at_least=1)
    maintenance = array("maintenance", "share of position", maintenance, at_least=0, below=1)
    broadcast(entry=entry, leverage=leverage, maintenance=maintenance)
    too_much = maintenance * leverage >= 1
    # Without debt (leverage 1) there is nothing to maintain; the bound is 1, which is checked above.
    if too_much.any():
        worst = float(np.broadcast_to(maintenance, too_much.shape)[too_much][0])
        raise ValueError(f"maintenance (share of position) must be below 1/leverage, got {worst!r}")
    return entry, leverage, maintenance
