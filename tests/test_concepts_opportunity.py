"""The numbers on the radar, the contrarian and risk that the chapters print, one test a claim."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from plain import LAMBDA, Linear, Steps

import panicsim as ps
from panicsim.cast import cast
from panicsim.mint import MarketCap

MARKET = ps.Market()
Z99 = NormalDist().inv_cdf(0.99)


def longs_between(low, high, usd, n=20_000):
    """Equal longs with liquidation levels evenly between two log falls; `usd` counts their coins at $100."""
    levels = low + (high - low) * (np.arange(n) + 0.5) / n
    return ps.Longs(100 * np.exp(-levels) * (1 - 0.005) / (1 - 1 / 20), usd / 100 / n, 20, lag=0)


def tips(crowd, depth=LAMBDA, jump=0.01, grid=1e-4, market=MARKET):
    """Smallest shock on a grid after which the end is more than `jump` (and the grid) away from the last end.

    Ends by brute force: the first fall of a fine list at which the book has taken shock and sales.
    """
    x = np.arange(0, 3, 1e-5)
    taken = np.maximum.accumulate(depth * x - sum(p.sold_by(x, market) for p in crowd))
    shocks = np.arange(0, 0.4, grid)
    first = np.searchsorted(taken, depth * shocks - 1e-6)
    ends = np.where(first < len(x), x[np.minimum(first, len(x) - 1)], np.inf)
    far = np.flatnonzero(np.diff(ends) > jump + grid)
    return shocks[far[0] + 1] if far.size else math.inf


# --- Identifying potential liquidity events (C7) ---

BOOKS = {
    "fear": [ps.Fear(holdings=4e5, threshold=0.10, width=0.025)],
    "uniform": [longs_between(0.08, 0.18, 30e6)],
    "longs and a herd": [ps.Longs.spread(notional=60e6, n=3000, seed=3), ps.Herd(0.4e6)],
    "levels": [Steps([0.05, 0.09, 0.12], [6e4, 9e4, 4e4])],
    "the cast, doubled": [*cast(9)[:1], *cast(9)[2:5], *cast(9)[2:5]],
    "nobody": [],
}


@pytest.mark.parametrize("crowd", BOOKS.values(), ids=BOOKS)
def test_tipping_shock_is_where_the_end_jumps(crowd):
    """C7. The map's tipping shock is the jump that scanning all shocks finds, to one grid step."""
    expected, found = tips(crowd), ps.tipping_shock(MARKET, crowd)
    assert found == expected or found == pytest.approx(expected, abs=1.5e-4)
    assert ps.radar(MARKET, crowd).tipping == found


@pytest.mark.parametrize("fall", [0.0, 0.03, 0.06])
def test_tipping_is_closer_further_down(fall):
    """C7. Along a run the radar knows the price of now: what is left to the edge, by the same scan from
    there."""
    crowd = BOOKS["uniform"]
    moved = [longs_between(0.08 - fall, 0.18 - fall, 30e6)]
    assert ps.radar(MARKET, crowd, fall=fall).tipping == pytest.approx(tips(moved), abs=1.5e-4)
    # Who is done is done: after a worst fall of 20 % and a return nothing is left to tip.
    assert ps.radar(MARKET, crowd, fall=fall, worst=0.20).tipping == math.inf


def test_thirty_million_between_eight_and_eighteen():
    """C7. $30M evenly between -8 and -18 % (log; coins counted at $100), $2M per 1 %: g = 1.5 in the band,
    s* = 8 %, end 23 % (-20.5 %). Twice the depth and a shock of 10 %: g = 0.75 and 16 %."""
    crowd = [longs_between(0.08, 0.18, 30e6)]
    screen = ps.radar(MARKET, crowd, deepest=0.30)
    inside = (screen.fall > 0.075) & (screen.fall < 0.175)
    # A level on the edge of a bin is in either: one long is $1500.
    np.testing.assert_allclose(screen.heat, np.where(inside, 3e6, 0), atol=2e3)
    np.testing.assert_allclose(screen.gain, np.where(inside, 1.5, 0), atol=1e-3)
    assert screen.tipping == pytest.approx(0.08, abs=1e-4)
    assert ps.cascade(MARKET, crowd, 0.0799).fall == pytest.approx(0.0799, abs=1e-9)
    photo = ps.cascade(MARKET, crowd, 0.0802)
    assert photo.fall == pytest.approx(0.2302, abs=1e-9)
    assert ps.cascade(MARKET, crowd, 0.08 + 1e-5).fall == pytest.approx(0.23, abs=1e-4)
    assert 1 - math.exp(-0.23) == pytest.approx(0.205, abs=5e-4)
    double = ps.Market(depth=4e6)
    assert ps.radar(double, crowd).gain.max() == pytest.approx(0.75, rel=1e-3)
    assert ps.cascade(double, crowd, 0.10).fall == pytest.approx(0.16, abs=1e-4)
    assert ps.radar(double, crowd).tipping == math.inf


