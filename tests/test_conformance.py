"""One suite over every participant and every rule: the eleven invariants of the library.

A new participant or rule joins with one line in PARTICIPANTS or RULES.
"""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plain import LAMBDA, coarser, fill

import panicsim as ps
from panicsim import base_rates, games, mint, options, rules, tranches
from panicsim.cast import cast

# --- Who takes part ---

LEVERAGE = np.random.default_rng(5).uniform(3, 60, 400)
# Coins of collateral, in units of what makes a loan of three quarters unhealthy a little below P0.
LOANS = np.random.default_rng(8).uniform(0.95, 2.0, 300)


def dealers(quantity, **kw):
    return ps.Dealers([90, 97, 100], quantity, [9.0, 30.0, 400.0], interval=0.5, **kw)


class Diamond(ps.Participant):
    """The four lines of a reader: hands that buy below a fall of 20 %."""

    def __init__(self, coins):
        self.coins = coins

    def sold_by(self, fall, market):
        return -self.coins * np.maximum(np.asarray(fall) - 0.2, 0)


@dataclass(frozen=True)
class Entry:
    """`make(size, **lag)` with size 1 for a usual and 0 for an absent participant."""

    make: Callable[..., ps.Participant]
    curve_only: bool = True  # False: it has a clock or a history, so photograph and film may differ


PARTICIPANTS = {
    "herd": Entry(lambda size, **kw: ps.Herd(0.9e6 * size, **kw)),
    "herd both ways": Entry(lambda size, **kw: ps.Herd(0.9e6 * size, one_way=False, **kw)),
    "fear": Entry(lambda size, **kw: ps.Fear(1.5e5 * size, **kw)),
    "fear both ways": Entry(lambda size, **kw: ps.Fear(1.5e5 * size, one_way=False, **kw)),
    "longs": Entry(lambda size, **kw: ps.Longs(100, 600.0 * size, LEVERAGE, **kw)),
    "3x token": Entry(lambda size, **kw: ps.Rebalancer(3, 15e6 * size, **kw)),
    "inverse token": Entry(lambda size, **kw: ps.Rebalancer(-1, 30e6 * size, **kw)),
    "60/40 fund": Entry(lambda size, **kw: ps.Rebalancer(0.6, 100e6 * size, **kw)),
    "buyers": Entry(lambda size, **kw: ps.ValueBuyers(0.8e6 * size, 6e6 * size, **kw)),
    "buyers who keep": Entry(lambda size, **kw: ps.ValueBuyers(0.8e6 * size, 6e6 * size, one_way=True, **kw)),
    "late buyers": Entry(lambda size, lag=2.0: ps.ValueBuyers(0.8e6 * size, 6e6 * size, lag=lag)),
    "loans": Entry(
        lambda size, **kw: ps.LendingPool(LOANS * 1e3 * size, 75e3 * size, **kw), curve_only=False
    ),
    "dealers short of options": Entry(lambda size, **kw: dealers(-1.5e5 * size, **kw), curve_only=False),
    "dealers long of options": Entry(lambda size, **kw: dealers(1.5e5 * size, **kw), curve_only=False),
    "miners": Entry(lambda size, **kw: ps.Miners(3e6 * size, 4e4 * size, **kw), curve_only=False),
    "redeemers": Entry(lambda size, **kw: ps.Redeemers(8e6 * size, over=12, **kw), curve_only=False),
    "senior fund": Entry(lambda size, **kw: ps.SeniorTranche(4e6 * size, trigger=0.6, **kw)),
    "diamond hands": Entry(lambda size, **kw: Diamond(4e6 * size)),
}
everybody = pytest.mark.parametrize("entry", PARTICIPANTS.values(), ids=PARTICIPANTS)

# --- Rules: a reader's own, of a few lines each, and the library's ---


class Halt(ps.Rule):
    """Close the market once, for a pause, when the fall reaches a level."""

    def __init__(self, level, pause=2.0):
        self.level, self.pause = level, pause

    def start(self, view):
        return {"until": np.full(view.paths, -1.0), "fired": np.zeros(view.paths, dtype=bool)}

    def book(self, view, mine):
        fires = (view.fall >= self.level) & ~mine["fired"]
        mine["fired"] |= fires
        mine["until"][fires] = view.time + self.pause
        return np.where(view.time < mine["until"] - 1e-9, 0.0, 1.0)


class Thin(ps.Rule):
    """Leave a share of the book."""

    def __init__(self, share):
        self.share = share

    def book(self, view, mine):
        return self.share


class Cap(ps.Rule):
    """Let nobody sell more than so many coins an hour."""

    def __init__(self, rate):
        self.rate = rate

    def limit(self, wants, view, mine):
        return {name: np.maximum(want, -self.rate * view.dt) for name, want in wants.items()}


class Deleverage(ps.Rule):
    """Close a share of what is about to be sold against the winners, off the market."""

    def __init__(self, share):
        self.share = share

    def limit(self, wants, view, mine):
        for name, want in wants.items():
            view.close(name, self.share * np.maximum(-want, 0))
        return {name: want - self.share * np.minimum(want, 0) for name, want in wants.items()}


class LateMark(ps.Rule):
    """Show everybody the fall as it was some steps ago."""

    def __init__(self, steps):
        self.steps = steps

    def start(self, view):
        return []

    def see(self, view, mine):
        mine.append(view.fall)
        return dict.fromkeys(view.sold, mine[max(len(mine) - 1 - self.steps, 0)])


GATED = ps.RedemptionQueue(delay=0.5, per_day=1e6, gate=0.15, shut=3, rush=0.02)
QUEUE_OF_WINNERS = np.full(40, 500.0)

# Name: (rule that acts, the same rule with nothing to do).
RULES = {
    "none": (ps.Rule(), ps.Rule()),
    "halt": (Halt(0.06), Halt(np.inf)),
    "thin book": (Thin(0.5), Thin(1.0)),
    "cap": (Cap(2e3), Cap(np.inf)),
    "deleverage": (Deleverage(0.3), Deleverage(0.0)),
    "late mark": (LateMark(5), LateMark(0)),
    "oracle elsewhere": (ps.Oracle(venues=3, window=0.5, lag=0.2), ps.Oracle()),
    "oracle pushed": (
        ps.Oracle(push=0.08, at=3, over=2, heartbeat=1.0, deviation=0.02),
        ps.Oracle(push=9.0, at=30),
    ),
    "liquidators": (
        ps.Liquidators(gas=1e3, capacity=4e5, latency=0.3, caution=0.5, congestion=2, bidders=3),
        ps.Liquidators(),
    ),
    "fees": (ps.Fees(window=6, floor=0.5), ps.Fees(turnover=1e9)),
    "linked fees": (
        ps.Fees(linked=True, elasticity=0.5, calm=0.4, floor=0.5),
        ps.Fees(linked=True, turnover=1e9),
    ),
    "waterfall": (
        ps.Waterfall(adl=0.4, policy="queue", winners=QUEUE_OF_WINNERS),
        ps.Waterfall(adl=0.4, winners=[0.0]),
    ),
    "insured waterfall": (ps.Waterfall(1e4, 0.4, "capped", QUEUE_OF_WINNERS, 0.5), ps.Waterfall(1e6)),
    "pool that takes loans over": (ps.StabilityPool(2e5), ps.StabilityPool(0.0)),
    "queue": (GATED, ps.RedemptionQueue()),
    "breaker": (ps.CircuitBreaker([0.06, 0.12], [1.0, 2.0], magnet=0.02), ps.CircuitBreaker(600.0)),
    "breaker without auction": (ps.CircuitBreaker(0.06, auction=False), ps.CircuitBreaker(0.06, 0.0)),
    "margin": (
        ps.VolatilityMargin(floor=0.006, horizon=4, lookback=3, speed=2),
        ps.VolatilityMargin(multiple=0),
    ),
    "guardian": (ps.Governance(GATED, 0.5, rush=0.03), ps.Governance(GATED, None, rush=0.03)),
    "timelock": (
        ps.Governance(Deleverage(0.4), 3.0, trigger=0.03),
        ps.Governance(Deleverage(0.4), 30.0, trigger=0.0),
    ),
}
every_rule = pytest.mark.parametrize("rule", [act for act, _ in RULES.values()], ids=RULES)

