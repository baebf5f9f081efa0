"""A coin that pays a debt in dollars: the simulator against the closed form, down to its death."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import panicsim as ps
from panicsim.mint import MarketCap
from panicsim.pools import ConstantProduct

CAP = 22.1e9
elasticities = st.floats(0.0, 0.7)


def spiral(a, share, dt, over=24.0):
    cap = MarketCap(80.0, CAP, a)
    run = ps.simulate(
        ps.Market(price=80.0, depth=cap.depth),
        [ps.Redeemers(share * CAP, over=over)],
        hours=over + 2,
        dt=dt,
    )
    return cap, run


@given(a=elasticities, part=st.floats(0.05, 0.6))
def test_film_approaches_the_closed_form(a, part):
    """Half the step, half the error; redeeming mints at the price seen and sells at the fill."""
    share = part * min((1 - a) / a if a else 2.0, 2.0)
    cap = MarketCap(80.0, CAP, a)
    exact = cap.fall_after(share * CAP)
    errors = [abs(spiral(a, share, dt)[1].fall[-1, 0] - exact) for dt in (0.2, 0.1)]
    assert errors[1] < 0.03 * exact
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.35)


def test_film_dies_at_the_finite_amount():
    """At a = 0.8 a quarter of the market value in redemptions is the end; a little less is not."""
    alive, dead = spiral(0.8, 0.24, 0.02), spiral(0.8, 0.26, 0.02)
    assert alive[0].dead_at == pytest.approx(0.25 * CAP)
    assert alive[1].fall[-1, 0] == pytest.approx(alive[0].fall_after(0.24 * CAP), rel=0.02)
    assert dead[1].fall[-1, 0] == 700.0
    assert dead[0].fall_after(0.26 * CAP) == np.inf


@given(a=elasticities, fall=st.floats(0.0, 5.0))
def test_money_and_coins_of_the_closed_form(a, fall):
    """What the market has paid and taken on the way to a fall is what was redeemed and minted."""
    cap = MarketCap(80.0, CAP, a)
    market = ps.Market(price=80.0, depth=cap.depth)
    redeemed = market.proceeds(0.0, fall)
    assert cap.fall_after(redeemed) == pytest.approx(fall, rel=1e-5, abs=1e-9)
    minted = cap.supply(fall) - cap.supply(0.0)
    assert market.absorbed(fall) == pytest.approx(minted, rel=1e-6, abs=1.0)
    # The worth of all coins is M0 (P/P0)^a.
    assert cap.supply(fall) * market.price_at(fall) == pytest.approx(CAP * np.exp(-a * fall))


def test_a_constant_product_pool_is_the_case_of_one_half():
    pool = ConstantProduct(coins=5e4, usd=4e6)
    cap = MarketCap(80.0, 4e6, 0.5)
    x = np.linspace(0, 3, 7)
    np.testing.assert_allclose(cap.depth(x), pool.depth(x))


def test_what_a_rule_defers_stays_a_claim_in_dollars():
    """A queue that lets out few coins a day redeems fewer dollars, and mints the rest later and lower."""
    cap = MarketCap(80.0, CAP, 0.5)
    market = ps.Market(price=80.0, depth=cap.depth)
    crowd = [ps.Redeemers(0.3 * CAP, over=12)]
    free = ps.simulate(market, crowd, hours=60)
    slow = ps.simulate(market, crowd, rules=[ps.RedemptionQueue(per_day=8e7)], hours=60)
    paid = slow.books["Redeemers"]["redeemed"]
    assert paid[240, 0] < 0.5 * free.books["Redeemers"]["redeemed"][240, 0]
    assert paid[-1, 0] == pytest.approx(0.3 * CAP)
    assert slow.fall[-1, 0] == pytest.approx(free.fall[-1, 0], rel=0.02)


def test_photograph_sees_what_a_lower_price_adds():
    """All of the debt at one price: e^x (1 - u) = 1 where the market value is fixed."""
    cap = MarketCap(80.0, CAP, 0.0)
    market = ps.Market(price=80.0, depth=cap.depth)
    first = float(market.fall_at(0.3 * CAP / 80.0))
    photo = ps.cascade(market, [ps.Redeemers(0.3 * CAP, over=12)], first)
    assert photo.fall == pytest.approx(-np.log(1 - 0.3), rel=1e-4)


def test_redeemers_do_not_flee_from_a_gate():
    """They hold a claim in dollars: no rush makes them look at another price than the one that is there."""
    market, debt = ps.Market(price=80.0, depth=2e7), 3e8
    rushed = [ps.RedemptionQueue(gate=0.3, rush=0.2)], [ps.CircuitBreaker(0.3, 0.0, magnet=0.2)]
    for rules in ([], *rushed):
        run = ps.simulate(market, [ps.Redeemers(debt, over=12)], rules=rules, hours=30)
        assert ps.metrics(run).ledger["Redeemers"]["usd"][0] == pytest.approx(299.9e6, rel=1e-4)
    heat = ps.radar(ps.Market(), [ps.Redeemers(1e8, over=24)], fall=0.02, worst=0.10).heat
    np.testing.assert_allclose(heat, 1e6 * np.exp(0.01 * np.arange(40)), rtol=0.01)
