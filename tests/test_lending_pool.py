"""LendingPool: the curve of a slow fall, and the odd scenes that a history brings."""

import numpy as np
import pytest

import panicsim as ps

MARKET = ps.Market()
TIGHT = ps.LendingPool.spread(4e6, ltv=(0.70, 0.75), n=100, seed=1)


class Shut(ps.Rule):
    """No orders between two hours."""

    def __init__(self, start, end):
        self.start_at, self.end = start, end

    def limit(self, wants, view, mine):
        return {} if self.start_at < view.time < self.end else wants


def test_slow_curve_is_the_liquidation_of_each_loan_again_and_again():
    """One loan at a time, by hand: repay f D at HF = 1, take (1 + b) f D / P coins, and wait for the next."""
    pool = ps.LendingPool([10, 25, 3], [600, 1200, 200], close_factor=0.4, bonus=0.08)
    falls = np.linspace(0, 1.5, 301)
    sold = np.zeros(301)
    for coins, debt in zip(pool.collateral, pool.debt, strict=True):
        while (level := np.log(100 * 0.8 * coins / debt)) < 1.5:
            taken = 1.08 * 0.4 * debt / (100 * np.exp(-level))
            sold += np.where(falls >= level, taken, 0)
            coins, debt = coins - taken, 0.6 * debt
    np.testing.assert_allclose(pool.sold_by(falls, MARKET), sold, rtol=1e-12)


@pytest.mark.parametrize(
    ("terms", "share"),
    [
        ({"close_factor": 1.0}, 1.05 * 0.8),  # all debt at once: the rest goes back to the borrower
        ({"threshold": 0.97, "bonus": 0.10}, 1.0),  # toxic from the start: each liquidation asks for the next
        ({"threshold": 0.97, "bonus": 0.10, "close_factor": 1.0}, 1.0),
    ],
)
def test_slow_curve_of_odd_terms(terms, share):
    pool = ps.LendingPool(10, 600, **terms)
    at = np.log(100 / pool.liquidation_price)
    assert pool.sold_by(at - 1e-4, MARKET) == 0
    assert pool.sold_by(at + 1e-4, MARKET) == pytest.approx(10 * share, rel=1e-12)
    assert pool.sold_by(3.0, MARKET) == pytest.approx(10 * share, rel=1e-12)


def test_slow_film_follows_the_slow_curve():
    """News in small portions, engines that are quick against them: the film sells what the curve says."""
    news = [ps.News(-0.0005, at=k / 10) for k in range(1, 601)]
    deep = ps.Market(depth=1e12)
    run = ps.simulate(deep, [TIGHT], news, hours=61, dt=0.05)
    assert run.sold["LendingPool"][-1, 0] == pytest.approx(TIGHT.sold_by(0.30, deep), rel=0.01)


def test_fast_fall_sells_more_coins_for_the_same_dollars():
    """The same fall in one jump: each dollar repaid takes more coins, for they are cheaper."""
    deep = ps.Market(depth=1e12)
    news = [ps.News(-0.0005, at=k / 10) for k in range(1, 301)]
    slow = ps.metrics(ps.simulate(deep, [TIGHT], news, hours=31)).ledger["LendingPool"]
    fast = ps.metrics(ps.simulate(deep, [TIGHT], [ps.News(-0.15, at=0.1)], hours=31)).ledger["LendingPool"]
    per_dollar = [row["coins"] / row["repaid"] for row in (slow, fast)]
    # The slow one pays between 1.05/93.75 and 1.05/87.5, the fast one 1.05/86.07 for each.
    assert per_dollar[1] == pytest.approx(1.05 / (100 * np.exp(-0.15)), rel=1e-6)
    assert per_dollar[1] > 1.03 * per_dollar[0]


def test_who_is_healthy_again_after_a_halt_is_left_alone():
    events = [ps.News(-0.33, at=1), ps.News(0.33, at=5)]
    run = ps.simulate(MARKET, [TIGHT], events, [Shut(1.04, 8)], hours=12)
    assert not run.sold["LendingPool"].any()
    assert ps.simulate(MARKET, [TIGHT], events, hours=12).sold["LendingPool"].any()