# --- The scene ---

MARKET = ps.Market(volatility=0.8, recovery=0.02, permanent=0.3)
EVENTS = (ps.News(-0.05, at=1), ps.Sale(5e4, at=6, over=5))
NOISE = np.random.default_rng(11).standard_normal((480, 6))
CALM = ps.Market()
# Depth that is a state.
FLEEING = {
    "with volatility": ps.Depth(2e6, calm=0.9),
    "by the clock": ps.Depth(2e6, schedule=[(5, 0.3), (8, 1.0)]),
    "both": ps.Depth(2e6, calm=0.9, schedule=lambda hour: 1.0 if hour < 5 else 0.5),
}


def scene(crowd, *, market=MARKET, events=EVENTS, rules=(), noise=NOISE, hours=24.0):
    return ps.simulate(
        market, crowd, events, rules, hours=hours, dt=hours / len(noise), paths=noise.shape[1], noise=noise
    )


def background():
    return [ps.Herd(0.4e6, name="background")]


def everyone(size=0.25):
    return [entry.make(size) for entry in PARTICIPANTS.values()]


def same(one, other, tolerance=0.0):
    np.testing.assert_allclose(one.fall, other.fall, rtol=0, atol=tolerance)
    np.testing.assert_allclose(one.value_fall, other.value_fall, rtol=0, atol=tolerance)
    for name in one.sold.keys() & other.sold.keys():
        np.testing.assert_allclose(one.sold[name], other.sold[name], rtol=0, atol=tolerance * LAMBDA)


# --- 1. Size zero changes nothing ---


@everybody
def test_nobody_changes_nothing(entry):
    run = scene([entry.make(0.0), *background()])
    same(run, scene(background()))
    assert not next(iter(run.sold.values())).any()
    assert ps.loop_gain(CALM, [entry.make(0.0)], fall=np.linspace(0, 0.5, 9)).total == pytest.approx(
        0, abs=1e-15
    )


@pytest.mark.parametrize("idle", [idle for _, idle in RULES.values()], ids=RULES)
def test_idle_rule_changes_nothing(idle):
    same(scene(everyone(), rules=[idle]), scene(everyone()), tolerance=1e-13)


# --- 2. Paths do not touch ---


@everybody
def test_paths_do_not_touch(entry):
    crowd = [entry.make(1.0), *background()]
    together = scene(crowd).fall
    for j in range(NOISE.shape[1]):
        np.testing.assert_array_equal(scene(crowd, noise=NOISE[:, [j]]).fall[:, 0], together[:, j])


def test_ledgers_of_paths_do_not_touch():
    """The dollars and coins of a path are the same to the last digit whoever runs beside it."""
    together, alone = (ps.metrics(scene(everyone(), noise=noise)).ledger for noise in (NOISE, NOISE[:, [2]]))
    for name, row in together.items():
        for entry, numbers in row.items():
            assert numbers[2] == alone[name][entry][0], (name, entry)


@every_rule
def test_paths_do_not_touch_under_rules(rule):
    together = scene(everyone(), rules=[rule]).fall
    alone = scene(everyone(), rules=[rule], noise=NOISE[:, [2]]).fall
    np.testing.assert_array_equal(alone[:, 0], together[:, 2])


# --- 3. Money and coins ---


def books_balance(run, share=1.0):
    """Book every step anew from `fall` and `sold`; the ledger must agree and the coins explain the price."""
    depth = LAMBDA * np.broadcast_to(share, run.fall[1:].shape)
    coins = {name: np.diff(sold, axis=0) for name, sold in run.sold.items()}
    outside = np.broadcast_to(np.diff(run.outside, axis=0), run.fall[1:].shape)
    first = sum((c for name, c in coins.items() if name not in run.bids), outside)
    last = sum((coins[name] for name in run.bids), np.zeros_like(first))
    open_book = np.where(depth > 0, depth, 1.0)
    # What neither orders nor bids moved is news, noise and recovery: none of it in a closed market.
    drift = np.diff(run.fall, axis=0) - (first + last) / open_book
    assert (np.abs(drift[depth == 0]) < 1e-15).all()
    assert not (np.abs(first) + np.abs(last))[depth == 0].any()
    fills = {
        False: fill(run.price[:-1], first, open_book),
        True: fill(run.price[1:] * np.exp(last / open_book), last, open_book),
    }
    after = run.price[:-1] * np.exp(-first / open_book)
    np.testing.assert_allclose(
        first * fills[False], open_book * (run.price[:-1] - after), rtol=1e-9, atol=0.1
    )
    ledger = ps.metrics(run).ledger
    traded = 1.0 + sum(np.abs(c * run.price[:-1]).sum(axis=0) for c in coins.values())
    for name, c in coins.items():
        np.testing.assert_allclose(ledger[name]["coins"], c.sum(axis=0), rtol=1e-12, atol=1e-6)
        usd = (c * fills[name in run.bids]).sum(axis=0)
        assert (np.abs(ledger[name]["usd"] - usd) < 1e-9 * traded).all(), name
    if outside.any():
        np.testing.assert_allclose(ledger["Sale"]["usd"], (outside * fills[False]).sum(axis=0), rtol=1e-9)
    return drift


@everybody
def test_money_is_conserved(entry):
    run = scene([entry.make(1.0), *background()])
    books_balance(run)


@every_rule
def test_money_is_conserved_under_rules(rule):
    run = scene(everyone(), rules=[rule])
    books_balance(run, 1.0 if run.share is None else run.share)


@pytest.mark.parametrize("depth", FLEEING.values(), ids=FLEEING)
def test_money_is_conserved_while_depth_flees(depth):
    run = scene(everyone(0.2), market=ps.Market(depth=depth, volatility=0.8, recovery=0.02, permanent=0.3))
    books_balance(run, run.share)
    assert run.share.min() < 0.6
    assert run.share.max() == 1.0


