"""Measures of a run. Each uses what was known up to its own end: a run cut at t is measured as of t."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array
from panicsim.film import Run
from panicsim.participants import Longs


@dataclass(frozen=True, eq=False)
class Metrics:
    """What a run did, one number a path unless said otherwise.

    Attributes
    ----------
    fall : array (paths,)
        Deepest log fall of the price.
    shock : array (paths,)
        Deepest log fall from outside: news, noise and sales that were not a reaction.
    amplification : array (paths,)
        fall / shock; NaN without a shock.
    overreaction : array (paths,)
        Largest dislocation, value over price in log: the part of the fall that value did not follow.
    half_life : array (paths,)
        Hours from that moment until half of it is gone; NaN if the run ends before.
    bad_debt : array (paths,)
        USD that liquidated longs owed beyond what their coins brought.
    ledger : dict of dict
        By participant, and for sales from outside: `coins` sold and `usd` received, (paths,) each. For
        `Longs` also `debt` of what was liquidated = `repaid` + `bad_debt`, and the `refund` to owners.
    """

    fall: Array
    shock: Array
    amplification: Array
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
    fall = run.fall.max(axis=0)
    shock = _outside_fall(run).max(axis=0)
    dislocation = run.fall - run.value_fall
    ledger = _ledger(run)
    bad_debt = sum((row["bad_debt"] for row in ledger.values() if "bad_debt" in row), np.zeros(fall.shape))
    return Metrics(
        fall=fall,
        shock=shock,
        amplification=np.divide(fall, shock, out=np.full(fall.shape, np.nan), where=shock > 0),
        overreaction=np.maximum(dislocation.max(axis=0), 0.0),
        half_life=_half_life(run.time, dislocation),
        bad_debt=bad_debt,
        ledger=ledger,
    )


def _outside_fall(run: Run) -> Array:
    """Log fall from outside alone: value without the impact that became value, and the outside sales."""
    moved = np.zeros(run.fall.shape)
    for sold in run.sold.values():
        moved = moved + sold
    crowd = run.market.fall_at(moved + run.outside) * run.market.permanent
    return run.value_fall - crowd + run.market.fall_at(run.outside)


def _half_life(time: Array, dislocation: Array) -> Array:
    """Hours from the largest dislocation to the first moment when half of it is gone."""
    top = dislocation.argmax(axis=0)
    half = np.take_along_axis(dislocation, top[None], axis=0) / 2
    gone = (dislocation <= half) & (np.arange(len(time))[:, None] > top) & (half > 0)
    return np.where(gone.any(axis=0), time[gone.argmax(axis=0)] - time[top], np.nan)


def _ledger(run: Run) -> dict[str, dict[str, Array]]:
    """Coins and dollars of everybody, leg by leg: coins sold in a step times the average fill of its leg."""
    orders = {n: np.diff(s, axis=0) for n, s in run.sold.items() if n not in run.bids}
    bids = {n: np.diff(s, axis=0) for n, s in run.sold.items() if n in run.bids}
    outside = np.broadcast_to(np.diff(run.outside, axis=0), run.fall[1:].shape)
    first = sum(orders.values(), outside)
    last = sum(bids.values(), np.zeros(first.shape))
    share = 1.0 if run.share is None else np.where(run.share > 0, run.share, 1.0)
    market = run.market
    # Orders move the price from row k; resting bids move it to row k + 1.
    after = market.fall_at(market.absorbed(run.fall[:-1]) + first / share)
    before = market.fall_at(market.absorbed(run.fall[1:]) - last / share)
    fills = {
        **dict.fromkeys(orders, _fill(run, run.fall[:-1], after, first, share)),
        **dict.fromkeys(bids, _fill(run, before, run.fall[1:], last, share)),
    }
    ledger = {}
    for name, coins in {**orders, **bids}.items():
        dollars = coins * fills[name]
        ledger[name] = {"coins": coins.sum(axis=0), "usd": dollars.sum(axis=0)}
        member = run.crowd[name]
        if isinstance(member, Longs):
            ledger[name] |= _debts(member, run.sold[name], dollars)
    if run.outside.any():
        usd = outside * _fill(run, run.fall[:-1], after, first, share)
        ledger["Sale"] = {"coins": outside.sum(axis=0), "usd": usd.sum(axis=0)}
    return ledger


def _fill(run: Run, before: Array, after: Array, coins: Array, share: Any) -> Array:
    """Average price of a leg, USD per coin: what the book paid over the coins it took."""
    paid = run.market.proceeds(before, after) * share
    traded = coins != 0
    return np.divide(paid, coins, out=np.asarray(run.market.price_at(before)), where=traded)


def _debts(member: Longs, sold: Array, dollars: Array) -> dict[str, Array]:
    """Who is paid from each step's liquidations: first the lender, then the owner."""
    debt = np.diff(member.debt_of(sold), axis=0)
    repaid = np.minimum(debt, dollars)
    return {
        "debt": debt.sum(axis=0),
        "repaid": repaid.sum(axis=0),
        "bad_debt": (debt - repaid).sum(axis=0),
        "refund": (dollars - repaid).sum(axis=0),
    }