def test_thirty_million_at_their_own_prices():
    """C7. If the $30M are what the longs fetch where they are liquidated, they are more coins: g is 1.5
    e^x, 1.6 to 1.8, and the end 8 + 150 (e^0.18 - e^0.08) = 25.1 %. The tipping shock is the same."""
    levels = 0.08 + 0.10 * (np.arange(20_000) + 0.5) / 20_000
    coins = 30e6 / 20_000 / (100 * np.exp(-levels))
    crowd = [ps.Longs(100 * np.exp(-levels) * (1 - 0.005) / (1 - 1 / 20), coins, 20)]
    assert ps.cascade(MARKET, crowd, 0.08 + 1e-5).fall == pytest.approx(0.251, abs=5e-4)
    assert ps.tipping_shock(MARKET, crowd) == pytest.approx(0.08, abs=1e-4)


@pytest.mark.parametrize("gain", [-0.5, 0.0, 0.3, 0.6, 0.9])
def test_memory_of_increments_estimates_the_gain(gain):
    """C7. A herd that trades both ways and answers once a step: 20 000 increments give g within 0.03, and
    their variance is that of the news over 1 - g^2."""
    market, n = ps.Market(volatility=0.8), 20_000
    herd = ps.Herd(abs(gain) * 2e6, one_way=False, lag=0)
    if gain < 0:  # who buys falls a step late
        herd = Linear(gain)
    run = ps.simulate(market, [herd], hours=(n + 100) * 0.05, dt=0.05, seed=11)
    seen = ps.early_warning(run, window=n)
    assert seen.ar1[-1, 0] == pytest.approx(gain, abs=0.03)
    steps = np.diff(run.fall[-n - 1 :, 0])
    assert seen.ar1[-1, 0] == pytest.approx(np.corrcoef(steps[1:], steps[:-1])[0, 1], abs=1e-3)
    assert seen.variance[-1, 0] == pytest.approx(steps.var(ddof=1), rel=1e-9)
    news = 0.8**2 * 0.05 / 8760
    # Standard error of a variance of an AR(1): sqrt(2/n (1 + g^2)/(1 - g^2)) of it.
    error = math.sqrt(2 / n * (1 + gain**2) / (1 - gain**2))
    assert seen.variance[-1, 0] == pytest.approx(news / (1 - gain**2), rel=3.5 * error)


def test_warnings_have_no_hindsight():
    """C7. What was seen at a row is the same, to the last digit, if the series ends there."""
    run = ps.simulate(ps.Market(volatility=1.0), [ps.Herd(1e6, one_way=False)], hours=60, dt=0.1, paths=3)
    whole = ps.early_warning(run, window=100)
    for hour in (15.0, 33.3, 60.0):
        cut = ps.early_warning(run.until(hour), window=100)
        np.testing.assert_array_equal(cut.ar1, whole.ar1[: len(cut.ar1)])
        np.testing.assert_array_equal(cut.variance, whole.variance[: len(cut.variance)])
    assert np.isnan(whole.ar1[:100]).all()
    assert np.isfinite(whole.ar1[100:]).all()


