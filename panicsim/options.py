"""Options: what one is worth, how many coins hedge it, and what hedging in steps leaves over.

Black & Scholes (1973) without interest: the seller of a call holds delta coins, trades as delta changes, and
delta changes by gamma coins for each dollar. Time runs in hours, volatility is per year of 8 760 hours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from panicsim._check import Array, array, broadcast, scalar, whole
from panicsim.market import HOURS_PER_YEAR

# The normal distribution function at whole numbers of steps, from -9 to 9; between them its first two
# derivatives are known, so that a cubic through them is exact to 4e-15.
_STEP = 1e-3
_GRID = np.arange(-9000, 9001) * _STEP
_CDF = np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in _GRID])
_CDF[[0, -1]] = 0.0, 1.0  # farther out there is nothing that a float could tell
_PDF = np.exp(-_GRID * _GRID / 2.0) / math.sqrt(2.0 * math.pi)


def call(price: Any, strike: Any, hours: Any, volatility: Any) -> Any:
    """Value of the right to buy one coin at `strike` after `hours`, USD (arguments broadcast).

    Parameters
    ----------
    price, strike : float or array
        USD per coin.
    hours : float or array
        Hours until expiry; at 0 the option is worth what it pays.
    volatility : float or array
        Per year.
    """
    price, strike, spread = _terms(price, strike, hours, volatility)
    d1 = _d1(price, strike, spread)
    return _plain(price * normal_cdf(d1) - strike * normal_cdf(d1 - spread))


def delta(price: Any, strike: Any, hours: Any, volatility: Any) -> Any:
    """Coins that hedge one call: the slope of its value. Arguments as in `call`; a put has one coin less."""
    return _plain(delta_at(*_terms(price, strike, hours, volatility)))


def gamma(price: Any, strike: Any, hours: Any, volatility: Any) -> Any:
    """Coins by which the hedge of one option changes when the price rises by one dollar, as in `call`.

    It is phi(d1) / (P sigma sqrt(T)), the same for calls and puts; at expiry it is 0.
    """
    return _plain(gamma_at(*_terms(price, strike, hours, volatility)))


def delta_at(price: Any, strike: Any, spread: Any) -> Array:
    """`delta` without checks; `spread` is sigma sqrt(T), the spread of the log price at expiry."""
    return normal_cdf(_d1(price, strike, spread))


def gamma_at(price: Any, strike: Any, spread: Any) -> Array:
    """`gamma` without checks, as `delta_at`."""
    d1 = np.clip(_d1(price, strike, spread), -40.0, 40.0)
    density = np.exp(-d1 * d1 / 2.0) / math.sqrt(2.0 * math.pi)
    slope = np.where(spread > 0, price * spread, np.inf)
    return np.asarray(density / slope)


def hedging_error(prices: Any, strike: float, hours: float, volatility: float, rehedge: int = 1) -> Array:
    """Profit of one who sold a call for its value and hedged it in steps, USD per option, (paths,).

    Parameters
    ----------
    prices : array (steps + 1, paths)
        USD per coin, from the sale to the expiry, at even distances.
    strike : float
        USD per coin.
    hours : float
        Hours from the first row to the last.
    volatility : float
        Per year; the one by which the seller prices and hedges.
    rehedge : int
        Rows from one hedge to the next; it divides the number of steps.

    Notes
    -----
    With N hedges of an option at the money the standard deviation is about sqrt(pi/(4 N)) premiums
    (chapter 8, "The hedgers").
    """
    prices = array("prices", "USD per coin", prices, above=0)
    rehedge = whole("rehedge", "rows", rehedge, 1)
    volatility = scalar("volatility", "per year", volatility, above=0)
    if prices.ndim != 2 or len(prices) < 2:
        raise ValueError(f"prices (USD per coin) must have shape (steps + 1, paths), got {prices.shape}")
    if (len(prices) - 1) % rehedge:
        raise ValueError(f"rehedge (rows) must divide the {len(prices) - 1} steps of prices, got {rehedge!r}")
    hours = scalar("hours", "hours", hours, above=0)
    seen = prices[::rehedge]
    left = hours * (1.0 - np.arange(len(seen)) / (len(seen) - 1))
    strike = scalar("strike", "USD per coin", strike, above=0)
    held = delta(seen[:-1], strike, left[:-1, None], volatility)
    premium = call(prices[0], strike, hours, volatility)
    return premium + (held * np.diff(seen, axis=0)).sum(axis=0) - np.maximum(prices[-1] - strike, 0.0)


def _terms(price: Any, strike: Any, hours: Any, volatility: Any) -> tuple[Array, Array, Array]:
    """Check the terms of an option; return price, strike and sigma sqrt(T)."""
    price = array("price", "USD per coin", price, above=0)
    strike = array("strike", "USD per coin", strike, above=0)
    hours = array("hours", "hours", hours, at_least=0)
    volatility = array("volatility", "per year", volatility, above=0)
    broadcast(price=price, strike=strike, hours=hours, volatility=volatility)
    return price, strike, volatility * np.sqrt(hours / HOURS_PER_YEAR)


def _d1(price: Any, strike: Any, spread: Any) -> Array:
    """Distance of the price above the strike, in standard deviations; at expiry infinitely far, or 0."""
    above = np.log(price) - np.log(strike)
    with np.errstate(divide="ignore", invalid="ignore"):
        d1 = above / spread + spread / 2.0
    return np.where(spread > 0, d1, np.where(above == 0, 0.0, np.copysign(np.inf, above)))


def normal_cdf(x: Any) -> Array:
    """Normal distribution function, to 4e-15 (any shape)."""
    place = (np.clip(x, -9.0, 9.0) - _GRID[0]) / _STEP
    row = np.minimum(place.astype(np.intp), len(_GRID) - 2)
    t = place - row
    u = 1.0 - t
    # Hermite's cubic through the values and slopes at both ends of a cell.
    values = u * u * (1.0 + 2.0 * t) * _CDF[row] + t * t * (1.0 + 2.0 * u) * _CDF[row + 1]
    return np.asarray(values + _STEP * t * u * (u * _PDF[row] - t * _PDF[row + 1]))


def _plain(values: Any) -> Any:
    """A number for numbers, an array for arrays."""
    return float(values) if np.ndim(values) == 0 else values
