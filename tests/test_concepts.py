"""The numbers that the chapters print, one test a claim (concept numbers in brackets)."""

import numpy as np
import pytest
from plain import LAMBDA, Linear

import panicsim as ps

MARKET = ps.Market()
FEAR = {"threshold": 0.10, "width": 0.025}


def end(crowd, shock, market=MARKET):
    return ps.cascade(market, crowd, shock).fall


# --- Panic selling and the loop (C1, C5) ---


@pytest.mark.parametrize("gain", [0.1, 0.3, 0.5, 0.6, 0.8, 0.9, 0.99])
def test_share_of_fall_made_by_crowd_is_the_gain(gain):
    """[C1] (x - s)/x = g."""
    photo = ps.cascade(MARKET, [ps.Herd(gain * 2e6)], 0.04)
    assert (photo.fall - photo.shock) / photo.fall == pytest.approx(gain, abs=1e-9)
    assert photo.gain == pytest.approx(gain, abs=1e-9)


def test_rounds_are_a_geometric_series():
    """[C1] x_n = s (1 - g^(n+1))/(1 - g)."""
    rounds = ps.cascade(MARKET, [ps.Herd(1.2e6)], 0.04).rounds
    n = 1 + np.arange(len(rounds))
    np.testing.assert_allclose(rounds, 0.04 * (1 - 0.6 ** (n + 1)) / 0.4, rtol=1e-11)


def test_panic_needs_six_rounds_for_95_percent():
    """[C1] fall 12 %, news 4.5 %: g = 0.625, six rounds after the news."""
    gain = 1 - 4.5 / 12
    photo = ps.cascade(MARKET, [ps.Herd(gain * 2e6)], 0.045)
    assert photo.fall == pytest.approx(0.12)
    assert np.argmax(photo.rounds >= 0.95 * photo.fall) + 1 == 6


def test_loop_of_the_book():
    """[C5] depth $2M, panic $1.2M, news -4 %: g = 0.6, A = 2.5, fall 10 %, $90.48."""
    photo = ps.cascade(MARKET, [ps.Herd(per_percent=1.2e6)], shock=0.04)
    assert photo.fall == pytest.approx(0.10, rel=1e-9)
    assert photo.amplification == pytest.approx(2.5, rel=1e-9)
    assert photo.price == pytest.approx(90.48, abs=0.005)
    assert ps.loop_gain(MARKET, [ps.Herd(1.2e6)]).total == pytest.approx(0.6, rel=1e-12)


# --- Fear (C2) ---


def test_fear_tips_at_298_basis_points():
    """[C2] H = 4e5: the end jumps at s* = 0.0298 from 0.055 to 0.229."""
    crowd = [ps.Fear(4e5, **FEAR)]
    tip = ps.tipping_shock(MARKET, crowd)
    assert tip == pytest.approx(0.0298, abs=5e-5)
    assert end(crowd, tip - 1e-7) == pytest.approx(0.055, abs=1e-3)
    assert end(crowd, tip + 1e-7) == pytest.approx(0.229, abs=1e-3)


def test_few_frightened_holders_never_tip():
    """[C2] H = 1.9e5 < 4 w Lambda (1 - G(0)) = 1.96e5: no step above 0.0031 on a 0.0001 grid."""
    crowd = [ps.Fear(1.9e5, **FEAR)]
    bound = 4 * 0.025 * LAMBDA * (1 - 1 / (1 + np.exp(0.10 / 0.025)))
    assert bound == pytest.approx(1.96e5, abs=500)
    assert ps.tipping_shock(MARKET, crowd) == np.inf
    ends = [end(crowd, s) for s in np.arange(0.03, 0.08, 1e-4)]
    assert np.diff(ends).max() < 0.0031