@pytest.mark.parametrize("depth", FLEEING.values(), ids=FLEEING)
def test_paths_do_not_touch_while_depth_flees(depth):
    market = ps.Market(depth=depth, volatility=0.8)
    alone = scene(everyone(0.2), market=market, noise=NOISE[:, [2]]).fall
    np.testing.assert_array_equal(alone[:, 0], scene(everyone(0.2), market=market).fall[:, 2])


def test_drift_is_news_noise_and_nothing_else():
    still = ps.Market(volatility=0.8)
    run = scene(everyone(), market=still, events=[ps.News(-0.05, at=1)])
    moves = -NOISE * 0.8 * np.sqrt(0.05 / 8760)
    moves[20] += 0.05
    np.testing.assert_allclose(books_balance(run), moves, atol=1e-13)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_debt_is_repaid_or_bad(share):
    """debt = repaid + bad debt, usd = repaid + refund, and only what was sold on the market is in it."""
    longs = ps.Longs(100, 600.0, LEVERAGE, lag=0.5)
    rules = [Deleverage(share)] if share else []
    run = ps.simulate(CALM, [longs, ps.Herd(0.9e6)], [ps.News(-0.1)], rules, hours=24)
    row = ps.metrics(run).ledger["Longs"]
    notional = 100 * longs.size.sum()
    np.testing.assert_allclose(row["debt"], row["repaid"] + row["bad_debt"], atol=1e-9 * notional)
    np.testing.assert_allclose(row["usd"], row["repaid"] + row["refund"], atol=1e-9 * notional)


@every_rule
def test_loans_are_repaid_settled_or_owed(rule):
    """USD: debt = repaid + settled + owed; coins: collateral = sold + closed + left, leg by leg."""
    pool = PARTICIPANTS["loans"].make(1.0)
    run = scene([pool, *background()], market=ps.Market(volatility=0.8), rules=[rule])
    row = ps.metrics(run).ledger["LendingPool"]
    debt, coins = pool.debt.sum(), pool.collateral.sum()
    np.testing.assert_allclose(row["repaid"] + row["settled"] + row["owed"], debt, rtol=1e-9)
    closed = np.broadcast_to(run.closed["LendingPool"][-1], row["coins"].shape)
    np.testing.assert_allclose(row["coins"] + closed + row["collateral"], coins, rtol=1e-9)
    assert (row["coins"] + closed > 0).all()
    closers = [RULES[name][0] for name in ("deleverage", "timelock", "pool that takes loans over")]
    assert (row["settled"] > 1).any() == (rule in closers)
    # A repaid dollar took 1 + b dollars of coins, at the prices of the steps, none above P0.
    assert (row["coins"] * 100 >= 1.05 * row["repaid"] * (1 - 1e-9)).all()
    assert (row["bad_debt"] <= row["owed"]).all()


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_debt_belongs_to_the_coins_that_were_sold(share):
    """A rule that closes 30 % of every liquidation off the market takes 30 % of the debt along."""
    longs = ps.Longs(100, 600.0, LEVERAGE)
    run = ps.simulate(CALM, [longs], [ps.News(-0.15)], [Deleverage(share)], hours=4)
    row = ps.metrics(run).ledger["Longs"]
    touched = longs.liquidation_price >= 100 * np.exp(-run.fall[-1, 0])
    owed = (100 * 600.0 * (1 - 1 / LEVERAGE))[touched].sum()
    assert row["debt"][0] == pytest.approx((1 - share) * owed, rel=1e-3)
    done = run.sold["Longs"][-1, 0] + np.atleast_2d(run.closed["Longs"])[-1, 0]
    assert done == pytest.approx(600.0 * touched.sum(), rel=1e-9)


SORTS = sorted(PARTICIPANTS)
# The library's own rules and a reader's, with numbers that are drawn.
AMOUNT, FEAR = st.floats(0.05, 1.0), st.floats(0.0, 0.05)
DRAWN_RULES = [
    st.builds(ps.Oracle, venues=st.integers(1, 4), window=AMOUNT, lag=AMOUNT, heartbeat=AMOUNT),
    st.builds(ps.Oracle, push=st.floats(-0.2, 0.2), at=st.floats(0, 20), over=st.floats(0, 10)),
    st.builds(ps.Liquidators, gas=st.floats(0, 3e3), capacity=st.floats(1e3, 1e6), latency=AMOUNT),
    st.builds(ps.Liquidators, caution=AMOUNT, congestion=st.floats(0, 5), bidders=st.integers(0, 5)),
    st.builds(ps.Fees, fee=st.floats(1e-4, 0.1), linked=st.booleans(), elasticity=AMOUNT, window=AMOUNT),
    st.builds(
        ps.Waterfall,
        fund=st.sampled_from([0.0, 5e3]),
        adl=AMOUNT,
        policy=st.sampled_from(["queue", "pro_rata", "capped"]),
        winners=st.sampled_from([None, QUEUE_OF_WINNERS]),
        cap=AMOUNT,
    ),
    st.builds(ps.RedemptionQueue, delay=AMOUNT, per_day=st.floats(1e4, 1e6), gate=AMOUNT, rush=FEAR),
    st.builds(ps.CircuitBreaker, fall=AMOUNT, pause=AMOUNT, auction=st.booleans(), magnet=FEAR),
    st.builds(ps.VolatilityMargin, multiple=st.floats(0, 5), lookback=AMOUNT, speed=AMOUNT),
    st.builds(
        ps.Governance,
        rule=st.sampled_from([GATED, ps.CircuitBreaker(0.1), ps.Oracle(venues=3), Deleverage(0.3)]),
        delay=AMOUNT,
        trigger=AMOUNT,
        rush=FEAR,
    ),
    st.builds(ps.StabilityPool, usd=st.floats(0, 1e6)),
    st.builds(Deleverage, AMOUNT),
    st.builds(Thin, st.floats(0.3, 1.0)),
]


@settings(max_examples=60)
@given(
    sizes=st.dictionaries(st.sampled_from(SORTS), st.floats(0.05, 0.5), min_size=2, max_size=6),
    rules=st.lists(st.one_of(DRAWN_RULES), min_size=1, max_size=5),
)
def test_any_crowd_under_any_rules_keeps_its_books(sizes, rules):
    """Dollars and coins close at every step, whoever trades and whatever rules are combined."""
    # A waterfall stands after all others that close positions, so there is one at most.
    assume(sum(isinstance(rule, ps.Waterfall) for rule in rules) < 2)
    crowd = [PARTICIPANTS[name].make(size) for name, size in sizes.items()]
    run = scene(crowd, rules=rules, noise=NOISE[::2, :3])
    assume(np.abs(run.fall).max() < 20)  # a market without a floor, or a roof, has no money to count
    books_balance(run, 1.0 if run.share is None else run.share)
    ledger = ps.metrics(run).ledger
    for name, member in run.crowd.items():
        row = ledger[name]
        if isinstance(member, ps.LendingPool):
            debt, coins = member.debt.sum(), member.collateral.sum()
            np.testing.assert_allclose(row["repaid"] + row["settled"] + row["owed"], debt, rtol=1e-9)
            left = row["coins"] + run.closed[name][-1] + row["collateral"]
            np.testing.assert_allclose(left, coins, rtol=1e-9)
        if isinstance(member, ps.Longs):
            assert (
                np.abs(row["debt"] - row["repaid"] - row["bad_debt"]).max() < 1e-9 * 100 * member.size.sum()
            )
            held = run.sold[name] + run.closed[name]
            assert (held <= member.size.sum() * (1 + 1e-9)).all()
            assert (np.diff(held, axis=0) >= -1e-6).all()
    for name, rule in run.rules.items():
        _check_rule_books(run, ledger, rule, run.books.get(name, {}))