def test_price_chart_does_not_show_the_map():
    """C7. One price path to the last digit, while open interest below it triples and the tipping shock
    goes from nowhere to 15 %, and to 3 % once new longs stand closer: the map sees it, the price and its
    warnings do not."""
    market, shape = ps.Market(volatility=0.3), {"hours": 48, "dt": 0.1, "seed": 4}
    crowds = [
        [longs_between(0.15, 0.25, 15e6)],
        [longs_between(0.15, 0.25, 45e6)],
        [longs_between(0.03, 0.10, 45e6)],
    ]
    runs = [ps.simulate(market, crowd, **shape) for crowd in crowds]
    worst = runs[0].fall.max()
    assert worst < 0.03
    for run in runs[1:]:
        np.testing.assert_array_equal(run.fall, runs[0].fall)
        np.testing.assert_array_equal(ps.early_warning(run, 100).ar1, ps.early_warning(runs[0], 100).ar1)
    assert [ps.radar(market, crowd).tipping for crowd in crowds] == [
        math.inf,
        pytest.approx(0.15, abs=1e-4),
        pytest.approx(0.03, abs=1e-4),
    ]


# --- Recognising overreaction (C8) ---


@pytest.mark.parametrize("lag", [0.0, 0.5])
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("gain", [0.3, 0.6, 0.8])
def test_share_of_a_fall_that_is_overreaction(gain, share, lag):
    """C8. overreaction / fall = (1 - phi) g, within 2 %, if nothing recovers on the way down."""
    market = ps.Market(permanent=share)
    run = ps.simulate(market, [ps.Herd(gain * 2e6, lag=lag)], [ps.News(-0.03)], hours=72, dt=0.1)
    seen = ps.metrics(run)
    assert seen.fall[0] == pytest.approx(0.03 / (1 - gain), rel=0.01)
    assert seen.overreaction[0] / seen.fall[0] == pytest.approx((1 - share) * gain, rel=0.02, abs=1e-9)


def test_overreaction_is_less_where_value_pulls_on_the_way():
    """C8. The condition: with a half-life as long as the herd's own time a good part never happens."""
    crowd, news = [ps.Herd(1.2e6, lag=0.5)], [ps.News(-0.05)]
    shares = []
    for half_life in (1000.0, 10.0, 1.0):
        run = ps.simulate(ps.Market(recovery=math.log(2) / half_life), crowd, news, hours=72)
        seen = ps.metrics(run)
        shares.append(seen.overreaction[0] / seen.fall[0])
    assert shares[0] == pytest.approx(0.6, rel=0.02)
    assert shares[0] > 1.1 * shares[1] > 1.5 * shares[2]


@pytest.mark.parametrize("hour", [0.5, 2.0, 7.0])
def test_overreaction_has_no_hindsight(hour):
    """C8. Measured at t, it is what a run to t measures, to the last digit, whatever comes after."""
    market, crowd = ps.Market(permanent=0.2, volatility=0.6), [ps.Herd(1e6)]
    first, noise = ps.News(-0.05), np.random.default_rng(8).standard_normal((120, 4))

    def measured(events, hours):
        shape = {"dt": 0.1, "paths": 4, "noise": noise[: round(hours / 0.1)]}
        return ps.metrics(ps.simulate(market, crowd, events, hours=hours, **shape).until(hour))

    known = measured([first], hour)
    for more in ([], [ps.News(-0.2, at=8.0)], [ps.News(0.2, at=8.0), ps.Sale(1e5, at=9.0)]):
        seen = measured([first, *more], 12)
        np.testing.assert_array_equal(seen.overreaction, known.overreaction)
        np.testing.assert_array_equal(seen.fall, known.fall)
        np.testing.assert_array_equal(seen.dislocation, known.dislocation)


def test_half_a_loss_that_was_none():
    """C8. News 5 %, g = 0.6, phi = 0.2: 12.5 % in all, O = 6.0 %, and a rebound of 6.18 % over ln 2/kappa."""
    crowd, news = [ps.Herd(1.2e6, lag=0)], [ps.News(-0.05)]
    run = ps.simulate(ps.Market(permanent=0.2), crowd, news, hours=24)
    seen = ps.metrics(run)
    assert [seen.fall[0], seen.overreaction[0]] == pytest.approx([0.125, 0.06], abs=1e-6)
    assert math.expm1(0.06) == pytest.approx(0.0618, abs=5e-5)
    # With a pull that is slow against the fall, the rebound is seen, half of it by the half-life.
    kappa = 0.01
    back = ps.simulate(ps.Market(permanent=0.2, recovery=kappa), crowd, news, hours=600, dt=0.05)
    low = back.price.min()
    assert back.price[-1, 0] / low - 1 == pytest.approx(0.0618, rel=0.02)
    assert ps.metrics(back).half_life[0] == pytest.approx(math.log(2) / kappa, rel=0.02)


