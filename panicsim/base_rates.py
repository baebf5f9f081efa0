"""Base rates: what came after falls that anybody could see on the day, with nothing chosen afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panicsim._check import Array, array, scalar, whole

Rows = NDArray[np.intp]

# Fewer events than this have no band: resampled, three of them would miss one time in four.
FEWEST = 8
# Resamples of the events behind a confidence band.
RESAMPLES = 4_000
# Standard deviations of a band of 95 %.
TWO_SIDED = 1.959964


@dataclass(frozen=True)
class BaseRate:
    """What a purchase at the close of an event brought over a horizon, beside what any day brought.

    Attributes
    ----------
    horizon : int
        Rows that the purchase is held.
    n : int
        Events whose horizon lies within the data and does not overlap that of the event before.
    mean, low, high : float
        Mean simple return after costs, and the ends of its band of 95 % (resampled events); the ends are NaN
        with fewer than eight events.
    hit, hit_low, hit_high : float
        Share of returns above zero, and its band of 95 % (Wilson's).
    worst : float
        Lowest return.
    usual, usual_hit : float
        Mean return after costs and share above zero of purchases on every row.
    """

    horizon: int
    n: int
    mean: float
    low: float
    high: float
    hit: float
    hit_low: float
    hit_high: float
    worst: float
    usual: float
    usual_hit: float


def falls(close: Any, size: float, over: int = 1, apart: int = 20) -> Rows:
    """Find the rows on which a fall of at least `size` was known, and new.

    Parameters
    ----------
    close : array (rows,)
        Closing prices, above 0.
    size : float
        Simple fall over `over` rows, between 0 and 1.
    over : int
        Rows over which the fall is measured.
    apart : int
        Rows that must have passed since the last event; 0: every row that qualifies.

    Returns
    -------
    array of int
        Row numbers. Each depends on rows up to itself alone.
    """
    close = _closes(close)
    size = scalar("size", "simple fall", size, above=0, below=1)
    over, apart = whole("over", "rows", over, 1), whole("apart", "rows", apart, 0)
    over = min(over, len(close))
    # A fall from 500 to 465 is one of 7 %, whatever its last digit says.
    deep = over + np.flatnonzero(close[over:] <= (1.0 - size) * (1.0 + 1e-12) * close[: len(close) - over])
    return _spaced(deep, apart)


def base_rates(
    close: Any,
    size: float,
    horizons: Any = (1, 5, 20, 120),
    over: int = 1,
    apart: int = 20,
    cost: float = 0.0,
    seed: int = 0,
) -> list[BaseRate]:
    """Measure what came after falls of at least a size.

    Parameters
    ----------
    close, size, over, apart
        As in `falls`.
    horizons : int or array of int
        Rows that a purchase at the close of the event is held.
    cost : float
        Share of the money lost to fees in a round trip; every purchase pays it.
    seed : int
        Of the resampling behind the bands.

    Returns
    -------
    list of BaseRate
        One for each horizon.

    Notes
    -----
    Purchases whose horizons overlap would count one rebound several times: for each horizon an event is kept
    only if the one kept before it is at least that many rows back. Crashes also come in clusters, so
    that the events which are left are not independent either, and the bands are too narrow rather than too
    wide (chapter 19, "The contrarian").
    """
    close = _closes(close)
    events = falls(close, size, over, apart)
    cost = scalar("cost", "share of money", cost, at_least=0, below=1)
    seed = whole("seed", "start of the draws", seed, 0)
    lengths = np.atleast_1d(array("horizons", "rows", horizons, at_least=1))
    return [_rate(close, events, whole("horizons", "rows", n, 1), cost, seed) for n in lengths]


def _rate(close: Array, events: Rows, horizon: int, cost: float, seed: int) -> BaseRate:
    """Measure one horizon."""
    every = close[horizon:] / close[:-horizon] * (1.0 - cost) - 1.0
    usual = (float(every.mean()), float(np.mean(every > 0))) if every.size else (float("nan"),) * 2
    kept = _spaced(events, horizon)
    after = every[kept[kept < len(every)]]
    n = len(after)
    if not n:
        return BaseRate(horizon, 0, *(float("nan"),) * 7, *usual)
    hit = float(np.mean(after > 0))
    middle = (hit + TWO_SIDED**2 / (2 * n)) / (1 + TWO_SIDED**2 / n)
    half = np.sqrt(hit * (1 - hit) / n + (TWO_SIDED / (2 * n)) ** 2) * TWO_SIDED / (1 + TWO_SIDED**2 / n)
    wilson = float(middle - half), float(middle + half)
    return BaseRate(
        horizon, n, float(after.mean()), *_band(after, seed), hit, *wilson, float(after.min()), *usual
    )


def _band(after: Array, seed: int) -> tuple[float, float]:
    """Ends of the band of 95 % of a mean, from resampled events."""
    n = len(after)
    if n < FEWEST:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed)
    rows = max(1_000_000 // n, 1)  # so many resamples at once, that a long record needs no more memory
    blocks = [min(rows, RESAMPLES - k) for k in range(0, RESAMPLES, rows)]
    means = np.concatenate([after[draws.integers(n, size=(k, n))].mean(axis=1) for k in blocks])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _closes(close: Any) -> Array:
    """Refuse what is no row of prices."""
    close = array("close", "USD", close, above=0)
    if close.ndim != 1 or len(close) < 2:
        raise ValueError(f"close (USD) must be a row of at least two prices, got shape {close.shape}")
    return close


def _spaced(rows: Rows, apart: int) -> Rows:
    """Keep the first row, and each that is at least `apart` after the last one kept."""
    kept: list[int] = []
    for row in rows.tolist():
        if not kept or row - kept[-1] >= apart:
            kept.append(row)
    return np.array(kept, dtype=np.intp)
