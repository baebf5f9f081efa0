"""Pools: their arithmetic, their depth as a market, and five days on record."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import panicsim as ps
from panicsim.pools import ConstantProduct, StableSwap

reserve = st.floats(1, 1e9)
parts = st.floats(1e-6, 10)
fees = st.floats(0, 0.05)


def invariant_left(pool):
    """What is left of A n S + D = A n D + K, relative to its terms, written out from the definition."""
    n, d, x = len(pool.balances), pool.invariant, pool.balances
    left = pool.amplification * n * x.sum() + d
    return (left - pool.amplification * n * d - d ** (n + 1) / (n**n * np.prod(x))) / left


# --- constant product ---


def test_selling_a_tenth_of_the_reserve():
    """A25. Adams et al. 2020; Angeris et al. 2021: the price falls by 17.36 %."""
    pool = ConstantProduct(20_000, 2e6)
    assert pool.price == 100
    assert pool.after(2000).price / pool.price - 1 == pytest.approx(-0.17355, abs=5e-6)
    assert pool.sell(2000) == pytest.approx(2e6 / 11)


@pytest.mark.parametrize(
    ("ratio", "loss"),
    [(0.5, 5.72), (1.25, 0.62), (1.5, 2.02), (2, 5.72), (3, 13.40), (4, 20.00), (5, 25.46)],
)
def test_impermanent_loss(ratio, loss):
    """A25. 2 sqrt(r)/(1 + r) - 1, from the pool's own trades rather than from the formula."""
    pool = ConstantProduct(20_000, 2e6)
    if ratio < 1:
        end = pool.after(pool.coins * (ratio**-0.5 - 1))
    else:
        mirror = ConstantProduct(pool.usd, pool.coins)  # selling dollars to it is buying coins
        mirror = mirror.after(mirror.coins * (ratio**0.5 - 1))
        end = ConstantProduct(mirror.usd, mirror.coins)
    assert end.price == pytest.approx(100 * ratio)
    kept, held = end.coins * end.price + end.usd, pool.coins * end.price + pool.usd
    assert 100 * (1 - kept / held) == pytest.approx(loss, abs=0.005)


def test_fee_of_uniswap():
    """A25. Output y g dx/(x + g dx) with g = 0.997."""
    assert ConstantProduct(1000, 5000, fee=0.003).sell(10) == pytest.approx(5000 * 9.97 / 1009.97, rel=1e-15)


@given(coins=reserve, usd=reserve, fee=fees, part=parts)
def test_product_never_falls(coins, usd, fee, part):
    pool = ConstantProduct(coins, usd, fee)
    end = pool.after(part * coins)
    assert end.product >= pool.product * (1 - 1e-12)
    assert 0 < end.price < pool.price
    if fee == 0:
        assert end.product == pytest.approx(pool.product, rel=1e-12)


@given(part=parts, cut=st.floats(0, 1))
def test_one_sale_or_two_without_a_fee(part, cut):
    pool = ConstantProduct(20_000, 2e6)
    coins = part * pool.coins
    first = pool.after(cut * coins)
    assert first.after((1 - cut) * coins).price == pytest.approx(pool.after(coins).price, rel=1e-12)
    assert pool.sell(cut * coins) + first.sell((1 - cut) * coins) == pytest.approx(pool.sell(coins), rel=1e-9)


def test_loss_versus_rebalancing():
    """A25. Milionis et al. 2022: who trades the pool back to the market's price takes sigma^2/8 of it a year.

    At 80 % volatility 8 % a year, here from trades with the pool itself.
    """
    steps, sigma, dt = 4000, 0.8, 1 / 8760
    normal = NormalDist()
    draws = np.array([normal.inv_cdf((k + 0.5) / steps) for k in range(steps)])
    np.random.default_rng(1).shuffle(draws)
    pool, taken, market = ConstantProduct(20_000, 2e6), 0.0, 100.0
    for move in sigma * np.sqrt(dt) * draws - sigma**2 / 2 * dt:
        market *= np.exp(move)
        if market < pool.price:
            sold = pool.coins * (np.sqrt(pool.price / market) - 1)
            taken += (pool.sell(sold) - market * sold) / (2 * pool.usd)
            pool = pool.after(sold)
        else:
            mirror = ConstantProduct(pool.usd, pool.coins)
            paid = mirror.coins * (np.sqrt(market / pool.price) - 1)
            taken += (market * mirror.sell(paid) - paid) / (2 * pool.usd)
            mirror = mirror.after(paid)
            pool = ConstantProduct(mirror.usd, mirror.coins)
    assert taken / (steps * dt) == pytest.approx(sigma**2 / 8, rel=0.02)


