"""The numbers on fees, marks and keepers that the chapters print (concept numbers in brackets)."""

import math
from statistics import NormalDist

import numpy as np
import pytest

import panicsim as ps
from panicsim import games, pools, rules

MARKET = ps.Market()
DEEP = ps.Market(depth=2e15)  # a book that does not give way
YEAR = math.sqrt(365)  # days: volatility per day -> per year


# --- Fees (D5) ---


def test_turnover_that_pays_for_volatility():
    """[D5] f = 0.30 %: sigma^2/8 is 3.1 bp a day at 5 % and 50 bp at 20 %, so turnover must be 10.4 % and
    167 % of the pool, sixteen times as much."""
    fees = ps.Fees(fee=0.003, turnover=1.0)
    for sigma, basis_points, turnover in ((0.05, 3.1, 10.4), (0.20, 50.0, 167.0)):
        cost = fees.cost(sigma * YEAR)
        assert cost == pytest.approx(sigma**2 / 8, rel=1e-12)
        assert 1e4 * cost == pytest.approx(basis_points, abs=0.05)
        assert 100 * cost / fees.income(sigma * YEAR) == pytest.approx(turnover, abs=0.5)
        even = ps.Fees(fee=0.003, turnover=sigma**2 / 8 / 0.003)
        assert even.share(sigma * YEAR * (1 - 1e-9)) == 1 > even.share(sigma * YEAR * 1.001)
    assert fees.cost(0.20 * YEAR) / fees.cost(0.05 * YEAR) == pytest.approx(16)


def test_what_a_pool_loses_to_those_who_know():
    """[D5] Arbitrage once a day against a constant product at sigma = 5 %: 3.125 bp a day, within three
    standard errors (exactly it is 1 - exp(-sigma^2/8) = 3.1245)."""
    sigma, z = 0.05, np.random.default_rng(7).standard_normal(200_000)
    price = np.exp(sigma * z - sigma**2 / 2)  # of a pool of 1 coin and 1 USD
    coins, usd = 1 / np.sqrt(price), np.sqrt(price)
    gained = ((1 - coins) * price + (1 - usd)) / 2  # what they take out, at the price that they know
    error = gained.std() / math.sqrt(len(z))
    assert 1e4 * gained.mean() == pytest.approx(3.125, abs=3e4 * error)
    assert 1e4 * error < 0.011
    assert 1e4 * -math.expm1(-(sigma**2) / 8) == pytest.approx(3.1245, abs=1e-4)
    pool = pools.ConstantProduct(1.0, 1.0)
    for j in np.flatnonzero(price < 1)[:20]:
        assert pool.sell(coins[j] - 1) == pytest.approx(1 - usd[j], rel=1e-9)
        assert pool.after(coins[j] - 1).price == pytest.approx(price[j], rel=1e-9)


@pytest.mark.parametrize(
    ("terms", "left"),
    [({}, 1 / 16), ({"linked": True}, 1.0), ({"linked": True, "elasticity": 1.0}, 1 / 16)],
    ids=["fixed", "linked", "linked, but traders mind"],
)
def test_liquidity_at_four_times_the_volatility(terms, left):
    """[D5] From break-even: a sixteenth of the depth under a fixed fee, all of it under one that grows with
    the variance. That holds if turnover does not mind the fee; at an elasticity of 1 nothing is won."""
    calm = 0.05 * YEAR
    fees = ps.Fees(fee=0.003, turnover=0.05**2 / 8 / 0.003, calm=calm, **terms)
    assert fees.share(calm) == pytest.approx(1)
    assert fees.share(4 * calm) == pytest.approx(left)
    # In a film whose price moves every hour by as much, up and down.
    noise = np.resize([1.0, -1.0], (48, 1))
    run = ps.simulate(ps.Market(volatility=4 * calm), [], [], [fees], hours=48, dt=1.0, noise=noise)
    np.testing.assert_allclose(run.books["Fees"]["share"][1:, 0], left, rtol=1e-9)
    np.testing.assert_allclose(run.share[:, 0], left, rtol=1e-9)


# --- Whose price (D7) ---


class Attacker(ps.Participant):
    """Buys so many coins at once, and holds them, or sells them at an hour."""

    def __init__(self, coins, back=math.inf):
        self.coins, self.back = coins, back

    def sold_by(self, fall, market):
        return 0.0 * np.asarray(fall)

    def react(self, view, mine):
        return view.done + (self.coins if view.time < self.back - 1e-9 else 0.0)


THIN = ps.Market(depth=1e6)  # $1M per 1 %