def test_two_charts_that_look_the_same():
    """C8. g = 0.6 with phi = 0, and no crowd at all with bad news that comes in the same pieces: one
    chart, to 1e-12. One is 7.5 % away from value and rebounds by 7.79 %, the other not at all. (If value
    pulls in the meantime, or the news comes at once, the charts differ.)"""
    market, shape = ps.Market(), {"hours": 6, "dt": 0.1}
    panic = ps.simulate(market, [ps.Herd(1.2e6, lag=0)], [ps.News(-0.05)], **shape)
    pieces = np.diff(panic.fall[:, 0])
    news = [
        ps.News(-piece, at=hour) for piece, hour in zip(pieces, panic.time, strict=False) if piece > 1e-15
    ]
    truth = ps.simulate(market, [], news, **shape)
    np.testing.assert_allclose(truth.fall, panic.fall, atol=1e-12)
    away = [ps.metrics(run).overreaction[0] for run in (panic, truth)]
    assert away == pytest.approx([0.075, 0], abs=1e-6)
    assert math.expm1(0.075) == pytest.approx(0.0779, abs=5e-5)


# --- Contrarian buying (C9) ---


def grown(fraction, returns, chances):
    return sum(p * np.log1p(fraction * r) for p, r in zip(chances, returns, strict=True))


@pytest.mark.parametrize(("p", "fraction"), [(0.7, -0.0333), (12 / 17, 0.0), (0.8, 0.5333)])
def test_kelly_of_the_exercise(p, fraction):
    """C9. +25 % with p, else -60 %: p/a - (1 - p)/b is -0.033 at 0.7 (do not buy), 0 at 0.706 = a/(a + b),
    0.533 at 0.8."""
    win, loss = 0.25, 0.60
    assert p / loss - (1 - p) / win == pytest.approx(fraction, abs=5e-5)
    assert loss / (loss + win) == pytest.approx(0.706, abs=5e-4)
    bet = ps.kelly([win, -loss], [p, 1 - p])
    assert bet.fraction == pytest.approx(fraction, abs=5e-5)
    grid = np.linspace(-1, 1.5, 250_001)
    best = grid[np.argmax(grown(grid, [win, -loss], [p, 1 - p]))]
    assert bet.fraction == pytest.approx(best, abs=1.1e-5)
    assert bet.growth == pytest.approx(grown(best, [win, -loss], [p, 1 - p]), abs=1e-9)


def test_kelly_pays_for_its_own_impact():
    """C9. With a round trip through a book of depth D, which leaves 1/(1 + S/(100 D)) of the money, and a
    cost of 1 % the best stake is smaller: the best on a grid."""
    depth, wealth, cost, p = 2e6, 50e6, 0.01, 0.8
    returns, chances = np.array([0.25, -0.60]), [p, 1 - p]
    bet = ps.kelly(returns, chances, cost=cost, wealth=wealth, depth=depth)
    grid = np.linspace(0, 0.6, 60_001)
    net = (1 + returns[:, None]) * (1 - cost) / (1 + grid * wealth / (100 * depth)) - 1
    growth = sum(q * np.log1p(grid * r) for q, r in zip(chances, net, strict=True))
    assert bet.fraction == pytest.approx(grid[np.argmax(growth)], abs=2e-5)
    assert 0 < bet.fraction < ps.kelly(returns, chances).fraction
    # Who is a hundred times as rich stakes a smaller share; who pays more than the edge, nothing.
    assert ps.kelly(returns, chances, wealth=100 * wealth, depth=depth).fraction < 0.1 * bet.fraction
    assert ps.kelly(returns, chances, cost=0.081).fraction == 0