def test_spread_of_thresholds_removes_the_jump():
    """[C2] g_max 2.04 at w = 2.5 %; w = 5 % still jumps (1.135, s* = 0.0167); gone at w = 5.9 %."""

    def steepest(width):
        falls = np.linspace(0, 0.3, 3001)
        return ps.loop_gain(MARKET, [ps.Fear(4e5, 0.10, width)], fall=falls, step=1e-5).total.max()

    def tip(width):
        return ps.tipping_shock(MARKET, [ps.Fear(4e5, 0.10, width)])

    assert steepest(0.025) == pytest.approx(2.04, abs=0.005)
    assert steepest(0.05) == pytest.approx(1.135, abs=0.001)
    assert tip(0.05) == pytest.approx(0.0167, abs=5e-5)
    assert steepest(0.058) > 1 > steepest(0.0595)
    assert tip(0.0595) == np.inf


# --- Liquidations (C3, R2) ---


def test_liquidation_price_of_a_20x_long():
    """[C3] 95.477; increasing in leverage; equity there is m P q."""
    assert ps.liquidation_price(100, 20, 0.005) == pytest.approx(95.47738693467336, rel=1e-14)
    leverage = np.linspace(1, 150, 500)
    price = ps.liquidation_price(100, leverage, 0.005)
    assert (np.diff(price) > 0).all()
    np.testing.assert_allclose(price - 100 * (1 - 1 / leverage), 0.005 * price, atol=1e-12)


def test_largest_position_that_spares_the_fund():
    """[C3] marginal limit 10 025 coins ($0.96M), average-fill limit 20 067 coins ($1.91M)."""
    start, bankrupt = np.log(100 / 95.47738693467336), 95.0
    marginal = MARKET.absorbed(np.log(100 / bankrupt)) - MARKET.absorbed(start)
    low, high = 1.0, 1e5
    for _ in range(60):
        coins = (low + high) / 2
        average = MARKET.proceeds(start, start + coins / LAMBDA) / coins
        low, high = (coins, high) if average >= bankrupt else (low, coins)
    assert marginal == pytest.approx(10_025, abs=1)
    assert marginal * 95.477 == pytest.approx(0.96e6, abs=5e3)
    assert coins == pytest.approx(20_067, abs=1)
    assert coins * 95.477 == pytest.approx(1.91e6, abs=1e4)


def longs_at(prices, coins):
    """Longs with given liquidation prices: leverage 10, entry to match."""
    return ps.Longs(entry=np.array(prices) * (1 - 0.005) / (1 - 1 / 10), size=coins, leverage=10)


@pytest.mark.parametrize(
    ("shock", "depth", "ends", "rounds"),
    [
        (95.50, 2e6, 93.61, [93.61]),
        (95.30, 2e6, 87.10, [93.41, 90.65, 87.10]),
        (95.30, 4e6, 94.35, [94.35]),
    ],
)
def test_staircase_of_four_longs(shock, depth, ends, rounds):
    """[R2] 40k, 60k, 80k, 50k coins at 96, 93.5, 91, 80."""
    crowd = [longs_at([96, 93.5, 91, 80], [40e3, 60e3, 80e3, 50e3])]
    photo = ps.cascade(ps.Market(depth=depth), crowd, np.log(100 / shock))
    assert photo.price == pytest.approx(ends, abs=0.005)
    np.testing.assert_allclose(photo.market.price_at(photo.rounds), rounds, atol=0.005)


def test_order_of_liquidations_does_not_matter():
    """[R2] 300 positions sold one by one in any order, or in rounds, end at the same fall."""
    rng = np.random.default_rng(3)
    level, coins = rng.uniform(0.01, 0.4, 300).round(4), rng.uniform(500, 4000, 300)
    expected = end([longs_at(100 * np.exp(-level), coins)], 0.05)
    for _ in range(6):
        fall, queue = 0.05, list(rng.permutation(300))
        while due := [i for i in queue if level[i] <= fall + 1e-12]:
            fall += coins[due[0]] / LAMBDA
            queue.remove(due[0])
        assert fall == pytest.approx(expected, abs=1e-9)


def test_order_matters_if_sales_are_sized_in_dollars():
    """[R2] The same positions with fixed dollars end deeper, and where depends on the order."""
    rng = np.random.default_rng(0)
    level, coins = rng.uniform(0.02, 0.30, 300), rng.uniform(0, 4e3, 300)
    ends = []
    for _ in range(6):
        fall, queue = 0.05, list(rng.permutation(300))
        while due := [i for i in queue if level[i] <= fall]:
            fall += coins[due[0]] * np.exp(fall) / LAMBDA
            queue.remove(due[0])
        ends.append(fall)
    assert np.ptp(ends) > 1e-9
    assert min(ends) > end([longs_at(100 * np.exp(-level), coins)], 0.05)


