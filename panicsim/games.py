"""Games that holders, venues and grids play: whom the run takes, whom the load breaks, who comes too late."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from panicsim._check import Array, array, scalar, whole


def run_threshold(payoff: Any) -> Any:
    """Least liquid share at which holding is the best reply to not knowing what the others do.

    Parameters
    ----------
    payoff : float or array
        What a dollar left in pays if the fund survives, R, at least 1.

    Returns
    -------
    float or array
        The threshold l* = exp(1 - R), a share of deposits, in the shape of `payoff`.

    Notes
    -----
    A holder gets R if no more than the liquid share l runs, else nothing; a runner gets 1 if no more
    than l run, else l/n. With the share n of runners uniform between 0 and 1, holding is worth R l and
    running l - l ln l; they are equal at l* (chapter 5, "Fear"; the belief is that of Morris & Shin 2003).
    """
    threshold = np.exp(1.0 - array("payoff", "per dollar left in", payoff, at_least=1))
    return float(threshold) if threshold.ndim == 0 else threshold


def surviving_share(load: Any, capacity: Any = None) -> Any:
    """Share of venues that stand once those who fail have handed their load to the others.

    Parameters
    ----------
    load : float or array
        Load for each venue before anybody fails, W, in units of capacity.
    capacity : array, optional
        Capacities of the venues. Without it there are infinitely many, spread evenly from 0 to 1.

    Returns
    -------
    float or array
        The share u, in the shape of `load`.

    Notes
    -----
    The load is shared equally: a share u of venues carries W/u each, and those with less capacity fail. With
    even capacities u = 1 - W/u, so u = (1 + sqrt(1 - 4 W))/2 up to W = 1/4, where half of them are left, and
    0 beyond (chapter 11, "The load"; the fibre bundle of Pradhan, Hansen & Chakrabarti 2010).
    """
    load = array("load", "capacity per venue", load, at_least=0)
    if capacity is None:
        room = np.maximum(1.0 - 4.0 * load, 0.0)
        share = np.where(load <= 0.25, (1.0 + np.sqrt(room)) / 2.0, 0.0)
    else:
        limits = np.sort(np.ravel(array("capacity", "capacity", capacity, at_least=0)))[::-1]
        if not limits.size:
            raise ValueError("capacity (capacity) must hold at least one venue, got an empty array")
        # The k strongest can carry everything if the weakest of them can; the largest such k survives.
        most = np.maximum.accumulate((limits * np.arange(1, limits.size + 1))[::-1])
        share = (limits.size - np.searchsorted(most, load * limits.size)) / limits.size
    return float(share) if load.ndim == 0 else share


def auction_share(bidders: int, through: float = 1.0, most: float = 1.0) -> float:
    """Share of its worth that an auction brings, on average, if anybody bids at all.

    Parameters
    ----------
    bidders : int
        Those who would bid. What it is worth to each is spread evenly from nothing to its full worth.
    through : float
        Probability with which each gets his bid through, as on a congested chain.
    most : float
        Share of its worth that the seller is owed: what is bid beyond it is not his.

    Returns
    -------
    float
        Between 0 and `most`; 0 if nobody would bid.

    Notes
    -----
    Among n who bid, the price is the second highest of their values. It is at most v with probability n
    v^(n-1) - (n-1) v^n, so that up to a most of t the seller gets t - t^n + (n-1)/(n+1) t^(n+1) on average,
    and (n-1)/(n+1) if t = 1: a sole bidder pays nothing (chapter 12, "Who is paid to catch the knife?";
    Vickrey 1961).
    """
    bidders = whole("bidders", "count", bidders, 0)
    through = scalar("through", "probability", through, at_least=0, at_most=1)
    most = scalar("most", "share of its worth", most, at_least=0, at_most=1)
    if bidders == 0 or through == 0.0:
        return 0.0
    count = np.arange(1, bidders + 1) if through < 1.0 else np.array([bidders])
    brings = second_bid(count, most)
    if through == 1.0:
        return float(brings[0])
    # The chance that k get through, k = 1, 2, ..., in logs: large counts have no place in a float.
    ways = [math.lgamma(bidders + 1) - math.lgamma(k + 1) - math.lgamma(bidders - k + 1) for k in count]
    chance = np.exp(ways + count * math.log(through) + (bidders - count) * math.log1p(-through))
    return float(np.sum(chance * brings) / np.sum(chance))


def second_bid(count: Any, most: Any) -> Any:
    """Mean of min(second highest bid, most), as a share of the worth, of one bidder or more (any shapes)."""
    return most - most**count + (count - 1) / (count + 1) * most ** (count + 1)


def delayed_balance(speed: float, delay: float, hours: float, dt: float = 0.01) -> Array:
    """Imbalance in time when it is corrected at a speed, but as it was some time ago.

    Parameters
    ----------
    speed : float
        Share of the imbalance seen that is corrected in an hour, K.
    delay : float
        Hours from the imbalance to the answer, tau; a whole number of `dt`.
    hours, dt : float
        Length and step in hours; `hours` is a whole number of `dt`.

    Returns
    -------
    array (hours/dt + 1,)
        x(t), which is 1 until 0.

    Notes
    -----
    x'(t) = -K x(t - tau). It dies out if K tau < pi/2 and grows if K tau > pi/2, however strong the
    correction (chapter 11, "The load"; Hayes 1950). Stepped by the rule of the trapezium.
    """
    speed = scalar("speed", "per hour", speed, at_least=0)
    dt = scalar("dt", "hours", dt, above=0)
    counts = []
    for name, value in (("delay", delay), ("hours", hours)):
        count = scalar(name, "hours", value, at_least=0) / dt
        if abs(count - round(min(count, 1e18))) > 1e-6 * max(count, 1.0) or (name == "hours" and count < 0.5):
            raise ValueError(f"{name} (hours) must be a whole number of dt = {dt!r} hours, got {value!r}")
        if count > 1e7:
            raise ValueError(f"{name} (hours) must be at most 1e7 steps of dt = {dt!r} hours, got {value!r}")
        counts.append(round(count))
    late, steps = counts
    if speed * dt > 1.0:
        raise ValueError(f"dt (hours) must be at most 1/speed = {1 / speed:g} hours, got {dt!r}")
    x = np.ones(late + steps + 1)
    for k in range(late, late + steps):
        if late:
            x[k + 1] = x[k] - speed * dt * (x[k - late] + x[k - late + 1]) / 2
        else:
            x[k + 1] = x[k] * (1 - speed * dt / 2) / (1 + speed * dt / 2)
    return x[late:]