def _check_rule_books(run, ledger, rule, own):
    """What a rule says of its money adds up with what the others booked."""
    if isinstance(rule, ps.Waterfall):
        longs = [row for name, row in ledger.items() if isinstance(run.crowd.get(name), ps.Longs)]
        bad = sum((row["bad_debt"] for row in longs), np.zeros(run.fall.shape[1]))
        np.testing.assert_allclose(own["paid"][-1] + own["socialised"][-1], bad, rtol=1e-7, atol=1e-3)
        np.testing.assert_allclose(own["fund"] + own["paid"], rule.fund, rtol=1e-12, atol=1e-9)
        assert (own["taken"] >= own["adl"] * (1 - 1e-9)).all()
        assert (np.diff(own["haircut"], axis=0) >= 0).all()
    if isinstance(rule, ps.StabilityPool):
        np.testing.assert_array_less(-1e-9, own["usd"])
        assert (np.diff(own["coins"], axis=0) >= 0).all()
        assert (own["coins"] > 0).any() or (own["usd"] == rule.usd).all()
    if isinstance(rule, ps.Liquidators):
        pools = [row for name, row in ledger.items() if isinstance(run.crowd.get(name), ps.LendingPool)]
        repaid = sum((row["repaid"] for row in pools), np.zeros(run.fall.shape[1]))
        np.testing.assert_allclose(own["received"][-1] + own["shortfall"][-1], repaid, rtol=1e-7, atol=1e-3)


def test_lowered_want_comes_back():
    """A cap changes the calendar, not the end."""
    crowd = [ps.Herd(0.9e6)]
    end = ps.cascade(CALM, crowd, 0.05).fall
    capped = ps.simulate(CALM, crowd, [ps.News(-0.05)], [Cap(2e3)], hours=96)
    assert capped.fall[-1, 0] == pytest.approx(end, rel=1e-9)
    assert capped.fall[100, 0] < 0.8 * end


def test_closed_want_does_not_come_back():
    """Closing the share a off the market turns the gain g into g (1 - a)."""
    run = ps.simulate(CALM, [ps.Herd(1.2e6)], [ps.News(-0.05)], [Deleverage(0.25)])
    assert run.fall[-1, 0] == pytest.approx(0.05 / (1 - 0.6 * 0.75), rel=1e-9)
    assert np.atleast_2d(run.closed["Herd"])[-1, 0] / run.sold["Herd"][-1, 0] == pytest.approx(
        1 / 3, rel=1e-9
    )


def test_news_in_a_halt_goes_unseen_and_arrives_on_reopening():
    rules, events = [Halt(0.05, pause=2)], [ps.News(-0.06, at=1), ps.News(-0.03, at=2)]
    run = ps.simulate(CALM, [ps.Herd(1.2e6)], events, rules, hours=48, dt=0.1)
    halted = (run.time > 1.05) & (run.time < 3.05)
    np.testing.assert_allclose(run.fall[halted], 0.06, rtol=1e-12)
    assert not run.sold["Herd"][halted].any()
    assert run.value_fall[25, 0] == pytest.approx(0.09)
    assert run.fall[-1, 0] == pytest.approx(0.09 / 0.4, rel=1e-6)


def test_sale_in_a_halt_waits():
    rules, events = [Halt(0.05, pause=2)], [ps.News(-0.06, at=1), ps.Sale(1e5, at=2)]
    run = ps.simulate(CALM, [], events, rules, hours=6, dt=0.1)
    assert not run.outside[run.time < 3.05].any()
    assert run.fall[-1, 0] == pytest.approx(0.06 + 0.05)
    assert run.outside[-1, 0] == 1e5


def test_late_mark_delays_the_sellers():
    run = ps.simulate(CALM, [ps.Herd(1.2e6)], [ps.News(-0.05)], [LateMark(10)], hours=48, dt=0.1)
    assert not run.sold["Herd"][:12].any()
    assert run.sold["Herd"][13, 0] > 0
    assert run.fall[-1, 0] == pytest.approx(0.125, rel=1e-4)


def test_rules_act_in_the_order_of_the_list():
    one, other = (
        ps.simulate(CALM, [ps.Herd(1.2e6)], [ps.News(-0.05)], rules, hours=2)
        for rules in ([Cap(2e3), Deleverage(0.5)], [Deleverage(0.5), Cap(2e3)])
    )
    assert one.fall[-1, 0] != other.fall[-1, 0]


# --- 4. Order of participants ---


def test_order_of_participants_does_not_matter():
    crowd = [copy.copy(p) for p in everyone()]
    for number, member in enumerate(crowd):
        object.__setattr__(member, "name", f"member {number}")
    same(scene(crowd), scene(crowd[::-1]), tolerance=1e-11)
    one, other = (ps.cascade(CALM, c, 0.08).fall for c in (crowd, crowd[::-1]))
    assert one == pytest.approx(other, rel=1e-11)


# --- 5. The step is not the reaction time ---


