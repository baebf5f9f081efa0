"""Published results on options and those who hedge them, against formulas, simulation and plain loops."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from plain import LAMBDA, Linear

import panicsim as ps
from panicsim import options

MARKET = ps.Market()
NORMAL = NormalDist()
MONTH, WEEK = 720.0, 168.0


# --- D4: Black and Scholes ---


def terms(n=500):
    """Prices, strikes, hours and volatilities from all over the place."""
    rng = np.random.default_rng(1)
    low, high = np.array([[20, 20, 0.5, 0.1], [300, 300, 5_000, 2.0]])
    return rng.uniform(low, high, (n, 4)).T


def by_definition(price, strike, hours, volatility):
    """Value, delta and gamma of one call from the normal distribution of the standard library."""
    spread = volatility * math.sqrt(hours / 8760)
    d1 = math.log(price / strike) / spread + spread / 2
    value = price * NORMAL.cdf(d1) - strike * NORMAL.cdf(d1 - spread)
    return value, NORMAL.cdf(d1), NORMAL.pdf(d1) / (price * spread)


def test_black_and_scholes():
    """[D4] Black & Scholes 1973 without interest, against the standard library to 1e-12."""
    expected = np.array([by_definition(*row) for row in terms().T]).T
    for found, right in zip((options.call, options.delta, options.gamma), expected, strict=True):
        np.testing.assert_allclose(found(*terms()), right, rtol=0, atol=1e-12 * max(1, right.max()))
    with_numbers = options.call(100.0, 105.0, WEEK, 0.8)
    assert isinstance(with_numbers, float)
    assert with_numbers == pytest.approx(by_definition(100.0, 105.0, WEEK, 0.8)[0], abs=1e-12)


def test_greeks_are_slopes():
    """[D4] Delta is the slope of the value, gamma the slope of delta, by finite differences."""
    price, *rest = terms()
    h = 1e-3
    for curve, slope in ((options.call, options.delta), (options.delta, options.gamma)):
        difference = (curve(price + h, *rest) - curve(price - h, *rest)) / (2 * h)
        np.testing.assert_allclose(slope(price, *rest), difference, atol=1e-6)
    # A hedged option earns its gamma through time: theta + sigma^2 P^2 gamma/2 = 0.
    strike, hours, volatility = rest
    keep = hours > 24
    later = options.call(price, strike, hours - 0.01, volatility)
    theta = (later - options.call(price, strike, hours + 0.01, volatility)) / 0.02 * 8760
    earned = volatility**2 * price**2 * options.gamma(price, *rest) / 2
    np.testing.assert_allclose(-theta[keep], earned[keep], rtol=1e-4, atol=1e-3)


def test_calls_and_puts():
    """[D4] Parity: call - put = P - K, with the put integrated from its payoff; so a put's delta has one
    coin less, and the two are hedged by the same trades."""
    strike, hours, volatility, price = 110.0, MONTH, 0.8, 100.0
    spread = volatility * math.sqrt(hours / 8760)
    draws = np.array([NORMAL.inv_cdf(u) for u in (np.arange(20_000) + 0.5) / 20_000])
    ends = price * np.exp(spread * draws - spread**2 / 2)
    put = np.maximum(strike - ends, 0).mean()
    call = options.call(price, strike, hours, volatility)
    assert call - put == pytest.approx(price - strike, abs=2e-3)
    # Bounds, and what a call is worth far inside, far outside, and at the end.
    value = options.call(*terms())
    assert (value >= np.maximum(terms()[0] - terms()[1], 0) - 1e-12).all()
    assert (value <= terms()[0]).all()
    np.testing.assert_allclose(options.call([90, 100, 110], 100, 0, volatility), [0, 0, 10])
    assert options.delta(1e6, 100, hours, volatility) == pytest.approx(1)
    assert options.delta(1e-6, 100, hours, volatility) == pytest.approx(0)
    # Scale: twice the price and the strike, twice the value, the same delta, half the gamma.
    assert options.call(2 * price, 2 * strike, hours, volatility) == pytest.approx(2 * call)
    assert options.gamma(2 * price, 2 * strike, hours, volatility) == pytest.approx(
        options.gamma(price, strike, hours, volatility) / 2
    )


# --- D4: hedging in steps ---


def drawn(steps, paths, seed):
    """Prices of a month without drift in the price, at 80 % a year."""
    spread = 0.8 * math.sqrt(MONTH / 8760 / steps)
    moves = np.random.default_rng(seed).standard_normal((steps, paths)) * spread - spread**2 / 2
    return 100 * np.exp(np.concatenate([np.zeros((1, paths)), np.cumsum(moves, axis=0)]))


@pytest.mark.parametrize(("hedges", "found"), [(30, 0.156), (120, 0.080)])
def test_hedging_error(hedges, found):
    """[D4] Error/premium is near sqrt(pi/(4 N)): 0.162 and 0.081; simulated 0.156 and 0.080."""
    paths = 20_000
    error = options.hedging_error(drawn(hedges, paths, 3), 100.0, MONTH, 0.8)
    premium = options.call(100.0, 100.0, MONTH, 0.8)
    assert error.shape == (paths,)
    assert error.std() / premium == pytest.approx(math.sqrt(math.pi / (4 * hedges)), rel=0.05)
    assert error.std() / premium == pytest.approx(found, rel=0.03)
    # On average the seller earns nothing: the premium was fair.
    assert error.mean() == pytest.approx(0, abs=4 * error.std() / math.sqrt(paths))


def test_daily_hedge_of_a_month():
    """[D4] 0.886/sqrt(30) = 16.2 % of the premium."""
    assert math.sqrt(math.pi / 4) == pytest.approx(0.886, abs=5e-4)
    assert math.sqrt(math.pi / 4 / 30) == pytest.approx(0.162, abs=5e-4)


def test_hedging_error_by_hand():
    """[D4] One path, three hedges, cash counted step by step."""
    path = np.array([100.0, 96.0, 103.0, 108.0])
    cash, coins = options.call(100.0, 100.0, WEEK, 0.8), 0.0
    for i, price in enumerate(path[:-1]):
        target = options.delta(price, 100.0, WEEK * (1 - i / 3), 0.8)
        cash -= (target - coins) * price
        coins = target
    cash += coins * path[-1] - max(path[-1] - 100.0, 0)
    assert options.hedging_error(path[:, None], 100.0, WEEK, 0.8)[0] == pytest.approx(cash, rel=1e-12)


def test_hedge_fails_in_a_gap():
    """[D4] On a path without gaps the error is small; in a gap it is the option's convexity, however often
    one hedged before. Rehedging less often is `rehedge`."""
    calm = 100 * np.exp(0.002 * np.tile([1, -1], 360).cumsum())
    calm = np.concatenate([[100.0], calm])[:, None]
    gap = calm.copy()
    gap[360:] *= 0.8
    premium = options.call(100.0, 100.0, MONTH, 0.8)
    quiet, torn = (options.hedging_error(path, 100.0, MONTH, 0.8)[0] for path in (calm, gap))
    # Sold at 80 %, realised 19 %: a profit, but for the gap, which costs what gamma says or more.
    left = MONTH / 2
    before, after = calm[359, 0], gap[360, 0]
    lost = (
        options.call(after, 100.0, left, 0.8)
        - options.call(before, 100.0, left, 0.8)
        - options.delta(before, 100.0, left, 0.8) * (after - before)
    )
    assert quiet > 0
    assert quiet - torn > 0.5 * lost > 0.2 * premium
    every_row = options.hedging_error(drawn(120, 2_000, 4), 100.0, MONTH, 0.8).std()
    seldom = options.hedging_error(drawn(120, 2_000, 4), 100.0, MONTH, 0.8, rehedge=4).std()
    assert seldom / every_row == pytest.approx(2, rel=0.15)


# --- R5: dealers ---


def test_dealers_short_of_half_a_million_options():
    """[R5] P = 100, 80 %, a week: Gamma 0.03595, 17 977 coins a dollar = $1.80M per 1 %, g = 0.90."""
    assert options.gamma(100.0, 100.0, WEEK, 0.8) == pytest.approx(0.03595, abs=5e-6)
    dealers = ps.Dealers(strike=100.0, quantity=-500_000, expiry=WEEK, volatility=0.8)
    coins = -dealers.gamma(100.0)
    assert coins == pytest.approx(17_977, abs=0.5)
    # A fall of 1 % is one dollar, at $100 a coin.
    assert coins * 1.0 * 100 == pytest.approx(1.80e6, abs=5e3)
    assert ps.loop_gain(MARKET, [dealers], step=1e-7).total == pytest.approx(coins * 100 / LAMBDA, rel=1e-4)
    assert ps.loop_gain(MARKET, [dealers]).total == pytest.approx(0.90, abs=5e-3)
    # Near expiry the same options weigh more, and only around the strike.
    late = dealers.gamma(np.array([90.0, 100.0, 110.0]), time=WEEK - 6)
    early = dealers.gamma(np.array([90.0, 100.0, 110.0]))
    assert late[1] / early[1] == pytest.approx(math.sqrt(WEEK / 6), rel=1e-2)
    assert (np.abs(late[[0, 2]]) < 0.05 * np.abs(early[[0, 2]])).all()


def test_curve_of_dealers_is_their_hedge():
    """[R5] F(x) = -sum n (Delta(P0) - Delta(P0 exp(-x))): short gamma sells a fall, long gamma buys it."""
    strike, quantity, expiry = [90.0, 100.0, 120.0], [-2e5, 1e5, -3e5], [100.0, WEEK, 500.0]
    dealers = ps.Dealers(strike, quantity, expiry)
    falls = np.linspace(-0.3, 0.6, 91)
    expected = np.zeros(91)
    for k, n, hours in zip(strike, quantity, expiry, strict=True):
        start = by_definition(100.0, k, hours, 0.8)[1]
        expected -= [n * (start - by_definition(100 * math.exp(-x), k, hours, 0.8)[1]) for x in falls]
    np.testing.assert_allclose(dealers.sold_by(falls, MARKET), expected, atol=1e-6)
    assert dealers.hedge(100.0) == pytest.approx(
        -sum(n * options.delta(100.0, k, t, 0.8) for k, n, t in zip(strike, quantity, expiry, strict=True))
    )
    short, long = (ps.Dealers(100.0, n, WEEK) for n in (-2e5, 2e5))
    np.testing.assert_allclose(short.sold_by(falls, MARKET), -long.sold_by(falls, MARKET))
    assert short.sold_by(0.1, MARKET) > 0 > long.sold_by(0.1, MARKET)


@pytest.mark.parametrize(("gain", "long_run"), [(0.6, 6.25), (-0.6, 0.39)])
def test_feedback_changes_the_long_horizon(gain, long_run):
    """[R5] Frey & Stremme 1997: variance sigma^2/(1 - g)^2 over many steps, 6.25 and 0.39; over
    one step 1/(1 - g^2) = 1.56 for both signs, if stabilisers are a step late."""
    run = ps.simulate(ps.Market(volatility=1.0), [Linear(gain)], hours=400, dt=1.0, paths=3_000, seed=5)
    per_step = 1 / 8760
    many = (run.fall[-1] - run.fall[50]).var() / (350 * per_step)
    assert many == pytest.approx(long_run, rel=0.08)
    assert 1 / (1 - gain) ** 2 == pytest.approx(long_run, abs=5e-3)
    one = np.diff(run.fall[50:], axis=0).var() / per_step
    assert one == pytest.approx(1.5625, rel=0.02)


def test_short_gamma_amplifies_and_long_gamma_damps():
    """[R5] The sign follows the dealers' gamma, in a photograph, after a piece of news, and in the noise."""
    short, long = (ps.Dealers(100.0, n, 4 * MONTH, interval=0.0, lag=0.5) for n in (-6e5, 6e5))
    gain = ps.loop_gain(MARKET, [short], step=1e-6).total
    assert 0.2 < gain < 0.3
    photo = [ps.cascade(MARKET, crowd, 0.01).fall for crowd in ([long], [], [short])]
    assert photo[0] < photo[1] < photo[2]
    assert photo[2] == pytest.approx(0.01 / (1 - gain), rel=0.01)
    assert photo[0] == pytest.approx(0.01 / (1 + gain), rel=0.01)
    film = [ps.simulate(MARKET, crowd, [ps.News(-0.01)], hours=12) for crowd in ([long], [short])]
    assert film[0].fall[-1, 0] == pytest.approx(photo[0], rel=0.01)
    assert film[1].fall[-1, 0] == pytest.approx(photo[2], rel=0.01)
    noisy = ps.Market(volatility=0.2)
    spread = [
        ps.simulate(noisy, crowd, hours=200, dt=0.5, paths=500, seed=2).fall[-1].std()
        for crowd in ([long], [], [short])
    ]
    assert spread[0] / spread[1] == pytest.approx(1 / (1 + gain), rel=0.1)
    assert spread[2] / spread[1] == pytest.approx(1 / (1 - gain), rel=0.1)


