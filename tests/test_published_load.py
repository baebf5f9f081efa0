"""Published results on loads and calendars: miners, venues that share a load, late balancers, unlocks."""

import math

import numpy as np
import pytest
from plain import LAMBDA

import panicsim as ps
from panicsim.games import delayed_balance

MARKET = ps.Market()


# --- R1: miners ---


def test_break_even_of_a_machine():
    """[R1] $50 a day for 1 PH/s at 20 J/TH: 480 kWh a day, 10.4 cents a kWh."""
    kilowatts = 1_000 * 20 / 1_000  # 1 PH/s is 1 000 TH/s, and a joule a second is a watt
    energy = 24 * kilowatts
    assert energy == pytest.approx(480)
    assert 100 * 50 / energy == pytest.approx(10.4, abs=0.05)
    # The same machine in the library, paid in coins of $60 000: at 10.4 cents it breaks even there.
    price = 60_000.0
    miners = ps.Miners(cost=0.104 * energy, produced=50 / price)
    assert miners.breakeven == pytest.approx(price, rel=5e-3)


def test_price_below_which_reserves_are_sold():
    """[R1] Power is 70 % of revenue at $60 000 a coin: below $42 000 the day's coins do not pay the day."""
    produced, price = 450.0, 60_000.0
    miners = ps.Miners(cost=0.7 * price * produced, produced=produced)
    assert miners.breakeven == pytest.approx(42_000)
    above, at, below = miners.rate(np.array([60_000.0, 42_000.0, 30_000.0]))
    assert above == pytest.approx(0.7 * produced)
    assert at == pytest.approx(produced)
    assert below == pytest.approx(1.4 * produced)


def test_miners_sell_more_coins_the_lower_the_price():
    """[R1] C/P coins a day up to what they have; a gain of C/(P0 Lambda) for each day of the horizon."""
    miners = ps.Miners(cost=2e6, produced=1e4, horizon=48.0)
    slope = 2 * 2e6 / 100
    assert ps.loop_gain(MARKET, [miners], step=1e-7).total == pytest.approx(slope / LAMBDA, rel=1e-5)
    falls = np.array([0.0, 0.1, 0.5])
    np.testing.assert_allclose(miners.sold_by(falls, MARKET), 2 * 2e4 * np.expm1(falls))
    capped = ps.Miners(cost=2e6, produced=1e4, cap=2.1e4, horizon=24.0)
    np.testing.assert_allclose(capped.sold_by(falls, MARKET), [0, 1e3, 1e3])


def test_curtailment_cuts_the_arrow():
    """[R1] Below the break-even price a flexible miner sells electricity back, not coins."""
    rigid, flexible = (
        ps.Miners(cost=0.95e6, produced=1e4, curtailment=share, horizon=24.0) for share in (0, 0.6)
    )
    before, after = (np.log(100 / price) for price in (95.5, 94.5))
    assert flexible.sold_by(before, MARKET) == rigid.sold_by(before, MARKET) > 0
    assert rigid.sold_by(after, MARKET) > 0 > flexible.sold_by(after, MARKET)
    np.testing.assert_allclose(flexible.rate(90.0), 0.4 * rigid.rate(90.0))
    # Over the price of their bills both have the same gain; in a crash the flexible ones stop selling.
    one, other = (
        ps.simulate(MARKET, [miners], [ps.News(-0.2)], hours=240).fall[-1, 0] for miners in (rigid, flexible)
    )
    assert one > 0.2 > other


@pytest.mark.parametrize("fall", [0.05, 0.3])
def test_film_of_miners_adds_up_a_rate(fall):
    """[R1] At a price that stays, a film of a day sells what the photograph counts in 24 hours; the price
    that their own sales move is followed by x' = C/(24 P0 Lambda) (e^x - 1)."""
    miners, deep = ps.Miners(cost=1e6, produced=1e4, horizon=24.0), ps.Market(depth=2e12)
    run = ps.simulate(deep, [miners], [ps.News(-fall)], hours=24.05, dt=0.05)
    assert run.sold["Miners"][-1, 0] == pytest.approx(miners.sold_by(fall, deep), rel=1e-6)
    run = ps.simulate(MARKET, [miners], [ps.News(-fall)], hours=240, dt=0.05)
    # Solved: 1 - e^-x = (1 - e^-s) e^(a t) with a = C/(24 P0 Lambda).
    growth = math.exp(1e6 / (24 * 100 * LAMBDA) * 240)
    assert run.fall[-1, 0] == pytest.approx(-math.log(1 - growth * -math.expm1(-fall)), rel=1e-4)