@everybody
def test_film_does_not_depend_on_dt(entry):
    """On one Brownian path the end of dt and dt/4 agree, and the difference shrinks."""
    fine = np.random.default_rng(2).standard_normal((3840, 4))
    crowd = [entry.make(1.0, lag=0.5), *background()]
    films = [scene(crowd, noise=coarser(fine, by)).fall[:: 64 // by] for by in (64, 16, 4, 1)]
    apart = [np.abs(a - b).mean() for a, b in pairwise(films)]
    assert apart[2] < 0.6 * apart[1] < 0.36 * apart[0]
    assert apart[2] < 1e-3


# --- 6. Photograph = film ---

curves = {name: entry for name, entry in PARTICIPANTS.items() if entry.curve_only}


@pytest.mark.parametrize("shock", [0.03, 0.15])
@pytest.mark.parametrize("entry", curves.values(), ids=curves)
def test_film_ends_at_the_photograph(entry, shock):
    crowd = [entry.make(1.0)]
    run = ps.simulate(CALM, crowd, [ps.News(-shock)], hours=96, dt=0.1)
    photo = ps.cascade(CALM, crowd, shock)
    assert run.fall[-1, 0] == pytest.approx(photo.fall, abs=1e-6)
    for name, coins in photo.sold.items():
        assert run.sold[name][-1, 0] == pytest.approx(coins, abs=2)


def test_film_of_everybody_ends_at_the_photograph():
    crowd = [*[e.make(0.25) for n, e in curves.items() if n not in ("60/40 fund", "late buyers")]]
    photo = ps.cascade(CALM, crowd, 0.08)
    assert ps.simulate(CALM, crowd, [ps.News(-0.08)], hours=96).fall[-1, 0] == pytest.approx(
        photo.fall, abs=1e-6
    )
    assert photo.rounds[-1] == pytest.approx(photo.fall, abs=1e-9)


# --- 7. Gains add ---


@given(fall=st.floats(0, 1), step=st.floats(1e-3, 0.1))
def test_gains_add(fall, step):
    gain = ps.loop_gain(CALM, everyone(), fall=fall, step=step)
    alone = sum(ps.loop_gain(CALM, [p], fall=fall, step=step).total for p in everyone())
    assert gain.total == pytest.approx(alone, abs=1e-12)
    assert gain.total == pytest.approx(sum(gain.values()), abs=1e-12)


# --- 8. Inputs are unchanged ---


def snapshot(thing):
    """What an object holds, copied, down to its liquidation map."""
    kept = {
        name: value.copy() if isinstance(value, np.ndarray) else copy.deepcopy(value)
        for name, value in vars(thing).items()
    }
    return kept | {name: vars(kept[name]) for name in ("_map", "_slow", "rule") if name in kept}


@everybody
def test_run_changes_no_input(entry):
    crowd, events = [entry.make(1.0), *background()], list(EVENTS)
    rules = [rule for rule, _ in RULES.values()]
    noise = NOISE.copy()
    things = [MARKET, *crowd, *events, *rules]
    before = [snapshot(thing) for thing in things]
    scene(crowd, events=events, rules=rules, noise=noise)
    ps.cascade(CALM, crowd, 0.1)
    ps.tipping_shock(CALM, crowd)
    for thing, old in zip(things, before, strict=True):
        np.testing.assert_equal(snapshot(thing), old)
    np.testing.assert_array_equal(noise, NOISE)
    assert len(crowd) == len(events) == 2


@everybody
def test_second_run_is_the_first(entry):
    """Nothing of a run is left in the objects it was given."""
    crowd, rules = [entry.make(1.0)], [Halt(0.06)]
    same(scene(crowd, rules=rules), scene(crowd, rules=rules))


# --- 9. Seeds ---


@everybody
def test_same_seed_same_run_and_path_j_for_any_number(entry):
    def run(paths, seed=7):
        return ps.simulate(MARKET, [entry.make(1.0)], hours=12, dt=0.25, paths=paths, seed=seed).fall

    many = run(131)
    np.testing.assert_array_equal(many, run(131))
    for paths in (1, 3, 64, 65):
        np.testing.assert_array_equal(run(paths), many[:, :paths])
    assert (run(3, seed=8) != many[:, :3]).any()


# --- 10. sold_by ---


@everybody
def test_sold_by_is_elementwise(entry):
    member = entry.make(1.0)
    falls = np.linspace(-0.3, 1.2, 24)
    flat = member.sold_by(falls, CALM)
    for shape in [(24,), (4, 6), (2, 3, 4), (24, 1)]:
        np.testing.assert_array_equal(member.sold_by(falls.reshape(shape), CALM), flat.reshape(shape))
    for fall, coins in zip(falls, flat, strict=True):
        for spelling in (float(fall), np.float64(fall), np.array(fall)):
            assert np.shape(member.sold_by(spelling, CALM)) == ()
            assert member.sold_by(spelling, CALM) == coins
    assert np.shape(member.sold_by(np.zeros((0, 3)), CALM)) == (0, 3)
    assert np.shape(member.sold_by(np.zeros(0), CALM)) == (0,)
    assert member.sold_by(0.0, CALM) == 0
    assert member.sold_by(0, CALM) == 0


# --- 11. Bad input ---

NAN, INF = float("nan"), float("inf")
NOT_NUMBERS = [NAN, INF, -INF, None, "much", [1.0, 2.0], 1j, {}]
# Constructor arguments: a good call, then by argument its unit and the numbers outside its range.
WARNED, STAKE = ps.roc([1, 2], [2, 3]), ps.kelly([0.2, -0.1])
AFTER_FALLS: dict[str, tuple[str, list[Any]]] = {
    "close": ("USD", [0, -1, [1], [[1, 2], [3, 4]]]),
    "size": ("simple fall", [0, 1]),
    "over": ("rows", [0, 1.5]),
    "apart": ("rows", [-1, 1.5]),
}
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, tuple[str, list[Any]]]]] = {
    "Market": (
        ps.Market,
        {},
        {
            "price": ("USD", [0, -1]),
            "depth": ("USD per 1 %", [0, -2e6]),
            "recovery": ("per hour", [-0.1]),
            "permanent": ("share", [-0.1, 1.1]),
            "volatility": ("per year", [-1]),
        },
    ),
    "News": (ps.News, {"change": -0.1}, {"change": ("log", []), "at": ("hours", [-1])}),
    "Sale": (
        ps.Sale,
        {"coins": 1e5},
        {"coins": ("coins", [-1]), "at": ("hours", [-1]), "over": ("hours", [-1])},
    ),
    "Herd": (
        ps.Herd,
        {"per_percent": 1e6},
        {"per_percent": ("USD per 1 %", [-1]), "lag": ("hours", [-1]), "name": ("text", ["", 5])},
    ),
    "Fear": (
        ps.Fear,
        {"holdings": 1e5},
        {
            "holdings": ("coins", [-1]),
            "threshold": ("log", [0, -0.1]),
            "width": ("log", [0, -0.1]),
            "lag": ("hours", [-1]),
        },
    ),
    "Longs": (
        ps.Longs,
        {"entry": 100, "size": 10, "leverage": 5},
        {
            "entry": ("USD", [0, -1, [100, -1]]),
            "size": ("coins", [-1, [[1, NAN]]]),
            "leverage": ("times", [0.99, 0, -3]),
            "maintenance": ("share", [-0.01, 0.2, 1, [0.01, 0.3]]),
            "lag": ("hours", [-1]),
        },
    ),
    "Longs.spread": (
        ps.Longs.spread,
        {"notional": 1e6},
        {
            "notional": ("USD", [-1]),
            "price": ("USD", [0, -1]),
            "leverage": ("times", [(0.5, 3), (25, 3), (3,), 5]),
            "n": ("positions", [0, -1, 1.5]),
            "seed": ("", [-1, 1.5]),
        },
    ),
    "Sale.vesting": (
        ps.Sale.vesting,
        {"unlocked": 1e5, "at": 5},
        {
            "unlocked": ("coins", [-1]),
            "sold": ("share", [-0.1, 1.1]),
            "at": ("hours", [-1]),
            "over": ("hours", [-1]),
            "ahead": ("hours", [-1, 6]),
        },
    ),
    "Depth": (
        ps.Depth,
        {"usd": 2e6},
        {
            "usd": ("USD per 1 %", [0, -1]),
            "calm": ("per year", [0, -1]),
            "window": ("hours", [0, -1]),
            "power": ("exponent", [-1]),
            "floor": ("share of depth", [0, -1, 1.1]),
            "schedule": ("share of depth", [[(1, 0)], [(1, -1)], [(2, 1), (1, 1)], [(1, NAN)], [(1, 2, 3)]]),
        },
    ),
    "at": (ps.Market().at, {"hour": 5}, {"hour": ("hours", [-1])}),
    "LendingPool": (
        ps.LendingPool,
        {"collateral": 10, "debt": 700},
        {
            "collateral": ("coins", [-1, [10, -1]]),
            "debt": ("USD", [-1, [[1, NAN]]]),
            "threshold": ("share of collateral", [0, -0.1, 1]),
            "close_factor": ("share of debt", [0, 1e-3, -0.1, 1.1]),
            "bonus": ("share of repayment", [-0.1]),
            "halt": ("share of collateral", [0, -1, 0.8]),
            "cells": ("groups", [0, -1, 1.5, True]),
            "lag": ("hours", [-1]),
        },
    ),
    "LendingPool.spread": (
        ps.LendingPool.spread,
        {"debt": 1e6},
        {
            "debt": ("USD", [-1]),
            "price": ("USD", [0, -1]),
            "ltv": ("share of collateral", [(0, 0.5), (0.7, 0.3), (0.3,), 0.5]),
            "n": ("loans", [0, -1, 1.5]),
            "seed": ("", [-1, 1.5]),
        },
    ),
    "liquidated": (ps.LendingPool(10, 700).liquidated, {"price": 90}, {"price": ("USD", [0, -1])}),
    "health": (ps.LendingPool(10, 700).health, {"price": 90}, {"price": ("USD", [0, -1])}),
    "Dealers": (
        ps.Dealers,
        {"strike": 100, "quantity": -1e5, "expiry": 168},
        {
            "strike": ("USD per coin", [0, -1, [100, -1]]),
            "quantity": ("options", [[1, NAN]]),
            "expiry": ("hours", [0, -1]),
            "volatility": ("per year", [0, -1]),
            "interval": ("hours", [-1]),
            "band": ("coins", [-1]),
            "lag": ("hours", [-1]),
        },
    ),
    "Miners": (
        ps.Miners,
        {"cost": 1e6, "produced": 1e4},
        {
            "cost": ("USD per day", [-1]),
            "produced": ("coins per day", [-1]),
            "cap": ("coins per day", [-1]),
            "curtailment": ("share of machines", [-0.1, 1.1]),
            "horizon": ("hours", [-1]),
            "lag": ("hours", [-1]),
        },
    ),
    "Redeemers": (
        ps.Redeemers,
        {"debt": 1e6, "over": 5},
        {"debt": ("USD", [-1]), "over": ("hours", [0, -1]), "at": ("hours", [-1]), "lag": ("hours", [-1])},
    ),
    "MarketCap": (
        mint.MarketCap,
        {"price": 80, "usd": 1e9, "elasticity": 0.5},
        {"price": ("USD per coin", [0, -1]), "usd": ("USD", [0, -1]), "elasticity": ("number", [-0.1, 1])},
    ),
    "fall_after": (
        mint.MarketCap(80, 1e9, 0.5).fall_after,
        {"redeemed": 1e8},
        {"redeemed": ("USD", [-1])},
    ),
    "options.call": (
        options.call,
        {"price": 100, "strike": 100, "hours": 24, "volatility": 0.8},
        {
            "price": ("USD per coin", [0, -1]),
            "strike": ("USD per coin", [0, -1]),
            "hours": ("hours", [-1]),
            "volatility": ("per year", [0, -1]),
        },
    ),
    "hedging_error": (
        options.hedging_error,
        {"prices": np.full((5, 2), 100.0), "strike": 100, "hours": 24, "volatility": 0.8},
        {
            "prices": ("USD per coin", [[[100.0], [0.0]], [[100.0, 100.0]]]),
            "strike": ("USD per coin", [0, -1]),
            "hours": ("hours", [0, -1]),
            "volatility": ("per year", [0, -1]),
            "rehedge": ("rows", [0, -1, 1.5, 3]),
        },
    ),
    "surviving_share": (
        ps.surviving_share,
        {"load": 0.2},
        {"load": ("capacity", [-1]), "capacity": ("capacity", [-1, [0.5, NAN], []])},
    ),
    "delayed_balance": (
        games.delayed_balance,
        {"speed": 1, "delay": 1, "hours": 2},
        {
            "speed": ("per hour", [-1]),
            "delay": ("hours", [-1, 0.005]),
            "hours": ("hours", [0, -1, 0.005]),
            "dt": ("hours", [0, -1, 2]),
        },
    ),
    "hedge": (
        ps.Dealers(100, -1e5, 168).hedge,
        {"price": 90},
        {"price": ("USD per coin", [0, -1]), "time": ("hours", [-1])},
    ),
    "rate": (ps.Miners(1e6, 1e4).rate, {"price": 90}, {"price": ("USD per coin", [0, -1])}),
    "cast": (cast, {"chapter": 4}, {"chapter": ("number", [0, -1, 1.5])}),
    "Rebalancer": (
        ps.Rebalancer,
        {"weight": 3, "aum": 5e6},
        {"weight": ("share", []), "aum": ("USD", [-1]), "lag": ("hours", [-1])},
    ),
    "ValueBuyers": (
        ps.ValueBuyers,
        {"per_percent": 1e6, "capital": 1e7},
        {"per_percent": ("USD per 1 %", [-1]), "capital": ("USD", [-1]), "lag": ("hours", [-1])},
    ),
    "SeniorTranche": (
        ps.SeniorTranche,
        {"pool": 1e6},
        {
            "pool": ("USD", [-1]),
            "junior": ("share of the pool", [0, 1, -0.1]),
            "trigger": ("share of the junior", [0, 1.1, -0.1]),
            "redeeming": ("share of the seniors", [1.1, -0.1]),
            "lag": ("hours", [-1]),
        },
    ),
    "Oracle": (
        ps.Oracle,
        {},
        {
            "venues": ("quotes", [0, 1.5, True]),
            "window": ("hours", [-1]),
            "lag": ("hours", [-1]),
            "heartbeat": ("hours", [-1]),
            "deviation": ("log", [-0.1]),
            "push": ("log", []),
            "pushed": ("quotes", [-1, 2, 1.5]),
            "at": ("hours", [-1]),
            "over": ("hours", [-1]),
        },
    ),
    "Liquidators": (
        ps.Liquidators,
        {},
        {
            "gas": ("USD", [-1]),
            "bonus": ("share of repayment", [-0.1]),
            "capacity": ("USD per hour", [-1]),
            "latency": ("hours", [-1]),
            "caution": ("standard deviations", [-1]),
            "congestion": ("exponent", [-1]),
            "bidders": ("count", [-1, 1.5]),
            "window": ("hours", [0, -1]),
        },
    ),
    "Fees": (
        ps.Fees,
        {},
        {
            "fee": ("share of a trade", [0, -0.1, 1]),
            "turnover": ("share of the pool per day", [-1]),
            "calm": ("per year", [0, -1]),
            "linked": ("True or False", ["no", 1, None]),
            "elasticity": ("exponent", [-1]),
            "window": ("hours", [0, -1]),
            "floor": ("share of depth", [0, -1, 1.1]),
        },
    ),
    "Fees.share": (ps.Fees().share, {"volatility": 0.8}, {"volatility": ("per year", [-1])}),
    "Waterfall": (
        ps.Waterfall,
        {},
        {
            "fund": ("USD", [-1]),
            "adl": ("share of liquidations", [-0.1, 1.1]),
            "policy": ("name", ["", "alphabet", None, 5]),
            "winners": ("coins", [[-1], NAN]),
            "cap": ("share of a position", [-0.1, 1.1]),
        },
    ),
    "StabilityPool": (ps.StabilityPool, {}, {"usd": ("USD", [-1])}),
    "RedemptionQueue": (
        ps.RedemptionQueue,
        {},
        {
            "delay": ("hours", [-1]),
            "per_day": ("coins per day", [-1]),
            "gate": ("log", [-0.1]),
            "shut": ("hours", [-1]),
            "rush": ("log", [-0.1]),
        },
    ),
    "RedemptionQueue with a gate": (
        ps.RedemptionQueue,
        {"gate": 0.1},
        {
            **dict.fromkeys(("delay", "shut"), ("hours", [-1])),
            "per_day": ("coins per day", [-1]),
            "gate": ("log", [-0.1]),
            "rush": ("log", [-0.1, 0.11]),
        },
    ),
    "CircuitBreaker": (
        ps.CircuitBreaker,
        {},
        {
            "fall": ("log", [0, -0.1, [0.1, NAN]]),
            "pause": ("hours", [-1, [1, -1]]),
            "auction": ("True or False", ["no", 1, None]),
            "magnet": ("log", [-0.1, 0.11]),
        },
    ),
    "VolatilityMargin": (
        ps.VolatilityMargin,
        {},
        {
            "floor": ("share of position", [-0.1, 1]),
            "multiple": ("standard deviations", [-1]),
            "horizon": ("hours", [-1]),
            "lookback": ("hours", [0, -1]),
            "speed": ("per hour", [-1]),
            "most": ("share of position", [-0.1, 1]),
        },
    ),
    "Governance": (
        ps.Governance,
        {"rule": ps.CircuitBreaker()},
        {
            "rule": ("Rule", [ps.Waterfall(), ps.Rule]),
            "delay": ("hours", [-1]),
            "trigger": ("log", [-0.1]),
            "rush": ("log", [-0.1, 0.06]),
        },
    ),
    "layered": (
        tranches.layered,
        {"loss": 0.3, "layers": [0.2, 0.8]},
        {"loss": ("unit", [-1]), "layers": ("unit", [-1, [-1], 5, [[1]]])},
    ),
    "deleveraged": (
        rules.deleveraged,
        {"needed": 1, "positions": [1, 2]},
        {
            "needed": ("unit", [-1]),
            "positions": ("unit", [-1, 5, [[1]]]),
            "policy": ("name", ["", "alphabet", None, 5]),
            "cap": ("share of a position", [-0.1, 1.1]),
        },
    ),
    "attack_cost": (rules.attack_cost, {"market": CALM, "push": 0.1}, {"push": ("log", [1e3])}),
    "safe_interest": (rules.safe_interest, {"market": CALM, "push": 0.1}, {"push": ("log", [0, 1e3])}),
    "auction_share": (
        games.auction_share,
        {"bidders": 3},
        {
            "bidders": ("count", [-1, 1.5]),
            "through": ("probability", [-0.1, 1.1]),
            "most": ("share", [-0.1, 1.1]),
        },
    ),
    "liquidation_price": (
        ps.liquidation_price,
        {"entry": 100, "leverage": 5, "maintenance": 0.005},
        {
            "entry": ("USD", [0, -1]),
            "leverage": ("times", [0.5, -1]),
            "maintenance": ("share", [-0.1, 0.2, 1]),
        },
    ),
    "cascade": (ps.cascade, {"market": CALM, "crowd": [], "shock": 0.1}, {"shock": ("log", [-0.1])}),
    "loop_gain": (
        ps.loop_gain,
        {"market": CALM, "crowd": []},
        {"fall": ("log", []), "step": ("log", [0, -0.1])},
    ),
    "tipping_shock": (
        ps.tipping_shock,
        {"market": CALM, "crowd": []},
        {"jump": ("log", [0, -0.1]), "fall": ("log", []), "worst": ("log", [-0.1])},
    ),
    "radar": (
        ps.radar,
        {"market": CALM, "crowd": []},
        {
            "fall": ("log", []),
            "worst": ("log", [-0.1]),
            "deepest": ("log", [0, 11, 0.001]),
            "step": ("log", [0, -0.1]),
        },
    ),
    "early_warning": (
        ps.early_warning,
        {"series": np.zeros(9), "window": 3},
        {
            "series": ("log falls", [[], 5, [[[1.0]]]]),
            "window": ("increments", [2, 3.5]),
            "every": ("rows", [0, 1.5]),
        },
    ),
    "roc": (ps.roc, {"calm": [1], "coming": [2]}, {"calm": ("score", [[]]), "coming": ("score", [[]])}),
    "Roc.at": (WARNED.at, {"false_alarms": 0.1}, {"false_alarms": ("share", [-0.1, 1.1])}),
    "precision": (
        WARNED.precision,
        {"base_rate": 0.1, "false_alarms": 0.1},
        {"base_rate": ("share", [-0.1, 1.1]), "false_alarms": ("share", [-0.1, 1.1])},
    ),
    "value_at_risk": (
        ps.value_at_risk,
        {"run": ps.simulate(CALM, [], hours=1)},
        {"run": ("Run", []), "level": ("probability", [0.4, 1])},
    ),
    "kelly": (
        ps.kelly,
        {"returns": [0.2, -0.1], "probability": [0.5, 0.5]},
        {
            "returns": ("simple returns", [-1.1, 0.2, [], [0.2, 0.3]]),
            "probability": ("share", [0.5, [0.5, 0.4], [1.5, -0.5]]),
            "cost": ("share of money", [-0.1, 1]),
            "wealth": ("USD", [-1]),
            "depth": ("USD per 1 %", [0, -1]),
        },
    ),
    "growth_at": (STAKE.growth_at, {"fraction": 0.1}, {"fraction": ("share of wealth", [])}),
    "ruin": (
        STAKE.ruin,
        {"fraction": 0.1},
        {
            "fraction": ("share of wealth", []),
            "floor": ("share of wealth", [0, 1]),
            "bets": ("count", [0, 1.5]),
            "paths": ("count", [0, 1.5]),
            "seed": ("", [-1, 1.5]),
        },
    ),
    "falls": (base_rates.falls, {"close": [2, 1], "size": 0.1}, AFTER_FALLS),
    "base_rates": (
        base_rates.base_rates,
        {"close": [2, 1, 2], "size": 0.1, "horizons": (1,)},
        {
            **AFTER_FALLS,
            "horizons": ("rows", [[0], [1.5]]),
            "cost": ("share of money", [-0.1, 1]),
            "seed": ("", [-1, 1.5]),
        },
    ),
    "run_threshold": (ps.run_threshold, {"payoff": 1.5}, {"payoff": ("per dollar", [0.9, -1])}),
    "simulate": (
        ps.simulate,
        {"market": CALM, "crowd": [], "hours": 1.0, "dt": 0.05},
        {
            "hours": ("hours", [0, -1, 1.01]),
            "dt": ("hours", [0, -0.05, 0.3]),
            "paths": ("count", [0, -1, 1.5, True]),
            "seed": ("", [-1, 1.5]),
        },
    ),
    "until": (ps.simulate(CALM, [], hours=1).until, {"time": 0.5}, {"time": ("hours", [-1])}),
}
TAKES_ARRAYS = {
    "Longs",
    "liquidation_price",
    "run_threshold",
    "LendingPool",
    "health",
    "hedge",
    "rate",
    "Dealers",
    "options.call",
    "surviving_share",
    "Fees.share",
    "CircuitBreaker",
    "Waterfall",
    "layered",
    "deleveraged",
    "fall_after",
    "early_warning",
    "roc",
    "growth_at",
    "kelly",
}
# Arguments of those that must be one number all the same.
NUMBERS_ONLY = {
    *("lag", "threshold", "close_factor", "bonus", "halt", "cells", "interval", "band", "time"),
    *("magnet", "fund", "adl", "cap", "needed", "policy", "auction"),
    *("window", "every", "cost", "wealth", "depth"),
}
MAY_BE_NONE = {
    *("calm", "schedule", "cap", "capacity", "halt", "heartbeat", "over", "bonus", "bidders", "winners"),
    *(
        "per_day",
        "gate",
        "shut",
        "floor",
        "speed",
        "delay",
        "worst",
        "probability",
        "ruin.fraction",
        "kelly.depth",
    ),
}


