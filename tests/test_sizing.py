"""Sizing: the best stake, what impact and costs take from it, and what ruins."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import panicsim as ps

odds = st.floats(0.05, 0.95)


@given(p=odds, gain=st.floats(0.05, 2.0), loss=st.floats(0.05, 0.95))
def test_two_outcomes_have_the_closed_form(p, gain, loss):
    """Kelly: f = p/a - (1 - p)/b, of either sign."""
    expected = p / loss - (1 - p) / gain
    assume(abs(expected) > 1e-3)
    assert ps.kelly([gain, -loss], [p, 1 - p]).fraction == pytest.approx(expected, abs=1e-6)


def test_a_round_trip_through_the_book_leaves_the_share_that_the_law_says():
    """Buy for S dollars, the price rises by R, sell the same coins: against the market's own impact."""
    market, spent, gain = ps.Market(price=80.0, depth=3e6), 7e6, 0.25
    rise = -float(market.fall_at(-ps.Market(price=80.0, depth=3e6).depth_coins() * np.log1p(spent / 300e6)))
    coins = market.depth_coins() * rise
    assert -market.proceeds(0.0, -rise) == pytest.approx(spent)
    later = -np.log1p(gain)
    back = market.proceeds(later, later + coins / market.depth_coins())
    stake = ps.kelly([gain, -0.5], [0.9, 0.1], wealth=spent, depth=3e6)
    expected = 0.9 * np.log(back / spent) + 0.1 * np.log(0.5 * back / spent / (1 + gain))
    assert stake.growth_at(1.0) == pytest.approx(expected)


@given(
    returns=st.lists(st.floats(-0.9, 2.0), min_size=2, max_size=6),
    cost=st.floats(0, 0.05),
    wealth=st.floats(0, 1e9),
)
def test_no_other_stake_grows_faster(returns, cost, wealth):
    assume(min(returns) < -0.05 and max(returns) > 0.05)
    bet = ps.kelly(returns, cost=cost, wealth=wealth, depth=2e6)
    others = np.linspace(-3, 3, 1201)
    assert bet.growth >= np.max(bet.growth_at(others)) - 1e-9
    assert bet.growth >= 0


def test_costs_and_impact_shrink_the_stake_and_may_close_the_bet():
    free = ps.kelly([0.25, -0.6], [0.8, 0.2]).fraction
    dear = ps.kelly([0.25, -0.6], [0.8, 0.2], cost=0.02).fraction
    large = ps.kelly([0.25, -0.6], [0.8, 0.2], cost=0.02, wealth=20e6, depth=2e6).fraction
    assert free > dear > large > 0
    # An edge of 1 % is gone at a cost of 2 %, and the other side would not pay either.
    assert ps.kelly([0.11, -0.09], [0.5, 0.5], cost=0.02).fraction == 0


def test_a_bet_without_a_loss_has_no_best_stake():
    with pytest.raises(ValueError, match=r"returns \(simple returns\) must hold a loss"):
        ps.kelly([0.1, 0.2])


def test_stakes_that_can_lose_everything_grow_at_minus_infinity():
    bet = ps.kelly([0.5, -0.5], [0.7, 0.3])
    assert bet.growth_at(2.0) == -np.inf
    assert bet.ruin(2.0, bets=50) == pytest.approx(1 - 0.7**50, abs=1e-3)


@pytest.mark.parametrize("fraction", [0.2, 0.5333, 0.9])
def test_chance_of_ruin_against_every_row_of_bets(fraction):
    """All 2^10 rows of ten bets, one by one."""
    bet = ps.kelly([0.25, -0.6], [0.8, 0.2])
    exact = 0.0
    for row in itertools.product((0, 1), repeat=10):
        wealth = np.cumprod([1 + fraction * (0.25, -0.6)[k] for k in row])
        exact += np.prod([(0.8, 0.2)[k] for k in row]) * (wealth.min() <= 0.5)
    drawn = bet.ruin(fraction, floor=0.5, bets=10, paths=20_000, seed=1)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    assert bet.ruin(fraction, seed=3) == bet.ruin(fraction, seed=3)


def test_the_short_side_walks_the_same_book():
    """Sold for S dollars, the price falls by a fifth, the same coins bought back: nothing is left of 4 %."""
    market, sold = ps.Market(price=80.0, depth=3e6), 60e6
    y = -np.log1p(-sold / 3e8)
    assert market.proceeds(0.0, y) == pytest.approx(sold)
    later = -np.log(0.8)
    paid = -market.proceeds(later, later - y)
    bet = ps.kelly([-0.2, 0.5], [0.9, 0.1], wealth=sold, depth=3e6)
    won, lost = 1 - paid / sold, 1 - 1.5 * paid / (0.8 * sold)
    assert bet.growth_at(-1.0) == pytest.approx(0.9 * np.log1p(won) + 0.1 * np.log1p(lost))


def test_ruin_counts_the_floor_itself():
    assert ps.kelly([0.5, -0.5]).ruin(1.0, floor=0.5, bets=1) == pytest.approx(0.5, abs=0.02)


def test_outcomes_are_the_bets_own():
    given = np.array([0.25, -0.5])
    bet = ps.kelly(given, [0.9, 0.1])
    before = bet.growth_at(0.3)
    given[:] = 0
    assert bet.growth_at(0.3) == before