# --- R1: a load that is shared ---


def test_shared_load_breaks_at_a_quarter():
    """[R1] Pradhan, Hansen & Chakrabarti 2010: u = (1 + sqrt(1 - 4 W))/2; 0.24 leaves 0.600, 0.26 none, and
    at the last straw, W = 1/4, half of them are gone."""
    assert ps.surviving_share(0.24) == pytest.approx(0.600, abs=1e-12)
    assert ps.surviving_share(0.25) == 0.5
    assert ps.surviving_share(0.26) == 0
    load = np.linspace(0, 0.25, 26)
    share = ps.surviving_share(load)
    np.testing.assert_allclose(share[1:], 1 - load[1:] / share[1:], rtol=1e-12)
    # Below the upper root lies one that is unstable: the square root makes the end infinitely steep.
    h = 1e-8
    assert (ps.surviving_share(0.25 - h) - 0.5) / math.sqrt(h) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("load", [0.1, 0.24, 0.26])
def test_counted_cascade_of_venues(load, seed):
    """[R1] Venues that fail one round after the other, by a plain loop; about 0.600 at W = 0.24."""
    n = 40_000
    capacity = np.random.default_rng(seed).random(n)
    alive = np.ones(n, dtype=bool)
    while alive.any():
        stands = alive & (capacity >= load * n / alive.sum())
        if stands.sum() == alive.sum():
            break
        alive = stands
    assert ps.surviving_share(load, capacity) == alive.mean()
    assert alive.mean() == pytest.approx(ps.surviving_share(load), abs=0.02)
    # The same as a cascade: every failure hands its load on.
    assert (capacity[~alive] < load / max(alive.mean(), 1 / n)).all()


# --- R1: a balancer that is late ---


@pytest.mark.parametrize(("product", "grows"), [(1.5, False), (1.65, True)])
def test_late_balancer(product, grows):
    """[R1] Hayes 1950: x' = -K x(t - tau) dies out if K tau < pi/2 and grows beyond it."""
    delay = 2.0
    path = delayed_balance(product / delay, delay, hours=200)
    early, late = np.abs(path[4_000:8_000]).max(), np.abs(path[16_000:]).max()
    assert (late > early) == grows
    # How fast: the root of z = -K tau exp(-z) with the largest real part, by Newton from i pi/2.
    z = 1j * math.pi / 2
    for _ in range(50):
        z -= (z + product * np.exp(-z)) / (1 - product * np.exp(-z))
    assert abs(z + product * np.exp(-z)) < 1e-12
    assert math.log(late / early) == pytest.approx(z.real / delay * 120, rel=0.1)


def test_late_balancer_step_by_step():
    """[R1] Solved piece by piece: 1 - K t on the first delay, with (K (t - tau))^2/2 added on the second."""
    speed, delay, dt = 0.8, 1.5, 0.01
    path = delayed_balance(speed, delay, hours=3.0, dt=dt)
    time = dt * np.arange(301)
    exact = 1 - speed * time + np.where(time > delay, (speed * (time - delay)) ** 2 / 2, 0)
    np.testing.assert_allclose(path, exact, atol=1e-4)
    # Without delay nothing ever overshoots; at K tau = pi/2 it swings for ever, once in 4 tau.
    assert delayed_balance(2.0, 0.0, 3.0)[-1] == pytest.approx(math.exp(-6), rel=1e-3)
    swing = delayed_balance(math.pi / 2, 1.0, 200.0)
    assert np.abs(swing[-400:]).max() == pytest.approx(np.abs(swing[-4_400:-4_000]).max(), rel=2e-3)
    crossings = np.flatnonzero(np.diff(np.sign(swing[-4_000:])))
    assert np.diff(crossings).mean() == pytest.approx(200, abs=1)


# --- R4, C4: a calendar of sales ---

