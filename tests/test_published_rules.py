"""Published results on rules: who must sell, in what order, at which price, and after how long a wait."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from plain import LAMBDA

import panicsim as ps
from panicsim import tranches

MARKET = ps.Market()
NORMAL = NormalDist()


def end(crowd, shock, market=MARKET):
    return ps.cascade(market, crowd, shock).fall


# --- A14: constraints that bind on one side ---


class Constrained(ps.Participant):
    """A bank that does nothing up to the leverage `most`, and there sells until it is back at `target`.

    At the trigger its equity is C P/most, so it keeps C target/most coins, the next time again.
    """

    one_way = True

    def __init__(self, coins, leverage, most, target):
        self.coins, self.left = coins, target / most
        self.trigger = math.log((1 - 1 / most) / (1 - 1 / leverage))
        self.apart = math.log((1 - 1 / most) / (1 - 1 / target))

    def sold_by(self, fall, market):
        times = np.floor((np.asarray(fall) - self.trigger) / self.apart + 1e-9) + 1
        return self.coins * (1 - self.left ** np.maximum(times, 0))


BANK = {"coins": 3e5, "leverage": 10.0, "most": 15.0, "target": 12.0}


def test_constrained_bank_by_balance_sheet():
    """[A14] Coins and debt, marked and sold at the price at which the leverage is 15, again and again."""
    bank, coins, debt = Constrained(**BANK), 3e5, 3e7 * (1 - 1 / 10)
    # The first trigger is the liquidation price of a long whose maintenance margin is 1/15.
    assert debt / coins / (1 - 1 / 15) == pytest.approx(ps.liquidation_price(100, 10, 1 / 15), rel=1e-12)
    for _ in range(5):
        price = debt / coins / (1 - 1 / 15)
        fall = math.log(100 / price)
        assert 3e5 - bank.sold_by(fall - 1e-8, MARKET) == pytest.approx(coins, rel=1e-9)
        kept = 12 * (coins * price - debt) / price
        coins, debt = kept, debt - (coins - kept) * price
        assert 3e5 - bank.sold_by(fall + 1e-8, MARKET) == pytest.approx(coins, rel=1e-9)


def test_no_loss_below_the_trigger_and_a_jump_above():
    """[A14] Cont & Schaanning 2017, Norges Bank WP 2/2017: a tipping point, and no answer to gains. A6, the
    symmetric model, multiplies every shock by the same number, however small, and gains too."""
    bank = Constrained(**BANK)
    jump = 3e5 * (1 - 12 / 15) / LAMBDA
    for below in (0.3, 0.9, 1 - 1e-6):
        assert end([bank], below * bank.trigger) == below * bank.trigger
    above = end([bank], bank.trigger * (1 + 1e-6))
    assert above >= bank.trigger + jump > 1.6 * bank.trigger
    assert ps.tipping_shock(MARKET, [bank]) == pytest.approx(bank.trigger, abs=1e-6)
    symmetric = ps.Rebalancer(10, 3e6)  # assets of $30M, as the bank: g = 9 x 30/200
    assert ps.loop_gain(MARKET, [symmetric], step=1e-7).total == pytest.approx(1.35, rel=1e-5)
    smaller = ps.Rebalancer(10, 1e6)
    assert end([smaller], 1e-6) == pytest.approx(1e-6 / (1 - 0.45), rel=1e-4)
    up = {}
    for member in (bank, smaller):
        run = ps.simulate(MARKET, [member], [ps.News(0.02)], hours=24)
        up[type(member)] = -run.fall[-1, 0]
    assert up[Constrained] == 0.02
    assert up[ps.Rebalancer] > 0.02 / (1 - 0.45)


def test_without_a_buffer_there_is_no_jump():
    """[A14] The jump is 1 - target/most of the book. A bank that sells back to the limit itself has a kink at
    its trigger, and beyond it is the symmetric fund of A6 at the leverage of the limit."""
    for target in (14.0, 14.9, 14.999):
        bank = Constrained(3e4, 10.0, 15.0, target)
        jump = bank.sold_by(bank.trigger + 1e-9, MARKET) / 3e4
        assert jump == pytest.approx(1 - target / 15, rel=1e-9)
    further = np.linspace(0, 0.1, 30)
    at_limit = ps.Rebalancer(15, 3e4 * 100 / 15).sold_by(further, MARKET)
    np.testing.assert_allclose(bank.sold_by(bank.trigger + further, MARKET), at_limit, atol=3e4 / 14_000)


def test_losses_run_through_liquidity_weighted_overlaps():
    """[A14] Bank j sells the share s_j of all it holds; bank i loses sum_j O_ij s_j with
    O_ij = sum_k h_ik h_jk/D_k. With s_j = (L_j - 1) x its loss it is the formula of A6."""
    rng = np.random.default_rng(1)
    held, depth, share = rng.lognormal(2, 1, (4, 3)), rng.uniform(100, 900, 3), rng.uniform(0, 0.1, 4)
    held[0, 1:] = held[1, 0] = held[2, :2] = 0
    overlap = (held / depth) @ held.T
    loss = np.zeros(4)
    for j in range(4):
        for k in range(3):
            loss += held[:, k] * share[j] * held[j, k] / depth[k]
    np.testing.assert_allclose(overlap @ share, loss, rtol=1e-12)
    np.testing.assert_array_equal(overlap, overlap.T)
    # Banks 0 and 1, like 0 and 2, hold nothing in common; 3 carries what happens to one over to the other.
    assert overlap[0, 1] == overlap[0, 2] == 0 < overlap[0, 3]
    # The same holdings in assets twice as deep spread half the loss.
    np.testing.assert_allclose(held / (2 * depth) @ held.T, overlap / 2)
    leverage, shock = rng.uniform(3, 20, 4), np.array([0.02, 0.0, 0.01])
    weights, assets = held / held.sum(axis=1, keepdims=True), held.sum(axis=1)
    greenwood = assets @ weights @ np.diag(1 / depth) @ weights.T @ np.diag(assets * (leverage - 1)) @ weights
    targeted = (leverage - 1) * (weights @ shock)
    assert (overlap @ targeted).sum() == pytest.approx(greenwood @ shock, rel=1e-12)


FLOOR, DEEP = 0.4, 2e8  # B, the most that the price can lose, and D, dollars a unit of return


def psi(dollars):
    """Bounded impact: the return that selling so many dollars' worth takes, B (1 - exp(-q/(B D)))."""
    return -FLOOR * np.expm1(-dollars / (FLOOR * DEEP))


