"""The film: its clock, its noise, its order of events, and what a reader can plug in."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import LAMBDA, Linear, coarser, film

import panicsim as ps
import panicsim.film as film_module

MARKET = ps.Market()


# --- Step by step ---


@settings(max_examples=25)
@given(
    recovery=st.floats(0, 1),
    permanent=st.floats(0, 1),
    volatility=st.floats(0.1, 2),
    seed=st.integers(0, 2**32 - 1),
    shock=st.floats(-0.2, 0.2),
    sale=st.floats(0, 2e5),
    buyers=st.booleans(),
    keep=st.booleans(),
)
def test_film_is_the_plain_loop(recovery, permanent, volatility, seed, shock, sale, buyers, keep):
    """Every step as the contract tells it, written once more in plain Python, with bids by bisection."""
    market = ps.Market(recovery=recovery, permanent=permanent, volatility=volatility)
    bids = [ps.ValueBuyers(0.8e6, 5e6, one_way=keep)] if buyers else []
    crowd = [
        ps.Herd(0.5e6),
        ps.Fear(1e5, one_way=False, lag=0),
        ps.Longs(100, 500.0, np.linspace(4, 40, 60)),
        ps.Rebalancer(3, 5e6),
        *bids,
    ]
    noise = np.random.default_rng(seed).standard_normal((60, 1))
    events = [ps.News(-shock, at=1.0), ps.Sale(sale, at=2.0, over=1.0)]
    run = ps.simulate(market, crowd, events, hours=6, dt=0.1, noise=noise)
    moves = -volatility * np.sqrt(0.1 / 8760) * noise[:, 0]
    moves[10] += shock
    sales = np.where((np.arange(60) >= 20) & (np.arange(60) < 30), sale / 10, 0)
    fall, value, sold = film(market, crowd, moves, sales, 0.1, bids)
    np.testing.assert_allclose(run.fall[:, 0], fall, atol=1e-6)
    np.testing.assert_allclose(run.value_fall[:, 0], value, atol=1e-6)
    for coins, expected in zip(run.sold.values(), sold.values(), strict=True):
        assert coins[-1, 0] == pytest.approx(expected, abs=2)


def test_news_is_seen_one_step_later():
    run = ps.simulate(MARKET, [ps.Herd(1e6, lag=0)], [ps.News(-0.04, at=1)], hours=2, dt=0.5)
    np.testing.assert_allclose(run.fall[:, 0], [0, 0, 0, 0.04, 0.06])
    np.testing.assert_allclose(run.sold["Herd"][:, 0], [0, 0, 0, 0, 4e4])


def test_lag_zero_is_one_round_a_step():
    """The film of an amplifier without lag walks through the rounds of the photograph."""
    run = ps.simulate(MARKET, [ps.Herd(1.2e6, lag=0)], [ps.News(-0.04)], hours=1)
    photo = ps.cascade(MARKET, [ps.Herd(1.2e6)], 0.04)
    np.testing.assert_allclose(run.fall[2:20, 0], photo.rounds[:18], rtol=1e-12)


def test_lag_closes_its_share_of_the_gap():
    """Without feedback an order decays as exp(-t/lag), at any dt."""
    deep = ps.Market(depth=1e15)
    for dt in (0.01, 0.1, 0.5):
        sold = ps.simulate(deep, [ps.Herd(1e6, lag=0.5)], [ps.News(-0.1)], hours=4, dt=dt).sold["Herd"][:, 0]
        late = np.arange(len(sold) - 1) * dt
        np.testing.assert_allclose(sold[1:], 1e5 * -np.expm1(-late / 0.5), rtol=1e-6)


def test_buyers_answer_within_the_step():
    """Resting bids: no row shows the price without them, and the answer is implicit."""
    run = ps.simulate(MARKET, [ps.ValueBuyers(6e6, 1e12)], [ps.News(-0.04)], hours=1)
    np.testing.assert_allclose(run.fall[1:, 0], 0.04 / (1 + 3), rtol=1e-12)


def test_buyers_stop_when_their_money_is_spent():
    buyers = ps.ValueBuyers(1e6, 3e6, one_way=True)
    run = ps.simulate(MARKET, [buyers], [ps.News(-0.5)], hours=1)
    assert -ps.metrics(run).ledger["ValueBuyers"]["usd"][0] <= 3e6
    assert run.sold["ValueBuyers"][-1, 0] == pytest.approx(np.log(0.97) * 1e6, rel=1e-9)


def test_one_way_sellers_never_buy_back():
    market = ps.Market(recovery=0.5, volatility=1.0)
    for member in (ps.Herd(1e6), ps.Fear(4e5), ps.Longs(100, 1000, np.linspace(5, 60, 50))):
        run = ps.simulate(market, [member], [ps.Sale(1e5, at=1)], hours=48, paths=8)
        sold = next(iter(run.sold.values()))
        assert (np.diff(sold, axis=0) >= 0).all()
        assert (run.fall[-1] < run.fall.max(axis=0) - 0.02).any()
        assert sold[-1].max() > 0
    back = ps.simulate(market, [ps.Herd(1e6, one_way=False)], [ps.Sale(1e5, at=1)], hours=48, paths=8)
    assert np.diff(back.sold["Herd"], axis=0).min() < 0


@pytest.mark.parametrize("over", [0.0, 0.03, 0.05, 0.5, 1.01, 3.0])
@pytest.mark.parametrize("at", [0.0, 0.12, 0.3, 1.0])
def test_sale_is_sold_in_its_time(at, over):
    run = ps.simulate(MARKET, [], [ps.Sale(1e5, at=at, over=over)], hours=6)
    assert run.outside[-1, 0] == pytest.approx(1e5, rel=1e-12)
    assert not run.outside[run.time <= at - 0.05].any()
    late = run.time >= at + max(over, 0.05) - 1e-9
    np.testing.assert_allclose(run.outside[late], 1e5, rtol=1e-12)
    assert run.fall[-1, 0] == pytest.approx(0.05, rel=1e-12)


@pytest.mark.parametrize("dt", [0.1, 0.05, 0.025, 1 / 30, 0.3])
def test_events_fall_into_the_step_they_belong_to(dt):
    """k dt is rarely exact; an event at k dt still belongs to step k."""
    for k in range(1, 39, 7):
        run = ps.simulate(
            MARKET, [], [ps.News(-0.1, at=k * dt), ps.Sale(1e5, at=k * dt)], hours=40 * dt, dt=dt
        )
        assert run.fall[k, 0] == 0
        assert run.fall[k + 1, 0] == pytest.approx(0.15)


# --- Noise ---


def test_volatility_is_annual_and_a_year_has_8760_hours():
    run = ps.simulate(ps.Market(volatility=0.8), [], hours=1, dt=0.25, noise=np.ones((4, 1)))
    np.testing.assert_allclose(run.fall[:, 0], -0.8 * np.sqrt(0.25 / 8760) * np.arange(5), rtol=1e-12)


def test_drawn_noise_has_the_volatility_of_the_market():
    run = ps.simulate(ps.Market(volatility=0.5), [], hours=24, dt=0.1, paths=500, seed=3)
    steps = np.diff(run.fall, axis=0)
    assert steps.std() / np.sqrt(0.1 / 8760) == pytest.approx(0.5, rel=0.01)
    assert abs(np.corrcoef(steps[:-1].ravel(), steps[1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(steps[:, 0], steps[:, 1])[0, 1]) < 0.3
    np.testing.assert_array_equal(run.fall, run.value_fall)


@pytest.mark.parametrize("gain", [0.6, -0.6])
def test_variance_of_one_step_and_of_many(gain):
    """r(t+1) = g r(t) + e: one step 1/(1 - g^2) = 1.5625 for either sign, the horizon 1/(1 - g)^2."""
    run = ps.simulate(ps.Market(volatility=1.0), [Linear(gain)], hours=600, dt=1.0, paths=1500, seed=5)
    unit = 1 / 8760
    steps = np.diff(run.fall, axis=0)[100:]
    assert steps.var() / unit == pytest.approx(1.5625, rel=0.01)
    long = run.fall[-1] - run.fall[100]
    assert long.var() / (500 * unit) == pytest.approx(1 / (1 - gain) ** 2, rel=0.10)


def test_instant_stabiliser_calms_every_step():
    """Resting bids answer inside the step: variance 1/1.6^2 = 0.39, not 1.56."""

    class Bids(Linear):
        react = ps.Participant.react

    run = ps.simulate(ps.Market(volatility=1.0), [Bids(-0.6)], hours=200, dt=1.0, paths=500)
    assert np.diff(run.fall, axis=0).var() * 8760 == pytest.approx(1 / 1.6**2, rel=0.02)


def test_depth_can_be_read_off_a_film():
    """A regression of returns on the orders of the same step finds $2M, not $1.18M: nobody acts on news of
    the step itself."""
    market = ps.Market(volatility=1.0)
    run = ps.simulate(market, [Linear(0.6)], hours=400, dt=1.0, paths=200, seed=9)
    moves, flow = (np.diff(a, axis=0).ravel() for a in (run.fall, run.sold["Linear"]))
    coins_per_log = (flow @ flow) / (flow @ moves)
    assert coins_per_log * 0.01 * 100 == pytest.approx(2e6, rel=0.02)


# --- The clock ---


def test_fear_that_takes_half_an_hour_meets_recovery():
    """0.23 in the photograph; with recovery of 10 % an hour and a lag of half an hour 0.042 at every dt.

    Without a lag the step would be the reaction time.
    """
    market, events = ps.Market(recovery=0.10), [ps.Sale(0.034 * LAMBDA)]

    def worst(lag, dt):
        fear = ps.Fear(4e5, threshold=0.10, width=0.025, lag=lag)
        return ps.simulate(market, [fear], events, hours=24, dt=dt).fall.max()

    assert ps.cascade(MARKET, [ps.Fear(4e5, threshold=0.10, width=0.025)], 0.034).fall == pytest.approx(
        0.233, abs=1e-3
    )
    slow = [worst(0.5, dt) for dt in (0.2, 0.05, 0.01)]
    np.testing.assert_allclose(slow, 0.042, atol=2e-3)
    assert worst(0, 0.2) < 0.06
    assert worst(0, 0.002) > 0.2


def test_halving_dt_on_the_same_path_converges():
    fine = np.random.default_rng(1).standard_normal((4800, 20))
    crowd = [ps.Herd(0.8e6), ps.Fear(2e5), ps.ValueBuyers(0.3e6, 1e7)]
    ends = [
        ps.simulate(
            ps.Market(volatility=0.8),
            crowd,
            hours=24,
            dt=24 / (4800 // by),
            paths=20,
            noise=coarser(fine, by),
        ).fall[-1]
        for by in (16, 4, 1)
    ]
    assert np.abs(ends[2] - ends[1]).mean() < 0.6 * np.abs(ends[1] - ends[0]).mean()


# --- What comes back ---


def test_shapes_of_a_run():
    run = ps.simulate(ps.Market(volatility=0.5), [ps.Herd(1e6), ps.Herd(1e5)], hours=2, dt=0.5, paths=3)
    assert run.time.tolist() == [0, 0.5, 1, 1.5, 2]
    for array in (run.fall, run.price, run.value, run.value_fall, *run.sold.values()):
        assert array.shape == (5, 3)
    assert list(run.sold) == ["Herd", "Herd 2"]
    np.testing.assert_array_equal(run.price[0], 100)
    np.testing.assert_allclose(run.price, 100 * np.exp(-run.fall))


def test_empty_crowd_follows_the_news():
    run = ps.simulate(MARKET, [], [ps.News(-0.1, at=1), ps.News(0.04, at=2)], hours=3)
    assert run.fall[-1, 0] == pytest.approx(0.06)
    assert run.fall.max() == pytest.approx(0.10)


def test_loop_without_floor_ends_at_no_price():
    run = ps.simulate(MARKET, [ps.Herd(5e6)], [ps.News(-0.1)])
    assert np.isfinite(run.fall).all()
    assert run.price[-1, 0] < 1e-100


@pytest.mark.parametrize("weight", [-1, -10])
def test_inverse_token_without_floor_ends_at_no_price(weight):
    """Its curve overflows; the film ends where the photograph does, and blames nobody."""
    run = ps.simulate(MARKET, [ps.Rebalancer(weight, 1e9)], [ps.News(-0.1)], hours=24)
    assert run.price[-1, 0] < 1e-100


def test_squeeze_without_ceiling_spares_the_other_paths():
    """A 3x token that buys a rise can run away upwards: that path leaves, the others stay as they were."""
    crowd, noise = [ps.Rebalancer(3, 1.5e7)], np.zeros((240, 2))
    noise[0, 1] = 400.0
    market = ps.Market(volatility=0.8)
    both = ps.simulate(market, crowd, hours=12, paths=2, noise=noise)
    assert np.isfinite(both.fall).all()
    assert both.fall[-1, 1] < -100
    np.testing.assert_array_equal(both.fall[:, 0], 0)


def test_a_curve_that_is_no_number_is_refused():
    class Broken(ps.Participant):
        def sold_by(self, fall, market):
            return np.where(np.asarray(fall) > 0.05, np.nan, 0.0)

    with pytest.raises(ValueError, match=r"Broken|crowd"):
        ps.simulate(MARKET, [Broken()], [ps.News(-0.1)], hours=1)
    with pytest.raises(ValueError, match=r"Broken|crowd"):
        ps.cascade(MARKET, [Broken()], 0.1)


def test_depth_that_evaporates_in_the_film():
    market = ps.Market(depth=lambda x: 2e6 * np.exp(-np.maximum(x, 0) / 0.2))
    crowd = [ps.Herd(0.4e6), ps.ValueBuyers(0.2e6, 5e6)]
    photo = ps.cascade(market, crowd, 0.1)
    assert ps.simulate(market, crowd, [ps.News(-0.1)]).fall[-1, 0] == pytest.approx(photo.fall, abs=1e-6)


# --- A reader's own ---


class Diamond(ps.Participant):
    def __init__(self, coins):
        self.coins = coins

    def sold_by(self, fall, market):
        return -self.coins * np.maximum(fall - 0.2, 0)


def test_four_lines_make_a_participant():
    crowd = [ps.Herd(1.2e6), Diamond(2e6)]
    photo = ps.cascade(MARKET, crowd, 0.1)
    assert photo.fall == pytest.approx((0.1 + 0.2) / (1 - 0.6 + 1))
    assert ps.loop_gain(MARKET, crowd, fall=0.21)["Diamond"] == pytest.approx(-1)
    assert ps.simulate(MARKET, crowd, [ps.News(-0.1)]).fall[-1, 0] == pytest.approx(photo.fall, abs=1e-6)
    assert ps.tipping_shock(MARKET, crowd) == np.inf


def test_own_reaction_sees_what_others_sold_with_or_without_rules():
    class Copycat(ps.Participant):
        """Sells half of what the herd has sold."""

        def sold_by(self, fall, market):
            return np.zeros_like(fall)

        def react(self, view, mine):
            return view.done - view.sold["Herd"] / 2

    crowd = [ps.Herd(0.6e6), Copycat()]
    runs = [ps.simulate(MARKET, crowd, [ps.News(-0.05)], rules, hours=48) for rules in ([], [ps.Rule()])]
    for run in runs:
        assert run.sold["Copycat"][-1, 0] == pytest.approx(run.sold["Herd"][-1, 0] / 2, rel=1e-6)


def test_fills_are_told_to_those_who_ask():
    class Notes:
        def start(self, view):
            self.usd, self.coins = np.zeros(view.paths), np.zeros(view.paths)
            return super().start(view)

        def filled(self, coins, fill, view, mine):
            self.usd, self.coins = self.usd - coins * fill, self.coins - coins

    class Seller(Notes, ps.Herd):
        pass

    class Buyer(Notes, ps.ValueBuyers):
        pass

    for kind, arguments in ((Seller, (1e6,)), (Buyer, (1e6, 1e7))):
        member = object.__new__(kind)
        vars(member).update(usd=None, coins=None)
        kind.__setattr__ = object.__setattr__
        member.__init__(*arguments)
        run = ps.simulate(
            ps.Market(volatility=0.5), [member, ps.Herd(2e5)], [ps.News(-0.1)], hours=6, paths=3
        )
        ledger = ps.metrics(run).ledger[kind.__name__]
        np.testing.assert_allclose(member.coins, ledger["coins"], rtol=1e-9)
        np.testing.assert_allclose(member.usd, ledger["usd"], rtol=1e-9)


def test_rule_that_drops_a_name_stops_it():
    """An order that a rule leaves out waits; what was sold before is not forgotten."""

    class Stop(ps.Rule):
        def limit(self, wants, view, mine):
            return wants if view.time < 2 else {}

    run = ps.simulate(MARKET, [ps.Herd(1e6)], [ps.News(-0.05)], [Stop()], hours=4)
    sold = run.sold["Herd"][:, 0]
    assert (np.diff(sold) >= 0).all()
    assert sold[-1] == sold[run.time.searchsorted(2.01)] > 0


def test_closing_more_than_is_wanted_does_not_make_a_seller_buy():
    class CloseTooMuch(ps.Rule):
        def limit(self, wants, view, mine):
            if view.time == 0:
                view.close("Herd", 1e5)
            return wants

    run = ps.simulate(MARKET, [ps.Herd(1e6)], [ps.News(-0.02, at=1)], [CloseTooMuch()], hours=4)
    assert run.sold["Herd"].min() >= 0


# --- Around the film ---


def bars(monkeypatch, patience, static=None):
    import tqdm.auto

    made = []
    monkeypatch.setattr(
        tqdm.auto,
        "tqdm",
        lambda **kw: (
            made.append(kw) or type("Bar", (), {"update": lambda self: None, "close": lambda self: None})()
        ),
    )
    monkeypatch.setattr(film_module, "PATIENCE", patience)
    monkeypatch.delenv("PANICSIM_STATIC", raising=False)
    if static:
        monkeypatch.setenv("PANICSIM_STATIC", static)
    ps.simulate(MARKET, [ps.Herd(1e6)], hours=10)
    return len(made)


def test_long_run_shows_a_progress_bar(monkeypatch):
    assert bars(monkeypatch, patience=1e-5) == 1


def test_short_run_shows_none(monkeypatch):
    assert bars(monkeypatch, patience=100) == 0


def test_static_page_shows_none(monkeypatch):
    assert bars(monkeypatch, patience=1e-5, static="1") == 0


def test_model_needs_numpy_alone():
    """Import and use with matplotlib, ipywidgets, IPython and tqdm out of reach."""
    code = """
import sys
for name in ("matplotlib", "ipywidgets", "IPython", "tqdm", "scipy", "pandas"):
    sys.modules[name] = None
import panicsim as ps, panicsim.film as film
film.PATIENCE = 1e-6
run = ps.simulate(ps.Market(), [ps.Herd(1.2e6)], [ps.News(-0.04)], hours=72)
assert abs(run.fall[-1, 0] - 0.1) < 1e-9
assert set(ps.__all__) <= set(dir(ps)) | {"explore"}
"""
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
