"""Dealers: their clock, their band, what expires, and which way they trade."""

import numpy as np
import pytest

import panicsim as ps
from panicsim import options

MARKET = ps.Market()


def test_curve_is_the_change_of_the_hedge():
    book = ps.Dealers([90, 100, 120], [-2e5, -1e5, 3e5], [24, 168, 700], volatility=0.6)
    falls = np.linspace(-0.4, 0.6, 101)
    owed = sum(
        n * (options.delta(100, k, t, 0.6) - options.delta(100 * np.exp(-falls), k, t, 0.6))
        for k, n, t in zip([90, 100, 120], [-2e5, -1e5, 3e5], [24, 168, 700], strict=True)
    )
    np.testing.assert_allclose(book.sold_by(falls, MARKET), -owed, atol=1e-6)
    slope = (book.hedge(100.01) - book.hedge(99.99)) / 0.02
    assert -slope == pytest.approx(book.gamma(100.0), rel=1e-5)


def test_they_hedge_on_their_clock():
    book = ps.Dealers(100, -2e5, 700, interval=2.0)
    run = ps.simulate(MARKET, [book], [ps.News(-0.05, at=1)], hours=8)
    trades = np.flatnonzero(np.abs(np.diff(run.sold["Dealers"][:, 0])) > 0)
    np.testing.assert_allclose(run.time[trades], [2, 4, 6], atol=1e-9)


def test_interval_0_hedges_at_every_step():
    run = ps.simulate(MARKET, [ps.Dealers(100, -2e5, 700, interval=0)], [ps.News(-0.05, at=1)], hours=2)
    assert (np.diff(run.sold["Dealers"][20:, 0]) != 0).all()


def test_band_spares_small_trades():
    noisy, noise = ps.Market(volatility=0.5), np.random.default_rng(1).standard_normal((480, 1))
    traded = []
    for band in (0, 2e3, 1e9):
        book = ps.Dealers(100, -2e5, 700, band=band, interval=0.25)
        run = ps.simulate(noisy, [book], hours=24, noise=noise)
        steps = np.abs(np.diff(run.sold["Dealers"][:, 0]))
        assert steps[steps > 0].min(initial=np.inf) > band
        traded.append((steps > 0).sum())
    assert traded[0] > 2 * traded[1] > 0 == traded[2]


@pytest.mark.parametrize("end", [0.9, 1.1])
def test_what_expires_is_delivered_and_not_traded(end):
    """A sold call that ends in the money: all its coins are in the hedge; after that nobody trades."""
    book = ps.Dealers(100, -1e4, 5.0, interval=1.0)
    run = ps.simulate(MARKET, [book], [ps.News(np.log(end), at=1)], hours=12)
    held = book.hedge(100) - run.sold["Dealers"][:, 0]
    assert held[-1] == pytest.approx(1e4 if end > 1 else 0, abs=1)
    after = run.time[:-1] > 5.2
    assert not np.diff(run.sold["Dealers"][:, 0])[after].any()


def test_short_of_options_amplifies_and_long_damps_both_ways():
    """The same options with the sign turned; a fall that is taken back is traded back."""
    for sign, order in ((-1, 1), (1, -1)):
        book = ps.Dealers(100, sign * 2e5, 2000, interval=0.1)
        there = ps.simulate(MARKET, [book], [ps.News(-0.05, at=1)], hours=24)
        assert np.sign(there.fall[-1, 0] - 0.05) == order
        back = ps.simulate(MARKET, [book], [ps.News(-0.05, at=1), ps.News(0.05, at=24)], hours=72)
        assert abs(back.sold["Dealers"][-1, 0]) < 0.15 * abs(there.sold["Dealers"][-1, 0])


def test_near_expiry_the_flow_crowds_at_the_strike():
    far, near = (ps.Dealers(95, -2e5, hours) for hours in (700, 6))
    away, at_strike = np.log(100 / 99.0), np.log(100 / 95.25)
    steep = [
        ps.loop_gain(MARKET, [book], fall=np.array([away, at_strike]), step=0.005).total
        for book in (far, near)
    ]
    assert steep[0][1] / steep[0][0] < 1.2
    assert steep[1][1] / steep[1][0] > 5


def test_options_at_expiry_and_far_away():
    assert options.call([90, 100, 110], 100, 0, 0.8).tolist() == [0, 0, 10]
    assert options.delta([90, 110], 100, 0, 0.8).tolist() == [0, 1]
    assert options.gamma(100, 100, 0, 0.8) == 0
    assert options.delta(1e-300, 1e300, 1, 0.1) == 0
    assert options.delta(1e300, 1e-300, 1, 0.1) == 1