# --- stable swap ---


@given(
    balances=st.lists(reserve, min_size=2, max_size=5), amplification=st.floats(1, 5000), part=parts, fee=fees
)
def test_invariant_is_solved_and_never_falls(balances, amplification, part, fee):
    balances = np.array(balances) * 1e-3 + max(balances)  # at most a thousand to one
    pool = StableSwap(balances, amplification, fee)
    assert abs(invariant_left(pool)) < 1e-12
    assert 0 < pool.invariant <= balances.sum() * (1 + 1e-12)
    end = pool.after(part * balances[0])
    assert end.invariant >= pool.invariant * (1 - 1e-9)
    assert (end.balances > 0).all()
    if fee == 0:
        assert end.invariant == pytest.approx(pool.invariant, rel=1e-9)


@given(low=st.floats(0.02, 50), amplification=st.floats(1, 2000), n=st.integers(2, 4))
def test_price_is_the_slope_of_the_sale(low, amplification, n):
    pool = StableSwap([1e6 * low] + [1e6] * (n - 1), amplification)
    small = 1e6 * low * 1e-5
    assert pool.price() == pytest.approx((pool.sell(small) / small), rel=2e-3)
    assert pool.price(0, 1) * pool.price(1, 0) == pytest.approx(1, rel=1e-12)


def test_balanced_pool_pays_par_and_order_of_coins_does_not_matter():
    assert StableSwap([5e5, 5e5, 5e5], 100).price() == pytest.approx(1, rel=1e-14)
    assert StableSwap([5e5, 5e5, 5e5], 100).invariant == pytest.approx(1.5e6, rel=1e-14)
    one, other = StableSwap([3e5, 1e5], 50), StableSwap([1e5, 3e5], 50)
    assert one.price(0, 1) == pytest.approx(other.price(1, 0), rel=1e-14)
    assert one.sell(1e4) == pytest.approx(other.sell(1e4, i=1, j=0), rel=1e-12)


@given(part=parts, cut=st.floats(0, 1))
def test_one_sale_or_two(part, cut):
    pool = StableSwap([4e5, 2e5], 50)
    coins = part * 4e5
    first = pool.after(cut * coins)
    assert first.sell((1 - cut) * coins) + pool.sell(cut * coins) == pytest.approx(pool.sell(coins), rel=1e-8)


def test_more_amplification_is_flatter():
    prices = [StableSwap([76, 24], a).price() for a in (1, 10, 50, 100, 1000, 1e5)]
    assert prices == sorted(prices)
    assert prices[-1] == pytest.approx(1, abs=1e-3)


def test_fee_is_taken_from_what_goes_out():
    free, dear = StableSwap([4e5, 2e5], 50), StableSwap([4e5, 2e5], 50, fee=0.0004)
    assert dear.sell(1e4) == pytest.approx(free.sell(1e4) * 0.9996)
    assert dear.after(1e4).invariant > free.after(1e4).invariant


# --- a pool as a market ---

POOLS = {
    "constant product": (ConstantProduct(20_000, 2e6), 100.0),
    "cheap coin": (ConstantProduct(5e7, 3e6), 0.06),
    "balanced": (StableSwap([5e5, 5e5], 50), 1.0),
    "stETH": (StableSwap([491_000, 111_300], 50), 0.93738),
    "three coins": (StableSwap([7e5, 1.5e5, 1.5e5], 20), None),
}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("part", [1e-3, 0.05, 0.3, 1.0])
def test_market_with_the_depth_of_a_pool_is_the_pool(name, part):
    """The end price and the money of a sale are the pool's own, by its own arithmetic."""
    pool, price = POOLS[name]
    stable = isinstance(pool, StableSwap)
    start = pool.price() if stable else pool.price
    assert price is None or start == pytest.approx(price, abs=5e-6)
    market = ps.Market(price=start, depth=pool.depth)
    coins = part * (pool.balances[0] if stable else pool.coins)
    end = pool.after(coins)
    fall = market.fall_at(coins)
    assert market.price_at(fall) == pytest.approx(end.price() if stable else end.price, rel=1e-5)
    assert market.proceeds(0, fall) == pytest.approx(pool.sell(coins), rel=5e-5)  # rows of 1 bp
    # ... and as the outside sale of a film
    film = ps.simulate(market, [], [ps.Sale(coins, at=0, over=1)], hours=2, dt=0.1)
    assert film.price[-1, 0] == pytest.approx(float(market.price_at(fall)), rel=1e-9)


