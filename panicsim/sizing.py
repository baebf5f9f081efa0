"""Sizing: how much to stake on a rebound, when staking moves the price and the outcome may be bad."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from panicsim._check import Array, array, frozen, scalar, whole

# Cuts by a third after which a bracket of stakes is as narrow as floats are.
CUTS = 100


@dataclass(frozen=True, eq=False)
class Kelly:
    """The stake that makes wealth grow fastest, and what other stakes do.

    Attributes
    ----------
    fraction : float
        Best stake as a share of wealth, f; above 1 it is borrowed, below 0 the other side of the bet would
        pay, and 0 means that neither pays.
    growth : float
        Expected log growth of wealth per bet at that stake.
    returns, probability : array (outcomes,)
        Simple returns before costs, and how likely they are.
    cost, wealth, depth : float
        As given to `kelly`.
    """

    fraction: float
    growth: float
    returns: Array
    probability: Array
    cost: float
    wealth: float
    depth: float | None

    def growth_at(self, fraction: Any) -> Any:
        """Expected log growth per bet at a stake (any shape, same out); minus infinity if it can ruin."""
        stake = array("fraction", "share of wealth", fraction)
        after = 1.0 + stake[..., None] * self._net(stake[..., None])
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(after > 0, np.log(np.maximum(after, 0.0)), -np.inf)
            growth = np.sum(np.where(self.probability > 0, self.probability * logs, 0.0), axis=-1)
        return growth if growth.ndim else float(growth)

    def _net(self, stake: Array) -> Array:
        """Simple returns of each outcome on the money staked, after the round trip through the book."""
        part = np.abs(stake) * self.wealth / (100.0 * self.depth) if self.depth else 0.0 * stake
        bought = (1.0 + self.returns) * (1.0 - self.cost) / (1.0 + part) - 1.0
        # Sold for S dollars: the same coins cost S/(1 - S/(100 depth)) later, and a book holds no more.
        left = (1.0 - self.cost) * np.maximum(1.0 - part, 1e-300)
        return np.where(stake >= 0, bought, (1.0 + self.returns) / left - 1.0)

    def ruin(
        self,
        fraction: float | None = None,
        floor: float = 0.5,
        bets: int = 100,
        paths: int = 10_000,
        seed: int = 0,
    ) -> float:
        """Chance that wealth falls to a share `floor` of its start, or below, within a number of bets.

        Parameters
        ----------
        fraction : float, optional
            Stake as a share of wealth; the best one if None.
        floor : float
            Share of wealth at the start.
        bets, paths : int
            Bets in a row, and how many such rows are drawn.
        seed : int
            The same seed gives the same chance.

        Notes
        -----
        Bets are independent and wealth is staked anew each time; the impact is that of the first bet.
        """
        given = self.fraction if fraction is None else fraction
        stake = np.asarray(scalar("fraction", "share of wealth", given))
        floor = scalar("floor", "share of wealth", floor, above=0, below=1)
        bets, paths = whole("bets", "count", bets, 1), whole("paths", "count", paths, 1)
        draws = np.random.default_rng(whole("seed", "start of the draws", seed, 0))
        after = np.maximum(1.0 + stake * self._net(stake), 0.0)
        with np.errstate(divide="ignore"):
            logs = np.log(after)
        wealth, lowest = np.zeros(paths), np.zeros(paths)
        for _ in range(bets):
            wealth = wealth + logs[draws.choice(len(logs), size=paths, p=self.probability)]
            lowest = np.minimum(lowest, wealth)
        return float(np.mean(lowest <= math.log(floor)))


def kelly(
    returns: Any,
    probability: Any = None,
    cost: float = 0.0,
    wealth: float = 0.0,
    depth: float | None = None,
) -> Kelly:
    """Find the stake that maximises the expected log of wealth.

    Parameters
    ----------
    returns : array (outcomes,)
        Simple returns of the bet, at least -1: two outcomes, or a sample of many.
    probability : array (outcomes,), optional
        How likely they are, with sum 1; equally likely if None.
    cost : float
        Share of the money lost to fees in a round trip.
    wealth : float
        USD of which a share is staked; it matters for the impact alone.
    depth : float, optional
        USD that move the price 1 %; None: no impact.

    Returns
    -------
    Kelly

    Notes
    -----
    Kelly (1956). With two outcomes, +b with probability p and -a otherwise, f = p/a - (1 - p)/b. Buying for S
    dollars moves the log price by y = ln(1 + S/(100 depth)), and selling the same coins later moves it back:
    together they leave exactly the share e^-y of the money, so an outcome R is worth
    (1 + R)(1 - cost)/(1 + S/(100 depth)) - 1 (chapter 19, "The contrarian").
    """
    returns = array("returns", "simple returns", returns, at_least=-1)
    if returns.ndim != 1 or not returns.size:
        raise ValueError(f"returns (simple returns) must be a row of outcomes, got shape {returns.shape}")
    if probability is None:
        chance = np.full(returns.shape, 1.0 / returns.size)
    else:
        chance = array("probability", "share", probability, at_least=0)
        if chance.shape != returns.shape or abs(chance.sum() - 1.0) > 1e-9:
            raise ValueError(f"probability (share) must be one per outcome with sum 1, got {probability!r}")
    cost = scalar("cost", "share of money", cost, at_least=0, below=1)
    wealth = scalar("wealth", "USD", wealth, at_least=0)
    if depth is not None:
        depth = scalar("depth", "USD per 1 %", depth, above=0)
    bet = Kelly(0.0, 0.0, frozen(returns), frozen(chance), cost, wealth, depth)
    best = _best(bet)
    return replace(bet, fraction=best, growth=float(bet.growth_at(best)))


def _best(bet: Kelly) -> float:
    """Stake at which growth is largest: on a side of 0 it rises, then falls, or falls from the start."""
    tick = 1e-7
    for side in (1.0, -1.0):
        if not bet.growth_at(side * tick) > 0:
            continue
        far = 2 * tick
        while bet.growth_at(side * far) > bet.growth_at(side * far / 2):
            far *= 2.0
            if far > 1e9:
                kind = "loss" if side > 0 else "gain"
                raise ValueError(
                    f"returns (simple returns) must hold a {kind} that is likely and not tiny,"
                    f" got {bet.returns!r}"
                )
        low, high = 0.0, far
        for _ in range(CUTS):
            third = (high - low) / 3
            if bet.growth_at(side * (low + third)) < bet.growth_at(side * (high - third)):
                low += third
            else:
                high -= third
        return side * (low + high) / 2
    return 0.0
