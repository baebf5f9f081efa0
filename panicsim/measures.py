"""Measures of a run. Each uses what was known up to its own end: a run cut at t is measured as of t."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, scalar, summed
from panicsim.film import Run
from panicsim.market import NO_FLOOR
from panicsim.participants import Longs


@dataclass(frozen=True, eq=False)
class Metrics:
    """What a run did, one number a path unless said otherwise.

    Attributes
    ----------
    fall : array (paths,)
        Deepest log fall of the price.
    shock : array (paths,)
        Deepest log fall from outside: news, noise and sales that were not a reaction. NaN on a path that
        found no floor; its ledger does not close either.
    amplification : array (paths,)
        fall / shock; NaN without a shock.
    dislocation : array (steps + 1, paths)
        Log of value over price at each moment.
    overreaction : array (paths,)
        Largest dislocation, value over price in log: the part of the fall that value did not follow.
    half_life : array (paths,)
        Hours from that moment until half of it is gone; NaN if the run ends before.
    bad_debt : array (paths,)
        USD that liquidated longs owed beyond what their coins brought, loans beyond what their collateral is
        worth, and what auctions of `Liquidators` brought too little. Owners of longs who are closed in the
        same step share its average price and cover for each other, as if one engine had sold for all of them.
    ledger : dict of dict
        By participant, and for sales from outside: `coins` sold and `usd` received, (paths,) each. For
        `Longs` also `debt` of what was liquidated = `repaid` + `bad_debt`, and the `refund` to owners. For
        `LendingPool` its books at the end: USD `repaid`, `settled` off the market and `owed`, `collateral`
        in coins, and the `bad_debt` within what is owed.
    """

    fall: Array
    shock: Array
    amplification: Array
    dislocation: Array
    overreaction: Array
    half_life: Array
    bad_debt: Array
    ledger: Mapping[str, Mapping[str, Array]]


def metrics(run: Run) -> Metrics:
    """Measure a run.

    Parameters
    ----------
    run : Run
        Use `run.until(t)` to measure what could be known at time t.

    Returns
    -------
    Metrics

    Notes
    -----
    Chapter 3 derives them: with gain g and permanent share phi, overreaction / fall = (1 - phi) g if
    nothing recovers on the way down.
    """
    if not isinstance(run, Run):
        raise ValueError(f"run must be a Run, got {run!r}")
    fall = run.fall.max(axis=0)
    # On a path that found no floor the record is cut, and what came from outside can't be told.
    shock = np.where(fall < NO_FLOOR, _outside_fall(run).max(axis=0), np.nan)
    dislocation = run.fall - run.value_fall
    ledger = _ledger(run)
    bad_debt = sum((row["bad_debt"] for row in ledger.values() if "bad_debt" in row), np.zeros(fall.shape))
    bad_debt = bad_debt + sum(rows["shortfall"][-1] for rows in run.books.values() if "shortfall" in rows)
    return Metrics(
        fall=fall,
        shock=shock,
        amplification=np.divide(fall, shock, out=np.full(fall.shape, np.nan), where=shock > 0),
        dislocation=dislocation,
        overreaction=dislocation.max(axis=0),
        half_life=_half_life(run.time, dislocation),
        bad_debt=bad_debt,
        ledger=ledger,
    )


@dataclass(frozen=True)
class ValueAtRisk:
    """Loss that is exceeded with a small probability, as log falls.

    Attributes
    ----------
    looped : float
        Of what the price did.
    alone : float
        Of what came from outside: the same news, noise and outside sales without anybody who reacts.
    """

    looped: float
    alone: float

    @property
    def ratio(self) -> float:
        """What the loop makes of the risk: looped / alone; NaN if nothing came from outside."""
        return self.looped / self.alone if self.alone else float("nan")


def value_at_risk(run: Run, level: float = 0.99) -> ValueAtRisk:
    """Measure the quantile of the fall at the end of a run, interpolated between paths.

    Parameters
    ----------
    run : Run
        Its length is the horizon, its paths are the sample.
    level : float
        Probability, between 0.5 and 1.

    Returns
    -------
    ValueAtRisk

    Notes
    -----
    With a linear crowd that trades both ways the ratio is 1/(1 - g); sellers that never buy back make it
    larger, since a path that is back has left them behind (chapter 18, "The radar"; Danielsson, Shin &
    Zigrand 2012 call the difference endogenous risk).
    """
    if not isinstance(run, Run):
        raise ValueError(f"run must be a Run, got {run!r}")
    level = scalar("level", "probability", level, at_least=0.5, below=1)
    if run.fall[-1].max() >= NO_FLOOR:
        raise ValueError("run (paths) must have a floor: on one path the price went to zero")
    if run.market.recovery and run.outside.any():
        raise ValueError("run (events) must hold no Sale where price recovers: its impact would come back")
    ends = (np.quantile(falls[-1], level) for falls in (run.fall, _outside_fall(run)))
    return ValueAtRisk(*map(float, ends))


def _outside_fall(run: Run) -> Array:
    """Log fall from outside alone: value without the impact that became value, and the outside sales."""
    market, (_, _, outside, after, before, share) = run.market, _legs(run)
    traded = (after - run.fall[:-1]) + (run.fall[1:] - before)
    alone = market.fall_at(market.absorbed(run.fall[:-1]) + outside / share) - run.fall[:-1]
    result = run.value_fall.copy()
    result[1:] += np.cumsum(alone - market.permanent * traded, axis=0)
    return result


def _legs(run: Run) -> tuple[dict[str, Array], dict[str, Array], Array, Array, Array, Any]:
    """Coins of each step by name (orders, then bids) and from outside; falls after orders and before bids.

    Orders and sales from outside move the price from row k; resting bids move it to row k + 1.
    """
    orders = {n: np.diff(s, axis=0) for n, s in run.sold.items() if n not in run.bids}
    bids = {n: np.diff(s, axis=0) for n, s in run.sold.items() if n in run.bids}
    outside = np.broadcast_to(np.diff(run.outside, axis=0), run.fall[1:].shape)
    share = 1.0 if run.share is None else np.where(run.share > 0, run.share, 1.0)
    market = run.market
    after = market.fall_at(market.absorbed(run.fall[:-1]) + sum(orders.values(), outside) / share)
    before = market.fall_at(market.absorbed(run.fall[1:]) - sum(bids.values(), 0.0 * outside) / share)
    return orders, bids, outside, after, before, share


def _half_life(time: Array, dislocation: Array) -> Array:
    """Hours from the largest dislocation to the first moment when half of it is gone."""
    top = dislocation.argmax(axis=0)
    half = np.take_along_axis(dislocation, top[None], axis=0) / 2
    gone = (dislocation <= half) & (np.arange(len(time))[:, None] > top) & (half > 0)
    return np.where(gone.any(axis=0), time[gone.argmax(axis=0)] - time[top], np.nan)


def _ledger(run: Run) -> dict[str, dict[str, Array]]:
    """Coins and dollars of everybody, leg by leg: coins sold in a step times the average fill of its leg."""
    orders, bids, outside, after, before, share = _legs(run)
    first, last = sum(orders.values(), outside), sum(bids.values(), 0.0 * outside)
    at_first = run.market.average_fill(run.fall[:-1], after, first, share)
    at_last = run.market.average_fill(before, run.fall[1:], last, share)
    fills = {**dict.fromkeys(orders, at_first), **dict.fromkeys(bids, at_last)}
    ledger = {}
    for name, coins in {**orders, **bids}.items():
        dollars = coins * fills[name]
        ledger[name] = {"coins": summed(coins), "usd": summed(dollars)}
        member = run.crowd[name]
        if isinstance(member, Longs):
            ledger[name] |= _debts(member, run.sold[name], run.closed[name], dollars)
        ledger[name] |= {key: rows[-1] for key, rows in run.books.get(name, {}).items()}
    if run.outside.any():
        usd = outside * at_first
        ledger["Sale"] = {"coins": summed(outside), "usd": summed(usd)}
    return ledger


def _debts(member: Longs, sold: Array, closed: Array, dollars: Array) -> dict[str, Array]:
    """Who is paid from each step's liquidations: first the lender, then the owner."""
    # What rules closed off the market took its own debt along, in the same turn.
    done = np.diff(sold + closed, axis=0)
    debt = np.diff(member.debt_of(sold + closed), axis=0)
    debt = debt * np.divide(np.diff(sold, axis=0), done, out=np.zeros(done.shape), where=done > 0)
    repaid = np.minimum(debt, dollars)
    return {
        "debt": summed(debt),
        "repaid": summed(repaid),
        "bad_debt": summed(debt - repaid),
        "refund": summed(dollars - repaid),
    }
