"""Published results on who pays when liquidations fail: auto-deleveraging, and loans beyond the frontier."""

import math

import numpy as np
import pytest

import panicsim as ps
from panicsim import rules

MARKET = ps.Market()

# --- A30: 10 October 2025 ---

# USD that each of the 16 waves needed (gap between mark and execution price) and that winners lost by being
# closed (equity with and without it, prices as they were): per-wave table of the study, horizon 0.
WAVES = np.array(
    [
        [2_266_240, 414_234], [1_383_878, 171_137], [1_065_843, 407_593], [115_497, 41_011], [8_056, 8_995],
        [1_576_039, 11_415_048], [44_868, 16_098], [1_622_229, 1_071_568], [373_726, 1_202_927],
        [5_177, 7_683], [5_584_124, 38_449_033], [1_021_113, 6_612_642], [9_400, 243_601], [1_545, 18_544],
        [672, 17_881], [1_263, 10_340],
    ]
)  # fmt: skip


def test_arithmetic_of_the_sixteen_waves():
    """[A30] Chitra 2025, arXiv:2512.01112v3: needed $15 079 670, taken $60 108 335, overshoot $45 028 666.

    The overshoot is a net sum: six waves, most of the early ones, took *less* than they needed, $4.4M in all,
    and ten took $49.4M too much. What is called closed is what winners lost, not the size of positions.
    """
    needed, taken = WAVES.sum(axis=0)
    over = WAVES[:, 1] - WAVES[:, 0]
    assert [needed, taken] == [15_079_670, 60_108_335]
    assert over.sum() == pytest.approx(45_028_666, abs=1)  # rows are rounded
    assert taken / needed == pytest.approx(3.99, abs=5e-3)
    assert (over < 0).sum() == 6
    assert [over[over > 0].sum() / 1e6, over[over < 0].sum() / 1e6] == pytest.approx([49.4, -4.4], abs=0.05)


def test_arithmetic_of_the_queue_table():
    """[A30] Deficit $23.19M, overshoot $653.55M, 28.18 times as much; $16.69M stayed uncovered.

    So a queue that took $660.05M covered $6.50M of what was owed: it took from winners in 1 097 clusters, of
    which only 201 had a deficit at all (both counted by the study). No policy could have covered more than
    winners had there, whatever it overshot elsewhere.
    """
    deficit, overshoot, uncovered = 23.19, 653.55, 16.69
    assert overshoot / deficit == pytest.approx(28.18, abs=5e-3)
    taken = deficit + overshoot - uncovered
    assert taken == pytest.approx(660.05, abs=1e-9)
    assert taken - overshoot == pytest.approx(6.50, abs=1e-9)
    # One cluster alone can overshoot or stay uncovered, never both; two can.
    winners, owed = [np.array([9.0]), np.array([1.0])], [2.0, 5.0]
    took = [rules.deleveraged(need, have).sum() for need, have in zip(owed, winners, strict=True)]
    assert [max(t - need, 0) for t, need in zip(took, owed, strict=True)] == [7, 0]
    assert [max(need - t, 0) for t, need in zip(took, owed, strict=True)] == [0, 4]


@pytest.mark.parametrize("seed", range(20))
def test_only_whole_positions_overshoot(seed):
    """[A30] Synthetic waves: pro rata and a capped queue close what is needed, as far as there is any;
    whole positions in turn up to one position too much. Closed + left = positions, always."""
    rng = np.random.default_rng(seed)
    positions = rng.lognormal(0, 1.5, rng.integers(1, 40))
    needed = float(rng.uniform(0, 1.2) * positions.sum())
    closed = {
        policy: rules.deleveraged(needed, positions, policy, 0.3)
        for policy in ("queue", "pro_rata", "capped")
    }
    for part in closed.values():
        assert ((part >= 0) & (part <= positions)).all()
    reach = min(needed, positions.sum())
    assert closed["pro_rata"].sum() == pytest.approx(reach, rel=1e-12)
    np.testing.assert_allclose(closed["pro_rata"] / positions, reach / positions.sum())
    assert closed["capped"].sum() == pytest.approx(min(needed, 0.3 * positions.sum()), rel=1e-12)
    assert (closed["capped"] <= 0.3 * positions * (1 + 1e-12)).all()
    whole = closed["queue"] > 0
    np.testing.assert_array_equal(closed["queue"], np.where(whole, positions, 0))
    assert (np.diff(whole.astype(int)) <= 0).all()  # in turn
    last = positions[whole][-1] if whole.any() else 0.0
    assert reach - 1e-9 <= closed["queue"].sum() < reach + last