# --- A large seller (C4) ---


def test_whale_sells_first():
    """[C4] 200 000 coins, g = 0.5: $81.87; proceeds $19.03M, average $95.16."""
    run = ps.simulate(MARKET, [ps.Herd(1e6)], [ps.Sale(2e5)])
    whale = ps.metrics(run).ledger["Sale"]
    assert run.price[-1, 0] == pytest.approx(81.87, abs=0.005)
    assert whale["usd"][0] == pytest.approx(19.03e6, abs=5e3)
    assert whale["usd"][0] / 2e5 == pytest.approx(95.16, abs=0.005)


def test_proceeds_do_not_depend_on_splitting():
    """[C4] 1 chunk and 1 000 chunks bring the same dollars without recovery."""
    at_once, dripped = (
        ps.metrics(ps.simulate(MARKET, [], [ps.Sale(2e5, over=over)], hours=50)).ledger["Sale"]["usd"][0]
        for over in (0, 50)
    )
    assert dripped == pytest.approx(at_once, rel=1e-9)
    assert at_once == pytest.approx(100 * LAMBDA * -np.expm1(-0.1), rel=1e-12)


@pytest.mark.parametrize("rho", [0.1, 1.0])
def test_slow_sale_meets_recovery(rho):
    """[C4] peak = (Q/Lambda)(1 - exp(-rho T))/(rho T)."""
    run = ps.simulate(ps.Market(recovery=rho), [], [ps.Sale(4e5, over=5.0)], hours=10, dt=0.001)
    peak = 0.2 * -np.expm1(-rho * 5) / (rho * 5)
    assert ps.metrics(run).fall[0] == pytest.approx(peak, rel=1e-3)


# --- Dislocation, overreaction, contrarians (C6, C8, C9, G1) ---


def test_dislocation_halves_in_two_hours_and_a_third():
    """[C6] 12 % at kappa = 0.3/h: half-life 2.31 h, area 0.40, 5.97 h above 2 %."""
    dt = 0.01
    run = ps.simulate(ps.Market(recovery=0.3), [], [ps.Sale(0.12 * LAMBDA)], hours=72, dt=dt)
    assert ps.metrics(run).half_life[0] == pytest.approx(np.log(2) / 0.3, abs=dt)
    gap = run.fall[1:, 0]
    assert gap.sum() * dt == pytest.approx(0.40, rel=0.01)
    assert (gap > 0.02).sum() * dt == pytest.approx(np.log(6) / 0.3, abs=2 * dt)


def test_price_returns_to_value_whatever_was_sold():
    """[G1] half-life 6.93 h at kappa = 0.1/h; with phi = 0 the price comes back to the news."""
    market, dt = ps.Market(recovery=0.1), 0.05
    for coins in (1e5, 4e5):
        run = ps.simulate(market, [], [ps.News(-0.05), ps.Sale(coins)], hours=400, dt=dt)
        assert ps.metrics(run).half_life[0] == pytest.approx(6.93, abs=dt)
        assert run.fall[-1, 0] == pytest.approx(0.05, abs=1e-12)


@pytest.mark.parametrize(("gain", "phi"), [(0.6, 0.2), (0.6, 0.0), (0.3, 0.5), (0.8, 1.0)])
def test_overreaction_is_the_gain_that_value_did_not_follow(gain, phi):
    """[C8] overreaction / fall = (1 - phi) g; news 5 %, g = 0.6, phi = 0.2: 12.5 % and 6.0 %."""
    run = ps.simulate(ps.Market(permanent=phi), [ps.Herd(gain * 2e6)], [ps.News(-0.05)])
    found = ps.metrics(run)
    assert found.fall[0] == pytest.approx(0.05 / (1 - gain), rel=1e-6)
    assert found.overreaction[0] / found.fall[0] == pytest.approx((1 - phi) * gain, rel=1e-6, abs=1e-12)
    assert found.amplification[0] == pytest.approx(1 / (1 - gain), rel=1e-6)