def test_price_of_an_attack():
    """[D7] m = 30 % at $1M per 1 %: about $4.5M, exactly $4.99M; open interest up to $15M is safe to first
    order, up to $14.25M exactly: at $15M $5.25M are gained for $4.99M."""
    push, depth = 0.3, 1e6
    worth = 100 * depth  # Lambda P0
    cost = worth * (math.exp(push) - 1 - push)
    assert [worth * push**2 / 2, cost] == [pytest.approx(4.5e6), pytest.approx(4.99e6, abs=5e3)]
    assert rules.attack_cost(THIN, push) == pytest.approx(cost, rel=1e-12)
    safe = cost / math.expm1(push)
    assert [worth * push / 2, safe] == [pytest.approx(15e6), pytest.approx(14.25e6, abs=5e3)]
    assert rules.safe_interest(THIN, push) == pytest.approx(safe, rel=1e-12)
    assert 15e6 * math.expm1(push) == pytest.approx(5.25e6, abs=5e3)
    # Downwards it is cheaper, and gains less: m^2/2 - m^3/6 for 1 - exp(-m).
    down = worth * (math.exp(-push) - 1 + push)
    assert rules.attack_cost(THIN, -push) == pytest.approx(down, rel=1e-12)
    assert rules.safe_interest(THIN, -push) == pytest.approx(down / -math.expm1(-push), rel=1e-12)


@pytest.mark.parametrize(
    ("recovery", "back", "lost"),
    [(1e3, math.inf, math.exp(0.3) - 1.3), (0.0, 1.0, 0.0), (1e3, 1.0, math.exp(0.3) + math.exp(-0.3) - 2)],
    ids=["others restore", "nobody reacts", "others restore, he dumps"],
)
def test_attack_in_a_film(recovery, back, lost):
    """[D7] The loss if others restore the price, the coins marked at it; nothing if nobody reacts and he
    trades back along the same path; nearly twice as much, $9.07M, if he dumps them on the restored price."""
    market = ps.Market(depth=1e6, recovery=recovery)
    run = ps.simulate(market, [Attacker(0.3e6, back)], [], hours=2)
    row = ps.metrics(run).ledger["Attacker"]
    held = -row["coins"][0]
    assert held == pytest.approx(0.3e6 if back > 2 else 0, abs=1e-6)
    assert -row["usd"][0] - 100 * held == pytest.approx(lost * 1e8, rel=1e-9, abs=1e-3)


def test_median_ignores_one_corrupted_venue():
    """[D7] 3 venues, one shown 30 % too low: nobody is liquidated; by the own book alone, or with two of them
    corrupted, all are whom 30 % would reach. An average over an hour feels a quarter of a quarter hour."""
    longs = ps.Longs.spread(20e6)

    def marked(**terms):
        run = ps.simulate(DEEP, [longs], [], [ps.Oracle(push=0.3, at=1.0, **terms)], hours=4)
        return run.sold["Longs"][-1, 0], round(run.books["Oracle"]["mark"].max(), 9)

    reached = longs.sold_by(0.3, MARKET)
    assert 0 < reached < longs.size.sum()
    assert marked() == (reached, 0.3)
    assert marked(venues=3) == (0, 0)
    assert marked(venues=3, pushed=2) == (reached, 0.3)
    assert marked(venues=5, pushed=2) == (0, 0)
    sold, mark = marked(window=1.0, over=0.25)
    assert mark == pytest.approx(0.3 / 4)
    assert sold == longs.sold_by(0.3 / 4, MARKET)


# --- Settlement (D9) ---

PHI = NormalDist().cdf


def test_smallest_repayment_that_pays():
    """[D9] 400 000 gas: 30 gwei at $2 000 is $24, 500 gwei at $1 500 $300; with a bonus of 5 % $480 and
    $6 000."""
    pool = ps.LendingPool(1_000.0, 60_000.0)
    for gwei, ether, smallest in ((30, 2_000, 480), (500, 1_500, 6_000)):
        gas = 400_000 * gwei * 1e-9 * ether
        assert gas / 0.05 == pytest.approx(smallest)
        run = ps.simulate(MARKET, [pool], [], [ps.Liquidators(gas=gas)], hours=1)
        assert run.books["Liquidators"]["smallest"][-1, 0] == pytest.approx(smallest)


def test_reward_must_cover_the_wait():
    """[D9] b >= z sigma sqrt(tau): keepers who want three standard deviations over an hour stay away from a
    bonus of 5 % at a volatility of 156 % a year and more."""
    keepers = ps.Liquidators(gas=24.0, caution=3.0, latency=1.0)
    limit = 0.05 / 3 * math.sqrt(8760)
    assert limit == pytest.approx(1.56, abs=5e-3)
    assert keepers.smallest(0.05, limit**2 * 1.001, 24.0) == np.inf
    assert keepers.smallest(0.05, (limit / 2) ** 2, 24.0) == pytest.approx(2 * 480)


