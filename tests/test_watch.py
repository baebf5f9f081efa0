"""What is seen before a cascade: the map is measured, the price is measured, and neither looks ahead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import panicsim as ps
from panicsim.cast import cast

MARKET = ps.Market()
LONGS = ps.Longs.spread(30e6, leverage=(4, 20), n=3000, seed=3)


def test_bins_of_the_radar_are_loop_gains():
    """Heat over depth is the loop gain of the same bin, for everybody and in all."""
    crowd = cast(14)
    seen = ps.radar(MARKET, crowd, deepest=0.3, step=0.02)
    gains = ps.loop_gain(MARKET, crowd, fall=seen.fall, step=0.02)
    np.testing.assert_allclose(seen.gain, gains.total, atol=1e-12)
    for name in gains:
        np.testing.assert_allclose(seen.sold[name] / seen.depth, gains[name], atol=1e-12)
    np.testing.assert_allclose(seen.depth, 2e6)
    assert seen.tipping == ps.tipping_shock(MARKET, crowd)
    assert seen.fall[0] == 0 and len(seen.fall) == 15


def test_dollars_of_the_radar_are_counted_at_the_price_of_now():
    here = ps.radar(MARKET, [ps.Herd(1e6)], fall=np.log(2))
    np.testing.assert_allclose(here.heat, 0.5e6)
    np.testing.assert_allclose(here.depth, 1e6)


@given(share=st.floats(0.0, 0.95))
def test_tipping_is_as_far_away_as_the_shocks_so_far_have_left_it(share):
    """After a shock s that did not tip, the loop tips at s* - s more."""
    crowd = [LONGS, ps.Herd(0.2e6)]
    tips = ps.tipping_shock(MARKET, crowd)
    photo = ps.cascade(MARKET, crowd, share * tips)
    left = ps.tipping_shock(MARKET, crowd, fall=photo.fall)
    assert left == pytest.approx((1 - share) * tips, abs=3e-5)


def test_one_way_sellers_are_done_down_to_the_worst_fall_and_others_are_not():
    back = {"fall": 0.02, "worst": 0.10}
    longs = ps.radar(MARKET, [LONGS], **back)
    untouched = ps.radar(MARKET, [LONGS], fall=0.02)
    assert not longs.heat[longs.fall < 0.0799].any()
    np.testing.assert_array_equal(longs.heat[longs.fall > 0.0799], untouched.heat[longs.fall > 0.0799])
    herd = ps.Herd(1e6, one_way=False)
    np.testing.assert_allclose(ps.radar(MARKET, [herd], **back).gain, 0.5)
    np.testing.assert_allclose(ps.radar(MARKET, [ps.Herd(1e6)], **back).gain[:8], 0.0)


@pytest.mark.parametrize("fall", [-0.1, 0.0, 0.07])
def test_tipping_from_here_is_tipping_of_the_market_that_is_here(fall):
    """A book whose depth follows the fall, seen from a fall, is the book that begins there."""
    deep = ps.Market(depth=lambda x: 2e6 * np.exp(-2 * x))
    there = ps.Market(price=100 * np.exp(-fall), depth=lambda x: 2e6 * np.exp(-2 * (x + fall) - fall))
    curve = {"holdings": 3e5, "threshold": 0.12, "width": 0.03}
    crowd = [ps.Fear(**curve, one_way=False)]

    class Moved(ps.Participant):
        def sold_by(self, x, market):
            start = crowd[0].sold_by(np.array(fall), MARKET)
            return crowd[0].sold_by(np.asarray(x) + fall, MARKET) - start

    expected = ps.tipping_shock(there, [Moved()])
    assert ps.tipping_shock(deep, crowd, fall=fall) == pytest.approx(expected, abs=1e-5)


walks = st.integers(0, 10_000).map(
    lambda seed: np.random.default_rng(seed).normal(size=(40, 2)).cumsum(axis=0)
)


@given(walk=walks, window=st.integers(3, 12), every=st.integers(1, 3), cut=st.integers(1, 39))
def test_warnings_never_look_ahead(walk, window, every, cut):
    """A series cut at a row gives, to the last bit, what the whole gave up to that row."""
    whole = ps.early_warning(walk, window, every)
    known = ps.early_warning(walk[:cut], window, every)
    for name in ("ar1", "variance"):
        np.testing.assert_array_equal(getattr(known, name), getattr(whole, name)[:cut])


@given(walk=walks, window=st.integers(3, 12), every=st.integers(1, 3))
def test_warnings_are_the_moments_of_the_window(walk, window, every):
    seen = ps.early_warning(walk[:, 0], window, every)
    for row in range(len(walk)):
        looks = walk[: row + 1 : every, 0]
        steps = np.diff(looks)[-window:]
        if len(looks) <= window:
            assert np.isnan(seen.ar1[row]) and np.isnan(seen.variance[row])
            continue
        off = steps - steps.mean()
        np.testing.assert_allclose(seen.variance[row], steps.var(ddof=1), rtol=1e-9)
        np.testing.assert_allclose(seen.ar1[row], np.sum(off[1:] * off[:-1]) / np.sum(off**2), atol=1e-9)


def test_a_price_that_stands_still_has_no_memory_to_measure():
    still = ps.early_warning(np.full(20, 0.3), 5)
    assert np.isnan(still.ar1).all()
    assert (still.variance[5:] == 0).all()


def test_a_run_is_measured_by_its_log_falls_and_as_of_its_end():
    run = ps.simulate(ps.Market(volatility=0.9), [ps.Herd(1e6)], hours=10, paths=3, seed=2)
    seen, cut = ps.early_warning(run, 50), ps.early_warning(run.until(6), 50)
    np.testing.assert_array_equal(seen.ar1, ps.early_warning(run.fall, 50).ar1)
    np.testing.assert_array_equal(cut.ar1, seen.ar1[: len(cut.ar1)])


scores = st.lists(st.integers(0, 6), min_size=1, max_size=12)


@given(calm=scores, coming=scores)
def test_area_under_the_curve_is_the_chance_to_rank_right(calm, coming):
    """Against all pairs, one by one; a tie counts half (Mann and Whitney)."""
    curve = ps.roc(calm, coming)
    pairs = [(b > a) + 0.5 * (b == a) for a in calm for b in coming]
    assert curve.area == pytest.approx(np.mean(pairs))
    assert curve.false_alarms[0] == curve.hits[0] == 0 and curve.false_alarms[-1] == curve.hits[-1] == 1
    assert (np.diff(curve.false_alarms) >= 0).all() and (np.diff(curve.hits) >= 0).all()
    for level in set(calm) | set(coming):
        rate = np.mean(np.array(calm) >= level)
        assert curve.at(rate) >= np.mean(np.array(coming) >= level) - 1e-12


def test_most_alarms_are_false_where_cascades_are_rare():
    """Bayes: 90 % hits at 10 % false alarms are 15.5 % right at a base rate of 2 %."""
    calm, coming = np.arange(10.0), np.append(np.full(9, 9.0), -1.0)
    curve = ps.roc(calm, coming)
    assert curve.at(0.1) == pytest.approx(0.9)
    assert curve.precision(0.02, 0.1) == pytest.approx(0.018 / (0.018 + 0.098))
    assert np.isnan(curve.precision(0.0, 0.0))


def test_price_warns_of_a_loop_that_acts_and_not_of_thresholds_it_has_not_touched():
    """Two coming cascades: thinning depth shows in the price, a map of liquidations does not."""
    steps = {"hours": 150, "dt": 0.5, "paths": 200}
    market = ps.Market(volatility=0.2)
    thin = ps.Market(volatility=0.2, depth=ps.Depth(2e6, schedule=lambda hour: 1 - hour / 200))
    herd, longs = ps.Herd(0.4e6, one_way=False), ps.Longs(100, 4e4, np.linspace(4, 5, 10))

    def score(market, crowd, seed):
        return ps.early_warning(ps.simulate(market, crowd, seed=seed, **steps), 100).ar1[-1]

    calm = score(market, [herd], 1)
    assert ps.roc(calm, score(thin, [herd], 2)).area > 0.95
    assert ps.roc(calm, score(market, [herd, longs], 2)).area == pytest.approx(0.5, abs=0.08)
    assert ps.radar(market, [herd]).tipping == np.inf
    assert ps.radar(market, [herd, longs]).tipping < 0.2


def test_rates_that_no_float_holds_exactly():
    """1 of 20 is 0.05 and 3 of 10 is 0.3, and the whole of a vertical stretch belongs to them."""
    curve = ps.roc(range(20), [18.5, 18.6])
    assert curve.at(0.05) == 1.0
    assert curve.precision(0.02, 0.05) == pytest.approx(0.02 / (0.02 + 0.98 * 0.05))
    assert ps.roc([9, 9, 9, 0, 0, 0, 0, 0, 0, 0], [5] * 5 + [9] * 5).at(0.3) == 1.0


@pytest.mark.parametrize("jump", [0.5, 1e6])
def test_a_jump_of_long_ago_leaves_no_trace(jump):
    rng = np.random.default_rng(0)
    steps = np.concatenate([rng.normal(size=50), [jump / 1e-9], rng.normal(size=300)]) * 1e-9
    seen = ps.early_warning(np.concatenate([[0], np.cumsum(steps)]) * 1.0, 20)
    last = np.diff(np.concatenate([[0], np.cumsum(steps)]))[-20:]
    off = last - last.mean()
    assert seen.variance[-1] == pytest.approx(last.var(ddof=1), rel=1e-9)
    assert seen.ar1[-1] == pytest.approx(np.sum(off[1:] * off[:-1]) / np.sum(off**2), abs=1e-9)


def test_a_curve_that_is_no_number_somewhere_is_refused():
    class Broken(ps.Participant):
        def sold_by(self, fall, market):
            return np.where(np.asarray(fall) > 0.1, np.nan, 0.0)

    for ask in (ps.tipping_shock, ps.radar):
        with pytest.raises(ValueError, match="sold_by"):
            ask(MARKET, [Broken()])


def test_bins_of_the_radar_are_whole():
    with pytest.raises(ValueError, match=r"deepest \(log fall\) must be a whole number of steps"):
        ps.radar(MARKET, [], deepest=0.4, step=0.15)
    with pytest.raises(ValueError, match=r"step \(log fall\)"):
        ps.radar(MARKET, [], step=1e-12)