def refusals():
    cases = []
    for call, (make, good, arguments) in CALLS.items():
        for argument, (unit, bad) in arguments.items():
            wrong = [] if argument == "name" else NOT_NUMBERS
            wrong = [
                value
                for value in wrong
                if value is not None or not MAY_BE_NONE & {argument, f"{call}.{argument}"}
            ]
            if (call in TAKES_ARRAYS and argument not in NUMBERS_ONLY) or argument in (
                "fall",
                "leverage",
                "close",
                "horizons",
            ):
                wrong = [value for value in wrong if value != [1.0, 2.0]]
            for value in [*wrong, *bad]:
                case = make, {**good, argument: value}, argument, unit
                cases.append(pytest.param(*case, id=f"{call}-{argument}-{value}"))
    return cases


@pytest.mark.parametrize(("make", "call", "argument", "unit"), refusals())
def test_bad_input_is_refused_by_name_and_unit(make, call, argument, unit):
    with pytest.raises(ValueError) as refused:
        make(**call)
    message = str(refused.value)
    assert argument in message
    assert unit in message


@pytest.mark.parametrize("call", CALLS)
def test_table_of_refusals_is_complete(call):
    """Every argument that is a number stands in the table."""
    make, _, arguments = CALLS[call]
    names = (
        [f.name for f in fields(make) if f.init] if is_dataclass(make) else inspect.signature(make).parameters
    )
    skip = {"market", "crowd", "events", "rules", "noise", "one_way", "name", "who", "kwargs"}
    assert not set(names) - set(arguments) - skip