@pytest.mark.parametrize(("beta", "rebound"), [(0.0, 0.0779), (0.3, 0.0539), (0.9, 0.0075), (1.0, 0.0)])
def test_rebound_if_value_follows_the_price(beta, rebound):
    """C9. s = 5 %, g = 0.6: e^((1 - beta)(x - s)) - 1 is 7.79, 5.39, 0.75 and 0 %; beta is the permanent
    share of impact."""
    assert math.expm1((1 - beta) * 0.075) == pytest.approx(rebound, abs=5e-5)
    market = ps.Market(permanent=beta)
    run = ps.simulate(market, [ps.Herd(1.2e6, lag=0)], [ps.News(-0.05)], hours=24)
    assert run.fall[-1, 0] - 0.05 == pytest.approx(0.075, abs=1e-6)
    assert run.value[-1, 0] / run.price[-1, 0] - 1 == pytest.approx(rebound, abs=5e-5)
    # A loss for a value that falls by more than the panic, which no market here can do.
    assert math.expm1((1 - 1.3) * 0.075) < 0
    with pytest.raises(ValueError, match="permanent"):
        ps.Market(permanent=1.3)


def test_beta_at_which_costs_eat_the_rebound():
    """C9. A round trip of 1 % on a rebound of 7.5 %: beta = 1 + ln(1 - 0.01)/0.075 = 0.866; 0.867 to first
    order."""
    exact = 1 + math.log1p(-0.01) / 0.075
    assert [exact, 1 - 0.01 / 0.075] == pytest.approx([0.866, 0.867], abs=5e-4)
    for beta, pays in ((exact - 1e-4, True), (exact + 1e-4, False)):
        mean = math.expm1((1 - beta) * 0.075)
        assert (ps.kelly([mean + 0.1, mean - 0.1], cost=0.01).fraction > 0) == pays


@pytest.mark.parametrize("bids", [0.2e6, 0.5e6, 1e6])
def test_buyers_lower_the_gain_while_their_money_lasts(bids):
    """C9. Added buyers of c per 1 % lower g by c/depth exactly; once the capital is spent it is what it
    was."""
    herd, capital = ps.Herd(1.2e6), 4e6
    buyers = ps.ValueBuyers(per_percent=bids, capital=capital)
    end = -math.log1p(-capital / (bids * 100))
    falls = np.array([0.0, end / 2, end * 0.98, end * 1.0001, end + 0.05])
    change = [ps.loop_gain(MARKET, crowd, falls, step=end / 100).total for crowd in ([herd], [herd, buyers])]
    lowered = change[0] - change[1]
    np.testing.assert_allclose(lowered, bids / 2e6 * np.array([1, 1, 1, 0, 0]), rtol=1e-12, atol=1e-12)
    # Spent to the cent where they stop.
    spent = float(ps.Market(depth=bids).proceeds(0.0, end))
    assert spent == pytest.approx(capital, rel=1e-9)
    fell = [ps.cascade(MARKET, crowd, 0.01).fall for crowd in ([herd], [herd, buyers])]
    assert fell == pytest.approx([0.01 / (1 - 0.6), 0.01 / (1 - 0.6 + bids / 2e6)], rel=1e-9)


def test_leverage_that_survives_a_further_fall():
    """C9. Who stands a further simple fall d needs leverage below 1/d: 30 % is 3.33. With a maintenance
    margin of 0.5 % it is 1/(1 - 0.995 x 0.7) = 3.295, so that 3.3 is already closed."""
    for maintenance, most in ((0.0, 1 / 0.3), (0.005, 1 / (1 - 0.995 * 0.7))):
        assert ps.liquidation_price(100, most, maintenance) == pytest.approx(70, rel=1e-12)
    survived = [1 / 0.3, 1 / (1 - 0.995 * 0.7)]
    assert survived == pytest.approx([3.333, 3.295], abs=5e-4)
    assert ps.liquidation_price(100, 3.3, 0.0) < 70 < ps.liquidation_price(100, 3.3, 0.005)


# --- LUNA (C9) ---

CAP, UST = 22.1e9, 18.6e9


