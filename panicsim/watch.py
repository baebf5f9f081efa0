"""Radar: what is visible before a cascade, on the map of those who must sell and in the price alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panicsim._check import Array, array, scalar, whole
from panicsim.bars import Bars
from panicsim.film import Run
from panicsim.market import Market
from panicsim.participants import Participant, named
from panicsim.photograph import from_here, tipping_shock

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Radar:
    """Who must sell below the price of now, and what the book takes there.

    Attributes
    ----------
    fall : array (bins,)
        Where each bin begins, as a log fall from the price of now.
    step : float
        Width of a bin.
    sold : dict of arrays (bins,)
        USD that each participant sells per 1 % of further fall (negative: buys).
    depth : array (bins,)
        USD that the book takes per 1 %.
    tipping : float
        Smallest further shock at which the end jumps (`tipping_shock`); infinite if there is none.

    Notes
    -----
    Dollars are counted at the price of now. Heat over depth is the `loop_gain` of the bin.
    """

    fall: Array
    step: float
    sold: Mapping[str, Array]
    depth: Array
    tipping: float

    @property
    def heat(self) -> Array:
        """USD sold per 1 % of further fall, all participants together, (bins,)."""
        return sum(self.sold.values(), np.zeros(self.fall.shape))

    @property
    def gain(self) -> Array:
        """Loop gain of each bin, (bins,)."""
        return self.heat / self.depth

    def plot(self, most: float | None = None) -> Figure:
        """Draw heat and depth over the fall; `most` (USD per 1 %) ends the axis."""
        from panicsim.plots import plot_radar

        return plot_radar(self, most)


def radar(
    market: Market,
    crowd: Iterable[Participant],
    fall: float = 0.0,
    worst: float | None = None,
    deepest: float = 0.4,
    step: float = 0.01,
) -> Radar:
    """Look at what lies below the price of now, with nothing but what is known now.

    Parameters
    ----------
    market : Market
    crowd : iterable of Participant
        May be empty.
    fall, worst : float
        Where the price stands (log fall from P0), and the worst that it has seen, by default the same. Those
        who sell one way are taken to be done down to there.
    deepest, step : float
        How far to look, and the width of a bin (log falls).

    Returns
    -------
    Radar

    Notes
    -----
    Chapter 18, "The radar". The bins say where heat is, `tipping` how far away it is: they are measured, not
    forecast, and say nothing of when a shock comes.
    """
    step = scalar("step", "log fall", step, at_least=1e-5)
    deepest = scalar("deepest", "log fall", deepest, at_least=step, at_most=10)
    bins = round(deepest / step)
    if abs(bins * step - deepest) > 1e-9:
        raise ValueError(f"deepest (log fall) must be a whole number of steps of {step!r}, got {deepest!r}")
    people = named(crowd, market)
    tipping = tipping_shock(market, people.values(), fall=fall, worst=worst)
    worst = fall if worst is None else worst
    edges: Array = step * np.arange(bins + 1.0)
    cent = 0.01 * float(market.price_at(fall)) / step  # from coins a bin to USD per 1 %
    sold = {n: cent * np.diff(from_here(p, market, fall, worst, edges)) for n, p in people.items()}
    depth = cent * np.diff(market.absorbed(fall + edges))
    return Radar(edges[:-1], step, sold, depth, tipping)


@dataclass(frozen=True, eq=False)
class Warnings:
    """What the price alone says, at every row of a series and from nothing after it.

    Attributes
    ----------
    ar1 : array
        Correlation of an increment with the one before it, within the window; NaN until that is full, and
        where the price stood still.
    variance : array
        Variance of the increments within the window; NaN until that is full.
    """

    ar1: Array
    variance: Array


def early_warning(series: Any, window: int, every: int = 1) -> Warnings:
    """Measure the two classic warnings of a loop that gets stronger: memory and variance of the increments.

    Parameters
    ----------
    series : Run, Bars or array (rows,) or (rows, paths)
        A run or bars, by their log falls; or log falls or log prices.
    window : int
        Increments that are looked back on, at least 3.
    every : int
        Rows between two looks at the price.

    Returns
    -------
    Warnings
        Arrays in the shape of the series.

    Notes
    -----
    If a crowd with gain g trades both ways and answers once a look, an increment is g times the last one plus
    news: `ar1` estimates g, and the variance is s^2/(1 - g^2) for news of variance s^2. Both rise as g nears
    1 (critical slowing down, Scheffer et al. 2009; chapter 18, "The radar"). Within a window `ar1` comes out
    too low by about (1 + 4 g)/window. Both see only what has been acting: a threshold that no fall has
    reached leaves no trace in a price.
    """
    window = whole("window", "increments", window, 3)
    given = array("series", "log falls", series.fall if isinstance(series, (Run, Bars)) else series)
    if given.ndim not in (1, 2) or not len(given):
        raise ValueError(f"series (log falls) must be (rows,) or (rows, paths), got shape {given.shape}")
    every = min(whole("every", "rows", every, 1), len(given))
    looks = given[::every].reshape(len(given[::every]), -1)
    ar1, variance = (np.full(looks.shape, np.nan) for _ in range(2))
    if len(looks) > window:
        ar1[window:], variance[window:] = _moments(np.diff(looks, axis=0), window)
    rows = np.arange(len(given)) // every
    return Warnings(ar1[rows].reshape(given.shape), variance[rows].reshape(given.shape))


def _moments(steps: Array, window: int) -> tuple[Array, Array]:
    """Lag-1 correlation and variance of the increments in each full window, (rows, paths) each."""

    def over(rows: Array, length: int) -> Array:
        # A window is the end of one block and the begin of the next. Nothing is subtracted: neither what
        # comes later nor a jump of long ago can change it, not even in the last digit.
        n, paths = rows.shape
        blocks = np.concatenate([rows, np.zeros((-n % length, paths))]).reshape(-1, length, paths)
        head = np.cumsum(blocks, axis=1).reshape(-1, paths)[length - 1 : n]
        tail = np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1].reshape(-1, paths)[: n - length + 1]
        return tail + np.where(np.arange(len(tail))[:, None] % length, head, 0.0)

    mean = over(steps, window) / window
    raw = over(np.square(steps), window)
    squares = np.maximum(raw - window * mean**2, 0.0)
    pairs = over(steps[1:] * steps[:-1], window - 1)
    ends = steps[window - 1 :] + steps[: len(steps) - window + 1]
    # Sum of (a - m)(b - m) over the pairs: each increment but the two ends is in two of them.
    pairs = pairs - mean * (2 * window * mean - ends) + (window - 1) * mean**2
    still = squares <= 1e-14 * raw
    ar1 = np.divide(pairs, squares, out=np.full(pairs.shape, np.nan), where=~still)
    return ar1, squares / (window - 1)


@dataclass(frozen=True, eq=False)
class Roc:
    """How often a score warns rightly for how often it warns in vain, over all thresholds.

    Attributes
    ----------
    false_alarms, hits : array
        Share of calm histories, and of those before a cascade, whose score is at or above a threshold that
        comes down from above; both rise from 0 to 1.
    """

    false_alarms: Array
    hits: Array

    @property
    def area(self) -> float:
        """Area under the curve: chance that a history with a cascade scores above a calm one (ties half)."""
        return float(np.sum(np.diff(self.false_alarms) * (self.hits[1:] + self.hits[:-1])) / 2)

    def at(self, false_alarms: float) -> float:
        """Share of cascades that are warned of at a rate of false alarms."""
        rate = scalar("false_alarms", "share of calm histories", false_alarms, at_least=0, at_most=1)
        i = int(np.searchsorted(self.false_alarms, rate, side="right"))
        return float(np.interp(rate, self.false_alarms[i - 1 : i + 1], self.hits[i - 1 : i + 1]))

    def precision(self, base_rate: float, false_alarms: float) -> float:
        """Share of alarms that are right, if this share of histories holds a cascade (Bayes' rule)."""
        rate = scalar("base_rate", "share of histories", base_rate, at_least=0, at_most=1)
        right, wrong = rate * self.at(false_alarms), (1.0 - rate) * false_alarms
        return right / (right + wrong) if right + wrong else float("nan")


def roc(calm: Any, coming: Any) -> Roc:
    """Compare the scores of histories without and with a coming cascade.

    Parameters
    ----------
    calm, coming : array
        A score for each history, finite; a higher one is a louder warning.

    Returns
    -------
    Roc
    """
    calm, coming = (
        np.sort(array(name, "score", scores).ravel()) for name, scores in (("calm", calm), ("coming", coming))
    )
    if not (calm.size and coming.size):
        raise ValueError(f"calm and coming (scores) must not be empty, got {calm.size} and {coming.size}")
    levels = np.append(np.inf, np.unique(np.concatenate([calm, coming]))[::-1])
    above = ((scores.size - np.searchsorted(scores, levels)) / scores.size for scores in (calm, coming))
    return Roc(*above)