def test_whole_positions_that_fit_do_not_overshoot():
    """[A30] Where the first positions add up to what is needed, they are closed and no more, whatever the
    last digits of the sum."""
    for count in range(1, 12):
        positions = np.array([0.1] * count + [100.0])
        assert rules.deleveraged(count / 10, positions).sum() == pytest.approx(count / 10, rel=1e-12), count


@pytest.mark.parametrize("policy", ["queue", "pro_rata", "capped"])
def test_winners_in_a_film(policy):
    """[A30] [D3] The same in the loop: coins sold + closed are those that the fall has reached; what winners
    lose is what was closed, or, in whole positions, the first of them that hold it."""
    longs, winners = ps.Longs.spread(60e6), np.array([1e5, 8e4, 5e4, 3e4, 2e4])
    rule = ps.Waterfall(adl=0.2, policy=policy, winners=winners, cap=0.3)
    run = ps.simulate(MARKET, [longs], [ps.News(-0.1)], [rule], hours=12)
    closed, sold = run.closed["Longs"][-1, 0], run.sold["Longs"][-1, 0]
    assert closed + sold == pytest.approx(longs.sold_by(run.fall[-1, 0], MARKET), rel=1e-9)
    adl, taken = (run.books["Waterfall"][key][:, 0] for key in ("adl", "taken"))
    assert adl[-1] == pytest.approx(closed, rel=1e-12)
    if policy == "capped":
        assert closed == pytest.approx(min(0.2 * (closed + sold), 0.3 * winners.sum()), rel=1e-9)
        assert closed < 0.15 * (closed + sold)
    else:
        assert closed == pytest.approx(0.2 * (closed + sold), rel=1e-9)
    if policy == "queue":
        needed = [rules.deleveraged(coins, winners).sum() for coins in adl]
        np.testing.assert_allclose(taken, needed, rtol=1e-9)
        assert (np.unique(taken)[1:] == np.cumsum(winners)[: len(np.unique(taken)) - 1]).all()
        assert taken[-1] > adl[-1] * 1.1
    else:
        np.testing.assert_array_equal(taken, adl)


# --- A28: a halt at the toxic frontier ---


def bad_debts(then, halt, price=78.0):
    """One loan, $75 000 against 1 000 coins, in a book that does not give way: at $78, beyond the frontier of
    $78.75, for some hours, then at another price."""
    pool = ps.LendingPool(1_000.0, 75_000.0, halt=halt)
    events = [ps.News(-math.log(100 / price)), ps.News(math.log(then / price), at=6)]
    run = ps.simulate(ps.Market(depth=2e15), [pool], events, hours=12)
    return ps.metrics(run).bad_debt[0]


@pytest.mark.parametrize("then", [60.0, 74.0, 74.29, 76.0, 78.0, 90.0])
def test_halt_at_the_frontier(then):
    """[A28] Sold out at P, the coins C repay C P/(1 + b); kept, they are worth C P' at the end. So a halt is
    better if the price ends above P/(1 + b) = $74.29: also if it stays, or falls by less than the bonus."""
    free, halted = bad_debts(then, None), bad_debts(then, 1 / 1.05)
    assert free == pytest.approx(75_000 - 78_000 / 1.05, rel=1e-6)
    assert halted == pytest.approx(max(75_000 - 1_000 * then, 0), rel=1e-9, abs=1e-6)
    assert (halted < free) == (then > 78 / 1.05)


def test_halt_in_a_book_that_gives_way():
    """[A28] There the sales themselves push the price down: a halt leaves none if the price reverts, less if
    it stays, and more if it goes on falling."""

    def bad_debt(halt, later):
        pool = ps.LendingPool.spread(4e6, ltv=(0.70, 0.75), n=100, seed=1, halt=halt)
        run = ps.simulate(MARKET, [pool], [ps.News(-0.3, at=1), ps.News(later, at=5)], hours=24)
        return ps.metrics(run).bad_debt[0]

    assert bad_debt(None, 0.3) > 1e5
    assert bad_debt(1 / 1.05, 0.3) == 0
    assert bad_debt(1 / 1.05, 0.0) < 0.1 * bad_debt(None, 0.0)
    assert bad_debt(1 / 1.05, -0.5) > 5 * bad_debt(None, -0.5)