@given(value=st.one_of(st.none(), st.text(max_size=3), st.floats(max_value=0), st.just(NAN), st.just(INF)))
def test_any_bad_price_is_refused(value):
    with pytest.raises(ValueError, match=r"^price \(USD per coin\) .*got "):
        ps.Market(price=value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ps.Longs([100, 100], [1, 2, 3], 5), "size (3,)"),
        (lambda: ps.Longs(100, 1, [5, 6, 7], [0.01, 0.01]), "maintenance"),
        (lambda: ps.liquidation_price([100, 90], [5, 6, 7]), "entry"),
        (
            lambda: ps.Longs(100, 10, 200),
            "maintenance (share of position) must be below 1/leverage, got 0.005",
        ),
        (lambda: ps.Herd(1e6, one_way="no"), "one_way"),
        (lambda: ps.Fear(1e6, one_way=None), "one_way"),
        (lambda: ps.Market(depth=lambda x: -np.ones_like(x)), "depth(fall) (USD per 1 %) must be above 0"),
        (lambda: ps.Market(depth=lambda x: np.where(x > 1, np.nan, 1e6)), "depth(fall) (USD per 1 %)"),
        (lambda: ps.Market(depth=lambda x: np.ones(3)), "shape (3,)"),
        (lambda: ps.Market(depth=lambda x: 2e6 if x < 0.1 else 1e6), "depth"),
    ],
)
def test_other_bad_descriptions(call, words):
    with pytest.raises(ValueError) as refused:
        call()
    assert words in str(refused.value)


