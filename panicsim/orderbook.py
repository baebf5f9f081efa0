"""The order book: what a sale would bring, and how deep the market is, read off its trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from panicsim._check import Array, array, scalar

# Fewer trades than this say nothing about a depth.
LEAST_TRADES = 20


class Fill(NamedTuple):
    """What a sale brought.

    Attributes
    ----------
    average : float
        USD per coin.
    last : float
        Price of the last coin, USD.
    usd : float
        Everything that was paid, USD.
    """

    average: float
    last: float
    usd: float


@dataclass(frozen=True, eq=False)
class Bids:
    """The buyers' side of an order book: how many coins are wanted at which price.

    Parameters
    ----------
    price : array (levels,)
        USD per coin, in any order; bids at the same price are added up.
    size : array (levels,) or float
        Coins wanted at each price; broadcasts.

    Attributes
    ----------
    price, size : array (levels,)
        Best price first, every price once, empty levels left out.

    Raises
    ------
    ValueError
        If a price is not positive, a size negative, or if nobody bids.
    """

    price: Any
    size: Any

    def __post_init__(self) -> None:
        price = np.atleast_1d(array("price", "USD per coin", self.price, above=0))
        size = np.atleast_1d(array("size", "coins", self.size, at_least=0))
        try:
            price, size = (one.ravel() for one in np.broadcast_arrays(price, size))
        except ValueError:
            raise ValueError(
                f"size (coins) must fit the prices of shape {price.shape}, got shape {size.shape}"
            ) from None
        levels, where = np.unique(price[size > 0], return_inverse=True)
        if not levels.size:
            raise ValueError("size (coins) must be above 0 at one price at least: nobody bids")
        sizes = np.bincount(where, size[size > 0])
        for name, best_first in (("price", levels[::-1].copy()), ("size", sizes[::-1].copy())):
            best_first.flags.writeable = False
            object.__setattr__(self, name, best_first)

    def sell(self, coins: float) -> Fill:
        """Walk the book: sell coins at once, each to the best bid that is left.

        Parameters
        ----------
        coins : float
            More than 0, and no more than there are bids for.

        Returns
        -------
        Fill
        """
        wanted = float(self.size.sum())
        coins = scalar("coins", "coins", coins, above=0)
        if coins > wanted * (1 + 1e-12):
            raise ValueError(
                f"coins (coins) must be at most {wanted:g}, all that the bids want, got {coins!r}"
            )
        before = np.cumsum(self.size) - self.size
        taken = np.clip(coins - before, 0.0, self.size)
        usd = float(taken @ self.price)
        return Fill(usd / coins, float(self.price[taken > 0][-1]), usd)

    def depth(self, within: float = 0.01) -> float:
        """USD of bids within a share of the best bid (0.01: one per cent)."""
        within = scalar("within", "share of the best bid", within, at_least=0, below=1)
        near = self.price >= self.price[0] * (1 - within) * (1 - 1e-12)
        return float(self.price[near] @ self.size[near])


@dataclass(frozen=True)
class DepthEstimate:
    """A depth that was read off trades.

    Attributes
    ----------
    depth : float
        USD of market selling that move the price by 1 %, at the first price.
    error : float
        Its standard error, in the same unit.
    slope : float
        Log return per coin, 1/Lambda.
    observations : int
        Trades that it rests on.
    """

    depth: float
    error: float
    slope: float
    observations: int


def estimate_depth(price: Any, flow: Any) -> DepthEstimate:
    """Estimate a market's depth: regress its log returns on the signed flow, with an intercept.

    Parameters
    ----------
    price : array (trades + 1,)
        USD per coin, before the first trade and after each.
    flow : array (trades,)
        Coins of each trade; negative: somebody sold to the market.

    Returns
    -------
    DepthEstimate

    Raises
    ------
    ValueError
        If there are fewer than 20 trades, if all flows are the same, or if the price does not move with them.

    Notes
    -----
    A trade of q coins moves the log price by q/Lambda + noise, so the slope b is 1/Lambda and the depth
    0.01 P0/b. Its standard error is that of b times 0.01 P0/b^2 (delta method). Both hold if the noise knows
    nothing of the flow. Where sellers react within an observation to what the noise did, the estimate is too
    small: chapter 2 derives by how much (Kyle 1985; Cont, Kukanov & Stoikov 2014).
    """
    price, flow = array("price", "USD per coin", price, above=0), array("flow", "coins", flow)
    if flow.ndim != 1 or price.shape != (flow.size + 1,):
        raise ValueError(
            f"price (USD per coin) must be one longer than flow, (trades + 1,) and (trades,),"
            f" got shapes {price.shape} and {flow.shape}"
        )
    n = flow.size
    if n < LEAST_TRADES:
        raise ValueError(f"flow (coins) must hold at least {LEAST_TRADES} trades, got {n}")
    moves, coins = _centred(np.diff(np.log(price))), _centred(flow)
    spread = coins @ coins
    if spread <= (1e-12 * np.abs(flow).max()) ** 2 * n:
        raise ValueError(f"flow (coins) must not be the same in every trade, got {float(flow[0])!r}")
    slope = float(coins @ moves / spread)
    if slope <= 0:
        raise ValueError(f"flow (coins) must push the price its own way, got a slope of {slope!r} per coin")
    left = moves - slope * coins
    error_of_slope = np.sqrt(left @ left / (n - 2) / spread)
    per_percent = 0.01 * float(price[0])
    return DepthEstimate(per_percent / slope, float(per_percent / slope**2 * error_of_slope), slope, n)


def _centred(numbers: Array) -> Array:
    return numbers - numbers.mean()
