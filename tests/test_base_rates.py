"""Base rates: events that were known on the day, counted once, with bands that cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panicsim.base_rates import base_rates, falls

walks = st.integers(0, 10_000).map(
    lambda seed: 100 * np.exp(np.random.default_rng(seed).standard_t(3, 300).cumsum() * 0.02)
)


@given(close=walks, over=st.integers(1, 5), apart=st.integers(0, 30), cut=st.integers(2, 300))
def test_events_are_known_on_the_day(close, over, apart, cut):
    """Prices cut at a row hold the same events up to that row."""
    rows = falls(close, 0.04, over, apart)
    np.testing.assert_array_equal(falls(close[:cut], 0.04, over, apart), rows[rows < cut])


@given(close=walks, over=st.integers(1, 5), apart=st.integers(0, 30))
def test_events_by_a_plain_loop(close, over, apart):
    last, expected = -(10**9), []
    for row in range(over, len(close)):
        if close[row] / close[row - over] - 1 <= -0.04 and row - last >= apart:
            expected.append(row)
            last = row
    np.testing.assert_array_equal(falls(close, 0.04, over, apart), expected)


@given(close=walks, horizon=st.integers(1, 40))
def test_returns_by_a_plain_loop(close, horizon):
    """No two horizons overlap, none runs past the data, every purchase pays the cost."""
    kept = []
    for row in falls(close, 0.04, apart=5):
        if row + horizon < len(close) and (not kept or row - kept[-1] >= horizon):
            kept.append(row)
    after = [close[row + horizon] / close[row] * 0.99 - 1 for row in kept]
    (rate,) = base_rates(close, 0.04, horizon, apart=5, cost=0.01)
    usual = [close[row + horizon] / close[row] * 0.99 - 1 for row in range(len(close) - horizon)]
    assert rate.n == len(after) and rate.usual == pytest.approx(np.mean(usual))
    if after:
        assert rate.mean == pytest.approx(np.mean(after)) and rate.worst == pytest.approx(min(after))
        assert rate.hit == pytest.approx(np.mean(np.array(after) > 0))
        assert (rate.n < 8) == np.isnan(rate.low) == np.isnan(rate.high)
        assert rate.n < 8 or rate.low <= rate.mean + 1e-12 <= rate.high + 2e-12
        assert rate.hit_low <= rate.hit <= rate.hit_high
    else:
        assert np.isnan(rate.mean) and np.isnan(rate.hit_low)


def test_bands_cover_what_is_there_to_find():
    """Where a fall says nothing about what follows, 95 % bands hold the usual mean about that often."""
    covered = []
    for seed in range(150):
        close = 100 * np.exp(np.random.default_rng(seed).normal(0, 0.02, 4_000).cumsum())
        rate = base_rates(close, 0.035, 5)[0]
        assert rate.n > 60
        truth = np.exp(5 * 0.02**2 / 2) - 1
        covered.append(rate.low <= truth <= rate.high)
    assert 0.89 <= np.mean(covered) <= 0.99


def test_rebounds_that_are_there_are_found():
    """Each fall of 2.5 % is followed by three days of 1 %: the mean finds e^0.03 - 1 and a little noise."""
    rates = []
    for seed in range(20):
        steps = np.random.default_rng(seed).normal(0, 0.01, 20_000)
        for k in np.flatnonzero(steps < -0.0254):
            steps[k + 1 : k + 4] += 0.01
        rates += base_rates(100 * np.exp(steps.cumsum()), 0.025, 3)
    expected, error = np.expm1(0.03 + 3 * 0.01**2 / 2), 0.0177 / np.sqrt(sum(r.n for r in rates))
    assert np.average([r.mean for r in rates], weights=[r.n for r in rates]) == pytest.approx(
        expected, abs=4 * error
    )
    assert min(r.low for r in rates) > 0.02 and max(r.usual for r in rates) < 0.002


def test_bands_are_those_of_the_text_books():
    """Wilson's for a share: 5 of 10 lie in 0.2366 to 0.7634. For a mean of many, 1.96 errors each way."""
    up, down = 1.1, 1 / 1.2
    steps = np.tile([up, down, 1.0, 1.0], 10)
    steps[1::4] = down
    steps[2::8] = 1.05  # after every other fall the price rises, after the others it stands still
    (rate,) = base_rates(np.cumprod(steps), 0.1, 1, apart=0)
    assert (rate.n, rate.hit) == (10, 0.5)
    assert (rate.hit_low, rate.hit_high) == pytest.approx((0.2366, 0.7634), abs=5e-5)
    noise = np.random.default_rng(3).normal(0, 0.02, 20_000)
    close = 100 * np.exp(noise.cumsum())
    (many,) = base_rates(close, 0.02, 1, apart=0)
    rows = falls(close, 0.02, apart=0)
    after = close[rows[rows < len(close) - 1] + 1] / close[rows[rows < len(close) - 1]] - 1
    error = 1.96 * after.std() / np.sqrt(many.n)
    assert (many.low, many.high) == pytest.approx(
        (after.mean() - error, after.mean() + error), abs=0.06 * error
    )


def test_an_exact_fall_is_a_fall():
    assert falls([500, 465], 0.07).tolist() == [1]
    assert falls([700, 490], 0.30).tolist() == [1]
    assert falls([1000, 930.01], 0.07).size == 0


def test_record_shorter_than_its_horizon():
    (rate,) = base_rates([100, 90], 0.05, 5)
    assert rate.n == 0 and np.isnan(rate.usual)
    assert falls([100, 90], 0.05, over=10**30).size == 0