LONG = ps.Longs(100, 10, 20)
UNDER_WATER = "entry (USD per coin) must leave every liquidation price under the market's 90"


@pytest.mark.parametrize(
    "ask",
    [
        lambda market: LONG.meets(market),
        lambda market: ps.cascade(market, [LONG], 0.1),
        lambda market: ps.loop_gain(market, [LONG]),
        lambda market: ps.tipping_shock(market, [LONG]),
        lambda market: ps.simulate(market, [LONG], hours=1),
    ],
)
def test_position_under_water_is_refused(ask):
    with pytest.raises(ValueError) as refused:
        ask(ps.Market(price=90))
    assert UNDER_WATER in str(refused.value)
    assert "95.4774" in str(refused.value)
    ask(ps.Market(price=96))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"crowd": [5]}, "crowd (participants)"),
        ({"crowd": None}, "crowd"),
        ({"crowd": ["Herd"]}, "crowd (participants)"),
        ({"crowd": [ps.Herd]}, "crowd (participants)"),
        ({"events": [0.05]}, "events (News or Sale)"),
        ({"events": None}, "events"),
        ({"events": [ps.News(-0.1, at=1.0)]}, "at (hours) must lie before the end of the run, 1, got 1.0"),
        ({"events": [ps.Sale(1, at=30)]}, "at (hours)"),
        ({"rules": [5]}, "rules"),
        ({"rules": None}, "rules"),
        ({"market": None}, "market"),
        ({"noise": np.zeros((20, 2))}, "noise (draws) must have shape (20, 1), got (20, 2)"),
        ({"noise": np.zeros(20)}, "noise"),
        ({"noise": np.full((20, 1), NAN)}, "noise"),
        ({"noise": np.ones((20, 1)), "market": CALM}, "volatility"),
        ({"hours": 1e300, "dt": 1e-300}, "hours"),
    ],
)
def test_bad_scene_is_refused(bad, words):
    good = {"market": ps.Market(volatility=0.5), "crowd": [], "hours": 1.0, "dt": 0.05}
    with pytest.raises(ValueError) as refused:
        ps.simulate(**{**good, **bad})
    assert words in str(refused.value)
