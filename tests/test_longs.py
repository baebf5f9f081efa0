"""Longs: the cumulative liquidation map against the positions themselves."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import panicsim as ps

MARKET = ps.Market()
TENTH_OF_A_BASIS_POINT = 1e-5


def exact(longs, fall, market=MARKET):
    """Coins whose liquidation price has been touched, position by position."""
    touched = np.ravel(longs.liquidation_price) >= market.price * np.exp(-fall)
    return np.ravel(longs.size)[touched].sum()


@given(
    leverage=st.lists(st.floats(1.01, 150), min_size=1, max_size=8),
    fall=st.floats(0, 3),
    price=st.floats(0.01, 1e5),
)
def test_map_is_within_a_tenth_of_a_basis_point(leverage, fall, price):
    longs, market = ps.Longs(price, 3.0, leverage), ps.Market(price=price)
    sold = longs.sold_by(fall, market)
    early, late = (exact(longs, fall + side * TENTH_OF_A_BASIS_POINT, market) for side in (-1, 1))
    assert early - 1e-9 <= sold <= late + 1e-9


def test_levels_are_hit_where_they_are():
    """One position: nothing 0.1 bp before its level, everything 0.1 bp after."""
    rng = np.random.default_rng(8)
    for leverage in rng.uniform(2, 100, 200):
        longs = ps.Longs(100, 7.0, leverage)
        level = np.log(100 / longs.liquidation_price)
        assert longs.sold_by(level - TENTH_OF_A_BASIS_POINT, MARKET) == 0
        assert longs.sold_by(level + TENTH_OF_A_BASIS_POINT, MARKET) == 7


def test_million_positions_cost_a_map_and_no_more():
    n = 1_000_000
    longs = ps.Longs.spread(50e6, n=n, seed=2)
    assert longs.size.sum() == pytest.approx(50e6 / 100)
    assert longs._map.table.size < 60_000
    fall = np.linspace(0, 0.5, 400)
    assert np.abs(longs.sold_by(fall, MARKET) - [exact(longs, x) for x in fall]).max() < 1e-3 * 5e5

    def peak(crowd):
        tracemalloc.start()
        ps.simulate(ps.Market(volatility=1.0), crowd, hours=10, paths=200)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    assert peak([longs]) < 1.1 * peak([ps.Longs.spread(50e6, n=10, seed=2)])


def test_nothing_is_sold_at_no_fall():
    """A position a hair under the price is under water at once, or else it waits for a fall."""
    hair = ps.Longs(entry=99.99999 * 0.995 / 0.95, size=5.0, leverage=20)
    try:
        hair.meets(MARKET)
    except ValueError as refused:
        assert "under water" in str(refused)
    else:
        assert hair.sold_by(0.0, MARKET) == 0
    close = ps.Longs(entry=99.999 * 0.995 / 0.95, size=5.0, leverage=20)
    assert ps.cascade(MARKET, [close], 0.0).fall == 0


def test_no_debt_no_liquidation():
    safe = ps.Longs(100, [1, 2], 1)
    assert safe.sold_by(600.0, MARKET) == 0
    assert ps.cascade(MARKET, [safe], 0.5).fall == 0.5


def test_empty_book():
    assert ps.Longs([], [], []).sold_by(np.array([0.1, 9]), MARKET).tolist() == [0, 0]
    assert ps.cascade(MARKET, [ps.Longs([], [], [])], 0.1).fall == pytest.approx(0.1)


def test_positions_broadcast_and_are_frozen():
    leverage = np.array([5.0, 10.0, 20.0])
    longs = ps.Longs(100, 4, leverage)
    leverage[:] = 99
    assert longs.leverage.tolist() == [5, 10, 20]
    assert longs.size.tolist() == [4, 4, 4]
    with pytest.raises(ValueError):
        longs.size[0] = 9
    grid = ps.Longs(np.array([[100.0], [90.0]]), 1, leverage)
    assert grid.liquidation_price.shape == (2, 3)
    assert grid.sold_by(2.0, MARKET) == 6


def test_spread_is_even_in_logarithm():
    longs = ps.Longs.spread(notional=40e6, price=100.0, leverage=(3, 25), n=20_000, seed=1)
    assert longs.leverage.min() >= 3
    assert longs.leverage.max() <= 25
    assert np.log(longs.leverage).mean() == pytest.approx(np.log(75) / 2, abs=0.01)
    np.testing.assert_array_equal(longs.leverage, ps.Longs.spread(40e6, n=20_000, seed=1).leverage)
    assert (longs.size * longs.entry).sum() == pytest.approx(40e6)


def test_queue_knows_the_debt_of_the_first_coins():
    """The highest liquidation price goes first, and takes its own debt along."""
    longs = ps.Longs(100, [10.0, 20.0, 30.0], [5, 20, 10])
    debts = [0, 20 * 95.0, 20 * 95.0 + 30 * 90.0, 20 * 95.0 + 30 * 90.0 + 10 * 80.0]
    np.testing.assert_allclose(longs.debt_of(np.array([0.0, 20, 50, 60])), debts)


def test_any_price_scale():
    """Prices in other units give the same fractions."""
    for scale in (1e-6, 1.0, 1e6):
        market = ps.Market(price=100 * scale, depth=2e6)
        longs = ps.Longs(100 * scale, 5e4 / scale, [5, 10, 20])
        assert ps.cascade(market, [longs], 0.05).fall == pytest.approx(0.075, abs=1e-9)


def test_bad_debt_does_not_depend_on_the_step():
    longs = ps.Longs(100, 2e4, np.array([60.0, 25.0, 12.0, 8.0]), lag=0.5)
    bad = [
        ps.metrics(ps.simulate(MARKET, [longs], [ps.News(-0.13)], hours=12, dt=dt)).bad_debt[0]
        for dt in (0.5, 0.1, 0.02)
    ]
    assert bad[0] == pytest.approx(bad[2], rel=0.2)
    assert bad[1] == pytest.approx(bad[2], rel=0.05)
