"""The order book: walking it, and reading a depth off trades."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain import LAMBDA

import panicsim as ps
from panicsim.orderbook import Bids, estimate_depth

BOOK = Bids(price=[99.9, 99.5, 99], size=[1000, 3000, 6000])

levels = st.lists(
    st.tuples(st.floats(0.01, 1e5), st.floats(0.01, 1e6)),
    min_size=1,
    max_size=8,
    unique_by=lambda bid: bid[0],
)


def noisy_market(trades, seed, noise=0.01, flow=2e4):
    """Ticks of the running market: each trade moves the log price by q/Lambda, and news by as much again."""
    rng = np.random.default_rng(seed)
    coins = flow * rng.standard_normal(trades)
    moves = coins / LAMBDA + noise * rng.standard_normal(trades)
    return 100 * np.exp(np.concatenate([[0], np.cumsum(moves)])), coins


# --- walking the book ---


def test_walk_of_concept_d2():
    """D2: 8 000 coins into 99.9 x 1000, 99.5 x 3000, 99 x 6000 bring $99.30 on average, the last $99."""
    fill = BOOK.sell(8000)
    assert fill.average == pytest.approx(99.30, rel=1e-12)
    assert fill.last == 99.0
    assert fill.usd == pytest.approx(794_400)


def test_a_level_that_is_just_emptied_is_the_last_price():
    assert BOOK.sell(1000).last == 99.9
    assert BOOK.sell(4000).last == 99.5
    assert BOOK.sell(10_000).last == 99.0


def test_order_of_levels_does_not_matter_and_equal_prices_add_up():
    mixed = Bids([99, 99.9, 99.5, 99, 98], [2000, 1000, 3000, 4000, 0])
    np.testing.assert_array_equal(mixed.price, BOOK.price)
    np.testing.assert_array_equal(mixed.size, BOOK.size)
    assert mixed.sell(8000) == BOOK.sell(8000)


def test_depth_is_the_money_within_a_share_of_the_best_bid():
    assert BOOK.depth(within=0) == pytest.approx(99_900)
    assert BOOK.depth(within=0.005) == pytest.approx(99_900 + 298_500)
    assert BOOK.depth() == pytest.approx(99_900 + 298_500 + 594_000)
    assert Bids([100, 99], [1, 1]).depth(0.01) == 199, "a bid exactly one per cent below counts"


def test_book_is_read_only():
    with pytest.raises(ValueError):
        BOOK.price[0] = 1


@given(bids=levels, share=st.floats(1e-3, 1), cut=st.floats(0.01, 0.99))
def test_walking_in_two_steps_pays_the_same_as_in_one(bids, share, cut):
    """Coins and money are conserved by level; the average lies between the best and the last."""
    book = Bids(*zip(*bids, strict=True))
    coins = share * book.size.sum()
    whole, first = book.sell(coins), book.sell(cut * coins)
    left = np.maximum(book.size - np.clip(cut * coins - (np.cumsum(book.size) - book.size), 0, book.size), 0)
    rest = Bids(book.price, left).sell(min((1 - cut) * coins, left.sum()))
    assert first.usd + rest.usd == pytest.approx(whole.usd, rel=1e-9)
    assert whole.last * (1 - 1e-12) <= whole.average <= book.price[0] * (1 + 1e-12)
    assert first.average >= whole.average * (1 - 1e-12)


@given(within=st.floats(0, 0.9), bids=levels)
def test_depth_never_falls_with_the_distance(within, bids):
    book = Bids(*zip(*bids, strict=True))
    assert book.depth(within / 2) <= book.depth(within)


def test_a_fine_book_is_the_market_with_linear_impact():
    """Bids of Lambda dx coins on a fine grid of log prices pay what `Market.proceeds` says."""
    x = (np.arange(2000) + 0.5) * 1e-4
    book = Bids(100 * np.exp(-x), LAMBDA * 1e-4)
    market = ps.Market()
    assert book.sell(1e5).usd == pytest.approx(market.proceeds(0, 0.05), rel=1e-7)
    assert book.sell(1e5).last == pytest.approx(market.price_at(0.05), rel=1e-4)
    assert book.depth(0.01) == pytest.approx(2e6, rel=0.02)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: Bids([], []), "nobody bids"),
        (lambda: Bids([99], [0]), "nobody bids"),
        (lambda: Bids([0.0], [1]), "price"),
        (lambda: Bids([np.nan], [1]), "price"),
        (lambda: Bids([99], [-1]), "size"),
        (lambda: Bids([99, 98], [1, 2, 3]), "size"),
        (lambda: Bids("99", [1]), "price"),
        (lambda: BOOK.sell(10_001), r"coins.*10000.*10001"),
        (lambda: BOOK.sell(0), "coins"),
        (lambda: BOOK.sell(np.inf), "coins"),
        (lambda: BOOK.sell([1, 2]), "coins"),
        (lambda: BOOK.depth(1.0), "within"),
        (lambda: BOOK.depth(-0.01), "within"),
    ],
)
def test_refusals_name_the_argument(call, word):
    with pytest.raises(ValueError, match=word):
        call()


# --- reading a depth off trades ---


def test_depth_is_found_exactly_without_noise():
    price, flow = noisy_market(50, seed=0, noise=0.0)
    found = estimate_depth(price, flow)
    assert found.depth == pytest.approx(2e6, rel=1e-9)
    assert found.error < 1
    assert found.slope == pytest.approx(1 / LAMBDA, rel=1e-9)
    assert found.observations == 50


@pytest.mark.parametrize("seed", range(5))
def test_depth_within_five_per_cent_from_5000_noisy_ticks(seed):
    """D2: half of the variance is news."""
    found = estimate_depth(*noisy_market(5000, seed))
    assert found.depth == pytest.approx(2e6, rel=0.05)
    assert found.error == pytest.approx(2e6 / np.sqrt(5000), rel=0.1)


def test_standard_error_covers_as_often_as_it_says():
    """Two standard errors hold the truth in 95 of 100 samples (500 trades, news four times the impact)."""
    samples = [estimate_depth(*noisy_market(500, seed, noise=0.02)) for seed in range(600)]
    off = np.array([(found.depth - 2e6) / found.error for found in samples])
    assert np.mean(np.abs(off) < 1.96) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 600))
    assert off.std() == pytest.approx(1, abs=0.1)


@given(scale=st.floats(0.1, 10), price=st.floats(0.01, 1e4), drift=st.floats(-0.01, 0.01))
def test_units_and_drift(scale, price, drift):
    """Depth is in dollars at the first price; coins in other units and a drift change nothing."""
    ticks, flow = noisy_market(100, seed=3)
    base = estimate_depth(ticks, flow)
    moved = ticks * price * np.exp(drift * np.arange(101))
    found = estimate_depth(moved, flow * scale)
    assert found.depth == pytest.approx(base.depth * price * scale, rel=1e-6)
    assert found.error == pytest.approx(base.error * price * scale, rel=1e-6)


def test_same_numbers_as_a_least_squares_solver():
    price, flow = noisy_market(300, seed=8)
    design = np.column_stack([np.ones(300), flow])
    moves = np.diff(np.log(price))
    solution, residual, *_ = np.linalg.lstsq(design, moves, rcond=None)
    error = np.sqrt(residual[0] / 298 * np.linalg.inv(design.T @ design)[1, 1])
    found = estimate_depth(price, flow)
    assert found.slope == pytest.approx(solution[1], rel=1e-9)
    assert found.error / found.depth == pytest.approx(error / solution[1], rel=1e-6)


@pytest.mark.parametrize("gain", [0.3, 0.6])
def test_flow_that_follows_the_return_makes_the_market_look_shallow(gain):
    """Chapter 2: with r = (own/Lambda + news)/(1 - g), flow = own + g Lambda r the estimate is
    D (1 + g^2 rho)/(1 + g rho), rho the variance of news over that of own/Lambda."""
    rng, n, rho = np.random.default_rng(4), 50_000, 4.0
    own, news = 2e4 * rng.standard_normal(n), 0.01 * np.sqrt(rho) * rng.standard_normal(n)
    moves = (own / LAMBDA + news) / (1 - gain)
    flow = own + gain * LAMBDA * moves
    price = 100 * np.exp(np.concatenate([[0], np.cumsum(moves)]) / 100)
    found = estimate_depth(price, flow / 100)
    assert found.depth == pytest.approx(2e6 * (1 + gain**2 * rho) / (1 + gain * rho), abs=4 * found.error)
    alone = estimate_depth(price, own / 100)
    assert alone.depth == pytest.approx(2e6 * (1 - gain), abs=4 * alone.error)


def test_a_film_with_a_crowd_looks_as_deep_as_its_gain_if_sampled_slowly():
    """Step by step the crowd reacts to what is over, and the depth is found; hour by hour it is g D."""
    crowd = [ps.Herd(per_percent=1.2e6, one_way=False, lag=0.05)]
    film = ps.simulate(ps.Market(volatility=0.8), crowd, hours=2000, dt=0.01, seed=5)
    sold = film.sold["Herd"][:, 0]
    fast = estimate_depth(film.price[:, 0], -np.diff(sold))
    slow = estimate_depth(film.price[::400, 0], -np.diff(sold[::400]))
    assert fast.depth == pytest.approx(2e6, abs=4 * fast.error)
    assert slow.depth == pytest.approx(0.6 * 2e6, rel=0.05)


@pytest.mark.parametrize(
    ("price", "flow", "word"),
    [
        (np.full(20, 100.0), np.arange(19.0), "20 trades"),
        (np.full(31, 100.0), np.ones(30), "same in every trade"),
        (np.full(31, 100.0), np.arange(30.0), "slope"),
        (100 * np.exp(-(np.arange(31.0) ** 2) / 1e4), np.arange(30.0), "slope"),
        (np.full(30, 100.0), np.arange(30.0), "one longer"),
        (np.full((31, 2), 100.0), np.zeros((30, 2)), "one longer"),
        (np.r_[np.full(30, 100.0), np.nan], np.arange(30.0), "price"),
        (np.r_[np.full(30, 100.0), 0], np.arange(30.0), "price"),
        (np.full(31, 100.0), np.r_[np.arange(29.0), np.inf], "flow"),
    ],
)
def test_what_says_nothing_about_depth_is_refused(price, flow, word):
    with pytest.raises(ValueError, match=word):
        estimate_depth(price, flow)