def floored(fall):
    """The book of that impact, USD per 1 %: d(coins)/d(log fall), the coins counted in dollars at P0."""
    room = 1 + np.expm1(-fall) / FLOOR
    return 0.01 * DEEP * np.where(room > 1e-9, np.exp(-fall) / np.where(room > 1e-9, room, 1.0), 1e9)


def test_bounded_impact():
    """[A14] Psi(q) = B (1 - exp(-q/(B D))): 1/D a dollar at first, B at most. As a book with a floor it is
    chunk-invariant and ends every cascade; as a return on the price of each round it is no floor at all."""
    assert psi(1.0) == pytest.approx(1 / DEEP, rel=1e-8)
    amounts = np.array([1e6, 2e7, 6e7, 1.5e8])
    assert (np.diff(psi(amounts) / amounts) < 0).all()
    assert psi(1e12) == FLOOR
    book = ps.Market(depth=floored)
    np.testing.assert_allclose(book.fall_at(amounts / 100), -np.log1p(-psi(amounts)), rtol=1e-5)
    # Half and half: what is left of the distance to the floor is multiplied twice.
    assert 1 - psi(6e7) / FLOOR == pytest.approx((1 - psi(3e7) / FLOOR) ** 2, rel=1e-12)
    runaway = [ps.Herd(3e6)]
    assert end(runaway, 0.01) == np.inf
    assert 0.5 * FLOOR < -np.expm1(-end(runaway, 0.01, book)) < FLOOR
    assert 0.999 * FLOOR < -np.expm1(-end([ps.Herd(12e6)], 0.01, book)) < FLOOR
    assert (1 - psi(6e7)) ** 4 < 1 - FLOOR


# --- (32): tranches of a large pool ---

PD = 0.01
WEIGHT = math.expm1(-50 * PD) / math.expm1(-50)
RHO = 0.12 * WEIGHT + 0.24 * (1 - WEIGHT)  # Basel's asset correlation of a company
FACTOR = np.linspace(-8, 8, 1601)  # the state of the world
CHANCE = np.exp(-(FACTOR**2) / 2) * 0.01 / math.sqrt(2 * math.pi)


def losses(rho):
    """Loss rate of the large pool in every state: the share whose own luck is too bad."""
    barrier = NORMAL.inv_cdf(PD)
    z = (barrier - math.sqrt(rho) * FACTOR) / math.sqrt(1 - rho)
    return np.array([NORMAL.cdf(level) for level in z])