def test_depth_of_a_constant_product():
    """Lambda(x) = coins e^(x/2)/2: half a per cent of the dollars in the pool per 1 %, and more below."""
    pool = ConstantProduct(20_000, 2e6)
    assert pool.depth(0.0) == pytest.approx(0.005 * 2e6)
    np.testing.assert_allclose(pool.depth(np.array([[0, 1.0]])), 1e4 * np.exp([[0, 0.5]]))
    market = ps.Market(price=pool.price, depth=pool.depth)
    assert market.depth_coins(0.0) == pytest.approx(10_000, rel=1e-6)


def test_depth_of_a_stable_pool_by_differences():
    for pool in (StableSwap([5e5, 5e5], 50), StableSwap([4e5, 1e5, 2e5], 30)):
        start = pool.price()
        for coins in (1e3, 1e5, 5e5):
            before, after = pool.after(coins * 0.9999), pool.after(coins * 1.0001)
            by_difference = coins * 2e-4 / np.log(before.price() / after.price())
            fall = np.log(start / pool.after(coins).price())
            assert pool.depth(fall) / (0.01 * start) == pytest.approx(by_difference, rel=1e-4)


# --- five days on record ---

RECORDS = {
    "stETH, 1-7 June 2022": ([1, 0.45], 50, 0.980, 0.98),
    "stETH, 10 June 2022": ([76, 24], 50, 0.963, 0.96),
    "stETH, about 12 June 2022": ([75, 25], 50, 0.967, 0.972),
    "stETH, 17 June 2022": ([491_000, 111_300], 50, 0.937, 0.94),
    "USDT, 15 June 2023": ([73.8, 13.1, 13.1], 2000, 0.99697, 0.997),
}


@pytest.mark.parametrize("name", RECORDS)
def test_pool_prices_on_record(name):
    """Balances of the day, price by the formula, nothing fitted; A is an assumption (chapter 2)."""
    balances, amplification, computed, record = RECORDS[name]
    price = StableSwap(balances, amplification).price()
    assert price == pytest.approx(computed, abs=5e-4 if len(balances) == 2 else 5e-5)
    assert 0.9 < (1 - price) / (1 - record) < 1.2


def test_other_amplifications_fit_worse():
    """A = 30, A = 100, and the white paper's A n^n instead of the contracts' A n, which doubles A here."""
    stakes = [(b, record) for b, a, _, record in RECORDS.values() if a == 50]

    def misses(amplification):
        return [abs(np.log((1 - StableSwap(b, amplification).price()) / (1 - r))) for b, r in stakes]

    assert np.mean(misses(50)) < 0.1 < 0.3 < min(np.mean(misses(30)), np.mean(misses(100)))
    ratios = [(1 - StableSwap(b, 100).price()) / (1 - r) for b, r in stakes]
    np.testing.assert_allclose(ratios, [0.51, 0.47, 0.62, 0.55], atol=0.006)


# --- refusals ---


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: ConstantProduct(0, 1), "coins"),
        (lambda: ConstantProduct(1, -1), "usd"),
        (lambda: ConstantProduct(1, np.nan), "usd"),
        (lambda: ConstantProduct(1, 1, fee=1), "fee"),
        (lambda: ConstantProduct(1, 1).sell(-1), "coins"),
        (lambda: ConstantProduct(1, 1).after(np.inf), "coins"),
        (lambda: StableSwap([1], 50), "balances"),
        (lambda: StableSwap([[1, 1]], 50), "balances"),
        (lambda: StableSwap([1, 0], 50), "balances"),
        (lambda: StableSwap([1, 1], 0.5), "amplification"),
        (lambda: StableSwap([1, 1], 50, fee=-0.1), "fee"),
        (lambda: StableSwap([1, 1], 50).sell(-1), "coins"),
        (lambda: StableSwap([1, 1], 50).price(0, 2), "i, j"),
        (lambda: StableSwap([1, 1], 50).price(1, 1), "i, j"),
        (lambda: StableSwap([1, 1], 50).price(-1, 0), "i "),
        (lambda: StableSwap([1, 1], 50).depth(np.nan), "fall"),
    ],
)
def test_refusals_name_the_argument(call, word):
    with pytest.raises(ValueError, match=word):
        call()
