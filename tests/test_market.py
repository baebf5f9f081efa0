"""The market: depth, its integral and inverse, and the money that a move pays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain import LAMBDA, fill

import panicsim as ps

MARKET = ps.Market()
EVAPORATING = ps.Market(depth=lambda x: 2e6 * (0.2 + 0.8 * np.exp(-np.maximum(x, 0) / 0.15)))
STEEP = ps.Market(depth=lambda x: np.where(x < 0.1, 2e6, 0.5e6))
markets = pytest.mark.parametrize(
    "market", [MARKET, EVAPORATING, STEEP], ids=["constant", "evaporating", "step"]
)
falls = st.floats(-1, 3)


def test_depth_is_dollars_per_percent():
    """$2M per 1 % at $100: 2 000 000 coins per unit of log price."""
    assert MARKET.depth_coins() == LAMBDA
    assert MARKET.absorbed(0.01) * 100 == pytest.approx(2e6)
    assert ps.Market(price=0.5, depth=1e6).depth_coins() == 2e8


@markets
@given(fall=falls)
def test_fall_at_inverts_absorbed(market, fall):
    assert market.fall_at(market.absorbed(fall)) == pytest.approx(fall, abs=1e-12)
    assert market.absorbed(0.0) == pytest.approx(0, abs=1e-6)


@markets
@given(before=falls, after=falls)
def test_absorbed_is_the_integral_of_depth(market, before, after):
    x = np.linspace(before, after, 20_001)
    depth = market.depth(x) if callable(market.depth) else np.full(x.shape, market.depth)
    expected = np.trapezoid(depth, x)
    assert market.absorbed(after) - market.absorbed(before) == pytest.approx(expected, abs=2e6 * 2e-4)


@markets
@given(before=falls, after=falls)
def test_proceeds_are_the_price_times_the_coins(market, before, after):
    """The average price lies between the ends, and money is the integral of price over coins."""
    x = np.linspace(before, after, 20_001)
    coins = np.diff(market.absorbed(x))
    expected = (market.price_at((x[1:] + x[:-1]) / 2) * coins).sum()
    assert market.proceeds(before, after) == pytest.approx(expected, rel=1e-6, abs=10)


@given(fall=falls, coins=st.floats(-5e5, 5e5).filter(lambda q: abs(q) > 1))
def test_average_fill_is_the_closed_form(fall, coins):
    """P Lambda/q (1 - exp(-q/Lambda)), and Lambda (P_before - P_after) for the money."""
    price = MARKET.price_at(fall)
    paid = MARKET.proceeds(fall, fall + coins / LAMBDA)
    assert paid == pytest.approx(coins * fill(price, coins), rel=1e-9)
    assert paid == pytest.approx(LAMBDA * (price - MARKET.price_at(fall + coins / LAMBDA)), rel=1e-6)


@markets
def test_one_sale_or_many(market):
    """Linear impact on the log price is chunk-invariant."""
    start = market.absorbed(0.05)
    x, paid = 0.05, 0.0
    for part in range(1, 101):
        after = market.fall_at(start + 3e5 * part / 100)
        paid += market.proceeds(x, after)
        x = after
    assert x == pytest.approx(market.fall_at(start + 3e5), rel=1e-12)
    assert paid == pytest.approx(market.proceeds(0.05, x), rel=1e-12)


@markets
def test_depth_coins_is_the_depth(market):
    """To a thousandth: the table has a row for every basis point."""
    x = np.array([-0.5, 0.0, 0.05, 0.3, 1.0])
    depth = market.depth(x) if callable(market.depth) else np.full(x.shape, market.depth)
    np.testing.assert_allclose(market.depth_coins(x), depth / (0.01 * market.price), rtol=1e-3)


@markets
def test_any_shape(market):
    x = np.linspace(0, 1, 6).reshape(2, 3)
    for method in (market.absorbed, market.fall_at, market.price_at, market.depth_coins):
        assert np.shape(method(x)) == (2, 3)
        assert np.shape(method(np.float64(0.1))) == ()


def test_walking_a_deep_fall_stays_finite():
    for market in (MARKET, EVAPORATING, STEEP):
        assert market.price_at(700.0) < 1e-300
        assert np.isfinite(market.absorbed(700.0))
        assert market.fall_at(market.absorbed(700.0)) == pytest.approx(700)


def test_markets_are_values():
    assert ps.Market() == ps.Market(price=100, depth=2_000_000)
    assert hash(ps.Market()) == hash(ps.Market())
    with pytest.raises(AttributeError):
        MARKET.price = 5
    assert "depth=2000000.0" in repr(MARKET)


@pytest.mark.parametrize(("before", "after"), [(-3, -2.5), (6, 7), (10, 20), (0, 3e-5), (0.013, 0.01301)])
def test_a_book_by_fall_pays_what_a_book_by_number_pays(before, after):
    """The same depth as a number and as a function: money agrees outside the table and between its rows."""
    plain, table = ps.Market(), ps.Market(depth=lambda fall: 2e6 + 0 * fall)
    assert table.proceeds(before, after) == pytest.approx(plain.proceeds(before, after), rel=1e-9)
