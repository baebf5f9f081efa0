"""Measures: what each means, and that none looks ahead."""

import numpy as np
import pytest

import panicsim as ps

MARKET = ps.Market(volatility=0.8, recovery=0.1, permanent=0.2)
CROWD = (ps.Herd(0.6e6), ps.Longs.spread(30e6, n=300), ps.ValueBuyers(0.4e6, 5e6), ps.Fear(1e5))
EVENTS = (ps.News(-0.05, at=1), ps.Sale(1e5, at=3, over=4))


class Thin(ps.Rule):
    def book(self, view, mine):
        return 0.5


class Offset(ps.Rule):
    """Close a quarter of every order off the market."""

    def limit(self, wants, view, mine):
        for name, want in wants.items():
            view.close(name, np.maximum(-want, 0) / 4)
        return {name: want - np.minimum(want, 0) / 4 for name, want in wants.items()}


def numbers(found):
    yield from (
        found.fall,
        found.shock,
        found.amplification,
        found.dislocation,
        found.overreaction,
        found.half_life,
        found.bad_debt,
    )
    for row in found.ledger.values():
        yield from row.values()


@pytest.mark.parametrize("rules", [[], [Thin()], [Offset()]], ids=["free", "thin", "offset"])
def test_no_measure_looks_ahead(rules):
    """A run cut at t and a run that ended at t measure the same."""
    hours, noise = 24.0, np.random.default_rng(4).standard_normal((480, 5))
    long = ps.simulate(MARKET, CROWD, EVENTS, rules, hours=hours, paths=5, noise=noise)
    for rows in (100, 240, 480):
        short = ps.simulate(MARKET, CROWD, EVENTS, rules, hours=rows * 0.05, paths=5, noise=noise[:rows])
        cut = long.until(rows * 0.05)
        assert len(cut.time) == rows + 1
        for one, other in zip(numbers(ps.metrics(cut)), numbers(ps.metrics(short)), strict=True):
            np.testing.assert_array_equal(one, other)
        for name, coins in short.closed.items():
            np.testing.assert_allclose(np.atleast_2d(cut.closed[name])[-1], np.atleast_2d(coins)[-1])


def test_run_cut_at_zero_or_late():
    run = ps.simulate(MARKET, CROWD, EVENTS, hours=8)
    start = run.until(0)
    assert start.fall.shape == (1, 1)
    assert ps.metrics(start).fall[0] == 0
    assert len(run.until(100).time) == len(run.time)
    assert len(run.until(0.3).time) == 7


@pytest.mark.parametrize(
    ("market", "events", "rules"),
    [
        (ps.Market(), [ps.News(-0.05)], []),
        (ps.Market(permanent=0.5), [ps.Sale(1e5)], []),
        (ps.Market(permanent=0.5), [ps.News(-0.03), ps.Sale(1e5, at=2, over=5)], []),
        (ps.Market(), [ps.Sale(1e5)], [Thin()]),
        (
            ps.Market(depth=lambda x: 2e6 * np.exp(-np.maximum(x, 0) / 0.2)),
            [ps.News(-0.1), ps.Sale(1e5, at=1)],
            [],
        ),
        (ps.Market(volatility=0.9, permanent=0.3), [ps.Sale(1e5, at=1)], []),
    ],
    ids=["news", "sale", "both", "thin book", "evaporating depth", "noise"],
)
def test_market_without_feedback_amplifies_nothing(market, events, rules):
    found = ps.metrics(ps.simulate(market, [], events, rules, hours=12, paths=2))
    np.testing.assert_allclose(found.fall, found.shock, rtol=1e-6)
    np.testing.assert_allclose(found.amplification, 1, rtol=1e-6)


@pytest.mark.parametrize("permanent", [0.0, 0.4, 1.0])
def test_shock_is_what_came_from_outside(permanent):
    market = ps.Market(permanent=permanent)
    run = ps.simulate(market, [ps.Herd(1e6)], [ps.News(-0.03), ps.Sale(4e4, at=1)], hours=48)
    found = ps.metrics(run)
    assert found.shock[0] == pytest.approx(0.05)
    assert found.amplification[0] == pytest.approx(2, rel=1e-6)


