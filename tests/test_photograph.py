"""The photograph: the first crossing, its rounds, the tipping shock and the gain."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import LAMBDA, Bent, Steps, crossing, supply

import panicsim as ps

MARKET = ps.Market()
FEAR = ps.Fear(4e5, threshold=0.10, width=0.025)
coins = st.floats(0, 3e5)
levels = st.integers(1, 8000).map(lambda k: k * 1e-4 + 3.7e-5)


@st.composite
def stairs(draw, low=0.0):
    n = draw(st.integers(0, 12))
    size = st.floats(low, 1.5e5)
    return Steps([draw(levels) for _ in range(n)], [draw(size) for _ in range(n)])


@st.composite
def bent(draw):
    """Corners on the grid, slopes of either sign: sellers here, buyers there."""
    corners = sorted({draw(st.integers(1, 100)) / 100 for _ in range(draw(st.integers(1, 8)))})
    heights = [draw(st.floats(-4e5, 4e5)) for _ in corners]
    return Bent([0.0, *corners], [0.0, *heights])


def ends_at(crowd, shock, within, market=MARKET):
    photo = ps.cascade(market, crowd, shock)
    expected = crossing(crowd, shock, market=market)
    if np.isinf(expected):
        assert photo.fall > 3 - 1e-9
    else:
        assert photo.fall == pytest.approx(expected, abs=within)
    return photo


# --- The first crossing ---


@given(crowd=st.lists(stairs(), max_size=3), shock=st.floats(0, 0.5))
def test_stairs_end_where_brute_force_does(crowd, shock):
    """Steps lie off the grid of the brute force, so a cell decides: the end is exact there."""
    photo = ps.cascade(MARKET, crowd, shock)
    fall = shock
    while (after := shock + supply(crowd, fall) / LAMBDA) > fall + 1e-12:
        fall = after
    assert photo.fall == pytest.approx(float(fall), abs=1e-10)
    if photo.rounds.size:
        assert photo.rounds[-1] == pytest.approx(photo.fall, abs=1e-10)


@given(crowd=st.lists(bent(), min_size=1, max_size=3), shock=st.floats(0, 0.5))
def test_mixed_curves_end_where_brute_force_does(crowd, shock):
    photo = ends_at(crowd, shock, within=1e-9)
    if not photo.diverged and photo.rounds.size < 9000:
        last = photo.rounds[-1] if photo.rounds.size else shock
        assert last == pytest.approx(photo.fall, abs=1e-6)
        assert (np.diff(photo.rounds) >= 0).all()


@given(
    shock=st.floats(0, 0.4),
    gain=st.floats(0, 1.5),
    buyers=st.floats(0, 4e6),
    capital=st.floats(0, 5e7),
    fear=st.floats(0, 6e5),
)
def test_crowds_end_where_brute_force_does(shock, gain, buyers, capital, fear):
    crowd = [ps.Herd(gain * 2e6), ps.ValueBuyers(buyers, capital), ps.Fear(fear, 0.1, 0.025)]
    falls = np.linspace(0, 3, 3001)
    near_critical = ps.loop_gain(MARKET, crowd, fall=falls, step=1e-4).total
    ends_at(crowd, shock, within=1e-8 / max(1e-4, np.abs(1 - near_critical).min()))


@given(
    low=levels,
    gap=levels,
    up=st.floats(1e4, 1e5),
    down=st.floats(1e4, 1e5),
    before=st.sampled_from([1e-8, 1e-6, 3e-6, 1e-5, 1e-4]),
)
def test_step_up_and_step_down_in_one_curve(low, gap, up, down, before):
    """A shock that ends just before a step stays before it, whatever the same curve does elsewhere."""
    crowd = [Steps([low, low + gap], [up, -down])]
    shock = max(low - before, 0.0)
    assert ps.cascade(MARKET, crowd, shock).fall == pytest.approx(shock, abs=1e-10)


@given(shock=st.floats(0, 0.3), crash=st.floats(0.05, 0.5), gain=st.floats(0, 0.9))
def test_depth_as_a_function_of_fall(shock, crash, gain):
    """V(x) - F(x) >= V(s) with V the integral of a depth that evaporates, solved here by quadrature."""

    def depth(x):
        return 2e6 * (0.3 + 0.7 * np.exp(-np.maximum(x, 0) / crash))

    x = np.linspace(0, 6, 600_001)
    absorbed = np.concatenate([[0], np.cumsum((depth(x)[1:] + depth(x)[:-1]) / 2 * np.diff(x))])
    crowd = [ps.Herd(gain * 0.6e6)]
    height = absorbed - supply(crowd, x)
    k = np.argmax(height >= np.interp(shock, x, absorbed))
    photo = ps.cascade(ps.Market(depth=depth), crowd, shock)
    assert photo.fall == pytest.approx(x[k], abs=2e-5)


def test_constant_depth_as_a_function_is_the_number():
    function = ps.Market(depth=lambda x: 2e6 * np.ones_like(x))
    crowd = [FEAR, ps.Herd(0.3e6), ps.ValueBuyers(0.4e6, 1e7)]
    for shock in (0.01, 0.05, 0.3):
        one, other = (ps.cascade(market, crowd, shock).fall for market in (MARKET, function))
        assert one == pytest.approx(other, rel=1e-9)
    gain = [ps.loop_gain(market, crowd, fall=0.05).total for market in (MARKET, function)]
    assert gain[0] == pytest.approx(gain[1], rel=1e-9)


def test_empty_crowd_is_a_market_without_feedback():
    photo = ps.cascade(MARKET, [], 0.07)
    assert photo.fall == pytest.approx(0.07, rel=1e-15)
    assert photo.rounds.size == 0
    assert (photo.sold, photo.diverged) == ({}, False)
    assert photo.gain == pytest.approx(0, abs=1e-12)
    assert ps.loop_gain(MARKET, []).total == 0
    assert ps.tipping_shock(MARKET, []) == np.inf


def test_no_shock_no_fall():
    photo = ps.cascade(MARKET, [ps.Herd(5e6), FEAR], 0.0)
    assert photo.fall == 0
    assert np.isnan(photo.amplification)


# --- Near the edge ---


@pytest.mark.parametrize("gain", [-3, -0.5, 0, 0.5, 0.9, 0.99, 0.999, 0.9999])
def test_linear_loop_for_any_gain(gain):
    """x = s/(1 - g); with g = -0.5 a shock of 4 % ends at 2.67 %, and the rounds end there too."""
    member = ps.Herd(gain * 2e6) if gain >= 0 else ps.ValueBuyers(-gain * 2e6, 1e12)
    photo = ps.cascade(MARKET, [member], 0.04)
    assert photo.fall == pytest.approx(0.04 / (1 - gain), rel=1e-9)
    assert not photo.diverged
    if photo.rounds.size:
        assert photo.rounds[-1] == pytest.approx(photo.fall, rel=1e-6)
        assert (np.diff(photo.rounds) > 0).all()


@pytest.mark.parametrize("gain", [1.0, 1.001, 2.0])
def test_no_floor(gain):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = ps.cascade(MARKET, [ps.Herd(gain * 2e6)], 0.01)
    assert photo.diverged
    assert (photo.fall, photo.price, photo.gain) == (np.inf, 0.0, 1.0)
    assert (np.diff(photo.rounds) > 0).all()


@pytest.mark.parametrize("weight", [-1, -3, -20])
def test_inverse_token_without_floor_is_told_quietly(weight):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ps.cascade(MARKET, [ps.Rebalancer(weight, 1e9)], 0.1).diverged


def test_rounds_of_buyers_that_catch_the_shock():
    """Buyers answer inside the round: the first round is what they leave of the shock."""
    photo = ps.cascade(MARKET, [ps.ValueBuyers(1e6, 1e12), ps.Herd(1.5e6)], 0.03)
    assert photo.rounds[0] == pytest.approx(0.03 / 1.5)
    assert photo.rounds[1] == pytest.approx((0.03 + 0.75 * 0.02) / 1.5)
    assert photo.fall == pytest.approx(0.03 / 0.75)
    assert photo.rounds[-1] == pytest.approx(photo.fall)


def test_buyers_whose_money_runs_out_inside_the_fall():
    """$1M of bids at $1M per 1 %: they buy until 1.005 %, then the market is alone again."""
    crowd = [ps.ValueBuyers(1e6, 1e6), ps.Herd(1.2e6)]
    bought = -np.log(0.99) * 1e6
    assert ps.cascade(MARKET, crowd, 0.04).fall == pytest.approx((0.04 - bought / LAMBDA) / 0.4, rel=1e-9)


# --- Tipping ---


@settings(max_examples=15)
@given(crowd=st.lists(st.one_of(stairs(low=1e4), bent()), min_size=1, max_size=2))
def test_tipping_shock_is_where_the_end_jumps(crowd):
    """Just under the tipping shock nothing jumps; just above it the end has jumped by more than 1 %."""
    tip = ps.tipping_shock(MARKET, crowd)
    x = np.linspace(0, 3, 300_001)
    peak = np.maximum.accumulate(x - supply(crowd, x) / LAMBDA)
    shocks = np.linspace(0, 0.8, 801)
    ends = x[np.minimum(np.searchsorted(peak, shocks), len(x) - 1)]
    below = np.flatnonzero(shocks < tip - 1e-4)
    assert not (np.diff(ends[below]) > 0.02 + 50 * 1e-3).any() or len(below) < 2
    if 0 < tip < 0.7:
        jump = ps.cascade(MARKET, crowd, tip + 1e-6).fall - ps.cascade(MARKET, crowd, tip - 1e-6).fall
        assert jump > 0.01


def test_thirty_millions_between_8_and_18_percent():
    """[C7] g = 1.5 in the band: s* = 8 %, end 23 %; with double depth a shock of 10 % ends at 16 %."""
    level = 0.08 + 0.10 * (np.arange(3000) + 0.5) / 3000
    longs = ps.Longs(100 * np.exp(-level) * 0.995 / 0.9, 30e6 / 100 / 3000, 10)
    assert ps.tipping_shock(MARKET, [longs]) == pytest.approx(0.08, abs=5e-5)
    assert ps.cascade(MARKET, [longs], 0.0801).fall == pytest.approx(0.2301, abs=1e-4)
    assert ps.loop_gain(MARKET, [longs], fall=0.1, step=0.01).total == pytest.approx(1.5, abs=0.01)
    assert ps.cascade(ps.Market(depth=4e6), [longs], 0.10).fall == pytest.approx(0.16, abs=1e-3)


def test_jump_sets_what_counts_as_tipping():
    crowd = [Steps([0.05, 0.2], [4e4, 3e5])]
    assert ps.tipping_shock(MARKET, crowd, jump=0.01) == pytest.approx(0.05, abs=1e-4)
    assert ps.tipping_shock(MARKET, crowd, jump=0.1) == pytest.approx(0.2 - 0.02, abs=1e-4)
    assert ps.tipping_shock(MARKET, crowd, jump=0.3) == np.inf


@pytest.mark.parametrize(("gain", "tip"), [(0.5, np.inf), (0.99, np.inf), (1.0, 0.0), (1.5, 0.0)])
def test_tipping_of_a_straight_line(gain, tip):
    assert ps.tipping_shock(MARKET, [ps.Herd(gain * 2e6)]) == tip


# --- Gain ---


def test_gain_is_dollars_per_percent_over_depth():
    gain = ps.loop_gain(MARKET, [ps.Herd(0.6e6), ps.Herd(0.2e6), ps.Herd(0.1e6, name="x")])
    assert dict(gain) == pytest.approx({"Herd": 0.3, "Herd 2": 0.1, "x": 0.05})
    assert len(gain) == 3
    assert gain.total == pytest.approx(0.45)
    assert isinstance(gain.total, float)


def test_gain_has_the_shape_of_fall():
    fall = np.linspace(0, 0.3, 6).reshape(2, 3)
    gain = ps.loop_gain(MARKET, [FEAR, ps.Herd(1e6)], fall=fall)
    assert gain.total.shape == gain["Fear"].shape == (2, 3)
    assert ps.loop_gain(MARKET, [], fall=fall).total.shape == (2, 3)


def test_gain_of_fear_is_the_slope_of_its_curve():
    x, h = 0.08, 1e-6
    g = 1 / (1 + np.exp(-(x - 0.10) / 0.025))
    slope = 4e5 * g * (1 - g) / 0.025 / (1 - 1 / (1 + np.exp(4)))
    assert ps.loop_gain(MARKET, [FEAR], fall=x, step=h).total == pytest.approx(slope / LAMBDA, rel=1e-4)


def test_names_are_distinct():
    crowd = [ps.Herd(1, name="Fear"), ps.Fear(1), ps.Fear(1, name="Fear 2"), ps.Fear(2)]
    names = list(ps.loop_gain(MARKET, crowd))
    assert len(set(names)) == 4
    assert names[:2] == ["Fear", "Fear 2"]