def test_vasicek_large_pool():
    """(32) PD 1 %, rho 0.1928: the 99.9 % loss rate is 14.03 %; so many of 200 000 debtors fail there."""
    assert pytest.approx(0.1928, abs=5e-5) == RHO
    worst = NORMAL.inv_cdf(0.001)
    barrier = NORMAL.inv_cdf(PD)
    rate = NORMAL.cdf((barrier - math.sqrt(RHO) * worst) / math.sqrt(1 - RHO))
    assert 100 * rate == pytest.approx(14.03, abs=5e-3)
    luck = np.random.default_rng(3).standard_normal(200_000)
    counted = np.mean(math.sqrt(RHO) * worst + math.sqrt(1 - RHO) * luck < barrier)
    assert counted == pytest.approx(rate, abs=3 * math.sqrt(rate / 200_000))
    # In a thousandth of the states it is worse, and over all of them one in a hundred fails.
    assert CHANCE[losses(RHO) > rate].sum() == pytest.approx(1e-3, rel=0.03)
    assert CHANCE @ losses(RHO) == pytest.approx(PD, rel=1e-9)


def test_tranches_add_up_to_the_pool():
    """(32) Equity, mezzanine and senior bear what the pool loses, in this order, in every state."""
    sizes, pool = [0.05, 0.15, 0.80], losses(RHO)
    equity, mezzanine, senior, nobody = tranches.layered(pool, sizes).T
    np.testing.assert_allclose(equity + mezzanine + senior, pool, atol=1e-15)
    np.testing.assert_array_equal(nobody, 0)
    np.testing.assert_allclose(equity, np.where(pool < 0.05, pool, 0.05))
    np.testing.assert_allclose(senior, np.where(pool > 0.20, pool - 0.20, 0), atol=1e-15)
    assert not mezzanine[pool <= 0.05].any()
    np.testing.assert_allclose(mezzanine[pool > 0.20], 0.15)
    expected = [
        CHANCE @ tranche / size for tranche, size in zip((equity, mezzanine, senior), sizes, strict=True)
    ]
    assert expected[0] > PD > expected[1] > 50 * expected[2] > 0
    assert expected @ np.array(sizes) == pytest.approx(PD, rel=1e-9)


@pytest.mark.parametrize(("junior", "convex"), [(0.20, True), (0.05, False)])
def test_correlation_hurts_the_senior(junior, convex):
    """(32) Its expected loss rises with rho; convex in rho at J = 20 %, not at J = 5 % (between 0.5 and 0.65
    it bends the other way); at the other end, the junior's falls."""
    correlation = np.linspace(0.10, 0.95, 18)
    pools = [losses(rho) for rho in correlation]
    senior = np.array([CHANCE @ np.maximum(pool - junior, 0) for pool in pools]) / (1 - junior)
    first = np.array([CHANCE @ np.minimum(pool, junior) for pool in pools]) / junior
    assert (np.diff(senior) > 0).all()
    assert (np.diff(first) < 0).all()
    assert (np.diff(senior, 2) > 0).all() == convex
    middle = (correlation[1:-1] > 0.5) & (correlation[1:-1] < 0.65)
    assert (np.diff(senior, 2)[middle] > 0).all() == convex


# --- (33): auctions at intervals ---


def exposed(interval, delay, a_second, seconds=20_000, seed=1):
    """A quote that learns of news `delay` seconds after the fast do. Continuous trading picks it off at every
    piece of news; an auction every `interval` seconds, for what has not reached it at the auction.

    Returns the shares of news, and of dollars, to which the quote is still exposed.
    """
    rng = np.random.default_rng(seed)
    at = np.sort(rng.uniform(0, seconds, rng.poisson(a_second * seconds)))
    worth = np.concatenate([[0.0], np.cumsum(rng.standard_normal(len(at)))])
    auctions = interval * np.arange(1, int(seconds / interval) + 1)
    fast, slow = np.searchsorted(at, auctions), np.searchsorted(at, auctions - delay)
    open_to = np.zeros(len(at) + 1)
    np.add.at(open_to, slow, 1)
    np.add.at(open_to, fast, -1)
    gained = np.abs(worth[fast] - worth[slow]).sum() / np.abs(np.diff(worth)).sum()
    return np.mean(np.cumsum(open_to)[:-1] > 0), gained, len(at)


@pytest.mark.parametrize("interval", [0.02, 0.1, 0.5, 2.0])
def test_batching_cuts_the_worth_of_speed(interval):
    """(33) Budish, Cramton & Shim 2015: news that comes in the last delta before an auction is all that a
    lead of delta is good for, delta/tau of it."""
    delay = 0.01
    share, gained, count = exposed(interval, delay, a_second=2.0)
    odds = delay / interval
    assert share == pytest.approx(odds, abs=3 * math.sqrt(odds * (1 - odds) / count))
    assert gained == pytest.approx(odds, abs=0.15 * odds + 0.003)