def redeemed_by_hand(a, share, steps=40_000):
    """P/P0 after redemptions of `share` of M0: d ln P = -(dU/M)/(1 - a) with M = (P/P0)^a, by Runge-Kutta."""

    def slope(log_price):
        return -math.exp(-a * log_price) / (1 - a)

    x, h = 0.0, share / steps
    for _ in range(steps):
        k1 = slope(x)
        k2 = slope(x + h / 2 * k1)
        k3 = slope(x + h / 2 * k2)
        k4 = slope(x + h * k3)
        x += h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
    return math.exp(x)


@pytest.mark.parametrize("u", [0.1, 0.3, 0.84])
@pytest.mark.parametrize("a", [0.0, 0.2, 0.5, 0.8])
def test_minted_coin_falls_by_its_closed_form(a, u):
    """C9. (1 - u a/(1 - a))^(1/a) against the differential equation, coin by coin in the film, and
    conservation."""
    cap = MarketCap(price=80.0, usd=CAP, elasticity=a)
    fall = cap.fall_after(u * CAP)
    market, crowd = ps.Market(price=80.0, depth=cap.depth), [ps.Redeemers(u * CAP, over=24.0)]
    if u * a / (1 - a) >= 1:
        assert fall == math.inf
        assert cap.dead_at == pytest.approx((1 - a) / a * CAP)
        run = ps.simulate(market, crowd, hours=24, dt=0.05)
        dead = run.time[np.argmax(run.price[:, 0] < 1e-4 * 80)] / 24 * u
        assert dead == pytest.approx((1 - a) / a, rel=0.03)
        return
    assert math.exp(-fall) == pytest.approx(redeemed_by_hand(a, u), rel=1e-8)
    if a:
        assert math.exp(-fall) == pytest.approx((1 - u * a / (1 - a)) ** (1 / a), rel=1e-12)
    else:
        assert math.exp(-fall) == pytest.approx(math.exp(-u), rel=1e-12)
    gaps = []
    for dt in (0.1, 0.05):
        run = ps.simulate(market, crowd, hours=24, dt=dt)
        gaps.append(abs(run.fall[-1, 0] - fall))
        # Every dollar is redeemed; what was sold is what is now outstanding, and worth M0 (P/P0)^a.
        assert run.books["Redeemers"]["redeemed"][-1, 0] == pytest.approx(u * CAP, rel=1e-12)
        now = cap.supply(0.0) + run.sold["Redeemers"][-1, 0]
        assert now == pytest.approx(cap.supply(run.fall[-1, 0]), rel=1e-6)
        assert now * run.price[-1, 0] == pytest.approx(CAP * math.exp(-a * run.fall[-1, 0]), rel=1e-6)
    assert gaps[0] < 0.025 * fall
    assert gaps[1] == pytest.approx(gaps[0] / 2, rel=0.1, abs=1e-7)


def test_terra():
    """C9. u = 18.6/22.1 = 0.84: full redemption is survived for a < 0.543 only; a = 0: -57 %; a = 0.5:
    -97.5 %; a = 0.8: zero after 30 % of UST; ln(6.5e12/3.46e8) = 9.84 market caps redeemed, each at its
    time."""
    u = UST / CAP
    assert u == pytest.approx(0.84, abs=5e-3)
    assert 1 / (1 + u) == pytest.approx(0.543, abs=5e-4)
    for a, survives in ((1 / (1 + u) - 1e-6, True), (1 / (1 + u) + 1e-6, False)):
        cap = MarketCap(80.0, CAP, a)
        assert (cap.dead_at > UST) == survives
        assert math.isfinite(cap.fall_after(UST)) == survives
    left = [math.exp(-MarketCap(80.0, CAP, a).fall_after(UST)) for a in (0.0, 0.5)]
    assert [1 - x for x in left] == pytest.approx([0.569, 0.975], abs=5e-4)
    assert left == pytest.approx([math.exp(-u), (1 - u) ** 2], rel=1e-12)
    assert MarketCap(80.0, CAP, 0.8).dead_at / UST == pytest.approx(0.297, abs=5e-4)
    assert MarketCap(80.0, CAP, 0.0).dead_at == math.inf
    assert math.log(6.5e12 / 3.46e8) == pytest.approx(9.84, abs=5e-3)