@pytest.mark.parametrize("quantity", [-6e5, 6e5])
def test_dealers_trade_back(quantity):
    """[R5] Reversible, unlike liquidations: when the price is back, so is the hedge, but for the clock."""
    dealers = ps.Dealers(100.0, quantity, 10 * MONTH, interval=0.0, lag=0.1)
    events = [ps.News(-0.05, at=1), ps.News(0.05, at=12)]
    run = ps.simulate(MARKET, [dealers], events, hours=36)
    sold = run.sold["Dealers"][:, 0]
    assert np.sign(sold[200]) == -np.sign(quantity)
    assert abs(sold[200]) > 1e4
    assert abs(sold[-1]) < 0.02 * abs(sold[200])
    # An option at the money loses a little delta in a day and a half: that is what is left.
    clock = dealers.hedge(100.0) - dealers.hedge(run.price[-1, 0], time=36.0)
    assert sold[-1] == pytest.approx(clock, rel=0.01)
    assert run.fall[-1, 0] == pytest.approx(sold[-1] / LAMBDA, abs=1e-12)


def test_film_of_dealers_is_a_loop_over_options():
    """[R5] Strikes, signs, expiries within the run and a band, against a plain loop on the same noise."""
    strike, quantity = np.array([90.0, 95.0, 100.0, 105.0]), np.array([-2e5, 1e5, -3e5, 2e5])
    expiry, band, dt = np.array([24.0, 12.3, 48.0, 7.0]), 1_000.0, 0.05
    noise = np.random.default_rng(3).standard_normal((600, 1))
    dealers = ps.Dealers(strike, quantity, expiry, interval=0.5, band=band)
    run = ps.simulate(ps.Market(volatility=0.8), [dealers], hours=30, dt=dt, noise=noise)

    def delta(price, i, hours):
        if hours <= 1e-9:
            return float(price > strike[i])
        return by_definition(price, strike[i], hours, 0.8)[1]

    start = sum(n * delta(100, i, expiry[i]) for i, n in enumerate(quantity))
    fall, falls, sold, over = 0.0, [0.0], 0.0, {}
    for k in range(600):
        hour, price = k * dt, 100 * math.exp(-fall)
        ended = [i for i in range(4) if i not in over and expiry[i] <= hour + 1e-9]
        if k % 10 == 0 or ended:
            # What expires is in the money or not, once and for all: its coins are delivered.
            over |= {i: delta(price, i, 0) for i in ended}
            held = sum(n * over.get(i, delta(price, i, expiry[i] - hour)) for i, n in enumerate(quantity))
            if abs(held - start - sold) > band:
                fall += (held - start - sold) / LAMBDA
                sold = held - start
        fall -= noise[k, 0] * 0.8 * math.sqrt(dt / 8760)
        falls.append(fall)
    np.testing.assert_allclose(run.fall[:, 0], falls, atol=1e-11)
    assert run.sold["Dealers"][-1, 0] == pytest.approx(sold, abs=1e-3)
    assert len(over) == 3


def test_portfolio_insurance_is_a_dealer_short_of_puts():
    """[D4] [R5] Who replicates a put trades as one who has sold it and hedges: the same flow, falls sold."""
    insured, floor = 3e5, 90.0
    falls = np.linspace(0, 0.3, 31)
    prices = 100 * np.exp(-falls)
    # Replicating insured puts means to be short insured (1 - Delta) coins, and shorter as the price falls.
    short = insured * (1 - options.delta(prices, floor, MONTH, 0.8))
    dealers = ps.Dealers(floor, -insured, MONTH)
    np.testing.assert_allclose(dealers.sold_by(falls, MARKET), short - short[0], atol=1e-6)
    assert (np.diff(short) > 0).all()
