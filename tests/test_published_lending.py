"""Published results on lending pools, and the library's pool against a loop over loans in plain Python."""

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from plain import LAMBDA

import panicsim as ps

MARKET = ps.Market()
THRESHOLD, CLOSE, BONUS = 0.80, 0.5, 0.05


def loan(ltv, **kwargs):
    """One loan of $100 a coin at that loan-to-value."""
    return ps.LendingPool(1_000.0, 100_000.0 * ltv, **kwargs)


# --- A27: one liquidation ---


def test_health_factor_after_a_liquidation():
    """A27. HF' - HF = k (HF - (1 + b) LT_j)/(1 - k), LT_j of the coin that is seized (derived)."""
    worth, thresholds, debt = np.array([600.0, 300.0, 400.0]), np.array([0.8, 0.7, 0.5]), 900.0
    health = worth @ thresholds / debt
    for seized in range(3):
        for share in (0.05, 0.2):
            left = worth.copy()
            left[seized] -= (1 + BONUS) * share * debt
            after = left @ thresholds / ((1 - share) * debt)
            change = share * (health - (1 + BONUS) * thresholds[seized]) / (1 - share)
            assert after - health == pytest.approx(change, rel=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("ltv", [0.81, 0.94])
def test_pool_liquidates_by_the_formula(ltv, share):
    """A27. The same of the library's pool, with its one coin; it is exact."""
    pool = loan(ltv, close_factor=share)
    before, after = pool.health(100.0), pool.liquidated(100.0).health(100.0)
    change = share * (before - (1 + BONUS) * THRESHOLD) / (1 - share)
    assert after - before == pytest.approx(change, rel=1e-12)
    assert (after > before) == (ltv < 1 / (1 + BONUS))


# --- G2: the exercise of the book ---


@pytest.mark.parametrize(("ltv", "after"), [(0.95, 0.9476), (0.96, 0.9677)])
def test_liquidation_helps_below_the_frontier_only(ltv, after):
    """[G2] b = 5 %: loan-to-value 0.95 -> 0.9476 (better), 0.96 -> 0.9677 (worse)."""
    assert loan(ltv).liquidated(100.0).ltv(100.0) == pytest.approx(after, abs=5e-5)


def test_ten_coins_against_fourteen_thousand():
    """[G2] HF 1.143; $1 750; 4.2 coins seized, HF 1.16; toxic at $1 470 untouched, at $1 267 after that."""
    pool = ps.LendingPool(10, 14_000)
    assert pool.health(2_000.0) == pytest.approx(1.143, abs=5e-4)
    assert pool.liquidation_price == pytest.approx(1_750)
    assert pool.toxic_price == pytest.approx(1_470)
    once = pool.liquidated(1_750.0)
    assert [10 - once.collateral, 14_000 - once.debt] == pytest.approx([4.2, 7_000])
    assert once.health(1_750.0) == pytest.approx(1.16)
    assert once.toxic_price == pytest.approx(1_267, abs=0.5)
    # Above its liquidation price nothing happens to a loan.
    assert pool.liquidated(1_750.01).collateral == 10


# --- A28: the toxic frontier ---


@pytest.mark.parametrize(
    ("bonus", "frontier"), [(0.045, 0.9569), (0.05, 0.9524), (0.08, 0.9259), (0.10, 0.9091), (0.13, 0.8850)]
)
def test_toxic_frontier(bonus, frontier):
    """A28. Warmuz, Chaudhary & Pinna 2022, arXiv:2212.07306: a liquidation helps below 1/(1 + b) only."""
    pool = loan(0.6, bonus=bonus)
    assert pool.ltv(pool.toxic_price) == pytest.approx(frontier, abs=5e-5)
    assert pool.ltv(pool.toxic_price) == pytest.approx(1 / (1 + bonus), rel=1e-12)
    for side in (-1, 1):
        edge = loan(1 / (1 + bonus) + side * 1e-6, bonus=bonus)
        change = edge.liquidated(100.0).ltv(100.0) - edge.ltv(100.0)
        assert np.sign(change) == side


def repeated(ltv, price=100.0):
    """Loan-to-value after each 50 % liquidation at one price, and the pool at the end."""
    pool, path = loan(ltv), [ltv]
    for _ in range(60):
        after = pool.liquidated(price)
        if after.debt == pool.debt or after.collateral < 1e-9:
            return path, after
        pool = after
        path.append(float(pool.ltv(price)))
    return path, pool


@pytest.mark.parametrize("below", [1e-3, 1e-5])
def test_repeated_liquidations_below_the_frontier_heal(below):
    """A28. Just below, each lowers the loan-to-value, faster and faster, until the loan is healthy."""
    path, end = repeated(1 / (1 + BONUS) - below)
    assert (np.diff(path) < 0).all()
    assert (np.diff(path, 2)[:-1] < 0).all()
    assert path[-1] < THRESHOLD < path[-2]
    assert end.collateral * 100 > end.debt > 0


@pytest.mark.parametrize("above", [1e-3, 1e-5])
def test_repeated_liquidations_above_the_frontier_ruin(above):
    """A28. Just above, each raises it until the collateral is gone and debt is left."""
    ltv = 1 / (1 + BONUS) + above
    path, end = repeated(ltv)
    assert (np.diff(path) > 0).all()
    assert end.collateral == pytest.approx(0, abs=1e-9)
    assert end.debt == pytest.approx(100_000 * (ltv - 1 / (1 + BONUS)), rel=1e-6)


class Suspended(ps.Rule):
    """No liquidations between two hours."""

    def __init__(self, begin, end):
        self.begin, self.end = begin, end

    def limit(self, wants, view, mine):
        return {} if self.begin <= view.time < self.end else wants


def test_halting_toxic_liquidations_lowers_bad_debt():
    """A28. If the price later reverts, a halt leaves strictly less bad debt, unless it ends before."""
    pool = ps.LendingPool.spread(4e6, ltv=(0.70, 0.75), n=100, seed=1)
    dip = [ps.News(-0.33, at=1), ps.News(0.33, at=5)]

    def bad_debt(*rules):
        return ps.metrics(ps.simulate(MARKET, [pool], dip, rules, hours=24)).bad_debt[0]

    free, early, late = bad_debt(), bad_debt(Suspended(0, 3)), bad_debt(Suspended(0, 8))
    assert free > 2e5
    assert early == pytest.approx(free, rel=1e-2)
    assert late == 0
    # Nor is a healthy loan liquidated after the halt for what it was in the halt.
    run = ps.simulate(MARKET, [pool], dip, [Suspended(0, 8)], hours=24)
    assert (pool.health(100.0) > 1).all()
    assert not run.sold["LendingPool"].any()


# --- The film against a loop over loans ---


def loan_by_loan(pool, moves, dt):
    """One path in plain Python: who is unhealthy is repaid f D at the mark, coins are sold into the book.

    `moves` are log falls from outside, one a step, after the sales of that step.
    """
    share = -math.expm1(-dt / pool.lag) if pool.lag else 1.0
    coins, debt = np.ravel(pool.collateral).tolist(), np.ravel(pool.debt).tolist()
    promised, until = [0.0] * len(debt), [0.0] * len(debt)
    fall, falls, total = 0.0, [0.0], dict.fromkeys(("coins", "usd", "repaid"), 0.0)
    for move in moves:
        mark, sold = 100 * math.exp(-fall), 0.0
        for i in range(len(debt)):
            if pool.threshold * coins[i] * mark <= debt[i]:
                promised[i] = max(promised[i], pool.close_factor * debt[i])
                until[i] = debt[i] / (pool.threshold * coins[i]) if coins[i] else math.inf
            promised[i] = min(promised[i], coins[i] * mark / (1 + pool.bonus))
            # Once the price has made the loan healthy that was to be liquidated, the rest waits.
            repaid = share * promised[i] if mark <= until[i] * (1 + 1e-12) else 0.0
            if repaid:
                promised[i] -= repaid
                debt[i] -= repaid
                coins[i] -= (1 + pool.bonus) * repaid / mark
                sold += (1 + pool.bonus) * repaid / mark
                total["repaid"] += repaid
        after = fall + sold / LAMBDA
        total["coins"] += sold
        total["usd"] += LAMBDA * 100 * (math.exp(-fall) - math.exp(-after))
        fall = after + move
        falls.append(fall)
    price = 100 * math.exp(-fall)
    total |= {"owed": sum(debt), "collateral": sum(coins)}
    total["bad_debt"] = sum(max(d - c * price, 0) for c, d in zip(coins, debt, strict=True))
    return np.array(falls), total


FALLS = {
    "at once": [0.35] + [0.0] * 99,
    "slowly": [0.35 / 200] * 200 + [0.0] * 50,
    "in two": [0.15] + [0.0] * 40 + [0.15] + [0.0] * 60,
    "and back": [0.30] + [0.0] * 3 + [-0.20] + [0.0] * 60,
}
every_fall = pytest.mark.parametrize("moves", FALLS.values(), ids=FALLS)


def filmed(pool, moves, dt=0.05):
    events = [ps.News(-move, at=k * dt) for k, move in enumerate(moves) if move]
    return ps.simulate(MARKET, [pool], events, hours=len(moves) * dt, dt=dt)


@pytest.mark.parametrize("terms", [{}, {"lag": 0.5}, {"lag": 0.0, "bonus": 0.12, "close_factor": 0.8}])
@every_fall
def test_film_is_loan_by_loan(moves, terms):
    """[G2] With no more loans than cells price, coins, dollars, what is owed and bad debt are the same."""
    pool = ps.LendingPool.spread(50e6, n=150, seed=3, **terms)
    run = filmed(pool, moves)
    falls, total = loan_by_loan(pool, moves, 0.05)
    np.testing.assert_allclose(run.fall[:, 0], falls, atol=1e-12)
    row = ps.metrics(run).ledger["LendingPool"]
    for account, amount in total.items():
        assert row[account][0] == pytest.approx(amount, rel=1e-9, abs=1e-3), account
    assert ps.metrics(run).bad_debt[0] == row["bad_debt"][0]
    assert total["repaid"] > 5e6


@every_fall
def test_cells_are_nearly_loan_by_loan(moves):
    """[G2] 200 cells for 2 000 loans: within 0.4 % of the fall."""
    for seed in (1, 2):
        pool = ps.LendingPool.spread(50e6, n=2_000, seed=seed)
        exact = ps.LendingPool(pool.collateral, pool.debt, cells=2_000)
        rough, fine = (filmed(p, moves).fall[:, 0] for p in (pool, exact))
        assert np.abs(rough - fine).max() < 0.004 * fine.max()


def test_slow_fall_is_the_curve():
    """[G2] `sold_by` is what a film sells if the price falls slowly through a book that does not give way."""
    pool = ps.LendingPool.spread(50e6, n=100, seed=4, lag=0.0)
    deep, steps = ps.Market(depth=2e15), 4_000
    # A constant drift comes as noise: every step falls by 1/4 000.
    noise = np.full((steps, 1), -1.0)
    drift = ps.Market(depth=2e15, volatility=np.sqrt(8760 / 0.01) / 4_000)
    run = ps.simulate(drift, [pool], hours=40, dt=0.01, noise=noise)
    assert run.fall[-1, 0] == pytest.approx(1.0, rel=1e-9)
    curve = pool.sold_by(run.fall[:-1, 0], deep)
    np.testing.assert_allclose(run.sold["LendingPool"][1:, 0], curve, atol=0.004 * pool.collateral.sum())
    # No coin is sold twice, and a long fall takes nearly all of them.
    assert (np.diff(pool.sold_by(np.linspace(0, 5, 500), deep)) >= 0).all()
    assert pool.sold_by(500.0, deep) == pytest.approx(pool.collateral.sum(), rel=1e-9)


# --- Convexity, and books that close ---


class HalfOff(ps.Rule):
    """Close half of what is about to be sold off the market."""

    def limit(self, wants, view, mine):
        for name, want in wants.items():
            view.close(name, np.maximum(-want, 0) / 2)
        return {name: want - np.minimum(want, 0) / 2 for name, want in wants.items()}


def test_a_dollar_of_debt_costs_more_coins_further_down():
    """[G2] (1 + b)/P coins for a dollar repaid: the same debt sells more coins the lower the price is."""
    coins = []
    for fall in (0.10, 0.20, 0.40):
        # A loan that a fall this deep makes unhealthy by a hair.
        pool = ps.LendingPool(0.999 * 8_000 / (100 * np.exp(-fall)), 6_400, lag=0.0)
        assert pool.liquidation_price == pytest.approx(100 * np.exp(-fall) / 0.999)
        run = ps.simulate(ps.Market(depth=2e15), [pool], [ps.News(-fall)], hours=0.1, dt=0.05)
        row = ps.metrics(run).ledger["LendingPool"]
        assert row["repaid"][0] == pytest.approx(3_200)
        assert row["coins"][0] / row["repaid"][0] == pytest.approx(1.05 / (100 * np.exp(-fall)), rel=1e-9)
        coins.append(row["coins"][0])
    assert all(deep > shallow for shallow, deep in pairwise(coins))
    # One pool, one fall, at once instead of slowly: more coins, for more debt repaid further down.
    pool = ps.LendingPool.spread(5e6, n=150, seed=5)
    fast, slow = (ps.metrics(filmed(pool, FALLS[how])).ledger["LendingPool"] for how in ("at once", "slowly"))
    assert fast["coins"] / fast["repaid"] > slow["coins"] / slow["repaid"]


def test_ledger_of_a_pool_closes_on_every_path():
    """[G2] Debt at the start = repaid + settled + owed; coins at the start = sold + closed + left."""
    some = ps.LendingPool.spread(30e6, n=1_000, seed=6)
    # Among them coins that back no debt.
    pool = ps.LendingPool(np.append(some.collateral, 5e4), np.append(some.debt, 0.0), lag=1.0)
    wild = ps.Market(volatility=3.0, recovery=0.02, permanent=0.3)
    crowd, news = [pool, ps.Herd(0.4e6)], [ps.News(-0.2, at=2)]
    for rules in ([], [HalfOff()]):
        run = ps.simulate(wild, crowd, news, rules, hours=24, dt=0.1, paths=50, seed=2)
        for end in (run, run.until(2.05), run.until(7.0)):
            row = ps.metrics(end).ledger["LendingPool"]
            closed = np.broadcast_to(end.closed["LendingPool"], end.fall.shape)[-1]
            np.testing.assert_allclose(row["repaid"] + row["settled"] + row["owed"], 30e6, rtol=1e-9)
            np.testing.assert_allclose(
                row["coins"] + closed + row["collateral"], pool.collateral.sum(), rtol=1e-9
            )
            assert (row["bad_debt"] <= row["owed"]).all()
            assert (row["bad_debt"] >= 0).all()
        assert (row["repaid"] > 0).any()
        assert (row["settled"] > 0).any() == bool(rules)
        # A path does not notice the others.
        alone = ps.simulate(wild, crowd, news, rules, hours=24, dt=0.1, paths=1, seed=2)
        for account, rows in alone.books["LendingPool"].items():
            np.testing.assert_array_equal(rows[:, 0], run.books["LendingPool"][account][:, 0])


def test_million_loans_cost_no_more_than_their_cells():
    """[G2] 10^6 loans are sorted once; a film keeps 200 cells a path, whatever the number of loans."""
    many = ps.LendingPool.spread(50e6, n=1_000_000, seed=7)
    few = ps.LendingPool.spread(50e6, n=200, seed=7)
    assert many.debt.sum() == pytest.approx(50e6)

    def peak(pool, paths):
        tracemalloc.start()
        ps.simulate(ps.Market(volatility=2.0), [pool], hours=2, paths=paths)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    loans_alone, paths_alone = peak(many, 1) - peak(few, 1), peak(few, 100)
    assert peak(many, 100) < 1.1 * (loans_alone + paths_alone)
    # Eight bytes for each loan and path would be 800 MB.
    assert peak(many, 100) < 80e6