def test_no_shock_no_amplification():
    found = ps.metrics(ps.simulate(ps.Market(), [ps.Herd(1e6)], hours=1))
    assert np.isnan(found.amplification[0])
    assert np.isnan(found.half_life[0])
    assert found.bad_debt[0] == 0


def test_good_news_is_no_fall():
    found = ps.metrics(ps.simulate(ps.Market(), [ps.Herd(1e6)], [ps.News(0.1)], hours=3))
    assert (found.fall[0], found.shock[0], found.overreaction[0]) == (0, 0, 0)


def test_half_life_is_unknown_until_it_has_passed():
    run = ps.simulate(ps.Market(recovery=0.1), [], [ps.Sale(1e5)], hours=24)
    assert ps.metrics(run).half_life[0] == pytest.approx(np.log(2) / 0.1, abs=0.05)
    assert np.isnan(ps.metrics(run.until(5)).half_life[0])


def test_fill_of_orders_that_cancel():
    """Two orders that nearly cancel still trade at the price, not at the noise of a difference."""

    class Against(ps.Participant):
        lag = 0.5

        def sold_by(self, fall, market):
            return -1e6 / 0.01 / 100 * np.maximum(fall, 0) * (1 + 1e-13)

    run = ps.simulate(ps.Market(), [ps.Herd(1e6), Against()], [ps.News(-0.1)], hours=6)
    row = ps.metrics(run).ledger["Herd"]
    assert row["usd"][0] / row["coins"][0] == pytest.approx(run.price[-1, 0], rel=1e-6)


def test_participant_may_be_called_sale():
    run = ps.simulate(ps.Market(), [ps.Herd(1e6, name="Sale")], [ps.Sale(1e5)], hours=24)
    ledger = ps.metrics(run).ledger
    assert sum(row["coins"][0] for row in ledger.values()) == pytest.approx(2e5, rel=1e-6)


def test_bad_debt_needs_a_thin_market():
    """In a bottomless market every lender is repaid; in a thin one the fill falls below the debt."""
    longs = ps.Longs(100, 2e3, 20)
    deep, thin = (
        ps.metrics(ps.simulate(ps.Market(depth=depth), [longs], [ps.News(-0.0465)], hours=2))
        for depth in (1e12, 1e4)
    )
    assert deep.bad_debt[0] == pytest.approx(0, abs=1e-6)
    assert thin.bad_debt[0] > 0
    assert deep.ledger["Longs"]["debt"][0] == pytest.approx(2e3 * 95)
    assert deep.ledger["Longs"]["refund"][0] == pytest.approx(2e3 * (100 * np.exp(-0.0465) - 95), rel=1e-6)


def test_value_at_risk_with_and_without_the_loop():
    """Alone it is the quantile of the noise; a linear crowd that trades both ways makes it 1/(1 - g)."""
    scene = {"hours": 48.0, "dt": 0.1, "paths": 4_000, "seed": 3}
    run = ps.simulate(ps.Market(volatility=0.8), [ps.Herd(1e6, lag=0, one_way=False)], **scene)
    bare = ps.simulate(ps.Market(volatility=0.8), [], **scene)
    risk, without = ps.value_at_risk(run), ps.value_at_risk(bare)
    assert risk.alone == pytest.approx(np.quantile(bare.fall[-1], 0.99))
    assert without.looped == pytest.approx(without.alone) and without.ratio == pytest.approx(1.0)
    assert risk.alone == pytest.approx(2.3263 * 0.8 * np.sqrt(48 / 8760), rel=0.05)
    assert risk.ratio == pytest.approx(2.0, rel=0.02)
    with pytest.raises(ValueError, match=r"run \(paths\) must have a floor"):
        ps.value_at_risk(ps.simulate(ps.Market(), [ps.Herd(3e6, lag=0)], [ps.News(-0.1)], hours=24))


def test_value_at_risk_refuses_what_it_cannot_tell_apart():
    """Without anybody who reacts the ratio is 1; a sale whose impact comes back would make it 0.1."""
    market = ps.Market(recovery=3.0, volatility=0.5)
    assert ps.value_at_risk(ps.simulate(market, [], hours=24, paths=50)).ratio == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"run \(events\) must hold no Sale where price recovers"):
        ps.value_at_risk(ps.simulate(market, [], [ps.Sale(6e4, at=1)], hours=24))
