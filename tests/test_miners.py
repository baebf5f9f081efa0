"""Miners: bills in dollars, so more coins when a coin buys less, until machines switch off."""

from itertools import pairwise

import numpy as np
import pytest

import panicsim as ps
from panicsim import games
from panicsim.cast import cast

MARKET = ps.Market()


def test_rate_is_what_the_bills_need():
    miners = ps.Miners(cost=0.7e6, produced=1e4)
    assert miners.breakeven == 70
    np.testing.assert_allclose(miners.rate([100, 80, 70, 50]), [7000, 8750, 10_000, 14_000])
    capped = ps.Miners(cost=0.7e6, produced=1e4, cap=12e3, curtailment=0.5)
    np.testing.assert_allclose(capped.rate([80, 69.9, 50]), [8750, 0.35e6 / 69.9, 6000])


def test_photograph_counts_the_excess_over_its_horizon():
    miners = ps.Miners(cost=0.7e6, produced=1e4, horizon=48)
    falls = np.array([0.0, 0.1, 0.3])
    np.testing.assert_allclose(miners.sold_by(falls, MARKET), 2 * 7000 * np.expm1(falls), rtol=1e-12)


def test_film_adds_the_rate_up_whatever_the_step():
    """Held at a fall of 20 %, they sell the excess of each hour; without a fall nothing."""
    miners = ps.Miners(cost=0.7e6, produced=1e4)
    still = ps.Market(depth=1e15)
    for dt in (0.5, 0.05):
        run = ps.simulate(still, [miners], [ps.News(-0.2)], hours=48, dt=dt)
        assert run.sold["Miners"][-1, 0] == pytest.approx(2 * 7000 * np.expm1(0.2), rel=dt / 40)
    assert not ps.simulate(MARKET, [miners], hours=24).sold["Miners"].any()


def test_curtailment_turns_sellers_into_support():
    """Below the break-even those who switch off sell less than on an ordinary day."""
    stubborn, flexible = (ps.Miners(cost=0.7e6, produced=1e4, curtailment=c) for c in (0.0, 0.9))
    assert stubborn.sold_by(0.5, MARKET) > 0 > flexible.sold_by(0.5, MARKET)
    assert stubborn.sold_by(0.3, MARKET) == flexible.sold_by(0.3, MARKET) > 0


def test_limits_of_odd_miners():
    assert ps.Miners(0, 0).breakeven == 0
    assert ps.Miners(1, 0).breakeven == np.inf
    assert ps.Miners(0, 1e4).sold_by(0.3, MARKET) == 0


@pytest.mark.parametrize("load", [0.1, 0.2, 0.24, 0.3])
def test_surviving_share_counts_failures(load):
    """One after the other the weakest venue fails and its load goes to the others, in a plain loop."""
    capacity = np.random.default_rng(2).random(400)
    alive = sorted(capacity)
    while alive and alive[0] < load * 400 / len(alive):
        alive.pop(0)
    assert ps.surviving_share(load, capacity) == pytest.approx(len(alive) / 400, abs=1e-12)
    assert ps.surviving_share(np.full((2, 3), load), capacity).shape == (2, 3)


def test_delayed_balance_without_delay_decays():
    x = games.delayed_balance(1.5, 0.0, 4, dt=0.01)
    np.testing.assert_allclose(x, np.exp(-1.5 * 0.01 * np.arange(401)), atol=1e-4)


def test_delayed_balance_solves_its_equation():
    """By the method of steps: 1 - K t up to the delay, then a parabola more."""
    t = 0.01 * np.arange(201)
    x = games.delayed_balance(0.8, 1.0, 2.0)
    exact = 1 - 0.8 * t + 0.32 * np.maximum(t - 1, 0) ** 2
    np.testing.assert_allclose(x, exact, atol=1e-6)


def test_the_running_crowd_grows_by_chapters():
    """The gain ledger of the book after a fall of 5 %: .30, .05, .20, .45, .60, .80, .90, .91."""
    totals = [ps.loop_gain(MARKET, cast(n), fall=0.05).total for n in (1, 4, 5, 6, 7, 8, 9, 11)]
    np.testing.assert_allclose(totals, [0.30, 0.05, 0.20, 0.45, 0.60, 0.80, 0.90, 0.91], atol=0.006)
    names = [[member.name for member in cast(n)] for n in range(1, 21)]
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(names))