SUPPLY = 1e8
THIN = ps.Market(price=2.0, depth=0.5e6)


def test_cliff_and_its_ninth():
    """[R4] 5 % of 100M unlock, 30 % are sold, depth $0.5M per 1 % at $2: Lambda 25M, a cliff of 6.0 %;
    evenly over 180 days with rho = 0.05 a day 0.667 %, a ninth."""
    assert THIN.depth_coins() == pytest.approx(25e6)
    cliff = ps.Sale.vesting(0.05 * SUPPLY, sold=0.3)
    run = ps.simulate(THIN, [], [cliff], hours=1)
    assert run.fall.max() == pytest.approx(0.06, rel=1e-12)
    days, rho = 180, 0.05
    linear = ps.Sale.vesting(0.05 * SUPPLY, sold=0.3, over=days * 24.0)
    recovering = ps.Market(price=2.0, depth=0.5e6, recovery=rho / 24)
    run = ps.simulate(recovering, [], [linear], hours=200 * 24, dt=1.0)
    assert 100 * run.fall.max() == pytest.approx(0.667, rel=0.01)
    assert run.fall.max() == pytest.approx(0.06 * -math.expm1(-rho * days) / (rho * days), rel=0.01)
    assert 0.06 / run.fall.max() == pytest.approx(9, rel=0.01)
    assert run.outside[-1, 0] == pytest.approx(1.5e6, rel=1e-12)
    # The deepest point is on the last day of the vesting: until then more comes than goes.
    assert run.time[run.fall[:, 0].argmax()] == pytest.approx(days * 24, abs=1)


@pytest.mark.parametrize("product", [0.1, 1.0, 5.0, 9.0])
def test_slow_sale_has_a_smaller_peak(product):
    """[R4] [C4] Peak ratio (1 - exp(-rho T))/(rho T), within 1 %, however the two are shared out."""
    hours = 48.0
    for market, sale in (
        (ps.Market(recovery=product / hours), ps.Sale.vesting(2e5, over=hours)),
        # Sold in advance of a cliff: the same stretch of time, only earlier.
        (ps.Market(recovery=product / hours), ps.Sale.vesting(2e5, at=60.0, ahead=hours)),
        (ps.Market(recovery=product / hours), ps.Sale.vesting(4e5, 0.5, at=60.0, over=30.0, ahead=18.0)),
    ):
        run = ps.simulate(market, [], [sale], hours=120)
        assert run.fall.max() / 0.1 == pytest.approx(-math.expm1(-product) / product, rel=0.01)
        assert run.outside[-1, 0] == pytest.approx(2e5, rel=1e-12)


def test_calendar_changes_nothing_without_recovery():
    """[R4] Coins are conserved: cliff, vesting and anticipation end at one price and bring the same."""
    ends, dollars = [], []
    for terms in ({}, {"over": 50.0}, {"at": 20.0, "ahead": 20.0}, {"at": 20.0, "over": 30.0, "ahead": 10.0}):
        run = ps.simulate(MARKET, [ps.Herd(1e6)], [ps.Sale.vesting(4e5, 0.5, **terms)], hours=96)
        ends.append(run.fall[-1, 0])
        alone = ps.simulate(MARKET, [], [ps.Sale.vesting(4e5, 0.5, **terms)], hours=96)
        row = ps.metrics(alone).ledger["Sale"]
        assert row["coins"][0] == pytest.approx(2e5, rel=1e-12)
        dollars.append(row["usd"][0])
    np.testing.assert_allclose(ends, 0.2, rtol=1e-6)
    np.testing.assert_allclose(dollars, 100 * LAMBDA * -math.expm1(-0.1), rtol=1e-9)


def test_anticipated_cliff_comes_early():
    """[R4] Sellers who come ahead make the price fall before the date, and on it nothing happens."""
    run = ps.simulate(MARKET, [], [ps.Sale.vesting(2e5, at=48.0, ahead=24.0)], hours=72)
    sold = run.outside[:, 0]
    assert sold[run.time <= 24].max() == 0
    assert sold[np.searchsorted(run.time, 36.0)] == pytest.approx(1e5)
    assert run.fall[run.time >= 48, 0] == pytest.approx(0.1)