def test_stranded_loans():
    """[D9] Sizes lognormal, median $5 000, s = 1.5, at $6 000: 54.8 % by count, 8.4 % by value.

    The size is what can be repaid at a time. With a close factor of one half the smallest *loan* that pays
    is $12 000, and the same two shares of lognormal loans are 72 % and 18 %.
    """

    def shares(smallest):
        z = math.log(smallest / 5_000) / 1.5
        return [100 * PHI(z), 100 * PHI(z - 1.5)]

    assert shares(6_000) == pytest.approx([54.8, 8.4], abs=0.05)
    assert shares(12_000) == pytest.approx([72.0, 18.0], abs=0.1)
    size = 5_000 * np.exp(1.5 * np.random.default_rng(2).standard_normal(400_000))
    small = size < 6_000
    assert 100 * small.mean() == pytest.approx(54.8, abs=0.3)
    assert 100 * size[small].sum() / size.sum() == pytest.approx(8.4, abs=0.2)
    # The same loans in a pool that a fall of a third makes due as a whole.
    loans = size[:20_000]
    for close, smallest in ((1.0, 6_000), (0.5, 12_000)):
        pool = ps.LendingPool(loans / 60, loans, close_factor=close, threshold=0.8)
        run = ps.simulate(DEEP, [pool], [ps.News(math.log(0.74))], [ps.Liquidators(gas=300.0)], hours=3)
        one = ps.simulate(DEEP, [pool], [ps.News(math.log(0.74))], hours=3)
        left = (
            1
            - ps.metrics(run).ledger["LendingPool"]["repaid"]
            / ps.metrics(one).ledger["LendingPool"]["repaid"]
        )
        assert left[0] == pytest.approx(loans[loans < smallest].sum() / loans.sum(), abs=1e-3)


def test_capacity_bounds_what_is_cleared():
    """[D9] Keepers who can sell $2M an hour clear no more than that times the hours, and in the end all: here
    an eighth more than at once, for loans that are due for long repay more than the close factor."""
    pool = ps.LendingPool.spread(20e6, ltv=(0.70, 0.75), n=100)
    news = [ps.News(math.log(0.9))]
    run = ps.simulate(DEEP, [pool], news, [ps.Liquidators(capacity=2e6)], hours=24)
    free = ps.simulate(DEEP, [pool], news, hours=24)
    cleared = 1.05 * run.books["LendingPool"]["repaid"][:, 0]
    assert (cleared <= 2e6 * run.time * (1 + 1e-9)).all()
    busy = (run.time > 0.1) & (run.time < 2)
    np.testing.assert_allclose(cleared[busy], 2e6 * (run.time[busy] - 0.05), rtol=1e-6)
    assert cleared[-1] == cleared[-100]
    at_once = 1.05 * free.books["LendingPool"]["repaid"][-1, 0]
    assert at_once < cleared[-1] < 1.2 * at_once


@pytest.mark.parametrize(("bidders", "share"), [(0, 0.0), (1, 0.0), (2, 1 / 3), (4, 0.6), (20, 19 / 21)])
def test_what_an_auction_brings(bidders, share):
    """[D9] (n - 1)/(n + 1) of the worth, the second highest of n even values; nothing from a sole bidder, as
    at Maker on 12 March 2020. What is bid beyond the debt, 1/(1 + b) of the worth, is not the pool's."""
    assert games.auction_share(bidders) == pytest.approx(share)
    second = np.zeros(200_000)
    if bidders > 1:
        second = np.partition(np.random.default_rng(bidders).random((200_000, bidders)), -2, axis=1)[:, -2]
    assert second.mean() == pytest.approx(share, abs=0.003)
    pool = ps.LendingPool(1_000.0, 60_000.0)
    rule = ps.Liquidators(bidders=bidders)
    run = ps.simulate(DEEP, [pool], [ps.News(math.log(0.7))], [rule], hours=3)
    books, repaid = run.books["Liquidators"], ps.metrics(run).ledger["LendingPool"]["repaid"]
    assert (repaid > 0) == (bidders > 0)  # nobody there: nothing is sold
    brought = np.minimum(second * 1.05, 1).mean()
    assert books["received"][-1] == pytest.approx(brought * repaid, rel=0.005)
    assert books["received"][-1] + books["shortfall"][-1] == pytest.approx(repaid, rel=1e-9)
    assert ps.metrics(run).bad_debt == pytest.approx(books["shortfall"][-1], rel=1e-9)


@pytest.mark.parametrize("through", [0.05, 0.3, 0.9])
def test_auction_on_a_congested_chain(through):
    """[D9] Of 20 bidders each gets through by chance; what it brings where anybody does, counted."""
    rng = np.random.default_rng(3)
    values = np.where(rng.random((100_000, 20)) < through, rng.random((100_000, 20)), 0)
    came = values.max(axis=1) > 0
    second = np.sort(values[came], axis=1)[:, -2]
    assert games.auction_share(20, through) == pytest.approx(second.mean(), abs=0.005)