@pytest.mark.parametrize(("beta", "rebound"), [(0, 7.79), (0.3, 5.39), (0.9, 0.75), (1, 0.0)])
def test_rebound_of_a_reflexive_value(beta, rebound):
    """[C9] exp((1 - beta)(x - s)) - 1 for s = 5 %, g = 0.6, read off a film that recovers at last."""
    slow = ps.Market(permanent=beta, recovery=0.002)
    run = ps.simulate(slow, [ps.Herd(1.2e6, lag=0.05)], [ps.News(-0.05)], hours=4000, dt=0.2)
    gained = 100 * (run.price[-1, 0] / run.price.min() - 1)
    assert gained == pytest.approx(rebound, abs=0.1)


def test_buyers_lower_the_gain_by_their_depth():
    """[C9] [G3] c per 1 % lowers g by exactly c/depth."""
    crowd = [ps.Herd(1.5e6), ps.Fear(4e5, **FEAR)]
    for fall in (0.0, 0.02, 0.1):
        alone = ps.loop_gain(MARKET, crowd, fall=fall).total
        helped = ps.loop_gain(MARKET, [*crowd, ps.ValueBuyers(0.3e6, 1e9)], fall=fall).total
        assert alone - helped == pytest.approx(0.15, abs=1e-12)


def test_spent_buyers_leave_the_gain_as_it_was():
    """[C9] with $10M at $1M per 1 % the bids end at a fall of -ln(1 - 0.1)."""
    buyers = ps.ValueBuyers(1e6, 10e6)
    last = -np.log(0.9)
    gain = ps.loop_gain(MARKET, [buyers], fall=np.array([0.0, last - 0.01, last, 0.5]))
    np.testing.assert_allclose(gain.total, [-0.5, -0.5, 0, 0], atol=1e-12)
    spent = np.trapezoid(1e6 / (0.01 * 100) * 100 * np.exp(-(x := np.linspace(0, last, 10_001))), x)
    assert spent == pytest.approx(10e6, rel=1e-8)
    assert buyers.sold_by(5.0, MARKET) == pytest.approx(-1e6 * last, rel=1e-12)


# --- Rebalancing (R8) ---


@pytest.mark.parametrize(
    ("weight", "factor"),
    [(3, 6), (-1, 2), (0.6, -0.24), (1, 0), (0, 0), (2, 2), (-3, 12), (-2, 6), (4, 12), (0.5, -0.25)],
)
def test_rebalancer_trades_w_times_w_minus_one(weight, factor):
    """[R8] w (w - 1) A r to first order: 6, 2, -0.24."""
    crowd = [ps.Rebalancer(weight, aum=5e6)]
    sold = crowd[0].sold_by(1e-7, MARKET) * 100
    assert sold == pytest.approx(factor * 5e6 * 1e-7, rel=1e-6, abs=1e-12)
    assert ps.loop_gain(MARKET, crowd, step=1e-6).total == pytest.approx(factor * 5e4 / 2e6, rel=1e-5)


@pytest.mark.parametrize("weight", [-2, -1, 0.3, 0.6, 2, 3])
def test_rebalancer_solves_its_equation(weight):
    """[R8] assets follow dA/A = w dP/P and coins are w A/P: F agrees with the ODE."""
    falls, assets = np.linspace(0, 0.5, 100_001), 1.0
    price = np.exp(-falls)
    steps = weight * np.diff(price) / ((price[1:] + price[:-1]) / 2)
    assets = np.cumprod(np.concatenate([[1.0], (1 + steps / 2) / (1 - steps / 2)]))
    coins = weight * 5e6 * assets / (100 * price)
    sold = ps.Rebalancer(weight, 5e6).sold_by(falls, MARKET)
    np.testing.assert_allclose(sold, coins[0] - coins, rtol=1e-6, atol=1e-4)


