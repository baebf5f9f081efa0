"""Depth as a state: photograph and film both honour it, and the step of a run plays no part."""

import numpy as np
import pytest

import panicsim as ps

HERD = [ps.Herd(0.2e6, lag=0.1)]
NEWS = [ps.News(-0.04, at=1)]


def test_a_state_that_never_changes_is_a_number():
    plain = ps.simulate(ps.Market(), HERD, NEWS)
    steady = ps.simulate(ps.Market(depth=ps.Depth(2e6)), HERD, NEWS)
    np.testing.assert_allclose(steady.fall, plain.fall, rtol=0, atol=1e-15)
    assert (
        ps.cascade(ps.Market(depth=ps.Depth(2e6)), HERD, 0.04).fall
        == ps.cascade(ps.Market(), HERD, 0.04).fall
    )


def test_share_follows_the_schedule_and_so_does_the_impact():
    market = ps.Market(depth=ps.Depth(2e6, schedule=[(2, 0.25), (4, 1.0)]))
    for at, share in ((1, 1.0), (3, 0.25), (5, 1.0)):
        run = ps.simulate(market, [], [ps.Sale(2e4, at=at)], hours=6)
        assert run.fall[-1, 0] == pytest.approx(0.01 / share, rel=1e-12)
        assert market.at(at).depth == share * 2e6
        assert ps.loop_gain(market.at(at), HERD).total == pytest.approx(0.1 / share, rel=1e-12)
    times = run.time[:-1]
    np.testing.assert_array_equal(run.share[:, 0], np.where((times > 1.99) & (times < 3.99), 0.25, 1.0))


def test_schedule_may_be_a_function_of_the_hour():
    market = ps.Market(depth=ps.Depth(2e6, schedule=lambda hour: 0.5 if hour >= 12 else 1.0))
    assert [market.at(h).depth for h in (0, 11.9, 12)] == [2e6, 2e6, 1e6]


def test_depth_falls_with_realised_volatility():
    """A jump of x within one look adds x^2 to the variance, spread over the window."""
    depth = ps.Depth(2e6, calm=0.8, window=1.0)
    look = 1 / 12
    for jump in (0.02, 0.05):
        run = ps.simulate(ps.Market(depth=depth), [], [ps.News(-jump, at=1)], hours=8, dt=look)
        # What was calm before the news has faded, for nothing has moved: 13 looks.
        variance = 0.8**2 * np.exp(-13 * look) + jump**2 * 8760 / look * (1 - np.exp(-look))
        assert run.share.min() == pytest.approx(max(0.8 / np.sqrt(variance), 0.1), rel=1e-9)
        assert float(depth.at_once(jump)) == pytest.approx(run.share.min(), rel=0.06)
        # Without further moves the variance fades with the window, and depth comes back.
        assert run.share[-1, 0] > 0.95
    assert run.share.min() < 1 / 5  # a fall of 5 % leaves less than a fifth


def test_share_does_not_depend_on_the_step():
    market = ps.Market(depth=ps.Depth(2e6, calm=0.6), volatility=0.9)
    fine = np.random.default_rng(3).standard_normal((24 * 240, 40))
    coarse = fine.reshape(-1, 20, 40).sum(axis=1) / np.sqrt(20)
    runs = [
        ps.simulate(market, [], hours=24, dt=dt, paths=40, noise=noise)
        for dt, noise in ((1 / 240, fine), (1 / 12, coarse))
    ]
    shares = [run.share.mean(axis=0) for run in runs]
    np.testing.assert_allclose(*shares, rtol=1e-9)
    assert shares[0].mean() == pytest.approx(0.6 / 0.9, rel=0.08)


def test_photograph_takes_the_fall_as_one_move():
    """V is the integral of the depth that a jump leaves; the photograph ends where V - F reaches V(s)."""
    depth = ps.Depth(2e6, calm=0.8)
    market = ps.Market(depth=depth)
    x = np.linspace(0, 0.3, 300_001)
    coins = np.concatenate([[0], np.cumsum(2e6 * (depth.at_once(x[1:]) + depth.at_once(x[:-1])) / 2 * 1e-6)])
    np.testing.assert_allclose(market.absorbed(x[::1000]), coins[::1000], rtol=1e-4, atol=1)
    crowd = [ps.Fear(4e4)]
    photo = ps.cascade(market, crowd, 0.03)
    height = coins - crowd[0].sold_by(x, market)
    first = x[np.argmax(height >= np.interp(0.03, x, coins))]
    assert photo.fall == pytest.approx(first, abs=2e-5)
    assert photo.fall > ps.cascade(ps.Market(), crowd, 0.03).fall


def test_photograph_is_the_worst_case_of_the_film():
    market = ps.Market(depth=ps.Depth(2e6, calm=0.8))
    crowd = [ps.Fear(4e4, lag=0.02)]
    film = ps.simulate(market, crowd, [ps.News(-0.03, at=1)], hours=48)
    still = ps.simulate(ps.Market(), crowd, [ps.News(-0.03, at=1)], hours=48)
    assert still.fall[-1, 0] < film.fall[-1, 0] < ps.cascade(market, crowd, 0.03).fall


def test_a_run_counts_in_shares_of_the_whole_depth():
    run = ps.simulate(ps.Market(depth=ps.Depth(2e6, calm=0.8)), HERD, NEWS)
    assert run.market.depth == 2e6
    assert run.share.shape == (len(run.time) - 1, 1)