def test_what_batching_does_not_cut():
    """(33) No faster than the lead itself it protects nobody. In dollars delta/tau is an upper bound: pieces
    of news that come together partly cancel."""
    for interval in (0.01, 0.005):
        assert exposed(interval, 0.01, a_second=2.0, seconds=2_000)[0] > 0.999
    share, gained, _ = exposed(0.5, 0.1, a_second=100.0, seconds=2_000)
    assert share == pytest.approx(0.2, rel=0.02)
    # Ten pieces at a time: the sum is worth sqrt(10) of one, not ten.
    assert gained == pytest.approx(0.2 / math.sqrt(10), rel=0.1)


# --- (34): the magnet ---


def test_breaker_pulls_the_price_towards_itself():
    """(34) Chen, Petukhov, Wang & Xing 2024, the sign: sales pulled forward raise the chance of a halt."""
    market = ps.Market(volatility=1.0)

    def halted(magnet, crowd):
        breaker = ps.CircuitBreaker(fall=0.10, pause=2.0, magnet=magnet)
        run = ps.simulate(market, crowd, [], [breaker], hours=72, dt=0.1, paths=1_000, seed=5)
        return run.books["CircuitBreaker"]["halted"].any(axis=0)

    crowd = [ps.Herd(0.8e6)]
    without, weak, strong = (halted(magnet, crowd) for magnet in (0.0, 0.02, 0.04))
    assert 0.05 < without.mean() < weak.mean() - 0.02 < strong.mean() - 0.03
    # On the same news: who was halted without a magnet is halted with one.
    assert weak[without].all()
    assert strong[weak].all()
    # Nobody there to be pulled, or nobody who is afraid of a halt.
    for crowd in ([], [ps.Longs.spread(20e6)]):
        np.testing.assert_array_equal(halted(0.04, crowd), halted(0.0, crowd))


def test_how_far_the_magnet_reaches():
    """(34) Derived: within m of the level B sellers act on 2 x - (B - m), so a shock of B (1 - g) - g m is
    enough where it took B (1 - g)."""

    def halted(shock, magnet):
        rules = [ps.CircuitBreaker(fall=0.10, pause=1.0, magnet=magnet)]
        run = ps.simulate(MARKET, [ps.Herd(0.8e6)], [ps.News(-shock)], rules, hours=72)
        return run.books["CircuitBreaker"]["halted"].any()

    for magnet in (0.0, 0.01, 0.02):
        enough = 0.10 * (1 - 0.4) - 0.4 * magnet
        assert [halted(enough + side, magnet) for side in (-1e-4, 1e-4)] == [False, True]
    # Short of it, the gain is doubled in that zone: x = s + g (2 x - (B - m)).
    rules = [ps.CircuitBreaker(fall=0.10, magnet=0.02)]
    end = ps.simulate(MARKET, [ps.Herd(0.8e6)], [ps.News(-0.05)], rules, hours=96).fall[-1, 0]
    assert end == pytest.approx((0.05 - 0.4 * 0.08) / (1 - 0.8), rel=1e-6)


# --- (36): swing pricing ---


def redeemed(share, swing, coins=1e6):
    """Shares of a fund, one coin each, are redeemed at P0 less `swing`; it sells what pays for them.

    Returns dollars per share: what the sale cost a redeemed one, what redeemers got, what stayers have.
    """
    paid = share * coins * (100 - swing)
    fall = -math.log1p(-paid / (100 * LAMBDA))  # by MARKET.proceeds(0, fall) = paid
    assert MARKET.proceeds(0, fall) == pytest.approx(paid, rel=1e-12)
    sold = float(MARKET.absorbed(fall))
    # The price comes back: it was the sale that moved it.
    stayers = (coins - sold) * 100 / ((1 - share) * coins)
    return (sold * 100 - paid) / (share * coins), 100 - swing, stayers


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_swing_pricing(share):
    """(36) First-mover gain = impact cost x redeemers/stayers; a full swing leaves the stayers whole, and the
    first mover bears the cost. (Jin et al. 2022; algebra.)

    Neither has an edge at a swing of the cost times the redeemers' share, not at the full swing.
    """
    cost, got, left = redeemed(share, swing=0.0)
    assert cost > 0
    assert got - left == pytest.approx(cost * share / (1 - share), rel=1e-9)
    full = 100 + LAMBDA * 100 / (share * 1e6) * math.expm1(-share * 1e6 / LAMBDA)  # P0 less the average fill
    cost, got, left = redeemed(share, full)
    assert cost == pytest.approx(full, rel=1e-9)
    assert left == pytest.approx(100, rel=1e-12)
    assert got - left == pytest.approx(-cost, rel=1e-9)
    # In between: what is not charged is spread over the stayers.
    fair = 0.0
    for _ in range(50):
        fair = share * redeemed(share, fair)[0]
    cost, got, left = redeemed(share, fair)
    assert 0 < fair < full
    assert got == pytest.approx(left, rel=1e-9)