def test_leveraged_tokens_against_the_book():
    """[R8] $50M at 3x sell $15M on -5 %; critical $33.3M; 60/40 money neutralises it at 25 times."""
    small = ps.Rebalancer(3, 50e6).sold_by(1e-6, MARKET) * 100 / 1e-6 * 0.05
    assert small == pytest.approx(15e6, rel=1e-5)
    critical = ps.loop_gain(MARKET, [ps.Rebalancer(3, 2e8 / 6)], step=1e-7).total
    assert critical == pytest.approx(1, abs=1e-6)
    pair = [ps.Rebalancer(3, 50e6), ps.Rebalancer(0.6, 25 * 50e6)]
    assert ps.loop_gain(MARKET, pair, step=1e-7).total == pytest.approx(0, abs=1e-5)


# --- The ledger of gains, risk, the run game (G3, G4, D1) ---


def test_gain_ledger_of_the_book():
    """[G3] .30 .40 .15 .20 -.25 -.05: g = 0.75, A = 4; without dealers 0.55, A = 2.22."""
    sellers = {"fear": 0.30, "longs": 0.40, "tokens": 0.15, "dealers": 0.20}
    buyers = {"value": 0.25, "60/40": 0.05}
    crowd = [ps.Herd(g * 2e6, name=name) for name, g in sellers.items()]
    crowd += [ps.ValueBuyers(g * 2e6, 1e12, name=name) for name, g in buyers.items()]
    gain = ps.loop_gain(MARKET, crowd)
    assert gain.total == pytest.approx(0.75, abs=1e-12)
    assert dict(gain) == pytest.approx({**sellers, "value": -0.25, "60/40": -0.05}, abs=1e-12)
    assert ps.cascade(MARKET, crowd, 0.02).amplification == pytest.approx(4, rel=1e-9)
    fewer = [p for p in crowd if p.name != "dealers"]
    assert ps.cascade(MARKET, fewer, 0.02).amplification == pytest.approx(2.22, abs=0.005)


@pytest.mark.parametrize(
    ("member", "ratio", "within"),
    [(ps.Herd(1e6, one_way=False, lag=0), 2.00, 0.05), (Linear(0.5), 2.00, 0.05)],
)
def test_loop_multiplies_value_at_risk(member, ratio, within):
    """[G4] 99 % quantile looped / unlooped = 1/(1 - g) for a linear reversible participant."""
    market = ps.Market(volatility=0.8)
    looped, free = (
        np.quantile(ps.simulate(market, crowd, hours=100, dt=0.5, paths=4000, seed=4).fall[-1], 0.99)
        for crowd in ([member], [])
    )
    assert looped / free == pytest.approx(ratio, abs=within)


@pytest.mark.parametrize(("gain", "at_risk", "leverage"), [(0, 9.3, 10.7), (0.5, 18.6, 5.7)])
def test_largest_survivable_leverage(gain, at_risk, leverage):
    """[G4] sigma = 4 % a day at 99 %: 9.3 %, 10.7x; with g = 0.5 18.6 %, 5.7x (m = 0.5 %)."""
    fall = end([ps.Herd(gain * 2e6)], 0.04 * 2.3263478740408408)
    assert 100 * fall == pytest.approx(at_risk, abs=0.05)
    most = 1 / (1 - (1 - 0.005) * np.exp(-fall))
    assert most == pytest.approx(leverage, abs=0.05)
    assert ps.liquidation_price(100, most, 0.005) == pytest.approx(100 * np.exp(-fall), rel=1e-12)


def test_run_threshold_is_where_running_and_holding_pay_alike():
    """[D1] l* = exp(1 - R): 0.905, 0.607, 0.368; payoffs equal there by quadrature."""
    payoff = np.array([1.10, 1.5, 2])
    liquid = ps.run_threshold(payoff)
    np.testing.assert_allclose(liquid, [0.905, 0.607, 0.368], atol=5e-4)
    n = (np.arange(1_000_000) + 0.5) / 1_000_000
    for reward, share in zip(payoff, liquid, strict=True):
        hold = np.where(n <= share, reward, 0).mean()
        run = np.where(n <= share, 1, share / n).mean()
        assert hold == pytest.approx(run, abs=1e-5)
    assert ps.run_threshold(1) == 1.0
    assert isinstance(ps.run_threshold(2.0), float)