@pytest.mark.parametrize("a", [0.0, 0.3, 0.5])
def test_minting_counts_market_caps(a):
    """C9. Whatever the elasticity, dN/N = dU/M: the log of the supply's growth is the redemptions in
    market caps."""
    cap = MarketCap(80.0, CAP, a)
    usd = np.linspace(0, 0.8 * CAP, 200_001)
    fall = cap.fall_after(usd)
    worth = CAP * np.exp(-a * fall)
    caps = ((1 / worth[1:] + 1 / worth[:-1]) / 2 * np.diff(usd)).sum()
    assert caps == pytest.approx(float(np.log(cap.supply(fall[-1]) / cap.supply(0.0))), rel=1e-7)
    # The loop gain of the last dollar: of 1/(1 - a), the share a is the echo.
    h = 1.0
    assert cap.fall_after(h) * CAP == pytest.approx(h / (1 - a), rel=1e-6)


# --- Risk management (G4) ---

SIGMA = 0.04  # a day


def test_value_at_risk_of_the_exercise():
    """G4. 4 % a day, 99 %: 9.3 % and 18.6 %, and leverage up to 10.7 and 5.7 at m = 0.5 %. Twice the risk
    is not half the leverage but 0.54 of it."""
    falls = [Z99 * SIGMA / (1 - g) for g in (0, 0.5)]
    assert falls == pytest.approx([0.093, 0.186], abs=5e-4)
    most = [1 / (1 - (1 - 0.005) * math.exp(-x)) for x in falls]
    assert most == pytest.approx([10.7, 5.7], abs=0.05)
    assert most[1] / most[0] == pytest.approx(0.537, abs=5e-4)
    for x, leverage in zip(falls, most, strict=True):
        assert ps.liquidation_price(100, leverage, 0.005) == pytest.approx(100 * math.exp(-x), rel=1e-12)


def day(crowd, dt=0.1, paths=20_000):
    market = ps.Market(volatility=SIGMA * math.sqrt(365))
    return ps.simulate(market, crowd, hours=24, dt=dt, paths=paths, seed=1)


@pytest.mark.parametrize("gain", [0.25, 0.5, 0.7])
def test_looped_value_at_risk(gain):
    """G4. The 99 % quantile with the loop over the one without is 1/(1 - g) within 5 %: 2.00 at g = 0.5,
    for a linear crowd that trades both ways. Path by path it is the sum of all echoes that have had their
    time."""
    run = day([ps.Herd(gain * 2e6, one_way=False, lag=0)])
    risk = ps.value_at_risk(run)
    assert risk.ratio == pytest.approx(1 / (1 - gain), rel=0.05)
    n = len(run.time) - 1
    left = 1 - gain ** np.arange(n, 0, -1.0)  # a move k steps before the end has echoed k - 1 times
    alone = run.value_fall
    looped = (np.diff(alone, axis=0) * left[:, None]).sum(axis=0) / (1 - gain)
    np.testing.assert_allclose(run.fall[-1], looped, atol=1e-12)
    assert risk.alone == pytest.approx(np.quantile(alone[-1], 0.99), rel=1e-12)
    assert risk.looped == pytest.approx(np.quantile(looped, 0.99), rel=1e-9)
    # And in numbers of the exercise, within the error of a quantile of so many paths.
    error = math.sqrt(0.99 * 0.01 / 20_000) / NormalDist().pdf(Z99) * SIGMA
    assert risk.alone == pytest.approx(Z99 * SIGMA, abs=3 * error)


def ratchet(gain, level=0.99):
    """Ratio for sellers who never buy back: the end is s + g/(1 - g) max s, and by the reflection
    principle it exceeds y sigma with chance 2/(2 - g) Q((1 - g) y)."""
    return NormalDist().inv_cdf(1 - (1 - level) * (1 - gain / 2)) / NormalDist().inv_cdf(level) / (1 - gain)


def test_ratchet_by_its_joint_law():
    """G4. The closed form against the joint density of a Brownian motion and its maximum, and 2.09 at g =
    0.5."""
    assert ratchet(0.5) == pytest.approx(2.091, abs=5e-4)
    assert ratchet(0.0) == pytest.approx(1.0)
    top = np.linspace(0, 8, 4001)
    for gain in (0.3, 0.5, 0.8):
        y = ratchet(gain) * Z99
        # Chance that the maximum is m and the end above y - m g/(1 - g), summed over m.
        low = np.minimum(y - top * gain / (1 - gain), top)
        density = 2 * (np.exp(-(top**2) / 2) - np.exp(-((2 * top - low) ** 2) / 2)) / math.sqrt(2 * math.pi)
        assert np.trapezoid(density, top) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(("dt", "ratio"), [(0.4, 2.01), (0.05, 2.07)])