def test_who_is_healthy_again_is_left_alone_though_a_cap_made_others_wait():
    """With 500 coins an hour most wait; the price comes back, and no more is sold."""

    class Cap(ps.Rule):
        def limit(self, wants, view, mine):
            return {name: np.maximum(want, -500 * view.dt) for name, want in wants.items()}

    events = [ps.News(-0.33, at=1), ps.News(0.36, at=5)]
    run = ps.simulate(MARKET, [TIGHT], events, [Cap()], hours=48)
    sold = run.sold["LendingPool"][:, 0]
    assert sold[np.searchsorted(run.time, 5.1)] == pytest.approx(500 * 4, rel=0.05)
    assert sold[-1] == pytest.approx(500 * 4, rel=0.05)


def test_coins_of_loans_without_debt_are_counted():
    pool = ps.LendingPool([10, 20], [0, 100])
    row = ps.metrics(ps.simulate(MARKET, [pool], hours=1)).ledger["LendingPool"]
    assert row["collateral"] == 30
    assert pool.health(50)[0] == np.inf
    assert pool.ltv(50)[0] == 0


def test_a_pool_is_measured_as_of_the_end_of_a_run():
    run = ps.simulate(MARKET, [TIGHT], [ps.News(-0.2, at=1)], hours=4)
    early, late = (ps.metrics(r).ledger["LendingPool"] for r in (run.until(0.9), run))
    assert early["repaid"] == 0 < late["repaid"]
    assert early["owed"] == pytest.approx(4e6)


def test_loan_without_collateral_is_refused_by_the_market():
    spent = ps.LendingPool(10.0, 999.0).liquidated(50)
    assert spent.collateral == 0 < spent.debt
    with pytest.raises(ValueError, match=r"debt \(USD\) must leave every liquidation price under"):
        ps.cascade(MARKET, [spent], 0.1)


def test_bad_debt_is_what_the_collateral_no_longer_covers():
    """A jump past the frontier: everything is taken, and 1/(1 + b) of its worth is repaid."""
    pool = ps.LendingPool(1000, 75e3, lag=0)
    run = ps.simulate(ps.Market(depth=1e12), [pool], [ps.News(np.log(0.5))], hours=10, dt=0.01)
    row = ps.metrics(run).ledger["LendingPool"]
    assert row["coins"] == pytest.approx(1000, rel=1e-9)
    assert row["repaid"] == pytest.approx(1000 * 50 / 1.05, rel=1e-9)
    assert row["bad_debt"] == pytest.approx(75e3 - 1000 * 50 / 1.05, rel=1e-9)
    assert ps.metrics(run).bad_debt == row["bad_debt"]


def test_bad_debt_of_a_path_does_not_depend_on_the_others_or_on_the_last_step():
    """A jump in the last step is in the books, though nobody has looked at it yet."""
    pool, market = ps.LendingPool(1000, 75e3), ps.Market(depth=1e12)
    last, before = (
        ps.metrics(ps.simulate(market, [pool], [ps.News(-0.7, at=at)], hours=1)).bad_debt
        for at in (0.95, 0.90)
    )
    assert last == pytest.approx(75e3 - 1000 * 100 * np.exp(-0.7), rel=1e-6)
    assert before > last
    noise = np.zeros((20, 2))
    noise[-1, 0] = noise[5, 1] = -400
    wild = ps.Market(depth=1e12, volatility=1.0)
    beside = ps.simulate(wild, [pool], hours=1, paths=2, noise=noise)
    alone = ps.simulate(wild, [pool], hours=1, noise=noise[:, [0]])
    assert ps.metrics(beside).bad_debt[0] == ps.metrics(alone).bad_debt[0] > 0


def test_what_is_closed_before_it_is_wanted_lowers_later_wants():
    class Settle(ps.Rule):
        def settle(self, view, mine):
            if 1.9 < view.time < 1.98:
                view.close("LendingPool", 3_000.0)

    events = [ps.News(-0.10, at=1), ps.News(-0.2, at=3)]
    run = ps.simulate(MARKET, [TIGHT], events, [Settle()], hours=8)
    row = ps.metrics(run).ledger["LendingPool"]
    closed = run.closed["LendingPool"][-1, 0]
    assert closed >= 3_000
    assert row["coins"] + closed + row["collateral"] == pytest.approx(TIGHT.collateral.sum(), rel=1e-9)
    assert row["repaid"] + row["settled"] + row["owed"] == pytest.approx(4e6, rel=1e-9)
    assert row["settled"] > 0