def test_ratchet_makes_more_risk(dt, ratio):
    """G4. Sellers who never buy back make it more than 2: 2.07 in steps of 0.05 h, towards 2.09 as they
    get small; less with long ones: who acts once a step does not see the worst between two."""
    rng, paths, size = np.random.default_rng(2), 100_000, math.sqrt(dt / 24)
    alone, x, worst = (np.zeros(paths) for _ in range(3))
    for _ in range(round(24 / dt)):
        alone += size * rng.standard_normal(paths)
        x, worst = alone + 0.5 * worst, np.maximum(worst, alone + 0.5 * worst)
    found = np.quantile(x, 0.99) / np.quantile(alone, 0.99)
    assert found == pytest.approx(ratio, abs=0.012)
    assert 2 < found < ratchet(0.5)
    # The film is that recursion: news, and half of the worst so far.
    run = day([ps.Herd(1e6, lag=0)], dt, paths=300)
    x, worst = np.zeros(300), np.zeros(300)
    for row in run.value_fall[1:]:
        x, worst = row + 0.5 * worst, np.maximum(worst, row + 0.5 * worst)
    np.testing.assert_allclose(run.fall[-1], x, atol=1e-12)
    risk = ps.value_at_risk(run)
    assert risk.ratio == pytest.approx(np.quantile(x, 0.99) / np.quantile(run.value_fall[-1], 0.99), rel=1e-9)


@pytest.mark.parametrize(("weight", "ratio"), [(2, 1.85), (3, 1.745), (-1, 3.07)])
def test_rebalancers_bend_the_ratio(weight, ratio):
    """G4. A fund with a gain of 0.5 at P0 has less of it further down: 1.85 for a weight of 2, but 1.745
    for 3, and for an inverse fund, whose gain grows, 3.07. The quantile x solves x - F(x)/Lambda = z
    sigma."""
    aum = 0.5 * 100 * 2e6 / (weight * (weight - 1))
    fund = ps.Rebalancer(weight, aum, lag=0)
    assert ps.loop_gain(MARKET, [fund], step=1e-7).total == pytest.approx(0.5, rel=1e-5)
    x = np.linspace(0, 0.5, 500_001)
    alone = x - float(weight * aum / 100 / LAMBDA) * -np.expm1(-(weight - 1) * x)
    expected = x[np.argmax(alone >= Z99 * SIGMA)] / (Z99 * SIGMA)
    assert expected == pytest.approx(ratio, abs=5e-3)
    assert ps.cascade(MARKET, [fund], Z99 * SIGMA).fall == pytest.approx(expected * Z99 * SIGMA, abs=1e-5)
    if weight > 0:
        # The film is a little less: its last news has not echoed yet.
        assert ps.value_at_risk(day([fund])).ratio == pytest.approx(expected, rel=0.03)


def test_risk_beyond_the_quantile():
    """G4. The inverse fund is 0.1 sigma from its edge at 99 %: from 2.41 sigma, one day in 127, there is
    no floor. A value at risk does not see that, and is refused where a path has none."""
    fund = ps.Rebalancer(-1, 50e6, lag=0)
    # The gain 0.5 e^(2 x) is 1 at x = ln(2)/2, which takes a shock of ln(2)/2 - 1/4.
    edge = math.log(2) / 2 - 0.25
    assert ps.tipping_shock(MARKET, [fund]) == pytest.approx(edge, abs=1e-6)
    assert edge / SIGMA == pytest.approx(2.41, abs=5e-3)
    assert 1 / (1 - NormalDist().cdf(edge / SIGMA)) == pytest.approx(127, abs=1)
    assert ps.cascade(MARKET, [fund], edge + 1e-3).diverged
    with pytest.raises(ValueError, match="floor"):
        ps.value_at_risk(day([fund]))
